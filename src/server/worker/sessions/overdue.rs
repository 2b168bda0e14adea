//! The sessions that may have to go because of the time, or because others need their places.

use std::time::Instant;

use super::Sessions;
use crate::server::chat::id::SessionId;
use crate::server::chat::sync::lock;
use crate::server::config::UNCONFIRMED;
use crate::server::worker::close::CloseReason;
use crate::server::worker::connection::Connection;
use crate::server::worker::slot::Slot;
use crate::server::worker::stall::Verdict;
use crate::server::worker::{quota, slow};

impl Sessions {
    /// Others need the place of a session that may be gone, or has not logged in for long.
    pub(crate) fn evict(&mut self, session: SessionId) {
        if !self.slots.hold(session) {
            return;
        }
        if self.slots[session.token].connection.session.is_half_closed() {
            self.close(session.token, CloseReason::HalfClosed);
        } else if !self.logs_in_at_last(session) {
            self.close(session.token, CloseReason::Evicted);
        }
    }

    /// Gives slow receivers another chance, and cuts those who had enough.
    pub(crate) fn check_slow(&mut self) {
        if !self.slow.is_due() {
            return;
        }
        for session in self.slow.take() {
            if self.slots.hold(session) {
                self.settle(session.token, Connection::flush_anyway);
            }
            if self.slots.hold(session) {
                self.judge(session);
            }
        }
        if self.phase.is_draining() {
            for token in self.slots.tokens() {
                self.settle(token, Connection::flush_anyway);
            }
        }
    }

    /// Cuts off a receiver that has been above its mark for too long, and tells of one that holds
    /// its room back.
    fn judge(&mut self, session: SessionId) {
        let Slot { connection, stall: Some(stall), .. } = &mut self.slots[session.token] else {
            return;
        };
        let verdict = match stall.verdict() {
            // Nobody waits for it, and what holds it up would not list it again.
            Verdict::Tell | Verdict::Forget if connection.session.lags() => Verdict::Watch,
            verdict => verdict,
        };
        connection.session.set_slow(verdict == Verdict::Tell);
        match verdict {
            Verdict::Cut => {
                let limit = self.shared.limits.stall_timeout;
                return self.close(session.token, CloseReason::Stalled(limit));
            }
            Verdict::Tell if stall.tell() => {
                let mut warning = lock(&self.shared.slow_receivers);
                slow::warn_of(&connection.session, stall, &mut warning);
            }
            Verdict::Tell | Verdict::Watch => {}
            Verdict::Forget => {
                self.slots[session.token].stall = None;
                return;
            }
        }
        self.slow.add(session);
    }

    /// Closes those who have not logged in by their deadlines, or the first of them: the next turn
    /// comes at once.
    pub(crate) fn check_logins(&mut self) {
        for _ in 0..quota::CLIENTS {
            let Some(token) = self.login_deadlines.take_due(Instant::now) else { return };
            if self.slots.id(token).is_some_and(|id| !self.logs_in_at_last(id)) {
                self.close(token, CloseReason::LoginTimeout);
                let late = format_args!("closing clients that have not logged in in time");
                self.late_logins.warn(late);
            }
        }
    }

    /// Notes whether a client takes nothing of what it is owed, if nobody else would.
    pub(super) fn note_stuck(&mut self, token: usize) {
        let Sessions { slots, stuck, .. } = self;
        let slot = &mut slots[token];
        match slot.connection.stuck_at() {
            Some(taken) if slot.stuck.is_none() => {
                let deadline = Instant::now() + UNCONFIRMED;
                slot.stuck = Some(Box::new((deadline, taken)));
                stuck.add(deadline, token);
            }
            Some(_) => {}
            None => {
                if let Some(one) = slot.stuck.take() {
                    stuck.remove(one.0, token);
                }
            }
        }
    }

    /// Ends those who have taken nothing for too long, or the first of them.
    pub(crate) fn check_stuck(&mut self) {
        for _ in 0..quota::CLIENTS {
            let Some(token) = self.stuck.take_due(Instant::now) else { return };
            let stuck = self.slots.get_mut(token).and_then(|slot| slot.stuck.take());
            let Some((_, before)) = stuck.map(|stuck| *stuck) else { continue };
            // The system says that there is room only when there is much.
            self.settle(token, |connection| {
                connection.flush_anyway();
                if connection.stuck_at() == Some(before) {
                    connection.time_out();
                }
            });
        }
    }

    /// Reads once more what a client has sent, whether or not its turn has come: it may be the
    /// server that is late. `false` if it has not logged in then, and is still here.
    fn logs_in_at_last(&mut self, session: SessionId) -> bool {
        self.slots[session.token].connection.expect_input();
        self.serve(session.token, quota::LINES_EACH);
        !self.slots.hold(session) || self.slots[session.token].connection.session.is_logged_in()
    }
}
