//! What one turn of a worker is for at most, and what is kept for one client at most, whatever
//! clients do.

use std::net::TcpStream;
use std::time::Duration;

use super::test_server::{Client, TestServer, listen};

/// More than any answer has, and less than any two reads.
const LINE: usize = 1024;

/// Joins so many rooms one after the other, the answers being as long as can be.
fn joins(count: usize) -> String {
    let room = "r".repeat(200);
    (0..count).map(|number| format!("join:{room}{}\n", number % 7)).collect()
}

#[test]
fn a_turn_carries_out_so_many_lines_of_a_client_and_so_many_in_all() {
    let mut server = TestServer::with_reserve();
    let login = |number: usize| if number.is_multiple_of(2) { "rlogin:eve" } else { "slogin:bob" };
    let mut clients: Vec<_> =
        (0..128).map(|number| server.client_saying(0, &format!("{}\n", login(number)))).collect();
    let mut quiet = server.client_saying(0, "slogin:amy\njoin:quiet\n");
    let mut listener = server.client_saying(0, "rlogin:dan\njoin:quiet\n");
    // One alone.
    clients[0].send(&"!\n".repeat(8000));
    server.look(0);
    server.workers[0].serve_all();
    assert_eq!(server.workers[0].intake(), 256);
    server.step_until_idle(0);
    // All of them, and their rooms are new with each line.
    for (number, client) in clients.iter_mut().enumerate() {
        client.heard();
        let room = |line| format!("join:x{number}x{}\nsendall:hi\n", line % 64);
        client.send(&(0..1000).map(room).collect::<String>());
    }
    quiet.send("sendall:hello\n");
    let mut lines = 0;
    let mut heard = String::new();
    while heard.is_empty() {
        server.look(0);
        server.workers[0].serve_all();
        let turn = server.workers[0].intake();
        assert!(turn <= 8192 + 2, "{turn} lines in a turn");
        lines += turn;
        server.workers[0].work();
        heard.push_str(&listener.heard());
    }
    // So the quiet one waits for a turn or two.
    assert!(lines <= 2 * 8192, "{lines} lines before it was heard");
}

#[test]
fn a_turn_serves_so_many_clients_and_accepts_so_many() {
    crate::system::descriptors::raise_limit();
    let mut server = TestServer::with_reserve();
    let mut clients: Vec<_> = (0..300).map(|_| server.client(0)).collect();
    clients.iter_mut().for_each(|client| client.send("!\n"));
    server.look(0);
    server.workers[0].serve_all();
    assert_eq!(server.workers[0].intake(), 256);
    server.step_until_idle(0);
    clients.iter_mut().for_each(|client| assert!(client.heard().starts_with("err:")));
    let address = server.accept();
    let newcomers: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let before = server.shared.placement.sessions(0);
    server.step(0);
    assert_eq!(server.shared.placement.sessions(0) - before, 64);
    server.step_until_idle(0);
    assert_eq!(server.shared.placement.sessions(0) - before, newcomers.len());
}

/// The more clients there are, the less is read of each that cannot be carried out at once.
#[test]
fn what_is_read_of_a_client_and_has_to_wait_is_bounded() {
    let mut server = TestServer::with_reserve().over_tcp();
    let mut clients: Vec<_> = (0..200).map(|_| server.client(0)).collect();
    let lines = "\n".repeat(60_000);
    clients[0].send(&lines);
    server.step(0);
    let alone = server.workers[0].sessions.most_held();
    assert!((1..=64 * 1024).contains(&alone), "{alone} bytes");
    server.step_until_idle(0);
    clients[0].heard();
    clients.iter_mut().for_each(|client| client.try_send(&lines));
    server.step(0);
    let in_a_crowd = server.workers[0].sessions.most_held();
    assert!((1..=8192 / 200 * 255).contains(&in_a_crowd), "{in_a_crowd} bytes");
}

/// Texts of one room in one turn are one frame, but not of any size.
#[test]
fn a_frame_is_published_when_it_is_full() {
    let mut server = TestServer::with_reserve();
    let _receiver = server.client_saying(0, "rlogin:eve\njoin:cafe\n");
    let mut sender = server.client_saying(0, "slogin:bob\njoin:cafe\n");
    sender.send(&format!("sendall:{}\n", "x".repeat(246)).repeat(256));
    server.look(0);
    server.workers[0].serve_all();
    let published = server.workers[0].sessions.most_owed();
    assert!((64 * 1024..66 * 1024).contains(&published), "{published} bytes");
}

