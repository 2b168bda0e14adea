//! What the clients of one worker sent in one turn of its loop, one batch for each room.

use std::collections::VecDeque;

use super::batch::{Batch, Publisher};
use super::id::SessionId;
use super::log::Log;
use super::room::Room;
use super::rooms::Rooms;
use super::sync::Arc;
use super::sync::atomic::Ordering;

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
    /// Decides the order, if there is one.
    log: Option<Arc<dyn Log>>,
}

impl Batches {
    /// No texts, with a log or without.
    pub(crate) fn new(log: Option<Arc<dyn Log>>) -> Self {
        Batches { log, ..Batches::default() }
    }

    /// The log, if there is one. Then the answer of a text is awaited.
    pub(crate) fn log(&self) -> Option<&Arc<dyn Log>> {
        self.log.as_ref()
    }

    /// There is a log that gives texts back.
    pub(crate) fn gives_back(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.gives_back())
    }

    /// Adds a text of a session; `head` is what comes before it in its line.
    pub(crate) fn add(
        &mut self,
        (rooms, room): (&Arc<Rooms>, &Arc<Room>),
        head: &[u8],
        text: &[u8],
        sender: SessionId,
        publisher: &mut Publisher<'_>,
    ) {
        let is_logged = self.log.is_some();
        let batch = self.batch(rooms, room, sender.worker);
        batch.add(&[head, text, b"\n"], is_logged.then_some(sender));
        if batch.bytes() < FULL {
            return;
        }
        if !is_logged {
            return batch.publish(None, publisher);
        }
        // An empty one stays where it was, for the others keep their places.
        let full = batch.take();
        if let Some(log) = &self.log {
            log.append(vec![full], publisher);
        }
    }

    /// Publishes all that has been added, or gives it to the log. Should that panic, the rest is left
    /// for the next time.
    pub(crate) fn publish(&mut self, publisher: &mut Publisher<'_>) {
        if let Some(log) = &self.log {
            let batches: Vec<_> = self.open.drain(..).filter(|batch| batch.bytes() > 0).collect();
            if !batches.is_empty() {
                log.append(batches, publisher);
            }
            return;
        }
        while let Some(mut batch) = self.open.pop_front() {
            batch.publish(None, publisher);
            if self.spare.len() < SPARE {
                self.spare.push(batch.into_buffer());
            }
        }
    }

    /// There is nothing to publish.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The room's open batch, in constant time: the room keeps where it is.
    fn batch(&mut self, rooms: &Arc<Rooms>, room: &Arc<Room>, worker: usize) -> &mut Batch {
        let slot = room.open_batch(worker);
        let mut index = slot.load(Ordering::Relaxed);
        if self.open.get(index).is_none_or(|batch| !Arc::ptr_eq(batch.room(), room)) {
            let buffer = self.spare.pop().unwrap_or_default();
            let hold = self.log.is_some().then(|| Rooms::hold(rooms, room));
            self.open.push_back(Batch::new(Arc::clone(room), hold, worker, buffer));
            index = self.open.len() - 1;
            slot.store(index, Ordering::Relaxed);
        }
        &mut self.open[index]
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::server::chat::effects::Effects;
    use crate::server::chat::frame::Budget;
    use crate::server::chat::session_queue::SessionQueue;
    use crate::server::chat::tally::Tally;
    use crate::wire::protocol::Name;

    /// How long so many texts take that are for so many rooms in turn, the fastest of a few times.
    fn time(texts: usize, rooms: usize) -> Duration {
        let (effects, tally) = (Effects::new().0, Tally::default());
        let all = Arc::new(Rooms::default());
        let name = |number| Name::parse(format!("room{number}").as_bytes()).unwrap();
        let rooms: Vec<_> =
            (0..rooms).map(|number| Arc::new(Room::new(name(number), 0, 2))).collect();
        let (mut batches, mut writes) = (Batches::default(), SessionQueue::default());
        let (effects, tally, budget) = (&effects, &tally, &Arc::new(Budget::new(1 << 30)));
        let mut publisher = Publisher { here: Some((0, &mut writes)), effects, tally, budget };
        let sender = SessionId { worker: 0, token: 0, serial: 0 };
        let mut once = || {
            let begun = Instant::now();
            for text in 0..texts {
                let room = &rooms[text % rooms.len()];
                batches.add((&all, room), b"head:", b"text", sender, &mut publisher);
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
