//! What the server's threads share: the workers' mailboxes, the rooms, the places, the tallies.

use std::iter;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::Waker;
use mio::net::TcpStream;

use super::connection::Connection;
use super::directory::Directory;
use super::places::{Place, Places};
use super::room::Room;
use super::warning::Warning;

/// Sessions for each of the other workers from which on the reserve gets some. Fewer are served
/// better by fewer threads, which do more in one turn, and leave a processor to whoever connects
/// from this machine.
pub const CROWD: usize = 2000;

/// How long a worker counts as loud after it has been.
const OF_LATE: Duration = Duration::from_secs(1);

/// Names one session, and never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The worker that owns the session.
    pub worker: usize,
    /// The session's place on its worker; used again after it.
    pub token: usize,
    /// Counts all sessions.
    pub serial: u64,
}

/// Some of the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerSet(u64);

impl WorkerSet {
    /// The most workers there can be.
    pub const MAX: usize = 64;

    /// Adds one.
    pub fn add(&mut self, worker: usize) {
        self.0 |= 1 << worker;
    }

    /// All in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |worker| self.0 >> worker & 1 == 1)
    }
}

/// What a worker is told.
#[derive(Debug)]
pub enum Message {
    /// Let in nobody any more; say so through the sender.
    Close(mpsc::Sender<()>),
    /// A place is free again.
    PlaceFree,
    /// A client has connected.
    Connected(TcpStream, SocketAddr, Place),
    /// A session moves here, for the sake of the room that it is to enter.
    Arriving(Box<Connection>),
    /// Another worker has published in the room.
    Published(Arc<Room>),
    /// The session need no longer wait.
    Resume(SessionId),
    /// The session has to make room for others.
    LetGo(SessionId),
    /// Carry out what was received, then say so through the sender, and take no more.
    Finish(mpsc::Sender<()>),
    /// Carry out nothing more; say so through the sender when all texts are published.
    Halt(mpsc::Sender<()>),
    /// Write what is queued, until then at the latest, and end.
    Drain(Instant),
}

/// The way to one worker.
#[derive(Debug)]
pub struct Mailbox {
    queue: mpsc::Sender<Message>,
    waker: Waker,
    /// The worker sleeps or is about to, so that it has to be woken.
    asleep: AtomicBool,
    /// Sessions on the worker.
    sessions: AtomicUsize,
    /// When the worker was last busy with large rooms, in milliseconds since `made`; 0 for never.
    loud: AtomicU64,
    made: Instant,
}

impl Mailbox {
    /// A mailbox that puts messages into `queue` and wakes the worker with `waker`.
    pub fn new(queue: mpsc::Sender<Message>, waker: Waker) -> Self {
        Mailbox {
            queue,
            waker,
            asleep: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            loud: AtomicU64::new(0),
            made: Instant::now(),
        }
    }

    /// The worker is busy with large rooms.
    pub fn set_loud(&self) {
        let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.loud.store(now.max(1), Ordering::Relaxed);
    }

    /// The worker has been busy with large rooms of late.
    fn is_loud(&self) -> bool {
        let loud = self.loud.load(Ordering::Relaxed);
        loud > 0 && self.made.elapsed() < Duration::from_millis(loud) + OF_LATE
    }

    /// Says that the worker is about to sleep. It has to look into its queue once more before it
    /// does: what is sent from now on wakes it.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Says that the worker is awake.
    pub fn stay_awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// One more session is on the worker, or on its way.
    pub fn add_session(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// Sessions on the worker, or on their way.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// One session has left.
    pub fn remove_session(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    fn send(&self, message: Message) {
        // A worker that has ended needs no messages.
        let _ = self.queue.send(message);
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            log::error!("cannot wake a worker: {error}");
        }
    }
}

/// What is set from outside, and holds for every client.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// Bytes that may be queued for a receiver before its room's senders have to wait.
    pub queue_limit: usize,
    /// How long a receiver's queue may stay above `queue_limit`.
    pub stall_timeout: Duration,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Texts carried out.
    pub texts: AtomicU64,
    /// Deliveries queued.
    pub deliveries: AtomicU64,
    /// Receivers cut for stalling.
    pub cut: AtomicU64,
    /// Clients whose systems have not answered, or taken anything, for too long.
    pub lost: AtomicU64,
}

/// What the server's threads share.
#[derive(Debug)]
pub struct Hub {
    /// One for each worker.
    pub mailboxes: Vec<Mailbox>,
    /// Workers that get sessions from the start, at least one. If there is one more, that is a
    /// reserve.
    pub regulars: usize,
    /// The rooms.
    pub directory: Arc<Directory>,
    /// The clients' places.
    pub places: Arc<Places>,
    /// What holds for every client.
    pub limits: Limits,
    /// What has happened so far.
    pub tally: Tally,
    /// Tells of receivers that hold their rooms back.
    pub slow_receivers: Mutex<Warning>,
}

impl Hub {
    /// Sends a message to a worker.
    pub fn tell(&self, worker: usize, message: Message) {
        self.mailboxes[worker].send(message);
    }

    /// Sends every worker a message.
    pub fn tell_all(&self, message: impl Fn() -> Message) {
        for worker in 0..self.mailboxes.len() {
            self.tell(worker, message());
        }
    }

