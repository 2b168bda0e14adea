//! The wire format: names, requests, replies and deliveries, parsed from and encoded to lines.
//!
//! Knows bytes and nothing else: no sockets, no states, no imports from the rest of the crate.
//! Lines come in here without their ending and go out with it.

use std::fmt;

use memchr::memrchr;
use thiserror::Error;

use super::position::{Position, number};

/// The longest line a client may send, in bytes, its `\n` or `\r\n` included.
pub const MAX_REQUEST: usize = 255;

/// The longest delivery that legal requests can lead to, in bytes, its `\n` included.
pub(crate) const MAX_DELIVERY: usize = 754;

/// The longest record that legal requests can lead to, in bytes, its `\n` included.
#[cfg(test)]
pub(crate) const MAX_RECORD: usize = 815;

/// What a server's `ok` to a login ends with if its rooms remember.
pub(crate) const OFFERS_HISTORY: &str = " +history";

/// Whether the text of an `ok` that answers a login offers that, possibly among other things.
pub(crate) fn offers_history(answer: &[u8]) -> bool {
    let words = answer.rsplit(|byte| *byte == b' ');
    words
        .take_while(|word| word.starts_with(b"+"))
        .any(|word| word == &OFFERS_HISTORY.as_bytes()[1..])
}

/// Whether this, which may be less than a line, begins a record, or may do so.
pub(crate) fn begins_record(line: &[u8]) -> bool {
    let tag = RECORD.as_bytes();
    tag.starts_with(&line[..line.len().min(tag.len())])
}

/// The longest text that fits a `sendall` request, in bytes.
pub(crate) const MAX_TEXT: usize = MAX_REQUEST - SENDALL.len() - 2;

const SLOGIN: &str = "slogin";
const RLOGIN: &str = "rlogin";
const JOIN: &str = "join";
const SENDALL: &str = "sendall";
const LEAVE: &str = "leave";
const QUIT: &str = "quit";
const HISTORY: &str = "history";
const OK: &str = "ok";
const ERR: &str = "err";
const DELIVERY: &str = "delivery";
const RECORD: &str = "record";

/// A user's or a room's name: one or more of `A-Z a-z 0-9`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(Box<str>);

/// The bytes are no [`Name`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a name is one or more letters and digits, nothing else")]
pub(crate) struct NameError;

