//! What the workers share, and what they tell each other.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use log::error;
use mio::Waker;

use super::mailbox::{Mailbox, Wake};
use super::slot::{Client, Slot};
use crate::server::accounts::Accounts;
use crate::server::chat::admission::Admission;
use crate::server::chat::effects::{Effect, Receipt};
use crate::server::chat::frame::Budget;
use crate::server::chat::id::SessionId;
use crate::server::chat::log::Log;
use crate::server::chat::placement::Placement;
use crate::server::chat::replay::{Page, Start};
use crate::server::chat::room::Room;
use crate::server::chat::rooms::Rooms;
use crate::server::chat::tally::Tally;
use crate::server::chat::vouched::Vouched;
use crate::server::config::Limits;
use crate::system::rate_limited::Warning;

/// Receivers that hold their rooms back and are named in ten seconds at most; more are counted.
pub(crate) const SLOW_NAMED: usize = 10;

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Accept no more clients; say so through the sender.
    Close(mpsc::Sender<()>),
    /// A place is free again.
    PlaceFree,
    /// A client has connected.
    Connected(Client),
    /// A session moves here, for the sake of its room.
    Arriving(Box<Slot>),
    /// Another worker has published in the room.
    Published(Arc<Room>),
    /// The session need no longer wait.
    Resume(SessionId),
    /// A log has said what became of texts of sessions here.
    Answer(Receipt),
    /// A log knows about the room that a session is about to enter, or says why not.
    Opened(SessionId, Result<Start, Arc<str>>),
    /// The texts that a session has asked a log for, if it still has them.
    Page(SessionId, u64, Option<Page>),
    /// It has been found out what vouches for a session's name.
    Vouched(SessionId, Vouched),
    /// Certificates, and what counts for them, have been read again.
    Renewed,
    /// The session has to make room for others.
    Evict(SessionId),
    /// Carry out what was received, then say so through the sender, and take no more.
    Finish(mpsc::Sender<()>),
    /// Carry out nothing more; say so through the sender when all texts are published.
    Halt(mpsc::Sender<()>),
    /// Write what is queued, until then at the latest, and end.
    Drain(Instant),
}

impl Wake for Waker {
    fn wake(&self) {
        if let Err(error) = Waker::wake(self) {
            error!("cannot wake a worker: {error}");
        }
    }
}

/// What the workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// One for each worker.
    pub mailboxes: Vec<Mailbox<Message, Waker>>,
    /// Decides the order of texts, if there is one.
    pub log: Option<Arc<dyn Log>>,
    /// Where sessions live.
    pub placement: Arc<Placement>,
    /// The rooms.
    pub rooms: Arc<Rooms>,
    /// Finds out what accounts are called.
    pub accounts: Accounts,
    /// The clients' places.
    pub admission: Arc<Admission>,
    /// What there is for all receivers together.
    pub budget: Arc<Budget>,
    /// What holds for every client.
    pub limits: Limits,
    /// What has happened so far.
    pub tally: Arc<Tally>,
    /// Tells of receivers that hold their rooms back, each once in a while.
    pub slow_receivers: Mutex<Warning>,
}

impl Shared {
    /// Sends a message to a worker.
    pub(crate) fn tell(&self, worker: usize, message: Message) {
        self.mailboxes[worker].send(message);
    }

    /// Has the right worker do what the core wants.
    pub(crate) fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Resume(session) => self.tell(session.worker, Message::Resume(session)),
            Effect::Notify(worker, room) => self.tell(worker, Message::Published(room)),
            Effect::Answer(worker, receipt) => self.tell(worker, Message::Answer(receipt)),
            Effect::Opened(session, outcome) => {
                self.tell(session.worker, Message::Opened(session, outcome));
            }
            Effect::Page(session, number, page) => {
                self.tell(session.worker, Message::Page(session, number, page));
            }
        }
    }

    /// Sends every worker a message.
    pub(crate) fn tell_all(&self, message: impl Fn() -> Message) {
        for worker in 0..self.mailboxes.len() {
            self.tell(worker, message());
        }
    }
}
