//! The `chat` applet.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::applet::{Applet, CLIENT_SIGNALS, exit_with, last, start_client};
use super::security::Flags;
use crate::client::chat::{self, Bell, Options};
use crate::error::Error;
use crate::terminal::color::Color;
use crate::terminal::format::Format;
use crate::usage::call::Call;
use crate::usage::values::port_to_connect_to;

pub(super) const APPLET: Applet = Applet {
    name: "chat",
    linked: false,
    summary: "talk and listen in a room, on one screen",
    run,
    signals: CLIENT_SIGNALS,
    info: Arguments::get_args_info,
};

/// So many texts a room begins with.
const LAST: u64 = 20;

/// Talks and listens in a room of a chat, at a terminal: what is said appears above the line in which
/// one types. '/join ROOM' enters a room, '/quit' ends, '/help' tells more.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    note = "The Tab key completes commands, rooms that were visited, and users who have spoken. A text \
            that is refused, or whose answer gets lost, comes back into the input line. When the \
            server goes away, it connects again by itself.",
    note = "The lines typed are remembered in chatbox/history below $XDG_STATE_HOME, or else \
            ~/.local/state, for nobody else to read.",
    example = "{command_name} localhost 5000 alice cafe",
    error_code(0, "it was ended, by '/quit' or Ctrl-D"),
    error_code(1, "the server refused, or went away"),
    error_code(2, "wrong usage; also if standard input or output is no terminal")
)]
struct Arguments {
    /// the server's name or address; with a '/', the directory of its Unix socket
    #[argh(positional, arg_name = "HOST")]
    host: String,

    /// the server's port
    #[argh(positional, arg_name = "PORT", from_str_fn(port_to_connect_to))]
    port: u16,

    /// the name to talk under, letters and digits
    #[argh(positional, arg_name = "USER")]
    user: String,

    /// the room to enter, letters and digits
    #[argh(positional, arg_name = "ROOM")]
    room: Option<String>,

    /// begin a room with its last N texts, where the server keeps what is said (default: 20)
    #[argh(option, arg_name = "N", from_str_fn(last), default = "LAST")]
    last: u64,

    /// print no time before each line
    #[argh(switch)]
    no_timestamps: bool,

    /// a colour for each sender, and a mark for mentions of one's own name: auto (unless the
    /// environment is against it), always or never (default: auto)
    #[argh(option, arg_name = "WHEN", default = "Color::Auto")]
    color: Color,

    /// ring, once a second at most, for what others say: mention (of one's own name), all or never
    /// (default: mention)
    #[argh(option, arg_name = "WHEN", default = "Bell::Mention")]
    bell: Bell,

    /// print control characters as they are; what is not UTF-8 is U+FFFD
    #[argh(switch)]
    raw: bool,

    /// end when the server goes away
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
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let problem = "this needs a terminal; in a pipe, use sender to talk and receiver to listen";
        return Err(call.wrong(problem).into());
    }
    let _log = start_client(arguments.verbose, arguments.quiet)?;
    let flags = Flags {
        tls: arguments.tls,
        cacert: arguments.cacert,
        cert: arguments.cert,
        key: arguments.key,
        insecure: arguments.insecure,
    };
    let address = flags.address(call, arguments.host, arguments.port)?;
    let format = Format {
        json: false,
        timestamps: (!arguments.no_timestamps).then_some("%H:%M"),
        look: arguments.color.on(&io::stdout()),
        visible: !arguments.raw,
        user: arguments.user,
    };
    let options = Options {
        address,
        room: arguments.room.map(String::into_bytes),
        last: arguments.last,
        format,
        bell: arguments.bell,
        reconnect: !arguments.no_reconnect,
        exit: exit_with,
    };
    Ok(chat::run(options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::applet::tests::assert_default;

    #[test]
    fn the_help_quotes_the_default() {
        assert_default::<Arguments>("--last", LAST);
    }
}
