//! A receiver: its queue, its room, and how far it has got in what a log has.

use super::frame::Frame;
use super::id::SessionId;
use super::log::Log;
use super::membership::Membership;
use super::outbox::Outbox;
use super::replay::{Debt, Lag, Page, PageRequest, Paging, Replay, Start};
use super::room::Beginning;
use super::sync::atomic::Ordering;
use super::tally::Tally;
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
        match self.room.as_ref().and_then(Membership::lag) {
            // What its queue has comes before all that is to come.
            Some(Lag { after, published }) if after < published.seq => {
                self.replay().debt = Debt::Until(published.seq);
                true
            }
            _ => false,
        }
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
        let lag = membership.catch_up();
        let replay = self.replay();
        let Some(Lag { after, published }) = lag else {
            return replay.reached(u64::MAX);
        };
        let up_to = match replay.debt {
            // There is no page of that.
            Debt::Until(owed) if owed <= after => return replay.reached(after),
            Debt::Until(owed) => owed.min(published.seq),
            Debt::None => published.seq,
            Debt::Paid => return,
        };
        replay.pages += 1;
        let number = replay.pages;
        replay.paging = Some(Paging { number, epoch: published.epoch });
        let (seqs, records) = (after + 1..=up_to, replay.records);
        log.page(PageRequest { room, seqs, records, session, number });
    }

    /// Queues what a log had, and counts it; `false` if that does not have what comes next. What may
    /// be something else by now is asked for again.
    pub(crate) fn take(&mut self, number: u64, page: Option<Page>, tally: &Tally) -> bool {
        let replay = self.replay.get_or_insert_default();
        let (Some(paging), Some(membership)) = (replay.paging, &self.room) else {
            return true;
        };
        if paging.number != number {
            return true;
        }
        replay.paging = None;
        let Some(Page { lines, last }) = page else {
            return membership.lag().is_none_or(|lag| lag.published.epoch != paging.epoch);
        };
        if let Some(texts) = membership.give(lines, last) {
            tally.deliveries.fetch_add(texts, Ordering::Relaxed);
            // What is owed may be lost by now.
            let is_all = membership.lag().is_none();
            replay.reached(if is_all { u64::MAX } else { last.seq });
        }
        true
    }

    /// Nothing more is carried out, so that it gets all that there is.
    pub(crate) fn forget_debt(&mut self) {
        if let Some(replay) = &mut self.replay {
            replay.debt = Debt::None;
        }
    }
}
