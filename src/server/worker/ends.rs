//! Every order of what can happen to a connection before it ends: nothing of it is left.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::Worker;
use super::shared::{Message, Shared};
use super::test_server::{Client, MINUTE, TestServer, WORKERS};
use crate::server::chat::admission::Kind;
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::frame::Frame;
use crate::server::chat::membership::Membership;
use crate::server::chat::outbox::Outbox;
use crate::server::chat::publication::Publication;
use crate::server::chat::room::Room;
use crate::wire::protocol::Name;

/// For what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
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

const ALL: [Event; 12] = [
    Event::End,
    Event::Reset,
    Event::HalfClose,
    Event::Line,
    Event::Wait,
    Event::Resume,
    Event::Cut,
    Event::Full,
    Event::Writable,
    Event::Move,
    Event::Follow,
    Event::Stop,
];

/// A receiver in room `here` that reads when it is told to, and has no socket.
struct SlowMember {
    outbox: Outbox,
    membership: Option<Membership>,
    effects: Effects,
    wanted: mpsc::Receiver<Effect>,
    shared: Arc<Shared>,
}

struct Run {
    server: TestServer,
    /// `None` once it has closed.
    client: Option<Client>,
    line: &'static str,
    /// Is in the room on the other worker.
    keeper: Option<Client>,
    slow: SlowMember,
    stops: bool,
}

impl Run {
    fn new(login: &str, line: &'static str) -> Self {
        let mut server = TestServer::new().over_tcp();
        // Each room goes to the worker with fewer sessions.
        let crowd = [server.client(0), server.client(0)];
        let keeper = server.client_saying(1, "slogin:amy\njoin:there\n");
        crowd.into_iter().for_each(Client::reset);
        let is_alone = |server: &mut TestServer| {
            server.step_all();
            server.shared.placement.sessions(0) == 0
        };
        server.wait_for(is_alone, "those who have gone are still there");
        let client = server.client_saying(0, &format!("{login}\njoin:here\n"));
        let slow = SlowMember::new(&server.shared);
        assert_eq!(server.room("here").home(), 0);
        Run { server, client: Some(client), line, keeper: Some(keeper), slow, stops: false }
    }

    fn happen(&mut self, event: Event) {
        let client = &mut self.client;
        match event {
            Event::End => drop(client.take()),
            Event::Reset => client.take().into_iter().for_each(Client::reset),
            Event::HalfClose => {
                client.iter().for_each(Client::end);
            }
            Event::Line => self.send(1),
            Event::Full => self.send(3000),
            Event::Move => self.send_text("join:there\n"),
            Event::Writable => client.iter_mut().for_each(|client| drop(client.heard())),
            Event::Follow => self.slow.move_room_to(1),
            Event::Wait => self.slow.fill(),
            Event::Resume => self.slow.read(),
            Event::Cut => self.slow.leave(),
            Event::Stop => {
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
        (0..WORKERS).for_each(|worker| self.server.step(worker));
    }

    fn tell(&self, message: impl Fn(mpsc::Sender<()>) -> Message) {
        let (done, _) = mpsc::channel();
        self.server.shared.tell_all(|| message(done.clone()));
    }

    /// Lets come what has to come, and ends what has not ended.
    fn end(&mut self) {
        if !self.stops {
            self.slow.leave();
        }
        self.client.take().into_iter().for_each(Client::reset);
        self.keeper.take().into_iter().for_each(Client::reset);
        self.server.step_all();
        // A receiver that closed without a reset is noticed when something is written to it, and its
        // system has said so; which takes a moment on a machine that is busy.
        self.say_something();
        self.say_something();
        let begun = Instant::now();
        while !self.stops && self.sessions() > 0 && begun.elapsed() < PATIENCE {
            self.say_something();
        }
        if self.stops {
            self.tell(Message::Halt);
            self.server.shared.tell_all(|| Message::Drain(Instant::now() + MINUTE));
            self.server.step_all();
            assert_eq!(self.waiting(), 0, "wait in a room of a server that stopped");
            self.slow.leave();
        }
    }

    /// To whoever is there.
    fn say_something(&mut self) {
        for room in self.server.shared.rooms.all() {
            let frame = Frame::from(b"anybody?\n".to_vec());
            room.publish(Publication::Plain(&frame), None);
            self.server.shared.tell_all(|| Message::Published(Arc::clone(&room)));
        }
        self.server.step_all();
    }

    fn sessions(&self) -> usize {
        [0, 1].map(|worker| self.server.shared.placement.sessions(worker)).iter().sum()
    }

    fn leftovers(&mut self) -> String {
        let waiting = self.waiting();
        let TestServer { shared, workers, .. } = &mut self.server;
        let kinds = [Kind::New, Kind::Sender, Kind::Receiver, Kind::HalfClosed];
        format!(
            "{:?}, clients {:?}, {} may have to go, sessions {:?}, {} rooms, {} wait",
            workers.iter_mut().map(Worker::lists).collect::<Vec<_>>(),
            kinds.map(|kind| shared.admission.taken(kind)),
            shared.admission.listed(),
            [0, 1].map(|worker| shared.placement.sessions(worker)),
            shared.rooms.all().len(),
            waiting,
        )
    }

    /// Senders who wait in any room.
    fn waiting(&self) -> usize {
        self.server.shared.rooms.all().iter().map(|room| room.waiting()).sum()
    }
}

impl SlowMember {
    fn new(shared: &Arc<Shared>) -> Self {
        let (effects, wanted) = Effects::new();
        let (outbox, shared) = (Outbox::new(1, &shared.budget), Arc::clone(shared));
        SlowMember { outbox, membership: None, effects, wanted, shared }
    }

    /// Gets above its mark.
    fn fill(&mut self) {
        let SlowMember { outbox, membership, effects, shared, .. } = self;
        let name = Name::parse(b"here").unwrap();
        let membership = membership.get_or_insert_with(|| {
            let make = || Room::new(name.clone(), 0, WORKERS);
            let mut membership = Membership::new(&shared.rooms, &name, make, effects);
            // No session has this token.
            membership.attach(0, 999_999, outbox.sender(), None, effects);
            membership
        });
        outbox.sender().push(Frame::from(b"more than its mark".to_vec()));
        let frame = Frame::from(b"and more\n".to_vec());
        membership.room().publish(Publication::Plain(&frame), None);
    }

    fn move_room_to(&self, worker: usize) {
        for room in self.shared.rooms.all() {
            if room.name().as_str() == "here" {
                room.move_to(worker);
            }
        }
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
        self.wanted.try_iter().for_each(|effect| self.shared.carry_out(effect));
    }
}

/// All orders of so many happenings, each at most once.
fn orders(length: usize) -> Vec<Vec<Event>> {
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
fn left_after(login: &str, line: &'static str, order: &[Event]) -> String {
    let mut run = Run::new(login, line);
    order.iter().for_each(|event| run.happen(*event));
    run.end();
    run.leftovers()
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