#[test]
fn what_a_client_is_owed_is_bounded_before_it_is_written() {
    for login in ["slogin:bob\n", "rlogin:eve\n"] {
        let mut server = TestServer::with_reserve();
        let mut client = server.client_saying(0, login);
        client.send(&joins(256));
        server.look(0);
        server.workers[0].serve_all();
        let owed = server.workers[0].sessions.most_owed();
        assert!(owed < 16 * 1024 + LINE, "{owed} bytes for {login}");
        let mut heard = 0;
        let all_heard = |server: &mut TestServer| {
            server.step(0);
            heard += client.heard().matches('\n').count();
            heard == 256
        };
        server.wait_for(all_heard, "not all is answered");
    }
}

/// A client that moves with each line, and does not read: as much as any other is kept for it, and
/// nothing is lost.
#[test]
fn what_a_client_that_moves_is_owed_is_bounded_and_written() {
    for login in ["slogin:bob\n", "rlogin:eve\n"] {
        let mut server = TestServer::new().over_tcp();
        let crowd = [server.client(0), server.client(0)];
        let _there = server.client_saying(1, "slogin:amy\njoin:there\n");
        let crowd =
            (crowd, [server.client(1), server.client(1), server.client(1), server.client(1)]);
        let _here = server.client_saying(0, "slogin:amy\njoin:here\n");
        let mut client = server.client_saying(0, login);
        let mut writer = Client(client.0.try_clone().unwrap());
        let (turns, mut heard, mut owed) = (3000, String::new(), 0);
        for turn in 0..turns {
            writer.send("join:there\njoin:here\n");
            server.step(turn % 2);
            server.step((turn + 1) % 2);
            owed = server
                .workers
                .iter()
                .map(|worker| worker.sessions.most_owed())
                .max()
                .unwrap()
                .max(owed);
        }
        assert!(owed < 16 * 1024 + LINE, "{owed} bytes for {login}");
        let want = "ok:joined room there\nok:joined room here\n".repeat(turns);
        let all_heard = |server: &mut TestServer| {
            server.step_all();
            heard.push_str(&client.heard());
            heard.len() >= want.len()
        };
        server.wait_for(all_heard, "not all is answered");
        assert!(heard == want, "other answers, or in another order");
        drop(crowd);
    }
}

#[test]
fn who_moves_is_given_what_it_is_owed_before_it_is_served() {
    let mut server = TestServer::new();
    let crowd = [server.client(0), server.client(0)];
    let _there = server.client_saying(1, "slogin:amy\njoin:there\n");
    let mut client = server.client_saying(0, "rlogin:eve\n");
    client.send("join:there\nbad\n");
    server.step(0);
    server.look(1);
    assert_eq!(client.heard(), "ok:joined room there\n");
    drop(crowd);
}

/// While a large room is written to, whoever speaks and listens in a small one is served.
#[test]
fn a_small_room_does_not_wait_until_a_large_one_is_written_to() {
    let mut server = TestServer::with_reserve();
    let mut hall = server.receivers(200);
    let mut loud = server.client_saying(0, "slogin:bob\njoin:hall\n");
    let mut listener = server.client_saying(0, "rlogin:dan\njoin:cafe\n");
    let mut quiet = server.client_saying(0, "slogin:amy\njoin:cafe\n");
    loud.send(&"sendall:hi\n".repeat(64));
    server.look(0);
    server.workers[0].serve_all();
    // The worker has not heard of this when it begins to write.
    quiet.send("sendall:hello\n");
    server.workers[0].work();
    assert_eq!(quiet.heard(), "ok:sent\n");
    assert_eq!(listener.heard(), "delivery:cafe:amy:hello\n");
    assert_eq!(loud.heard(), "ok:sent\n".repeat(64));
    server.step_until_idle(0);
    let mut heard = vec![String::new(); hall.len()];
    listen(&mut hall, &mut heard);
    assert!(heard.iter().all(|heard| *heard == "delivery:hall:bob:hi\n".repeat(64)));
}

