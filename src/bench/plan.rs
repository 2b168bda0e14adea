//! What a load is to be, and whether it can be.

use std::fmt;
use std::time::Duration;

use super::error::BenchError;
use crate::client::transport::Address;
use crate::system::descriptors;

/// Descriptors that are none of the load's connections, beside those that are open already.
const OTHER_DESCRIPTORS: usize = 8;

/// What a load is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The server.
    pub address: Address,
    /// The name that all clients log in by.
    pub user: String,
    /// Clients that send, 65536 at most. Sender number `i` is in room `i % rooms`.
    pub senders: usize,
    /// Clients that receive, likewise.
    pub receivers: usize,
    /// Rooms.
    pub rooms: usize,
    /// When the senders stop.
    pub end: End,
    /// Bytes of a text, from [`super::text::MIN_SIZE`] to the longest that the protocol allows.
    pub size: usize,
    /// Texts of a sender that may be without an answer at a time; any number if `None`.
    pub window: Option<usize>,
    /// Texts a second, of all senders together; as many as the server takes if `None`.
    pub rate: Option<f64>,
    /// Whether what was sent is replayed afterwards.
    pub history: bool,
}

/// When the senders stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// Each after so many texts.
    Texts(u32),
    /// All after so long.
    After(Duration),
}

impl Plan {
    /// Connections that the plan needs.
    pub(crate) fn clients(&self) -> usize {
        self.senders + self.receivers
    }

    /// How many of `count` senders or receivers are in that room.
    pub(crate) fn in_room(&self, count: usize, room: usize) -> usize {
        count / self.rooms + usize::from(room < count % self.rooms)
    }

    /// The name of a room. They are of its own, in case others use the server too.
    pub(crate) fn room(&self, number: usize) -> String {
        format!("bench{}x{number}", std::process::id())
    }

    /// Texts that all senders together are to send, as far as a rate and an end in time tell.
    pub(crate) fn texts_due(&self) -> Option<u64> {
        /// By how much a product may not be quite exact.
        const INEXACT: f64 = 1e-6;
        match (self.rate, self.end) {
            (Some(rate), End::After(time)) => {
                Some((rate * time.as_secs_f64() - INEXACT).ceil() as u64)
            }
            _ => None,
        }
    }

    /// Asks for as many descriptors as there can be and sees whether that is enough.
    ///
    /// # Errors
    ///
    /// [`BenchError::TooFewDescriptors`].
    pub(crate) fn check_descriptors(&self) -> Result<(), BenchError> {
        let reserved = descriptors::open_now() + OTHER_DESCRIPTORS;
        let possible = descriptors::raise_limit().saturating_sub(reserved);
        match self.clients() {
            wanted if wanted > possible => Err(BenchError::TooFewDescriptors { possible, wanted }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { senders, receivers, rooms, size, window, rate, end, .. } = self;
        for (count, what) in [(senders, "sender"), (receivers, "receiver"), (rooms, "room")] {
            write!(f, "{count} {what}{}, ", if *count == 1 { "" } else { "s" })?;
        }
        write!(f, "texts of {size} bytes")?;
        if let Some(rate) = rate {
            write!(f, ", {rate} texts a second")?;
        }
        if let Some(window) = window {
            write!(f, ", at most {window} of a sender without an answer")?;
        }
        match end {
            End::Texts(count) => write!(f, ", {count} of each sender"),
            End::After(duration) => write!(f, ", for {} s", duration.as_secs_f64()),
        }
    }
}
