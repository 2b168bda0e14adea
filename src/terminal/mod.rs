//! Standard input, output and error, terminals or not: prompts, notices, deliveries, colours.
//!
//! Knows what may be done to a terminal. Must not know that there is a server.

pub(crate) mod color;
mod error;
pub(crate) mod format;
mod history;
mod keys;
pub(crate) mod output;
pub(crate) mod printer;
pub(crate) mod prompt;
pub(crate) mod settings;
pub(crate) mod visible;

pub(crate) use error::TerminalError;
