//! The state table of the protocol, as data: for every state of a connection and every kind of
//! line, the answer and the state after it.

use crate::harness::{Peer, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Sender,
    /// A sender in room `here`, or in room `there` once it has moved.
    SenderIn(&'static str),
    Receiver,
    ReceiverIn(&'static str),
    Closed,
    /// Closed after an `err`.
    Dismissed,
}

use State::{Closed, Dismissed, New, Receiver, ReceiverIn, Sender, SenderIn};

const HERE: &str = "here";
const THERE: &str = "there";

const STATES: [State; 5] = [New, Sender, SenderIn(HERE), Receiver, ReceiverIn(HERE)];

/// A line, and what comes of it in each of [`STATES`]: `None` for `err` and no change.
type Row = (&'static str, [Option<State>; 5]);

const ERR: [Option<State>; 5] = [None; 5];

const TABLE: &[Row] = &[
    ("slogin:ann", [Some(Sender), None, None, None, None]),
    ("rlogin:ann", [Some(Receiver), None, None, None, None]),
    ("slogin:", ERR),
    ("rlogin:", ERR),
    ("slogin:a b", ERR),
    ("rlogin:a-b", ERR),
    ("slogin:\u{e9}", ERR),
    ("slogin: ann", ERR),
    ("slogin:ann:", ERR),
    (
        "join:there",
        [
            None,
            Some(SenderIn(THERE)),
            Some(SenderIn(THERE)),
            Some(ReceiverIn(THERE)),
            Some(ReceiverIn(THERE)),
        ],
    ),
    (
        "join:here",
        [
            None,
            Some(SenderIn(HERE)),
            Some(SenderIn(HERE)),
            Some(ReceiverIn(HERE)),
            Some(ReceiverIn(HERE)),
        ],
    ),
    ("join:", ERR),
    ("join:no way", ERR),
    ("join:there ", ERR),
    ("sendall:hello", [None, None, Some(SenderIn(HERE)), None, None]),
    ("sendall:", [None, None, Some(SenderIn(HERE)), None, None]),
    ("sendall::a:b", [None, None, Some(SenderIn(HERE)), None, None]),
    ("leave:", [None, None, Some(Sender), None, None]),
    ("leave:now", [None, None, Some(Sender), None, None]),
    ("quit:", [Some(Dismissed), Some(Closed), Some(Closed), None, None]),
    ("quit:bye bye", [Some(Dismissed), Some(Closed), Some(Closed), None, None]),
    ("GET / HTTP/1.1", [Some(Dismissed), None, None, None, None]),
    ("POST http://localhost:5000/join:cafe HTTP/1.1\r", [Some(Dismissed), None, None, None, None]),
    ("sendall:GET / HTTP/1.1", [None, None, Some(SenderIn(HERE)), None, None]),
    ("senduser:bob:hello", ERR),
    ("empty:", ERR),
    ("ok:", ERR),
    ("err:", ERR),
    ("delivery:here:ann:hello", ERR),
    ("SLOGIN:ann", ERR),
    (" slogin:ann", ERR),
    ("nonsense:ann", ERR),
    (":", ERR),
    (":ann", ERR),
    ("", ERR),
    ("slogin", ERR),
    ("join", ERR),
    ("sendall", ERR),
    ("leave", ERR),
    ("quit", ERR),
    ("hello world", ERR),
    ("\u{1b}[2J\0", ERR),
];

/// Rooms with somebody in them, to see where texts go and to send some.
struct Witnesses {
    receivers: [(&'static str, Peer); 2],
    senders: [(&'static str, Peer); 2],
}

impl Witnesses {
    fn new(port: u16) -> Self {
        let each = [HERE, THERE];
        Witnesses {
            receivers: each.map(|room| (room, Peer::receiver(port, "ear", room))),
            senders: each.map(|room| (room, Peer::sender(port, "mouth", room))),
        }
    }

    /// Where the next text with this content arrives, if there is one before the next sentinel.
    fn heard(&mut self, text: &str) -> Option<&'static str> {
        let mut heard = None;
        for (room, sender) in &mut self.senders {
            sender.ok("sendall:sentinel");
            let (_, receiver) = self.receivers.iter_mut().find(|(of, _)| of == room).unwrap();
            loop {
                let line = receiver.line();
                if line == format!("delivery:{room}:mouth:sentinel") {
                    break;
                }
                if line == format!("delivery:{room}:ann:{text}") {
                    heard = Some(*room);
                }
            }
        }
        heard
    }

    fn say(&mut self, room: &str, text: &str) {
        let (_, sender) = self.senders.iter_mut().find(|(of, _)| *of == room).unwrap();
        sender.ok(&format!("sendall:{text}"));
    }
}

fn peer_in(port: u16, state: State) -> Peer {
    match state {
        New => Peer::connect(port),
        Sender => {
            let mut peer = Peer::connect(port);
            peer.ok("slogin:ann");
            peer
        }
        Receiver => {
            let mut peer = Peer::connect(port);
            peer.ok("rlogin:ann");
            peer
        }
        SenderIn(room) => Peer::sender(port, "ann", room),
        ReceiverIn(room) => Peer::receiver(port, "ann", room),
        Closed | Dismissed => panic!("nobody starts closed"),
    }
}

/// Finds out by requests and their answers which state the connection is in.
fn state_of(peer: &mut Peer, witnesses: &mut Witnesses) -> State {
    if peer.ask("sendall:where am i").starts_with("ok:") {
        return SenderIn(witnesses.heard("where am i").expect("a text goes to some room"));
    }
    if peer.ask("slogin:ann").starts_with("ok:") {
        return New;
    }
    if peer.ask("quit:").starts_with("ok:") {
        return Sender;
    }
    for room in [HERE, THERE] {
        witnesses.say(room, room);
    }
    // An answer may take its time in a room; what the room said is there before it.
    peer.send("join:elsewhere\n");
    match peer.line().as_str() {
        "delivery:here:mouth:here" => ReceiverIn(HERE),
        "delivery:there:mouth:there" => ReceiverIn(THERE),
        answer if answer.starts_with("ok:") => Receiver,
        line => panic!("a receiver heard {line:?}"),
    }
}

#[test]
fn every_line_in_every_state() {
    let server = Server::with(&[]);
    let mut witnesses = Witnesses::new(server.port);
    for (line, outcomes) in TABLE {
        for (state, outcome) in STATES.into_iter().zip(outcomes) {
            let mut peer = peer_in(server.port, state);
            let answer = peer.ask(line);
            let tag = if matches!(outcome, None | Some(Dismissed)) { "err:" } else { "ok:" };
            assert!(answer.starts_with(tag), "{line:?} in {state:?} was answered {answer:?}");
            let after = match outcome {
                Some(Closed | Dismissed) => {
                    peer.expect_end();
                    *outcome
                }
                _ => Some(state_of(&mut peer, &mut witnesses)),
            };
            let want = outcome.or(Some(state));
            assert_eq!(after, want, "after {line:?} in {state:?}, {answer:?}");
        }
    }
}

#[test]
fn an_over_long_line_is_one_error_in_every_state() {
    let server = Server::with(&[]);
    let mut witnesses = Witnesses::new(server.port);
    for state in STATES {
        for length in [256, 257, 1000, 70_000] {
            let mut peer = peer_in(server.port, state);
            peer.err(&format!("sendall:{}", "x".repeat(length - "sendall:\n".len())));
            let after = state_of(&mut peer, &mut witnesses);
            assert_eq!(after, state, "after a line of {length} bytes");
        }
    }
}

#[test]
fn a_failed_login_can_be_tried_again() {
    let server = Server::with(&[]);
    let mut peer = Peer::connect(server.port);
    peer.err("slogin:not a name");
    peer.err("rlogin:");
    peer.ok("slogin:ann");
    let mut peer = Peer::connect(server.port);
    peer.err("join:cafe");
    peer.err("rlogin:not a name");
    peer.ok("rlogin:ann");
    peer.err("join:");
    peer.ok("join:cafe");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hi");
    peer.expect("delivery:cafe:bob:hi");
}

#[test]
fn one_name_may_be_logged_in_any_number_of_times() {
    let server = Server::with(&[]);
    let mut receivers: Vec<_> =
        (0..3).map(|_| Peer::receiver(server.port, "ann", "cafe")).collect();
    let mut senders: Vec<_> = (0..3).map(|_| Peer::sender(server.port, "ann", "cafe")).collect();
    for sender in &mut senders {
        sender.ok("sendall:it is me");
    }
    for receiver in &mut receivers {
        for _ in 0..senders.len() {
            receiver.expect("delivery:cafe:ann:it is me");
        }
    }
}

#[test]
fn answers_name_the_thing() {
    let server = Server::with(&[]);
    let mut peer = Peer::connect(server.port);
    assert_eq!(peer.ask("slogin:bob"), "ok:logged in as bob");
    assert_eq!(peer.ask("sendall:hi"), "err:not in a room, join one first");
    assert_eq!(peer.ask("join:cafe"), "ok:joined room cafe");
    assert_eq!(peer.ask("leave:"), "ok:left room cafe");
    assert_eq!(peer.ask("slogin:bob"), "err:already logged in as bob");
}
