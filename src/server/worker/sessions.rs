//! The sessions on one worker: what is to be done for which, and what comes of it.
//!
//! Whatever changes a connection puts it on a list; [`Sessions::settle`] is where it is decided what
//! comes of that. When to do what, and how much of it, is the loop's business.

mod moves;
mod overdue;
mod stop;
mod trust;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use log::debug;
use mio::Poll;

use super::close::CloseReason;
use super::connection::{Connection, Served};
use super::deadlines::Deadlines;
use super::phase::Phase;
use super::quota;
use super::shared::{Message, Shared};
use super::slot::{Client, Slot};
use super::slots::Slots;
use super::slow::SlowReceivers;
use crate::server::chat::batch::Publisher;
use crate::server::chat::batches::Batches;
use crate::server::chat::effects::{Effect, Effects, Receipt};
use crate::server::chat::id::SessionId;
use crate::server::chat::lane::Lane;
use crate::server::chat::replay::{Page, Start};
#[cfg(test)]
use crate::server::chat::session::Session;
use crate::server::chat::session_queue::SessionQueue;
use crate::server::chat::turn::Turn;
use crate::system::rate_limited::Warning;

/// Receivers that were cut and are named in ten seconds at most, on each worker; more are counted.
const CUTS: usize = 10;

/// The worker that accepts clients.
pub(crate) const ACCEPTING: usize = 0;

/// The sessions on one worker.
#[derive(Debug)]
pub(crate) struct Sessions {
    index: usize,
    shared: Arc<Shared>,
    pub slots: Slots,
    batches: Batches,
    /// What the sessions here want of the loops, both ends.
    effects: Effects,
    wanted: mpsc::Receiver<Effect>,
    /// Connections to be served.
    pub ready: SessionQueue,
    /// Those that are in a handshake.
    pub greetings: SessionQueue,
    /// Connections that something has happened to, to be settled.
    pub changed: SessionQueue,
    /// Connections with something new in their queues, to be written to.
    pub writes: SessionQueue,
    /// Receivers that are above their marks, or have been of late.
    pub slow: SlowReceivers,
    pub login_deadlines: Deadlines,
    /// Those whose certificates have to be looked at once more.
    doubtful: Vec<SessionId>,
    /// Handshakes that are under way.
    pub handshakes: Deadlines,
    /// When those have to have taken something who take nothing.
    pub stuck: Deadlines,
    late_logins: Warning,
    late_handshakes: Warning,
    no_tls: Warning,
    cuts: Warning,
    buffer: Box<[u8]>,
    /// Lines, newcomers and messages since receivers were written to last; at least one for each
    /// client that was read from.
    pub intake: usize,
    pub phase: Phase,
    /// Is called whenever a connection ends; for a test of what happens if that panics.
    #[cfg(test)]
    pub trap: fn(&Session),
}

impl Sessions {
    /// No sessions yet, on worker number `index`.
    pub(crate) fn new(index: usize, shared: Arc<Shared>, poll: Poll) -> Self {
        let (effects, wanted) = Effects::new();
        Sessions {
            index,
            slots: Slots::new(index, poll),
            batches: Batches::new(shared.log.clone()),
            effects,
            wanted,
            ready: SessionQueue::default(),
            greetings: SessionQueue::default(),
            changed: SessionQueue::default(),
            writes: SessionQueue::default(),
            slow: SlowReceivers::new(),
            login_deadlines: Deadlines::default(),
            doubtful: Vec::new(),
            handshakes: Deadlines::default(),
            stuck: Deadlines::default(),
            late_logins: Warning::default(),
            late_handshakes: Warning::default(),
            no_tls: Warning::default(),
            cuts: Warning::at_most(CUTS),
            buffer: vec![0; quota::READ].into(),
            intake: 0,
            phase: Phase::Running,
            shared,
            #[cfg(test)]
            trap: |_| {},
        }
    }

