//! Who clients are: handshakes that are under way, names that are vouched for, and certificates that do
//! not hold any more.

use std::time::{Duration, Instant};

use super::Sessions;
use crate::server::chat::id::SessionId;
use crate::server::chat::vouched::Vouched;
use crate::server::worker::close::CloseReason;
use crate::server::worker::quota;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

impl Sessions {
    /// It has been found out what vouches for a session's name. Until then it is not logged in, and
    /// so stays where it is.
    pub(crate) fn vouch(&mut self, session: SessionId, vouched: Vouched) {
        if self.slots.hold(session) {
            self.slots[session.token].connection.session.vouch(vouched);
            self.change(session.token);
            self.list(session.token);
        }
    }

    /// Notes whether a handshake is under way. Of many, the oldest makes room for a new one.
    pub(super) fn note_handshake(&mut self, token: usize) {
        let slot = &mut self.slots[token];
        match (slot.connection.transport.is_handshaking(), slot.handshake_deadline) {
            (true, None) => {
                let deadline = Instant::now() + HANDSHAKE;
                slot.handshake_deadline = Some(deadline);
                self.handshakes.add(deadline, token);
                if self.handshakes.len() > quota::HANDSHAKES
                    && let Some(oldest) = self.handshakes.take_first()
                {
                    self.end_handshake(oldest);
                }
            }
            (false, Some(deadline)) => {
                slot.handshake_deadline = None;
                self.handshakes.remove(deadline, token);
            }
            _ => {}
        }
    }

    /// Ends those whose handshakes take too long, or the first of them.
    pub(crate) fn check_handshakes(&mut self) {
        for _ in 0..quota::CLIENTS {
            let Some(token) = self.handshakes.take_due(Instant::now) else { return };
            self.end_handshake(token);
        }
    }

    fn end_handshake(&mut self, token: usize) {
        self.close(token, CloseReason::Handshake);
        let late = format_args!("closing clients whose TLS handshake takes too long");
        self.late_handshakes.warn(late);
    }

    /// What vouches for clients has been read again: those for whom it counts have to be examined.
    pub(crate) fn doubt_certificates(&mut self) {
        let is_doubtful = |token: &usize| self.slots[*token].connection.transport.is_doubtful();
        let tokens = self.slots.tokens().into_iter().filter(is_doubtful);
        self.doubtful = tokens.filter_map(|token| self.slots.id(token)).collect();
    }

    /// Ends those for whom nothing vouches any more, of so many as a turn is for.
    pub(crate) fn examine_some(&mut self) {
        for _ in 0..quota::EXAMINED {
            let Some(session) = self.doubtful.pop() else { return };
            if self.slots.hold(session)
                && !self.slots[session.token].connection.transport.still_holds()
            {
                self.close(session.token, CloseReason::Revoked);
            }
        }
    }
}
