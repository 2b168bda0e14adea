//! What can be wrong with standard input and output.

use std::io;

use thiserror::Error;

use crate::system::signals::SignalsError;

/// Nothing can be read, or shown.
#[derive(Debug, Error)]
pub(crate) enum TerminalError {
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// The terminal would be left as the prompt has set it.
    #[error(transparent)]
    Signals(#[from] SignalsError),
}
