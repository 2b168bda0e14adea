//! Standard output and standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::error::TerminalError;
use super::visible::visible;

/// Writes to standard output, all of it and at once.
///
/// # Errors
///
/// [`TerminalError::Output`].
pub fn print(text: impl AsRef<[u8]>) -> Result<(), TerminalError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).map_err(TerminalError::Output)
}

/// Says something on standard error, in one line.
pub fn notice(what: &dyn Display) {
    // What it quotes may hold anything, but no colour of ours.
    say(format!("{}: {what}", env!("CARGO_PKG_NAME")).as_bytes(), true);
}

/// Passes on to standard error what a server gave as its reason: exactly, unless it is for a
/// terminal. `before` is what there is to say before it.
pub fn pass_on(before: &str, reason: &[u8]) {
    let terminal = io::stderr().is_terminal();
    say(&[before.as_bytes(), reason].concat(), terminal);
}

fn say(line: &[u8], make_visible: bool) {
    let mut line = match make_visible {
        true => visible(line).into_bytes(),
        false => line.to_vec(),
    };
    line.push(b'\n');
    // There is nobody left to tell if this fails.
    let _ = io::stderr().write_all(&line);
}
