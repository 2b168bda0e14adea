//! How a delivery is printed.
//!
//! Knows the parts of a delivery, colours and the clock. Must not know where the lines go.

use std::borrow::Cow;
use std::io::Write;

use chrono::{DateTime, Local, SecondsFormat};
use serde_json::{Map, Value, json};

use super::color::{Look, color_of};
use super::visible::{is_harmful, visible};
use crate::wire::protocol::{Delivery, Stamp};

/// The form of a time that has a date.
pub(crate) const DATE_AND_TIME: &str = "%Y-%m-%d %H:%M:%S";

/// How deliveries are to be printed.
#[derive(Debug)]
pub(crate) struct Format {
    /// As JSON, one object a line, without colours. Control characters are always visible there, and
    /// the time always present.
    pub json: bool,
    /// With the time, in this form of `strftime`: the server's, if it tells one.
    pub timestamps: Option<&'static str>,
    /// With colours for names, and marks for mentions.
    pub look: Look,
    /// With control characters made visible.
    pub visible: bool,
    /// The user whose name stands out.
    pub user: String,
}

impl Format {
    /// Appends the line for a delivery that has just come, with what the server says of it, if it
    /// does.
    pub(crate) fn append(
        &self,
        lines: &mut Vec<u8>,
        delivery: &Delivery<'_>,
        stamp: Option<Stamp>,
    ) {
        self.append_at(Local::now, lines, delivery, stamp);
    }

    /// The same, with the clock to look at where the time is wanted and the server tells none.
    fn append_at(
        &self,
        now: impl FnOnce() -> DateTime<Local>,
        lines: &mut Vec<u8>,
        delivery: &Delivery<'_>,
        stamp: Option<Stamp>,
    ) {
        let Delivery { sender, text, .. } = delivery;
        let time = || stamp.and_then(time_of).unwrap_or_else(now);
        if self.json {
            let object = as_json(time(), delivery, stamp).to_string();
            lines.extend_from_slice(json_in_visible(&object).as_bytes());
            lines.push(b'\n');
            return;
        }
        if let Some(form) = self.timestamps {
            // Nothing fails that is written to memory.
            let _ = write!(lines, "{} ", time().format(form));
        }
        let (shown_sender, mut shown_text) = (self.show(sender), self.show(text));
        if self.look.marks {
            shown_text = highlight(&shown_text, self.user.as_bytes()).into();
        }
        if self.look.colors {
            let _ = write!(lines, "\x1b[{}m", color_of(sender));
        }
        lines.extend_from_slice(&shown_sender);
        if self.look.colors {
            lines.extend_from_slice(b"\x1b[0m");
        }
        for part in [b": ", &*shown_text, b"\n"] {
            lines.extend_from_slice(part);
        }
    }

    fn show<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.visible { visible(bytes).into_bytes().into() } else { bytes.into() }
    }
}

/// The server's time, unless it is one that no calendar has.
pub(crate) fn time_of(stamp: Stamp) -> Option<DateTime<Local>> {
    let time = DateTime::from_timestamp_millis(stamp.time.try_into().ok()?)?;
    Some(time.with_timezone(&Local))
}

fn as_json(time: DateTime<Local>, delivery: &Delivery<'_>, stamp: Option<Stamp>) -> Value {
    let mut object = Map::new();
    if let Some(Stamp { position, .. }) = stamp {
        object.insert("position".into(), json!(position.to_string()));
    }
    let strings = [("room", delivery.room), ("sender", delivery.sender), ("text", delivery.text)];
    for (name, bytes) in strings {
        object.insert(name.into(), json!(String::from_utf8_lossy(bytes)));
        // What the replacement characters stand for.
        if std::str::from_utf8(bytes).is_err() {
            object.insert(format!("{name}_bytes"), json!(bytes));
        }
    }
    object.insert("time".into(), json!(time.to_rfc3339_opts(SecondsFormat::Millis, false)));
    Value::Object(object)
}