impl Name {
    /// Takes the bytes as a name.
    ///
    /// # Errors
    ///
    /// [`NameError`] if they are empty or hold anything but ASCII letters and digits.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NameError> {
        match std::str::from_utf8(bytes) {
            Ok(name) if !name.is_empty() && bytes.iter().all(u8::is_ascii_alphanumeric) => {
                Ok(Name(name.into()))
            }
            _ => Err(NameError),
        }
    }

    /// The name's characters.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client asks for, one line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `slogin:USER`
    LogInSender(&'a [u8]),
    /// `rlogin:USER`
    LogInReceiver(&'a [u8]),
    /// `join:ROOM`
    Join(&'a [u8]),
    /// `sendall:TEXT`
    SendAll(&'a [u8]),
    /// `leave:`, with any payload
    Leave,
    /// `quit:`, with any payload
    Quit,
    /// `history:WHAT`, an extension
    History(&'a [u8]),
}

/// The line is no request.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// There is no colon in it.
    #[error("a request is TAG:PAYLOAD, and this has no colon")]
    NoColon,
    /// Its tag is not one that a client may use.
    #[error("unknown request")]
    UnknownTag,
}

/// The request does not fit the wire.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// Its line would be longer than [`MAX_REQUEST`].
    #[error("too long to send by {over} {}", if *.over == 1 { "byte" } else { "bytes" })]
    TooLong {
        /// Bytes too many.
        over: usize,
    },
    /// A line break in it would end the line early.
    #[error("a line break cannot be sent")]
    LineBreak,
}

/// The line, given without its ending, is the first of an HTTP request and none of ours. Of a
/// line that is too long, its first and its last bytes will do.
pub(crate) fn is_http_request(line: &[u8]) -> bool {
    let known = !matches!(
        Request::parse(line),
        Err(RequestError::NoColon | RequestError::UnknownTag) | Ok(Request::History(_))
    );
    let last_word = memrchr(b' ', line).map(|space| &line[space + 1..]);
    let version = last_word.and_then(|word| word.strip_prefix(b"HTTP/")).unwrap_or_default();
    let is_version = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    !known && version.first().is_some_and(u8::is_ascii_digit) && is_version(version)
}

impl<'a> Request<'a> {
    /// Reads a line, given without its ending.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is none of a client's requests.
    pub fn parse(line: &'a [u8]) -> Result<Self, RequestError> {
        let (tag, payload) = split_at_colon(line).ok_or(RequestError::NoColon)?;
        match std::str::from_utf8(tag) {
            Ok(SLOGIN) => Ok(Request::LogInSender(payload)),
            Ok(RLOGIN) => Ok(Request::LogInReceiver(payload)),
            Ok(JOIN) => Ok(Request::Join(payload)),
            Ok(SENDALL) => Ok(Request::SendAll(payload)),
            Ok(LEAVE) => Ok(Request::Leave),
            Ok(QUIT) => Ok(Request::Quit),
            Ok(HISTORY) => Ok(Request::History(payload)),
            _ => Err(RequestError::UnknownTag),
        }
    }

    /// Appends the request's line, with its `\n`, to `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if no legal line can carry it; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (tag, payload): (&str, &[u8]) = match *self {
            Request::LogInSender(user) => (SLOGIN, user),
            Request::LogInReceiver(user) => (RLOGIN, user),
            Request::Join(room) => (JOIN, room),
            Request::SendAll(text) => (SENDALL, text),
            Request::Leave => (LEAVE, b""),
            Request::Quit => (QUIT, b""),
            Request::History(what) => (HISTORY, what),
        };
        // A `\r` at the end would be taken for a part of the line's ending.
        if payload.contains(&b'\n') || payload.ends_with(b"\r") {
            return Err(EncodeError::LineBreak);
        }
        let length = tag.len() + 1 + payload.len() + 1;
        if length > MAX_REQUEST {
            return Err(EncodeError::TooLong { over: length - MAX_REQUEST });
        }
        append_line(out, tag, payload);
        Ok(())
    }
}

