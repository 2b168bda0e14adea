//! How long an answer may take: until somebody is told, and until the connection counts as lost.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crate::wire::protocol::Request;

/// How long the answer to anything but a text may take.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// How long until a person is told that there is no answer.
const PERSON: Duration = Duration::from_secs(5);

/// How long until a script is told: it can wait for a room that is held back for a while.
const SCRIPT: Duration = LONGEST;

/// How long an answer has been waited for, and may be.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    since: Instant,
    /// After how long to tell.
    notice: Duration,
    told: bool,
    /// After how long the connection is lost, if ever.
    limit: Option<Duration>,
}

/// What is due when an answer has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To tell that it takes so long.
    Notice(Duration),
    /// To wait no more.
    End,
}

impl Patience {
    /// For the answer to `request`, from now on.
    pub(super) fn with(request: &Request<'_>) -> Self {
        Self::new(Instant::now(), matches!(request, Request::SendAll(_)))
    }

    fn new(since: Instant, is_text: bool) -> Self {
        let notice = if io::stderr().is_terminal() { PERSON } else { SCRIPT };
        Patience { since, notice, told: false, limit: limit(is_text) }
    }

    /// From now on, for another answer: to a text, or to anything else.
    pub(super) fn renew(&mut self, is_text: bool) {
        *self = Patience {
            since: Instant::now(),
            told: false,
            limit: limit(is_text),
            notice: self.notice,
        };
    }

    /// How long until something is due, if ever.
    pub(super) fn left(&self) -> Option<Duration> {
        self.left_at(Instant::now())
    }

    fn left_at(&self, now: Instant) -> Option<Duration> {
        let notice = (!self.told).then_some(self.notice);
        let next = notice.into_iter().chain(self.limit).min()?;
        Some((self.since + next).saturating_duration_since(now))
    }

    /// What is due now. A notice is due once.
    pub(super) fn due(&mut self) -> Option<Due> {
        self.due_at(Instant::now())
    }

    fn due_at(&mut self, now: Instant) -> Option<Due> {
        let waited = now.saturating_duration_since(self.since);
        if self.limit.is_some_and(|limit| limit <= waited) {
            return Some(Due::End);
        }
        let due = !self.told && self.notice <= waited;
        self.told |= due;
        due.then_some(Due::Notice(self.notice))
    }
}

/// A room may be held back for long, and its texts with it.
fn limit(is_text: bool) -> Option<Duration> {
    (!is_text).then_some(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_waited_for_and_all_else_for_a_while() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for is_text in [true, false] {
            let mut patience = Patience { notice: PERSON, ..Patience::new(start, is_text) };
            assert_eq!(patience.left_at(at(2)), Some(Duration::from_secs(3)));
            assert_eq!(patience.due_at(at(4)), None);
            assert_eq!(patience.due_at(at(5)), Some(Due::Notice(PERSON)));
            assert_eq!(patience.due_at(at(6)), None, "told twice");
            let later = (!is_text).then_some(Due::End);
            assert_eq!(patience.due_at(at(30)), later);
            assert_eq!(patience.left_at(at(29)), later.map(|_| Duration::from_secs(1)));
        }
    }
}
