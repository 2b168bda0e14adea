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
use super::replay::{PageRequest, Start};
use super::room::Room;
use super::sync::Arc;
use crate::wire::position::Resume;

/// What those are answered to whom a log can say nothing more.
pub(crate) const STOPS: &str = "the server stops";

/// Keeps texts, and decides in which order they are published.
///
/// Of each batch that it is given, a log says once what became of it, on any thread: with
/// [`Batch::ordered`], one batch of a room after the other, or [`Batch::refused`]. One that finds that
/// it has lost something says so to all rooms, with [`Room::begin_epoch`], before anything else.
pub(crate) trait Log: Debug + Send + Sync {
    /// It gives its texts back, so that clients are offered `+history`.
    fn gives_back(&self) -> bool;

    /// Takes batches. Never blocks. May say at once what became of them, with the caller's
    /// `publisher`.
    fn append(&self, batches: Vec<Batch>, publisher: &mut Publisher<'_>);

    /// A receiver is about to enter a room, with what was said there before or without. If the log
    /// has to find out about that first, says so later with [`super::effects::Effect::Opened`].
    fn open(&self, room: &Arc<Room>, resume: Option<Resume>, session: SessionId) -> Opened;

    /// What it says of itself when asked, in one line; `None` if there is nothing to say.
    fn report(&self) -> Option<String> {
        None
    }

    /// A receiver wants texts, which come with [`super::effects::Effect::Page`].
    fn page(&self, request: PageRequest);

    /// No more batches come. What is not in the log by then never will be, as far as it can tell.
    fn finish(&self, until: Instant);

    /// Nothing more comes.
    fn close(&self, until: Instant);
}

/// Whether a log knows about a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It does, and about from where on.
    Now(Start),
    /// It says so later.
    Later,
    /// It cannot find out, for that reason.
    Never(&'static str),
}
