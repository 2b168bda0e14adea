//! What one client is to the chat: the state table of the protocol, as code.
//!
//! Takes lines and appends their answers, one each, in order. What comes in and goes out on a
//! socket is the business of the connection that has the session.

mod entering;

use std::fmt;
use std::mem;

use log::{Level, debug, log};

use super::admission::{Kind, Permit};
use super::answers::Answers;
use super::batch::Publisher;
use super::id::{Peer, SessionId};
use super::lane::Lane;
use super::membership::Membership;
use super::outbox::{Backlog, Outbox};
use super::receiving::Receiving;
use super::refusal::Refusal;
use super::room::Room;
use super::sync::Arc;
use super::turn::{Step, Turn};
use super::vouched::Vouched;
use crate::wire::lines::Line;
use crate::wire::protocol::{self, Name, Reply, Request};

/// The answer to a text that was carried out.
const SENT: Reply<'static> = Reply::Ok(b"sent");

/// One client.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Peer,
    /// What vouches for its name.
    vouched: Vouched,
    permit: Permit,
    role: Role,
    /// Answers not yet written nor queued.
    answers: Answers,
    /// The room that the session is on its way to.
    arriving: Option<Membership>,
    /// It has to wait until the log knows about that room, or the one that it is in.
    is_opening: bool,
}

#[derive(Debug)]
enum Role {
    New,
    Sender { user: Name, room: Option<Sending> },
    Receiver(Receiving),
}

/// A sender's place in a room.
#[derive(Debug)]
struct Sending {
    membership: Membership,
    /// What each of its deliveries starts with.
    head: Box<[u8]>,
}

impl Session {
    /// A client that has just connected, and what vouches for it.
    pub(crate) fn new(peer: Peer, vouched: Vouched, mut permit: Permit) -> Self {
        permit.know(Some(peer.way()), vouched.by());
        Session {
            peer,
            vouched,
            permit,
            role: Role::New,
            answers: Answers::default(),
            arriving: None,
            is_opening: false,
        }
    }

