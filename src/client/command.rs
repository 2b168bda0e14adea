//! What a line of input asks for: the commands, their help, their completion.
//!
//! Knows lines and requests. Must not know where the lines come from.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::terminal::prompt;
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// The longest line of input that is looked at, in bytes: there may be a lot of white space.
pub(crate) const MAX_INPUT: usize = 64 * 1024;

/// What can be typed at a prompt.
pub(crate) const HELP: &str = "\
/join ROOM   enter a room, and leave the one before
/leave       leave the room
/quit        end; so do Ctrl-D, and Ctrl-C on an empty line
/help        show this
//...        send a text that starts with a slash: //etc sends /etc
Anything else is sent to the room. The Tab key completes commands and rooms.
";

/// What the Tab key completes a word to that starts with a slash.
pub(crate) const COMMANDS: [&str; 4] = ["/join ", "/leave", "/quit", "/help"];

/// What a line of input asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Nothing: the line is empty.
    Nothing,
    /// To send this.
    Send(Request<'a>),
}

/// A line of input that nothing can be sent for.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// `/join` without a room, or with more than one word.
    #[error("/join takes one room: /join ROOM")]
    OneRoom,
    /// Another line that starts with a slash.
    #[error("unknown command, there are /join ROOM, /leave and /quit")]
    UnknownCommand,
    /// The line is longer than [`MAX_INPUT`].
    #[error("too long to send")]
    TooLong,
}

/// Understands a line of input.
///
/// # Errors
///
/// [`CommandError`] if nothing can be sent for it.
pub(crate) fn parse_line(line: Line<'_>) -> Result<Command<'_>, CommandError> {
    let Line::Whole(line) = line else { return Err(CommandError::TooLong) };
    let line = trim(line);
    if !is_command(line) {
        // Of two slashes, the first one says that this is no command.
        let text = if line.starts_with(b"//") { &line[1..] } else { line };
        return Ok(match text {
            b"" => Command::Nothing,
            text => Command::Send(Request::SendAll(text)),
        });
    }
    let mut words = line.split(is_space).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(b"/join"), Some(room), None) => Ok(Command::Send(Request::Join(room))),
        (Some(b"/join"), ..) => Err(CommandError::OneRoom),
        (Some(b"/leave"), None, _) => Ok(Command::Send(Request::Leave)),
        (Some(b"/quit"), None, _) => Ok(Command::Send(Request::Quit)),
        _ => Err(CommandError::UnknownCommand),
    }
}

/// A line, without white space around it, is or should be a command.
pub(crate) fn is_command(line: &[u8]) -> bool {
    line.starts_with(b"/") && !line.starts_with(b"//")
}

/// What the Tab key completes: commands, and rooms that have been visited.
#[derive(Debug)]
pub(crate) struct Completion {
    commands: &'static [&'static str],
    rooms: BTreeSet<String>,
}

impl Completion {
    /// With these commands, and the room that the client is in, if any.
    pub(crate) fn new(commands: &'static [&'static str], room: Option<&[u8]>) -> Self {
        let mut completion = Completion { commands, rooms: BTreeSet::new() };
        room.into_iter().for_each(|room| completion.add_room(room));
        completion
    }

    /// Adds a room that is visited.
    pub(crate) fn add_room(&mut self, room: &[u8]) {
        self.rooms.insert(String::from_utf8_lossy(room).into());
    }
}

impl prompt::Completion for Completion {
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        match line.strip_prefix("/join ") {
            Some(start) => {
                let start = start.trim_start();
                (line.len() - start.len(), matching(start, self.rooms.iter().map(String::as_str)))
            }
            None if line.starts_with('/') => (0, matching(line, self.commands.iter().copied())),
            None => (line.len(), Vec::new()),
        }
    }
}

fn matching<'a>(start: &str, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words.filter(|word| word.starts_with(start)).map(str::to_owned).collect()
}

/// White space as C's `isspace` has it.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The line without white space around it.
pub(crate) fn trim(line: &[u8]) -> &[u8] {
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
        let cases: &[(&[u8], Result<Command<'_>, CommandError>)] = &[
            (b"\n", Ok(Command::Nothing)),
            (b" \t\x0b\x0c\r\n", Ok(Command::Nothing)),
            (b"  hello  world \r\n", send(b"hello  world")),
            (b"no end", send(b"no end")),
            (b"a/b", send(b"a/b")),
            (b"\0\xff", send(b"\0\xff")),
            (b" /join  cafe ", Ok(Command::Send(Request::Join(b"cafe")))),
            (b"/join", Err(CommandError::OneRoom)),
            (b"/join a b", Err(CommandError::OneRoom)),
            (b"/leave\n", Ok(Command::Send(Request::Leave))),
            (b"/quit", Ok(Command::Send(Request::Quit))),
            (b"/leave now", Err(CommandError::UnknownCommand)),
            (b"/joined a", Err(CommandError::UnknownCommand)),
            (b"/", Err(CommandError::UnknownCommand)),
            (b"//", send(b"/")),
            (b" //etc/passwd is gone \n", send(b"/etc/passwd is gone")),
            (b"///x", send(b"//x")),
            (b"/ /x", Err(CommandError::UnknownCommand)),
        ];
        for (line, want) in cases {
            assert_eq!(parse_line(Line::Whole(line)), *want, "{}", line.escape_ascii());
        }
    }
}
