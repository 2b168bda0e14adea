//! Which receivers on a worker are above their marks, or have been of late, and when to look at them.

use std::mem;
use std::time::{Duration, Instant};

use super::stall::Stall;
use crate::server::chat::id::SessionId;
use crate::server::chat::session::Session;
use crate::system::rate_limited::Warning;

/// How often they are looked at.
pub(crate) const CHECK: Duration = Duration::from_millis(100);

/// The receivers that a worker looks at now and then.
#[derive(Debug)]
pub(crate) struct SlowReceivers {
    sessions: Vec<SessionId>,
    next_check: Instant,
}

impl SlowReceivers {
    /// None yet.
    pub(crate) fn new() -> Self {
        SlowReceivers { sessions: Vec::new(), next_check: Instant::now() }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, session: SessionId) {
        self.sessions.push(session);
    }

    /// Takes all of them out, some of which may have gone meanwhile.
    pub(crate) fn take(&mut self) -> Vec<SessionId> {
        mem::take(&mut self.sessions)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// When to look at them next.
    pub(crate) fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Looks as soon as it is asked.
    pub(crate) fn check_soon(&mut self) {
        self.next_check = Instant::now();
    }

    /// It is time to look at them, and will be again in a while.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next_check <= now;
        if is_due {
            self.next_check = now + CHECK;
        }
        is_due
    }
}

/// Warns of a receiver that holds its room back.
pub(crate) fn warn_of(receiver: &Session, stall: &Stall, warning: &mut Warning) {
    if let Some(room) = receiver.room() {
        warning.warn(format_args!(
            "room {} waits for {receiver}, which has held it back for {:.1} of the last {} s",
            room.name(),
            stall.of_late().as_secs_f64(),
            stall.span().as_secs_f64(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_server::TestServer;
    use super::*;

    /// How long the one slow receiver has held its room back of late, if there is one.
    fn of_late(server: &TestServer) -> Option<Duration> {
        let slots = &server.workers[0].sessions.slots;
        slots.iter().find_map(|slot| slot.stall.as_ref()).map(|stall| stall.of_late())
    }

    #[test]
    fn who_joins_another_room_has_not_held_it_back_yet() {
        let mut server = TestServer::with_reserve();
        let mut slow = server.client_saying(0, "rlogin:eve\njoin:cafe\n");
        let mut sender = server.client_saying(0, "slogin:bob\njoin:cafe\n");
        let texts = format!("sendall:{}\n", "x".repeat(200)).repeat(10);
        let is_slow = |server: &mut TestServer| {
            sender.try_send(&texts);
            server.step(0);
            sender.heard();
            of_late(server) >= Some(Duration::from_millis(500))
        };
        server.wait_for(is_slow, "it is not slow");
        let before = of_late(&server);
        slow.send("join:there\n");
        // It is heard when it takes something.
        let has_joined = |server: &mut TestServer| {
            slow.heard();
            server.step(0);
            slow.heard().ends_with("ok:joined room there\n")
        };
        server.wait_for(has_joined, "it does not join");
        let after = of_late(&server);
        assert!(after < before, "{after:?} after {before:?}");
    }
}
