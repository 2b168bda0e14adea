//! Errors of standard input and output.

use std::io;

use thiserror::Error;

use crate::system::signals::SignalsError;

/// Standard input or output fails.
#[derive(Debug, Error)]
pub(crate) enum TerminalError {
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// Without signals, the terminal could not be set back.
    #[error(transparent)]
    Signals(#[from] SignalsError),
}
