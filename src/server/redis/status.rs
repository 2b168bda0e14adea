//! How it is with Redis, for those who ask.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How it is with Redis.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Since when it is away.
    away: Mutex<Option<Instant>>,
    /// Texts that are not known to be kept.
    waiting: AtomicU64,
    /// Texts that others have said, and that were not fetched yet.
    behind: AtomicU64,
    /// Rooms that are followed.
    rooms: AtomicU64,
}

impl Status {
    pub(super) fn set_away(&self, since: Option<Instant>) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn set(&self, rooms: u64, waiting: u64, behind: u64) {
        self.behind.store(behind, Ordering::Relaxed);
        self.rooms.store(rooms, Ordering::Relaxed);
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}

/// `3 rooms followed, 0 texts wait to be kept, 0 to be fetched, away for 12 s`
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rooms, waiting, behind] =
            [&self.rooms, &self.waiting, &self.behind].map(|count| count.load(Ordering::Relaxed));
        write!(
            f,
            "{rooms} rooms followed, {waiting} texts wait to be kept, {behind} to be fetched"
        )?;
        match *self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(since) => write!(f, ", away for {} s", since.elapsed().as_secs()),
            None => Ok(()),
        }
    }
}
