//! How long a receiver's queue has been above its mark: without a break, and in all of late.

use std::mem;
use std::time::{Duration, Instant};

use crate::system::rate_limited::PERIOD;
use crate::wire::protocol::Name;

/// Parts of the time that counts as "of late".
const PARTS: usize = 8;

/// The most that counts between two looks: when the server itself was stopped, or had no processor,
/// a receiver is not to blame.
const GAP: Duration = Duration::from_secs(1);

/// One receiver's time above its mark.
#[derive(Debug)]
pub(crate) struct Stall {
    /// How long "of late" is.
    span: Duration,
    is_over: bool,
    looked: Instant,
    /// How long it has been above its mark without a break.
    unbroken: Duration,
    /// Time above its mark, in each part of the last span; the present one first.
    parts: [Duration; PARTS],
    /// How much of the present part is over.
    part: Duration,
    /// Bytes that the receiver had taken.
    taken: u64,
    /// When the operator was last told of it.
    told: Option<Instant>,
    /// The room that has waited for it.
    room: Option<Name>,
}

impl Stall {
    /// A receiver that has just got above its mark, and has ever taken so many bytes.
    pub(crate) fn new(span: Duration, taken: u64, now: Instant) -> Self {
        let (zero, parts) = (Duration::ZERO, [Duration::ZERO; PARTS]);
        Stall {
            span,
            is_over: true,
            looked: now,
            unbroken: zero,
            parts,
            part: zero,
            told: None,
            room: None,
            taken,
        }
    }

    /// The receiver has taken something since the last time.
    pub(crate) fn has_taken(&mut self, taken: u64) -> bool {
        mem::replace(&mut self.taken, taken) != taken
    }

    /// The receiver is in that room now. If it has just joined, the room has not waited for it yet;
    /// that it has been above its mark without a break is its own matter, in whatever rooms.
    pub(crate) fn be_in(&mut self, room: Option<&Name>) {
        if room != self.room.as_ref() {
            self.room = room.cloned();
            self.parts = [Duration::ZERO; PARTS];
        }
    }

    /// The operator is to be told of it: that has not been done for a while, and counts as done now.
    pub(crate) fn tell(&mut self) -> bool {
        let is_due = !self.was_told_lately();
        if is_due {
            self.told = Some(self.looked);
        }
        is_due
    }

    fn was_told_lately(&self) -> bool {
        self.told.is_some_and(|told| self.looked.saturating_duration_since(told) < PERIOD)
    }

    /// Notes whether the receiver is above its mark now.
    pub(crate) fn look(&mut self, is_over: bool, now: Instant) {
        let passed = now.saturating_duration_since(self.looked).min(GAP);
        self.looked = now;
        if self.is_over {
            self.unbroken += passed;
            self.parts[0] += passed;
        }
        self.part += passed;
        let length = (self.span / PARTS as u32).max(Duration::from_nanos(1));
        let parts = self.part.as_nanos() / length.as_nanos();
        for _ in 0..parts.min(PARTS as u128) {
            self.parts.rotate_right(1);
            self.parts[0] = Duration::ZERO;
        }
        if parts > 0 {
            self.part = Duration::ZERO;
        }
        self.is_over = is_over;
        if !is_over {
            self.unbroken = Duration::ZERO;
        }
    }

    /// How much of the last span it has been above its mark.
    pub(crate) fn of_late(&self) -> Duration {
        self.parts.iter().sum::<Duration>().min(self.span)
    }

    /// How long "of late" is.
    pub(crate) fn span(&self) -> Duration {
        self.span
    }

    /// What to do about it.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.unbroken >= self.span {
            Verdict::Cut
        } else if self.of_late() > self.span / 2 {
            Verdict::Tell
        } else if self.is_over || !self.of_late().is_zero() || self.was_told_lately() {
            Verdict::Watch
        } else {
            Verdict::Forget
        }
    }
}

/// What to do about a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has been above its mark for all of the span: cut it off.
    Cut,
    /// It has held its room back for more than half of the last span: tell the operator.
    Tell,
    /// Go on looking at it.
    Watch,
    /// It has not been above its mark for all of the last span, nor was anybody told of it lately.
    Forget,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(4);

    /// Looks every tenth of a second at a receiver that is above its mark for so many of ten looks.
    fn after(seconds: u32, of_ten: u32) -> Stall {
        let begun = Instant::now();
        let mut stall = Stall::new(SPAN, 0, begun);
        for look in 1..=seconds * 10 {
            stall.look(look % 10 < of_ten, begun + Duration::from_millis(100) * look);
        }
        stall
    }

    #[test]
    fn short_times_add_up() {
        assert_eq!(after(10, 8).verdict(), Verdict::Tell);
        assert!(after(10, 8).unbroken < Duration::from_secs(1));
        assert_eq!(after(10, 3).verdict(), Verdict::Watch);
    }

    #[test]
    fn what_is_long_ago_no_longer_counts() {
        let mut stall = after(10, 10);
        assert_eq!(stall.verdict(), Verdict::Cut);
        assert!(stall.of_late() >= SPAN * 7 / 8, "{stall:?}");
        let now = stall.looked;
        for look in 1..60 {
            stall.look(false, now + Duration::from_millis(100) * look);
        }
        assert_eq!(stall.verdict(), Verdict::Forget, "{stall:?}");
    }

    #[test]
    fn each_is_told_of_once_in_a_while_also_if_it_was_not_slow_in_between() {
        let mut stall = after(4, 9);
        assert_eq!([stall.tell(), stall.tell()], [true, false]);
        let begun = stall.looked;
        let mut look = |seconds: f64, is_over| {
            while stall.looked < begun + Duration::from_secs_f64(seconds) {
                stall.look(is_over, stall.looked + Duration::from_millis(100));
            }
            stall.verdict()
        };
        assert_eq!(look(6.0, false), Verdict::Watch);
        assert_eq!(look(9.5, true), Verdict::Tell);
        assert_eq!([stall.tell(), stall.tell()], [false, false]);
        stall.look(true, begun + PERIOD);
        assert_eq!([stall.tell(), stall.tell()], [true, false]);
    }

    /// Nor is it worth anything to a receiver to join another one.
    #[test]
    fn a_room_that_is_joined_has_not_waited_yet() {
        let mut stall = after(3, 10);
        stall.look(true, stall.looked);
        let [a, b] = [b"a", b"b"].map(|name| Name::parse(name).unwrap());
        stall.be_in(None);
        assert_eq!(stall.verdict(), Verdict::Tell);
        stall.be_in(Some(&a));
        stall.be_in(Some(&b));
        assert_eq!(stall.verdict(), Verdict::Watch);
        for _ in 0..11 {
            stall.look(true, stall.looked + Duration::from_millis(100));
        }
        assert_eq!(stall.verdict(), Verdict::Cut, "{stall:?}");
    }

    #[test]
    fn a_pause_of_the_server_is_not_the_receivers() {
        let begun = Instant::now();
        let mut stall = Stall::new(SPAN, 0, begun);
        stall.look(true, begun + Duration::from_secs(3600));
        assert_eq!(stall.unbroken, GAP);
        assert_eq!(stall.verdict(), Verdict::Watch);
    }
}
