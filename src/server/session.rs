//! What one client is to the chat: the state table of the protocol, as code.
//!
//! Takes lines and appends their answers, one each, in order. Knows rooms and queues; what comes
//! in and goes out on the socket is [`super::connection`]'s business.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use log::{Level, debug, log};
use thiserror::Error;

use super::batch::{Batches, Publisher};
use super::directory::Guest;
use super::hub::SessionId;
use super::lane::Lane;
use super::outbox::{Backlog, Outbox};
use super::places::{Kind, Place};
use super::room::{Room, Seat};
use crate::lines::Line;
use crate::protocol::{self, Name, Reply, Request, RequestError};

/// Why a request is not carried out. Its text is the payload of the `err`.
#[derive(Debug, Error, PartialEq, Eq)]
enum Refusal {
    #[error("line too long, at most {} bytes with its end", protocol::MAX_REQUEST)]
    LineTooLong,
    #[error(transparent)]
    Malformed(#[from] RequestError),
    #[error("not logged in")]
    NotLoggedIn,
    /// It wants to go, and has nothing to stay for.
    #[error("not logged in, bye")]
    QuitBeforeLogin,
    /// A web page must not be able to speak for the person who reads it.
    #[error("this is a chat server, and does not speak HTTP")]
    Http,
    #[error("already logged in as {0}")]
    AlreadyLoggedIn(Name),
    #[error("bad user name, only letters and digits will do")]
    BadUser,
    #[error("bad room name, only letters and digits will do")]
    BadRoom,
    #[error("not in a room")]
    NotInRoom,
    #[error("only a sender may do that")]
    SendersOnly,
}

impl Refusal {
    /// What has to happen after it is told.
    fn step(&self) -> Step {
        match self {
            Refusal::QuitBeforeLogin | Refusal::Http => Step::Quit,
            _ => Step::Go,
        }
    }
}

/// What has to happen after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next line.
    Go,
    /// First the session has to move to that worker and [`Session::arrive`] there.
    Move(usize),
    /// The client is done.
    Quit,
}

/// Where a session's lines are carried out: on which worker, and what it lends.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The session's name.
    pub id: SessionId,
    /// Takes the texts.
    pub batches: &'a mut Batches,
    /// Publishes the texts.
    pub publisher: Publisher<'a>,
    /// Counts the lines that are carried out.
    pub lines: &'a mut usize,
    /// Sessions do not change workers any more.
    pub stay: bool,
}

/// One client.
#[derive(Debug)]
pub struct Session {
    peer: SocketAddr,
    place: Place,
    standing: Standing,
    /// Answers not yet written nor queued.
    answers: Vec<u8>,
    /// The room that the session is on its way to.
    arriving: Option<Guest>,
}

#[derive(Debug)]
enum Standing {
    New,
    Sender { user: Name, room: Option<Stand> },
    Receiver { user: Name, outbox: Outbox, room: Option<(Guest, Seat)> },
}

/// A sender's place in a room.
#[derive(Debug)]
struct Stand {
    guest: Guest,
    /// What each of its deliveries starts with.
    head: Box<[u8]>,
}

impl Session {
    /// A client that has just connected.
    pub fn new(peer: SocketAddr, place: Place) -> Self {
        let (standing, answers, arriving) = (Standing::New, Vec::new(), None);
        Session { peer, place, standing, answers, arriving }
    }

    /// Carries out one line and appends its answer.
    pub fn carry_out(&mut self, line: Line<'_>, turn: &mut Turn<'_>) -> Step {
        *turn.lines += 1;
        let request = match line {
            Line::Whole(line) | Line::TooLong(line) if self.is_new_and_hears_http(line) => {
                Err(Refusal::Http)
            }
            Line::Whole(line) => Request::parse(line).map_err(Refusal::from),
            Line::TooLong(_) => Err(Refusal::LineTooLong),
        };
        let entry = matches!(
            request,
            Ok(Request::LogInSender(_) | Request::LogInReceiver(_) | Request::Join(_))
        );
        let step = request.and_then(|request| self.try_to_carry_out(request, turn));
        step.unwrap_or_else(|refusal| {
            log!(if entry { Level::Debug } else { Level::Trace }, "refused {self}: {refusal}");
            Reply::Err(refusal.to_string().as_bytes()).encode(&mut self.answers);
            refusal.step()
        })
    }

    fn is_new_and_hears_http(&self, line: &[u8]) -> bool {
        matches!(self.standing, Standing::New) && protocol::is_http_request(line)
    }

