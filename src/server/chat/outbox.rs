//! One receiver's queue and its accounting.
//!
//! A queue is a [`std::sync::mpsc`] channel of [`Frame`]s. Rooms hold its [`OutboxSender`]; the session
//! that owns the receiver's socket holds the [`Outbox`] and writes to the socket what comes out.
//! The channel is unbounded; what bounds it is the mark that [`Backlog`] keeps: above it, a room
//! holds its senders back (see [`super::room`]).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};

use super::frame::{Budget, Frame};
use super::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use super::sync::{Arc, mpsc};

/// Frames that one write to a socket takes along at most.
const GATHER: usize = 16;

/// One frame, beside its bytes: there are fewer of these in any queue.
const FRAME: u64 = 1 << 40;

/// How many bytes are queued.
fn bytes(queued: u64) -> usize {
    (queued % FRAME) as usize
}

/// How many frames are queued.
fn frames(queued: u64) -> usize {
    (queued / FRAME) as usize
}

/// How much is queued for one receiver.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Bytes in the queue, or taken out of it and not yet written, and the frames that these are of,
    /// from the bit `FRAME` on: one number, for it changes with each delivery.
    queued: AtomicU64,
    /// The most that `bytes` should be, unless there is too much for all together.
    mark: usize,
    /// What there is for all together.
    budget: Arc<Budget>,
    /// The receiver's room counts it as being above its mark. Written only under the lock of the
    /// room that the receiver is in.
    over: AtomicBool,
    /// The receiver is given what a log has, and the room puts nothing into its queue. Written only
    /// under that lock.
    lags: AtomicBool,
    /// The receiver has shut down its writing side: it may be listening or gone.
    half_closed: AtomicBool,
}

impl Backlog {
    /// Bytes queued.
    pub(crate) fn bytes(&self) -> usize {
        bytes(self.queued.load(Ordering::SeqCst))
    }

    /// More is queued than should be.
    pub(crate) fn above_mark(&self) -> bool {
        let queued = self.queued.load(Ordering::SeqCst);
        let (frames, bytes) = (frames(queued), bytes(queued));
        bytes > self.mark || self.budget.is_exceeded_by(frames, bytes)
    }

    /// The receiver's room counts it as being above its mark.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// The receiver is given what a log has, and its room puts nothing into its queue.
    pub(crate) fn lags(&self) -> bool {
        self.lags.load(Ordering::SeqCst)
    }

    /// Sets whether it is. Only for the holder of the room's lock.
    pub(crate) fn set_lags(&self, lags: bool) {
        self.lags.store(lags, Ordering::SeqCst);
    }

    /// So many frames are about to be queued, for this receiver or others with the same budget.
    pub(crate) fn add_slots(&self, count: usize) {
        self.budget.add_slots(count);
    }

    /// So many of those frames are not queued.
    pub(crate) fn remove_slots(&self, count: usize) {
        self.budget.remove_slots(count);
    }

    /// The receiver has shut down its writing side.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.half_closed.load(Ordering::Relaxed)
    }

    /// Notes that the receiver has shut down its writing side.
    pub(crate) fn set_half_closed(&self) {
        self.half_closed.store(true, Ordering::Relaxed);
    }

    /// Sets whether the room counts the receiver; returns whether that is a change. Only for the
    /// holder of the room's lock.
    pub(crate) fn set_over(&self, over: bool) -> bool {
        self.over.swap(over, Ordering::SeqCst) != over
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.budget.remove_receiver();
        // Nobody is left to put one in, or take one out.
        self.budget.remove_slots(frames(self.queued.load(Ordering::SeqCst)));
    }
}

/// The end of a queue that frames go into.
#[derive(Clone, Debug)]
pub(crate) struct OutboxSender {
    queue: mpsc::Sender<Frame>,
    backlog: Arc<Backlog>,
}

impl OutboxSender {
    /// Queues `frame`. Never blocks. What is queued for a session that has ended is dropped.
    pub(crate) fn push(&self, frame: Frame) {
        self.backlog.add_slots(1);
        self.push_counted(frame);
    }

    /// The same, where [`Backlog::add_slots`] has been called for it and others.
    pub(crate) fn push_counted(&self, frame: Frame) {
        // Counted first: a writer at the other end must not take off what was never added.
        self.backlog.queued.fetch_add(FRAME + frame.len() as u64, Ordering::SeqCst);
        let _ = self.queue.send(frame);
    }

    /// The accounting of the queue.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }
}

/// What is left after a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing: all of it was written.
    All,
    /// Something, for the socket is full.
    Part,
}

/// The end of a queue that frames come out of.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: OutboxSender,
    queue: mpsc::Receiver<Frame>,
    /// Frames taken out of the queue and not yet written whole.
    head: VecDeque<Frame>,
    /// Bytes of the first frame in `head` that are written.
    written: usize,
    /// Bytes that have ever been written.
    taken: u64,
}

impl Outbox {
    /// A new queue that should not hold more than `mark` bytes, or its share of `budget`.
    pub(crate) fn new(mark: usize, budget: &Arc<Budget>) -> Self {
        let (sender, receiver) = mpsc::channel();
        budget.add_receiver();
        let backlog = Backlog {
            queued: AtomicU64::new(0),
            mark,
            budget: Arc::clone(budget),
            over: AtomicBool::new(false),
            lags: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
        };
        Outbox {
            sender: OutboxSender { queue: sender, backlog: Arc::new(backlog) },
            queue: receiver,
            head: VecDeque::new(),
            written: 0,
            taken: 0,
        }
    }

    /// The other end.
    pub(crate) fn sender(&self) -> &OutboxSender {
        &self.sender
    }

    /// The accounting of the queue.
    pub(crate) fn backlog(&self) -> &Backlog {
        self.sender.backlog()
    }

    /// Bytes that have ever been written.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Writes what is queued to `out`, in order, until there is no more or `out` would block.
    ///
    /// # Errors
    ///
    /// What `out` fails with, other than `WouldBlock` and `Interrupted`.
    pub(crate) fn drain(&mut self, out: &mut impl Write) -> io::Result<Drained> {
        loop {
            let room = GATHER - self.head.len();
            self.head.extend(self.queue.try_iter().take(room));
            let result = match self.head.len() {
                0 => return Ok(Drained::All),
                1 => out.write(&self.head[0][self.written..]),
                _ => self.write_gathered(out),
            };
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.take_off(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Drained::Part),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write_gathered(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); GATHER];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.head) {
            let written = if count == 0 { self.written } else { 0 };
            *slice = IoSlice::new(&frame[written..]);
            count += 1;
        }
        out.write_vectored(&slices[..count])
    }

    /// `count` more bytes are written.
    fn take_off(&mut self, count: usize) {
        self.written += count;
        self.taken += count as u64;
        let before = self.head.len();
        while let Some(frame) = self.head.front()
            && frame.len() <= self.written
        {
            self.written -= frame.len();
            self.head.pop_front();
        }
        let taken = before - self.head.len();
        let backlog = self.backlog();
        backlog.queued.fetch_sub(FRAME * taken as u64 + count as u64, Ordering::SeqCst);
        if taken > 0 {
            backlog.budget.remove_slots(taken);
        }
    }
}