/// What a server says, one line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `ok:TEXT`: the request was carried out.
    Ok(&'a [u8]),
    /// `err:TEXT`: it was not, or the server has no place for the client.
    Err(&'a [u8]),
    /// `delivery:ROOM:SENDER:TEXT`
    Delivery(Delivery<'a>),
    /// `record:EPOCH-SEQ:TIME:ROOM:SENDER:TEXT`, an extension
    Record(Stamp, Delivery<'a>),
}

/// The line is nothing that a server says.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("neither an answer nor a delivery")]
pub struct ReplyError;

impl<'a> Reply<'a> {
    /// Reads a line, given without its ending.
    ///
    /// # Errors
    ///
    /// [`ReplyError`] if it is neither an answer nor a delivery.
    pub fn parse(line: &'a [u8]) -> Result<Self, ReplyError> {
        let (tag, payload) = split_at_colon(line).ok_or(ReplyError)?;
        match std::str::from_utf8(tag) {
            Ok(OK) => Ok(Reply::Ok(payload)),
            Ok(ERR) => Ok(Reply::Err(payload)),
            Ok(DELIVERY) => Ok(Reply::Delivery(Delivery::parse(payload)?)),
            Ok(RECORD) => {
                let (position, rest) = split_at_colon(payload).ok_or(ReplyError)?;
                let (time, rest) = split_at_colon(rest).ok_or(ReplyError)?;
                let position = Position::parse(position).ok_or(ReplyError)?;
                let time = number(time).ok_or(ReplyError)?;
                Ok(Reply::Record(Stamp { position, time }, Delivery::parse(rest)?))
            }
            _ => Err(ReplyError),
        }
    }

    /// Appends the reply's line, with its `\n`, to `out`. No part of it may hold a line break.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Reply::Ok(text) => append_line(out, OK, text),
            Reply::Err(text) => append_line(out, ERR, text),
            Reply::Delivery(Delivery { room, sender, text }) => {
                append_delivery_head(out, room, sender);
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            Reply::Record(stamp, Delivery { room, sender, text }) => {
                append_record_head(out, *stamp);
                for part in [*room, b":", *sender, b":", *text, b"\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
    }
}

/// One text on its way to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The room it was sent to.
    pub room: &'a [u8],
    /// The user who sent it.
    pub sender: &'a [u8],
    /// The text, byte for byte.
    pub text: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// Reads `ROOM:SENDER:TEXT`.
    fn parse(payload: &'a [u8]) -> Result<Self, ReplyError> {
        let (room, rest) = split_at_colon(payload).ok_or(ReplyError)?;
        let (sender, text) = split_at_colon(rest).ok_or(ReplyError)?;
        Ok(Delivery { room, sender, text })
    }
}

/// What a record says of its text, beside the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Where it stands in its room.
    pub position: Position,
    /// When the server took it, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
}

/// Appends the record of a text whose delivery is `line`, without its ending, to `out`. What is no
/// delivery is left out.
pub(crate) fn append_record(out: &mut Vec<u8>, stamp: Stamp, line: &[u8]) {
    if let Some((_, rest)) = split_at_colon(line) {
        append_record_head(out, stamp);
        out.extend_from_slice(rest);
        out.push(b'\n');
    }
}

fn append_record_head(out: &mut Vec<u8>, Stamp { position, time }: Stamp) {
    let head = format!("{RECORD}:{position}:{time}:");
    out.extend_from_slice(head.as_bytes());
}

/// Appends all of a delivery's line that comes before its text. It stays the same as long as a
/// sender stays in a room.
pub(crate) fn append_delivery_head(out: &mut Vec<u8>, room: &[u8], sender: &[u8]) {
    for part in [DELIVERY.as_bytes(), b":", room, b":", sender, b":"] {
        out.extend_from_slice(part);
    }
}

fn append_line(out: &mut Vec<u8>, tag: &str, payload: &[u8]) {
    for part in [tag.as_bytes(), b":", payload, b"\n"] {
        out.extend_from_slice(part);
    }
}

fn split_at_colon(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // Tags and names are short: `memchr` takes as long.
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    Some((&bytes[..colon], &bytes[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_letters_and_digits_make_a_name() {
        for good in ["a", "Z", "0", "bob", "R2D2"] {
            assert_eq!(Name::parse(good.as_bytes()).map(|name| name.to_string()), Ok(good.into()));
        }
        for bad in [&b""[..], b" ", b"a b", b"a-b", b"a\0", b"a:b", b"\xff", "é".as_bytes()] {
            assert_eq!(Name::parse(bad), Err(NameError), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn the_first_colon_splits() {
        assert_eq!(Request::parse(b"sendall:a:b:"), Ok(Request::SendAll(b"a:b:")));
        assert_eq!(Request::parse(b"sendall:"), Ok(Request::SendAll(b"")));
        assert_eq!(Request::parse(b"quit"), Err(RequestError::NoColon));
        assert_eq!(Request::parse(b""), Err(RequestError::NoColon));
        assert_eq!(Request::parse(b":"), Err(RequestError::UnknownTag));
        assert_eq!(Request::parse(b"senduser:bob:hi"), Err(RequestError::UnknownTag));
        assert_eq!(Request::parse(b"Join:cafe"), Err(RequestError::UnknownTag));
    }

    #[test]
    fn the_longest_text_fits_and_one_byte_more_does_not() {
        let text = vec![b'x'; MAX_TEXT + 1];
        let mut out = Vec::new();
        assert_eq!(Request::SendAll(&text).encode(&mut out), Err(EncodeError::TooLong { over: 1 }));
        assert!(out.is_empty());
        assert_eq!(Request::SendAll(&text[1..]).encode(&mut out), Ok(()));
        assert_eq!((MAX_TEXT, out.len()), (246, MAX_REQUEST));
    }

    #[test]
    fn an_http_request_is_known_by_its_end() {
        for yes in [
            "GET / HTTP/1.1",
            "GET http://host:80/ HTTP/1.0",
            "POST /a:b HTTP/1.1",
            "PRI * HTTP/2.0",
            "x HTTP/3",
            " HTTP/1.1",
        ] {
            assert!(is_http_request(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "HTTP/1.1",
            "GET /HTTP/1.1",
            "GET / HTTP/",
            "GET / HTTP/.",
            "GET / HTTP/one",
            "GET / http/1.1",
            "GET / HTTP/1.1 ",
            "sendall:GET / HTTP/1.1",
            "slogin:GET / HTTP/1.1",
            "quit: HTTP/1.1",
        ] {
            assert!(!is_http_request(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_line_break_is_not_smuggled_in() {
        for text in [&b"a\nquit:"[..], b"a\r", b"\n"] {
            let mut out = Vec::new();
            assert_eq!(Request::SendAll(text).encode(&mut out), Err(EncodeError::LineBreak));
            assert!(out.is_empty());
        }
        assert_eq!(Request::SendAll(b"a\rb").encode(&mut Vec::new()), Ok(()));
    }

    #[test]
    fn the_longest_delivery_is_what_the_longest_requests_lead_to() {
        let name = |tag: &str| vec![b'n'; MAX_REQUEST - tag.len() - 2];
        let (room, sender, text) = (name(JOIN), name(SLOGIN), name(SENDALL));
        let mut out = Vec::new();
        Reply::Delivery(Delivery { room: &room, sender: &sender, text: &text }).encode(&mut out);
        assert_eq!(out.len(), MAX_DELIVERY);
        let line = out.strip_suffix(b"\n").unwrap();
        let most = i64::MAX as u64;
        let position = Position { epoch: most, seq: most };
        let mut record = Vec::new();
        append_record(&mut record, Stamp { position, time: 1_764_254_791_000 }, line);
        assert!(record.len() <= MAX_RECORD, "{} bytes", record.len());
    }

    #[test]
    fn what_a_server_offers_stands_at_the_end_of_its_answer() {
        for answer in
            ["logged in as bob +history", "hi +history +more", "+more +history", "+history"]
        {
            assert!(offers_history(answer.as_bytes()), "{answer}");
        }
        for answer in ["", "logged in as bob", "hi +histories", "+history is not kept", "a+history"]
        {
            assert!(!offers_history(answer.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let stamp = Stamp { position: Position { epoch: 7, seq: 9 }, time: 12 };
        let mut line = Vec::new();
        append_record(&mut line, stamp, b"delivery:cafe:bob:a:b");
        assert_eq!(line, b"record:7-9:12:cafe:bob:a:b\n");
        let delivery = Delivery { room: b"cafe", sender: b"bob", text: b"a:b" };
        let reply = Reply::Record(stamp, delivery);
        assert_eq!(Reply::parse(line.trim_ascii_end()), Ok(reply));
        let mut encoded = Vec::new();
        reply.encode(&mut encoded);
        assert_eq!(encoded, line);
        for bad in ["record:7:12:cafe:bob:x", "record:7-9:-1:cafe:bob:x", "record:7-9:1:cafe:x"] {
            assert_eq!(Reply::parse(bad.as_bytes()), Err(ReplyError), "{bad}");
        }
    }
}
