//! Two workers with real sockets and no threads: a test says whose turn it is, and how far the turn
//! goes, so that what is a race elsewhere happens for sure.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::Limits;
use super::directory::Directory;
use super::hub::{CROWD, Hub, Mailbox, Message, Tally};
use super::places::Places;
use super::stop::{Pace, wind_down};
use super::threads::mailbox;
use super::worker::Worker;

const WORKERS: usize = 2;

/// Texts that a sender sends in one go.
const BURST: usize = 100;

const MINUTE: Duration = Duration::from_secs(60);

const PATIENT: Limits = Limits { login_timeout: MINUTE, queue_limit: 1000, stall_timeout: MINUTE };

struct Stage {
    hub: Arc<Hub>,
    workers: Vec<Worker>,
    listener: TcpListener,
}

/// A client's end of a connection.
struct Client(TcpStream);

impl Client {
    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// What has arrived.
    fn heard(&mut self) -> String {
        let mut heard = Vec::new();
        match self.0.read_to_end(&mut heard) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => String::from_utf8(heard).unwrap(),
        }
    }
}

/// Adds what has arrived to what was heard before.
fn listen(receivers: &mut [Client], heard: &mut [String]) {
    for (heard, receiver) in heard.iter_mut().zip(receivers) {
        heard.push_str(&receiver.heard());
    }
}

impl Stage {
    fn new() -> Self {
        Self::with(PATIENT)
    }

    fn with(limits: Limits) -> Self {
        Self::of(WORKERS, limits)
    }

    /// Worker 1 is a reserve.
    fn with_reserve() -> Self {
        Self::of(1, PATIENT)
    }

