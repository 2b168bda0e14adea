//! Texts on their way into rooms: what the clients of one worker sent in one turn of its loop.
//!
//! All texts for one room are encoded one after the other into one frame, which every receiver's
//! queue then shares. A text is carried out when its frame is published; no `ok` for it may be
//! written before.

use std::collections::VecDeque;
use std::mem;

use super::effects::{Effect, Effects};
use super::outbox::Frame;
use super::room::Room;
use super::session_queue::SessionQueue;
use super::sync::Arc;
use super::sync::atomic::Ordering;
use super::tally::Tally;

/// A batch of this many bytes is published at once, without waiting for the end of the turn.
const FULL: usize = 64 * 1024;

/// Buffers that are kept at most.
const SPARE: usize = 16;

/// One worker's unpublished texts.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    open: VecDeque<Batch>,
    /// Emptied buffers, to be used again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Batch {
    room: Arc<Room>,
    lines: Vec<u8>,
    texts: u64,
}

/// Where batches are published from and to.
#[derive(Debug)]
pub(crate) struct Publisher<'a> {
    /// The worker that publishes.
    pub worker: usize,
    /// Sessions on this worker with something new in their queues.
    pub writes: &'a mut SessionQueue,
    /// Takes the other workers that have to be notified.
    pub effects: &'a Effects,
    /// Counts texts and deliveries.
    pub tally: &'a Tally,
}

impl Batches {
    /// Adds a text; `head` is what comes before it in its line.
    pub fn add(&mut self, room: &Arc<Room>, head: &[u8], text: &[u8], publisher: &mut Publisher) {
        let batch = self.batch(room, publisher.worker);
        for part in [head, text, b"\n"] {
            batch.lines.extend_from_slice(part);
        }
        batch.texts += 1;
        if batch.lines.len() >= FULL {
            batch.publish(publisher);
        }
    }

    /// Publishes all that has been added. Should that panic, the rest is left for the next time.
    pub fn publish(&mut self, publisher: &mut Publisher) {
        while let Some(mut batch) = self.open.pop_front() {
            batch.publish(publisher);
            if self.spare.len() < SPARE {
                self.spare.push(batch.lines);
            }
        }
    }

    /// There is nothing to publish.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The room's open batch, in constant time: the room keeps where it is.
    fn batch(&mut self, room: &Arc<Room>, worker: usize) -> &mut Batch {
        let slot = room.open_batch(worker);
        let mut index = slot.load(Ordering::Relaxed);
        if self.open.get(index).is_none_or(|batch| !Arc::ptr_eq(&batch.room, room)) {
            let lines = self.spare.pop().unwrap_or_default();
            self.open.push_back(Batch { room: Arc::clone(room), lines, texts: 0 });
            index = self.open.len() - 1;
            slot.store(index, Ordering::Relaxed);
        }
        &mut self.open[index]
    }
}

impl Batch {
    fn publish(&mut self, publisher: &mut Publisher) {
        if self.lines.is_empty() {
            return;
        }
        let Publisher { worker, writes, effects, tally } = publisher;
        let frame = Frame::from(self.lines.as_slice());
        self.lines.clear();
        let published = self.room.publish(&frame, *worker, writes);
        let texts = mem::take(&mut self.texts);
        tally.texts.fetch_add(texts, Ordering::Relaxed);
        tally.deliveries.fetch_add(texts * published.receivers as u64, Ordering::Relaxed);
        for other in published.notify.iter() {
            effects.add(Effect::Notify(other, Arc::clone(&self.room)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::protocol::Name;

    /// How long so many texts take that are for so many rooms in turn, the fastest of a few times.
    fn time(texts: usize, rooms: usize) -> Duration {
        let (effects, tally) = (Effects::new().0, Tally::default());
        let name = |number| Name::parse(format!("room{number}").as_bytes()).unwrap();
        let rooms: Vec<_> =
            (0..rooms).map(|number| Arc::new(Room::new(name(number), 0, 2))).collect();
        let (mut batches, mut writes) = (Batches::default(), SessionQueue::default());
        let (effects, tally) = (&effects, &tally);
        let mut publisher = Publisher { worker: 0, writes: &mut writes, effects, tally };
        let mut once = || {
            let begun = Instant::now();
            for text in 0..texts {
                batches.add(&rooms[text % rooms.len()], b"head:", b"text", &mut publisher);
            }
            let took = begun.elapsed();
            batches.publish(&mut publisher);
            took
        };
        (0..5).map(|_| once()).min().unwrap()
    }

    #[test]
    fn the_time_for_a_text_does_not_grow_with_the_rooms_of_a_turn() {
        let (few, many) = (time(8192, 64), time(8192, 8192));
        // A search would take a hundred times as long; what is left is new memory.
        assert!(many < few * 30, "{few:?} for few rooms, {many:?} for many");
    }
}
