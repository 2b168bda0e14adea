//! Where a receiver is in a room that remembers: what it asks a server for, and what it makes of the
//! answers.
//!
//! Knows positions. Must not know connections, nor what becomes of texts.

use std::fmt;

use crate::wire::position::{Position, Resume, Span};

/// What a receiver asks of a server's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// From where it wants the texts of its room; from now on, if nothing is said.
    pub from: Option<Resume>,
    /// A server that keeps nothing will not do.
    pub required: bool,
}

/// Where a receiver is.
#[derive(Debug)]
pub(crate) struct Place {
    /// What it asks for when it enters its room the next time; `None` if it wants no history.
    pub ask: Option<Ask>,
    /// After which text it is, if the server has ever said so.
    position: Option<Position>,
    /// The last text that was there when it entered.
    last: Option<Position>,
    /// What is asked for has to be kept when it enters again, too.
    required: bool,
}

/// What a receiver has not got, or may get again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// So many texts.
    NotKept(u64),
    /// Something, for the positions that the receiver knows are none any more.
    BegunAnew,
    /// The room has no such position yet.
    Beyond(Position),
    /// Nobody knows: the server keeps nothing, and there was one that did.
    NothingKept,
}

impl Place {
    /// Before the first join, with what is asked for then. If `required`, it is each time.
    pub(crate) fn new(ask: Option<Ask>, required: bool) -> Self {
        Place { ask, position: None, last: None, required }
    }

    /// The position, if the server has ever told one.
    pub(crate) fn position(&self) -> Option<Position> {
        self.position
    }

    /// Whether all texts have come that were there when the room was entered.
    pub(crate) fn is_at_end(&self) -> bool {
        match (self.position, self.last) {
            // Numbers go on when another epoch begins: what bears it may have been there before.
            (Some(position), Some(last)) => position.seq >= last.seq,
            _ => false,
        }
    }

    /// Takes what the answer to a join says; `None` if the server keeps nothing.
    pub(crate) fn enter(&mut self, span: Option<Span>) -> Option<Gap> {
        let Some(Span { from, to }) = span else {
            return self.position.map(|_| Gap::NothingKept);
        };
        let asked = match self.ask {
            Some(Ask { from: Some(Resume::After(asked)), .. }) => Some(asked),
            _ => None,
        };
        self.last = Some(Position { seq: to, ..from });
        self.go_to(from);
        asked.and_then(|asked| gap(asked, from))
    }

    /// Takes the position of a text that has come.
    ///
    /// # Errors
    ///
    /// Such a text has come already.
    pub(crate) fn advance(&mut self, to: Position) -> Result<Option<Gap>, Repeated> {
        let before = Position { seq: to.seq.saturating_sub(1), ..to };
        let gap = self.position.and_then(|position| gap(position, before));
        if matches!(gap, Some(Gap::Beyond(_))) || self.position == Some(to) {
            return Err(Repeated);
        }
        self.go_to(to);
        Ok(gap)
    }

    /// The next join goes on after that text.
    fn go_to(&mut self, position: Position) {
        self.position = Some(position);
        self.ask = Some(Ask { from: Some(Resume::After(position)), required: self.required });
    }
}

/// A text has come that was there before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeated;

/// What is missing for one who is at `asked` and goes on at `from`.
fn gap(asked: Position, from: Position) -> Option<Gap> {
    if asked.epoch != from.epoch {
        Some(Gap::BegunAnew)
    } else if from.seq < asked.seq {
        Some(Gap::Beyond(asked))
    } else {
        let missing = from.seq - asked.seq;
        (missing > 0).then_some(Gap::NotKept(missing))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::NotKept(1) => f.write_str("1 text is missing: the server no longer keeps it"),
            Gap::NotKept(count) => {
                write!(f, "{count} texts are missing: the server no longer keeps them")
            }
            Gap::BegunAnew => f.write_str(
                "the server's history has begun anew: texts may be missing, or come once more",
            ),
            Gap::Beyond(position) => {
                write!(f, "the room has no text {position}: all that the server keeps follows")
            }
            Gap::NothingKept => {
                f.write_str("the server does not keep what is said any more: texts may be missing")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, seq: u64) -> Position {
        Position { epoch, seq }
    }

    /// Of one who asked for what comes after text 5 of epoch 7.
    fn entered(from: Position, to: u64) -> (Place, Option<Gap>) {
        let ask = Ask { from: Some(Resume::After(at(7, 5))), required: true };
        let mut place = Place::new(Some(ask), false);
        let gap = place.enter(Some(Span { from, to }));
        (place, gap)
    }

    #[test]
    fn what_a_join_leaves_out_is_told() {
        for (from, expected) in [
            (at(7, 5), None),
            (at(7, 6), Some(Gap::NotKept(1))),
            (at(7, 9), Some(Gap::NotKept(4))),
            (at(7, 2), Some(Gap::Beyond(at(7, 5)))),
            (at(8, 5), Some(Gap::BegunAnew)),
            (at(6, 0), Some(Gap::BegunAnew)),
        ] {
            let (place, gap) = entered(from, 9);
            assert_eq!(gap, expected, "{from}");
            // The next join goes on from there, and does without.
            let ask = Ask { from: Some(Resume::After(from)), required: false };
            assert_eq!(place.ask, Some(ask), "{from}");
            assert_eq!(place.is_at_end(), from.seq == 9, "{from}");
        }
        let ask = Some(Ask { from: Some(Resume::Last(3)), required: false });
        let mut place = Place::new(ask, false);
        assert_eq!(place.enter(None), None, "there was nothing before");
        assert_eq!(place.enter(Some(Span { from: at(1, 2), to: 5 })), None);
        assert_eq!(place.enter(None), Some(Gap::NothingKept));
    }

    #[test]
    fn each_text_comes_once_and_in_order() {
        let (mut place, _) = entered(at(7, 5), 7);
        assert_eq!(place.advance(at(7, 6)), Ok(None));
        assert!(!place.is_at_end());
        for repeated in [5, 6, 0] {
            assert_eq!(place.advance(at(7, repeated)), Err(Repeated), "{repeated}");
        }
        assert_eq!(place.advance(at(7, 9)), Ok(Some(Gap::NotKept(2))));
        assert_eq!(place.position(), Some(at(7, 9)));
        assert!(place.is_at_end());
        assert_eq!(place.advance(at(8, 3)), Ok(Some(Gap::BegunAnew)));
        assert_eq!(place.advance(at(8, 4)), Ok(None));
        assert!(!place.is_at_end(), "what bears another epoch may have been there before");
        (5..=7).for_each(|seq| assert_eq!(place.advance(at(8, seq)), Ok(None)));
        assert!(place.is_at_end());
    }
}
