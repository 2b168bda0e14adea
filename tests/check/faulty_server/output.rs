//! What is on its way to a client of the faulty server.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::fault::Fault::{self, *};

/// A thread writes it, so that nobody waits for one who does not read.
#[derive(Clone)]
pub struct Output {
    queue: Sender<Item>,
    pub stream: Arc<TcpStream>,
    fault: Fault,
    /// What is in the queue.
    queued: Arc<AtomicUsize>,
    /// How often the queue was cleared.
    cleared: Arc<AtomicUsize>,
    /// Nothing more is written.
    done: Arc<AtomicBool>,
}

/// Some bytes, and how often the queue had been cleared by then; or that it is enough.
type Item = Option<(Vec<u8>, usize)>;

impl Output {
    pub fn of(stream: &TcpStream, fault: Fault) -> Self {
        let stream = Arc::new(stream.try_clone().unwrap());
        let (queue, items) = mpsc::channel();
        let output = Output {
            queue,
            stream,
            fault,
            queued: Arc::default(),
            cleared: Arc::default(),
            done: Arc::default(),
        };
        let (stream, queued) = (Arc::clone(&output.stream), Arc::clone(&output.queued));
        let (cleared, done) = (Arc::clone(&output.cleared), Arc::clone(&output.done));
        thread::spawn(move || {
            while let Some(Some((bytes, when))) = next(&items, fault) {
                queued.fetch_sub(1, Ordering::SeqCst);
                if fault == AnswersOvertake {
                    thread::sleep(Duration::from_micros(300));
                }
                if when == cleared.load(Ordering::SeqCst) && (&*stream).write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = stream.shutdown(Shutdown::Both);
            done.store(true, Ordering::SeqCst);
        });
        output
    }

    /// Writes something, and tells whether that makes sense.
    pub fn write(&self, bytes: &[u8]) -> bool {
        let is_delivery = bytes.starts_with(b"delivery:");
        let overtakes = self.fault == AnswersOvertake && !is_delivery;
        if overtakes || matches!(self.fault, SlowReceiversBlock | AnswersBlock) {
            return (&*self.stream).write_all(bytes).is_ok();
        }
        if self.fault == QueueLimited && is_delivery && self.queued.load(Ordering::SeqCst) > 5000 {
            return true;
        }
        self.queued.fetch_add(1, Ordering::SeqCst);
        self.queue.send(Some((bytes.to_vec(), self.cleared.load(Ordering::SeqCst)))).is_ok()
    }

    /// Forgets what is in the queue, if that is much.
    pub fn clear(&self) {
        if self.queued.load(Ordering::SeqCst) > 100 {
            self.cleared.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// All is written, or cannot be.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// Closes the connection when all is written.
    pub fn close(&self) {
        let _ = self.queue.send(None);
    }
}

/// What is to be written next.
fn next(items: &Receiver<Item>, fault: Fault) -> Option<Item> {
    match items.recv_timeout(Duration::from_secs(5)) {
        Ok(item) => Some(item),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let item = items.recv().ok()?;
            let is_delivery = |(bytes, _): &(Vec<u8>, usize)| bytes.starts_with(b"delivery:");
            let lost = fault == SilenceLoses && item.as_ref().is_some_and(is_delivery);
            if lost { items.recv().ok() } else { Some(item) }
        }
    }
}
