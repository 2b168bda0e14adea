//! One of the server's threads: a loop over the sockets of the clients that live on it.
//!
//! A turn of the loop reads what clients sent and carries it out, publishes all their texts, one
//! frame a room, and then writes answers, and deliveries to as many receivers as a turn is for. It
//! never waits for a client: what a socket does not take stays in its queue until the system says
//! that there is room again.

mod acceptor;
#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod bounds;
mod close;
mod connection;
mod deadlines;
pub(crate) mod door;
#[cfg(test)]
mod ends;
mod got;
#[cfg(test)]
mod handshakes;
#[cfg(test)]
mod logs;
mod loss;
mod mailbox;
#[cfg(test)]
mod names;
mod phase;
mod plain;
mod quota;
#[cfg(test)]
mod replays;
mod sessions;
pub(crate) mod shared;
mod slot;
mod slots;
mod slow;
pub(crate) mod spawn;
mod stall;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod stuck;
mod sync;
#[cfg(test)]
mod test_log;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod test_transport;
mod tls;
mod transport;
#[cfg(debug_assertions)]
mod trap;

use std::io::{self, ErrorKind};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use log::error;
use mio::{Events, Poll};

use super::chat::admission::Permit;
use super::chat::lane::Lane;
use acceptor::{Accepted, Acceptor};
use close::CloseReason;
use connection::Connection;
use door::{Door, Newcomer};
use phase::Phase;
pub(crate) use sessions::ACCEPTING;
use sessions::Sessions;
use shared::{Message, Shared};
use slot::Client;

/// One worker, to be run on a thread of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Message>,
    events: Events,
    sessions: Sessions,
    /// Accepts clients, if that is this worker's business.
    acceptor: Option<Acceptor>,
}

