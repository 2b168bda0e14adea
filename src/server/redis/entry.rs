//! An entry of a room's stream: the texts of one turn.

use ::redis::Value;

use super::link::{bytes, number, parts, text};
use crate::wire::position::Position;

/// An entry of a room's stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where its last text is.
    pub last: Position,
    /// The SEQ of its first text.
    pub first: u64,
    /// When Redis took it, in milliseconds since 1970.
    pub time: u64,
    /// Texts in all rooms up to there.
    pub total: u64,
    /// Deliveries, whole lines, one for each text.
    pub lines: Vec<u8>,
}

/// What was read of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    /// The entries, in order.
    pub sound: Vec<Entry>,
    /// Where it ends if what comes next makes no sense: somebody has changed it by hand.
    pub senseless: Option<Position>,
}

impl Entries {
    /// Reads the reply to `XRANGE`.
    pub(super) fn read(reply: Value) -> Self {
        let mut read = Entries::default();
        let Value::Array(entries) = reply else { return read };
        for entry in entries {
            let mut parts_of_entry = parts(entry).into_iter();
            let mut next = || parts_of_entry.next().unwrap_or_default();
            let Some(last) = Position::parse(text(next()).as_bytes()) else { break };
            match Entry::read(last, next()) {
                Some(entry) => read.sound.push(entry),
                None => {
                    read.senseless = Some(last);
                    break;
                }
            }
        }
        read
    }

    /// Up to where it was read.
    pub(super) fn last(&self) -> Option<Position> {
        self.senseless.or(self.sound.last().map(|entry| entry.last))
    }
}

impl Entry {
    /// The entries in the reply to `XRANGE`, as far as they make sense.
    pub(super) fn read_all(reply: Value) -> Vec<Self> {
        Entries::read(reply).sound
    }

    fn read(last: Position, fields: Value) -> Option<Self> {
        let mut values = parts(fields).into_iter().skip(1).step_by(2);
        let (first, time) = (number(values.next()?), number(values.next()?));
        let (total, lines) = (number(values.next()?), bytes(values.next()?));
        let entry = Entry { last, first, time, total, lines };
        entry.is_sound().then_some(entry)
    }

    /// It has as many lines as texts.
    fn is_sound(&self) -> bool {
        let lines = memchr::memchr_iter(b'\n', &self.lines).count() as u64;
        self.first > 0
            && self.lines.ends_with(b"\n")
            && self.last.seq.checked_sub(self.first).and_then(|more| more.checked_add(1))
                == Some(lines)
    }

    /// How many texts it has.
    pub(super) fn texts(&self) -> u64 {
        self.last.seq - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, first: &str, lines: &str) -> Value {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = ["first", first, "time", "7", "total", "9", "lines", lines];
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|one| bulk(one)).collect())])
    }

    #[test]
    fn an_entry_has_a_line_for_each_of_its_texts() {
        let read = |id, first, lines| Entry::read_all(Value::Array(vec![entry(id, first, lines)]));
        let [one] = &read("5-3", "2", "a\nb\n")[..] else { panic!("it is not read") };
        assert_eq!((one.last, one.texts()), (Position { epoch: 5, seq: 3 }, 2));
        assert_eq!((one.time, one.total, &one.lines[..]), (7, 9, &b"a\nb\n"[..]));
        for (id, first, lines) in [
            ("5-3", "2", "a\n"),
            ("5-3", "2", "a\nb"),
            ("5-3", "4", "a\n"),
            ("5-3", "0", "a\nb\nc\nd\n"),
            ("x", "1", "a\n"),
        ] {
            assert_eq!(read(id, first, lines), [], "{id} {first} {lines}");
        }
        let three = [("5-3", "2"), ("5-4", "1"), ("5-5", "4")];
        let three = three.map(|(id, first)| entry(id, first, "a\nb\n"));
        let read = Entries::read(Value::Array(three.to_vec()));
        assert_eq!((read.sound.len(), read.last()), (1, Some(Position { epoch: 5, seq: 4 })));
        assert_eq!(Entry::read_all(Value::Nil), []);
    }
}
