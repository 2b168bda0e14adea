//! How the workers are brought to an end: nothing that was received is left undone, and nothing
//! that was carried out is left undelivered, as far as time allows.

use std::convert::Infallible;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::worker::shared::{Message, Shared};

/// When each part of it has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// What had been received is carried out.
    pub finish: Instant,
    /// Nothing more is carried out.
    pub halt: Instant,
    /// What is queued is written.
    pub drain: Instant,
    /// The workers have ended.
    pub end: Instant,
    /// What was logged is written.
    pub log: Instant,
}

impl Pace {
    /// A stop that begins now and takes `time` at the most, with some of it left to end in.
    pub(crate) fn within(time: Duration) -> Self {
        let begun = Instant::now();
        let after = |percent| begun + time * percent / 100;
        Pace {
            finish: after(40),
            halt: after(60),
            drain: after(84),
            end: after(90),
            log: after(96),
        }
    }
}

/// Tells the workers to accept nobody more, to finish, to halt, and to drain their queues and end.
pub(crate) fn wind_down(shared: &Shared, pace: Pace) {
    tell_and_wait(shared, Message::Close, pace.finish);
    // Twice: a session that was on its way from one worker to another when the first round began
    // has arrived by the second.
    for _ in 0..2 {
        tell_and_wait(shared, Message::Finish, pace.finish);
    }
    if let Some(log) = &shared.log {
        log.finish(pace.halt);
    }
    // A worker that drains closes receivers; nobody may publish to them any more then.
    tell_and_wait(shared, Message::Halt, pace.halt);
    shared.tell_all(|| Message::Drain(pace.drain));
}

/// Waits until nobody holds the sender any more, at most until the deadline.
pub(crate) fn wait_for_end(ended: &mpsc::Receiver<Infallible>, deadline: Instant) {
    let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
}

/// Tells all workers and waits until they have done it, at most until the deadline.
fn tell_and_wait(
    shared: &Shared,
    message: impl Fn(mpsc::Sender<()>) -> Message,
    deadline: Instant,
) {
    let (done, all_done) = mpsc::channel();
    shared.tell_all(|| message(done.clone()));
    for _ in &shared.mailboxes {
        let _ = all_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_has_time_left_to_end_in() {
        let time = Duration::from_secs(5);
        let begun = Instant::now();
        let Pace { finish, halt, drain, end, log } = Pace::within(time);
        let parts = [begun, finish, halt, drain, end, log, begun + time];
        assert!(parts.is_sorted_by(|a, b| a < b), "{parts:?}");
    }

    #[test]
    fn a_worker_that_does_not_end_is_not_waited_for() {
        let (working, ended) = mpsc::channel();
        wait_for_end(&ended, Instant::now() + Duration::from_millis(10));
        drop(working);
    }
}
