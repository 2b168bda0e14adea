//! Two workers with real sockets and no threads: a test says whose turn it is, and how far the turn
//! goes, so that what is a race elsewhere happens for sure.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
use super::shared::Message;
use super::test_server::{BURST, Client, MINUTE, PATIENT, TestServer, WORKERS, listen};
use crate::server::chat::admission::Kind;
use crate::server::chat::effects::Effects;
use crate::server::chat::membership::Membership;
use crate::server::chat::outbox::Outbox;
use crate::server::chat::placement::RESERVE_FROM;
use crate::server::chat::room::Room;
use crate::server::chat::session::Session;
use crate::server::config::Limits;
use crate::server::shutdown::Pace;
use crate::wire::protocol::Name;

/// For what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes while a room is written to is heard, answered, and on its way with the rest.
#[test]
fn nobody_waits_until_a_room_is_written_to() {
    crate::system::descriptors::raise_limit();
    for size in [10, 300] {
        let mut server = TestServer::with_reserve().over_tcp();
        let mut receivers = server.receivers(size);
        let mut sender = server.client_saying(0, "slogin:bob\njoin:hall\n");
        let mut heard = vec![String::new(); size];
        for text in ["one", "two"] {
            sender.send(&format!("sendall:{text}\n"));
            server.step(0);
            assert_eq!(heard_in_time(&mut sender), "ok:sent\n");
            listen(&mut receivers, &mut heard);
            let reached = heard.iter().filter(|heard| heard.contains(text)).count();
            assert!((1..=size / 2).contains(&reached), "{reached} have {text} after one turn");
        }
        // There are some to be written to yet, also when the server stops.
        assert_eq!(server.workers[0].wait(), Some(Duration::ZERO));
        let stopping = server.stop(Pace::within(2 * MINUTE));
        server.step_until(&stopping);
        let begun = Instant::now();
        while heard.iter().any(|heard| !heard.contains("two\n")) && begun.elapsed() < PATIENCE {
            listen(&mut receivers, &mut heard);
        }
        for heard in heard {
            assert_eq!(heard, "delivery:hall:bob:one\ndelivery:hall:bob:two\n");
        }
    }
}

/// What comes next, which a machine that is busy may bring a moment later.
fn heard_in_time(client: &mut Client) -> String {
    let begun = Instant::now();
    loop {
        let heard = client.heard();
        if !heard.is_empty() || begun.elapsed() > PATIENCE {
            return heard;
        }
    }
}

/// Whatever clients send at the same time, and however little sense it makes.
#[test]
fn the_more_is_read_the_more_are_written_to() {
    let mut server = TestServer::with_reserve();
    let mut receivers = server.receivers(50);
    let mut sender = server.client_saying(0, "slogin:bob\njoin:hall\n");
    let mut others: Vec<_> = (0..10).map(|_| server.client(0)).collect();
    let mut in_one_turn = |server: &mut TestServer| {
        let mut heard = vec![String::new(); receivers.len()];
        let mut reached = || {
            listen(&mut receivers, &mut heard);
            heard.iter().filter(|heard| *heard == "delivery:hall:bob:hi\n").count()
        };
        sender.send("sendall:hi\n");
        server.step(0);
        let at_once = reached();
        while server.workers[0].wait() == Some(Duration::ZERO) {
            server.step(0);
        }
        assert_eq!(reached(), 50, "{heard:?}");
        at_once
    };
    let few = in_one_turn(&mut server);
    assert!((1..25).contains(&few), "{few}");
    others[0].send(&"!\n".repeat(50));
    assert_eq!(in_one_turn(&mut server), 50);
    others.iter_mut().for_each(|other| other.send("half a line"));
    assert_eq!(in_one_turn(&mut server), 50);
    let handed_over: Vec<_> = (0..10).map(|_| server.connect(0)).collect();
    assert_eq!(in_one_turn(&mut server), 50);
    let address = server.accept();
    let let_in: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(in_one_turn(&mut server), 50);
    drop((handed_over, let_in));
}

