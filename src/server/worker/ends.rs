//! Every order of what can happen to a connection before it ends: nothing of it is left.

use std::net::Shutdown;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::Worker;
use super::shared::{Message, Shared};
use super::stage::{Client, MINUTE, Stage, WORKERS};
use crate::protocol::Name;
use crate::server::chat::admission::Kind;
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::membership::Membership;
use crate::server::chat::outbox::{Frame, Outbox};
use crate::server::chat::room::Room;
use crate::server::chat::session_queue::SessionQueue;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    /// The client closes.
    End,
    /// The client closes with a reset.
    Reset,
    /// The client shuts down its writing side.
    HalfClose,
    /// The client sends a line.
    Line,
    /// A receiver of the room gets above its mark.
    Wait,
    /// That receiver has read everything.
    Resume,
    /// That receiver is cut.
    Cut,
    /// The client sends lines until it is owed as much as it may.
    Full,
    /// The client reads.
    Writable,
    /// The client joins a room on the other worker.
    Move,
    /// The room has moved to the other worker.
    Follow,
    /// The server stops.
    Stop,
}

const ALL: [Happening; 12] = [
    Happening::End,
    Happening::Reset,
    Happening::HalfClose,
    Happening::Line,
    Happening::Wait,
    Happening::Resume,
    Happening::Cut,
    Happening::Full,
    Happening::Writable,
    Happening::Move,
    Happening::Follow,
    Happening::Stop,
];

/// A receiver in room `here` that reads when it is told to, and has no socket.
struct Blocker {
    outbox: Outbox,
    membership: Option<Membership>,
    effects: Effects,
    wanted: mpsc::Receiver<Effect>,
    shared: Arc<Shared>,
}

struct Play {
    stage: Stage,
    /// `None` once it has closed.
    client: Option<Client>,
    line: &'static str,
    /// Is in the room on the other worker.
    keeper: Option<Client>,
    blocker: Blocker,
    stops: bool,
}

impl Play {
    fn new(login: &str, line: &'static str) -> Self {
        let mut stage = Stage::new();
        // Each room goes to the worker with fewer sessions.
        let crowd = [stage.client(0), stage.client(0)];
        let keeper = stage.client_saying(1, "slogin:amy\njoin:there\n");
        crowd.into_iter().for_each(reset);
        stage.step_all();
        let client = stage.client_saying(0, &format!("{login}\njoin:here\n"));
        let blocker = Blocker::new(&stage.shared);
        assert_eq!(stage.room("here").home(), 0);
        Play { stage, client: Some(client), line, keeper: Some(keeper), blocker, stops: false }
    }

    fn happen(&mut self, happening: Happening) {
        let client = &mut self.client;
        match happening {
            Happening::End => drop(client.take()),
            Happening::Reset => client.take().into_iter().for_each(reset),
            Happening::HalfClose => {
                client.iter().for_each(|client| drop(client.0.shutdown(Shutdown::Write)));
            }
            Happening::Line => self.send(1),
            Happening::Full => self.send(3000),
            Happening::Move => self.send_text("join:there\n"),
            Happening::Writable => client.iter_mut().for_each(|client| drop(client.heard())),
            Happening::Follow => self.blocker.move_room_to(1),
            Happening::Wait => self.blocker.fill(),
            Happening::Resume => self.blocker.read(),
            Happening::Cut => self.blocker.leave(),
            Happening::Stop => {
                self.stops = true;
                self.tell(Message::Finish);
            }
        }
        self.step();
    }

    /// Sends the client's line so many times, or as often as it fits.
    fn send(&mut self, times: usize) {
        self.send_text(&self.line.repeat(times));
    }

    fn send_text(&mut self, text: &str) {
        self.client.iter_mut().for_each(|client| client.try_send(text));
    }

    fn step(&mut self) {
        (0..WORKERS).for_each(|worker| self.stage.step(worker));
    }

    fn tell(&self, message: impl Fn(mpsc::Sender<()>) -> Message) {
        let (done, _) = mpsc::channel();
        self.stage.shared.tell_all(|| message(done.clone()));
    }

