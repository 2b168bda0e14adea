//! Sessions that move from one worker to another, for the sake of their rooms.

use log::warn;

use super::Sessions;
use crate::server::chat::lane::Lane;
use crate::server::worker::connection::Connection;
use crate::server::worker::shared::Message;
use crate::server::worker::slot::Slot;

impl Sessions {
    /// A session has moved here. It is given what it is owed before any more of its lines are
    /// carried out: else one that moves with each line would be owed more and more.
    pub(crate) fn arrived(&mut self, slot: Box<Slot>) {
        let Some(id) = self.slots.insert(slot) else {
            return;
        };
        self.slots[id.token].connection.session.evictable(id);
        if self.phase.is_finishing() {
            self.slots[id.token].connection.finish();
        }
        if self.slots[id.token].stall.is_some() {
            self.slow.add(id);
        }
        if self.slots[id.token].connection.transport.is_doubtful() {
            self.doubtful.push(id);
        }
        self.with_turn(id.token, |connection, _, turn| connection.session.arrive(turn));
        self.settle(id.token, Connection::flush);
    }

    /// Gives a session to another worker.
    pub(super) fn hand_over(&mut self, token: usize, worker: usize) {
        // Its answers go along, and may be written before this turn ends.
        self.publish();
        let Some(mut slot) = self.slots.remove(token) else { return };
        self.forget_deadlines(&mut slot, token);
        slot.connection.session.depart();
        slot.assignment = self.shared.placement.assign(worker);
        if let Err(error) = self.slots.forget(&mut slot) {
            warn!("cannot move {}: {error}", slot.connection.session);
            return;
        }
        self.shared.tell(worker, Message::Arriving(slot));
    }

    /// Gives the rooms of those who are to be served next another home.
    pub(crate) fn move_rooms(&mut self, clients: usize, calm_worker: usize) {
        for token in self.ready.iter(Lane::Quiet).take(clients) {
            if let Some(slot) = self.slots.get(token)
                && let Some(room) = slot.connection.session.room()
                && room.lane() == Lane::Quiet
            {
                room.move_to(calm_worker);
            }
        }
    }

    /// If the room of a session has moved to another worker, the session follows.
    pub(super) fn follow_room(&mut self, token: usize) {
        let session = &self.slots[token].connection.session;
        if let Some(home) = session.room().and_then(|room| room.home_to_follow_to())
            && home != self.index
            && !session.is_waiting()
            && !session.is_awaiting()
            && !session.is_paging()
            && self.phase.is_running()
        {
            self.hand_over(token, home);
        }
    }
}