/// Two people in a small room who go on while a large one is written to move to a worker that has
/// nothing to do, and miss nothing.
#[test]
fn a_small_room_moves_away_from_a_large_one() {
    let mut server = TestServer::with_reserve();
    let mut hall = server.receivers(200);
    let mut loud = server.client_saying(0, "slogin:bob\njoin:hall\n");
    let mut listener = server.client_saying(0, "rlogin:dan\njoin:cafe\n");
    let mut quiet = server.client_saying(0, "slogin:amy\njoin:cafe\n");
    let (mut answers, mut heard) = (String::new(), String::new());
    for round in 0..100 {
        loud.send(&"sendall:hi\n".repeat(20));
        server.look(0);
        quiet.send(&format!("sendall:{round}\n"));
        server.workers[0].work();
        if round % 3 == 0 {
            server.step(1);
        }
        answers.push_str(&quiet.heard());
        heard.push_str(&listener.heard());
    }
    server.step_all();
    assert_eq!(server.shared.placement.sessions(1), 2, "where the two are");
    answers.push_str(&quiet.heard());
    heard.push_str(&listener.heard());
    assert_eq!(answers, "ok:sent\n".repeat(100));
    let want: String = (0..100).map(|round| format!("delivery:cafe:amy:{round}\n")).collect();
    assert_eq!(heard, want);
    // The large one stays where it is, and whoever comes later goes where the room is.
    let _late = server.client_saying(0, "rlogin:eve\njoin:cafe\n");
    assert_eq!(server.shared.placement.sessions(1), 3);
    let mut all = vec![String::new(); hall.len()];
    server.step_until_idle(0);
    listen(&mut hall, &mut all);
    assert!(all.iter().all(|all| *all == "delivery:hall:bob:hi\n".repeat(2000)));
}

/// A glance at small rooms is short, whatever goes on in them.
#[test]
fn a_large_room_is_written_to_however_loud_small_ones_are() {
    let mut server = TestServer::with_reserve();
    let mut hall = server.receivers(200);
    let mut loud = server.client_saying(0, "slogin:bob\njoin:hall\n");
    let mut others: Vec<_> = (0..100).map(|_| server.client_saying(0, "slogin:amy\n")).collect();
    loud.send(&"sendall:hi\n".repeat(64));
    server.look(0);
    server.workers[0].serve_all();
    others.iter_mut().for_each(|other| other.send(&"!\n".repeat(1000)));
    server.workers[0].work();
    let mut heard = vec![String::new(); hall.len()];
    listen(&mut hall, &mut heard);
    assert!(heard.iter().all(|heard| heard.contains("hi")), "{heard:?}");
    // There is a glance after each 32 receivers.
    let lines = server.workers[0].intake();
    assert!((1..=7 * 32 * 16).contains(&lines), "{lines} lines carried out in glances");
}

/// Its system takes nothing any more, and is given up by ours.
#[test]
fn a_client_that_takes_nothing_is_lost_and_has_not_left() {
    for login in ["slogin:bob\n", "rlogin:eve\n"] {
        let mut server = TestServer::with_reserve().over_tcp();
        let mut deaf = server.client_saying(0, login);
        server.workers[0].sessions.set_user_timeout(Duration::from_millis(200));
        server.wait_for(
            |server| {
                deaf.try_send(&"!\n".repeat(1000));
                server.step(0);
                server.shared.placement.sessions(0) == 0
            },
            "it is still there",
        );
        let lost = server.shared.tally.lost.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(lost, 1, "{login} left, and was not lost");
    }
}

#[test]
fn a_turn_refuses_so_many_of_an_address_and_closes_so_many_late_logins() {
    crate::system::descriptors::raise_limit();
    let mut server = TestServer::with_max_per_address(300);
    let silent: Vec<_> = (0..300).map(|_| server.client(0)).collect();
    let address = server.accept();
    let mut newcomers: Vec<_> =
        (0..100).map(|_| Client::new(TcpStream::connect(address).unwrap())).collect();
    let mut refused = || {
        newcomers.iter_mut().map(Client::heard).filter(|heard| heard.starts_with("err:")).count()
    };
    server.step(0);
    assert_eq!(refused(), 64);
    server.step(0);
    assert_eq!(refused(), 36);
    server.workers[0].sessions.login_deadlines.expire();
    server.step(0);
    assert_eq!(server.shared.placement.sessions(0), silent.len() - 256);
    server.step(0);
    assert_eq!(server.shared.placement.sessions(0), 0);
}
