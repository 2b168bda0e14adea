//! Names of sessions and of workers, and of where clients are.
//!
//! A worker is a loop that owns sessions; here it is a number.

use std::fmt;
use std::net::SocketAddr;

/// Names one session, and never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId {
    /// The worker that owns the session.
    pub worker: usize,
    /// The session's place on its worker; used again after it.
    pub token: usize,
    /// Counts all sessions.
    pub serial: u64,
}

/// Where a client is, as the log calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// At that address.
    Inet(SocketAddr),
    /// It has none.
    #[cfg(test)]
    Unnamed,
}

/// `127.0.0.1:4711`
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Inet(address) => address.fmt(f),
            #[cfg(test)]
            Peer::Unnamed => f.write_str("unnamed"),
        }
    }
}

/// Some of the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerSet(u64);

impl WorkerSet {
    /// The most workers there can be.
    pub(crate) const MAX: usize = 64;

    /// Adds one.
    pub(crate) fn add(&mut self, worker: usize) {
        self.0 |= 1 << worker;
    }

    /// All in the set, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |worker| self.0 >> worker & 1 == 1)
    }
}
