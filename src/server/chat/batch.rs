//! Texts on their way into a room.
//!
//! They are encoded one after the other into one frame, which every receiver's queue then shares. A
//! text is carried out when its frame is published; no `ok` for it may be written before. With a
//! log, that is when the batch is in the log.

use std::mem;

use super::effects::{Effect, Effects, Receipt};
use super::frame::{Budget, Frame};
use super::id::SessionId;
use super::publication::Publication;
use super::room::Room;
use super::rooms::Hold;
use super::session_queue::SessionQueue;
use super::sync::Arc;
use super::sync::atomic::Ordering;
use super::tally::Tally;
use crate::wire::protocol::Stamp;

/// Texts for one room, of senders on one worker.
#[derive(Debug)]
pub(crate) struct Batch {
    room: Arc<Room>,
    /// With a log, the room exists at least as long as its texts are on their way: the next room of
    /// that name would not know of them.
    _hold: Option<Hold>,
    /// Whole lines.
    lines: Vec<u8>,
    texts: u64,
    /// Where the senders live.
    worker: usize,
    /// The senders, each with how many texts it sent, in order; not kept without a log.
    senders: Vec<(SessionId, usize)>,
}

/// Where batches are published from and to.
#[derive(Debug)]
pub(crate) struct Publisher<'a> {
    /// The worker that publishes, and its sessions with something new in their queues; `None` on
    /// another thread.
    pub here: Option<(usize, &'a mut SessionQueue)>,
    /// Takes the other workers that have to be notified, and answers.
    pub effects: &'a Effects,
    /// Counts texts and deliveries.
    pub tally: &'a Tally,
    /// Counts the bytes of frames.
    pub budget: &'a Arc<Budget>,
}

impl Batch {
    /// An empty batch for a room, of senders on that worker; uses the memory of `buffer`.
    pub(crate) fn new(room: Arc<Room>, hold: Option<Hold>, worker: usize, buffer: Vec<u8>) -> Self {
        Batch { room, _hold: hold, lines: buffer, texts: 0, worker, senders: Vec::new() }
    }

    /// Texts that a log has given, of senders who are elsewhere; whole lines.
    pub(crate) fn read(room: Arc<Room>, lines: Vec<u8>, texts: u64) -> Self {
        Batch { room, _hold: None, lines, texts, worker: 0, senders: Vec::new() }
    }

    /// Adds a text, given as the parts of its line, and its sender if that is to be answered later.
    pub(crate) fn add(&mut self, parts: &[&[u8]], sender: Option<SessionId>) {
        parts.iter().for_each(|part| self.lines.extend_from_slice(part));
        self.texts += 1;
        if let Some(sender) = sender {
            self.count(sender);
        }
    }

    /// Bytes of its lines.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// Its deliveries, whole lines.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// How many texts it has.
    pub(crate) fn texts(&self) -> u64 {
        self.texts
    }

    /// Whose texts it has, if they are to be answered later.
    pub(crate) fn senders(&self) -> impl Iterator<Item = SessionId> {
        self.senders.iter().map(|(sender, _)| *sender)
    }

    /// Its memory, for another one.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.lines
    }

    /// The room.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The batch is in the log, as the next of its room, its first text with that stamp: publishes
    /// it, and its senders are answered.
    pub(crate) fn ordered(mut self, first: Stamp, publisher: &mut Publisher<'_>) {
        self.publish(Some(first), publisher);
        self.answer(None, publisher.effects);
    }

    /// The batch is in the log, and its room has heard of it already: its senders are answered.
    pub(crate) fn confirmed(self, effects: &Effects) {
        self.answer(None, effects);
    }

    /// The log has refused the batch, for that reason, one line.
    pub(crate) fn refused(self, reason: Arc<str>, effects: &Effects) {
        self.answer(Some(reason), effects);
    }

    fn answer(self, refused: Option<Arc<str>>, effects: &Effects) {
        effects.add(Effect::Answer(self.worker, Receipt { senders: self.senders, refused }));
    }

    /// One more text is this sender's.
    fn count(&mut self, sender: SessionId) {
        match self.senders.last_mut() {
            Some((last, texts)) if *last == sender => *texts += 1,
            _ => self.senders.push((sender, 1)),
        }
    }

    /// Takes all that is in it.
    pub(crate) fn take(&mut self) -> Self {
        Batch {
            room: Arc::clone(&self.room),
            _hold: self._hold.clone(),
            lines: mem::take(&mut self.lines),
            texts: mem::take(&mut self.texts),
            worker: self.worker,
            senders: mem::take(&mut self.senders),
        }
    }

    /// Publishes all that is in it, as the next of its room; `first` is what a log says of the first
    /// text.
    pub(crate) fn publish(&mut self, first: Option<Stamp>, publisher: &mut Publisher<'_>) {
        if self.lines.is_empty() {
            return;
        }
        let texts = mem::take(&mut self.texts);
        let frame = Frame::new(&self.lines, publisher.budget);
        let here = publisher.here.as_mut().map(|(worker, writes)| (*worker, &mut **writes));
        let publication = match first {
            None => Publication::Plain(&frame),
            Some(first) => {
                Publication::Logged { frame: &frame, first, texts, budget: publisher.budget }
            }
        };
        let published = self.room.publish(publication, here);
        self.lines.clear();
        let tally = publisher.tally;
        tally.texts.fetch_add(texts, Ordering::Relaxed);
        tally.deliveries.fetch_add(texts * published.receivers as u64, Ordering::Relaxed);
        for other in published.notify.iter() {
            publisher.effects.add(Effect::Notify(other, Arc::clone(&self.room)));
        }
    }
}
