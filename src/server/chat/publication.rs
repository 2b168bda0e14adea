//! What a room is given to publish, in the forms that its receivers want.

use super::frame::{Budget, Frame};
use super::sync::Arc;
use crate::wire::position::Position;
use crate::wire::protocol::{self, Stamp};

/// What is published.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Publication<'a> {
    /// Deliveries.
    Plain(&'a Frame),
    /// Deliveries that are in a log.
    Logged {
        /// The deliveries.
        frame: &'a Frame,
        /// What the log says of the first.
        first: Stamp,
        /// How many there are.
        texts: u64,
        /// Counts the bytes of records.
        budget: &'a Arc<Budget>,
    },
}

impl Publication<'_> {
    pub(super) fn frame(&self) -> &Frame {
        match self {
            Publication::Plain(frame) | Publication::Logged { frame, .. } => frame,
        }
    }

    /// The same texts as records.
    pub(super) fn records(&self) -> Frame {
        let Publication::Logged { frame, mut first, budget, .. } = *self else {
            return Frame::clone(self.frame());
        };
        let mut lines = Vec::new();
        for line in frame.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            protocol::append_record(&mut lines, first, line);
            first.position.seq += 1;
        }
        Frame::new(&lines, budget)
    }

    /// Where the last text is in the log.
    pub(super) fn last(&self) -> Option<Position> {
        match self {
            Publication::Plain(_) => None,
            Publication::Logged { first: Stamp { position, .. }, texts, .. } => {
                Some(Position { seq: position.seq + texts - 1, ..*position })
            }
        }
    }
}
