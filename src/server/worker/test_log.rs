//! A log in memory that answers when a test says so, in any order between rooms, and fails.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::shared::Shared;
use crate::server::chat::batch::{Batch, Publisher};
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::id::SessionId;
use crate::server::chat::log::{Log, Opened};
use crate::server::chat::replay::{Asked, Page, PageRequest, Start};
use crate::server::chat::room::Room;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::{Name, Stamp, append_record};

#[derive(Debug, Default)]
pub(crate) struct TestLog {
    /// What is not decided yet.
    pub batches: Mutex<Vec<Batch>>,
    /// Sessions that wait until a room is known.
    pub opening: Mutex<Vec<(Start, SessionId)>>,
    /// Rooms have to be found out about.
    pub opens_late: bool,
    /// Until when it was asked to finish, each time.
    pub finished: Mutex<Vec<Instant>>,
    /// Batches are refused, for this reason, or ordered at once.
    pub decides_at_once: Option<Result<(), &'static str>>,
    /// What is in the log, by room.
    pub kept: Mutex<HashMap<Name, Vec<Vec<u8>>>>,
    /// Pages that are wanted.
    pub wanted: Mutex<VecDeque<PageRequest>>,
    /// It gives texts back, of each room those after so many.
    pub floor: Option<AtomicU64>,
    /// How often it has lost texts: each time, an epoch has ended.
    pub losses: AtomicU64,
}

impl Log for TestLog {
    fn gives_back(&self) -> bool {
        self.floor.is_some()
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

    fn open(&self, room: &Arc<Room>, resume: Option<Resume>, session: SessionId) -> Opened {
        let seq = self.kept.lock().unwrap().get(room.name()).map_or(0, Vec::len) as u64;
        room.set_published(self.position(seq));
        let asked = match resume {
            None => Asked::Now,
            Some(Resume::Last(count)) => Asked::Last(count),
            Some(Resume::After(position)) => Asked::After(position.seq),
        };
        let epoch = self.position(seq).epoch;
        let start = Start { epoch, floor: self.floor().min(seq), asked };
        if !self.opens_late {
            return Opened::Now(start);
        }
        self.opening.lock().unwrap().push((start, session));
        Opened::Later
    }

    fn page(&self, request: PageRequest) {
        self.wanted.lock().unwrap().push_back(request);
    }

    fn finish(&self, until: Instant) {
        self.finished.lock().unwrap().push(until);
    }

    fn close(&self, _until: Instant) {}
}

impl TestLog {
    fn order(&self, batch: Batch, publisher: &mut Publisher<'_>) {
        let mut kept = self.kept.lock().unwrap();
        let kept = kept.entry(batch.room().name().clone()).or_default();
        let position = self.position(kept.len() as u64 + 1);
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
        while self.give_page(usize::MAX, shared) {}
    }

    fn floor(&self) -> u64 {
        self.floor.as_ref().map_or(0, |floor| floor.load(Ordering::Relaxed))
    }

    /// Gives the page that has been wanted the longest, of so many texts at most, if one is wanted.
    pub(crate) fn give_page(&self, most: usize, shared: &Shared) -> bool {
        let Some(effect) = self.look_up(most) else {
            return false;
        };
        shared.carry_out(effect);
        true
    }

    /// Looks up the page that has been wanted the longest, to be given later.
    pub(crate) fn look_up(&self, most: usize) -> Option<Effect> {
        let request = self.wanted.lock().unwrap().pop_front()?;
        let page = self.page(&request, most);
        Some(Effect::Page(request.session, request.number, page))
    }

    fn page(&self, request: &PageRequest, most: usize) -> Option<Page> {
        let first = *request.seqs.start();
        let kept = self.kept.lock().unwrap();
        let there = kept[&request.room].len() as u64;
        let last = there.min(*request.seqs.end()).min((first - 1).saturating_add(most as u64));
        if first > last || first <= self.floor() {
            return None;
        }
        let mut lines = Vec::new();
        for seq in first..=last {
            let line = &kept[&request.room][seq as usize - 1];
            let stamp = Stamp { position: self.position(seq), time: 0 };
            if request.records {
                append_record(&mut lines, stamp, line.strip_suffix(b"\n").unwrap_or(line));
            } else {
                lines.extend(line);
            }
        }
        Some(Page { lines: lines.into(), last: self.position(last) })
    }

    /// Loses the last text of each room, and begins a new epoch.
    pub(crate) fn lose(&self, shared: &Shared) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap();
        kept.values_mut().for_each(|texts| drop(texts.pop()));
        for room in shared.rooms.all() {
            let seq = kept.get(room.name()).map_or(0, Vec::len) as u64;
            room.begin_epoch(self.position(seq));
        }
    }

    fn position(&self, seq: u64) -> Position {
        Position { epoch: 1 + self.losses.load(Ordering::Relaxed), seq }
    }

    /// Says to all who wait for a room that it is known, or why not.
    pub(crate) fn open_all(&self, outcome: Result<(), &str>, shared: &Shared) {
        for (start, session) in self.opening.lock().unwrap().drain(..) {
            let outcome = outcome.map(|()| start);
            shared.carry_out(Effect::Opened(session, outcome.map_err(Into::into)));
        }
    }
}
