//! One room with its workers, receivers and senders, without sockets and threads: a test chooses
//! in which order their steps happen.
//!
//! A step is what one thread does under the room's lock, or with the far ends of queues. So what
//! holds for all orders of steps holds for the server as far as each step is as good as one: a
//! queue can be emptied while a frame is being put into the others, and it is by reasoning that
//! this makes no difference (its worker is made to look once more).

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::mem;

use proptest::prelude::*;

use super::census::Census;
use super::frame::Budget;
use super::id::SessionId;
use super::lane::Lane;
use super::outbox::{Drained, Outbox};
use super::publication::Publication;
use super::room::{MemberKey, Room};
use super::session_queue::SessionQueue;
use super::sync::Arc;
use crate::wire::protocol::Name;

const WORKERS: usize = 2;

/// Receivers; each lives on the worker of its number, modulo [`WORKERS`], at first.
const RECEIVERS: usize = 3;

/// Senders, likewise.
const SENDERS: usize = 2;

/// Bytes of a frame.
const FRAME: usize = 4;

/// A receiver may have one frame queued; the second makes its room wait.
const MARK: usize = FRAME + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A receiver enters the room, unless it is in it.
    Enter(usize),
    /// A receiver leaves the room for another one.
    Leave(usize),
    /// A receiver's session moves to the other worker, with its queue.
    Move(usize),
    /// A receiver's connection ends, with all that is queued for it; another one takes its number.
    Cut(usize),
    /// A sender sends a text, or gets in line if it has to wait.
    Publish(usize),
    /// A worker hears that another one has published.
    Hear(usize),
    /// A worker writes to the socket of the receiver that has waited for that the longest.
    Write(usize),
    /// A receiver reads a few bytes, so that its socket takes as many again.
    Read(usize),
}

/// A socket's buffer.
#[derive(Default)]
struct Socket {
    /// Bytes that it takes before it is full.
    room: usize,
    got: Vec<u8>,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.got.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Receiver {
    worker: usize,
    outbox: Outbox,
    socket: Socket,
    key: Option<MemberKey>,
    /// The last write filled the socket: its worker waits for the system to tell when it has room.
    full: bool,
    /// What it has to get.
    due: Vec<u8>,
}

impl Receiver {
    fn new(worker: usize, budget: &Arc<Budget>) -> Self {
        Receiver {
            worker,
            outbox: Outbox::new(MARK, budget),
            socket: Socket { room: FRAME + 1, got: Vec::new() },
            key: None,
            full: false,
            due: Vec::new(),
        }
    }
}

struct Model {
    room: Room,
    budget: Arc<Budget>,
    receivers: Vec<Receiver>,
    /// Whether each sender stands in line.
    waiting: Vec<bool>,
    /// Workers with a message that somebody has published.
    told: BTreeSet<usize>,
    /// For each worker, receivers to write to.
    writes: Vec<SessionQueue>,
    frames: u32,
}

impl Model {
    fn new() -> Self {
        let budget = Arc::new(Budget::new(usize::MAX));
        let receiver = |number| Receiver::new(number % WORKERS, &budget);
        Model {
            receivers: (0..RECEIVERS).map(receiver).collect(),
            budget,
            room: Room::new(Name::parse(b"cafe").unwrap(), 0, WORKERS),
            waiting: vec![false; SENDERS],
            told: BTreeSet::new(),
            writes: (0..WORKERS).map(|_| SessionQueue::default()).collect(),
            frames: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Enter(receiver) => self.enter(receiver),
            Step::Leave(receiver) => self.leave(receiver),
            Step::Move(receiver) => self.move_on(receiver),
            Step::Cut(receiver) => self.cut(receiver),
            Step::Publish(sender) => self.publish(sender),
            Step::Hear(worker) => {
                if self.told.remove(&worker) {
                    self.room.look(worker, &mut self.writes[worker]);
                }
            }
            Step::Write(worker) => {
                // What is left of one that has moved is not this worker's any more.
                if let Some(receiver) = self.writes[worker].take(Lane::Quiet)
                    && self.receivers[receiver].worker == worker
                {
                    self.write(receiver);
                }
            }
            Step::Read(receiver) => {
                let Receiver { worker, socket, full, .. } = &mut self.receivers[receiver];
                socket.room += 3;
                if mem::take(full) {
                    self.writes[*worker].add(receiver, Lane::Quiet);
                }
            }
        }
        self.check(step);
    }

    fn enter(&mut self, number: usize) {
        let receiver = &mut self.receivers[number];
        if receiver.key.is_none() {
            let key = self.room.enter(receiver.worker, number, receiver.outbox.sender(), None);
            receiver.key = Some(key);
        }
    }

    fn leave(&mut self, number: usize) {
        if let Some(key) = self.receivers[number].key.take() {
            let relieved = self.room.leave(Some(key), None);
            self.resume(relieved);
            // It has an answer coming, for which its worker writes what is queued.
            self.writes[self.receivers[number].worker].add(number, Lane::Quiet);
        }
    }

    fn move_on(&mut self, number: usize) {
        let receiver = &mut self.receivers[number];
        receiver.worker = (receiver.worker + 1) % WORKERS;
        if let Some(key) = receiver.key {
            receiver.key = Some(self.room.move_member(key, receiver.worker, number));
        }
        // It is written to as it arrives.
        self.write(number);
    }

    fn cut(&mut self, number: usize) {
        if let Some(key) = self.receivers[number].key.take() {
            let relieved = self.room.leave(Some(key), None);
            self.resume(relieved);
        }
        let worker = self.receivers[number].worker;
        self.receivers[number] = Receiver::new(worker, &self.budget);
    }

