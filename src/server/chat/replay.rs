//! What a receiver is given out of a log and not out of its queue: what was said before it came, and
//! what it was too slow for.
//!
//! Such a receiver *lags*: it is in its room, which leaves it out when it publishes. It asks the log
//! for pages, each when the last is written, until it has what the room has published. So it holds
//! nobody back, and takes no more memory than a page.

use std::ops::RangeInclusive;

use super::frame::Frame;
use super::id::SessionId;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::Name;

/// What a log knows of the texts of a room that a receiver is about to enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// The epoch that all this was found out in.
    pub epoch: u64,
    /// The SEQ before the first text that is kept.
    pub floor: u64,
    /// Where the receiver wants to begin.
    pub asked: Asked,
}

/// Where a receiver wants to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asked {
    /// With what is said from now on.
    #[default]
    Now,
    /// With the last so many texts.
    Last(u64),
    /// After the text with that SEQ, if there has been one.
    After(u64),
    /// With the first text that is kept.
    First,
}

impl Start {
    /// The SEQ before the first text that the receiver gets, in a room that has published all up to
    /// that position. If another epoch has begun meanwhile, a SEQ says nothing any more.
    pub(crate) fn from(self, Position { epoch, seq: published }: Position) -> u64 {
        let from = match self.asked {
            Asked::Now => return published,
            Asked::Last(count) => published.saturating_sub(count),
            Asked::After(seq) if seq <= published && self.epoch == epoch => seq,
            Asked::After(_) | Asked::First => 0,
        };
        from.max(self.floor).min(published)
    }

    /// Another epoch has begun since, in which the receiver may be somewhere else.
    pub(crate) fn is_outdated(self, published: Position) -> bool {
        matches!(self.asked, Asked::After(_)) && self.epoch < published.epoch
    }
}

/// Texts of a room that a session wants.
#[derive(Clone, Debug)]
pub(crate) struct PageRequest {
    /// The room.
    pub room: Name,
    /// Their SEQs. As many as make a page will do.
    pub seqs: RangeInclusive<u64>,
    /// As records.
    pub records: bool,
    /// Who wants them.
    pub session: SessionId,
    /// Counts the pages that the session has wanted, so that it knows which one comes.
    pub number: u64,
}

/// Some texts of a room, without a hole.
#[derive(Debug)]
pub(crate) struct Page {
    /// Whole lines.
    pub lines: Frame,
    /// Where the last of them is.
    pub last: Position,
}

/// How far a receiver is that is given what a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lag {
    /// The SEQ of the last text that it has been given.
    pub after: u64,
    /// The last that was published.
    pub published: Position,
}

/// What a receiver has asked for, and how far it has got.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// It wants records.
    pub records: bool,
    /// Where to begin in the next room that it joins.
    pub resume: Option<Resume>,
    /// Pages that it has asked for so far.
    pub pages: u64,
    /// The page that is on its way to it, unless what it is to be given has changed since.
    pub paging: Option<Paging>,
    /// What it has to be given before its next line is carried out.
    pub debt: Debt,
}

/// A page that a receiver has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    /// Its number.
    pub number: u64,
    /// The epoch that the room was in.
    pub epoch: u64,
}

/// What a receiver that lags has to be given before it goes on to something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Debt {
    /// Nothing.
    #[default]
    None,
    /// Everything up to that SEQ.
    Until(u64),
    /// That has been given.
    Paid,
}

impl Replay {
    /// It has been given, or queued, everything up to that SEQ; the largest if that is all there is.
    pub(crate) fn reached(&mut self, seq: u64) {
        if matches!(self.debt, Debt::Until(owed) if owed <= seq) {
            self.debt = Debt::Paid;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_begins_where_it_asks_to_as_far_as_that_is_kept() {
        for (floor, asked, from) in [
            (3, Asked::Now, 10),
            (0, Asked::Last(4), 6),
            (0, Asked::Last(40), 0),
            (8, Asked::Last(4), 8),
            (0, Asked::Last(0), 10),
            (0, Asked::After(7), 7),
            (8, Asked::After(7), 8),
            (3, Asked::After(10), 10),
            (3, Asked::After(11), 3),
            (3, Asked::First, 3),
            // Nothing was kept a moment ago.
            (9, Asked::First, 9),
            (10, Asked::After(4), 10),
        ] {
            let start = Start { epoch: 7, floor, asked };
            assert_eq!(start.from(Position { epoch: 7, seq: 10 }), from, "{asked:?}, {floor}");
            // What has come since might be skipped.
            let from = if let Asked::After(_) = asked { floor } else { from };
            assert_eq!(start.from(Position { epoch: 8, seq: 10 }), from, "{asked:?}, {floor}");
        }
    }
}
