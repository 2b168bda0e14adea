//! Bytes as they arrive, cut anywhere, into lines with a limit on their length.
//!
//! Knows nothing of what a line means or where the bytes come from.

use std::io::{self, ErrorKind, Read};
use std::mem;
use std::ops::Range;

use memchr::memchr;

/// One line that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The line, without its `\n` or `\r\n`.
    Whole(&'a [u8]),
    /// It was longer than the limit. Its first and its last bytes, up to [`ENDS`] of each and in
    /// one, are all that was kept of it.
    TooLong(&'a [u8]),
}

impl<'a> Line<'a> {
    /// What there is of it.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Line::Whole(bytes) | Line::TooLong(bytes) => bytes,
        }
    }
}

/// Bytes that are kept of each end of a line that is too long.
pub(crate) const ENDS: usize = 16;

/// Cuts a stream of bytes into lines. Keeps less than `limit` bytes, however long a line is.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    /// The longest line to hand out, in bytes, its ending included.
    limit: usize,
    /// The start of a line whose end is still to come; if it is too long already, its ends.
    partial: Vec<u8>,
    /// The line whose end is still to come is already too long.
    skipping: bool,
    /// `partial` was handed out.
    spent: bool,
}

impl LineSplitter {
    /// A splitter for lines of at most `limit` bytes, ending included.
    pub(crate) fn new(limit: usize) -> Self {
        LineSplitter { limit, partial: Vec::new(), skipping: false, spent: false }
    }

    /// Takes the next line off the front of `input`. If no line ends in `input`, keeps what has
    /// to be kept of it, leaves it empty and returns `None`.
    pub(crate) fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Line<'s>> {
        if mem::take(&mut self.spent) {
            self.partial = Vec::new();
        }
        let Some(end) = memchr(b'\n', input) else {
            self.keep(mem::take(input));
            return None;
        };
        let (piece, rest) = (&input[..end], &input[end + 1..]);
        *input = rest;
        if self.skipping || self.partial.len() + end + 1 > self.limit {
            self.skip(without_carriage_return(piece));
            self.skipping = false;
            self.spent = true;
            return Some(Line::TooLong(without_carriage_return(&self.partial)));
        }
        if self.partial.is_empty() {
            return Some(Line::Whole(without_carriage_return(piece)));
        }
        self.partial.extend_from_slice(piece);
        self.spent = true;
        Some(Line::Whole(without_carriage_return(&self.partial)))
    }

    /// What has come of a line that has not ended, if anything, as a line: nothing more will come.
    pub(crate) fn take_partial(&mut self) -> Option<Line<'_>> {
        self.partial()?;
        self.spent = true;
        let too_long = mem::take(&mut self.skipping);
        Some(if too_long { Line::TooLong(&self.partial) } else { Line::Whole(&self.partial) })
    }

    /// What has come of a line that has not ended, if anything.
    pub(crate) fn partial(&self) -> Option<Line<'_>> {
        match () {
            () if self.skipping => Some(Line::TooLong(&self.partial)),
            () if self.spent || self.partial.is_empty() => None,
            () => Some(Line::Whole(&self.partial)),
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.skipping || self.partial.len() + piece.len() >= self.limit {
            self.skip(piece);
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    /// Adds a piece to a line that is too long.
    fn skip(&mut self, piece: &[u8]) {
        self.skipping = true;
        let first = ENDS.saturating_sub(self.partial.len()).min(piece.len());
        let (first, rest) = piece.split_at(first);
        self.partial.extend_from_slice(first);
        self.partial.extend_from_slice(&rest[rest.len().saturating_sub(ENDS)..]);
        // What lies between the ends goes.
        let middle = self.partial.len().saturating_sub(ENDS).max(ENDS);
        self.partial.drain(ENDS.min(self.partial.len())..middle.min(self.partial.len()));
        self.partial.shrink_to(2 * ENDS);
    }
}

/// Reads lines from a source of bytes.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    source: R,
    lines: LineSplitter,
    buffer: Box<[u8]>,
    /// The part of `buffer` that was read and not looked at.
    unread: Range<usize>,
    /// Nothing more will come.
    ended: bool,
}

impl<R: Read> LineReader<R> {
    /// Bytes that one read takes at most.
    const READ: usize = 64 * 1024;

    /// A reader of lines of at most `limit` bytes, ending included.
    pub(crate) fn new(source: R, limit: usize) -> Self {
        let lines = LineSplitter::new(limit);
        let buffer = vec![0; Self::READ].into();
        LineReader { source, lines, buffer, unread: 0..0, ended: false }
    }

    /// Where the lines come from.
    pub(crate) fn source(&self) -> &R {
        &self.source
    }

