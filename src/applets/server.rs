//! The `server` applet.
#![doc = include_str!("SERVER.md")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::{LevelFilter, info};

use super::applet::Applet;
use crate::error::Error;
use crate::server::{
    Config, Event, HistoryConfig, Keep, Limits, LogConfig, RedisConfig, Server, ServerError,
    SocketConfig, TlsConfig, Ways, check_redis_url, listen,
};
use crate::system::files;
use crate::system::logging::{self, Form, Verbosity};
use crate::system::signals::{self, Signal};
use crate::usage::call::{Call, UsageError, VERSION};
use crate::usage::values::{file, port_to_listen_on, positive, seconds};

pub(super) const APPLET: Applet = Applet {
    name: "server",
    linked: true,
    summary: "bring texts from senders to receivers, in rooms",
    run,
    signals: &[
        (
            "SIGINT, SIGTERM, SIGHUP",
            "stop: take no more clients, carry out what was received, write what is queued, and end \
             with 0; a second SIGINT or SIGTERM ends it at once",
        ),
        ("SIGUSR1", "log the state: clients, rooms, what is queued, and what was delivered"),
        (
            "SIGUSR2",
            "read certificates, keys and what is revoked again, all or nothing; only those whose \
             certificates no longer hold are disconnected",
        ),
    ],
    info: Arguments::get_args_info,
};

/// What all keys in Redis begin with, if nothing else is said.
const KEY_PREFIX: &str = "chatbox:";

/// How long Redis may be away.
const AWAY: Duration = Duration::from_secs(10);

/// Texts of a room that Redis keeps, which has them in memory.
const KEEP_IN_REDIS: usize = 10_000;

/// Serves a chat: brings what senders say in a room to the receivers in that room. Runs until
/// SIGINT, SIGTERM or SIGHUP. Logs to standard error.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    example = "{command_name} 5000",
    example = "{command_name} --bind localhost --max-clients 100 5000",
    error_code(0, "it was asked to stop, and has stopped"),
    error_code(1, "it cannot listen, or cannot have what it needs"),
    error_code(2, "wrong usage")
)]
struct Arguments {
    /// the port to listen on; 0 for any that is free
    #[argh(positional, arg_name = "PORT", from_str_fn(port_to_listen_on))]
    port: u16,

    /// listen on this address or name alone; may be given again for more (default: every
    /// interface, IPv6 and IPv4)
    #[argh(option, arg_name = "ADDR")]
    bind: Vec<String>,

    /// listen on the Unix socket DIR/PORT too, where the users of this machine may log in under the
    /// names of their accounts
    #[argh(option, arg_name = "DIR")]
    socket: Option<PathBuf>,

    /// listen on that socket alone
    #[argh(switch)]
    no_tcp: bool,

    /// let anybody use any name on that socket
    #[argh(switch)]
    socket_any_name: bool,

    /// speak TLS, and nothing else, on the port: the server's certificate, followed by those of its
    /// issuers (PEM)
    #[argh(option, arg_name = "FILE")]
    cert: Option<PathBuf>,

    /// the key of that certificate (PEM), which nobody else may be able to read
    #[argh(option, arg_name = "FILE")]
    key: Option<PathBuf>,

    /// serve those alone who show a certificate from one of these issuers (PEM), under a name in it
    #[argh(option, arg_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// certificates that these issuers have revoked (PEM)
    #[argh(option, arg_name = "FILE")]
    crl: Option<PathBuf>,

    /// serve on the port those who do not speak TLS, too
    #[argh(switch)]
    allow_plain: bool,

    /// serve this many clients at most (default: as many as the limit on descriptors allows)
    #[argh(option, arg_name = "N", from_str_fn(positive))]
    max_clients: Option<usize>,

    /// serve this many clients from one address at most, loopback too; an IPv6 network of 64 bits
    /// counts as one, and so does a user on the Unix socket (default: no limit)
    #[argh(option, arg_name = "N", from_str_fn(positive))]
    max_per_address: Option<usize>,

    /// close clients that have not logged in after this many seconds (default: 300)
    #[argh(option, arg_name = "SECS", default = "Duration::from_secs(300)", from_str_fn(seconds))]
    login_timeout: Duration,

    /// hold back a room's senders while more than this many bytes are queued for one of its
    /// receivers (default: 1048576)
    #[argh(option, arg_name = "BYTES", default = "1024 * 1024", from_str_fn(positive))]
    queue_limit: usize,

