//! What keeps a history from being used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The answer to one who joins a room of which nothing can be found out.
pub(super) const UNREADABLE: &str = "the history cannot be read";

/// What keeps a history from being used.
#[derive(Debug, Error)]
pub(crate) enum HistoryError {
    /// The file, or the lock beside it, cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another server has it.
    #[error("{} is in use by another server: stop that, or choose another file", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{} is not a chat's history: choose another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later version has written it.
    #[error("{} is a history of a later version of chatbox: use that", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
    },
    /// Some of it is missing, or makes no sense.
    #[error("{} is damaged: restore it from a copy, or choose another file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The database refuses.
    #[error("cannot use {}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}