    /// The same, to write to.
    pub(crate) fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The next line among those that were read. The last one need not have an end.
    pub(crate) fn next_line(&mut self) -> Option<Line<'_>> {
        if self.ended {
            return self.lines.take_partial();
        }
        let mut rest = &self.buffer[self.unread.clone()];
        let line = self.lines.next(&mut rest);
        self.unread.start = self.unread.end - rest.len();
        line
    }

    /// Reads more if there is no [`LineReader::next_line`], and waits for it if there is nothing to read
    /// yet. Returns `false` if there are no more lines.
    ///
    /// # Errors
    ///
    /// What the source fails with, other than `Interrupted`.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        while !self.ended {
            match self.source.read(&mut self.buffer) {
                Ok(count) => {
                    self.unread = 0..count;
                    self.ended = count == 0;
                    return Ok(self.has_rest());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The source has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Something has been read that [`LineReader::next_line`] has not given out.
    pub(crate) fn has_rest(&self) -> bool {
        !self.unread.is_empty() || self.lines.partial().is_some()
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `pieces`, fed one after the other; `None` stands for one too long.
    fn split(limit: usize, pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut splitter = LineSplitter::new(limit);
        let mut lines = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(line) = splitter.next(&mut piece) {
                lines.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong(_) => None,
                });
            }
        }
        lines
    }

    #[test]
    fn both_endings_end_a_line_and_only_the_last_carriage_return_goes() {
        let lines = split(9, &[b"a\nb\r\nc\r\r\n\n\r\nd\re\nrest"]);
        let want = [&b"a"[..], b"b", b"c\r", b"", b"", b"d\re"];
        assert_eq!(lines, want.map(|line| Some(line.to_vec())));
    }

    #[test]
    fn the_limit_counts_the_ending() {
        assert_eq!(split(4, &[b"abc\n"]), [Some(b"abc".to_vec())]);
        assert_eq!(split(4, &[b"ab\r\n"]), [Some(b"ab".to_vec())]);
        assert_eq!(split(4, &[b"abcd\nx\n"]), [None, Some(b"x".to_vec())]);
        assert_eq!(split(4, &[b"abc\r\nx\n"]), [None, Some(b"x".to_vec())]);
    }

    #[test]
    fn where_the_bytes_are_cut_makes_no_difference() {
        let bytes = b"ab\r\n\nabcdefg\nabc\nabcd\r\nx\n\r\ny\n";
        let whole = split(5, &[bytes]);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(split(5, &pieces), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_last_line_needs_no_end() {
        for (bytes, want) in [
            (&b"a\nb"[..], &[Line::Whole(b"a"), Line::Whole(b"b")][..]),
            (b"a\n", &[Line::Whole(b"a")]),
            (b"123456789", &[Line::TooLong(b"123456789")]),
            (b"", &[]),
        ] {
            let mut reader = LineReader::new(bytes, 5);
            let mut want = want.iter().copied();
            loop {
                while let Some(line) = reader.next_line() {
                    assert_eq!(Some(line), want.next(), "{}", bytes.escape_ascii());
                }
                if !reader.fill().unwrap() {
                    break;
                }
            }
            assert_eq!((reader.next_line(), want.next()), (None, None));
            assert!(!reader.has_rest() && !reader.fill().unwrap());
        }
    }

    #[test]
    fn of_a_line_without_an_end_its_ends_are_kept() {
        let mut splitter = LineSplitter::new(100);
        for _ in 0..1000 {
            assert_eq!(splitter.next(&mut &[b'x'; 1000][..]), None);
            assert!(splitter.partial.capacity() <= 2 * ENDS);
        }
        let mut rest = &b"x\nok\n"[..];
        assert_eq!(splitter.next(&mut rest), Some(Line::TooLong(&[b'x'; 2 * ENDS])));
        assert_eq!(splitter.next(&mut rest), Some(Line::Whole(b"ok")));
    }

    #[test]
    fn the_ends_of_a_line_that_is_too_long_are_the_same_wherever_it_is_cut() {
        let line = "the first part of it, and much between that and the last part of it";
        for end in ["\n", "\r\n"] {
            let bytes = format!("{line}{end}");
            for (first, second) in (0..bytes.len()).flat_map(|cut| [(cut, cut), (cut, cut + 1)]) {
                let (mut splitter, mut seen) = (LineSplitter::new(40), 0);
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                for mut piece in pieces.map(str::as_bytes) {
                    if let Some(Line::TooLong(kept)) = splitter.next(&mut piece) {
                        seen += 1;
                        let kept = kept.escape_ascii().to_string();
                        // A carriage return that came alone took a place of its own.
                        let (start, end) = ("the first part o", "ast part of it");
                        let right = kept.starts_with(start) && kept.ends_with(end);
                        assert!(right && kept.len() <= 2 * ENDS, "{kept}, cut at {first}");
                    }
                }
                assert_eq!(splitter.partial(), None, "cut at {first}");
                assert_eq!(seen, 1, "cut at {first}");
            }
        }
    }
}
