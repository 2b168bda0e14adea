//! The `sender` applet.

use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::applet::{Applet, CLIENT_SIGNALS, exit_after, exit_with, start_client};
use super::security::Flags;
use crate::client::link::Identity;
use crate::client::send::{self, Options, Reconnection};
use crate::error::Error;
use crate::usage::call::Call;
use crate::usage::values::{port_to_connect_to, seconds};

pub(super) const APPLET: Applet = Applet {
    name: "sender",
    linked: true,
    summary: "send lines of standard input to a room",
    run,
    signals: CLIENT_SIGNALS,
    info: Arguments::get_args_info,
};

/// Sends what it reads from standard input, line by line, to a room of a chat. '/join ROOM' enters
/// a room, '/leave' leaves it, '/quit' ends; '//etc' sends the text '/etc'.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    note = "At a terminal there is a prompt, with line editing, history and completion, that connects \
            again when the server goes away; '/help' tells more there. In a pipe, each line waits for \
            the server's answer, unless there is a --room: then many lines are on their way at a time, \
            and an error names the line that it is about.",
    note = "The lines typed at the prompt are remembered in chatbox/history below $XDG_STATE_HOME, \
            or else ~/.local/state, for nobody else to read.",
    example = "{command_name} localhost 5000 bob",
    example = "{command_name} --room cafe -m 'dinner is ready' localhost 5000 bob",
    example = "tail -f log | {command_name} --room ops --reconnect localhost 5000 web1",
    error_code(0, "all went well; at a terminal or without --room, also if texts were refused"),
    error_code(
        1,
        "the server refused, or went away; with -m, or --room in a pipe, also if a text was not sent"
    ),
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

    /// the name to send under, letters and digits
    #[argh(positional, arg_name = "USER")]
    user: String,

    /// enter this room before anything is read
    #[argh(option, arg_name = "ROOM")]
    room: Option<String>,

    /// send this text, as it is, and end; may be given again for more; needs --room
    #[argh(option, short = 'm', arg_name = "TEXT")]
    message: Vec<String>,

    /// end with 124 after this many seconds
    #[argh(option, arg_name = "SECS", from_str_fn(seconds))]
    timeout: Option<Duration>,

    /// when the server goes away, try again and again, as the prompt does by itself; a text whose
    /// answer got lost is reported, and not sent twice
    #[argh(switch)]
    reconnect: bool,

    /// end when the server goes away, at the prompt too and whatever else is said
    #[argh(switch)]
    no_reconnect: bool,

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
    if !arguments.message.is_empty() && arguments.room.is_none() {
        return Err(call.wrong("--message needs a --room").into());
    }
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
        receives: false,
        user: arguments.user,
        room: arguments.room.map(String::into_bytes),
        history: None,
    };
    let reconnection = match (arguments.reconnect, arguments.no_reconnect) {
        (_, true) => Reconnection::Never,
        (true, false) => Reconnection::Always,
        (false, false) => Reconnection::AtPrompt,
    };
    let options = Options { reconnection, texts: arguments.message, exit: exit_with };
    Ok(send::run(identity, &options)?)
}
