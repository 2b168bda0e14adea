//! What keeps a server from running.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::history::HistoryError;
use super::listen::ListenError;
use super::redis::RedisError;
use crate::system::files::FileError;

/// What keeps a server from running.
#[derive(Debug, Error)]
pub(crate) enum ServerError {
    /// There is no way in.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There may be so few descriptors that nobody could connect.
    #[error(
        "the limit on descriptors is {limit}, and {needed} are needed for one client: raise it"
    )]
    Descriptors {
        /// How many there may be.
        limit: usize,
        /// How many there have to be.
        needed: usize,
    },
    /// What was said cannot be kept.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// There is no Redis that could be used.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// There is no password to be read.
    #[error(transparent)]
    Password(#[from] FileError),
    /// What is in the file is no text.
    #[error("{} has no password: it is not UTF-8", .path.display())]
    StrangePassword {
        /// The file.
        path: PathBuf,
    },
    /// A thread, or what it needs, is not to be had.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
}
