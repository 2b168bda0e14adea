//! Errors of a load.

use std::io;

use thiserror::Error;

use crate::client::ClientError;
use crate::terminal::TerminalError;

/// Why there is no result, or a bad one.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    /// There are not enough descriptors.
    #[error(
        "the limit on descriptors allows {possible} connections, and {wanted} are wanted; raise it \
         with ulimit -n, or ask for fewer"
    )]
    TooFewDescriptors {
        /// Connections that can be open.
        possible: usize,
        /// Connections that the plan needs.
        wanted: usize,
    },
    /// A client cannot connect.
    #[error("{open} of {wanted} clients are connected, and then: {source}")]
    Connect {
        /// Connections that are open.
        open: usize,
        /// Connections that the plan needs.
        wanted: usize,
        /// What came instead of the next.
        source: ClientError,
    },
    /// A client is refused.
    #[error("{open} of {wanted} clients are logged in, and then the server said: {}", .reason.escape_ascii())]
    Refused {
        /// Clients that are in their rooms.
        open: usize,
        /// Clients that the plan needs.
        wanted: usize,
        /// The payload of the server's `err`.
        reason: Vec<u8>,
    },
    /// The server closes a client's connection before it is in its room, without a reason.
    #[error(
        "{open} of {wanted} clients are logged in, and the server closed the connection of the next"
    )]
    Closed {
        /// Clients that are in their rooms.
        open: usize,
        /// Clients that the plan needs.
        wanted: usize,
    },
    /// Nothing comes from the server.
    #[error("{open} of {wanted} clients are logged in, and the server does not answer the next")]
    Silent {
        /// Clients that are in their rooms.
        open: usize,
        /// Clients that the plan needs.
        wanted: usize,
    },
    /// What was said cannot be replayed.
    #[error("cannot go back in a room: {0}")]
    History(#[source] ClientError),
    /// The system refuses something.
    #[error("cannot watch connections: {0}")]
    System(#[from] io::Error),
    /// The report cannot be shown.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The load has shown that the server loses, doubles or swaps texts, or does not stay.
    #[error("the server lost, duplicated or reordered texts, or was gone before the end")]
    Unclean,
}
