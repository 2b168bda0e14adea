//! What the loops around the chat have to do for it.
//!
//! An effect may come of anything, also of a membership that is dropped in the middle of a panic;
//! so there is a queue for them, and each loop carries out what is in its own.

use super::id::SessionId;
use super::replay::{Page, Start};
use super::room::Room;
use super::sync::{Arc, mpsc};

/// Something that a loop has to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Serve the session again: it need no longer wait for its room.
    Resume(SessionId),
    /// Tell that worker that there is something in the room to write.
    Notify(usize, Arc<Room>),
    /// A log has said what became of texts: give their senders, which live on that worker, their
    /// answers.
    Answer(usize, Receipt),
    /// A log knows about the room that the session is about to enter, or says why it does not.
    Opened(SessionId, Result<Start, Arc<str>>),
    /// The texts that a session has asked a log for, as its page with that number; `None` if it does
    /// not have them any more.
    Page(SessionId, u64, Option<Page>),
}

/// What became of the texts of a batch.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// The senders, each with how many of the texts are its own.
    pub senders: Vec<(SessionId, usize)>,
    /// Why they were refused, if they were.
    pub refused: Option<Arc<str>>,
}

/// The sending end of a loop's queue of effects.
#[derive(Clone, Debug)]
pub(crate) struct Effects(mpsc::Sender<Effect>);

impl Effects {
    /// A new queue.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Effect>) {
        let (sender, receiver) = mpsc::channel();
        (Effects(sender), receiver)
    }

    /// Adds an effect. Never blocks. A loop that has ended carries out no more.
    pub(crate) fn add(&self, effect: Effect) {
        let _ = self.0.send(effect);
    }

    /// These sessions need no longer wait.
    pub(crate) fn resume(&self, sessions: Vec<SessionId>) {
        for session in sessions {
            self.add(Effect::Resume(session));
        }
    }
}
