//! The threads that workers run on, and what they need to hear from each other.

use std::io;
use std::sync::mpsc;
use std::thread;

use log::warn;
use mio::{Poll, Token, Waker};

use super::mailbox::Mailbox;
use super::shared::Message;
use crate::server::chat::id::WorkerSet;

/// The token that wakes a loop.
const WAKE: Token = Token(usize::MAX);

/// Descriptors for each that a worker needs, so that most are left for clients.
const SHARE: usize = 16;

/// The way to a worker.
type WorkerMailbox = Mailbox<Message, Waker>;

/// A thread that a worker is going to run on, and what the worker needs.
#[derive(Debug)]
pub(crate) struct WorkerThread {
    /// Starts the worker.
    pub starter: Starter,
    /// What the worker waits with.
    pub poll: Poll,
    /// What it is told.
    pub inbox: mpsc::Receiver<Message>,
}

/// A thread that waits for what it is to run.
#[derive(Debug)]
pub(crate) struct Starter(mpsc::Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

impl Starter {
    fn new(name: &str) -> io::Result<Self> {
        let (jobs, wait) = mpsc::channel::<Job>();
        // There is none if the server does not come to be.
        let run = move || wait.recv().into_iter().for_each(|job| job());
        thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Starter(jobs))
    }

    /// Lets the thread run this, and end.
    pub(crate) fn start(self, job: impl FnOnce() + Send + 'static) {
        // It waits for this, and for nothing else.
        let _ = self.0.send(Box::new(job));
    }
}

/// How many threads there can run at a time.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Starts so many threads. If there are not so many to be had, starts what there is. `asked` says
/// that it is somebody's wish, and worth a warning.
///
/// # Errors
///
/// If there is not a single thread to be had, or no descriptors.
pub(crate) fn spawn(
    wanted: usize,
    asked: bool,
    descriptors: usize,
) -> io::Result<(Vec<WorkerMailbox>, Vec<WorkerThread>)> {
    let affordable = (descriptors / SHARE).clamp(1, WorkerSet::MAX);
    if asked && wanted > affordable {
        warn!("{affordable} workers instead of {wanted}: more cannot be had");
    }
    let mut started = vec![spawn_one(0)?];
    for index in 1..wanted.min(affordable) {
        match spawn_one(index) {
            Ok(one) => started.push(one),
            Err(error) => {
                warn!("cannot have more than {index} workers: {error}");
                break;
            }
        }
    }
    Ok(started.into_iter().unzip())
}

fn spawn_one(index: usize) -> io::Result<(WorkerMailbox, WorkerThread)> {
    let (mailbox, poll, inbox) = mailbox()?;
    let starter = Starter::new(&format!("worker {index}"))?;
    Ok((mailbox, WorkerThread { starter, poll, inbox }))
}

/// What a worker and those who write to it need.
pub(crate) fn mailbox() -> io::Result<(WorkerMailbox, Poll, mpsc::Receiver<Message>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let (queue, inbox) = mpsc::channel();
    Ok((Mailbox::new(queue, waker), poll, inbox))
}