    /// When there is something to do next because of the time.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let looks = self.phase.is_draining() || self.slow.len() > 0;
        let check = looks.then(|| self.slow.next_check());
        let deadlines = [&self.login_deadlines, &self.handshakes, &self.stuck].map(Deadlines::next);
        deadlines.into_iter().chain([check]).flatten().min()
    }

    /// Nothing is to be done for any of them now.
    pub(crate) fn is_idle(&self) -> bool {
        let lists = [&self.ready, &self.greetings, &self.changed, &self.writes];
        let is_idle = lists.iter().all(|list| list.is_empty()) && self.batches.is_empty();
        is_idle && self.doubtful.is_empty()
    }

    /// Takes up what the system says of a socket.
    pub(crate) fn note(&mut self, event: &mio::event::Event) {
        let token = event.token().0;
        if let Some(slot) = self.slots.get_mut(token) {
            slot.connection.note(event);
            self.change(token);
            self.list(token);
        }
    }

    /// A client has connected.
    pub(crate) fn connected(&mut self, client: Client) {
        let deadline = Instant::now() + self.shared.limits.login_timeout;
        let unnamed_user = client.newcomer.unnamed_user();
        let slot = Slot::new(client, deadline);
        debug!("{} connected", slot.connection.session);
        if let Some(id) = self.slots.insert(Box::new(slot)) {
            self.slots[id.token].connection.session.evictable(id);
            self.login_deadlines.add(deadline, id.token);
            self.note_handshake(id.token);
            if let Some(uid) = unnamed_user {
                self.shared.accounts.ask(uid, id);
            }
        }
    }

    /// Something has happened to a connection: before the turn ends, it is settled what comes of it.
    fn change(&mut self, token: usize) {
        if let Some(slot) = self.slots.get(token) {
            self.changed.add(token, slot.connection.session.lane());
        }
    }

    /// Puts a connection on the list of those to be served, if there may be something to serve.
    fn list(&mut self, token: usize) {
        if let Some(slot) = self.slots.get(token)
            && slot.connection.is_servable()
            && self.phase.takes_lines()
        {
            if slot.connection.transport.is_handshaking() {
                // They have not logged in yet.
                self.greetings.add(token, Lane::Quiet);
            } else {
                self.ready.add(token, slot.connection.session.lane());
            }
        }
    }

    /// After a turn that ended in the middle: whatever it may have left undone is looked at again.
    pub(crate) fn recover(&mut self) {
        self.slow.take();
        for token in self.slots.tokens() {
            let Some(id) = self.slots.id(token) else { continue };
            let slot = &mut self.slots[token];
            slot.connection.doubt();
            // What it was told, and what others were told of its room, may be lost.
            slot.connection.session.stop_waiting();
            let session = &slot.connection.session;
            // A transport tells again.
            let is_unnamed = session.is_nameless() && !slot.connection.transport.is_handshaking();
            if session.is_paging() || session.is_opening() || is_unnamed {
                self.close(token, CloseReason::Panicked);
                continue;
            }
            let slot = &mut self.slots[token];
            if let Some(room) = slot.connection.session.room() {
                room.forget_notified(self.index);
            }
            if slot.stall.is_some() {
                self.slow.add(id);
            }
            if let Some(deadline) = slot.login_deadline {
                self.login_deadlines.add(deadline, token);
            }
            if let Some(deadline) = slot.handshake_deadline {
                self.handshakes.add(deadline, token);
            }
            if let Some((deadline, _)) = slot.stuck.as_deref() {
                self.stuck.add(*deadline, token);
            }
            self.change(token);
            self.list(token);
        }
    }

    /// Lends a connection what it needs for `action`. Should that panic, the connection ends.
    fn with_turn<T>(
        &mut self,
        token: usize,
        action: impl FnOnce(&mut Connection, &mut [u8], &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let id = self.slots.id(token)?;
        let Sessions { slots, batches, shared, effects, writes, buffer, intake, phase, .. } = self;
        let mut turn = Turn {
            id,
            batches,
            publisher: Publisher {
                here: Some((id.worker, writes)),
                effects,
                tally: &shared.tally,
                budget: &shared.budget,
            },
            rooms: &shared.rooms,
            placement: &shared.placement,
            queue_limit: shared.limits.queue_limit,
            lines: intake,
            stay: !phase.is_running(),
        };
        let connection = &mut slots.get_mut(token)?.connection;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = action(connection, buffer, &mut turn);
            #[cfg(debug_assertions)]
            super::trap::spring(&connection.session);
            result
        }));
        if result.is_err() {
            self.close(token, CloseReason::Panicked);
        }
        result.ok()
    }

    /// Does what sessions here want of the loops.
    fn carry_out_effects(&mut self) {
        while let Ok(effect) = self.wanted.try_recv() {
            match effect {
                Effect::Resume(session) if session.worker == self.index => self.resume(session),
                Effect::Answer(worker, receipt) if worker == self.index => self.answer(receipt),
                effect => self.shared.carry_out(effect),
            }
        }
    }

    pub(crate) fn resume(&mut self, session: SessionId) {
        if self.slots.hold(session) {
            self.slots[session.token].connection.session.stop_waiting();
            self.change(session.token);
            self.list(session.token);
        }
    }

    /// A log has said what became of texts of sessions here.
    pub(crate) fn answer(&mut self, receipt: Receipt) {
        for (session, texts) in receipt.senders {
            if self.slots.hold(session) {
                let slot = &mut self.slots[session.token];
                slot.connection.session.settle(texts, receipt.refused.as_deref());
                self.change(session.token);
                self.list(session.token);
            }
        }
    }

    /// A log knows about the room that a session is about to enter, or says why not.
    pub(crate) fn opened(&mut self, session: SessionId, outcome: Result<Start, Arc<str>>) {
        if self.slots.hold(session) {
            self.with_turn(session.token, |connection, _, turn| {
                connection.session.opened(outcome, turn);
                connection.session.queue_answers();
            });
            self.change(session.token);
            self.list(session.token);
        }
    }

    /// A log has given, or no longer has, what a session wants.
    pub(crate) fn page(&mut self, session: SessionId, number: u64, page: Option<Page>) {
        let Sessions { slots, shared, .. } = self;
        if !slots.hold(session) {
            return;
        }
        if slots[session.token].connection.session.take_page(number, page, &shared.tally) {
            self.change(session.token);
            self.list(session.token);
        } else {
            self.close(session.token, CloseReason::Missed);
        }
    }

    /// Serves so many clients, and carries out so many lines of each at most.
    pub(crate) fn serve_some(&mut self, lane: Lane, clients: usize, lines: usize) {
        for _ in 0..clients {
            if let Some(token) = self.ready.take(lane) {
                self.serve(token, lines);
            }
        }
    }

    /// Serves clients that are in a handshake, for as long as a turn has for that; one in any case.
    pub(crate) fn greet_some(&mut self, lines: usize) {
        // What the time is costs as much as a small turn.
        if self.greetings.is_empty() {
            return;
        }
        let begun = Instant::now();
        while let Some(token) = self.greetings.take(Lane::Quiet) {
            self.serve(token, lines);
            if begun.elapsed() >= quota::GREETINGS {
                break;
            }
        }
    }

    fn serve(&mut self, token: usize, lines: usize) {
        let servable = self.slots.get(token).is_some_and(|slot| slot.connection.is_servable());
        if !servable || !self.phase.takes_lines() {
            return;
        }
        let serve = |connection: &mut Connection, buffer: &mut [u8], turn: &mut Turn<'_>| {
            connection.serve(buffer, lines, turn)
        };
        match self.with_turn(token, serve) {
            None => return,
            Some(Served::Move(worker)) => return self.hand_over(token, worker),
            Some(Served::Part) => self.list(token),
            Some(Served::All) => {}
        }
        self.change(token);
    }

    /// A connection leaves its token to others.
    fn forget_deadlines(&mut self, slot: &mut Slot, token: usize) {
        if let Some(deadline) = slot.login_deadline.take() {
            self.login_deadlines.remove(deadline, token);
        }
        if let Some(deadline) = slot.handshake_deadline.take() {
            self.handshakes.remove(deadline, token);
        }
        if let Some(stuck) = slot.stuck.take() {
            self.stuck.remove(stuck.0, token);
        }
    }

    pub(crate) fn publish(&mut self) {
        let Sessions { index, shared, batches, effects, writes, .. } = self;
        let here = Some((*index, writes));
        let Shared { tally, budget, .. } = &**shared;
        batches.publish(&mut Publisher { here, effects, tally, budget });
        self.carry_out_effects();
    }

    /// Settles so many of those that something has happened to.
    pub(crate) fn settle_some(&mut self, lane: Lane, count: usize) {
        for _ in 0..count {
            if let Some(token) = self.changed.take(lane) {
                self.settle(token, Connection::flush);
            }
        }
    }

    /// Whatever has changed a connection: gives the client what can be written to it, and settles
    /// what comes next. The one place where that is decided, and where a connection ends that is
    /// over.
    pub(crate) fn settle(&mut self, token: usize, flush: impl FnOnce(&mut Connection)) {
        let flushed = self.with_turn(token, |connection, _, turn| {
            flush(connection);
            connection.session.relieve_room();
            connection.session.read_on(turn);
        });
        if flushed.is_none() {
            return;
        }
        self.carry_out_effects();
        if let Some(reason) = self.close_reason(token) {
            return self.close(token, reason);
        }
        self.list(token);
        let slot = &mut self.slots[token];
        if slot.connection.session.is_logged_in()
            && let Some(deadline) = slot.login_deadline.take()
        {
            self.login_deadlines.remove(deadline, token);
        }
        self.note_handshake(token);
        self.note_stuck(token);
        self.note_half_closed(token);
        self.watch(token);
        self.follow_room(token);
    }

    /// Why a connection ends now, if it does.
    fn close_reason(&self, token: usize) -> Option<CloseReason> {
        let connection = &self.slots[token].connection;
        let stops = self.phase.is_draining() && connection.all_written();
        match connection.loss() {
            Some(loss) if stops || connection.is_over() => Some(CloseReason::Lost(loss)),
            None if connection.is_over() => Some(CloseReason::Done),
            None if stops => Some(CloseReason::Stopping),
            _ => None,
        }
    }

    /// If a receiver has shut down its writing side, it may be gone.
    fn note_half_closed(&mut self, token: usize) {
        let Some(id) = self.slots.id(token) else { return };
        let connection = &mut self.slots[token].connection;
        let is_new = connection.is_half_closed() && !connection.session.is_half_closed();
        if is_new && self.phase.is_running() {
            let Connection { session, transport, .. } = connection;
            transport.probe_soon();
            session.set_half_closed();
            session.evictable(id);
        }
    }

    /// Notes whether a receiver is above its mark. One that has got there is looked at now and then.
    fn watch(&mut self, token: usize) {
        if self.slots[token].watch(self.shared.limits.stall_timeout)
            && let Some(id) = self.slots.id(token)
        {
            self.slow.add(id);
        }
    }

    /// Ends a connection. Should something panic here, it is gone all the same.
    pub(crate) fn close(&mut self, token: usize, reason: CloseReason) {
        let Some(mut slot) = self.slots.remove(token) else { return };
        self.forget_deadlines(&mut slot, token);
        #[cfg(test)]
        (self.trap)(&slot.connection.session);
        let connection = &mut slot.connection;
        reason.count(&self.shared.tally, &connection.session);
        let room = connection.session.room().map(AsRef::as_ref);
        reason.log(&connection.session, room, &mut self.cuts);
        if let Some(trouble) = connection.trouble() {
            debug!("{}: {trouble}", connection.session);
            self.no_tls.warn(format_args!("no TLS with {}: {trouble}", connection.session));
        }
        if let Some(parting_line) = reason.parting_line() {
            connection.tell(parting_line);
        }
        connection.transport.close(reason.is_cut());
        drop(slot);
        self.carry_out_effects();
        if self.shared.admission.is_awaited() {
            self.shared.tell(ACCEPTING, Message::PlaceFree);
        }
    }
}
