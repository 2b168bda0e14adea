//! Which rooms there are. A room exists while somebody is in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::lock;
use super::room::Room;
use crate::protocol::Name;

/// Rooms by name.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    by_name: HashMap<Name, Entry>,
    made: u64,
}

#[derive(Debug)]
struct Entry {
    room: Arc<Room>,
    /// Senders and receivers who are in the room or on their way to it.
    guests: usize,
}

impl Directory {
    /// Makes the caller a guest of the room called `name`, which `make` makes from a number that
    /// no other room has if there is none.
    pub fn enter(self: &Arc<Self>, name: &Name, make: impl FnOnce(u64) -> Room) -> Guest {
        let mut rooms = lock(&self.rooms);
        let Rooms { by_name, made } = &mut *rooms;
        let entry = by_name.entry(name.clone()).or_insert_with(|| {
            *made += 1;
            Entry { room: Arc::new(make(*made)), guests: 0 }
        });
        entry.guests += 1;
        Guest { room: Arc::clone(&entry.room), directory: Arc::clone(self) }
    }

    /// All rooms, in no order.
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        lock(&self.rooms).by_name.values().map(|entry| Arc::clone(&entry.room)).collect()
    }

    fn leave(&self, name: &Name) {
        let mut rooms = lock(&self.rooms);
        let by_name = &mut rooms.by_name;
        let Some(entry) = by_name.get_mut(name) else {
            return;
        };
        entry.guests -= 1;
        if entry.guests == 0 {
            by_name.remove(name);
            // What many rooms took is given back when they are gone.
            if by_name.len() * 4 < by_name.capacity() {
                by_name.shrink_to(by_name.len() * 2);
            }
        }
    }
}

/// The right to use a room, which exists at least as long.
#[derive(Debug)]
pub struct Guest {
    room: Arc<Room>,
    directory: Arc<Directory>,
}

impl Guest {
    /// The room.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.directory.leave(self.room.name());
    }
}