/// A reserve gets its share of the receivers once the other worker is crowded, also those of rooms
/// that have been there before, and both hear everything.
#[test]
fn a_reserve_takes_receivers_off_a_crowded_worker() {
    let mut server = TestServer::with_reserve();
    let sessions =
        |server: &TestServer| [0, 1].map(|worker| server.shared.placement.sessions(worker));
    let mut crowd = Vec::new();
    let mut sender = server.client_saying(0, "slogin:bob\njoin:cafe\n");
    let mut early = server.client_saying(0, "rlogin:amy\njoin:cafe\n");
    while sessions(&server)[0] < RESERVE_FROM - 1 {
        crowd.push(server.shared.placement.assign(0));
    }
    let mut last = server.client_saying(0, "rlogin:dan\njoin:cafe\n");
    // That was where it became a crowd.
    assert_eq!(sessions(&server), [RESERVE_FROM - 1, 1]);
    let mut late = server.client_saying(0, "rlogin:eve\njoin:cafe\n");
    assert_eq!(sessions(&server), [RESERVE_FROM - 1, 2]);
    sender.send("sendall:hi\n");
    server.step_all();
    for listener in [&mut early, &mut last, &mut late] {
        assert_eq!(listener.heard(), "delivery:cafe:bob:hi\n");
    }
    // Where all is level, nobody moves any more.
    while 2 * sessions(&server)[1] <= sessions(&server)[0] {
        crowd.push(server.shared.placement.assign(1));
    }
    late.send("join:bar\njoin:cafe\n");
    server.step_all();
    assert_eq!(late.heard(), "ok:joined room bar\nok:joined room cafe\n");
    assert_eq!(sessions(&server), [RESERVE_FROM - 1, RESERVE_FROM / 2]);
    // A sender stays with the room.
    let _other = server.client_saying(0, "slogin:al\njoin:cafe\n");
    assert_eq!(sessions(&server), [RESERVE_FROM, RESERVE_FROM / 2]);
}

/// A room on worker 1, with a receiver, and a sender on worker 0 who is not in it.
fn room_elsewhere(server: &mut TestServer) -> (Client, Client) {
    // Worker 0 has more sessions, so that the room goes to the other.
    let crowd: Vec<_> = (0..5).map(|_| server.client(0)).collect();
    let receiver = server.client_saying(1, "rlogin:eve\njoin:there\n");
    let sender = server.client_saying(0, "slogin:bob\n");
    std::mem::forget(crowd);
    (receiver, sender)
}

#[test]
fn an_answer_does_not_move_ahead_of_its_text() {
    let mut server = TestServer::new();
    let (_elsewhere, mut sender) = room_elsewhere(&mut server);
    // A room on worker 0, too.
    let full: Vec<_> = (0..10).map(|_| server.client(1)).collect();
    let mut receiver = server.client_saying(0, "rlogin:amy\njoin:here\n");
    let mut late = server.client_saying(0, "rlogin:late\n");
    sender.send("join:here\nsendall:hi\njoin:there\n");
    server.look(0);
    server.workers[0].serve_all();
    // The session is on its way, in the middle of worker 0's turn.
    server.step(1);
    server.step(1);
    assert_eq!(sender.heard(), "ok:joined room here\nok:sent\nok:joined room there\n");
    // So whoever joins now, before that turn ends, has missed the text.
    late.send("join:here\n");
    server.look(0);
    server.workers[0].serve_all();
    server.step_all();
    assert_eq!(receiver.heard(), "delivery:here:bob:hi\n");
    assert_eq!(late.heard(), "ok:joined room here\n");
    drop(full);
}

#[test]
fn a_text_of_a_session_that_moves_when_the_server_stops_is_carried_out() {
    let mut server = TestServer::new();
    let (mut receiver, mut sender) = room_elsewhere(&mut server);
    sender.send("join:there\nsendall:hi\n");
    // Worker 0 is in the middle of its turn while the other hears that the server stops.
    server.look(0);
    let stopping = server.stop(Pace::within(2 * MINUTE));
    thread::sleep(Duration::from_millis(100));
    server.step(1);
    server.workers[0].work();
    server.step_until(&stopping);
    assert_eq!(sender.heard(), "ok:joined room there\nok:sent\n");
    assert_eq!(receiver.heard(), "delivery:there:bob:hi\n");
}

