//! Being in a room, as a sender or a receiver, until the membership is dropped.

use super::effects::Effects;
use super::frame::Frame;
use super::id::SessionId;
use super::outbox::OutboxSender;
use super::replay::Lag;
use super::room::{Beginning, MemberKey, Room};
use super::rooms::Rooms;
use super::sync::Arc;
use crate::wire::position::Position;
use crate::wire::protocol::Name;

/// A client's membership in a room, which exists at least as long. When it is dropped, for whatever
/// reason, nothing of it is left in the room, and senders that had to wait for it go on.
#[derive(Debug)]
pub(crate) struct Membership {
    room: Arc<Room>,
    rooms: Arc<Rooms>,
    /// Where a receiver is listed in the room.
    key: Option<MemberKey>,
    /// The sender that stands in the line of those who wait.
    waits: Option<SessionId>,
    /// Takes those who go on.
    effects: Effects,
}

impl Membership {
    /// Enters the room called `name`, which `make` makes if there is none. Nothing is delivered until
    /// a queue is attached.
    pub(crate) fn new(
        rooms: &Arc<Rooms>,
        name: &Name,
        make: impl FnOnce() -> Room,
        effects: &Effects,
    ) -> Self {
        Membership {
            room: rooms.enter(name, make),
            rooms: Arc::clone(rooms),
            key: None,
            waits: None,
            effects: effects.clone(),
        }
    }

    /// The room.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// From now on, every frame goes into this queue, whose session is `token` on `worker`, and
    /// effects go to that worker. If it was attached before, the session has moved.
    pub(crate) fn attach(
        &mut self,
        worker: usize,
        token: usize,
        sender: &OutboxSender,
        beginning: Option<&Beginning<'_>>,
        effects: &Effects,
    ) {
        self.set_effects(effects);
        self.key = Some(match self.key {
            Some(key) => self.room.move_member(key, worker, token),
            None => self.room.enter(worker, token, sender, beginning),
        });
    }

    /// A receiver begins anew, in a room with a log.
    pub(crate) fn restart(&self, beginning: &Beginning<'_>) {
        if let Some(key) = self.key {
            self.room.restart(key, beginning);
        }
    }

    /// How far a receiver is that is given what the log has.
    pub(crate) fn lag(&self) -> Option<Lag> {
        self.room.lag(self.key?)
    }

    /// The same. One that has everything hears what is said from now on.
    pub(crate) fn catch_up(&self) -> Option<Lag> {
        self.room.catch_up(self.key?)
    }

    /// Queues what a log has given for a receiver, up to that position; returns how many texts these
    /// are, or `None` if they may be others by now.
    pub(crate) fn give(&self, texts: Frame, to: Position) -> Option<u64> {
        self.room.give(self.key?, texts, to)
    }

    /// From now on, effects go to another worker.
    pub(crate) fn set_effects(&mut self, effects: &Effects) {
        self.effects = effects.clone();
    }

    /// Puts a sender into the line of those who wait until no queue of the room is above its mark;
    /// `false` if there is nothing to wait for.
    pub(crate) fn wait(&mut self, session: SessionId) -> bool {
        let waits = self.room.wait(session);
        self.waits = waits.then_some(session);
        waits
    }

    /// The sender stands in that line, or has not heard yet that it need not.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// The sender need no longer stand in that line.
    pub(crate) fn stop_waiting(&mut self) {
        if let Some(session) = self.waits.take() {
            self.effects.resume(self.room.leave(None, Some(session)));
        }
    }

    /// A receiver's queue may have got below its mark.
    pub(crate) fn relieve(&self) {
        if let Some(key) = self.key {
            self.effects.resume(self.room.relieve(key));
        }
    }

    /// Sets how to call a receiver that the room has waited for a lot lately; `None` if it has not.
    pub(crate) fn set_slow(&self, slow: Option<Box<str>>) {
        if let Some(key) = self.key {
            self.room.set_slow(key, slow);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.key.is_some() || self.waits.is_some() {
            self.effects.resume(self.room.leave(self.key, self.waits));
        }
        self.rooms.leave(self.room.name());
    }
}
