//! What a session is lent to carry out a line, and what comes of that.

use super::batch::Publisher;
use super::batches::Batches;
use super::id::SessionId;
use super::placement::Placement;
use super::rooms::Rooms;
use super::sync::Arc;

/// What has to happen after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next line.
    Go,
    /// First the session has to move to that worker and arrive there.
    Move(usize),
    /// The line cannot be carried out before all answers are there, or the room takes texts: to be
    /// tried again then.
    Later,
    /// The client is done.
    Quit,
}

/// Where a session's lines are carried out: on which worker, and what it lends.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// The session's name.
    pub id: SessionId,
    /// Takes the texts.
    pub batches: &'a mut Batches,
    /// Publishes the texts.
    pub publisher: Publisher<'a>,
    /// The rooms.
    pub rooms: &'a Arc<Rooms>,
    /// Says where sessions live.
    pub placement: &'a Placement,
    /// Bytes that may be queued for a receiver before its room's senders have to wait.
    pub queue_limit: usize,
    /// Counts the lines that are carried out.
    pub lines: &'a mut usize,
    /// Sessions do not change workers any more.
    pub stay: bool,
}