#[test]
fn no_receiver_is_closed_while_a_worker_may_still_publish() {
    let mut server = TestServer::new();
    let (mut receiver, _sender) = room_elsewhere(&mut server);
    let mut sender = server.client_saying(1, "slogin:bob\njoin:there\n");
    // The sender of this text lives on worker 1 and the receiver does, too; in a large room or
    // a crowd the one who publishes is another.
    let finish = Instant::now() + Duration::from_millis(50);
    let pace = Pace { finish, ..Pace::within(2 * MINUTE) };
    sender.send("sendall:hi\n");
    server.look(1);
    server.workers[1].serve_all();
    let stopping = server.stop(pace);
    // Long after the time to finish is over, the other worker still may not close anybody.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        server.step(0);
        assert!(!server.workers[0].is_draining(), "drains after {:?}", begun.elapsed());
    }
    server.step_until(&stopping);
    assert_eq!(sender.heard(), "ok:sent\n");
    assert_eq!(receiver.heard(), "delivery:there:bob:hi\n");
}

#[test]
fn nothing_is_carried_out_after_the_halt() {
    let mut server = TestServer::new();
    let mut receiver = server.client_saying(0, "rlogin:eve\njoin:cafe\n");
    let mut sender = server.client_saying(0, "slogin:bob\njoin:cafe\n");
    let (done, all_done) = mpsc::channel();
    server.shared.tell_all(|| Message::Halt(done.clone()));
    server.step_all();
    assert_eq!(all_done.try_iter().count(), WORKERS);
    sender.send("sendall:too late\n");
    server.step_all();
    assert_eq!((sender.heard(), receiver.heard()), (String::new(), String::new()));
}

/// A client's login deadline ends with its login, also if it logs in and moves in one go: nobody
/// who takes its place on the worker may be closed for it.
#[test]
fn a_session_that_moved_leaves_no_deadline_behind() {
    let mut server = TestServer::new();
    let mut crowd: Vec<_> = (0..5).map(|_| server.client_saying(0, "rlogin:amy\n")).collect();
    let mut receiver = server.client_saying(1, "rlogin:eve\njoin:there\n");
    let mut sender = server.client_saying(0, "slogin:bob\njoin:there\n");
    // This one gets the place that was left.
    let mut quiet = server.client_saying(0, "rlogin:quiet\n");
    assert_eq!(server.workers[0].sessions.login_deadlines.len(), 0);
    quiet.send("join:there\n");
    server.step_all();
    assert_eq!(quiet.heard(), "ok:joined room there\n");
    sender.send("sendall:hi\n");
    server.step_all();
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
        stall_timeout: Duration::from_millis(300),
        ..PATIENT
    };
    let mut server = TestServer::with(limits);
    let (_elsewhere, mut there) = room_elsewhere(&mut server);
    there.send("join:there\n");
    server.step_all();
    there.heard();
    let full: Vec<_> = (0..10).map(|_| server.client(1)).collect();
    let mut here = server.client_saying(0, "slogin:bob\n");
    for round in 1..=3 {
        let mut slow = server.client_saying(0, "rlogin:amy\njoin:here\n");
        here.send("join:here\n");
        server.step_all();
        here.heard();
        while server.answered(&mut here) == BURST {}
        for _ in 0..20 {
            slow.heard();
            here.heard();
            server.step(0);
        }
        slow.send("join:there\n");
        let begun = Instant::now();
        while server.shared.tally.cut.load(Ordering::SeqCst) < round {
            assert!(begun.elapsed() < Duration::from_secs(20), "not cut in round {round}");
            server.answered(&mut there);
        }
    }
    drop(full);
}

/// The server may have been stopped, or too busy to look, while a client logged in.
#[test]
fn a_client_is_heard_once_more_before_its_deadline_ends_it() {
    let mut server = TestServer::new();
    // More than are served in one turn.
    let mut clients: Vec<_> = (0..300).map(|_| server.client(0)).collect();
    let mut silent = server.client(0);
    clients.iter_mut().for_each(|client| client.send("slogin:bob\njoin:cafe\n"));
    server.workers[0].sessions.login_deadlines.expire();
    // It has not heard of what they sent.
    server.workers[0].work();
    server.step_all();
    for client in &mut clients {
        assert_eq!(client.heard(), "ok:logged in as bob\nok:joined room cafe\n");
    }
    assert_eq!(silent.heard(), "err:not logged in in time\n");
}

