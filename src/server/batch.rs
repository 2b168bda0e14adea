//! Texts on their way into rooms: what the clients of one worker sent in one turn of its loop.
//!
//! All texts for one room are encoded one after the other into one frame, which every receiver's
//! queue then shares. A text is carried out when its frame is published; no `ok` for it may be
//! written before.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::hub::{Hub, Message};
use super::outbox::Frame;
use super::ripe::Ripe;
use super::room::Room;

/// A batch of this many bytes is published at once, without waiting for the end of the turn.
const FULL: usize = 64 * 1024;

/// Buffers that are kept at most.
const SPARE: usize = 16;

/// One worker's unpublished texts.
#[derive(Debug, Default)]
pub struct Batches {
    open: Vec<Batch>,
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
    pub ripe: &'a mut Ripe,
}

impl Batches {
    /// Adds a text; `head` is what comes before it in its line.
    pub fn add(&mut self, room: &Arc<Room>, head: &[u8], text: &[u8], publisher: &mut Publisher) {
        let batch = self.batch(room);
        for part in [head, text, b"\n"] {
            batch.lines.extend_from_slice(part);
        }
        batch.texts += 1;
        if batch.lines.len() >= FULL {
            batch.publish(publisher);
        }
    }

    /// Publishes all that has been added.
    pub fn publish(&mut self, publisher: &mut Publisher) {
        for mut batch in self.open.drain(..) {
            batch.publish(publisher);
            if self.spare.len() < SPARE {
                self.spare.push(batch.lines);
            }
        }
    }

    /// The room's open batch. One session after the other adds its texts, and mostly the last
    /// batch is the one.
    fn batch(&mut self, room: &Arc<Room>) -> &mut Batch {
        let of_room = |batch: &Batch| batch.room.number() == room.number();
        let place = self.open.iter().rposition(of_room).unwrap_or_else(|| {
            let lines = self.spare.pop().unwrap_or_default();
            self.open.push(Batch { room: Arc::clone(room), lines, texts: 0 });
            self.open.len() - 1
        });
        &mut self.open[place]
    }
}

impl Batch {
    fn publish(&mut self, publisher: &mut Publisher) {
        if self.lines.is_empty() {
            return;
        }
        let Publisher { hub, worker, ripe } = publisher;
        let frame = Frame::from(self.lines.as_slice());
        self.lines.clear();
        let published = self.room.publish(&frame, *worker, ripe);
        let texts = mem::take(&mut self.texts);
        hub.tally.texts.fetch_add(texts, Ordering::Relaxed);
        hub.tally.deliveries.fetch_add(texts * published.receivers as u64, Ordering::Relaxed);
        for other in published.tell.iter() {
            hub.tell(other, Message::Published(Arc::clone(&self.room)));
        }
    }
}
