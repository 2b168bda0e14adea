//! How a session gets into rooms, and how a receiver is given what a log has.

use std::mem;

use log::debug;

use super::{Role, Sending, Session};
use crate::server::chat::id::SessionId;
use crate::server::chat::log::Opened;
use crate::server::chat::membership::Membership;
use crate::server::chat::outbox::Backlog;
use crate::server::chat::receiving::Receiving;
use crate::server::chat::refusal::Refusal;
use crate::server::chat::replay::{Page, Start};
use crate::server::chat::sync::Arc;
use crate::server::chat::tally::Tally;
use crate::server::chat::turn::{Step, Turn};
use crate::wire::position::Resume;
use crate::wire::protocol::{self, Name, RequestError};

impl Session {
    /// Joins the room that it is in.
    pub(super) fn stay(&mut self, name: &Name, turn: &Turn<'_>) {
        match &self.role {
            Role::Receiver(receiving) if turn.batches.log().is_some() => {
                let resume = receiving.resume();
                self.open(None, resume, turn);
            }
            _ => self.ok(format_args!("joined room {name}")),
        }
    }

    /// Enters the room that the session was on its way to, or has followed.
    pub(crate) fn arrive(&mut self, turn: &Turn<'_>) {
        self.attach(turn);
        self.go_in(turn);
    }

    /// Enters the room that the session was on its way to, if any.
    pub(super) fn go_in(&mut self, turn: &Turn<'_>) {
        let Some(membership) = self.arriving.take() else {
            return;
        };
        match &self.role {
            Role::Receiver(receiving) if turn.batches.log().is_some() => {
                let resume = receiving.resume();
                self.open(Some(membership), resume, turn);
            }
            _ => self.enter(membership, turn),
        }
    }

    /// A receiver enters a room, or begins in its own anew, as soon as the log knows about it.
    fn open(&mut self, membership: Option<Membership>, resume: Option<Resume>, turn: &Turn<'_>) {
        let room = membership.as_ref().map(Membership::room).or(self.room());
        let (Some(log), Some(room)) = (turn.batches.log(), room) else {
            return;
        };
        match log.open(room, resume, turn.id) {
            Opened::Now(start) => self.begin(membership, start, turn),
            Opened::Never(reason) => self.err(&reason),
            Opened::Later => {
                self.arriving = membership;
                self.is_opening = true;
            }
        }
    }

    /// The log knows about the room that the session is on its way to, or says why it does not.
    pub(crate) fn opened(&mut self, outcome: Result<Start, Arc<str>>, turn: &Turn<'_>) {
        if !mem::take(&mut self.is_opening) {
            return;
        }
        let membership = self.arriving.take();
        let room = membership.as_ref().map(Membership::room).or(self.room());
        let published = room.and_then(|room| room.published()).unwrap_or_default();
        match (outcome, &self.role) {
            (Ok(start), Role::Receiver(receiving)) if start.is_outdated(published) => {
                let resume = receiving.resume();
                self.open(membership, resume, turn);
            }
            (Ok(start), _) => self.begin(membership, start, turn),
            (Err(reason), _) => self.err(&reason),
        }
    }

    /// A receiver is in a room that the log knows about.
    fn begin(&mut self, membership: Option<Membership>, start: Start, turn: &Turn<'_>) {
        let Some(name) = membership.as_ref().map(Membership::room).or(self.room()) else {
            return;
        };
        let answer = format!("joined room {}", name.name());
        self.queue_answers();
        if let Role::Receiver(receiving) = &mut self.role {
            receiving.begin(membership, start, &answer, turn);
        }
        debug!("{self} {answer}");
    }

    fn enter(&mut self, membership: Membership, turn: &Turn<'_>) {
        let name = membership.room().name().clone();
        self.ok(format_args!("joined room {name}"));
        // A receiver's `ok` has to be in its queue before the room's first delivery.
        self.queue_answers();
        debug!("{self} joined room {name}");
        match &mut self.role {
            Role::New => {}
            Role::Sender { user, room } => {
                let (name, user) = (name.as_str().as_bytes(), user.as_str().as_bytes());
                let mut head = Vec::new();
                protocol::append_delivery_head(&mut head, name, user);
                *room = Some(Sending { membership, head: head.into() });
            }
            Role::Receiver(receiving) => receiving.room = Some(membership),
        }
        self.attach(turn);
    }

    /// Says in the room where the session is now.
    fn attach(&mut self, turn: &Turn<'_>) {
        let (SessionId { worker, token, .. }, effects) = (turn.id, turn.publisher.effects);
        match &mut self.role {
            Role::Receiver(Receiving { outbox, room: Some(membership), .. }) => {
                membership.attach(worker, token, outbox.sender(), None, effects);
            }
            Role::Sender { room: Some(sending), .. } => sending.membership.set_effects(effects),
            _ => {}
        }
    }

    /// A receiver wants records from now on, and perhaps what was said before.
    pub(super) fn ask_for_history(
        &mut self,
        what: &[u8],
        turn: &Turn<'_>,
    ) -> Result<Step, Refusal> {
        if !turn.batches.gives_back() {
            return Err(RequestError::UnknownTag.into());
        }
        match self.role {
            Role::New => return Err(Refusal::NotLoggedIn),
            Role::Sender { .. } => return Err(Refusal::ReceiversOnly),
            Role::Receiver(_) => {}
        }
        let resume = Resume::parse(what).ok_or(Refusal::BadHistory)?;
        let answer = "records from now on";
        self.queue_answers();
        if let Role::Receiver(receiving) = &mut self.role {
            receiving.ask(resume);
            if receiving.room.is_some() {
                receiving.switch_to_records(answer, turn);
                return Ok(Step::Go);
            }
        }
        self.ok(format_args!("{answer}"));
        Ok(Step::Go)
    }

    /// Asks the log for what a receiver does not have, if it has written what it had.
    pub(crate) fn read_on(&mut self, turn: &Turn<'_>) {
        if let (Role::Receiver(receiving), Some(log)) = (&mut self.role, turn.batches.log())
            && !self.is_opening
        {
            receiving.read_on(&**log, turn.id);
        }
    }

    /// The log has given what a receiver has asked for; `false` if it does not have that any more.
    pub(crate) fn take_page(&mut self, number: u64, page: Option<Page>, tally: &Tally) -> bool {
        match &mut self.role {
            Role::Receiver(receiving) => receiving.take(number, page, tally),
            _ => true,
        }
    }

    /// A receiver that is given what a log has.
    pub(crate) fn lags(&self) -> bool {
        self.backlog().is_some_and(Backlog::lags)
    }

    /// A receiver has asked a log for something, and does not have it yet.
    pub(crate) fn is_paging(&self) -> bool {
        matches!(&self.role, Role::Receiver(receiving) if receiving.is_paging())
    }

    /// A receiver has to be given something before its next line is carried out.
    pub(crate) fn is_in_debt(&self) -> bool {
        matches!(&self.role, Role::Receiver(receiving) if receiving.is_in_debt())
    }

    /// Nothing more is carried out: a receiver gets all that there is.
    pub(crate) fn forget_debt(&mut self) {
        if let Role::Receiver(receiving) = &mut self.role {
            receiving.forget_debt();
        }
    }

    /// Bytes of a receiver's queue that have ever been written.
    pub(crate) fn taken(&self) -> u64 {
        match &self.role {
            Role::Receiver(receiving) => receiving.outbox.taken(),
            _ => 0,
        }
    }
}
