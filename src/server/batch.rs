//! Texts on their way into rooms: what the clients of one worker sent in one turn of its loop.
//!
//! All texts for one room are encoded one after the other into one frame, which every receiver's
//! queue then shares. A text is carried out when its frame is published; no `ok` for it may be
//! written before.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::hub::{Hub, Message};
use super::outbox::Frame;
use super::room::Room;
use super::write_queue::WriteQueue;

/// A batch of this many bytes is published at once, without waiting for the end of the turn.
const FULL: usize = 64 * 1024;

/// Buffers that are kept at most.
const SPARE: usize = 16;

/// One worker's unpublished texts.
#[derive(Debug, Default)]
pub struct Batches {
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
pub struct Publisher<'a> {
    /// What the workers share.
    pub hub: &'a Hub,
    /// The worker that publishes.
    pub worker: usize,
    /// Sessions on this worker with something new in their queues.
    pub writes: &'a mut WriteQueue,
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
        let place = room.open_batch(worker);
        let mut index = place.load(Ordering::Relaxed);
        if self.open.get(index).is_none_or(|batch| !Arc::ptr_eq(&batch.room, room)) {
            let lines = self.spare.pop().unwrap_or_default();
            self.open.push_back(Batch { room: Arc::clone(room), lines, texts: 0 });
            index = self.open.len() - 1;
            place.store(index, Ordering::Relaxed);
        }
        &mut self.open[index]
    }
}

impl Batch {
    fn publish(&mut self, publisher: &mut Publisher) {
        if self.lines.is_empty() {
            return;
        }
        let Publisher { hub, worker, writes } = publisher;
        let frame = Frame::from(self.lines.as_slice());
        self.lines.clear();
        let published = self.room.publish(&frame, *worker, writes);
        let texts = mem::take(&mut self.texts);
        hub.tally.texts.fetch_add(texts, Ordering::Relaxed);
        hub.tally.deliveries.fetch_add(texts * published.receivers as u64, Ordering::Relaxed);
        for other in published.tell.iter() {
            hub.tell(other, Message::Published(Arc::clone(&self.room)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::protocol::Name;
    use crate::server::stage::Stage;

    /// How long so many texts take that are for so many rooms in turn, the fastest of a few times.
    fn time(texts: usize, rooms: usize) -> Duration {
        let stage = Stage::with_reserve();
        let name = |number| Name::parse(format!("room{number}").as_bytes()).unwrap();
        let rooms: Vec<_> =
            (0..rooms).map(|number| Arc::new(Room::new(name(number), 0, 2))).collect();
        let (mut batches, mut writes) = (Batches::default(), WriteQueue::default());
        let mut publisher = Publisher { hub: &stage.hub, worker: 0, writes: &mut writes };
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
