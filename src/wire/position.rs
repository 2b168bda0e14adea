//! Where a text stands in its room: the wire format of positions, and of what a receiver asks for
//! who wants to go on after one (protocol, *`+history`: rooms that remember*).

use std::fmt;

/// The largest EPOCH and SEQ.
pub(crate) const MAX: u64 = i64::MAX as u64;

/// Names a text of a room: `EPOCH-SEQ`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Stays the same as long as nothing is lost.
    pub epoch: u64,
    /// Rises by one with each text of a room; the first has 1.
    pub seq: u64,
}

impl Position {
    /// Reads `EPOCH-SEQ`, two decimal numbers from 0 to 2^63 − 1; `None` if it is anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let dash = bytes.iter().position(|&byte| byte == b'-')?;
        Some(Position { epoch: number(&bytes[..dash])?, seq: number(&bytes[dash + 1..])? })
    }
}

/// `1764254791000000-17`
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// From where a receiver wants a room's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// `last=N`: the last so many.
    Last(u64),
    /// `after=EPOCH-SEQ`: all that came after that one.
    After(Position),
}

impl Resume {
    /// Reads the payload of a `history` request: empty, or from where; `None` if it is anything else.
    pub(crate) fn parse(payload: &[u8]) -> Option<Option<Self>> {
        if payload.is_empty() {
            return Some(None);
        }
        if let Some(count) = payload.strip_prefix(b"last=") {
            return Some(Some(Resume::Last(number(count)?)));
        }
        let position = payload.strip_prefix(b"after=")?;
        Some(Some(Resume::After(Position::parse(position)?)))
    }
}

/// `last=20`, `after=1764254791000000-17`
impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resume::Last(count) => write!(f, "last={count}"),
            Resume::After(position) => write!(f, "after={position}"),
        }
    }
}

/// What a `join` of a receiver that gets records begins with: ` @EPOCH-FROM..TO` at the end of its
/// `ok`. The records that follow begin after FROM; those up to TO were there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The position of FROM.
    pub from: Position,
    /// The SEQ of TO.
    pub to: u64,
}

impl Span {
    /// Finds it at the end of an `ok`'s text.
    pub(crate) fn find(text: &[u8]) -> Option<Self> {
        let at = memchr::memrchr(b'@', text)?;
        let (before, span) = (&text[..at], &text[at + 1..]);
        let dots = memchr::memmem::find(span, b"..")?;
        let from = Position::parse(&span[..dots])?;
        let to = number(&span[dots + 2..])?;
        (before.ends_with(b" ") && from.seq <= to).then_some(Span { from, to })
    }
}

/// ` @1764254791000000-3..17`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " @{}..{}", self.from, self.to)
    }
}

/// A decimal number, digits alone, that is not too large.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_two_numbers_of_digits_alone() {
        let position = |epoch, seq| Some(Position { epoch, seq });
        for (bytes, expected) in [
            ("0-0", position(0, 0)),
            ("17-0042", position(17, 42)),
            ("9223372036854775807-9223372036854775807", position(MAX, MAX)),
            ("9223372036854775808-1", None),
            ("1-9223372036854775808", None),
            ("99999999999999999999999-1", None),
            ("1-", None),
            ("-1", None),
            ("1", None),
            ("", None),
            ("+1-1", None),
            ("1--1", None),
            ("1- 1", None),
            ("1-1-1", None),
        ] {
            assert_eq!(Position::parse(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn what_a_receiver_asks_for_is_one_of_three() {
        let after = Resume::After(Position { epoch: 5, seq: 6 });
        for (payload, expected) in [
            ("", Some(None)),
            ("last=0", Some(Some(Resume::Last(0)))),
            ("last=20", Some(Some(Resume::Last(20)))),
            ("after=5-6", Some(Some(after))),
            ("last=", None),
            ("last=-1", None),
            ("last=+1", None),
            ("last=9223372036854775808", None),
            ("after=5", None),
            ("after=5-6 ", None),
            (" ", None),
            ("all", None),
        ] {
            assert_eq!(Resume::parse(payload.as_bytes()), expected, "{payload}");
            if let Some(Some(resume)) = expected {
                assert_eq!(resume.to_string(), payload);
            }
        }
    }

    #[test]
    fn a_span_is_found_at_the_end_of_an_answer() {
        let span = Span { from: Position { epoch: 9, seq: 3 }, to: 17 };
        assert_eq!(Span::find(format!("joined room cafe{span}").as_bytes()), Some(span));
        for text in ["joined room cafe", "x@9-3..17", " @9-3..2", " @9-3..", " @9-3", " @..", "@"] {
            assert_eq!(Span::find(text.as_bytes()), None, "{text}");
        }
    }
}