    fn publish(&mut self, sender: usize) {
        let worker = sender % WORKERS;
        let id = SessionId { worker, token: sender, serial: sender as u64 };
        if self.waiting[sender] {
            return;
        }
        if self.room.is_congested() && self.room.wait(id) {
            self.waiting[sender] = true;
            return;
        }
        self.frames += 1;
        let frame = self.frames.to_be_bytes();
        let published = self.room.publish(
            Publication::Plain(&frame.to_vec().into()),
            Some((worker, &mut self.writes[worker])),
        );
        self.told.extend(published.notify.iter());
        let present = self.receivers.iter_mut().filter(|receiver| receiver.key.is_some());
        let count = present.map(|receiver| receiver.due.extend_from_slice(&frame)).count();
        assert_eq!(published.receivers, count);
    }

    fn write(&mut self, number: usize) {
        let receiver = &mut self.receivers[number];
        let drained = receiver.outbox.drain(&mut receiver.socket).unwrap();
        receiver.full = drained == Drained::Part;
        if let Some(key) = receiver.key
            && receiver.outbox.backlog().is_over()
            && !receiver.outbox.backlog().above_mark()
        {
            let relieved = self.room.relieve(key);
            self.resume(relieved);
        }
    }

    fn resume(&mut self, relieved: Vec<SessionId>) {
        for sender in relieved {
            assert!(mem::take(&mut self.waiting[sender.token]), "{sender:?} did not wait");
        }
    }

    /// What holds after every step.
    fn check(&self, after: Step) {
        for (number, receiver) in self.receivers.iter().enumerate() {
            let Receiver { worker, outbox, socket, key, full, due } = receiver;
            assert!(due.starts_with(&socket.got), "receiver {number} after {after:?}: order");
            let queued = outbox.backlog().bytes();
            assert_eq!(queued, due.len() - socket.got.len(), "receiver {number} after {after:?}");
            // Nothing lies in a queue that nobody will look into.
            let expected =
                *full || self.writes[*worker].holds(number) || self.told.contains(worker);
            assert!(queued == 0 || expected, "receiver {number} after {after:?}: forgotten");
            if key.is_some() && outbox.backlog().above_mark() {
                assert!(self.room.is_congested(), "receiver {number} after {after:?}: not counted");
            }
        }
        let anybody_waits = self.waiting.iter().any(|waits| *waits);
        assert!(!anybody_waits || self.room.is_congested(), "after {after:?}: waits for nothing");
    }

    fn is_settled(&self) -> bool {
        let mut receivers = self.receivers.iter();
        let written = receivers.all(|receiver| receiver.outbox.backlog().bytes() == 0);
        written && self.told.is_empty() && self.writes.iter().all(SessionQueue::is_empty)
    }

    /// Everybody does what there is to do until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..200 {
            if self.is_settled() {
                break;
            }
            (0..WORKERS).for_each(|worker| self.step(Step::Hear(worker)));
            (0..WORKERS).for_each(|worker| self.step(Step::Write(worker)));
            (0..RECEIVERS).for_each(|receiver| self.step(Step::Read(receiver)));
        }
        for (number, Receiver { socket, due, .. }) in self.receivers.iter().enumerate() {
            assert_eq!(socket.got, *due, "receiver {number} in the end");
        }
        assert_eq!(self.waiting, [false; SENDERS], "in the end");
        assert!(!self.room.is_congested(), "in the end");
        (0..RECEIVERS).for_each(|receiver| self.leave(receiver));
        assert_eq!(self.room.census(), Census::default());
        assert_eq!(self.budget.used(), 0, "in the end");
    }
}

/// Runs the steps in this order, and then all that is left to do.
fn run(steps: impl IntoIterator<Item = Step>) {
    let mut model = Model::new();
    steps.into_iter().for_each(|step| model.step(step));
    model.settle();
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..RECEIVERS).prop_map(Step::Enter),
        1 => (0..RECEIVERS).prop_map(Step::Leave),
        1 => (0..RECEIVERS).prop_map(Step::Move),
        1 => (0..RECEIVERS).prop_map(Step::Cut),
        4 => (0..SENDERS).prop_map(Step::Publish),
        3 => (0..WORKERS).prop_map(Step::Hear),
        3 => (0..WORKERS).prop_map(Step::Write),
        4 => (0..RECEIVERS).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_long_run_delivers_everything_in_order_and_forgets_nobody(
        steps in prop::collection::vec(any_step(), 0..120),
    ) {
        run(steps);
    }
}

/// From a room where a receiver on each worker is one frame from its mark, every order of a few
/// steps.
#[test]
fn every_order_of_a_few_steps_delivers_everything_in_order_and_forgets_nobody() {
    const DEPTH: usize = 5;
    let begin = [Step::Enter(0), Step::Enter(1), Step::Publish(0), Step::Publish(0)];
    let choice = [
        Step::Publish(0),
        Step::Publish(1),
        Step::Hear(1),
        Step::Write(0),
        Step::Write(1),
        Step::Read(0),
        Step::Read(1),
        Step::Leave(1),
        Step::Cut(0),
        Step::Enter(1),
        Step::Move(1),
    ];
    for number in 0..choice.len().pow(DEPTH as u32) {
        let mut rest = number;
        let steps = (0..DEPTH).map(|_| {
            let step = choice[rest % choice.len()];
            rest /= choice.len();
            step
        });
        run(begin.into_iter().chain(steps));
    }
}
