//! How the workers are brought to an end: nothing that was received is left undone, and nothing
//! that was carried out is left undelivered, as far as time allows.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::hub::{Hub, Message};

/// How long each part of it may take, counted from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Until what had been received is carried out.
    pub finish: Duration,
    /// Until nothing more is carried out.
    pub halt: Duration,
    /// Until what is queued is written.
    pub drain: Duration,
}

/// As fast as the server has to be.
pub const PACE: Pace = Pace {
    finish: Duration::from_secs(2),
    halt: Duration::from_secs(3),
    drain: Duration::from_millis(4500),
};

// What the protocol promises, with some time to end in.
const _: () = {
    assert!(PACE.finish.as_millis() < PACE.halt.as_millis());
    assert!(PACE.halt.as_millis() < PACE.drain.as_millis());
    assert!(PACE.drain.as_millis() <= 4500);
};

/// Tells the workers to close the door, to finish, to halt, and to drain their queues and end.
pub fn wind_down(hub: &Hub, begun: Instant, pace: Pace) {
    tell_and_wait(hub, Message::Close, begun + pace.finish);
    // Twice: a session that was on its way from one worker to another when the first round began
    // has arrived by the second.
    for _ in 0..2 {
        tell_and_wait(hub, Message::Finish, begun + pace.finish);
    }
    // A worker that drains closes receivers; nobody may publish to them any more then.
    tell_and_wait(hub, Message::Halt, begun + pace.halt);
    hub.tell_all(|| Message::Drain(begun + pace.drain));
}

/// Tells all workers and waits until they have done it, at most until the deadline.
fn tell_and_wait(hub: &Hub, message: impl Fn(mpsc::Sender<()>) -> Message, deadline: Instant) {
    let (done, all_done) = mpsc::channel();
    hub.tell_all(|| message(done.clone()));
    for _ in &hub.mailboxes {
        let _ = all_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
