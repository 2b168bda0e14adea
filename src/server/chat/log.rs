//! What decides the order of the texts of rooms, and keeps them.
//!
//! Without a log, a text's place is where it is published, and its answer is known at once. With one,
//! a batch is published when it is in the log, in the log's order, and not before; the answers of
//! those who sent it are awaited until then.
//!
//! A log is never called under a room's lock.

use std::fmt::Debug;
use std::time::Instant;

use super::batch::{Batch, Publisher};
use super::id::SessionId;
use super::room::Room;
use super::sync::Arc;

/// Keeps texts, and decides in which order they are published.
///
/// Of each batch that it is given, a log says once what became of it, on any thread: with
/// [`Batch::ordered`], one batch of a room after the other, or [`Batch::refused`].
pub(crate) trait Log: Debug + Send + Sync {
    /// Takes a batch. Never blocks. May say at once what became of it, with the caller's
    /// `publisher`.
    fn append(&self, batch: Batch, publisher: &mut Publisher<'_>);

    /// A session is about to enter a room. If the log has to find out about the room first, says so
    /// later with [`super::effects::Effect::Opened`].
    fn open(&self, room: &Arc<Room>, session: SessionId) -> Opened;

    /// No more batches come. What is not in the log by then never will be, as far as it can tell.
    fn finish(&self, until: Instant);
}

/// Whether a log knows about a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It does.
    #[cfg_attr(not(test), expect(dead_code, reason = "only a log says so"))]
    Now,
    /// It says so later.
    Later,
}
