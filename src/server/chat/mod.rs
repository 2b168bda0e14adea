//! The chat itself: who is there, in which room, and what is on its way to whom.
//!
//! Knows lines, names and queues. Knows no sockets, and nothing of the loops that own them: what
//! comes of a line is an answer, a [`turn::Step`], or an [`effects::Effect`] that a loop carries
//! out. Nothing here blocks; a lock is held for a look-up, or while one frame goes into the queues
//! of one room, and nobody takes a second one meanwhile.

pub(crate) mod admission;
pub(crate) mod answers;
pub(crate) mod batch;
pub(crate) mod batches;
pub(crate) mod census;
pub(crate) mod effects;
pub(crate) mod frame;
pub(crate) mod id;
pub(crate) mod lane;
pub(crate) mod log;
pub(crate) mod membership;
pub(crate) mod outbox;
#[cfg(test)]
mod outbox_tests;
pub(crate) mod placement;
pub(crate) mod publication;
mod receiving;
mod refusal;
pub(crate) mod replay;
pub(crate) mod room;
#[cfg(test)]
mod room_model;
pub(crate) mod rooms;
pub(crate) mod session;
pub(crate) mod session_queue;
pub(crate) mod sync;
pub(crate) mod tally;
pub(crate) mod turn;
pub(crate) mod vouched;