    /// Tells senders that they need no longer wait.
    pub fn resume(&self, sessions: Vec<SessionId>) {
        for session in sessions {
            self.tell(session.worker, Message::Resume(session));
        }
    }

    /// Sends a session to the worker where it is to live, or a new client.
    pub fn hand_over(&self, worker: usize, message: Message) {
        self.mailboxes[worker].add_session();
        self.tell(worker, message);
    }

    /// The workers that receivers are given to: all but the reserve, until there is a crowd.
    pub fn in_service(&self) -> Range<usize> {
        let sessions: usize = self.mailboxes.iter().map(Mailbox::sessions).sum();
        match sessions >= CROWD * self.regulars {
            true => 0..self.mailboxes.len(),
            false => 0..self.regulars,
        }
    }

    /// What so many sessions are to a worker. The reserve gets half as many as the others: where
    /// its processor is, the clients of this machine are, too, and to hand a session over costs.
    fn load(&self, worker: usize, sessions: usize) -> usize {
        if worker < self.regulars { sessions } else { 2 * sessions }
    }

    /// The worker for a newcomer or a new room: the one with the fewest sessions, `preferred` among
    /// equals. Never the reserve: to log in there would take a wake-up for each line.
    pub fn least_busy(&self, preferred: usize) -> usize {
        let load = |worker: &usize| (self.mailboxes[*worker].sessions(), *worker != preferred);
        (0..self.regulars).min_by_key(load).unwrap_or(preferred)
    }

    /// Where a small room can go that has to wait for large ones: the worker with the fewest sessions
    /// of those that have not been busy with large rooms of late, a reserve included.
    pub fn refuge(&self) -> Option<usize> {
        let calm = (0..self.mailboxes.len()).filter(|worker| !self.mailboxes[*worker].is_loud());
        calm.min_by_key(|worker| self.mailboxes[*worker].sessions())
    }

    /// Where a receiver should live that is at `here` and whose room is at `home`: there, or in the
    /// reserve if that has less load, this session aside.
    pub fn relief(&self, home: usize, here: usize) -> usize {
        let load = |worker: &usize| {
            let itself = usize::from(*worker == here);
            let others = self.mailboxes[*worker].sessions().saturating_sub(itself);
            (self.load(*worker, others), *worker != here)
        };
        let reserve = self.in_service().skip(self.regulars);
        iter::once(home).chain(reserve).min_by_key(load).unwrap_or(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::threads::mailbox;

    /// A hub whose last worker is a reserve, with so many sessions on each.
    fn hub(sessions: [usize; 3]) -> Hub {
        let mailboxes = sessions.map(|sessions| {
            let (mailbox, ..) = mailbox().unwrap();
            (0..sessions).for_each(|_| mailbox.add_session());
            mailbox
        });
        let second = Duration::from_secs(1);
        Hub {
            mailboxes: mailboxes.into(),
            regulars: 2,
            directory: Arc::default(),
            places: Arc::new(Places::new(1, None)),
            limits: Limits { login_timeout: second, queue_limit: 1, stall_timeout: second },
            tally: Tally::default(),
            slow_receivers: Mutex::default(),
        }
    }

    #[test]
    fn newcomers_are_shared_by_all_but_the_reserve() {
        let cases = [([0, 0, 0], 0), ([7, 5, 0], 1), ([5, 5, 9], 0), ([3 * CROWD, CROWD, 0], 1)];
        for (sessions, newcomer) in cases {
            assert_eq!(hub(sessions).least_busy(0), newcomer, "{sessions:?}");
        }
    }

    #[test]
    fn the_reserve_is_in_service_in_a_crowd_only() {
        let cases = [
            ([0, 0, 0], 0..2),
            ([2 * CROWD - 2, 1, 0], 0..2),
            ([2 * CROWD - 1, 1, 0], 0..3),
            ([CROWD - 1, CROWD - 1, 2], 0..3),
        ];
        for (sessions, workers) in cases {
            assert_eq!(hub(sessions).in_service(), workers, "{sessions:?}");
        }
    }

    #[test]
    fn receivers_move_to_the_reserve_for_as_long_as_that_levels_something() {
        let cases = [
            // Sessions, the room's home, where the receiver is, and where it should be.
            ([9, 0, 0], 0, 0, 0),
            ([9, 0, 0], 0, 1, 0),
            ([2 * CROWD, 0, 0], 0, 0, 2),
            ([2 * CROWD, 0, 0], 1, 1, 1),
            ([2 * CROWD + 1, CROWD, CROWD], 0, 0, 0),
            ([2 * CROWD, CROWD, CROWD + 1], 0, 2, 2),
            ([2 * CROWD, CROWD, CROWD + 2], 0, 2, 0),
            ([2 * CROWD + 2, CROWD, CROWD], 0, 0, 2),
            ([2 * CROWD, CROWD, CROWD], 0, 1, 0),
        ];
        for (sessions, home, here, there) in cases {
            let relief = hub(sessions).relief(home, here);
            assert_eq!(relief, there, "{sessions:?}, home {home}, here {here}");
        }
    }
}
