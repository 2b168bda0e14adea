//! Which rooms there are. A room exists while somebody is in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::lock;
use super::room::Room;
use crate::protocol::Name;

/// Rooms by name.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: Mutex<HashMap<Name, Entry>>,
}

#[derive(Debug)]
struct Entry {
    room: Arc<Room>,
    /// Senders and receivers who are in the room or on their way to it.
    guests: usize,
}

impl Directory {
    /// Makes the caller a guest of the room called `name`, which `make` makes if there is none.
    pub fn enter(self: &Arc<Self>, name: &Name, make: impl FnOnce() -> Room) -> Guest {
        let mut rooms = lock(&self.rooms);
        let new = || Entry { room: Arc::new(make()), guests: 0 };
        let entry = rooms.entry(name.clone()).or_insert_with(new);
        entry.guests += 1;
        Guest { room: Arc::clone(&entry.room), directory: Arc::clone(self) }
    }

    /// All rooms, in no order.
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        lock(&self.rooms).values().map(|entry| Arc::clone(&entry.room)).collect()
    }

    fn leave(&self, name: &Name) {
        let mut rooms = lock(&self.rooms);
        let Some(entry) = rooms.get_mut(name) else {
            return;
        };
        entry.guests -= 1;
        if entry.guests == 0 {
            rooms.remove(name);
            // What many rooms took is given back when they are gone.
            if rooms.len() * 4 < rooms.capacity() {
                let some = rooms.len() * 2;
                rooms.shrink_to(some);
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
