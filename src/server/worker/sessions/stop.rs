//! How the sessions on a worker come to their end.

use std::sync::mpsc;

use super::Sessions;
use crate::server::worker::phase::Phase;

impl Sessions {
    /// Carries out what had been received, and no more.
    pub(crate) fn finish(&mut self, done: mpsc::Sender<()>) {
        self.phase = Phase::Finishing(Some(done));
        for token in self.slots.tokens() {
            self.slots[token].connection.finish();
            self.list(token);
        }
    }

    /// Carries out nothing more.
    pub(crate) fn halt(&mut self, done: mpsc::Sender<()>) {
        self.phase = Phase::Halted(Some(done));
        for token in self.slots.tokens() {
            self.slots[token].connection.session.forget_debt();
        }
    }

    /// At the end of a turn: says that a phase is done, if it is.
    pub(crate) fn report_phase(&mut self) {
        let slots = &self.slots;
        self.phase.report(|| slots.iter().all(|slot| slot.connection.is_finished()));
    }
}