    /// Lets come what has to come, and ends what has not ended.
    fn end(&mut self) {
        if !self.stops {
            self.blocker.leave();
        }
        self.client.take().into_iter().for_each(reset);
        self.keeper.take().into_iter().for_each(reset);
        self.stage.step_all();
        // A receiver that closed without a reset is noticed when something is written to it.
        for _ in 0..2 {
            for room in self.stage.shared.rooms.all() {
                room.publish(&Frame::from(*b"anybody?\n"), 0, &mut SessionQueue::default());
                self.stage.shared.tell_all(|| Message::Published(Arc::clone(&room)));
            }
            self.stage.step_all();
        }
        if self.stops {
            self.tell(Message::Halt);
            self.stage.shared.tell_all(|| Message::Drain(Instant::now() + MINUTE));
            self.stage.step_all();
            assert_eq!(self.waiting(), 0, "wait in a room of a server that stopped");
            self.blocker.leave();
        }
    }

    fn leftovers(&mut self) -> String {
        let waiting = self.waiting();
        let Stage { shared, workers, .. } = &mut self.stage;
        let kinds = [Kind::New, Kind::Sender, Kind::Receiver, Kind::HalfClosed];
        format!(
            "{:?}, clients {:?}, {} may have to go, sessions {:?}, {} rooms, {} wait",
            workers.iter_mut().map(Worker::lists).collect::<Vec<_>>(),
            kinds.map(|kind| shared.places.taken(kind)),
            shared.places.listed(),
            [0, 1].map(|worker| shared.placement.sessions(worker)),
            shared.rooms.all().len(),
            waiting,
        )
    }

    /// Senders who wait in any room.
    fn waiting(&self) -> usize {
        self.stage.shared.rooms.all().iter().map(|room| room.waiting()).sum()
    }
}

impl Blocker {
    fn new(shared: &Arc<Shared>) -> Self {
        let (effects, wanted) = Effects::new();
        let (outbox, shared) = (Outbox::new(1), Arc::clone(shared));
        Blocker { outbox, membership: None, effects, wanted, shared }
    }

    /// Gets above its mark.
    fn fill(&mut self) {
        let Blocker { outbox, membership, effects, shared, .. } = self;
        let name = Name::parse(b"here").unwrap();
        let membership = membership.get_or_insert_with(|| {
            let make = || Room::new(name.clone(), 0, WORKERS);
            let mut membership = Membership::new(&shared.rooms, &name, make, effects);
            // No session has this token.
            membership.sit(0, 999_999, outbox.inlet(), effects);
            membership
        });
        outbox.inlet().push(Frame::from(*b"more than its mark"));
        let frame = Frame::from(*b"and more\n");
        membership.room().publish(&frame, 0, &mut SessionQueue::default());
    }

    fn move_room_to(&self, worker: usize) {
        self.shared.rooms.all().iter().for_each(|room| match room.name().as_str() {
            "here" => room.move_to(worker),
            _ => {}
        });
    }

    fn read(&mut self) {
        self.outbox.drain(&mut std::io::sink()).unwrap();
        self.membership.iter().for_each(Membership::relieve);
        self.carry_out_effects();
    }

    fn leave(&mut self) {
        self.membership = None;
        self.carry_out_effects();
    }

    fn carry_out_effects(&self) {
        for effect in self.wanted.try_iter() {
            match effect {
                Effect::Resume(session) => {
                    self.shared.tell(session.worker, Message::Resume(session));
                }
                Effect::Notify(worker, room) => self.shared.tell(worker, Message::Published(room)),
            }
        }
    }
}

fn reset(client: Client) {
    set_socket_linger(&client.0, Some(Duration::ZERO)).unwrap();
}

/// All orders of so many happenings, each at most once.
fn orders(length: usize) -> Vec<Vec<Happening>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(length - 1) {
        for next in ALL.iter().filter(|next| !order.contains(next)) {
            all.push(order.iter().chain([next]).copied().collect());
        }
    }
    all
}

/// What is left after all that has happened to the one client.
fn left_after(login: &str, line: &'static str, order: &[Happening]) -> String {
    let mut play = Play::new(login, line);
    order.iter().for_each(|happening| play.happen(*happening));
    play.end();
    play.leftovers()
}

#[test]
fn nothing_is_left_of_a_connection_in_whatever_order_it_ends() {
    for (login, line) in [("slogin:bob", "sendall:hi\n"), ("rlogin:eve", "join:\n")] {
        let nothing = left_after(login, line, &[]);
        assert!(nothing.starts_with("[\"0 connections"), "{nothing}");
        for order in orders(4) {
            assert_eq!(left_after(login, line, &order), nothing, "{login} {order:?}");
        }
    }
}
