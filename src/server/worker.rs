//! One of the server's threads: a loop over the sockets of the clients that live on it.
//!
//! A turn of the loop reads what clients sent and carries it out, publishes all their texts, one
//! frame a room, and then writes answers, and deliveries to as many receivers as a turn is for. It
//! never waits for a client: what a socket does not take stays in its queue until the system says
//! that there is room again.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::batch::{Batches, Publisher};
use super::connection::{Connection, Loss, Served};
use super::door::{Caller, Door};
use super::hub::{Hub, Message, SessionId};
use super::lane::{Lane, Lanes};
use super::lock;
use super::outbox::Backlog;
use super::places::Place;
use super::room::Room;
use super::session::Turn;
use super::stall::Stall;
use super::warning::Warning;
use super::write_queue::WriteQueue;
use crate::protocol::Reply;

/// Bytes that one read takes at most.
const READ: usize = 64 * 1024;

/// Clients of each lane that are served in one turn at most, so that nobody's answer waits for too
/// many.
const CLIENTS: usize = 256;

/// Lines that are carried out in one turn at most, shared equally by those who are served in it.
const LINES: usize = 8192;

/// Lines of one client that are carried out in one turn at most.
const LINES_EACH: usize = 256;

/// Newcomers who are let in in one turn at most.
const NEWCOMERS: usize = 64;

/// Receivers that are written to in one turn for each thing that it took in, so that writing keeps
/// up with reading; then the worker looks again. Whoever is written to later gets what has
/// come meanwhile with the same write, and an answer does not wait for all of them. The fewer, the
/// more goes into one write, and the later it is there.
const RECEIVERS_EACH: usize = 5;

/// Receivers that are written to in one turn at most, however much was taken in.
const RECEIVERS: usize = 256;

/// Of many who wait, at least one in so many is written to in one turn. Frames that one write does
/// not take along (see [`super::outbox`]) would gain nothing from a smaller share.
const SHARE: usize = 8;

/// Receivers that are written to after the answers: while that goes on, the senders can already
/// get their next texts ready.
const AFTER_ANSWERS: usize = 16;

/// Receivers in large rooms that are written to between two glances at the small ones.
const BETWEEN_GLANCES: usize = 32;

/// Clients that are served in one glance at most, and receivers that are written to.
const GLANCE: usize = 32;

/// Lines of one client that are carried out in one glance at most.
const LINES_A_GLANCE: usize = 16;

/// Events that are taken from the system at a time.
const EVENTS: usize = 1024;

/// How often slow receivers are looked at.
const CHECK: Duration = Duration::from_millis(100);

/// The worker that lets clients in.
pub const DOOR_WORKER: usize = 0;

/// The token that wakes the loop.
pub const WAKE: Token = Token(usize::MAX);

static SERIALS: AtomicU64 = AtomicU64::new(0);

/// One worker, to be run on a thread of its own.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    hub: Arc<Hub>,
    inbox: mpsc::Receiver<Message>,
    poll: Poll,
    connections: Slab<Box<Connection>>,
    events: Events,
    batches: Batches,
    /// Connections to be served.
    ready: Lanes<VecDeque<usize>>,
    /// Connections that something has happened to, to be settled.
    changed: Lanes<VecDeque<usize>>,
    /// Connections with something new in their queues, to be written to.
    writes: WriteQueue,
    /// Receivers that are above their marks, or have been of late.
    stalling: Vec<SessionId>,
    /// When slow receivers are looked at again.
    next_check: Instant,
    /// When connections have to have logged in.
    login_deadlines: BTreeSet<(Instant, usize)>,
    late_logins: Warning,
    buffer: Box<[u8]>,
    /// Lines, newcomers and messages since receivers were written to last; at least one for each
    /// client that was read from.
    intake: usize,
    phase: Phase,
    /// Where clients come in, if that is at this worker.
    door: Option<Door>,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// Carrying out what had been received, to say so when it is done.
    Finishing(Option<mpsc::Sender<()>>),
    /// Carrying out nothing more, to say so when all that was carried out is published.
    Halted(Option<mpsc::Sender<()>>),
    /// Writing what is queued, until then.
    Draining(Instant),
}

