//! The five promises of a delivery, with several senders and receivers at once.

use std::net::Shutdown;
use std::thread;

use crate::harness::{Crowd, Peer, Server, numbered, per_worker, wait_until};

/// What senders `s0`, `s1`, … sent to room `cafe`, as one receiver heard it: one line each.
fn hear(receiver: &mut Peer, count: usize) -> Vec<String> {
    (0..count).map(|_| receiver.line()).collect()
}

/// Asserts that the lines are all texts of all senders, once each, in each sender's order.
fn assert_complete(lines: &[String], senders: usize, texts: usize) {
    let mut next = vec![0; senders];
    for line in lines {
        let (user, text) = line.strip_prefix("delivery:cafe:s").unwrap().split_once(':').unwrap();
        let sender: usize = user.parse().unwrap();
        assert_eq!(text, format!("text{}", next[sender]), "of sender {sender}");
        next[sender] += 1;
    }
    assert_eq!(next, vec![texts; senders]);
}

/// `senders` pipeline `texts` texts each to `receivers`; asserts promises 1 and 2. Returns what the
/// server reported meanwhile.
fn everybody_talks(senders: usize, receivers: usize, texts: usize) -> String {
    let server = Server::with(&[]);
    let port = server.port;
    let receiving: Vec<_> = (0..receivers)
        .map(|number| {
            let mut receiver = Peer::receiver(port, &format!("r{number}"), "cafe");
            thread::spawn(move || {
                let heard = hear(&mut receiver, senders * texts);
                receiver.expect("delivery:cafe:end:of all");
                heard
            })
        })
        .collect();
    let sending: Vec<_> = (0..senders)
        .map(|number| {
            let mut sender = Peer::sender(port, &format!("s{number}"), "cafe");
            thread::spawn(move || {
                sender.send(numbered("text", texts));
                for _ in 0..texts {
                    assert!(sender.line().starts_with("ok:"));
                }
            })
        })
        .collect();
    sending.into_iter().for_each(|sender| sender.join().unwrap());
    let report = server.report();
    Peer::sender(port, "end", "cafe").ok("sendall:of all");
    let heard: Vec<_> = receiving.into_iter().map(|receiver| receiver.join().unwrap()).collect();
    assert_complete(&heard[0], senders, texts);
    for (number, other) in heard.iter().enumerate() {
        assert_eq!(*other, heard[0], "receiver {number} heard another order");
    }
    report
}

#[test]
fn everybody_hears_everything_once_and_in_one_order() {
    everybody_talks(8, 20, 500);
}

/// So many receivers that they are spread over several of the server's threads.
#[test]
fn a_full_house_hears_everything_once_and_in_one_order() {
    let Some(_crowd) = Crowd::of(450) else { return };
    let report = everybody_talks(4, 400, 60);
    assert!(per_worker(&report).iter().filter(|clients| **clients > 50).count() > 1, "{report}");
}

#[test]
fn whoever_has_joined_hears_the_next_text_first() {
    let server = Server::with(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut noise = Peer::sender(server.port, "noise", "cafe");
    for round in 0..300 {
        noise.send("sendall:noise\n");
        let mut receiver = Peer::connect(server.port);
        receiver.ok("rlogin:eve");
        // The `ok` of the join comes before any delivery, whatever is being said meanwhile.
        receiver.ok("join:cafe");
        sender.ok(&format!("sendall:{round}"));
        let mut line = receiver.line();
        while line == "delivery:cafe:noise:noise" {
            line = receiver.line();
        }
        assert_eq!(line, format!("delivery:cafe:bob:{round}"));
    }
}

#[test]
fn ok_does_not_wait_for_the_network_and_the_text_is_safe_by_then() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    // More than the receiver's and the server's socket buffers hold would be another matter.
    for number in 0..1000 {
        sender.ok(&format!("sendall:{number}"));
    }
    drop(sender);
    for number in 0..1000 {
        receiver.expect(&format!("delivery:cafe:bob:{number}"));
    }
}

#[test]
fn texts_reach_the_room_that_the_sender_was_in() {
    let server = Server::with(&[]);
    let rooms = ["red", "green", "blue"];
    let mut receivers = rooms.map(|room| Peer::receiver(server.port, "eve", room));
    let mut sender = Peer::connect(server.port);
    sender.ok("slogin:bob");
    for (number, room) in rooms.iter().cycle().take(30).enumerate() {
        sender.send(format!("join:{room}\nsendall:{number}\n"));
    }
    sender.send("leave:\nsendall:nowhere\n");
    for _ in 0..61 {
        assert!(sender.line().starts_with("ok:"));
    }
    assert!(sender.line().starts_with("err:"));
    for (index, receiver) in receivers.iter_mut().enumerate() {
        for round in 0..10 {
            receiver.expect(&format!("delivery:{}:bob:{}", rooms[index], round * 3 + index));
        }
        Peer::sender(server.port, "amy", rooms[index]).ok("sendall:sentinel");
        receiver.expect(&format!("delivery:{}:amy:sentinel", rooms[index]));
    }
}

#[test]
fn a_receiver_that_moves_keeps_what_was_queued_and_hears_no_more_of_the_old_room() {
    let server = Server::with(&[]);
    let mut old = Peer::sender(server.port, "old", "r0");
    let mut receiver = Peer::receiver(server.port, "eve", "r0");
    // Rooms live on different threads of the server; a few moves meet all of them.
    for round in 1..20 {
        old.ok("sendall:before");
        receiver.send(format!("join:r{round}\n"));
        receiver.expect(&format!("delivery:r{}:old:before", round - 1));
        receiver.expect(&format!("ok:joined room r{round}"));
        old.ok("sendall:too late");
        old.ok(&format!("join:r{round}"));
        old.ok("sendall:sentinel");
        receiver.expect(&format!("delivery:r{round}:old:sentinel"));
    }
}

#[test]
fn to_join_the_room_one_is_in_changes_nothing() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    receiver.ok("join:cafe");
    sender.ok("join:cafe");
    sender.ok("sendall:once");
    sender.ok("sendall:twice");
    receiver.expect("delivery:cafe:bob:once");
    receiver.expect("delivery:cafe:bob:twice");
}

/// A process that dies leaves a reset connection behind, and its last texts before it.
#[test]
fn texts_sent_before_the_sender_broke_off_still_arrive() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    for round in 0..20 {
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        sender.send(numbered(&format!("r{round}n"), 200));
        // The answer shows that the texts have arrived at the server, and the others are unread,
        // so that closing resets the connection.
        assert!(sender.line().starts_with("ok:"));
        sender.stream().shutdown(Shutdown::Read).unwrap();
        drop(sender);
        for number in 0..200 {
            receiver.expect(&format!("delivery:cafe:bob:r{round}n{number}"));
        }
    }
}

#[test]
fn a_sender_hears_only_its_answers() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    let mut amy = Peer::sender(server.port, "amy", "cafe");
    amy.ok("sendall:hi");
    receiver.expect("delivery:cafe:amy:hi");
    bob.ok("sendall:hi");
    bob.send("quit:\n");
    bob.expect("ok:bye");
    bob.expect_end();
}

#[test]
fn as_many_workers_as_asked_for_share_the_clients_from_the_start() {
    let server = Server::with(&[]);
    let clients: Vec<_> = (0..9).map(|_| Peer::connect(server.port)).collect();
    wait_until(|| per_worker(&server.report()) == [3, 3, 3], || server.report());
    drop(clients);
}
