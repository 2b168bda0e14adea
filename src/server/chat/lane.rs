//! Small rooms need not wait until large ones are written to: what a worker has to do is in two
//! lanes.

use std::ops::{Index, IndexMut};

/// A room with more receivers than this is a large one.
const SMALL: usize = 64;

/// Whom a piece of work is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody in a small room, or in none.
    Quiet,
    /// Somebody in a large room.
    Loud,
}

impl Lane {
    /// The quiet one first.
    pub(crate) const ALL: [Lane; 2] = [Lane::Quiet, Lane::Loud];

    /// The lane of a room with so many receivers.
    pub(crate) fn of_room(receivers: usize) -> Self {
        if receivers > SMALL { Lane::Loud } else { Lane::Quiet }
    }
}

/// One of each lane.
#[derive(Debug, Default)]
pub(crate) struct Lanes<T>([T; 2]);

impl<T> Index<Lane> for Lanes<T> {
    type Output = T;

    fn index(&self, lane: Lane) -> &T {
        &self.0[lane as usize]
    }
}

impl<T> IndexMut<Lane> for Lanes<T> {
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane as usize]
    }
}