/// How many of `waiting` receivers are written to in a turn that took in so much.
fn share(waiting: usize, intake: usize) -> usize {
    let few = RECEIVERS.min(RECEIVERS_EACH * intake.max(1));
    waiting.min(few.max(waiting / SHARE))
}

/// Why a connection ends.
#[derive(Debug)]
enum Farewell {
    Done,
    Lost(Loss),
    LoginTimeout,
    Stalled,
    LetGo,
    NoPlace,
    Stopping,
    Panicked,
}

impl Worker {
    /// The worker number `index`, which takes its messages from `inbox`.
    pub fn new(index: usize, hub: Arc<Hub>, inbox: mpsc::Receiver<Message>, poll: Poll) -> Self {
        Worker {
            index,
            hub,
            inbox,
            poll,
            connections: Slab::new(),
            events: Events::with_capacity(EVENTS),
            batches: Batches::default(),
            ready: Lanes::default(),
            changed: Lanes::default(),
            writes: WriteQueue::default(),
            stalling: Vec::new(),
            next_check: Instant::now(),
            login_deadlines: BTreeSet::new(),
            late_logins: Warning::default(),
            buffer: vec![0; READ].into(),
            intake: 0,
            phase: Phase::Running,
            door: None,
        }
    }

    /// Lets clients in through these sockets, for all workers.
    ///
    /// # Errors
    ///
    /// If the system does not watch them.
    pub fn open_door(&mut self, sockets: Vec<TcpListener>) -> io::Result<()> {
        let places = Arc::clone(&self.hub.places);
        self.door = Some(Door::new(sockets, places, self.poll.registry())?);
        Ok(())
    }

    /// Runs until the server has stopped.
    pub fn run(mut self) {
        while !self.is_done() {
            self.survive(Self::turn);
        }
        for token in self.tokens() {
            let _ = catch_unwind(AssertUnwindSafe(|| self.close(token, Farewell::Stopping)));
        }
    }

