//! Where one is in each room, where the server keeps what is said.
//!
//! Knows rooms and positions. Must not know what was said there.

use std::collections::HashMap;
use std::mem;

use crate::client::history::{Ask, Gap, Place};
use crate::wire::position::{Resume, Span};

/// The rooms that were visited.
#[derive(Debug)]
pub(super) struct Rooms {
    /// A room begins with so many texts the first time.
    last: u64,
    /// The room that one is in; nothing if there is none.
    room: Vec<u8>,
    /// Where one is there.
    pub(super) here: Place,
    /// Where one was in the others.
    others: HashMap<Vec<u8>, Place>,
}

impl Rooms {
    /// Before the first is entered.
    pub(super) fn new(last: u64) -> Self {
        Rooms { last, room: Vec::new(), here: start(last), others: HashMap::new() }
    }

    /// What to ask for when both connections are made again.
    pub(super) fn ask(&self) -> Option<Ask> {
        self.here.ask
    }

    /// From where to ask for a room's texts before it is entered. One who is there already goes on with
    /// what is on its way.
    pub(super) fn resume(&self, room: &[u8]) -> Option<Resume> {
        if room == self.room {
            return None;
        }
        match self.others.get(room) {
            Some(place) => place.ask.and_then(|ask| ask.from),
            None => Some(Resume::Last(self.last)),
        }
    }

    /// A room has been entered, there in its history. Returns what is missing.
    pub(super) fn enter(&mut self, room: &[u8], span: Option<Span>) -> Option<Gap> {
        if room != self.room {
            let place = self.others.remove(room).unwrap_or_else(|| start(self.last));
            let (left, place) =
                (mem::replace(&mut self.room, room.to_vec()), mem::replace(&mut self.here, place));
            self.others.insert(left, place);
        }
        self.here.enter(span)
    }
}

/// Where one is who has never been in a room.
fn start(last: u64) -> Place {
    Place::new(Some(Ask { from: Some(Resume::Last(last)), required: false }), false)
}
