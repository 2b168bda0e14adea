//! A log that keeps nothing, answers when a test says so, in any order between rooms, and fails.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::shared::Shared;
use crate::server::chat::batch::{Batch, Publisher};
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::id::SessionId;
use crate::server::chat::log::{Log, Opened};
use crate::server::chat::room::Room;

#[derive(Debug, Default)]
pub(crate) struct TestLog {
    /// What is not decided yet.
    pub batches: Mutex<Vec<Batch>>,
    /// Sessions that wait until a room is known.
    pub opening: Mutex<Vec<SessionId>>,
    /// Rooms have to be found out about.
    pub opens_late: bool,
    /// Until when it was asked to finish, each time.
    pub finished: Mutex<Vec<Instant>>,
    /// Batches are refused, for this reason, or ordered at once.
    pub decides_at_once: Option<Result<(), &'static str>>,
}

impl Log for TestLog {
    fn append(&self, batch: Batch, publisher: &mut Publisher<'_>) {
        match self.decides_at_once {
            None => self.batches.lock().unwrap().push(batch),
            Some(Ok(())) => batch.ordered(publisher),
            Some(Err(reason)) => batch.refused(reason.into(), publisher.effects),
        }
    }

    fn open(&self, _room: &Arc<Room>, session: SessionId) -> Opened {
        if !self.opens_late {
            return Opened::Now;
        }
        self.opening.lock().unwrap().push(session);
        Opened::Later
    }

    fn finish(&self, until: Instant) {
        self.finished.lock().unwrap().push(until);
    }
}

impl TestLog {
    /// How many batches are not decided yet.
    pub(crate) fn len(&self) -> usize {
        self.batches.lock().unwrap().len()
    }

    /// Bytes of them.
    pub(crate) fn bytes(&self) -> usize {
        self.batches.lock().unwrap().iter().map(Batch::bytes).sum()
    }

    /// Says of the batch at that place that it is in the log, or is refused.
    pub(crate) fn decide(&self, place: usize, outcome: Result<(), &str>, shared: &Shared) {
        let batch = self.batches.lock().unwrap().remove(place);
        let (effects, wanted) = Effects::new();
        match outcome {
            Ok(()) => {
                let Shared { tally, budget, .. } = shared;
                batch.ordered(&mut Publisher { here: None, effects: &effects, tally, budget });
            }
            Err(reason) => batch.refused(reason.into(), &effects),
        }
        wanted.try_iter().for_each(|effect| shared.carry_out(effect));
    }

    /// Says of all batches, the oldest first, that they are in the log.
    pub(crate) fn decide_all(&self, shared: &Shared) {
        while self.len() > 0 {
            self.decide(0, Ok(()), shared);
        }
    }

    /// Says to all who wait for a room that it is known, or why not.
    pub(crate) fn open_all(&self, outcome: Result<(), &str>, shared: &Shared) {
        for session in self.opening.lock().unwrap().drain(..) {
            shared.carry_out(Effect::Opened(session, outcome.map_err(Into::into)));
        }
    }
}
