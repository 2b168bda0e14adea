//! What a receiver hears: lines of a server → texts, each once, and what is missing before them.
//!
//! Knows the protocol's lines and positions. Must not know connections, nor what becomes of texts.

use super::connection::Answer;
use super::history::{Gap, Place, Repeated};
use crate::wire::lines::Line;
use crate::wire::protocol::{Delivery, Reply, Stamp};

/// What a line is to a receiver.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// A text, with what the server says of it, and what is missing before it.
    Text {
        /// The text.
        delivery: Delivery<'a>,
        /// Its position and time.
        stamp: Option<Stamp>,
        /// What should have come before.
        gap: Option<Gap>,
    },
    /// The answer to a request.
    Answer(Answer),
    /// A text that has come before, or nothing that a receiver knows.
    Unexpected,
}

/// Takes a line of the server. `place` is where the receiver is, if it gets records.
pub(super) fn hear<'a>(line: Line<'a>, place: Option<&mut Place>) -> Heard<'a> {
    let Line::Whole(line) = line else { return Heard::Unexpected };
    match (Reply::parse(line), place) {
        (Ok(Reply::Delivery(delivery)), _) => Heard::Text { delivery, stamp: None, gap: None },
        (Ok(Reply::Record(stamp, delivery)), Some(place)) => match place.advance(stamp.position) {
            Ok(gap) => Heard::Text { delivery, stamp: Some(stamp), gap },
            Err(Repeated) => Heard::Unexpected,
        },
        (Ok(Reply::Ok(text)), _) => Heard::Answer(Ok(text.to_vec())),
        (Ok(Reply::Err(text)), _) => Heard::Answer(Err(text.to_vec())),
        (Ok(Reply::Record(..)), None) | (Err(_), _) => Heard::Unexpected,
    }
}
