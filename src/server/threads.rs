//! The threads that workers run on, and what they need to hear from each other.

use std::io;
use std::sync::mpsc;
use std::thread;

use log::warn;
use mio::{Poll, Waker};

use super::hub::{Mailbox, Message, WorkerSet};
use super::worker::WAKE;

/// Descriptors for each that a worker needs, so that most are left for clients.
const SHARE: usize = 16;

/// Where a worker is going to work.
#[derive(Debug)]
pub struct Post {
    /// The thread.
    pub recruit: Recruit,
    /// What the worker waits with.
    pub poll: Poll,
    /// What it is told.
    pub inbox: mpsc::Receiver<Message>,
}

/// A thread that waits to be told what to do.
#[derive(Debug)]
pub struct Recruit {
    orders: mpsc::Sender<Order>,
}

type Order = Box<dyn FnOnce() + Send>;

impl Recruit {
    fn new(name: &str) -> io::Result<Self> {
        let (orders, wait) = mpsc::channel::<Order>();
        // There are no orders if the server does not come to be.
        let follow = move || wait.recv().into_iter().for_each(|order| order());
        thread::Builder::new().name(name.into()).spawn(follow)?;
        Ok(Recruit { orders })
    }

    /// Tells it what to do.
    pub fn give(self, order: impl FnOnce() + Send + 'static) {
        // It waits for this, and for nothing else.
        let _ = self.orders.send(Box::new(order));
    }
}

/// Starts as many threads as are wanted, or one for each processor. If there are not so many to be
/// had, starts what there is.
///
/// # Errors
///
/// If there is not a single thread to be had, or no descriptors.
pub fn start(wanted: Option<usize>, descriptors: usize) -> io::Result<(Vec<Mailbox>, Vec<Post>)> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let affordable = (descriptors / SHARE).clamp(1, WorkerSet::MAX);
    if let Some(wanted) = wanted.filter(|wanted| *wanted > affordable) {
        warn!("{affordable} workers instead of {wanted}: more cannot be had");
    }
    let wanted = wanted.unwrap_or(processors);
    let mut started = vec![start_one(0)?];
    for index in 1..wanted.min(affordable) {
        match start_one(index) {
            Ok(one) => started.push(one),
            Err(error) => {
                warn!("cannot have more than {index} workers: {error}");
                break;
            }
        }
    }
    Ok(started.into_iter().unzip())
}

fn start_one(index: usize) -> io::Result<(Mailbox, Post)> {
    let (mailbox, poll, inbox) = mailbox()?;
    let recruit = Recruit::new(&format!("worker {index}"))?;
    Ok((mailbox, Post { recruit, poll, inbox }))
}

/// What a worker and those who write to it need.
pub fn mailbox() -> io::Result<(Mailbox, Poll, mpsc::Receiver<Message>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let (queue, inbox) = mpsc::channel();
    Ok((Mailbox::new(queue, waker), poll, inbox))
}
