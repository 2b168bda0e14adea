//! The sender: lines of input, or texts → requests.
//!
//! There are three ways: at a terminal with a prompt; from a pipe, one request at a time; and, in a
//! room from the start, many requests at a time.

mod input;
mod interactive;
mod pipeline;
mod plain;
mod report;

use std::io::{self, IsTerminal};

use super::error::ClientError;
use super::link::{Identity, KeepTrying, Link};
pub(super) use report::UNSURE;

/// When to connect again after the server has gone away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reconnection {
    /// Always, and until it is there for the first time.
    Always,
    /// At a prompt, once it has been there.
    AtPrompt,
    /// Never.
    Never,
}

/// How to send, and what.
#[derive(Debug)]
pub(crate) struct Options {
    /// When to connect again.
    pub reconnection: Reconnection,
    /// Texts to send, as they are, instead of lines of standard input.
    pub texts: Vec<String>,
    /// Ends the process when the server is gone while a prompt waits for a line.
    pub exit: fn(ClientError) -> !,
}

/// Sends texts, or what the lines of standard input ask for, until they end or one is `/quit`.
///
/// # Errors
///
/// [`ClientError`].
pub(crate) fn run(identity: Identity, options: &Options) -> Result<(), ClientError> {
    let in_room = identity.room.is_some();
    let always = options.reconnection == Reconnection::Always;
    let mut link = Link::open(identity, always, &mut KeepTrying)?;
    if !options.texts.is_empty() {
        return pipeline::send(link, &options.texts);
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        if options.reconnection == Reconnection::AtPrompt {
            link.set_retry();
        }
        return interactive::run(link, options.exit);
    }
    if in_room { pipeline::run(link) } else { plain::run(link) }
}
