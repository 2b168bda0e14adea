//! The connections on one worker, by the tokens that the system knows their sockets by.

use std::io;
use std::ops::{Index, IndexMut};

use log::warn;
use mio::{Interest, Poll, Token};
use slab::Slab;

use super::slot::Slot;
use crate::server::chat::id::SessionId;

/// The connections on one worker.
#[derive(Debug)]
pub(crate) struct Slots {
    worker: usize,
    /// Watches their sockets.
    poll: Poll,
    slots: Slab<Box<Slot>>,
}

impl Slots {
    /// None yet, on that worker.
    pub(crate) fn new(worker: usize, poll: Poll) -> Self {
        Slots { worker, poll, slots: Slab::new() }
    }

    /// What the worker waits with.
    pub(crate) fn poll(&mut self) -> &mut Poll {
        &mut self.poll
    }

    /// Adds a connection, and has its socket watched. If the system does not do that, logs it, and
    /// the connection ends.
    pub(crate) fn insert(&mut self, mut slot: Box<Slot>) -> Option<SessionId> {
        let entry = self.slots.vacant_entry();
        let token = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Reads stop short at urgent data.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        let source = slot.connection.transport.source();
        if let Err(error) = self.poll.registry().register(source, Token(token), interest) {
            warn!("cannot watch {}: {error}", slot.connection.session);
            return None;
        }
        let id = SessionId { worker: self.worker, token, serial: slot.serial };
        entry.insert(slot);
        Some(id)
    }

    /// Takes a connection out, whose socket is watched until it is closed.
    pub(crate) fn remove(&mut self, token: usize) -> Option<Box<Slot>> {
        self.slots.try_remove(token)
    }

    /// Has the socket of a connection that was taken out watched no longer.
    ///
    /// # Errors
    ///
    /// If the system does not do that.
    pub(crate) fn forget(&self, slot: &mut Slot) -> io::Result<()> {
        self.poll.registry().deregister(slot.connection.transport.source())
    }

    /// The connection with that token, if there is one.
    pub(crate) fn get(&self, token: usize) -> Option<&Slot> {
        self.slots.get(token).map(AsRef::as_ref)
    }

    /// The connection with that token, if there is one.
    pub(crate) fn get_mut(&mut self, token: usize) -> Option<&mut Slot> {
        self.slots.get_mut(token).map(AsMut::as_mut)
    }

    /// The name of the session with that token, if there is one.
    pub(crate) fn id(&self, token: usize) -> Option<SessionId> {
        let serial = self.get(token)?.serial;
        Some(SessionId { worker: self.worker, token, serial })
    }

    /// The session is still here, and not another one in its place.
    pub(crate) fn hold(&self, session: SessionId) -> bool {
        self.id(session.token) == Some(session)
    }

    /// The tokens of all.
    pub(crate) fn tokens(&self) -> Vec<usize> {
        self.slots.iter().map(|(token, _)| token).collect()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().map(|(_, slot)| slot.as_ref())
    }

    /// There are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// Panics if there is none with that token.
impl Index<usize> for Slots {
    type Output = Slot;

    fn index(&self, token: usize) -> &Slot {
        &self.slots[token]
    }
}

/// Panics if there is none with that token.
impl IndexMut<usize> for Slots {
    fn index_mut(&mut self, token: usize) -> &mut Slot {
        &mut self.slots[token]
    }
}
