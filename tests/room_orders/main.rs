//! A room with two publishers on threads of their own, a receiver that is always there, and one
//! that comes, reads slowly, moves to another thread, and goes, in many orders of their steps. The
//! room and its queues are compiled once more here, with locks, atomics and channels that choose the
//! order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]

use std::io::{self, ErrorKind, Write};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner, thread};

use wire::protocol::Name;

#[path = "../../src/server/chat/census.rs"]
mod census;
#[path = "../../src/server/chat/effects.rs"]
mod effects;
#[path = "../../src/server/chat/frame.rs"]
mod frame;
#[path = "../../src/server/chat/id.rs"]
mod id;
#[path = "../../src/server/chat/lane.rs"]
mod lane;
#[path = "../../src/server/chat/membership.rs"]
mod membership;
#[path = "../../src/server/chat/outbox.rs"]
mod outbox;
#[path = "../../src/server/chat/publication.rs"]
mod publication;
#[path = "../../src/server/chat/replay.rs"]
mod replay;
#[path = "../../src/server/chat/room.rs"]
mod room;
#[path = "../../src/server/chat/rooms.rs"]
mod rooms;
#[path = "../../src/server/chat/session_queue.rs"]
mod session_queue;

mod wire;

mod sync {
    pub(crate) use shuttle::sync::atomic;
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, mpsc};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

use effects::{Effect, Effects};
use frame::{Budget, Frame};
use id::SessionId;
use membership::Membership;
use outbox::{Drained, Outbox};
use publication::Publication;
use room::Room;
use rooms::Rooms;
use session_queue::SessionQueue;
use sync::{Arc, Mutex, lock, mpsc};

/// Workers: two that publish, and two on which receivers live.
const WORKERS: usize = 4;

/// Frames of each publisher.
const FRAMES: u8 = 5;

/// Bytes that may be queued; a frame has two.
const MARK: usize = 3;

/// What a worker is told.
enum Told {
    /// Look into the queues of the room.
    Look,
    /// Go on.
    Resume,
    /// Nobody publishes any more.
    End,
}

/// The ways to all workers, and the rooms.
#[derive(Clone)]
struct Server {
    rooms: Arc<Rooms>,
    budget: Arc<Budget>,
    mailboxes: Vec<mpsc::Sender<Told>>,
}

impl Server {
    fn enter(&self, effects: &Effects) -> Membership {
        let name = Name::parse(b"cafe").unwrap();
        Membership::new(&self.rooms, &name, || Room::new(name.clone(), 0, WORKERS), effects)
    }

    fn carry_out(&self, wanted: &mpsc::Receiver<Effect>) {
        while let Ok(effect) = wanted.try_recv() {
            let (worker, told) = match effect {
                Effect::Resume(session) => (session.worker, Told::Resume),
                Effect::Notify(worker, _) => (worker, Told::Look),
                Effect::Answer(..) | Effect::Opened(..) | Effect::Page(..) => {
                    panic!("there is no log")
                }
            };
            let _ = self.mailboxes[worker].send(told);
        }
    }
}

/// A socket that takes `room` bytes.
struct Socket {
    room: usize,
    got: Arc<Mutex<Vec<u8>>>,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        lock(&self.got).extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Publishes its frames, and waits whenever it has to.
fn publish(server: &Server, worker: usize, inbox: &mpsc::Receiver<Told>) {
    let (effects, wanted) = Effects::new();
    let mut membership = server.enter(&effects);
    let id = SessionId { worker, token: 0, serial: worker as u64 };
    for number in 0..FRAMES {
        while membership.room().is_congested() && membership.wait(id) {
            while !matches!(inbox.recv().unwrap(), Told::Resume) {}
            membership.stop_waiting();
        }
        let frame = Frame::from(vec![worker as u8, number]);
        let published = membership.room().publish(Publication::Plain(&frame), None);
        for other in published.notify.iter() {
            effects.add(Effect::Notify(other, Arc::clone(membership.room())));
        }
        server.carry_out(&wanted);
    }
    drop(membership);
    server.carry_out(&wanted);
}

/// A receiver, and what it has got.
struct Receiver {
    server: Server,
    membership: Membership,
    outbox: Outbox,
    socket: Socket,
    effects: (Effects, mpsc::Receiver<Effect>),
}

impl Receiver {
    fn new(server: &Server, worker: usize, room: usize, got: &Arc<Mutex<Vec<u8>>>) -> Self {
        let effects = Effects::new();
        let outbox = Outbox::new(MARK, &server.budget);
        let mut membership = server.enter(&effects.0);
        membership.attach(worker, 0, outbox.sender(), None, &effects.0);
        let socket = Socket { room, got: Arc::clone(got) };
        Receiver { server: server.clone(), membership, outbox, socket, effects }
    }