/// Worker 0, which accepts clients, sleeps when another worker gives a place back.
#[test]
fn a_place_that_is_released_elsewhere_wakes_the_acceptor() {
    let mut server = TestServer::with_places(2);
    let _other = server.client_saying(0, "slogin:bob\n");
    let half_closed = server.client_saying(1, "rlogin:eve\njoin:cafe\n");
    half_closed.end();
    server.step_all();
    let address = server.accept();
    let mut newcomer = Client::new(TcpStream::connect(address).unwrap());
    server.step(0);
    server.workers[0].fall_asleep();
    server.step(1);
    server.workers[0].look(Some(Duration::from_secs(10)));
    assert_eq!(server.workers[0].intake(), 1, "it slept on");
    server.workers[0].work();
    newcomer.send("slogin:amy\n");
    server.step_all();
    assert_eq!(newcomer.heard(), "ok:logged in as amy\n");
}

/// A bug in the middle of a turn, outside of any connection's.
#[test]
fn a_turn_with_a_bug_drops_nobodys_text() {
    let mut server = TestServer::with_reserve();
    let name = Name::parse(b"trap").unwrap();
    let effects = Effects::new().0;
    let make = || Room::new(name.clone(), 0, WORKERS + 1);
    let mut trap = Membership::new(&server.shared.rooms, &name, make, &effects);
    let mut victims = ["trap", "cafe"].map(|room| {
        let sender = server.client_saying(0, &format!("slogin:bob\njoin:{room}\n"));
        let receiver = server.client_saying(0, &format!("rlogin:eve\njoin:{room}\n"));
        (room, sender, receiver)
    });
    // A receiver on a worker that does not exist.
    trap.attach(WORKERS, 0, Outbox::new(1, &server.shared.budget).sender(), None, &effects);
    victims.iter_mut().for_each(|(_, sender, _)| sender.send("sendall:hi\n"));
    server.look(0);
    server.workers[0].serve_all();
    // Publishing the first batch is where it happens.
    for _ in 0..3 {
        server.workers[0].survive(Worker::work);
        server.look(0);
    }
    for (room, sender, receiver) in &mut victims {
        assert_eq!(sender.heard(), "ok:sent\n", "{room}");
        assert_eq!(receiver.heard(), format!("delivery:{room}:bob:hi\n"));
    }
}

#[test]
fn a_look_with_a_bug_forgets_nobody() {
    let mut server = TestServer::with_reserve();
    let mut clients: Vec<_> = (0..3).map(|_| server.client(0)).collect();
    clients.iter_mut().for_each(|client| client.send("slogin:bob\n"));
    // A room that does not know of worker 0.
    let room = Arc::new(Room::new(Name::parse(b"trap").unwrap(), 0, 0));
    server.shared.tell(0, Message::Published(room));
    server.workers[0].survive(|worker| worker.look(Some(Duration::ZERO)));
    clients.push(server.client_saying(0, ""));
    clients[3].send("slogin:bob\n");
    server.step_all();
    for client in &mut clients {
        assert_eq!(client.heard(), "ok:logged in as bob\n");
    }
}

/// The system tells only once that somebody waits to be accepted.
#[test]
fn a_look_with_a_bug_keeps_nobody_out() {
    let mut server = TestServer::with_reserve();
    let address = server.accept();
    server.step_until_idle(0);
    let _newcomer = TcpStream::connect(address).unwrap();
    server.workers[0].survive(|worker| {
        let poll = worker.sessions.slots.poll();
        poll.poll(&mut worker.events, None).unwrap();
        panic!("provoked");
    });
    server.step(0);
    assert_eq!(server.shared.placement.sessions(0), 1);
}

/// A turn of worker 0 that may have a bug.
fn survive(server: &mut TestServer) {
    server.workers[0].survive(|worker| {
        worker.look(Some(Duration::ZERO));
        worker.work();
    });
}

