//! Standard output and standard error: what is written there, and what may be.
//!
//! Knows whether they are terminals. Must not know why something is written.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use super::error::TerminalError;
use super::visible::visible;
use crate::system::descriptors;

/// The program that notices come from.
static SPEAKER: OnceLock<&str> = OnceLock::new();

/// From now on, notices begin with this name, so that in a pipe of several programs one can tell who
/// speaks.
pub(crate) fn speak_as(name: &'static str) {
    // There is one program in a process, and it says so once.
    let _ = SPEAKER.set(name);
}

/// What notices begin with.
fn speaker() -> &'static str {
    SPEAKER.get().copied().unwrap_or(env!("CARGO_PKG_NAME"))
}

/// Writes to standard output, all of it and at once.
///
/// # Errors
///
/// [`TerminalError::Output`].
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), TerminalError> {
    descriptors::write_all(io::stdout().lock(), text.as_ref()).map_err(TerminalError::Output)
}

/// Writes a notice to standard error, in one line.
pub(crate) fn notice(what: &dyn Display) {
    tell(notice_line(what));
}

/// Writes a line to standard error.
pub(super) fn tell(line: String) {
    write_line(line.into_bytes());
}

/// The line of a notice, as a terminal may have it: what it quotes may hold anything.
pub(crate) fn notice_line(what: &dyn Display) -> String {
    visible(format!("{}: {what}", speaker()).as_bytes())
}

/// Writes the reason that a server gave to standard error, and nothing else: exactly, unless that is a
/// terminal.
pub(crate) fn pass_on(reason: &[u8]) {
    pass_on_line(reason.to_vec());
}

/// The same, as a notice about `place`.
pub(crate) fn pass_on_about(place: &dyn Display, reason: &[u8]) {
    pass_on_line([format!("{}: {place}: ", speaker()).as_bytes(), reason].concat());
}

fn pass_on_line(line: Vec<u8>) {
    let terminal = io::stderr().is_terminal();
    write_line(if terminal { visible(&line).into_bytes() } else { line });
}

fn write_line(mut line: Vec<u8>) {
    line.push(b'\n');
    // A failure has no other place to be reported.
    let _ = descriptors::write_all(io::stderr().lock(), &line);
}
