//! What the writer knows of a room that it follows.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::fmt::Display;
use std::mem;
use std::sync::{Arc, Weak};

use super::entry::Entry;
use crate::server::chat::batch::{Batch, Publisher};
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::id::SessionId;
use crate::server::chat::room::Room;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::Stamp;

/// Bytes of lines that one entry is for, so that none takes long.
const ENTRY: usize = 64 * 1024;

/// A receiver that waits until it is known what there is of its room.
pub(super) type Open = (Arc<Room>, Option<Resume>, SessionId);

/// Texts that Redis has been given. Until it has answered, they are in doubt.
#[derive(Debug)]
pub(super) struct Sent {
    /// Counts all that this server has given to Redis: so a repeat is recognised.
    pub number: u64,
    /// They are one entry.
    pub batches: Vec<Batch>,
    /// It was given to Redis before, and there was no reply: it may be kept, or be kept yet.
    pub is_in_doubt: bool,
}

impl Sent {
    pub(super) fn texts(&self) -> u64 {
        self.batches.iter().map(Batch::texts).sum()
    }

    pub(super) fn lines(&self) -> Vec<u8> {
        self.batches.iter().flat_map(|batch| batch.lines()).copied().collect()
    }
}

/// A room that this server follows.
#[derive(Debug, Default)]
pub(super) struct Followed {
    room: Weak<Room>,
    /// Where the last text is that was published; `None` if it need not be known yet.
    pub position: Option<Position>,
    /// The epoch in which that was written: it may be an earlier one.
    written: u64,
    /// After which texts epochs have begun, of which not all that comes before may have been published.
    begun: Vec<Position>,
    /// Texts up to that SEQ may be in the stream.
    pub heard: u64,
    /// A new epoch has begun, and nobody knows after which text.
    pub is_vague: bool,
    /// Among those for which something is to be done.
    pub is_due: bool,
    /// Something was written since it was trimmed.
    pub is_touched: bool,
    pub sent: Option<Sent>,
    pub waiting: VecDeque<Batch>,
    pub opens: VecDeque<Open>,
}

/// The entry is not what comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OtherEpoch;

impl Followed {
    /// It is that room that is followed, and not one of the same name that has ended.
    pub(super) fn follow(&mut self, room: &Arc<Room>) {
        if self.room.as_ptr() != Arc::as_ptr(room) {
            self.room = Arc::downgrade(room);
            (self.position, self.written) = (None, 0);
            self.begun.clear();
        }
    }

    pub(super) fn room(&self) -> Option<Arc<Room>> {
        self.room.upgrade()
    }

    /// The ID in the stream after which to go on.
    pub(super) fn after(&self) -> Position {
        let position = self.position.unwrap_or_default();
        let epoch = if self.written == 0 { position.epoch } else { self.written };
        Position { epoch, ..position }
    }

    /// There may be more in the stream than was published.
    pub(super) fn is_behind(&self) -> bool {
        self.position.is_some_and(|position| position.seq < self.heard)
    }

    /// Texts that are known to be there, and were not fetched yet.
    pub(super) fn behind(&self) -> u64 {
        match self.position {
            Some(position) if self.heard != u64::MAX => self.heard.saturating_sub(position.seq),
            _ => 0,
        }
    }

    /// Nobody is interested any more.
    pub(super) fn is_over(&self) -> bool {
        let is_idle = self.sent.is_none() && self.waiting.is_empty() && self.opens.is_empty();
        is_idle && !self.is_touched && self.room.strong_count() == 0
    }

    /// Texts that are not known to be kept.
    pub(super) fn texts(&self) -> u64 {
        self.waiting.iter().map(Batch::texts).sum::<u64>()
            + self.sent.as_ref().map_or(0, Sent::texts)
    }

    /// What is given to Redis now, if there is anything: what is in doubt comes first.
    pub(super) fn send_next(&mut self, number: &mut u64) -> Option<&Sent> {
        if self.sent.is_none() && !self.waiting.is_empty() {
            let mut bytes = 0;
            let fits = |batch: &&Batch| {
                let fits = bytes < ENTRY;
                bytes += batch.bytes();
                fits
            };
            let count = self.waiting.iter().take_while(fits).count();
            *number += 1;
            let batches = self.waiting.drain(..count).collect();
            self.sent = Some(Sent { number: *number, batches, is_in_doubt: false });
        }
        self.sent.as_ref()
    }

    /// The reply to what was given to Redis does not come any more.
    pub(super) fn doubt(&mut self) {
        if let Some(sent) = &mut self.sent {
            sent.is_in_doubt = true;
        }
    }

    /// What was given to Redis is surely not kept, and waits again; unless an earlier attempt may have
    /// kept it.
    pub(super) fn take_back(&mut self) {
        if let Some(sent) = self.sent.take_if(|sent| !sent.is_in_doubt) {
            sent.batches.into_iter().rev().for_each(|batch| self.waiting.push_front(batch));
        }
    }

    /// What was given to Redis is refused.
    pub(super) fn refuse_sent(&mut self, reason: &Arc<str>, effects: &Effects) {
        for batch in self.sent.take().into_iter().flat_map(|sent| sent.batches) {
            batch.refused(Arc::clone(reason), effects);
        }
    }

