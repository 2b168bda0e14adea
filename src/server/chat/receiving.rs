//! A receiver: its queue, its room, and how far it has got in what a log has.

use super::frame::Frame;
use super::id::SessionId;
use super::log::Log;
use super::membership::Membership;
use super::outbox::Outbox;
use super::replay::{Debt, Page, PageRequest, Replay, Start};
use super::room::Beginning;
use super::turn::Turn;
use crate::wire::position::{Resume, Span};
use crate::wire::protocol::{Name, Reply};

/// A receiver.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// Who it is.
    pub user: Name,
    /// Its queue.
    pub outbox: Outbox,
    /// Its room.
    pub room: Option<Membership>,
    /// Made when it asks for something, or is too slow for its queue.
    replay: Option<Box<Replay>>,
}

impl Receiving {
    /// A receiver that is in no room.
    pub(crate) fn new(user: Name, outbox: Outbox) -> Self {
        Receiving { user, outbox, room: None, replay: None }
    }

    fn replay(&mut self) -> &mut Replay {
        self.replay.get_or_insert_default()
    }

    /// It wants records from now on, and the next room from there on.
    pub(crate) fn ask(&mut self, resume: Option<Resume>) {
        let replay = self.replay();
        replay.records = true;
        replay.resume = resume;
    }

    fn wants_records(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.records)
    }

    /// From where it wants the next room.
    pub(crate) fn resume(&self) -> Option<Resume> {
        self.replay.as_ref().and_then(|replay| replay.resume)
    }

    /// Enters a room that a log knows, or begins in it anew, and is told so.
    pub(crate) fn begin(
        &mut self,
        membership: Option<Membership>,
        start: Start,
        answer: &str,
        turn: &Turn<'_>,
    ) {
        if let Some(replay) = &mut self.replay {
            replay.resume = None;
        }
        self.begin_as(self.wants_records(), membership, start, answer, turn);
    }

    /// What is delivered from now on is records; the answer comes before.
    pub(crate) fn switch_to_records(&mut self, answer: &str, turn: &Turn<'_>) {
        self.begin_as(false, None, Start::default(), answer, turn);
    }

    fn begin_as(
        &mut self,
        tells_span: bool,
        membership: Option<Membership>,
        start: Start,
        answer: &str,
        turn: &Turn<'_>,
    ) {
        let records = self.wants_records();
        if let Some(replay) = &mut self.replay {
            // A page that is on its way still is not for what comes now.
            replay.paging = None;
        }
        let answer = |span: Span| {
            let mut line = Vec::new();
            let span = if tells_span { span.to_string() } else { String::new() };
            Reply::Ok(format!("{answer}{span}").as_bytes()).encode(&mut line);
            Frame::from(line)
        };
        let beginning = Beginning { records, start, answer: &answer };
        match membership {
            None => {
                if let Some(room) = &self.room {
                    room.restart(&beginning);
                }
            }
            Some(mut membership) => {
                // First: the accounting of the queue is its room's.
                self.room = None;
                let SessionId { worker, token, .. } = turn.id;
                let effects = turn.publisher.effects;
                membership.attach(worker, token, self.outbox.sender(), Some(&beginning), effects);
                self.room = Some(membership);
            }
        }
    }

    /// Before it goes on to something else, it has to be given what its room has published by now
    /// and its queue does not have.
    pub(crate) fn has_debt(&mut self) -> bool {
        if self.replay.as_ref().is_some_and(|replay| replay.debt == Debt::Paid) {
            self.replay().debt = Debt::None;
            return false;
        }
        if !self.outbox.backlog().lags() {
            return false;
        }
        let Some(lag) = self.room.as_ref().and_then(Membership::lag) else {
            return false;
        };
        self.replay().debt = Debt::Until(lag.published);
        true
    }

    /// It has not been given yet what it has to be given before it goes on.
    pub(crate) fn is_in_debt(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| matches!(replay.debt, Debt::Until(_)))
    }

    /// A page is on its way to it.
    pub(crate) fn is_paging(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.paging.is_some())
    }

    /// If it has been given all that is queued, and there is more in the log, asks for that.
    pub(crate) fn read_on(&mut self, log: &dyn Log, session: SessionId) {
        let backlog = self.outbox.backlog();
        if !backlog.lags() || backlog.bytes() > 0 || self.is_paging() {
            return;
        }
        let Some(membership) = &self.room else { return };
        let room = membership.room().name().clone();
        let mut reached = None;
        // The room may publish between two looks, and tells nobody who lags.
        let lag = loop {
            match membership.lag() {
                Some(lag) if lag.is_over() => {
                    membership.advance(lag.after);
                    reached = Some(lag.after);
                }
                lag => break lag,
            }
        };
        let replay = self.replay();
        if let Some(reached) = reached {
            replay.reached(reached);
        }
        let Some(lag) = lag else { return };
        let up_to = match replay.debt {
            Debt::Until(owed) => owed.min(lag.published),
            Debt::None => lag.published,
            Debt::Paid => return,
        };
        replay.pages += 1;
        let number = replay.pages;
        replay.paging = Some(number);
        let (seqs, records) = (lag.after.saturating_add(1)..=up_to, replay.records);
        log.page(PageRequest { room, seqs, records, session, number });
    }

    /// Queues what a log had; `false` if it does not have what comes next.
    pub(crate) fn take(&mut self, number: u64, page: Option<Page>) -> bool {
        let replay = self.replay();
        if replay.paging != Some(number) {
            return true;
        }
        replay.paging = None;
        let Some(Page { lines, last }) = page else {
            return false;
        };
        replay.reached(last);
        self.outbox.sender().push(lines.into());
        if let Some(membership) = &self.room {
            membership.advance(last);
        }
        true
    }
}
