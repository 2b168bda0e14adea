//! What a line of input asks for.

use thiserror::Error;

use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// What a line of input asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Nothing,
    Send(Request<'a>),
}

/// A line of input that nothing can be sent for.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Mistake {
    #[error("/join takes one room: /join ROOM")]
    OneRoom,
    #[error("unknown command, try /join ROOM, /leave or /quit")]
    UnknownCommand,
    #[error("too long to send")]
    TooLong,
}

/// Understands a line of input.
pub(super) fn understand(line: Line<'_>) -> Result<Command<'_>, Mistake> {
    let Line::Whole(line) = line else { return Err(Mistake::TooLong) };
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

/// White space as C's `isspace` has it.
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
            assert_eq!(understand(Line::Whole(line)), *want, "{}", line.escape_ascii());
        }
    }
}