impl Worker {
    /// The worker number `index`, which takes its messages from `inbox`.
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Message>,
        poll: Poll,
    ) -> Self {
        Worker {
            index,
            sessions: Sessions::new(index, Arc::clone(&shared), poll),
            shared,
            inbox,
            events: Events::with_capacity(quota::EVENTS),
            acceptor: None,
        }
    }

    /// Accepts clients at these doors, for all workers.
    ///
    /// # Errors
    ///
    /// If the system does not watch them.
    pub(crate) fn accept_at(&mut self, doors: Vec<Door>) -> io::Result<()> {
        let admission = Arc::clone(&self.shared.admission);
        self.acceptor =
            Some(Acceptor::new(doors, admission, self.sessions.slots.poll().registry())?);
        Ok(())
    }

    /// Runs until the server has stopped.
    pub(crate) fn run(mut self) {
        while !self.is_done() {
            self.survive(Self::turn);
        }
        for token in self.sessions.slots.tokens() {
            self.survive(|worker| worker.sessions.close(token, CloseReason::Stopping));
        }
    }

    fn is_done(&self) -> bool {
        let Sessions { phase, .. } = &self.sessions;
        phase.is_over() || phase.is_draining() && self.sessions.slots.is_empty()
    }

    /// Lets `turn` have a bug, which must not take all clients of this worker along.
    fn survive(&mut self, turn: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| turn(self))).is_err() {
            self.events = Events::with_capacity(quota::EVENTS);
            self.acceptor.iter_mut().for_each(Acceptor::doubt);
            self.sessions.recover();
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) {
        let wait = self.fall_asleep();
        self.look(wait);
        self.work();
    }

    /// How long there is nothing to do, as far as can be told. Says that it has to be woken from now
    /// on, unless there is something to do.
    fn fall_asleep(&mut self) -> Option<Duration> {
        let wait = self.wait();
        if wait == Some(Duration::ZERO) {
            return wait;
        }
        match self.shared.mailboxes[self.index].fall_asleep(&self.inbox) {
            Some(message) => {
                self.take(message);
                Some(Duration::ZERO)
            }
            None => wait,
        }
    }

    /// Looks at sockets and messages, and waits for them for so long at the most.
    fn look(&mut self, wait: Option<Duration>) {
        let polled = self.sessions.slots.poll().poll(&mut self.events, wait);
        self.shared.mailboxes[self.index].stay_awake();
        if let Err(error) = polled
            && error.kind() != ErrorKind::Interrupted
        {
            error!("cannot wait for clients: {error}");
            std::thread::sleep(slow::CHECK);
        }
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        events.iter().for_each(|event| self.note(event));
        self.events = events;
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
    }

    /// Does what there is to do.
    fn work(&mut self) {
        self.accept();
        self.serve();
        self.sessions.check_logins();
        self.sessions.check_handshakes();
        self.sessions.check_stuck();
        self.sessions.examine_some();
        self.sessions.publish();
        self.write();
        self.sessions.check_slow();
        self.sessions.report_phase();
    }

    /// How long there is nothing to do, as far as can be told.
    fn wait(&self) -> Option<Duration> {
        if !self.sessions.is_idle() {
            return Some(Duration::ZERO);
        }
        // A millisecond more, for the wait is rounded down.
        let until = |next: Instant| {
            next.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
        };
        let acceptor = self.acceptor.as_ref().and_then(Acceptor::wait);
        [self.sessions.next_deadline().map(until), acceptor].into_iter().flatten().min()
    }

    fn note(&mut self, event: &mio::event::Event) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.note(event.token());
        }
        self.sessions.note(event);
    }

    fn take(&mut self, message: Message) {
        let sessions = &mut self.sessions;
        sessions.intake += 1;
        match message {
            Message::Close(done) => {
                self.acceptor = None;
                // Nobody listens any more if this took too long.
                let _ = done.send(());
            }
            // The acceptor looks again, now that its worker is awake.
            Message::PlaceFree => {}
            Message::Connected(client) => sessions.connected(client),
            Message::Arriving(slot) => sessions.arrived(slot),
            Message::Published(room) => room.look(self.index, &mut sessions.writes),
            Message::Resume(session) => sessions.resume(session),
            Message::Answer(receipt) => sessions.answer(receipt),
            Message::Opened(session, outcome) => sessions.opened(session, outcome),
            Message::Page(session, number, page) => sessions.page(session, number, page),
            Message::Vouched(session, vouched) => sessions.vouch(session, vouched),
            Message::Renewed => sessions.doubt_certificates(),
            Message::Evict(session) => sessions.evict(session),
            Message::Finish(done) => sessions.finish(done),
            Message::Halt(done) => sessions.halt(done),
            Message::Drain(deadline) => {
                sessions.phase = Phase::Draining(deadline);
                // All are written to at once.
                sessions.slow.check_soon();
            }
        }
    }

    /// Accepts those who wait for that, or the first of them.
    fn accept(&mut self) {
        for _ in 0..quota::NEWCOMERS {
            let Some(accepted) = self.acceptor.as_mut().and_then(Acceptor::next) else {
                return;
            };
            self.sessions.intake += 1;
            match accepted {
                Accepted::Client(newcomer, permit) => self.assign(newcomer, permit),
                Accepted::Evict(session) if session.worker == self.index => {
                    self.sessions.evict(session);
                }
                Accepted::Evict(session) => {
                    self.shared.tell(session.worker, Message::Evict(session));
                }
                Accepted::Refused => {}
            }
        }
    }

    /// Gives a client to the worker with the fewest.
    fn assign(&mut self, newcomer: Newcomer, permit: Permit) {
        let placement = &self.shared.placement;
        let worker = placement.least_busy(self.index);
        let assignment = placement.assign(worker);
        let client = Client { newcomer, permit, assignment };
        if worker == self.index {
            self.sessions.connected(client);
        } else {
            self.shared.tell(worker, Message::Connected(client));
        }
    }

    /// Serves those on the list, or the first of them.
    fn serve(&mut self) {
        let ready = &self.sessions.ready;
        let [quiet, loud] = Lane::ALL.map(|lane| ready.len(lane).min(quota::CLIENTS));
        let lines = quota::lines_each(quiet + loud);
        self.sessions.serve_some(Lane::Quiet, quiet, lines);
        self.sessions.serve_some(Lane::Loud, loud, lines);
        self.sessions.greet_some(lines);
        // What was no whole line had to be read, too.
        self.sessions.intake = self.sessions.intake.max(quiet + loud);
    }

    /// Writes answers, and deliveries to a part of the receivers; those in small rooms first.
    fn write(&mut self) {
        let intake = mem::take(&mut self.sessions.intake);
        for lane in Lane::ALL {
            let count = quota::receivers(self.sessions.writes.len(lane), intake);
            let changed = self.sessions.changed.len(lane);
            self.write_some(lane, count.saturating_sub(quota::AFTER_ANSWERS));
            self.sessions.settle_some(lane, changed);
            self.write_some(lane, count.min(quota::AFTER_ANSWERS));
        }
    }

    /// Writes to so many of those who have waited for that the longest.
    fn write_some(&mut self, lane: Lane, count: usize) {
        for number in 1..=count {
            if let Some(token) = self.sessions.writes.take(lane) {
                self.sessions.settle(token, Connection::flush);
            }
            if lane == Lane::Loud && number % quota::BETWEEN_GLANCES == 0 {
                self.glance();
            }
        }
    }

    /// In the middle of writing to large rooms: does what there is to do for small ones. These may
    /// be better off elsewhere.
    fn glance(&mut self) {
        self.shared.placement.set_loud(self.index);
        self.look(Some(Duration::ZERO));
        let sessions = &mut self.sessions;
        let clients = sessions.ready.len(Lane::Quiet).min(quota::GLANCE);
        if clients > 0
            && let Some(calm_worker) = self.shared.placement.calm_worker()
        {
            sessions.move_rooms(clients, calm_worker);
        }
        sessions.serve_some(Lane::Quiet, clients, quota::LINES_A_GLANCE);
        sessions.publish();
        sessions.settle_some(Lane::Quiet, sessions.changed.len(Lane::Quiet).min(quota::GLANCE));
        self.write_some(Lane::Quiet, self.sessions.writes.len(Lane::Quiet).min(quota::GLANCE));
    }
}