    fn of(regulars: usize, limits: Limits) -> Self {
        let boxes: Vec<_> = (0..WORKERS).map(|_| mailbox().unwrap()).collect();
        let (mut mailboxes, mut loops) = (Vec::new(), Vec::new());
        for (mailbox, poll, inbox) in boxes {
            mailboxes.push(mailbox);
            loops.push((poll, inbox));
        }
        let hub = Arc::new(Hub {
            mailboxes,
            regulars,
            directory: Arc::new(Directory::default()),
            places: Arc::new(Places::new(1000)),
            limits,
            tally: Tally::default(),
        });
        let worker = |(index, (poll, inbox)): (usize, (Poll, mpsc::Receiver<Message>))| {
            Worker::new(index, Arc::clone(&hub), inbox, poll)
        };
        let workers = loops.into_iter().enumerate().map(worker).collect();
        Stage { hub, workers, listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// A new client on a worker.
    fn client(&mut self, worker: usize) -> Client {
        let client = self.connect(worker);
        self.step(worker);
        client
    }

    /// A new client that its worker has not heard of yet.
    fn connect(&mut self, worker: usize) -> Client {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = self.listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        let place = self.hub.places.take().unwrap();
        self.hub.hand_over(worker, Message::Connected(stream, peer, place));
        Client(client)
    }

    /// From now on worker 0 lets clients in; returns where.
    fn open_door(&mut self) -> SocketAddr {
        self.listener.set_nonblocking(true).unwrap();
        let socket = mio::net::TcpListener::from_std(self.listener.try_clone().unwrap());
        self.workers[0].open_door(vec![socket]).unwrap();
        self.listener.local_addr().unwrap()
    }

    /// A client on a worker, which says this and is heard.
    fn client_saying(&mut self, worker: usize, text: &str) -> Client {
        let mut client = self.client(worker);
        client.send(text);
        self.step_all();
        client.heard();
        client
    }

    /// So many receivers in the room `hall`.
    fn receivers(&mut self, count: usize) -> Vec<Client> {
        (0..count).map(|_| self.client_saying(0, "rlogin:eve\njoin:hall\n")).collect()
    }

    /// A worker looks at its sockets and its messages.
    fn look(&mut self, worker: usize) {
        let mut events = Events::with_capacity(16);
        self.workers[worker].look(&mut events, Some(Duration::ZERO));
    }

    /// A whole turn of a worker.
    fn step(&mut self, worker: usize) {
        self.look(worker);
        self.workers[worker].work();
    }

    /// A sender sends [`BURST`] texts, if it can; returns how many answers it gets.
    fn answered(&mut self, sender: &mut Client) -> usize {
        let texts = format!("sendall:{}\n", "x".repeat(200)).repeat(BURST);
        let _ = sender.0.write_all(texts.as_bytes());
        self.step_all();
        sender.heard().matches("ok:sent\n").count()
    }

    /// The server begins to stop.
    fn stop(&self, pace: Pace) -> JoinHandle<()> {
        let hub = Arc::clone(&self.hub);
        thread::spawn(move || wind_down(&hub, Instant::now(), pace))
    }

    /// The workers go on until the server has stopped, and what it wrote has arrived.
    fn step_until(&mut self, stopped: &JoinHandle<()>) {
        while !stopped.is_finished() {
            (0..WORKERS).for_each(|worker| self.step(worker));
        }
        self.step_all();
    }

    fn step_all(&mut self) {
        for _ in 0..5 {
            (0..WORKERS).for_each(|worker| self.step(worker));
        }
    }
}

/// What comes while a room is written to is heard, answered, and on its way with the rest.
#[test]
fn nobody_waits_until_a_room_is_written_to() {
    crate::descriptors::raise_limit();
    for size in [10, 600] {
        let mut stage = Stage::with_reserve();
        let mut receivers = stage.receivers(size);
        let mut sender = stage.client_saying(0, "slogin:bob\njoin:hall\n");
        let mut heard = vec![String::new(); size];
        for text in ["one", "two"] {
            sender.send(&format!("sendall:{text}\n"));
            stage.step(0);
            assert_eq!(sender.heard(), "ok:sent\n");
            listen(&mut receivers, &mut heard);
            let reached = heard.iter().filter(|heard| heard.contains(text)).count();
            assert!((1..=size / 2).contains(&reached), "{reached} have {text} after one turn");
        }
        // There are some to be written to yet, also when the server stops.
        assert_eq!(stage.workers[0].wait(), Some(Duration::ZERO));
        let pace = Pace { finish: MINUTE, halt: MINUTE, drain: 2 * MINUTE };
        let stopping = stage.stop(pace);
        stage.step_until(&stopping);
        listen(&mut receivers, &mut heard);
        for heard in heard {
            assert_eq!(heard, "delivery:hall:bob:one\ndelivery:hall:bob:two\n");
        }
    }
}

/// Whatever clients send at the same time, and however little sense it makes.
#[test]
fn the_more_is_read_the_more_are_written_to() {
    let mut stage = Stage::with_reserve();
    let mut receivers = stage.receivers(50);
    let mut sender = stage.client_saying(0, "slogin:bob\njoin:hall\n");
    let mut others: Vec<_> = (0..10).map(|_| stage.client(0)).collect();
    let mut in_one_turn = |stage: &mut Stage| {
        let mut heard = vec![String::new(); receivers.len()];
        let mut reached = || {
            listen(&mut receivers, &mut heard);
            heard.iter().filter(|heard| *heard == "delivery:hall:bob:hi\n").count()
        };
        sender.send("sendall:hi\n");
        stage.step(0);
        let at_once = reached();
        while stage.workers[0].wait() == Some(Duration::ZERO) {
            stage.step(0);
        }
        assert_eq!(reached(), 50, "{heard:?}");
        at_once
    };
    let few = in_one_turn(&mut stage);
    assert!((1..25).contains(&few), "{few}");
    others[0].send(&"!\n".repeat(50));
    assert_eq!(in_one_turn(&mut stage), 50);
    others.iter_mut().for_each(|other| other.send("half a line"));
    assert_eq!(in_one_turn(&mut stage), 50);
    let handed_over: Vec<_> = (0..10).map(|_| stage.connect(0)).collect();
    assert_eq!(in_one_turn(&mut stage), 50);
    let address = stage.open_door();
    let let_in: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(in_one_turn(&mut stage), 50);
    drop((handed_over, let_in));
}

/// A reserve gets its share of the receivers once the other worker is crowded, also those of rooms
/// that have been there before, and both hear everything.
#[test]
fn a_reserve_takes_receivers_off_a_crowded_worker() {
    let mut stage = Stage::with_reserve();
    let sessions = |stage: &Stage| {
        let mailboxes = stage.hub.mailboxes.iter();
        mailboxes.map(Mailbox::sessions).collect::<Vec<_>>()
    };
    let mut sender = stage.client_saying(0, "slogin:bob\njoin:cafe\n");
    let mut early = stage.client_saying(0, "rlogin:amy\njoin:cafe\n");
    while sessions(&stage)[0] < CROWD - 1 {
        stage.hub.mailboxes[0].add_session();
    }
    let mut last = stage.client_saying(0, "rlogin:dan\njoin:cafe\n");
    // That was where it became a crowd.
    assert_eq!(sessions(&stage), [CROWD - 1, 1]);
    let mut late = stage.client_saying(0, "rlogin:eve\njoin:cafe\n");
    assert_eq!(sessions(&stage), [CROWD - 1, 2]);
    sender.send("sendall:hi\n");
    stage.step_all();
    for listener in [&mut early, &mut last, &mut late] {
        assert_eq!(listener.heard(), "delivery:cafe:bob:hi\n");
    }
    // Where all is level, nobody moves any more.
    while 2 * sessions(&stage)[1] <= sessions(&stage)[0] {
        stage.hub.mailboxes[1].add_session();
    }
    late.send("join:bar\njoin:cafe\n");
    stage.step_all();
    assert_eq!(late.heard(), "ok:joined room bar\nok:joined room cafe\n");
    assert_eq!(sessions(&stage), [CROWD - 1, CROWD / 2]);
    // A sender stays with the room.
    let _other = stage.client_saying(0, "slogin:al\njoin:cafe\n");
    assert_eq!(sessions(&stage), [CROWD, CROWD / 2]);
}

/// A room on worker 1, with a receiver, and a sender on worker 0 who is not in it.
fn room_elsewhere(stage: &mut Stage) -> (Client, Client) {
    // Worker 0 has more sessions, so that the room goes to the other.
    let crowd: Vec<_> = (0..5).map(|_| stage.client(0)).collect();
    let receiver = stage.client_saying(1, "rlogin:eve\njoin:there\n");
    let sender = stage.client_saying(0, "slogin:bob\n");
    std::mem::forget(crowd);
    (receiver, sender)
}

#[test]
fn an_answer_does_not_move_ahead_of_its_text() {
    let mut stage = Stage::new();
    let (_elsewhere, mut sender) = room_elsewhere(&mut stage);
    // A room on worker 0, too.
    let full: Vec<_> = (0..10).map(|_| stage.client(1)).collect();
    let mut receiver = stage.client_saying(0, "rlogin:amy\njoin:here\n");
    sender.send("join:here\nsendall:hi\njoin:there\n");
    stage.look(0);
    stage.workers[0].serve_all();
    // The session is on its way, in the middle of worker 0's turn.
    stage.step(1);
    stage.step(1);
    assert_eq!(sender.heard(), "ok:joined room here\nok:sent\nok:joined room there\n");
    // So whoever joins now has missed the text.
    let mut late = stage.client(0);
    late.send("rlogin:late\njoin:here\n");
    stage.step_all();
    assert_eq!(receiver.heard(), "delivery:here:bob:hi\n");
    assert_eq!(late.heard(), "ok:logged in as late\nok:joined room here\n");
    drop(full);
}

#[test]
fn a_text_of_a_session_that_moves_when_the_server_stops_is_carried_out() {
    let mut stage = Stage::new();
    let (mut receiver, mut sender) = room_elsewhere(&mut stage);
    sender.send("join:there\nsendall:hi\n");
    let pace = Pace {
        finish: Duration::from_secs(60),
        halt: Duration::from_secs(60),
        drain: Duration::from_secs(61),
    };
    // Worker 0 is in the middle of its turn while the other hears that the server stops.
    stage.look(0);
    let stopping = stage.stop(pace);
    thread::sleep(Duration::from_millis(100));
    stage.step(1);
    stage.workers[0].work();
    stage.step_until(&stopping);
    assert_eq!(sender.heard(), "ok:joined room there\nok:sent\n");
    assert_eq!(receiver.heard(), "delivery:there:bob:hi\n");
}

#[test]
fn no_receiver_is_closed_while_a_worker_may_still_publish() {
    let mut stage = Stage::new();
    let (mut receiver, _sender) = room_elsewhere(&mut stage);
    let mut sender = stage.client_saying(1, "slogin:bob\njoin:there\n");
    // The sender of this text lives on worker 1 and the receiver does, too; in a full house or
    // a crowd the one who publishes is another.
    let pace = Pace {
        finish: Duration::from_millis(50),
        halt: Duration::from_secs(60),
        drain: Duration::from_secs(61),
    };
    sender.send("sendall:hi\n");
    stage.look(1);
    stage.workers[1].serve_all();
    let stopping = stage.stop(pace);
    // Long after the time to finish is over, the other worker still may not close anybody.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        stage.step(0);
        assert!(!stage.workers[0].is_draining(), "drains after {:?}", begun.elapsed());
    }
    stage.step_until(&stopping);
    assert_eq!(sender.heard(), "ok:sent\n");
    assert_eq!(receiver.heard(), "delivery:there:bob:hi\n");
}

#[test]
fn nothing_is_carried_out_after_the_halt() {
    let mut stage = Stage::new();
    let mut receiver = stage.client_saying(0, "rlogin:eve\njoin:cafe\n");
    let mut sender = stage.client_saying(0, "slogin:bob\njoin:cafe\n");
    let (done, all_done) = mpsc::channel();
    stage.hub.tell_all(|| Message::Halt(done.clone()));
    stage.step_all();
    assert_eq!(all_done.try_iter().count(), WORKERS);
    sender.send("sendall:too late\n");
    stage.step_all();
    assert_eq!((sender.heard(), receiver.heard()), (String::new(), String::new()));
}

/// A client's login deadline ends with its login, also if it logs in and moves in one go: nobody
/// who takes its place on the worker may be closed for it.
#[test]
fn a_session_that_moved_leaves_no_deadline_behind() {
    let limits = Limits {
        login_timeout: Duration::from_millis(300),
        queue_limit: 1000,
        stall_timeout: Duration::from_secs(60),
    };
    let mut stage = Stage::with(limits);
    let mut crowd: Vec<_> = (0..5).map(|_| stage.client_saying(0, "rlogin:amy\n")).collect();
    let mut receiver = stage.client_saying(1, "rlogin:eve\njoin:there\n");
    let begun = Instant::now();
    let mut sender = stage.client_saying(0, "slogin:bob\njoin:there\n");
    // This one gets the place that was left.
    let mut quiet = stage.client_saying(0, "rlogin:quiet\n");
    while begun.elapsed() < Duration::from_millis(400) {
        stage.step_all();
    }
    quiet.send("join:there\n");
    stage.step_all();
    assert_eq!(quiet.heard(), "ok:joined room there\n");
    sender.send("sendall:hi\n");
    stage.step_all();
    assert_eq!(sender.heard(), "ok:sent\n");
    for listener in [&mut receiver, &mut quiet] {
        assert_eq!(listener.heard(), "delivery:there:bob:hi\n");
    }
    crowd.iter_mut().for_each(|one| assert_eq!(one.heard(), ""));
}

/// A receiver that was above its mark, is not any more, and moves before anybody has looked, is
/// watched in its new room like any other.
#[test]
fn a_receiver_that_was_slow_and_moved_is_cut_when_it_stalls() {
    let limits = Limits {
        login_timeout: Duration::from_secs(60),
        queue_limit: 1000,
        stall_timeout: Duration::from_millis(300),
    };
    let mut stage = Stage::with(limits);
    let (_elsewhere, mut there) = room_elsewhere(&mut stage);
    there.send("join:there\n");
    stage.step_all();
    there.heard();
    let full: Vec<_> = (0..10).map(|_| stage.client(1)).collect();
    let mut here = stage.client_saying(0, "slogin:bob\n");
    for round in 1..=3 {
        let mut slow = stage.client_saying(0, "rlogin:amy\njoin:here\n");
        here.send("join:here\n");
        stage.step_all();
        here.heard();
        while stage.answered(&mut here) == BURST {}
        for _ in 0..20 {
            slow.heard();
            here.heard();
            stage.step(0);
        }
        slow.send("join:there\n");
        let begun = Instant::now();
        while stage.hub.tally.cut.load(Ordering::SeqCst) < round {
            assert!(begun.elapsed() < Duration::from_secs(20), "not cut in round {round}");
            stage.answered(&mut there);
        }
    }
    drop(full);
}