    fn try_to_carry_out(
        &mut self,
        request: Request<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Refusal> {
        match request {
            Request::LogInSender(user) => self.log_in(Kind::Sender, user, turn),
            Request::LogInReceiver(user) => self.log_in(Kind::Receiver, user, turn),
            Request::Join(room) => self.join(room, turn),
            Request::SendAll(text) => self.send_all(text, turn),
            Request::Leave => self.leave(),
            Request::Quit => self.quit(),
        }
    }

    fn log_in(&mut self, kind: Kind, user: &[u8], turn: &Turn<'_>) -> Result<Step, Refusal> {
        if let Some(user) = self.user() {
            return Err(Refusal::AlreadyLoggedIn(user.clone()));
        }
        let user = Name::parse(user).map_err(|_| Refusal::BadUser)?;
        self.ok(format_args!("logged in as {user}"));
        self.standing = match kind {
            Kind::Receiver => {
                let outbox = Outbox::new(turn.publisher.hub.limits.queue_limit);
                Standing::Receiver { user, outbox, room: None }
            }
            _ => Standing::Sender { user, room: None },
        };
        self.place.set_kind(kind);
        debug!("{self} logged in");
        Ok(Step::Go)
    }

    fn join(&mut self, name: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        if matches!(self.standing, Standing::New) {
            return Err(Refusal::NotLoggedIn);
        }
        let name = Name::parse(name).map_err(|_| Refusal::BadRoom)?;
        if self.room().is_some_and(|room| *room.name() == name) {
            self.ok(format_args!("joined room {name}"));
            return Ok(Step::Go);
        }
        if let Some(room) = self.room() {
            debug!("{self} left room {}", room.name());
        }
        self.go_out(turn);
        let Publisher { hub, worker, .. } = turn.publisher;
        let guest = hub
            .directory
            .enter(&name, || Room::new(name.clone(), hub.least_busy(worker), hub.mailboxes.len()));
        let room = guest.room();
        let home = match self.standing {
            Standing::Receiver { .. } => {
                room.next_home(hub.relief(room.home(), worker), hub.in_service())
            }
            _ => room.home(),
        };
        self.arriving = Some(guest);
        if home != worker && !turn.stay {
            return Ok(Step::Move(home));
        }
        self.arrive(turn);
        Ok(Step::Go)
    }

    /// Enters the room that the session was on its way to, or has followed.
    pub fn arrive(&mut self, turn: &Turn<'_>) {
        let Some(guest) = self.arriving.take() else {
            return self.reseat(turn);
        };
        self.ok(format_args!("joined room {}", guest.room().name()));
        // A receiver's `ok` has to be in its queue before the room's first delivery.
        self.queue_answers();
        debug!("{self} joined room {}", guest.room().name());
        match &mut self.standing {
            Standing::New => {}
            Standing::Sender { user, room } => {
                let mut head = Vec::new();
                let name = guest.room().name().as_str();
                protocol::append_delivery_head(
                    &mut head,
                    name.as_bytes(),
                    user.as_str().as_bytes(),
                );
                *room = Some(Stand { guest, head: head.into() });
            }
            Standing::Receiver { outbox, room, .. } => {
                let seat = guest.room().enter(turn.id.worker, turn.id.token, outbox.inlet());
                *room = Some((guest, seat));
            }
        }
    }

    /// Says in its room where it is now.
    fn reseat(&mut self, turn: &Turn<'_>) {
        if let Standing::Receiver { room: Some((guest, seat)), .. } = &mut self.standing {
            *seat = guest.room().reseat(*seat, turn.id.worker, turn.id.token);
        }
        self.place.list(turn.id);
    }

    fn send_all(&mut self, text: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        match &self.standing {
            Standing::New => Err(Refusal::NotLoggedIn),
            Standing::Receiver { .. } => Err(Refusal::SendersOnly),
            Standing::Sender { room: None, .. } => Err(Refusal::NotInRoom),
            Standing::Sender { room: Some(Stand { guest, head }), .. } => {
                turn.batches.add(guest.room(), head, text, &mut turn.publisher);
                Reply::Ok(b"sent").encode(&mut self.answers);
                Ok(Step::Go)
            }
        }
    }

    fn leave(&mut self) -> Result<Step, Refusal> {
        match &mut self.standing {
            Standing::New => Err(Refusal::NotLoggedIn),
            Standing::Receiver { .. } => Err(Refusal::SendersOnly),
            Standing::Sender { room, .. } => {
                let Some(Stand { guest, .. }) = room.take() else {
                    return Err(Refusal::NotInRoom);
                };
                let room = guest.room().name();
                debug!("{self} left room {room}");
                self.ok(format_args!("left room {room}"));
                Ok(Step::Go)
            }
        }
    }

    fn quit(&mut self) -> Result<Step, Refusal> {
        match self.standing {
            Standing::New => Err(Refusal::QuitBeforeLogin),
            Standing::Receiver { .. } => Err(Refusal::SendersOnly),
            Standing::Sender { .. } => {
                self.ok(format_args!("bye"));
                Ok(Step::Quit)
            }
        }
    }

    /// Leaves the room, if in one.
    pub fn go_out(&mut self, turn: &mut Turn<'_>) {
        match &mut self.standing {
            Standing::New => {}
            Standing::Sender { room, .. } => *room = None,
            Standing::Receiver { room, .. } => {
                if let Some((guest, seat)) = room.take() {
                    turn.publisher.hub.resume(guest.room().leave(seat));
                }
            }
        }
    }

    fn ok(&mut self, text: fmt::Arguments<'_>) {
        Reply::Ok(text.to_string().as_bytes()).encode(&mut self.answers);
    }

    /// Moves a receiver's answers into its queue, where they keep their place among deliveries.
    pub fn queue_answers(&mut self) {
        if let Standing::Receiver { outbox, .. } = &self.standing
            && !self.answers.is_empty()
        {
            outbox.inlet().push(std::mem::take(&mut self.answers).into());
        }
    }

    /// Bytes that the client has not been given yet, in whatever buffer they lie.
    pub fn owed(&self) -> usize {
        self.answers.len() + self.backlog().map_or(0, Backlog::bytes)
    }

    /// Answers not yet written nor queued, in bytes.
    pub fn answers(&mut self) -> &mut Vec<u8> {
        &mut self.answers
    }

    /// A receiver's queue.
    pub fn outbox(&mut self) -> Option<&mut Outbox> {
        match &mut self.standing {
            Standing::Receiver { outbox, .. } => Some(outbox),
            _ => None,
        }
    }

    /// The accounting of a receiver's queue.
    pub fn backlog(&self) -> Option<&Backlog> {
        match &self.standing {
            Standing::Receiver { outbox, .. } => Some(outbox.backlog()),
            _ => None,
        }
    }

    /// A receiver has shut down its writing side, and has nothing more to ask for.
    pub fn set_half_closed(&mut self) {
        if let Some(backlog) = self.backlog() {
            backlog.set_half_closed();
            self.place.set_kind(Kind::HalfClosed);
        }
    }

    /// A receiver has shut down its writing side, and that is known.
    pub fn is_half_closed(&self) -> bool {
        self.place.is(Kind::HalfClosed)
    }

    /// Lists the client among those who may have to go for others, if it is one of them.
    pub fn may_go(&mut self, id: SessionId) {
        self.place.list(id);
    }

    /// The client moves to another worker.
    pub fn depart(&mut self) {
        self.place.forget();
    }

    /// Takes down whether the room has waited for this receiver a lot lately.
    pub fn set_slow(&self, slow: bool) {
        if let Standing::Receiver { room: Some((guest, seat)), .. } = &self.standing {
            guest.room().set_slow(*seat, slow.then(|| self.to_string().into()));
        }
    }

    /// The lane of what is done for this client.
    pub fn lane(&self) -> Lane {
        self.room().map_or(Lane::Quiet, |room| room.lane())
    }

    /// A receiver's queue has become shorter: senders who waited for that go on.
    pub fn relieve_room(&self, turn: &Turn<'_>) {
        if let Standing::Receiver { outbox, room: Some((guest, seat)), .. } = &self.standing
            && outbox.backlog().is_over()
            && !outbox.backlog().above_mark()
        {
            turn.publisher.hub.resume(guest.room().relieve(*seat));
        }
    }

    /// The room whose receivers a sender has to wait for.
    pub fn congested_room(&self) -> Option<&Arc<Room>> {
        match &self.standing {
            Standing::Sender { room: Some(Stand { guest, .. }), .. } => {
                Some(guest.room()).filter(|room| room.is_congested())
            }
            _ => None,
        }
    }

    /// The room that the client is in.
    pub fn room(&self) -> Option<&Arc<Room>> {
        match &self.standing {
            Standing::New => None,
            Standing::Sender { room, .. } => room.as_ref().map(|stand| stand.guest.room()),
            Standing::Receiver { room, .. } => room.as_ref().map(|(guest, _)| guest.room()),
        }
    }

    /// Deliveries may come for this client.
    pub fn is_receiving(&self) -> bool {
        matches!(self.standing, Standing::Receiver { room: Some(_), .. })
    }

    /// The client has logged in.
    pub fn is_logged_in(&self) -> bool {
        self.user().is_some()
    }

    fn user(&self) -> Option<&Name> {
        match &self.standing {
            Standing::New => None,
            Standing::Sender { user, .. } | Standing::Receiver { user, .. } => Some(user),
        }
    }
}

/// `sender bob (127.0.0.1:4711)`: safe to log.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer;
        match &self.standing {
            Standing::New => write!(f, "client {peer}"),
            Standing::Sender { user, .. } => write!(f, "sender {user} ({peer})"),
            Standing::Receiver { user, .. } => write!(f, "receiver {user} ({peer})"),
        }
    }
}
