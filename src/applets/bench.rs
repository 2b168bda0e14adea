//! The `bench` applet.

use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::applet::{Applet, CLIENT_SIGNALS, start_client};
use super::security::Flags;
use crate::bench::{self, End, MIN_SIZE, Options, Plan};
use crate::error::Error;
use crate::usage::call::Call;
use crate::usage::values::{number, port_to_connect_to, positive, seconds};
use crate::wire::protocol::{MAX_TEXT, Name};

pub(super) const APPLET: Applet = Applet {
    name: "bench",
    linked: false,
    summary: "load a server and measure what comes of it",
    run,
    signals: CLIENT_SIGNALS,
    info: Arguments::get_args_info,
};

/// The name of all clients if nothing says so.
const USER: &str = "bench";

/// How long to send if nothing says so.
const SECONDS: Duration = Duration::from_secs(5);

/// Loads a chat server and reports deliveries a second, the time from send to delivery, and what
/// was lost, duplicated, reordered or refused.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    example = "{command_name} localhost 5000",
    example = "{command_name} --senders 4 --receivers 50 --window 64 localhost 5000",
    error_code(0, "every text that was answered ok came to each receiver, once and in order"),
    error_code(1, "something was lost, duplicated or reordered, or the server was gone"),
    error_code(2, "wrong usage")
)]
struct Arguments {
    /// the server's name or address; with a '/', the directory of its Unix socket
    #[argh(positional, arg_name = "HOST")]
    host: String,

    /// the server's port
    #[argh(positional, arg_name = "PORT", from_str_fn(port_to_connect_to))]
    port: u16,

    /// the name that all clients log in by, where the server takes no other from whoever runs this
    #[argh(option, arg_name = "USER", default = "USER.into()", from_str_fn(user))]
    user: String,

    /// clients that send (default: 1)
    #[argh(option, arg_name = "N", default = "1", from_str_fn(positive))]
    senders: usize,

    /// clients that receive (default: 10)
    #[argh(option, arg_name = "N", default = "10", from_str_fn(positive))]
    receivers: usize,

    /// rooms that they are spread over (default: 1)
    #[argh(option, arg_name = "N", default = "1", from_str_fn(positive))]
    rooms: usize,

    /// texts that each sender sends; without it, --seconds says when to stop
    #[argh(option, arg_name = "N", from_str_fn(messages))]
    messages: Option<u32>,

    /// bytes of a text, from 28 to 246 (default: 64)
    #[argh(option, arg_name = "BYTES", default = "64", from_str_fn(size))]
    size: usize,

    /// texts that a sender may have without an answer; 1 is a person who waits (default: 1, or any
    /// number with --rate)
    #[argh(option, arg_name = "N", from_str_fn(positive))]
    window: Option<usize>,

    /// seconds to send for (default: 5)
    #[argh(option, arg_name = "SECS", from_str_fn(seconds))]
    seconds: Option<Duration>,

    /// texts a second, of all senders together; a text counts as sent when it is due, so that a
    /// server that stalls does not look better for it
    #[argh(option, arg_name = "N", from_str_fn(rate))]
    rate: Option<f64>,

    /// check that all that was sent can be replayed, once and in order, from a server that keeps as much;
    /// it stays there
    #[argh(switch)]
    history: bool,

    /// print one JSON object instead of a table
    #[argh(switch)]
    json: bool,

    /// draw how the times from send to delivery are distributed
    #[argh(switch)]
    histogram: bool,

    /// speak TLS, with a server whose certificate is for HOST and from somebody whom the system trusts
    #[argh(switch)]
    tls: bool,

    /// with --tls, trust servers with a certificate from those in this file (PEM) instead
    #[argh(option, arg_name = "FILE")]
    cacert: Option<PathBuf>,

    /// with --tls, show the server this certificate (PEM) of one's own
    #[argh(option, arg_name = "FILE")]
    cert: Option<PathBuf>,

    /// the key (PEM) of that certificate
    #[argh(option, arg_name = "FILE")]
    key: Option<PathBuf>,

    /// with --tls, trust whoever answers: nobody can read along but that one, whoever it is
    #[argh(switch)]
    insecure: bool,

    /// say more of what goes on
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// say errors alone, and show no progress
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    let arguments: Arguments = call.arguments()?;
    let _log = start_client(arguments.verbose, arguments.quiet)?;
    if arguments.messages.is_some() && arguments.seconds.is_some() {
        return Err(call.wrong("--messages and --seconds exclude each other").into());
    }
    if arguments.json && arguments.histogram {
        return Err(call.wrong("--json and --histogram exclude each other").into());
    }
    if arguments.senders > 1 << 16 {
        return Err(call.wrong("there can be 65536 senders at most").into());
    }
    let flags = Flags {
        tls: arguments.tls,
        cacert: arguments.cacert,
        cert: arguments.cert,
        key: arguments.key,
        insecure: arguments.insecure,
    };
    let address = flags.address(call, arguments.host, arguments.port)?;
    let plan = Plan {
        address,
        user: arguments.user,
        senders: arguments.senders,
        receivers: arguments.receivers,
        rooms: arguments.rooms,
        end: match arguments.messages {
            Some(messages) => End::Texts(messages),
            None => End::After(arguments.seconds.unwrap_or(SECONDS)),
        },
        size: arguments.size,
        window: arguments.window.or(arguments.rate.is_none().then_some(1)),
        rate: arguments.rate,
        history: arguments.history,
    };
    let Arguments { json, histogram, quiet, .. } = arguments;
    Ok(bench::run(&plan, Options { json, histogram, quiet })?)
}

fn user(word: &str) -> Result<String, String> {
    let name = Name::parse(word.as_bytes()).map_err(|error| error.to_string())?;
    Ok(name.as_str().into())
}

fn size(word: &str) -> Result<usize, String> {
    let size = number(word).filter(|size| (MIN_SIZE..=MAX_TEXT).contains(size));
    size.ok_or(format!("a text has from {MIN_SIZE} to {MAX_TEXT} bytes"))
}

fn messages(word: &str) -> Result<u32, String> {
    let number = positive(word)?;
    number.try_into().map_err(|_| format!("a number up to {} is needed", u32::MAX))
}

fn rate(word: &str) -> Result<f64, String> {
    match word.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a number above 0 is needed, 1e9 at most".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::applet::tests::assert_default;

    #[test]
    fn the_help_quotes_the_defaults_and_limits() {
        let defaults = Arguments::from_args(&["bench"], &["localhost", "5000"]).unwrap();
        assert_default::<Arguments>("--senders", defaults.senders);
        assert_default::<Arguments>("--receivers", defaults.receivers);
        assert_default::<Arguments>("--rooms", defaults.rooms);
        assert_default::<Arguments>("--size", defaults.size);
        assert_default::<Arguments>("--seconds", SECONDS.as_secs_f64());
        let sizes = format!("from {MIN_SIZE} to {MAX_TEXT} ");
        assert!(
            Arguments::get_args_info().flags.iter().any(|one| one.description.contains(&sizes))
        );
    }
}
