//! A worker that falls asleep while others send it something, in every order of all their steps, and
//! with all that each may see of the others'. The mailbox is compiled once more here, with atomics
//! that choose that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

#[path = "../../src/server/worker/mailbox.rs"]
mod mailbox;

mod sync {
    pub(crate) use loom::sync::atomic;

    /// A channel that promises no more than `std`'s: who takes a message sees what its sender did
    /// before. Loom's own shows everybody at once what is in it.
    pub(crate) mod mpsc {
        use std::cell::Cell;
        use std::collections::VecDeque;
        use std::sync::{Arc, Mutex};

        use loom::sync::atomic::{AtomicUsize, Ordering};

        #[derive(Debug)]
        pub(crate) struct Sender<T>(Arc<Channel<T>>);

        #[derive(Debug)]
        pub(crate) struct Receiver<T> {
            channel: Arc<Channel<T>>,
            taken: Cell<usize>,
        }

        #[derive(Debug)]
        struct Channel<T> {
            messages: Mutex<VecDeque<T>>,
            /// How many have been sent, as far as a thread can see.
            sent: AtomicUsize,
        }

        pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let channel =
                Arc::new(Channel { messages: Mutex::default(), sent: AtomicUsize::new(0) });
            (Sender(Arc::clone(&channel)), Receiver { channel, taken: Cell::new(0) })
        }

        impl<T> Sender<T> {
            pub(crate) fn send(&self, message: T) -> Result<(), T> {
                self.0.messages.lock().unwrap().push_back(message);
                self.0.sent.fetch_add(1, Ordering::Release);
                Ok(())
            }
        }

        impl<T> Receiver<T> {
            pub(crate) fn try_recv(&self) -> Result<T, ()> {
                if self.channel.sent.load(Ordering::Acquire) == self.taken.get() {
                    return Err(());
                }
                self.taken.set(self.taken.get() + 1);
                self.channel.messages.lock().unwrap().pop_front().ok_or(())
            }
        }
    }
}

use mailbox::{Mailbox, Wake};

/// What the system wakes a thread with: it is woken also if it goes to sleep only later.
#[derive(Debug, Default)]
struct Waker {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Wake for Arc<Waker> {
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.wake.notify_one();
    }
}

impl Waker {
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.wake.wait(woken).unwrap();
        }
        *woken = false;
    }
}

/// Nothing is left in the channel of a worker that sleeps: else this never ends, which is noticed.
#[test]
fn no_order_loses_a_wake_up() {
    const SENDERS: usize = 2;
    loom::model(|| {
        let waker = Arc::new(Waker::default());
        let (queue, inbox) = sync::mpsc::channel();
        let mailbox = Arc::new(Mailbox::new(queue, Arc::clone(&waker)));
        for sender in 0..SENDERS {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.send(sender));
        }
        let mut got = Vec::new();
        while got.len() < SENDERS {
            match mailbox.fall_asleep(&inbox) {
                Some(sender) => got.push(sender),
                None => waker.sleep(),
            }
            mailbox.stay_awake();
            while let Ok(sender) = inbox.try_recv() {
                got.push(sender);
            }
        }
        got.sort_unstable();
        assert_eq!(got, [0, 1]);
    });
}