    /// Receivers that wait are refused, and so are texts.
    pub(super) fn refuse_waiting(&mut self, reason: &Arc<str>, effects: &Effects) {
        self.refuse_texts(reason, effects);
        for (_, _, session) in mem::take(&mut self.opens) {
            effects.add(Effect::Opened(session, Err(Arc::clone(reason))));
        }
    }

    /// Texts that wait are refused, but for those of senders who have one in doubt: a sender's answers
    /// are in order.
    pub(super) fn refuse_texts(&mut self, reason: &dyn Display, effects: &Effects) {
        if self.waiting.is_empty() {
            return;
        }
        let text: Arc<str> = format!("not kept: {reason}").into();
        let in_doubt = self.sent.iter().flat_map(|sent| &sent.batches);
        let mut in_doubt: HashSet<_> = in_doubt.flat_map(Batch::senders).collect();
        for batch in mem::take(&mut self.waiting) {
            if batch.senders().any(|sender| in_doubt.contains(&sender)) {
                in_doubt.extend(batch.senders());
                self.waiting.push_back(batch);
            } else {
                batch.refused(Arc::clone(&text), effects);
            }
        }
    }

    /// What was given to Redis is kept, the first of it with that stamp: publishes it, unless that
    /// has been done, and its senders are answered.
    pub(super) fn publish_sent(&mut self, first: Stamp, publisher: &mut Publisher<'_>) {
        let mut stamp = first;
        for batch in self.sent.take().into_iter().flat_map(|sent| sent.batches) {
            let texts = batch.texts();
            if self.position.is_none_or(|position| position.seq < stamp.position.seq) {
                self.is_vague = false;
                batch.ordered(stamp, publisher);
                let seq = stamp.position.seq + texts - 1;
                self.written = stamp.position.epoch;
                self.position = Some(Position { seq, ..stamp.position });
            } else {
                batch.confirmed(publisher.effects);
            }
            stamp.position.seq += texts;
        }
    }

    /// Publishes an entry, if that has not been done.
    pub(super) fn publish(
        &mut self,
        entry: Entry,
        publisher: &mut Publisher<'_>,
    ) -> Result<(), OtherEpoch> {
        let Some(position) = self.position else { return Ok(()) };
        if entry.last.epoch > position.epoch {
            return Err(OtherEpoch);
        }
        if entry.last.seq <= position.seq || self.leave_out(entry.last) {
            return Ok(());
        }
        self.written = entry.last.epoch;
        if entry.first != position.seq + 1 {
            self.overtaken(entry.first - 1, publisher.effects);
        }
        self.is_vague = false;
        self.position = Some(Position { seq: entry.last.seq, ..position });
        if let Some(room) = self.room() {
            let position = Position { seq: entry.first, ..position };
            let (time, texts) = (entry.time, entry.texts());
            let mut batch = Batch::read(room, entry.lines, texts);
            batch.publish(Some(Stamp { position, time }), publisher);
        }
        Ok(())
    }

    /// What comes before that SEQ, and that itself, is not there any more.
    pub(super) fn overtaken(&mut self, seq: u64, effects: &Effects) {
        let Some(position) = self.position.as_mut() else { return };
        position.seq = seq;
        let position = *position;
        if let Some(room) = self.room() {
            if mem::take(&mut self.is_vague) {
                return room.begin_epoch(position);
            }
            for worker in room.set_overtaken(position).iter() {
                effects.add(Effect::Notify(worker, Arc::clone(&room)));
            }
        }
    }

    /// Something was lost, and a new epoch begins after that position; so have some between, after
    /// theirs. What is left before all of them and was not published still is.
    pub(super) fn begin_anew(&mut self, last: Position, between: &[Position]) {
        // What comes after the smallest is not what it was; the latest epoch has put it there.
        let begun = between.iter().copied().chain([last]);
        let least = begun.min_by_key(|begin| (begin.seq, Reverse(begin.epoch))).unwrap_or(last);
        let (written, seq) = match self.position {
            Some(before) if before.seq <= least.seq => (self.after().epoch, before.seq),
            _ => (least.epoch, least.seq),
        };
        let position = Position { seq, ..last };
        (self.written, self.position) = (written, Some(position));
        self.begun.retain(|begin| begin.epoch > written);
        self.begun.extend(between.iter().chain([&last].into_iter().filter(|_| !self.is_vague)));
        if let Some(room) = self.room() {
            room.begin_epoch(position);
        }
    }

    /// What is beyond the end of its epoch was lost, though it is there again: goes on with the epoch
    /// that began before it. Says whether it is so.
    fn leave_out(&mut self, last: Position) -> bool {
        let is_before = |begin: &&Position| begin.epoch > last.epoch && begin.seq < last.seq;
        let next = self.begun.iter().filter(is_before).map(|begin| begin.epoch).min();
        self.written = next.unwrap_or(self.written);
        next.is_some()
    }

    /// Nothing of what was read up to there comes next: that never comes.
    pub(super) fn pass(&mut self, read: Position, effects: &Effects) {
        if self.leave_out(read) {
            return;
        }
        self.written = read.epoch;
        if let Some(position) = self.position {
            self.overtaken(position.seq.max(read.seq), effects);
        }
    }
}
