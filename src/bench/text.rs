//! The stamp in each text, and the check that a receiver gets each once and in order.

use std::collections::BTreeSet;

/// Digits of each part of a stamp: sender, number, time.
const DIGITS: [usize; 3] = [4, 8, 16];

/// The shortest text, in bytes: a stamp and nothing else.
pub(crate) const MIN_SIZE: usize = DIGITS[0] + DIGITS[1] + DIGITS[2];

/// What every text starts with, in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The sender's number.
    pub sender: u16,
    /// Counts the sender's texts.
    pub number: u32,
    /// When it was to be sent, in nanoseconds since the load began.
    pub sent: u64,
}

impl Stamp {
    /// Writes the stamp over the start of `text`, which has at least [`MIN_SIZE`] bytes.
    pub(super) fn write(self, text: &mut [u8]) {
        let parts = [u64::from(self.sender), u64::from(self.number), self.sent];
        let mut rest = text;
        for (mut part, digits) in parts.into_iter().zip(DIGITS) {
            let (place, after) = rest.split_at_mut(digits);
            for digit in place.iter_mut().rev() {
                *digit = b"0123456789abcdef"[(part & 15) as usize];
                part >>= 4;
            }
            rest = after;
        }
    }

    /// The stamp at the start of `text`, if there is one.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut rest = text;
        let mut parts = [0; 3];
        for (part, digits) in parts.iter_mut().zip(DIGITS) {
            let (place, after) = rest.split_at_checked(digits)?;
            for digit in place {
                *part = *part << 4 | u64::from(char::from(*digit).to_digit(16)?);
            }
            rest = after;
        }
        let [sender, number, sent] = parts;
        Some(Stamp { sender: sender.try_into().ok()?, number: number.try_into().ok()?, sent })
    }
}

/// The answers to one sender's texts.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Texts sent. They have the numbers below this.
    pub sent: u32,
    /// Texts answered. Answers come in order, so these are the first ones.
    pub answered: u32,
    /// Those of them that were answered `err`.
    refused: BTreeSet<u32>,
}

impl Answers {
    /// Records the answer to the first text that has none.
    pub(super) fn record(&mut self, refused: bool) {
        if refused {
            self.refused.insert(self.answered);
        }
        self.answered += 1;
    }

    fn is_accepted(&self, number: u32) -> bool {
        number < self.answered && !self.is_refused(number)
    }

    /// A text has been answered `err`.
    pub(super) fn is_refused(&self, number: u32) -> bool {
        self.refused.contains(&number)
    }
}

/// What one receiver has got of one sender.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// The number that comes next, if all goes well.
    next: u32,
    /// Numbers below `next` that have not come.
    missing: BTreeSet<u32>,
}

/// How a text comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// In order, though some before it may be missing.
    InOrder,
    /// After one that was sent after it.
    Reordered,
    /// Once more.
    Duplicate,
}

impl Tracker {
    /// Records that number `number` has come.
    pub(super) fn record(&mut self, number: u32) -> Arrival {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            Arrival::InOrder
        } else if self.missing.remove(&number) {
            Arrival::Reordered
        } else {
            Arrival::Duplicate
        }
    }

    /// How many of a sender's texts were answered `ok` and have not come.
    pub(super) fn lost(&self, answers: &Answers) -> u64 {
        let missing = self.missing.iter().filter(|number| answers.is_accepted(**number)).count();
        let rest = self.next..answers.answered;
        let refused = answers.refused.range(self.next..).count();
        (missing + rest.len() - refused) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_trip() {
        let stamp = Stamp { sender: 0xbeef, number: 123_456, sent: u64::MAX - 5 };
        let mut text = vec![b'x'; MIN_SIZE + 3];
        stamp.write(&mut text);
        assert_eq!(Stamp::read(&text), Some(stamp));
        assert_eq!(Stamp::read(&text[..MIN_SIZE - 1]), None);
        assert_eq!(Stamp::read(&[b' '; MIN_SIZE]), None);
    }

    #[test]
    fn only_what_was_answered_ok_can_be_lost() {
        let mut answers = Answers { sent: 10, ..Answers::default() };
        // Texts 0 to 7 have answers, 2 and 5 are refused.
        (0..8).for_each(|number| answers.record(number == 2 || number == 5));
        let lost = |numbers: &[u32]| {
            let mut tracker = Tracker::default();
            for number in numbers {
                tracker.record(*number);
            }
            tracker.lost(&answers)
        };
        assert_eq!(lost(&[]), 6);
        assert_eq!(lost(&[0, 1, 3, 4, 6, 7]), 0);
        assert_eq!(lost(&[0, 1, 2, 3, 4]), 2);
        assert_eq!(lost(&[0, 4, 8]), 4);
        assert_eq!(lost(&[9]), 6);
        assert_eq!(lost(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 0);
    }

    #[test]
    fn a_track_tells_late_ones_from_doubles() {
        let mut tracker = Tracker::default();
        let arrivals: Vec<_> = [0, 3, 1, 1, 4, 4, 2].map(|number| tracker.record(number)).into();
        use Arrival::{Duplicate, InOrder, Reordered};
        assert_eq!(
            arrivals,
            [InOrder, InOrder, Reordered, Duplicate, InOrder, Duplicate, Reordered]
        );
        assert!(tracker.missing.is_empty());
    }
}
