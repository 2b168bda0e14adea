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
use super::outbox::Backlog;
use super::places::Place;
use super::ripe::Ripe;
use super::session::Turn;
use super::warning::Warning;
use crate::protocol::Reply;

/// Bytes that one read takes at most.
const READ: usize = 64 * 1024;

/// Clients that are served in one turn at most, so that nobody's answer waits for too many.
const CLIENTS: usize = 256;

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
    batches: Batches,
    /// Connections to be served.
    ready: VecDeque<usize>,
    /// Connections with answers to write.
    answered: Vec<usize>,
    /// Connections with something new in their queues, to be written to.
    ripe: Ripe,
    /// Receivers above their marks.
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
            batches: Batches::default(),
            ready: VecDeque::new(),
            answered: Vec::new(),
            ripe: Ripe::default(),
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
        let mut events = Events::with_capacity(1024);
        while !self.is_done() {
            // A bug must not take all clients of this worker along.
            let _ = catch_unwind(AssertUnwindSafe(|| self.turn(&mut events)));
        }
        for token in self.tokens() {
            self.close(token, Farewell::Stopping);
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self, events: &mut Events) {
        let wait = self.fall_asleep();
        self.look(events, wait);
        self.work();
    }

    /// How long there is nothing to do, as far as can be told. Says that it has to be woken from now
    /// on, unless there is something to do.
    fn fall_asleep(&mut self) -> Option<Duration> {
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
    pub(super) fn look(&mut self, events: &mut Events, wait: Option<Duration>) {
        let polled = self.poll.poll(events, wait);
        self.hub.mailboxes[self.index].stay_awake();
        if let Err(error) = polled
            && error.kind() != ErrorKind::Interrupted
        {
            error!("cannot wait for clients: {error}");
            std::thread::sleep(CHECK);
        }
        for event in &*events {
            self.note(event);
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
    }

    /// Does what there is to do.
    pub(super) fn work(&mut self) {
        self.attend_door();
        self.serve_all();
        self.publish();
        self.write();
        self.check_slow();
        self.check_logins();
        self.check_phase();
    }

    /// How long there is nothing to do, as far as can be told.
    pub(super) fn wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() || !self.ripe.is_empty() {
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
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.note(event) {
            self.answered.push(token);
        }
        self.list(token);
    }

    /// Puts a connection on the list of those to be served, if there may be something to serve.
    fn list(&mut self, token: usize) {
        if let Some(connection) = self.connections.get_mut(token)
            && connection.is_servable()
            && !connection.listed
            && matches!(self.phase, Phase::Running | Phase::Finishing(_))
        {
            connection.listed = true;
            self.ready.push_back(token);
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
            Message::Published(room) => room.look(self.index, &mut self.ripe),
            Message::Resume(session) => self.resume(session),
            Message::LetGo(session) => self.let_go(session),
            Message::Finish(done) => self.finish(done),
            Message::Halt(done) => {
                self.phase = Phase::Halted(Some(done));
                self.ready.clear();
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
        if let Some(token) = self.insert(connection) {
            self.login_deadlines.insert((deadline, token));
        }
    }

    fn take_in(&mut self, connection: Box<Connection>) {
        let Some(token) = self.insert(connection) else {
            return;
        };
        if matches!(self.phase, Phase::Finishing(_)) {
            self.connections[token].finish();
        }
        if mem::take(&mut self.connections[token].watched) {
            self.watch(token);
        }
        self.with_turn(token, |connection, _, turn| connection.session.arrive(turn));
        self.answered.push(token);
        self.list(token);
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
            self.list(session.token);
        }
    }

    fn let_go(&mut self, session: SessionId) {
        if self.is_here(session) && self.connections[session.token].is_half_closed() {
            self.close(session.token, Farewell::LetGo);
        }
    }

    /// Lends a connection what it needs for `action`. Should that panic, the connection ends.
    fn with_turn<T>(
        &mut self,
        token: usize,
        action: impl FnOnce(&mut Connection, &mut [u8], &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let id = self.id(token)?;
        let Worker { connections, batches, hub, ripe, buffer, intake, phase, .. } = self;
        let publisher = Publisher { hub, worker: id.worker, ripe };
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
        let clients = self.ready.len().min(CLIENTS);
        for _ in 0..clients {
            if let Some(token) = self.ready.pop_front() {
                self.serve(token);
            }
        }
        // What was no whole line had to be read, too.
        self.intake = self.intake.max(clients);
    }

    fn serve(&mut self, token: usize) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.listed = false;
        if !connection.is_servable() {
            return;
        }
        let served = self.with_turn(token, Connection::serve);
        match served {
            None => return,
            Some(Served::Move(worker)) => return self.hand_over(token, worker),
            Some(Served::Part) => self.list(token),
            Some(Served::All | Served::Waits) => {}
        }
        self.answered.push(token);
        let connection = &mut self.connections[token];
        if connection.session.is_logged_in()
            && let Some(deadline) = connection.login_deadline.take()
        {
            self.login_deadlines.remove(&(deadline, token));
        }
        if connection.is_half_closed() && connection.ticket.is_none() {
            self.expect_farewell(token);
        }
    }

    /// A receiver has shut down its writing side.
    fn expect_farewell(&mut self, token: usize) {
        if let Phase::Running = self.phase
            && let Some(id) = self.id(token)
        {
            // If it is gone for good, its system answers probes with a reset once it has
            // forgotten about it, after a minute or so.
            let connection = &mut self.connections[token];
            let soon = Duration::from_secs(2);
            let _ = rustix::net::sockopt::set_tcp_keepidle(&connection.stream, soon);
            connection.ticket = Some(self.hub.places.note_half_closed(id));
        }
    }

    fn hand_over(&mut self, token: usize, worker: usize) {
        // Its answers go along, and may be written before this turn ends.
        self.publish();
        let mut connection = self.connections.remove(token);
        self.hub.mailboxes[self.index].remove_session();
        if let Some(deadline) = connection.login_deadline.take() {
            self.login_deadlines.remove(&(deadline, token));
        }
        if let Some(ticket) = connection.ticket.take() {
            self.hub.places.forget_half_closed(ticket);
        }
        if let Err(error) = self.poll.registry().deregister(&mut connection.stream) {
            warn!("cannot move {}: {error}", connection.session);
            return;
        }
        self.hub.hand_over(worker, Message::Arriving(connection));
    }

    fn publish(&mut self) {
        let Worker { index, hub, batches, ripe, .. } = self;
        batches.publish(&mut Publisher { hub, worker: *index, ripe });
    }

    /// Writes answers, and deliveries to a part of the receivers.
    fn write(&mut self) {
        let count = share(self.ripe.len(), mem::take(&mut self.intake));
        self.write_ripe(count.saturating_sub(AFTER_ANSWERS));
        let mut answered = mem::take(&mut self.answered);
        answered.drain(..).for_each(|token| self.flush(token, Connection::flush));
        self.answered = answered;
        self.write_ripe(count.min(AFTER_ANSWERS));
    }

    /// Writes to those who have waited for that the longest.
    fn write_ripe(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(token) = self.ripe.take() {
                self.flush(token, Connection::flush);
            }
        }
    }

    fn flush(&mut self, token: usize, flush: impl FnOnce(&mut Connection)) {
        let flushed = self.with_turn(token, |connection, _, turn| {
            flush(connection);
            connection.session.relieve_room(turn);
        });
        if flushed.is_none() {
            return;
        }
        self.list(token);
        let connection = &mut self.connections[token];
        if connection.is_over() {
            let farewell = connection.loss().map_or(Farewell::Done, Farewell::Lost);
            return self.close(token, farewell);
        }
        if !connection.session.backlog().is_some_and(Backlog::is_over) {
            connection.over_since = None;
        } else if connection.over_since.is_none() {
            connection.over_since = Some(Instant::now());
            self.watch(token);
        }
    }

    /// Puts a receiver above its mark on the list of those to be looked at now and then.
    fn watch(&mut self, token: usize) {
        if !mem::replace(&mut self.connections[token].watched, true) {
            self.stalling.extend(self.id(token));
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
                self.flush(session.token, Connection::flush_anyway);
            }
            if self.is_here(session) {
                self.judge(session);
            }
        }
        if let Phase::Draining(_) = self.phase {
            for token in self.tokens() {
                self.flush(token, Connection::flush_anyway);
            }
        }
    }

    /// Cuts off a receiver that has been above its mark for too long.
    fn judge(&mut self, session: SessionId) {
        let connection = &mut self.connections[session.token];
        match connection.over_since {
            None => connection.watched = false,
            Some(since) if since.elapsed() >= self.hub.limits.stall_timeout => {
                self.close(session.token, Farewell::Stalled);
            }
            Some(_) => self.stalling.push(session),
        }
    }

    fn check_logins(&mut self) {
        while let Some(first) = self.login_deadlines.first()
            && first.0 <= Instant::now()
            && let Some((_, token)) = self.login_deadlines.pop_first()
        {
            self.close(token, Farewell::LoginTimeout);
            self.late_logins.warn(format_args!("closing clients that have not logged in in time"));
        }
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
            Phase::Draining(_) => return self.close_written(),
            _ => None,
        };
        if let Some(done) = done {
            // Nobody listens any more if this took too long.
            let _ = done.send(());
        }
    }

    /// Closes the connections that have got all there was for them.
    fn close_written(&mut self) {
        let connections = self.connections.iter();
        let written = connections.filter(|(_, connection)| connection.all_written());
        for token in written.map(|(token, _)| token).collect::<Vec<_>>() {
            self.close(token, Farewell::Stopping);
        }
    }

    fn finish(&mut self, done: mpsc::Sender<()>) {
        self.phase = Phase::Finishing(Some(done));
        for token in self.tokens() {
            self.connections[token].finish();
            self.list(token);
        }
    }

    /// The worker writes what is queued, and closes connections.
    #[cfg(test)]
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining(_))
    }

    fn is_done(&self) -> bool {
        match self.phase {
            Phase::Draining(deadline) => self.connections.is_empty() || deadline <= Instant::now(),
            _ => false,
        }
    }

    /// Ends a connection.
    fn close(&mut self, token: usize, farewell: Farewell) {
        let Some(id) = self.id(token) else { return };
        let mut connection = self.connections.remove(token);
        self.hub.mailboxes[self.index].remove_session();
        self.say(&connection, &farewell);
        if let Some(deadline) = connection.login_deadline.take() {
            self.login_deadlines.remove(&(deadline, token));
        }
        if let Some(ticket) = connection.ticket.take() {
            self.hub.places.forget_half_closed(ticket);
        }
        if connection.waiting
            && let Some(room) = connection.session.room()
        {
            room.stop_waiting(id);
        }
        let Worker { batches, hub, ripe, intake, .. } = self;
        let publisher = Publisher { hub, worker: id.worker, ripe };
        connection.session.go_out(&mut Turn { id, batches, publisher, lines: intake, stay: true });
        if let Farewell::LoginTimeout = farewell {
            Reply::Err(b"not logged in in time").encode(connection.session.answers());
            connection.flush();
        }
        connection.close();
        if self.hub.places.is_awaited() {
            self.hub.tell(DOOR_WORKER, Message::PlaceFree);
        }
    }

    fn say(&self, connection: &Connection, farewell: &Farewell) {
        let session = &connection.session;
        match farewell {
            Farewell::Done => debug!("{session} left"),
            Farewell::Lost(Loss::Closed) => debug!("{session} left: connection closed"),
            Farewell::Lost(Loss::TimedOut) => {
                info!(
                    "lost {session}: its system has not answered, or taken anything, for too long"
                );
            }
            Farewell::LoginTimeout => debug!("{session} closed: not logged in in time"),
            Farewell::LetGo => debug!("{session} closed: half-closed, and others need the place"),
            Farewell::Stopping => debug!("{session} closed: the server stops"),
            Farewell::Panicked => debug!("{session} closed: the server has a bug"),
            Farewell::Stalled => {
                let bytes = session.backlog().map_or(0, |backlog| backlog.bytes());
                let seconds = self.hub.limits.stall_timeout.as_secs_f64();
                let room = session.room().map_or("", |room| room.name().as_str());
                warn!(
                    "cut {session} in room {room}: it takes too little, {bytes} bytes have been queued for {seconds} s"
                );
                self.hub.tally.cut.fetch_add(1, Ordering::Relaxed);
            }
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
