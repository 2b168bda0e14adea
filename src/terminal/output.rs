//! Standard output and standard error: what is written there, and what may be.
//!
//! Knows whether they are terminals. Must not know why something is written.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::error::TerminalError;
use super::visible::visible;

/// Writes to standard output, all of it and at once.
///
/// # Errors
///
/// [`TerminalError::Output`].
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), TerminalError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).map_err(TerminalError::Output)
}

/// Writes a notice to standard error, in one line.
pub(crate) fn notice(what: &dyn Display) {
    write_line(notice_line(what).into_bytes());
}

/// The line of a notice, as a terminal may have it: what it quotes may hold anything.
pub(super) fn notice_line(what: &dyn Display) -> String {
    visible(format!("{}: {what}", env!("CARGO_PKG_NAME")).as_bytes())
}

/// Writes the reason that a server gave to standard error: exactly, unless that is a terminal.
/// `before` comes before it.
pub(crate) fn pass_on(before: &str, reason: &[u8]) {
    let line = [before.as_bytes(), reason].concat();
    let terminal = io::stderr().is_terminal();
    write_line(if terminal { visible(&line).into_bytes() } else { line });
}

fn write_line(mut line: Vec<u8>) {
    line.push(b'\n');
    // A failure has no other place to be reported.
    let _ = io::stderr().write_all(&line);
}