/// Panics if the user is called `unlucky`.
fn trap(session: &Session) {
    assert!(!session.to_string().contains(" unlucky "), "provoked");
}

/// Nothing of it is left in its room, neither as a receiver above its mark nor as a sender who waits.
#[test]
fn a_connection_whose_end_has_a_bug_is_gone() {
    let mut server = TestServer::of(1, PATIENT, 1000).over_tcp();
    let mut sender = server.client_saying(0, "slogin:bob\njoin:cafe\n");
    let mut witness = server.client_saying(0, "rlogin:amy\njoin:cafe\n");
    let slow = server.client_saying(0, "rlogin:unlucky\njoin:cafe\n");
    let waiting = server.client_saying(0, "slogin:unlucky\njoin:cafe\n");
    let mut sent = 0;
    while server.answered(&mut sender) == BURST {
        sent += BURST;
        witness.heard();
    }
    let mut waiting = waiting;
    waiting.send("sendall:hi\n");
    server.step_all();
    assert!(server.room("cafe").waiting() >= 1, "nobody waits after {sent} texts");
    server.workers[0].sessions.trap = trap;
    for unlucky in [waiting, slow] {
        unlucky.reset();
        (0..3).for_each(|_| survive(&mut server));
    }
    server.workers[0].sessions.trap = |_| {};
    let everybody = [Kind::New, Kind::Sender, Kind::Receiver, Kind::HalfClosed];
    let everybody = everybody.map(|kind| server.shared.admission.taken(kind));
    assert_eq!((everybody, server.shared.placement.sessions(0)), ([0, 1, 1, 0], 2));
    assert_eq!(server.room("cafe").census().receivers, 1);
    assert_eq!(server.room("cafe").waiting(), 0);
    // So the room goes on.
    let goes_on = |server: &mut TestServer| {
        sender.heard();
        sender.try_send("sendall:after all\n");
        server.step_all();
        witness.heard().contains("after all")
    };
    server.wait_for(goes_on, "the room waits for one that has gone");
}

#[test]
fn a_receiver_that_stalls_is_cut_although_the_end_of_another_has_a_bug() {
    let stall_timeout = Duration::from_millis(300);
    let mut server = TestServer::of(1, Limits { stall_timeout, ..PATIENT }, 1000);
    let mut clients = Vec::new();
    for (user, room) in [("unlucky", "here"), ("eve", "there")] {
        clients.push(server.client_saying(0, &format!("rlogin:{user}\njoin:{room}\n")));
        let mut sender = server.client_saying(0, &format!("slogin:bob\njoin:{room}\n"));
        while server.answered(&mut sender) == BURST {}
        clients.push(sender);
    }
    server.workers[0].sessions.trap = trap;
    let is_cut = |server: &mut TestServer| {
        clients.iter_mut().for_each(|client| client.try_send("sendall:hello\n"));
        survive(server);
        server.shared.tally.cut.load(Ordering::Relaxed) == 1
    };
    server.wait_for(is_cut, "it is not cut");
}

/// A receiver that is above its mark holds up texts, and what comes after them, and nothing else.
#[test]
fn only_texts_wait_for_a_room() {
    let mut server = TestServer::of(1, PATIENT, 1000);
    let _slow = server.client_saying(0, "rlogin:eve\njoin:cafe\n");
    let mut sender = server.client_saying(0, "slogin:bob\njoin:cafe\n");
    let mut others = ["leave:\n", "quit:\n", "join:bar\n", "bad\n"]
        .map(|line| (line, server.client_saying(0, "slogin:amy\njoin:cafe\n")));
    let mut behind = server.client_saying(0, "slogin:al\njoin:cafe\n");
    while server.answered(&mut sender) == BURST {}
    for (line, other) in &mut others {
        other.send(line);
        server.step_all();
        assert!(other.heard().starts_with("ok:") || *line == "bad\n", "{line:?}");
    }
    behind.send("sendall:hi\nbad\nquit:\n");
    server.step_all();
    assert_eq!(behind.heard(), "");
    assert!(server.room("cafe").waiting() >= 1);
}
