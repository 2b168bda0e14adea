//! Names of sessions and of workers.
//!
//! A worker is a loop that owns sessions; here it is a number.

/// Names one session, and never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    /// The worker that owns the session.
    pub worker: usize,
    /// The session's place on its worker; used again after it.
    pub token: usize,
    /// Counts all sessions.
    pub serial: u64,
}

/// Some of the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerSet(u64);

impl WorkerSet {
    /// The most workers there can be.
    pub const MAX: usize = 64;

    /// Adds one.
    pub fn add(&mut self, worker: usize) {
        self.0 |= 1 << worker;
    }

    /// All in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |worker| self.0 >> worker & 1 == 1)
    }
}
