//! A log in memory that answers when a test says so, in any order between rooms, and fails.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::shared::Shared;
use crate::server::chat::batch::{Batch, Publisher};
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::id::SessionId;
use crate::server::chat::log::{Log, Opened};
use crate::server::chat::replay::{Page, PageRequest, Start};
use crate::server::chat::room::Room;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::{Name, Stamp};

#[derive(Debug, Default)]
pub(crate) struct TestLog {
    /// What is not decided yet.
    pub batches: Mutex<Vec<Batch>>,
    /// Sessions that wait until a room is known.
    pub opening: Mutex<Vec<SessionId>>,
    /// Rooms have to be found out about.
    pub opens_late: bool,
    /// Batches are refused, for this reason, or ordered at once.
    pub decides_at_once: Option<Result<(), &'static str>>,
    /// What is in the log, by room.
    pub kept: Mutex<HashMap<Name, Vec<Vec<u8>>>>,
    /// Pages that are wanted.
    pub wanted: Mutex<Vec<PageRequest>>,
}

impl Log for TestLog {
    fn gives_back(&self) -> bool {
        false
    }

    fn append(&self, batches: Vec<Batch>, publisher: &mut Publisher<'_>) {
        for batch in batches {
            match self.decides_at_once {
                None => self.batches.lock().unwrap().push(batch),
                Some(Ok(())) => self.order(batch, publisher),
                Some(Err(reason)) => batch.refused(reason.into(), publisher.effects),
            }
        }
    }

    fn open(&self, _: &Arc<Room>, _: Option<Resume>, session: SessionId) -> Opened {
        if !self.opens_late {
            return Opened::Now(Start::default());
        }
        self.opening.lock().unwrap().push(session);
        Opened::Later
    }

    fn page(&self, request: PageRequest) {
        self.wanted.lock().unwrap().push(request);
    }

    fn finish(&self, _until: Instant) {}

    fn close(&self, _until: Instant) {}
}

impl TestLog {
    fn order(&self, batch: Batch, publisher: &mut Publisher<'_>) {
        let mut kept = self.kept.lock().unwrap();
        let kept = kept.entry(batch.room().name().clone()).or_default();
        let position = Position { epoch: 1, seq: kept.len() as u64 + 1 };
        kept.extend(batch.lines().split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec));
        batch.ordered(Stamp { position, time: 0 }, publisher);
    }

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
                let here = None;
                self.order(batch, &mut Publisher { here, effects: &effects, tally, budget });
            }
            Err(reason) => batch.refused(reason.into(), &effects),
        }
        wanted.try_iter().for_each(|effect| shared.carry_out(effect));
    }

    /// Says of all batches, the oldest first, that they are in the log, and gives what is wanted.
    pub(crate) fn decide_all(&self, shared: &Shared) {
        while self.len() > 0 {
            self.decide(0, Ok(()), shared);
        }
        for PageRequest { room, seqs, session, .. } in self.wanted.lock().unwrap().drain(..) {
            let (first, last) = (*seqs.start() as usize, *seqs.end());
            let lines = self.kept.lock().unwrap()[&room][first - 1..last as usize].concat();
            shared.carry_out(Effect::Page(session, Some(Page { lines, last })));
        }
    }

    /// Says to all who wait for a room that it is known, or why not.
    pub(crate) fn open_all(&self, outcome: Result<(), &str>, shared: &Shared) {
        for session in self.opening.lock().unwrap().drain(..) {
            let outcome = outcome.map(|()| Start::default());
            shared.carry_out(Effect::Opened(session, outcome.map_err(Into::into)));
        }
    }
}