    /// Carries out one line and appends its answer.
    pub(crate) fn carry_out(&mut self, line: Line<'_>, turn: &mut Turn<'_>) -> Step {
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
            self.err(&refusal);
            if refusal.is_final() { Step::Quit } else { Step::Go }
        })
    }

    fn is_new_and_hears_http(&self, line: &[u8]) -> bool {
        matches!(self.role, Role::New) && protocol::is_http_request(line)
    }

    fn try_to_carry_out(
        &mut self,
        request: Request<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Refusal> {
        match request {
            Request::LogInSender(user) => self.log_in(Kind::Sender, user, turn),
            Request::LogInReceiver(user) => self.log_in(Kind::Receiver, user, turn),
            // What a log has said last of its texts, a session hears where it is.
            Request::Join(_) | Request::Leave | Request::Quit if self.answers.are_awaited() => {
                Ok(Step::Later)
            }
            Request::Join(_) | Request::History(_) if self.has_debt() => Ok(Step::Later),
            Request::Join(room) => self.join(room, turn),
            Request::SendAll(text) => self.send_all(text, turn),
            Request::Leave => self.leave(),
            Request::Quit => self.quit(),
            Request::History(what) => self.ask_for_history(what, turn),
        }
    }

    /// A receiver has to be given something before it may go on to another room, or form.
    fn has_debt(&mut self) -> bool {
        match &mut self.role {
            Role::Receiver(receiving) => receiving.has_debt(),
            _ => false,
        }
    }

    fn log_in(&mut self, kind: Kind, user: &[u8], turn: &Turn<'_>) -> Result<Step, Refusal> {
        if let Some(user) = self.user() {
            return Err(Refusal::AlreadyLoggedIn(user.clone()));
        }
        let user = Name::parse(user);
        // Where only one name will do, this says which, whatever was asked for.
        match self.vouched.allow(user.as_ref().ok()) {
            Some(allowed) => allowed?,
            None => return Ok(Step::Later),
        }
        let user = user.map_err(|_| Refusal::BadUser)?;
        let offers = if turn.batches.gives_back() { protocol::OFFERS_HISTORY } else { "" };
        self.ok(format_args!("logged in as {user}{offers}"));
        self.role = match kind {
            Kind::Receiver => {
                let outbox = Outbox::new(turn.queue_limit, turn.publisher.budget);
                Role::Receiver(Receiving::new(user, outbox))
            }
            _ => Role::Sender { user, room: None },
        };
        self.permit.set_kind(kind);
        debug!("{self} logged in");
        Ok(Step::Go)
    }

    fn join(&mut self, name: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        if matches!(self.role, Role::New) {
            return Err(Refusal::NotLoggedIn);
        }
        let name = Name::parse(name).map_err(|_| Refusal::BadRoom)?;
        if self.room().is_some_and(|room| *room.name() == name) {
            self.stay(&name, turn);
            return Ok(Step::Go);
        }
        // A log may refuse what a receiver asks for, which stays where it is then.
        if turn.batches.log().is_none() || !matches!(self.role, Role::Receiver(_)) {
            self.leave_room();
        }
        let Turn { id, rooms, placement, publisher: Publisher { effects, .. }, .. } = turn;
        let (worker, placement) = (id.worker, *placement);
        let make = || Room::new(name.clone(), placement.least_busy(worker), placement.workers());
        let membership = Membership::new(rooms, &name, make, effects);
        let home = match self.role {
            Role::Receiver(_) => placement.for_receiver(membership.room(), worker),
            _ => membership.room().home(),
        };
        self.arriving = Some(membership);
        if home != worker && !turn.stay {
            return Ok(Step::Move(home));
        }
        self.go_in(turn);
        Ok(Step::Go)
    }

    fn send_all(&mut self, text: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        match &mut self.role {
            Role::New => Err(Refusal::NotLoggedIn),
            Role::Receiver(_) => Err(Refusal::SendersOnly),
            Role::Sender { room: None, .. } => Err(Refusal::NotInRoom),
            Role::Sender { room: Some(Sending { membership, head }), .. } => {
                // A receiver is above its mark: the text waits, in line, until there is none.
                if membership.room().is_congested() && membership.wait(turn.id) {
                    return Ok(Step::Later);
                }
                let Turn { id, batches, publisher, rooms, .. } = turn;
                batches.add((rooms, membership.room()), head, text, *id, publisher);
                match batches.log() {
                    None => self.answers.push(SENT),
                    Some(_) => self.answers.await_text(head.len() + text.len()),
                }
                Ok(Step::Go)
            }
        }
    }

    fn leave(&mut self) -> Result<Step, Refusal> {
        match &mut self.role {
            Role::New => Err(Refusal::NotLoggedIn),
            Role::Receiver(_) => Err(Refusal::SendersOnly),
            Role::Sender { room, .. } => {
                let Some(Sending { membership, .. }) = room.take() else {
                    return Err(Refusal::NotInRoom);
                };
                let room = membership.room().name();
                debug!("{self} left room {room}");
                self.ok(format_args!("left room {room}"));
                Ok(Step::Go)
            }
        }
    }

    fn quit(&mut self) -> Result<Step, Refusal> {
        match self.role {
            Role::New => Err(Refusal::QuitBeforeLogin),
            Role::Receiver(_) => Err(Refusal::SendersOnly),
            Role::Sender { .. } => {
                self.ok(format_args!("bye"));
                Ok(Step::Quit)
            }
        }
    }

    /// Leaves the room, if in one.
    fn leave_room(&mut self) {
        if let Some(room) = self.room() {
            debug!("{self} left room {}", room.name());
        }
        match &mut self.role {
            Role::New => {}
            Role::Sender { room, .. } => *room = None,
            Role::Receiver(receiving) => receiving.room = None,
        }
    }

    fn ok(&mut self, text: fmt::Arguments<'_>) {
        self.answers.push(Reply::Ok(text.to_string().as_bytes()));
    }

    fn err(&mut self, reason: &dyn fmt::Display) {
        self.answers.push(Reply::Err(reason.to_string().as_bytes()));
    }

    /// A log has said what became of so many of this session's texts, the ones that it has had the
    /// longest.
    pub(crate) fn settle(&mut self, texts: usize, refused: Option<&str>) {
        let reply = refused.map_or(SENT, |reason| Reply::Err(reason.as_bytes()));
        self.answers.settle(texts, reply);
    }

    /// Moves a receiver's answers into its queue, where they keep their place among deliveries.
    pub(crate) fn queue_answers(&mut self) {
        if let Role::Receiver(Receiving { outbox, .. }) = &self.role
            && self.answers.ready_bytes() > 0
        {
            outbox.sender().push(mem::take(self.answers.ready()).into());
        }
    }

    /// Bytes that the client has not been given yet, in whatever buffer they lie, those left out that
    /// a log has.
    pub(crate) fn owed(&self) -> usize {
        self.answers.ready_bytes() + self.backlog().map_or(0, Backlog::bytes)
    }

    /// Bytes of texts that a log has and of answers that wait for it.
    pub(crate) fn awaited(&self) -> usize {
        self.answers.awaited_bytes()
    }

    /// Answers are awaited from a log.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.is_opening || self.answers.are_awaited()
    }

    /// The log has to know about a room before anything else can be carried out.
    pub(crate) fn is_opening(&self) -> bool {
        self.is_opening
    }

    /// What vouches for the client's name has to be found out before it can log in.
    pub(crate) fn is_nameless(&self) -> bool {
        self.vouched == Vouched::Awaited
    }

    /// TLS is spoken with the client.
    pub(crate) fn comes_over_tls(&mut self) {
        self.peer = self.peer.over_tls();
        self.permit.know(Some(self.peer.way()), self.vouched.by());
    }

    /// It has been found out what vouches for the client's name.
    pub(crate) fn vouch(&mut self, vouched: Vouched) {
        self.vouched = vouched;
        self.permit.know(Some(self.peer.way()), self.vouched.by());
    }

    /// Texts of which it is not known yet what becomes of them.
    pub(crate) fn unanswered_texts(&self) -> usize {
        self.answers.awaited_texts()
    }

    /// Tells the client something that it has not asked for.
    pub(crate) fn tell(&mut self, reason: &[u8]) {
        self.answers.push(Reply::Err(reason));
    }

    /// There is nobody to read answers any more.
    pub(crate) fn close_answers(&mut self) {
        self.answers.close();
        self.is_opening = false;
    }

    /// Answers not yet written nor queued, in bytes.
    pub(crate) fn answers(&mut self) -> &mut Vec<u8> {
        self.answers.ready()
    }

    /// A receiver's queue.
    pub(crate) fn outbox(&mut self) -> Option<&mut Outbox> {
        match &mut self.role {
            Role::Receiver(receiving) => Some(&mut receiving.outbox),
            _ => None,
        }
    }

    /// The accounting of a receiver's queue.
    pub(crate) fn backlog(&self) -> Option<&Backlog> {
        match &self.role {
            Role::Receiver(receiving) => Some(receiving.outbox.backlog()),
            _ => None,
        }
    }

    /// A receiver has shut down its writing side, and has nothing more to ask for.
    pub(crate) fn set_half_closed(&mut self) {
        if let Some(backlog) = self.backlog() {
            backlog.set_half_closed();
            self.permit.set_kind(Kind::HalfClosed);
        }
    }

    /// A receiver has shut down its writing side, and that is known.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.permit.is(Kind::HalfClosed)
    }

    /// Lists the client among those who may have to go for others, if it is one of them.
    pub(crate) fn evictable(&mut self, id: SessionId) {
        self.permit.list(id);
    }

    /// The client moves to another worker.
    pub(crate) fn depart(&mut self) {
        self.permit.forget();
    }

    /// Sets whether the room has waited for this receiver a lot lately.
    pub(crate) fn set_slow(&self, slow: bool) {
        if let Some(membership) = self.membership() {
            membership.set_slow(slow.then(|| self.to_string().into()));
        }
    }

    /// The lane of what is done for this client.
    pub(crate) fn lane(&self) -> Lane {
        self.room().map_or(Lane::Quiet, |room| room.lane())
    }

    /// A receiver's queue has become shorter: senders who waited for that go on.
    pub(crate) fn relieve_room(&self) {
        if let Role::Receiver(Receiving { outbox, room: Some(membership), .. }) = &self.role
            && outbox.backlog().is_over()
            && !outbox.backlog().above_mark()
        {
            membership.relieve();
        }
    }

    /// What the client sends may lead to anything that others notice.
    pub(crate) fn may_speak(&self) -> bool {
        !matches!(self.role, Role::Receiver(_))
    }

    /// It stands in the line of the senders that wait until their room takes texts.
    pub(crate) fn is_waiting(&self) -> bool {
        self.membership().is_some_and(Membership::is_waiting)
    }

    /// It need no longer stand in that line.
    pub(crate) fn stop_waiting(&mut self) {
        if let Role::Sender { room: Some(Sending { membership, .. }), .. } = &mut self.role {
            membership.stop_waiting();
        }
    }

    fn membership(&self) -> Option<&Membership> {
        match &self.role {
            Role::New => None,
            Role::Sender { room, .. } => room.as_ref().map(|sending| &sending.membership),
            Role::Receiver(receiving) => receiving.room.as_ref(),
        }
    }

    /// The room that the client is in.
    pub(crate) fn room(&self) -> Option<&Arc<Room>> {
        self.membership().map(Membership::room)
    }

    /// Deliveries may come for this client.
    pub(crate) fn is_receiving(&self) -> bool {
        matches!(&self.role, Role::Receiver(receiving) if receiving.room.is_some())
    }

    /// The client has logged in.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.user().is_some()
    }

    fn user(&self) -> Option<&Name> {
        match &self.role {
            Role::New => None,
            Role::Sender { user, .. } | Role::Receiver(Receiving { user, .. }) => Some(user),
        }
    }
}

/// `sender bob (127.0.0.1:4711)`, or with what vouches for the name,
/// `sender bob (socket, uid 1000, account bob)`: safe to log.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Session { peer, vouched, role, .. } = self;
        let (kind, user) = match role {
            Role::New => return write!(f, "client {peer}"),
            Role::Sender { user, .. } => ("sender", user),
            Role::Receiver(Receiving { user, .. }) => ("receiver", user),
        };
        match (peer, vouched) {
            // Nothing vouches for anybody there.
            (Peer::Inet(_) | Peer::Tls(_), Vouched::Nothing) => write!(f, "{kind} {user} ({peer})"),
            _ => write!(f, "{kind} {user} ({peer}, {vouched})"),
        }
    }
}
