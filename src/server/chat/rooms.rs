//! Which rooms there are. A room exists while somebody is in it.

use std::collections::HashMap;

use super::room::Room;
use super::sync::{Arc, Mutex, lock};
use crate::wire::protocol::Name;

/// Rooms by name.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    by_name: Mutex<HashMap<Name, Entry>>,
}

#[derive(Debug)]
struct Entry {
    room: Arc<Room>,
    /// Senders and receivers who are in the room or on their way to it.
    members: usize,
}

impl Rooms {
    /// One more member is in the room called `name`, which `make` makes if there is none.
    pub(crate) fn enter(&self, name: &Name, make: impl FnOnce() -> Room) -> Arc<Room> {
        let mut rooms = lock(&self.by_name);
        let new = || Entry { room: Arc::new(make()), members: 0 };
        let entry = rooms.entry(name.clone()).or_insert_with(new);
        entry.members += 1;
        Arc::clone(&entry.room)
    }

    /// Keeps a room that somebody is in for as long as the hold is there.
    pub(crate) fn hold(rooms: &Arc<Rooms>, room: &Arc<Room>) -> Hold {
        if let Some(entry) = lock(&rooms.by_name).get_mut(room.name()) {
            entry.members += 1;
        }
        Hold { rooms: Arc::clone(rooms), room: Arc::clone(room) }
    }

    /// All rooms, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Room>> {
        lock(&self.by_name).values().map(|entry| Arc::clone(&entry.room)).collect()
    }

    /// One member has left the room.
    pub(crate) fn leave(&self, name: &Name) {
        let mut rooms = lock(&self.by_name);
        let Some(entry) = rooms.get_mut(name) else {
            return;
        };
        entry.members -= 1;
        if entry.members == 0 {
            rooms.remove(name);
            // What many rooms took is given back when they are gone.
            if rooms.len() * 4 < rooms.capacity() {
                let some = rooms.len() * 2;
                rooms.shrink_to(some);
            }
        }
    }
}

/// A room does not end while there is one.
#[derive(Debug)]
pub(crate) struct Hold {
    rooms: Arc<Rooms>,
    room: Arc<Room>,
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        Rooms::hold(&self.rooms, &self.room)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.rooms.leave(self.room.name());
    }
}
