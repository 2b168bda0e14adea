//! The `sender` applet: lines from standard input into a room.

use std::io::{self, IsTerminal, Write};

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;
use thiserror::Error;

use super::Applet;
use crate::call::Call;
use crate::client::{ClientError, Connection};
use crate::error::{Error as AppletError, complain, pass_on};
use crate::lines::{Line, LineReader};
use crate::logging::{self, Verbosity};
use crate::protocol::Request;

pub(super) const APPLET: Applet =
    Applet { name: "sender", linked: true, summary: "send lines of standard input to a room", run };

/// Sends what it reads from standard input, line by line, to a room of a chat. '/join ROOM'
/// enters a room, '/leave' leaves it, '/quit' ends.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    usage = "[-v...] [-q] HOST PORT USER",
    example = "{command_name} localhost 5000 bob"
)]
struct Arguments {
    /// the server's name or address
    #[argh(positional, arg_name = "HOST")]
    host: String,

    /// the server's port
    #[argh(positional, arg_name = "PORT", from_str_fn(super::port_to_connect_to))]
    port: u16,

    /// the name to send under, letters and digits
    #[argh(positional, arg_name = "USER")]
    user: String,

    /// say more of what goes on
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// say errors alone
    #[argh(switch, short = 'q')]
    quiet: bool,
}

/// The longest line of input that is looked at, in bytes: there may be a lot of white space.
const MAX_INPUT: usize = 64 * 1024;

/// What a line of input asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command<'a> {
    Nothing,
    Send(Request<'a>),
}

/// A line of input that nothing can be sent for.
#[derive(Debug, Error, PartialEq, Eq)]
enum Mistake {
    #[error("/join takes one room: /join ROOM")]
    OneRoom,
    #[error("unknown command, try /join ROOM, /leave or /quit")]
    UnknownCommand,
    #[error("too long to send")]
    TooLong,
}

fn run(call: &Call<'_>) -> Result<(), AppletError> {
    let Arguments { host, port, user, verbose, quiet } = call.arguments()?;
    let _log = logging::start(Verbosity { normal: LevelFilter::Warn, more: verbose, quiet }, false);
    let mut connection = Connection::open(&host, port)?;
    connection.demand(&Request::LogInSender(user.as_bytes()))?;
    let prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut input = LineReader::new(io::stdin().lock(), MAX_INPUT);
    loop {
        if prompt {
            show_prompt().map_err(AppletError::Output)?;
        }
        let more = loop {
            if let Some(line) = input.next_line() {
                if !carry_out(line, &mut connection)? {
                    return Ok(());
                }
                break true;
            }
            if !input.fill().map_err(AppletError::Input)? {
                break false;
            }
        };
        if !more {
            // A last line need not have an end.
            if let Some(line) = input.partial() {
                carry_out(line, &mut connection)?;
            }
            return Ok(());
        }
    }
}

/// Does what a line of input asks for; tells whether there may be another one.
fn carry_out(line: Line<'_>, connection: &mut Connection) -> Result<bool, AppletError> {
    let command = match line {
        Line::Whole(line) => understand(line),
        Line::TooLong => Err(Mistake::TooLong),
    };
    match command {
        Err(mistake) => complain(&mistake),
        Ok(Command::Nothing) => {}
        Ok(Command::Send(request)) => match connection.request(&request) {
            _ if request == Request::Quit => return Ok(false),
            Ok(Ok(_)) => {}
            Ok(Err(reason)) => pass_on(&reason),
            Err(ClientError::Unsendable(reason)) => complain(&reason),
            Err(error) => return Err(error.into()),
        },
    }
    Ok(true)
}

fn show_prompt() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"> ")?;
    out.flush()
}

fn understand(line: &[u8]) -> Result<Command<'_>, Mistake> {
    let line = trim(line);
    if !line.starts_with(b"/") {
        return Ok(match line {
            b"" => Command::Nothing,
            text => Command::Send(Request::SendAll(text)),
        });
    }
    let mut words = line.split(is_space).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(b"/join"), Some(room), None) => Ok(Command::Send(Request::Join(room))),
        (Some(b"/join"), ..) => Err(Mistake::OneRoom),
        (Some(b"/leave"), None, _) => Ok(Command::Send(Request::Leave)),
        (Some(b"/quit"), None, _) => Ok(Command::Send(Request::Quit)),
        _ => Err(Mistake::UnknownCommand),
    }
}

/// White space as C's `isspace` has it: what the reference trims.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trim(line: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !is_space(byte);
    let start = line.iter().position(is_text).unwrap_or(line.len());
    let end = line.iter().rposition(is_text).map_or(start, |last| last + 1);
    &line[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let send = |text| Ok(Command::Send(Request::SendAll(text)));
        let cases: &[(&[u8], Result<Command<'_>, Mistake>)] = &[
            (b"\n", Ok(Command::Nothing)),
            (b" \t\x0b\x0c\r\n", Ok(Command::Nothing)),
            (b"  hello  world \r\n", send(b"hello  world")),
            (b"no end", send(b"no end")),
            (b"a/b", send(b"a/b")),
            (b"\0\xff", send(b"\0\xff")),
            (b" /join  cafe ", Ok(Command::Send(Request::Join(b"cafe")))),
            (b"/join", Err(Mistake::OneRoom)),
            (b"/join a b", Err(Mistake::OneRoom)),
            (b"/leave\n", Ok(Command::Send(Request::Leave))),
            (b"/quit", Ok(Command::Send(Request::Quit))),
            (b"/leave now", Err(Mistake::UnknownCommand)),
            (b"/joined a", Err(Mistake::UnknownCommand)),
            (b"/", Err(Mistake::UnknownCommand)),
            (b"//", Err(Mistake::UnknownCommand)),
        ];
        for (line, want) in cases {
            assert_eq!(understand(line), *want, "{}", line.escape_ascii());
        }
    }
}
