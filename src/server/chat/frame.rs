//! Lines on their way to receivers, and how many bytes of them there are in all.

use std::ops::Deref;

use super::sync::Arc;
use super::sync::atomic::{AtomicUsize, Ordering};

/// What a frame takes beside its bytes.
const OVERHEAD: usize = 128;

/// What a frame takes in each queue that it is in.
const SLOT: usize = 16;

/// Bytes that may always be queued for a receiver.
const LEAST: usize = 4096;

/// Whole lines, encoded once and shared by every queue they are in.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    bytes: Box<[u8]>,
    /// Counts them for as long as they are there.
    budget: Option<Arc<Budget>>,
}

impl Frame {
    /// A frame that counts against a budget.
    pub(crate) fn new(bytes: &[u8], budget: &Arc<Budget>) -> Self {
        budget.used.fetch_add(bytes.len() + OVERHEAD, Ordering::Relaxed);
        Frame(Arc::new(Lines { bytes: bytes.into(), budget: Some(Arc::clone(budget)) }))
    }
}

/// A frame that counts against none: what bounds it is the client's own.
impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Frame(Arc::new(Lines { bytes: bytes.into(), budget: None }))
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.used.fetch_sub(self.bytes.len() + OVERHEAD, Ordering::Relaxed);
        }
    }
}

/// How many bytes there may be for all receivers together.
///
/// The bytes of a frame are there once, however many queues it is in; each of these has a slot for
/// it. Above the limit, each receiver may have its share of it and no more, so that those who take
/// least hold back their rooms, and are cut if they go on like that.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    receivers: AtomicUsize,
}

impl Budget {
    /// So many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Budget { limit, used: AtomicUsize::new(0), receivers: AtomicUsize::new(0) }
    }

    /// Bytes that are there now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// There is not too much in all.
    pub(crate) fn has_room(&self) -> bool {
        self.used() <= self.limit
    }

    /// There is one more receiver.
    pub(crate) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    /// There is one less.
    pub(crate) fn remove_receiver(&self) {
        self.receivers.fetch_sub(1, Ordering::Relaxed);
    }

    /// There are so many more frames in queues.
    pub(crate) fn add_slots(&self, count: usize) {
        self.used.fetch_add(count * SLOT, Ordering::Relaxed);
    }

    /// There are so many less.
    pub(crate) fn remove_slots(&self, count: usize) {
        self.used.fetch_sub(count * SLOT, Ordering::Relaxed);
    }

    /// There is too much in all, and more than its share of it in a queue of so many frames with so
    /// many bytes. Each counts as if no other queue had it: all shares together are not too much.
    pub(crate) fn is_exceeded_by(&self, frames: usize, bytes: usize) -> bool {
        if self.has_room() {
            return false;
        }
        let share = self.limit / self.receivers.load(Ordering::Relaxed).max(1);
        frames * (OVERHEAD + SLOT) + bytes > share.max(LEAST)
    }
}