    /// Its worker writes to it; `true` if all is written.
    fn write(&mut self) -> bool {
        let drained = self.outbox.drain(&mut self.socket).unwrap();
        if self.outbox.backlog().is_over() && !self.outbox.backlog().above_mark() {
            self.membership.relieve();
        }
        self.server.carry_out(&self.effects.1);
        drained == Drained::All
    }

    /// Its worker looks into the room, because it was told to.
    fn look(&mut self, worker: usize) {
        self.membership.room().look(worker, &mut SessionQueue::default());
        self.write();
    }
}

/// Is there until nobody publishes any more, and gets everything.
fn listen(mut receiver: Receiver, worker: usize, inbox: &mpsc::Receiver<Told>) {
    loop {
        match inbox.recv().unwrap() {
            Told::Look => receiver.look(worker),
            Told::Resume => {}
            Told::End => break,
        }
    }
    assert!(receiver.write());
}

/// Comes, gets a few bytes at a time, moves, and goes.
fn pass_through(server: &Server, worker: usize, got: &Arc<Mutex<Vec<u8>>>) {
    let mut receiver = Receiver::new(server, worker, 0, got);
    for round in 0..6 {
        receiver.socket.room += 3;
        receiver.look(worker);
        if round == 2 {
            // To where the other one is, whose worker is told from now on.
            let Receiver { membership, outbox, effects, .. } = &mut receiver;
            membership.attach(WORKERS - 2, 1, outbox.sender(), None, &effects.0);
        }
        thread::yield_now();
    }
    let Receiver { membership, effects, .. } = receiver;
    drop(membership);
    server.carry_out(&effects.1);
}

fn run_once() {
    let (mailboxes, mut inboxes): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| mpsc::channel()).unzip();
    let budget = Arc::new(Budget::new(usize::MAX));
    let server = Server { rooms: Arc::new(Rooms::default()), budget, mailboxes };
    let [all, some] = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let (last, third) = (inboxes.pop().unwrap(), inboxes.pop().unwrap());
    let listener = Receiver::new(&server, WORKERS - 2, usize::MAX, &all);
    let listening = thread::spawn(move || listen(listener, WORKERS - 2, &third));
    let mut others: Vec<_> = inboxes
        .into_iter()
        .enumerate()
        .map(|(worker, inbox)| {
            let server = server.clone();
            thread::spawn(move || publish(&server, worker, &inbox))
        })
        .collect();
    let passing = (server.clone(), Arc::clone(&some));
    others.push(thread::spawn(move || pass_through(&passing.0, WORKERS - 1, &passing.1)));
    others.into_iter().for_each(|other| other.join().unwrap());
    server.mailboxes[WORKERS - 2].send(Told::End).unwrap();
    listening.join().unwrap();
    drop(last);
    check(&lock(&all), &lock(&some));
    assert!(server.rooms.all().is_empty());
    assert_eq!(server.budget.used(), 0);
}

/// All is there once, each publisher's in order; and what the one heard that was not always there is
/// a piece of it.
fn check(all: &[u8], some: &[u8]) {
    for publisher in 0..2 {
        let frames = all.chunks(2).filter(|frame| frame[0] == publisher);
        let numbers: Vec<_> = frames.map(|frame| frame[1]).collect();
        assert_eq!(numbers, (0..FRAMES).collect::<Vec<_>>(), "of publisher {publisher}: {all:?}");
    }
    assert_eq!(all.len(), 2 * 2 * usize::from(FRAMES));
    let is_piece = some.is_empty() || all.windows(some.len()).any(|piece| piece == some);
    assert!(is_piece, "{some:?} is no piece of {all:?}");
}

fn run_many(scheduler: impl Scheduler + 'static) {
    Runner::new(scheduler, Config::new()).run(run_once);
}

#[test]
fn many_orders_deliver_everything_once_and_in_one_order() {
    run_many(RandomScheduler::new_from_seed(1, 20_000));
}

/// Such as have few changes from one thread to another, at unlikely places.
#[test]
fn unlikely_orders_deliver_everything_once_and_in_one_order() {
    run_many(PctScheduler::new_from_seed(1, 4, 20_000));
}
