//! The `receiver` applet.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::applet::{Applet, CLIENT_SIGNALS, exit_after, last, start_client};
use super::security::Flags;
use crate::client::ClientError;
use crate::client::cursor::Cursor;
use crate::client::history::Ask;
use crate::client::link::Identity;
use crate::client::receive::{self, Options};
use crate::error::Error;
use crate::terminal::color::{Color, Look};
use crate::terminal::format::{DATE_AND_TIME, Format};
use crate::usage::call::Call;
use crate::usage::values::{file, port_to_connect_to, positive, seconds};
use crate::wire::position::{Position, Resume};

pub(super) const APPLET: Applet = Applet {
    name: "receiver",
    linked: true,
    summary: "print what is said in a room",
    run,
    signals: CLIENT_SIGNALS,
    info: Arguments::get_args_info,
};

/// Prints what is said in a room of a chat, one line each: 'SENDER: TEXT'. Runs until it is
/// interrupted, until nobody reads what it prints, or until the server goes away.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    note = "On a terminal, control characters in names and texts are made visible, but for tabs, and \
            what is typed there is ignored. In a pipe, names and texts come out as they were sent.",
    note = "With --color auto, there is no colour where the environment variable NO_COLOR is set, \
            and no mark either where TERM is dumb or not set.",
    example = "{command_name} localhost 5000 alice cafe",
    example = "{command_name} --last 20 --no-follow localhost 5000 alice cafe",
    example = "{command_name} -n 1 --timeout 60 --json localhost 5000 alice cafe",
    error_code(0, "as many texts as asked for have come, or all that there were"),
    error_code(1, "the server refused, or went away"),
    error_code(2, "wrong usage"),
    error_code(124, "the time is over")
)]
struct Arguments {
    /// the server's name or address; with a '/', the directory of its Unix socket
    #[argh(positional, arg_name = "HOST")]
    host: String,

    /// the server's port
    #[argh(positional, arg_name = "PORT", from_str_fn(port_to_connect_to))]
    port: u16,

    /// the name to log in under, letters and digits
    #[argh(positional, arg_name = "USER")]
    user: String,

    /// the room to listen in, letters and digits
    #[argh(positional, arg_name = "ROOM")]
    room: String,

    /// end with 0 after this many texts
    #[argh(option, short = 'n', arg_name = "N", from_str_fn(positive))]
    count: Option<usize>,

    /// end with 124 after this many seconds
    #[argh(option, arg_name = "SECS", from_str_fn(seconds))]
    timeout: Option<Duration>,

    /// begin with the last N texts of the room; this, and what follows up to --no-follow, needs a
    /// server that keeps what is said
    #[argh(option, arg_name = "N", from_str_fn(last))]
    last: Option<u64>,

    /// begin with all that came after the text of this position, as --json prints it
    #[argh(option, arg_name = "POSITION", from_str_fn(after))]
    after: Option<Position>,

    /// go on after the position in this file, if there is one, and keep it up to date; it is about
    /// one room
    #[argh(option, arg_name = "FILE", from_str_fn(file))]
    cursor_file: Option<PathBuf>,

    /// end with 0 when all is printed that was there; needs one of the three before
    #[argh(switch)]
    no_follow: bool,

    /// print one JSON object a line, with room, sender, text and time, and its position where the
    /// server keeps what is said; a string that was not UTF-8 has its bytes beside it, as in
    /// text_bytes
    #[argh(switch)]
    json: bool,

    /// print the time before each line: when the server took it, or, where it does not tell, when it
    /// came
    #[argh(switch)]
    timestamps: bool,

    /// a colour for each sender, and a mark for mentions of one's own name: auto (on a terminal),
    /// always or never (default: never)
    #[argh(option, arg_name = "WHEN", default = "Color::Never")]
    color: Color,

    /// print control characters as they are, on a terminal too
    #[argh(switch)]
    raw: bool,

    /// when the server goes away, try again and again; where it keeps what is said, nothing is missed
    #[argh(switch)]
    reconnect: bool,

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

    /// say errors alone
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    let arguments: Arguments = call.arguments()?;
    let _log = start_client(arguments.verbose, arguments.quiet)?;
    let look = if arguments.json { Look::PLAIN } else { arguments.color.on(&io::stdout()) };
    let terminal = io::stdout().is_terminal() || look != Look::PLAIN;
    let format = Format {
        json: arguments.json,
        timestamps: arguments.timestamps.then_some(DATE_AND_TIME),
        look,
        visible: terminal && !arguments.raw,
        user: arguments.user.clone(),
    };
    let (ask, cursor) = history(call, &arguments)?;
    arguments.timeout.map(exit_after).transpose()?;
    let flags = Flags {
        tls: arguments.tls,
        cacert: arguments.cacert,
        cert: arguments.cert,
        key: arguments.key,
        insecure: arguments.insecure,
    };
    let address = flags.address(call, arguments.host, arguments.port)?;
    let identity = Identity {
        address,
        receives: true,
        user: arguments.user,
        room: Some(arguments.room.into_bytes()),
        history: ask,
    };
    let Arguments { reconnect, count, no_follow, .. } = arguments;
    Ok(receive::run(identity, Options { reconnect, count, no_follow, cursor, format })?)
}

/// What to ask of the server's history, if anything, and where to keep the position.
fn history(call: &Call<'_>, arguments: &Arguments) -> Result<(Option<Ask>, Option<Cursor>), Error> {
    let Arguments { last, after, cursor_file, no_follow, room, .. } = arguments;
    if last.is_some() && after.is_some() {
        return Err(call.wrong("--last and --after exclude each other").into());
    }
    let from = after.map(Resume::After).or(last.map(Resume::Last));
    let required = from.is_some() || cursor_file.is_some();
    if *no_follow && !required {
        return Err(call.wrong("--no-follow needs --last, --after or --cursor-file").into());
    }
    let opened = cursor_file.as_ref().map(|path| Cursor::open(path, room.as_bytes()));
    let (cursor, position) = opened.transpose().map_err(ClientError::from)?.unzip();
    let from = position.flatten().map(Resume::After).or(from);
    // What else is better with a history does without.
    let wanted = required || arguments.reconnect || arguments.json || arguments.timestamps;
    Ok((wanted.then_some(Ask { from, required }), cursor))
}

fn after(word: &str) -> Result<Position, String> {
    let position = Position::parse(word.as_bytes());
    position.ok_or("a position is two numbers, EPOCH-SEQ, as --json prints it".into())
}