    /// Lets `turn` have a bug, which must not take all clients of this worker along.
    pub(super) fn survive(&mut self, turn: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| turn(self))).is_err() {
            self.recover();
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) {
        let wait = self.fall_asleep();
        self.look(wait);
        self.work();
    }

    /// After a turn that ended in the middle: whatever it may have left undone is looked at again.
    fn recover(&mut self) {
        self.events = Events::with_capacity(EVENTS);
        self.ready = Lanes::default();
        self.changed = Lanes::default();
        self.stalling.clear();
        for token in self.tokens() {
            let Some(id) = self.id(token) else { continue };
            let connection = &mut self.connections[token];
            connection.doubt();
            (connection.listed, connection.changed) = (false, false);
            if let Some(room) = connection.session.room() {
                // What it was told, and what others were told of it, may be lost.
                if mem::take(&mut connection.waiting) {
                    room.stop_waiting(id);
                }
                room.forget_told(self.index);
            }
            if connection.stall.is_some() {
                self.stalling.push(id);
            }
            if let Some(deadline) = connection.login_deadline {
                self.login_deadlines.insert((deadline, token));
            }
            self.change(token);
            self.list(token);
        }
    }

    /// How long there is nothing to do, as far as can be told. Says that it has to be woken from now
    /// on, unless there is something to do.
    pub(super) fn fall_asleep(&mut self) -> Option<Duration> {
        let wait = self.wait();
        if wait == Some(Duration::ZERO) {
            return wait;
        }
        self.hub.mailboxes[self.index].fall_asleep();
        match self.inbox.try_recv() {
            Ok(message) => {
                self.take(message);
                Some(Duration::ZERO)
            }
            Err(_) => wait,
        }
    }

    /// Looks at sockets and messages, and waits for them for so long at the most.
    pub(super) fn look(&mut self, wait: Option<Duration>) {
        let polled = self.poll.poll(&mut self.events, wait);
        self.hub.mailboxes[self.index].stay_awake();
        if let Err(error) = polled
            && error.kind() != ErrorKind::Interrupted
        {
            error!("cannot wait for clients: {error}");
            std::thread::sleep(CHECK);
        }
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        events.iter().for_each(|event| self.note(event));
        self.events = events;
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
    }

    /// Does what there is to do.
    pub(super) fn work(&mut self) {
        self.attend_door();
        self.serve_all();
        self.check_logins();
        self.publish();
        self.write();
        self.check_slow();
        self.check_phase();
    }

    /// How long there is nothing to do, as far as can be told.
    pub(super) fn wait(&self) -> Option<Duration> {
        let idle = |lane: &Lane| self.ready[*lane].is_empty() && self.changed[*lane].is_empty();
        if !Lane::ALL.iter().all(idle) || !self.writes.is_empty() || !self.batches.is_empty() {
            return Some(Duration::ZERO);
        }
        let login = self.login_deadlines.first().map(|(deadline, _)| *deadline);
        let draining = matches!(self.phase, Phase::Draining(_));
        let check = (draining || !self.stalling.is_empty()).then_some(self.next_check);
        let wait = [login, check].into_iter().flatten().min().map(|next| {
            // A millisecond more, for the wait is rounded down.
            next.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
        });
        let door = self.door.as_ref().and_then(Door::wait);
        [wait, door].into_iter().flatten().min()
    }

    fn note(&mut self, event: &mio::event::Event) {
        if let Some(door) = &mut self.door {
            door.knock(event.token());
        }
        let token = event.token().0;
        if let Some(connection) = self.connections.get_mut(token) {
            connection.note(event);
            self.change(token);
            self.list(token);
        }
    }

    /// Something has happened to a connection: before the turn ends, it is settled what comes of it.
    fn change(&mut self, token: usize) {
        if let Some(connection) = self.connections.get_mut(token)
            && !mem::replace(&mut connection.changed, true)
        {
            self.changed[connection.session.lane()].push_back(token);
        }
    }

    /// Puts a connection on the list of those to be served, if there may be something to serve.
    fn list(&mut self, token: usize) {
        if let Some(connection) = self.connections.get_mut(token)
            && connection.is_servable()
            && matches!(self.phase, Phase::Running | Phase::Finishing(_))
            && !mem::replace(&mut connection.listed, true)
        {
            self.ready[connection.session.lane()].push_back(token);
        }
    }

    fn take(&mut self, message: Message) {
        self.intake += 1;
        match message {
            Message::Close(done) => {
                self.door = None;
                // Nobody listens any more if this took too long.
                let _ = done.send(());
            }
            // Whoever waits for that looks again, now that it is awake.
            Message::PlaceFree => {}
            Message::Connected(stream, peer, place) => self.welcome(stream, peer, place),
            Message::Arriving(connection) => self.take_in(connection),
            Message::Published(room) => room.look(self.index, &mut self.writes),
            Message::Resume(session) => self.resume(session),
            Message::LetGo(session) => self.let_go(session),
            Message::Finish(done) => self.finish(done),
            Message::Halt(done) => {
                self.phase = Phase::Halted(Some(done));
                self.ready = Lanes::default();
            }
            Message::Drain(deadline) => {
                self.phase = Phase::Draining(deadline);
                // All are written to at once.
                self.next_check = Instant::now();
            }
        }
    }

    /// Lets in those who knock, or the first of them.
    fn attend_door(&mut self) {
        for _ in 0..NEWCOMERS {
            let Some(caller) = self.door.as_mut().and_then(Door::next) else {
                return;
            };
            self.intake += 1;
            self.attend(caller);
        }
    }

    fn attend(&mut self, caller: Caller) {
        match caller {
            Caller::Client(stream, peer, place) => {
                let worker = self.hub.least_busy(self.index);
                if worker == self.index {
                    self.hub.mailboxes[worker].add_session();
                    self.welcome(stream, peer, place);
                } else {
                    self.hub.hand_over(worker, Message::Connected(stream, peer, place));
                }
            }
            Caller::InTheWay(session) if session.worker == self.index => self.let_go(session),
            Caller::InTheWay(session) => self.hub.tell(session.worker, Message::LetGo(session)),
        }
    }

    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let serial = SERIALS.fetch_add(1, Ordering::Relaxed);
        let mut connection = Box::new(Connection::new(serial, stream, peer, place));
        debug!("{} connected", connection.session);
        let deadline = Instant::now() + self.hub.limits.login_timeout;
        connection.login_deadline = Some(deadline);
        if let Some(token) = self.insert(connection)
            && let Some(id) = self.id(token)
        {
            self.connections[token].session.may_go(id);
            self.login_deadlines.insert((deadline, token));
        }
    }

    /// A session has moved here. It is given what it is owed before any more of its lines are
    /// carried out: else one that moves with each line would be owed more and more.
    fn take_in(&mut self, connection: Box<Connection>) {
        let Some(token) = self.insert(connection) else {
            return;
        };
        if matches!(self.phase, Phase::Finishing(_)) {
            self.connections[token].finish();
        }
        if self.connections[token].stall.is_some() {
            self.stalling.extend(self.id(token));
        }
        self.with_turn(token, |connection, _, turn| connection.session.arrive(turn));
        self.settle(token, Connection::flush);
    }

    fn insert(&mut self, mut connection: Box<Connection>) -> Option<usize> {
        let entry = self.connections.vacant_entry();
        let token = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Reads stop short at urgent data.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        if let Err(error) =
            self.poll.registry().register(&mut connection.stream, Token(token), interest)
        {
            warn!("cannot watch {}: {error}", connection.session);
            self.hub.mailboxes[self.index].remove_session();
            return None;
        }
        entry.insert(connection);
        Some(token)
    }

    fn tokens(&self) -> Vec<usize> {
        self.connections.iter().map(|(token, _)| token).collect()
    }

    fn id(&self, token: usize) -> Option<SessionId> {
        let serial = self.connections.get(token)?.serial;
        Some(SessionId { worker: self.index, token, serial })
    }

    /// The session is still here, and not another one in its place.
    fn is_here(&self, session: SessionId) -> bool {
        self.id(session.token) == Some(session)
    }

    fn resume(&mut self, session: SessionId) {
        if self.is_here(session) {
            self.connections[session.token].waiting = false;
            self.change(session.token);
            self.list(session.token);
        }
    }

    /// Others need the place of a session that may be gone, or has not logged in for long.
    fn let_go(&mut self, session: SessionId) {
        if !self.is_here(session) {
            return;
        }
        if self.connections[session.token].session.is_half_closed() {
            self.close(session.token, Farewell::LetGo);
        } else if !self.logs_in_at_last(session) {
            self.close(session.token, Farewell::NoPlace);
        }
    }

    /// Lends a connection what it needs for `action`. Should that panic, the connection ends.
    fn with_turn<T>(
        &mut self,
        token: usize,
        action: impl FnOnce(&mut Connection, &mut [u8], &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let id = self.id(token)?;
        let Worker { connections, batches, hub, writes, buffer, intake, phase, .. } = self;
        let publisher = Publisher { hub, worker: id.worker, writes };
        let stay = !matches!(phase, Phase::Running);
        let mut turn = Turn { id, batches, publisher, lines: intake, stay };
        let connection = connections.get_mut(token)?;
        let result = catch_unwind(AssertUnwindSafe(|| action(connection, buffer, &mut turn)));
        if result.is_err() {
            self.close(token, Farewell::Panicked);
        }
        result.ok()
    }

    /// Serves those on the list, or the first of them.
    pub(super) fn serve_all(&mut self) {
        let [quiet, loud] = Lane::ALL.map(|lane| self.ready[lane].len().min(CLIENTS));
        let lines = LINES_EACH.min(LINES / (quiet + loud).max(1));
        self.serve_some(Lane::Quiet, quiet, lines);
        self.serve_some(Lane::Loud, loud, lines);
        // What was no whole line had to be read, too.
        self.intake = self.intake.max(quiet + loud);
    }

    /// Serves so many clients, and carries out so many lines of each at most.
    fn serve_some(&mut self, lane: Lane, clients: usize, lines: usize) {
        for _ in 0..clients {
            if let Some(token) = self.ready[lane].pop_front() {
                self.serve(token, lines);
            }
        }
    }

    fn serve(&mut self, token: usize, lines: usize) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.listed = false;
        if !connection.is_servable() {
            return;
        }
        let serve = |connection: &mut Connection, buffer: &mut [u8], turn: &mut Turn<'_>| {
            connection.serve(buffer, lines, turn)
        };
        match self.with_turn(token, serve) {
            None => return,
            Some(Served::Move(worker)) => return self.hand_over(token, worker),
            Some(Served::Part) => self.list(token),
            Some(Served::All | Served::Waits) => {}
        }
        self.change(token);
    }

    fn hand_over(&mut self, token: usize, worker: usize) {
        // Its answers go along, and may be written before this turn ends.
        self.publish();
        let mut connection = self.connections.remove(token);
        self.hub.mailboxes[self.index].remove_session();
        if let Some(deadline) = connection.login_deadline.take() {
            self.login_deadlines.remove(&(deadline, token));
        }
        connection.session.depart();
        (connection.listed, connection.changed) = (false, false);
        if let Err(error) = self.poll.registry().deregister(&mut connection.stream) {
            warn!("cannot move {}: {error}", connection.session);
            return;
        }
        self.hub.hand_over(worker, Message::Arriving(connection));
    }

    fn publish(&mut self) {
        let Worker { index, hub, batches, writes, .. } = self;
        batches.publish(&mut Publisher { hub, worker: *index, writes });
    }

    /// Writes answers, and deliveries to a part of the receivers; those in small rooms first.
    fn write(&mut self) {
        let intake = mem::take(&mut self.intake);
        for lane in Lane::ALL {
            let count = share(self.writes.len(lane), intake);
            let changed = self.changed[lane].len();
            self.write_some(lane, count.saturating_sub(AFTER_ANSWERS));
            self.settle_some(lane, changed);
            self.write_some(lane, count.min(AFTER_ANSWERS));
        }
    }

    /// Writes to so many of those who have waited for that the longest.
    fn write_some(&mut self, lane: Lane, count: usize) {
        for number in 1..=count {
            if let Some(token) = self.writes.take(lane) {
                self.settle(token, Connection::flush);
            }
            if lane == Lane::Loud && number % BETWEEN_GLANCES == 0 {
                self.glance();
            }
        }
    }

    /// Settles so many of those that something has happened to.
    fn settle_some(&mut self, lane: Lane, count: usize) {
        for _ in 0..count {
            if let Some(token) = self.changed[lane].pop_front() {
                self.settle(token, Connection::flush);
            }
        }
    }

    /// In the middle of writing to large rooms: does what there is to do for small ones. These may
    /// be better off elsewhere.
    fn glance(&mut self) {
        self.hub.mailboxes[self.index].set_loud();
        self.look(Some(Duration::ZERO));
        let clients = self.ready[Lane::Quiet].len().min(GLANCE);
        if clients > 0
            && let Some(refuge) = self.hub.refuge()
        {
            self.send_away(clients, refuge);
        }
        self.serve_some(Lane::Quiet, clients, LINES_A_GLANCE);
        self.publish();
        self.settle_some(Lane::Quiet, self.changed[Lane::Quiet].len().min(GLANCE));
        self.write_some(Lane::Quiet, self.writes.len(Lane::Quiet).min(GLANCE));
    }

    /// Gives the rooms of those who are to be served next another home.
    fn send_away(&mut self, clients: usize, refuge: usize) {
        for token in self.ready[Lane::Quiet].iter().take(clients) {
            if let Some(connection) = self.connections.get(*token)
                && let Some(room) = connection.session.room()
                && room.lane() == Lane::Quiet
            {
                room.move_to(refuge);
            }
        }
    }

    /// Whatever has changed a connection: gives the client what can be written to it, and settles
    /// what comes next. The one place where that is decided, and where a connection ends that is
    /// over.
    fn settle(&mut self, token: usize, flush: impl FnOnce(&mut Connection)) {
        let flushed = self.with_turn(token, |connection, _, turn| {
            connection.changed = false;
            flush(connection);
            connection.session.relieve_room(turn);
        });
        if flushed.is_none() {
            return;
        }
        if self.is_over(token) {
            return self.close(token, self.farewell(token));
        }
        self.list(token);
        let connection = &mut self.connections[token];
        if connection.session.is_logged_in()
            && let Some(deadline) = connection.login_deadline.take()
        {
            self.login_deadlines.remove(&(deadline, token));
        }
        let half_closed = connection.is_half_closed() && !connection.session.is_half_closed();
        if half_closed && matches!(self.phase, Phase::Running) {
            self.expect_farewell(token);
        }
        self.watch(token);
        self.follow_room(token);
    }

    /// If the room of a session has moved to another worker, the session follows.
    fn follow_room(&mut self, token: usize) {
        let connection = &self.connections[token];
        if let Some(home) = connection.session.room().and_then(|room| room.home_to_follow_to())
            && home != self.index
            && !connection.waiting
            && matches!(self.phase, Phase::Running)
        {
            self.hand_over(token, home);
        }
    }

    fn is_over(&self, token: usize) -> bool {
        let connection = &self.connections[token];
        let draining = matches!(self.phase, Phase::Draining(_));
        connection.is_over() || draining && connection.all_written()
    }

    /// Why a connection that is over ends.
    fn farewell(&self, token: usize) -> Farewell {
        let connection = &self.connections[token];
        match connection.loss() {
            Some(loss) => Farewell::Lost(loss),
            None if connection.is_over() => Farewell::Done,
            None => Farewell::Stopping,
        }
    }

    /// A receiver has shut down its writing side.
    fn expect_farewell(&mut self, token: usize) {
        let Some(id) = self.id(token) else { return };
        let connection = &mut self.connections[token];
        // If it is gone for good, its system answers probes with a reset once it has forgotten
        // about it, after a minute or so.
        let soon = Duration::from_secs(2);
        let _ = rustix::net::sockopt::set_tcp_keepidle(&connection.stream, soon);
        connection.session.set_half_closed();
        connection.session.may_go(id);
    }

    /// Takes down whether a receiver is above its mark, and puts it on the list of those to be
    /// looked at now and then if that is new.
    fn watch(&mut self, token: usize) {
        let connection = &mut self.connections[token];
        let is_over = connection.session.backlog().is_some_and(Backlog::is_over);
        match &mut connection.stall {
            Some(stall) => stall.look(is_over, Instant::now()),
            None if is_over => {
                let stall = Stall::new(self.hub.limits.stall_timeout, Instant::now());
                connection.stall = Some(Box::new(stall));
                self.stalling.extend(self.id(token));
            }
            None => {}
        }
    }

    /// Gives slow receivers another chance, and cuts those who had enough.
    fn check_slow(&mut self) {
        let now = Instant::now();
        if self.next_check > now {
            return;
        }
        self.next_check = now + CHECK;
        for session in mem::take(&mut self.stalling) {
            if self.is_here(session) {
                self.settle(session.token, Connection::flush_anyway);
            }
            if self.is_here(session) {
                self.judge(session);
            }
        }
        if let Phase::Draining(_) = self.phase {
            for token in self.tokens() {
                self.settle(token, Connection::flush_anyway);
            }
        }
    }

    /// Cuts off a receiver that has been above its mark for too long, and tells of one that holds
    /// its room back.
    fn judge(&mut self, session: SessionId) {
        let connection = &mut self.connections[session.token];
        let Some(stall) = &connection.stall else {
            return;
        };
        if stall.unbroken() >= self.hub.limits.stall_timeout {
            return self.close(session.token, Farewell::Stalled);
        }
        connection.session.set_slow(stall.is_notable());
        if stall.is_notable()
            && let Some(room) = connection.session.room()
        {
            lock(&self.hub.slow_receivers).warn(format_args!(
                "room {} waits for {}, which has held it back for {:.1} of the last {} s",
                room.name(),
                connection.session,
                stall.of_late().as_secs_f64(),
                self.hub.limits.stall_timeout.as_secs_f64(),
            ));
        }
        match stall.is_past() {
            true => connection.stall = None,
            false => self.stalling.push(session),
        }
    }

    /// Closes those who have not logged in by their deadlines.
    fn check_logins(&mut self) {
        while let Some((deadline, _)) = self.login_deadlines.first()
            && *deadline <= Instant::now()
            && let Some((_, token)) = self.login_deadlines.pop_first()
        {
            if self.id(token).is_some_and(|id| !self.logs_in_at_last(id)) {
                self.close(token, Farewell::LoginTimeout);
                let late = format_args!("closing clients that have not logged in in time");
                self.late_logins.warn(late);
            }
        }
    }

    /// Reads once more what a client has sent, whether or not its turn has come: it may be the
    /// server that is late. Tells whether it has logged in, or is gone anyway.
    fn logs_in_at_last(&mut self, session: SessionId) -> bool {
        if matches!(self.phase, Phase::Running | Phase::Finishing(_)) {
            self.connections[session.token].expect_input();
            self.serve(session.token, LINES_EACH);
        }
        !self.is_here(session) || self.connections[session.token].session.is_logged_in()
    }

    fn check_phase(&mut self) {
        let mut connections = self.connections.iter();
        let done = match &mut self.phase {
            Phase::Finishing(done)
                if done.is_some() && connections.all(|(_, one)| one.is_finished()) =>
            {
                done.take()
            }
            Phase::Halted(done) => done.take(),
            _ => None,
        };
        if let Some(done) = done {
            // Nobody listens any more if this took too long.
            let _ = done.send(());
        }
    }

    fn finish(&mut self, done: mpsc::Sender<()>) {
        self.phase = Phase::Finishing(Some(done));
        for token in self.tokens() {
            self.connections[token].finish();
            self.list(token);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self.phase {
            Phase::Draining(deadline) => self.connections.is_empty() || deadline <= Instant::now(),
            _ => false,
        }
    }

    /// Ends a connection. Whatever others have to do with it comes first: should something panic
    /// here, it is gone all the same.
    fn close(&mut self, token: usize, farewell: Farewell) {
        let Some(id) = self.id(token) else { return };
        let mut connection = self.connections.remove(token);
        self.hub.mailboxes[self.index].remove_session();
        if let Some(deadline) = connection.login_deadline.take() {
            self.login_deadlines.remove(&(deadline, token));
        }
        let room = connection.session.room().cloned();
        if connection.waiting
            && let Some(room) = &room
        {
            room.stop_waiting(id);
        }
        let Worker { batches, hub, writes, intake, .. } = self;
        let publisher = Publisher { hub, worker: id.worker, writes };
        connection.session.go_out(&mut Turn { id, batches, publisher, lines: intake, stay: true });
        self.say(&connection, room.as_deref(), &farewell);
        if let Some(last_word) = farewell.last_word() {
            Reply::Err(last_word).encode(connection.session.answers());
            connection.flush();
        }
        match farewell {
            Farewell::Stalled => connection.reset(),
            _ => connection.close(),
        }
        if self.hub.places.is_awaited() {
            self.hub.tell(DOOR_WORKER, Message::PlaceFree);
        }
    }

    fn say(&self, connection: &Connection, room: Option<&Room>, farewell: &Farewell) {
        let session = &connection.session;
        let tally = &self.hub.tally;
        match farewell {
            Farewell::Done => debug!("{session} left"),
            Farewell::Lost(Loss::Closed) => debug!("{session} left: connection closed"),
            Farewell::Lost(Loss::Tls) => debug!("{session} closed: it speaks TLS"),
            Farewell::Lost(Loss::TimedOut) => {
                info!(
                    "lost {session}: its system has not answered, or taken anything, for too long"
                );
                tally.lost.fetch_add(1, Ordering::Relaxed);
            }
            Farewell::LoginTimeout => debug!("{session} closed: not logged in in time"),
            Farewell::NoPlace => debug!("{session} closed: not logged in, others need the place"),
            Farewell::LetGo => debug!("{session} closed: half-closed, and others need the place"),
            Farewell::Stopping => debug!("{session} closed: the server stops"),
            Farewell::Panicked => debug!("{session} closed: the server has a bug"),
            Farewell::Stalled => {
                let bytes = session.owed();
                let seconds = self.hub.limits.stall_timeout.as_secs_f64();
                let room = room.map_or("", |room| room.name().as_str());
                warn!(
                    "cut {session} in room {room}: it takes too little, {bytes} bytes have been queued for {seconds} s"
                );
                tally.cut.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Farewell {
    /// What the client is told before the end.
    fn last_word(&self) -> Option<&'static [u8]> {
        match self {
            Farewell::LoginTimeout => Some(b"not logged in in time"),
            Farewell::NoPlace => Some(b"not logged in, and others need the place"),
            _ => None,
        }
    }
}

/// What tests look at.
#[cfg(test)]
impl Worker {
    /// The worker writes what is queued, and closes connections.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining(_))
    }

    /// How many there are on each list, after slow receivers have been looked at.
    pub(super) fn lists(&mut self) -> String {
        self.next_check = Instant::now();
        self.check_slow();
        let lanes = |lists: &Lanes<VecDeque<usize>>| Lane::ALL.map(|lane| lists[lane].len());
        format!(
            "{} connections, {:?} to serve, {:?} to settle, {:?} to write to, {} slow, {} to log in",
            self.connections.len(),
            lanes(&self.ready),
            lanes(&self.changed),
            Lane::ALL.map(|lane| self.writes.len(lane)),
            self.stalling.len(),
            self.login_deadlines.len(),
        )
    }

    /// Lines, newcomers and messages since receivers were written to last.
    pub(super) fn intake(&self) -> usize {
        self.intake
    }

    /// The most bytes that a client is owed.
    pub(super) fn most_owed(&self) -> usize {
        self.connections.iter().map(|(_, one)| one.session.owed()).max().unwrap_or(0)
    }

    /// Sets how long the systems of clients may take nothing.
    pub(super) fn set_user_timeout(&self, time: Duration) {
        for (_, connection) in &self.connections {
            let millis = time.as_millis() as u32;
            rustix::net::sockopt::set_tcp_user_timeout(&connection.stream, millis).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_keeps_up_with_reading_and_large_rooms() {
        let shares = [
            // Waiting, taken in, and how many are written to.
            (0, 9, 0),
            (10, 0, 5),
            (10, 1, 5),
            (10, 2, 10),
            (10, 1000, 10),
            (47, 1, 5),
            (48, 1, 6),
            (300, 51, 255),
            (300, 1000, 256),
            (2048, 1000, 256),
            (2056, 1000, 257),
            (10_000, 1, 1250),
        ];
        for (waiting, intake, written) in shares {
            assert_eq!(share(waiting, intake), written, "{waiting} wait, {intake} taken in");
        }
    }
}
