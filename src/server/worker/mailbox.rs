//! The way to one worker: a channel, and a wake-up when the worker sleeps.
//!
//! No wake-up is lost: a worker that is about to sleep says so, and then looks into its channel once
//! more; a sender puts its message into the channel, and looks afterwards whether it sleeps. Each
//! does its two steps in that order, a fence between them, so at least one of them sees the other.

use super::sync::atomic::{AtomicBool, Ordering, fence};
use super::sync::mpsc;

/// Wakes a worker that sleeps, or is about to.
pub(crate) trait Wake {
    /// Wakes it, now or when it goes to sleep next.
    fn wake(&self);
}

/// The sending end of a worker's channel.
#[derive(Debug)]
pub(crate) struct Mailbox<M, W> {
    queue: mpsc::Sender<M>,
    waker: W,
    /// The worker sleeps or is about to, so that it has to be woken.
    asleep: AtomicBool,
}

impl<M, W: Wake> Mailbox<M, W> {
    /// A mailbox that puts messages into `queue` and wakes the worker with `waker`.
    pub(crate) fn new(queue: mpsc::Sender<M>, waker: W) -> Self {
        Mailbox { queue, waker, asleep: AtomicBool::new(false) }
    }

    /// The worker is about to sleep, unless there is a message in its channel, which it has to take
    /// then: what is sent later wakes it.
    pub(crate) fn fall_asleep(&self, inbox: &mpsc::Receiver<M>) -> Option<M> {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        inbox.try_recv().ok()
    }

    /// The worker is awake.
    pub(crate) fn stay_awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Sends a message. A worker that has ended needs none.
    pub(crate) fn send(&self, message: M) {
        let _ = self.queue.send(message);
        fence(Ordering::SeqCst);
        // One wake-up is enough.
        let (order, otherwise) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.asleep.compare_exchange(true, false, order, otherwise).is_ok() {
            self.waker.wake();
        }
    }
}