/// Writes what could do harm to a terminal as the escapes that JSON has for it. It occurs in strings
/// alone.
fn json_in_visible(json: &str) -> String {
    let mut shown = String::new();
    for char in json.chars() {
        if is_harmful(char) {
            // All of them are of the kind that one escape is enough for.
            shown += &format!("\\u{:04x}", u32::from(char));
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Makes a name stand out wherever `text` mentions it, as a word of its own in any case.
fn highlight(text: &[u8], name: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    for piece in pieces(text) {
        if piece.eq_ignore_ascii_case(name) {
            shown.extend_from_slice(b"\x1b[1;7m");
            shown.extend_from_slice(piece);
            shown.extend_from_slice(b"\x1b[0m");
        } else {
            shown.extend_from_slice(piece);
        }
    }
    shown
}

/// Says whether `text` mentions a name, as a word of its own in any case.
pub(crate) fn mentions(text: &[u8], name: &[u8]) -> bool {
    pieces(text).any(|piece| piece.eq_ignore_ascii_case(name))
}

/// Words, and what is between them. A word is what names can be made of; anything else parts words.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunk_by(|one, next| one.is_ascii_alphanumeric() == next.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::position::Position;

    fn line(format: &Format, sender: &[u8], text: &[u8]) -> String {
        stamped_line(format, sender, text, None)
    }

    fn stamped_line(format: &Format, sender: &[u8], text: &[u8], stamp: Option<Stamp>) -> String {
        let mut lines = Vec::new();
        let now = DateTime::parse_from_rfc3339("2026-11-24T12:34:56.789+00:00").unwrap();
        let delivery = Delivery { room: b"cafe", sender, text };
        format.append_at(|| now.with_timezone(&Local), &mut lines, &delivery, stamp);
        String::from_utf8(lines).unwrap()
    }

    fn plain() -> Format {
        let user = "alice".to_owned();
        Format { json: false, timestamps: None, look: Look::PLAIN, visible: false, user }
    }

    #[test]
    fn without_a_wish_the_bytes_are_what_was_sent() {
        assert_eq!(line(&plain(), b"bob", b"hi \x1b[2J alice"), "bob: hi \x1b[2J alice\n");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let format = Format { visible: true, ..plain() };
        assert_eq!(line(&format, b"bo\x07b", b"\x1b[2J"), "bo\\x07b: \\x1b[2J\n");
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        let format = Format { look: Look { colors: false, marks: true }, ..plain() };
        let text = |text: &str| {
            let line = line(&format, b"bob", text.as_bytes());
            line.strip_prefix("bob: ").unwrap().trim_end().to_owned()
        };
        assert_eq!(text("hi alice!"), "hi \x1b[1;7malice\x1b[0m!");
        assert_eq!(text("ALICE,alice"), "\x1b[1;7mALICE\x1b[0m,\x1b[1;7malice\x1b[0m");
        assert_eq!(text("malice alices \u{e9}"), "malice alices \u{e9}");
    }

    #[test]
    fn the_time_comes_first() {
        let format = Format { timestamps: Some(DATE_AND_TIME), ..plain() };
        let line = line(&format, b"bob", b"hi");
        let (time, rest) = line.split_at("2026-11-24 12:34:56".len());
        assert!(time.ends_with(":56") && time.starts_with("2026-11-2"), "{line}");
        assert_eq!(rest, " bob: hi\n");
    }

    #[test]
    fn the_time_is_the_servers_if_it_tells_one() {
        let stamp = |time| Some(Stamp { position: Position { epoch: 7, seq: 9 }, time });
        let shown = |format: &Format, time| stamped_line(format, b"bob", b"hi", stamp(time));
        let format = Format { json: true, ..plain() };
        // Other than now, and than any time there is.
        for (time, expected) in [(86_400_123, 86_400_123), (u64::MAX, 1_795_523_696_789)] {
            let object: Value = serde_json::from_str(&shown(&format, time)).unwrap();
            assert_eq!(object["position"], "7-9");
            let time = DateTime::parse_from_rfc3339(object["time"].as_str().unwrap()).unwrap();
            assert_eq!(time.timestamp_millis(), expected);
        }
        let format = Format { timestamps: Some(DATE_AND_TIME), ..plain() };
        let shown = shown(&format, 86_400_123);
        assert!(shown.starts_with("1970-01-0") && shown.ends_with(":00 bob: hi\n"), "{shown}");
        let object: Value =
            serde_json::from_str(&line(&Format { json: true, ..plain() }, b"b", b"")).unwrap();
        assert!(object.get("position").is_none(), "{object}");
    }

    #[test]
    fn json_keeps_every_byte() {
        let format = Format { json: true, ..plain() };
        let object: Value =
            serde_json::from_str(&line(&format, b"bob", b"a\"b\\\n\0\x1b\xff")).unwrap();
        assert_eq!(object["room"], "cafe");
        assert_eq!(object["sender"], "bob");
        assert_eq!(object["text"], "a\"b\\\n\0\x1b\u{fffd}");
        let harmful = "\x7f \u{9b}2J \u{202e}mad \u{2066} \u{2028}";
        let shown = line(&format, b"bob", harmful.as_bytes());
        assert!(shown.trim_end().is_ascii() && !shown.contains('\x7f'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["text"], harmful);
        assert_eq!(object["text_bytes"], json!(b"a\"b\\\n\0\x1b\xff"));
        assert!(object.get("sender_bytes").is_none());
        let time = DateTime::parse_from_rfc3339(object["time"].as_str().unwrap()).unwrap();
        assert_eq!(time.timestamp_millis(), 1_795_523_696_789);
        let clean = line(&format, b"bob", "\u{1f980}".as_bytes());
        assert!(clean.contains("\"text\":\"\u{1f980}\"") && !clean.contains("_bytes"), "{clean}");
    }
}
