//! A load for any server that speaks the protocol, and the count of what came of it.
//!
//! Knows the protocol and sockets; what is reported, and how, is [`report`]'s business.

mod load;
pub mod report;
mod text;

use std::io;
use std::time::Duration;

use thiserror::Error;

pub use load::run;
pub use text::MIN_SIZE;

use crate::client::ClientError;
use crate::client::transport::Address;
use crate::system::descriptors;

/// Descriptors that are none of the load's connections, beside those that are open already.
const OTHER_DESCRIPTORS: usize = 8;

/// What a load is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: Address,
    /// Clients that send, 65536 at most. Sender number `i` is in room `i % rooms`.
    pub senders: usize,
    /// Clients that receive, likewise.
    pub receivers: usize,
    /// Rooms.
    pub rooms: usize,
    /// When the senders stop.
    pub end: End,
    /// Bytes of a text, from [`MIN_SIZE`] to the longest that the protocol allows.
    pub size: usize,
    /// Texts of a sender that may be without an answer at a time; any number if `None`.
    pub window: Option<usize>,
    /// Texts a second, of all senders together; as many as the server takes if `None`.
    pub rate: Option<f64>,
}

/// When the senders stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Each after so many texts.
    Texts(u32),
    /// All after so long.
    After(Duration),
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum BenchError {
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
    /// A client is not let in.
    #[error("{open} of {wanted} clients are logged in, and then the server said: {}", .reason.escape_ascii())]
    Refused {
        /// Clients that are in their rooms.
        open: usize,
        /// Clients that the plan needs.
        wanted: usize,
        /// The payload of the server's `err`.
        reason: Vec<u8>,
    },
    /// The server does not let a client in, and does not say why.
    #[error(
        "{open} of {wanted} clients are logged in, and the server closed the connection of the next"
    )]
    Closed {
        /// Clients that are in their rooms.
        open: usize,
        /// Clients that the plan needs.
        wanted: usize,
    },
    /// The server says nothing.
    #[error("{open} of {wanted} clients are logged in, and the server does not answer the next")]
    Silent {
        /// Clients that are in their rooms.
        open: usize,
        /// Clients that the plan needs.
        wanted: usize,
    },
    /// The system refuses something.
    #[error("cannot watch connections: {0}")]
    System(#[from] io::Error),
}

impl Plan {
    /// Connections that the plan needs.
    pub fn clients(&self) -> usize {
        self.senders + self.receivers
    }

    /// How many of `count` senders or receivers are in that room.
    fn in_room(&self, count: usize, room: usize) -> usize {
        count / self.rooms + usize::from(room < count % self.rooms)
    }

    /// Asks for as many descriptors as there can be and sees whether that is enough.
    ///
    /// # Errors
    ///
    /// [`BenchError::TooFewDescriptors`].
    pub fn check_descriptors(&self) -> Result<(), BenchError> {
        let reserved = descriptors::open_now() + OTHER_DESCRIPTORS;
        let possible = descriptors::raise_limit().saturating_sub(reserved);
        match self.clients() {
            wanted if wanted > possible => Err(BenchError::TooFewDescriptors { possible, wanted }),
            _ => Ok(()),
        }
    }
}