    /// above this many bytes queued for all receivers together, hold a room's senders back when one
    /// of its receivers has more than its share of them (default: 268435456)
    #[argh(option, arg_name = "BYTES", default = "256 * 1024 * 1024", from_str_fn(positive))]
    total_queue_limit: usize,

    /// cut off a receiver whose queue stays above that limit for this many seconds (default: 5)
    #[argh(option, arg_name = "SECS", default = "Duration::from_secs(5)", from_str_fn(seconds))]
    stall_timeout: Duration,

    /// take this many seconds at most to stop (default: 5)
    #[argh(option, arg_name = "SECS", default = "Duration::from_secs(5)", from_str_fn(seconds))]
    stop_timeout: Duration,

    /// keep what is said in this SQLite database, which is made if there is none, and give it to
    /// receivers that ask for it
    #[argh(option, arg_name = "FILE", from_str_fn(file))]
    history: Option<PathBuf>,

    /// be one chat with other servers, over the Redis at this URL: redis://HOST, or
    /// redis://USER:PASSWORD@HOST:PORT
    #[argh(option, arg_name = "URL")]
    redis: Option<String>,

    /// begin all keys in Redis with this, so that several chats can share one (default: chatbox:)
    #[argh(option, arg_name = "TEXT")]
    redis_prefix: Option<String>,

    /// refuse texts when Redis has been away for this many seconds (default: 10)
    #[argh(option, arg_name = "SECS", from_str_fn(seconds))]
    redis_timeout: Option<Duration>,

    /// read the password for Redis from this file, so that it is in no list of processes
    #[argh(option, arg_name = "FILE", from_str_fn(file))]
    redis_password_file: Option<PathBuf>,

    /// keep so many texts of each room (default: all in a file, 10000 in Redis)
    #[argh(option, arg_name = "N", from_str_fn(positive))]
    keep_texts: Option<usize>,

    /// keep texts for so many days (default: for ever)
    #[argh(option, arg_name = "DAYS", from_str_fn(positive))]
    keep_days: Option<usize>,

    /// answer a text when it is on the disk, so that it survives a power cut
    #[argh(switch)]
    fsync: bool,

    /// serve clients with this many threads (default: one for each processor, and one more for small
    /// rooms beside large ones)
    #[argh(option, arg_name = "N", from_str_fn(positive))]
    workers: Option<usize>,

    /// log logins, joins, departures and refusals too; twice for every refused request
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// log errors alone
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    let arguments: Arguments = call.arguments()?;
    let (more, quiet) = (arguments.verbose, arguments.quiet);
    let mut log = logging::start(Verbosity { normal: LevelFilter::Info, more, quiet }, Form::Dated);
    let events = signals::for_server()?.map(|signal| match signal {
        Signal::Stop => Event::Stop,
        Signal::User1 => Event::Report,
        Signal::User2 => Event::Renew,
    });
    let ways = ways(call, &arguments)?;
    let entrances = listen::open(&ways).map_err(ServerError::from)?;
    let addresses = entrances.addresses.clone();
    let config = Config {
        max_clients: arguments.max_clients,
        max_per_address: arguments.max_per_address,
        workers: arguments.workers,
        stop_timeout: arguments.stop_timeout,
        log: log_config(call, &arguments)?,
        limits: Limits {
            login_timeout: arguments.login_timeout,
            queue_limit: arguments.queue_limit,
            total_queue_limit: arguments.total_queue_limit,
            stall_timeout: arguments.stall_timeout,
        },
    };
    let server = Server::start(config, entrances)?;
    info!("{VERSION}: {}", server.summary());
    for address in addresses {
        info!("listening on {address}");
    }
    log.queue();
    log.end_by(server.run(events));
    Ok(())
}

/// Where clients are to come in.
fn ways(call: &Call<'_>, arguments: &Arguments) -> Result<Ways, UsageError> {
    let Arguments { port, bind, socket, no_tcp, socket_any_name, .. } = arguments;
    if socket.is_none() && (*no_tcp || *socket_any_name) {
        return Err(call.wrong("--no-tcp and --socket-any-name need --socket"));
    }
    if *no_tcp && !bind.is_empty() {
        return Err(call.wrong("--no-tcp and --bind exclude each other"));
    }
    if *no_tcp && *port == 0 {
        return Err(call.wrong("without TCP, port 0 is none"));
    }
    let tls = tls(call, arguments)?;
    if *no_tcp && tls.is_some() {
        return Err(call.wrong("--no-tcp and --cert exclude each other"));
    }
    if *socket_any_name && arguments.client_ca.is_some() {
        return Err(call.wrong("--socket-any-name and --client-ca exclude each other"));
    }
    let any_name = *socket_any_name;
    Ok(Ways {
        port: *port,
        tcp: (!no_tcp).then(|| bind.clone()),
        tls,
        socket: socket.clone().map(|folder| SocketConfig { folder, any_name }),
    })
}

