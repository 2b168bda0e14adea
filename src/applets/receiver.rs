//! The `receiver` applet.

use std::io::{self, IsTerminal};
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::applet::{Applet, CLIENT_SIGNALS, exit_after, start_client};
use crate::client::link::Identity;
use crate::client::receive::{self, Options};
use crate::client::transport::Address;
use crate::error::Error;
use crate::terminal::color::{Color, Look};
use crate::terminal::format::{DATE_AND_TIME, Format};
use crate::usage::call::Call;
use crate::usage::values::{port_to_connect_to, positive, seconds};

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
    example = "{command_name} -n 1 --timeout 60 --json localhost 5000 alice cafe",
    error_code(0, "as many texts as asked for have come"),
    error_code(1, "the server refused, or went away"),
    error_code(2, "wrong usage"),
    error_code(124, "the time is over")
)]
struct Arguments {
    /// the server's name or address
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

    /// print one JSON object a line, with room, sender, text and time; a string that was not UTF-8
    /// has its bytes beside it, as in text_bytes
    #[argh(switch)]
    json: bool,

    /// print the local time before each line
    #[argh(switch)]
    timestamps: bool,

    /// a colour for each sender, and a mark for mentions of one's own name: auto (on a terminal),
    /// always or never (default: never)
    #[argh(option, arg_name = "WHEN", default = "Color::Never")]
    color: Color,

    /// print control characters as they are, on a terminal too
    #[argh(switch)]
    raw: bool,

    /// when the server goes away, try again and again
    #[argh(switch)]
    reconnect: bool,

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
    arguments.timeout.map(exit_after).transpose()?;
    let identity = Identity {
        address: Address { host: arguments.host, port: arguments.port },
        receives: true,
        user: arguments.user,
        room: Some(arguments.room.into_bytes()),
    };
    let Arguments { reconnect, count, .. } = arguments;
    Ok(receive::run(identity, Options { reconnect, count, format })?)
}