/// How TLS is to be spoken, if it is.
fn tls(call: &Call<'_>, arguments: &Arguments) -> Result<Option<TlsConfig>, UsageError> {
    let Arguments { cert, key, client_ca, crl, allow_plain, .. } = arguments;
    let (certificate, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        (None, None) if client_ca.is_none() && crl.is_none() && !allow_plain => return Ok(None),
        (None, None) => {
            return Err(call.wrong("--client-ca, --crl and --allow-plain need --cert and --key"));
        }
        _ => return Err(call.wrong("--cert and --key need each other")),
    };
    if client_ca.is_some() && *allow_plain {
        // There must be no way round.
        return Err(call.wrong("--client-ca and --allow-plain exclude each other"));
    }
    if client_ca.is_none() && crl.is_some() {
        return Err(call.wrong("--crl needs --client-ca"));
    }
    let (client_issuers, revocations) = (client_ca.clone(), crl.clone());
    let allow_plain = *allow_plain;
    Ok(Some(TlsConfig { certificate, key, client_issuers, revocations, allow_plain }))
}

/// What is to be kept, and where, if anywhere.
fn log_config(call: &Call<'_>, arguments: &Arguments) -> Result<Option<LogConfig>, Error> {
    let keep = Keep { texts: arguments.keep_texts, days: arguments.keep_days };
    let keeps = keep.texts.is_some() || keep.days.is_some();
    let Arguments { history, redis, redis_prefix, redis_timeout, .. } = arguments;
    let password_file = &arguments.redis_password_file;
    let adapts = redis_prefix.is_some() || redis_timeout.is_some() || password_file.is_some();
    match (history, redis) {
        (Some(_), Some(_)) => Err(call.wrong("--history and --redis exclude each other").into()),
        (None, None) if keeps => {
            Err(call.wrong("--keep-texts and --keep-days need --history or --redis").into())
        }
        (None, _) if arguments.fsync => Err(call.wrong("--fsync needs --history").into()),
        (_, None) if adapts => {
            let flags = "--redis-prefix, --redis-timeout and --redis-password-file need --redis";
            Err(call.wrong(flags).into())
        }
        (Some(path), None) => {
            let config = HistoryConfig { path: path.clone(), keep, synced: arguments.fsync };
            Ok(Some(LogConfig::History(config)))
        }
        (None, Some(url)) => {
            check_redis_url(url).map_err(|error| call.wrong(&error.to_string()))?;
            let password = password_file.as_deref().map(read_password).transpose()?;
            let prefix = redis_prefix.clone().unwrap_or_else(|| KEY_PREFIX.into());
            let timeout = redis_timeout.unwrap_or(AWAY);
            let keep = Keep { texts: keep.texts.or(Some(KEEP_IN_REDIS)), ..keep };
            let config = RedisConfig { url: url.clone(), password, prefix, timeout, keep };
            Ok(Some(LogConfig::Redis(config)))
        }
        (None, None) => Ok(None),
    }
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<String, ServerError> {
    let bytes = files::contents(path, files::open(path)?, 1)?;
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8(line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    line.map_err(|_| ServerError::StrangePassword { path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::applet::tests::assert_default;

    #[test]
    fn the_help_quotes_the_defaults() {
        let defaults = Arguments::from_args(&["server"], &["5000"]).unwrap();
        assert_default::<Arguments>("--login-timeout", defaults.login_timeout.as_secs_f64());
        assert_default::<Arguments>("--queue-limit", defaults.queue_limit);
        assert_default::<Arguments>("--total-queue-limit", defaults.total_queue_limit);
        assert_default::<Arguments>("--stall-timeout", defaults.stall_timeout.as_secs_f64());
        assert_default::<Arguments>("--stop-timeout", defaults.stop_timeout.as_secs_f64());
        assert_default::<Arguments>("--redis-prefix", KEY_PREFIX);
        assert_default::<Arguments>("--redis-timeout", AWAY.as_secs_f64());
    }
}
