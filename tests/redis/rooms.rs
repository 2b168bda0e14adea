//! Several servers are one chat.

use crate::engine::Engine;
use crate::harness::records::{Span, beginnings, begins, numbers, receiver, records, say};
use crate::harness::{Peer, Server};
use crate::load::Load;
use crate::trouble::say_until_kept;

#[test]
fn what_is_said_on_one_server_is_heard_on_all() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 3] = engine.servers(&[]);
    let mut receivers = servers.each_ref().map(|it| Peer::receiver(it.port, "eve", "cafe"));
    for (number, server) in servers.iter().enumerate() {
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        sender.ok(&format!("sendall:hello {number}"));
        receivers.iter_mut().for_each(|it| it.expect(&format!("delivery:cafe:bob:hello {number}")));
    }
    // Another room is another one.
    let mut other = Peer::receiver(servers[0].port, "dan", "bar");
    Peer::sender(servers[1].port, "bob", "cafe").ok("sendall:for the cafe");
    Peer::sender(servers[2].port, "bob", "bar").ok("sendall:for the bar");
    other.expect("delivery:bar:bob:for the bar");
}

#[test]
fn all_servers_hear_everything_once_and_in_one_order() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 3] = engine.servers(&[]);
    let load = Load::start(&servers);
    load.go_on(20_000);
    let outcome = load.end();
    outcome.assert_nothing_refused();
    outcome.assert_exact();
}

/// A text that is sent anywhere after a receiver's `ok` for `join` was received reaches it.
#[test]
fn who_has_joined_hears_what_is_sent_anywhere_from_then_on() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    for number in 0..200 {
        let mut eve = Peer::receiver(servers[1].port, "eve", "cafe");
        sender.send(format!("sendall:{number}\n"));
        eve.expect(&format!("delivery:cafe:bob:{number}"));
        sender.expect("ok:sent");
    }
}

#[test]
fn a_receiver_begins_where_it_asks_to_on_any_server() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    say(&mut sender, numbers(10));
    let epoch = engine.epoch();
    for (history, from) in beginnings(epoch) {
        for server in &servers {
            begins(server.port, epoch, &history, from);
        }
    }
}

/// A server's own view may be behind; where a receiver goes on is the engine's to say.
#[test]
fn who_moves_to_another_server_goes_on_exactly_where_it_was() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    let _witness = Peer::receiver(servers[1].port, "dan", "cafe");
    let (mut peer, span) = receiver(servers[0].port, "", "cafe");
    let (epoch, mut seen) = (span.epoch, span.to);
    for round in 0..100 {
        say(&mut sender, numbers(round % 7 + 1));
        for record in records(&mut peer, round % 7 + 1) {
            assert_eq!(record.seq, seen + 1);
            seen = record.seq;
        }
        let port = servers[round % 2].port;
        let (other, span) = receiver(port, &format!("after={epoch}-{seen}"), "cafe");
        assert_eq!(span, Span { epoch, from: seen, to: seen });
        peer = other;
    }
}

#[test]
fn a_room_that_everybody_has_left_goes_on_with_its_numbers() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    for round in 0..10 {
        let mut sender = Peer::sender(servers[round % 2].port, "bob", "cafe");
        say(&mut sender, numbers(3));
        sender.ok("quit:");
        sender.expect_end();
    }
    let (mut peer, span) = receiver(servers[0].port, "last=30", "cafe");
    assert_eq!((span.from, span.to), (0, 30));
    let seqs: Vec<_> = records(&mut peer, 30).iter().map(|it| it.seq).collect();
    assert_eq!(seqs, (1..=30).collect::<Vec<_>>());
}

#[test]
fn so_many_texts_are_kept_as_is_asked_for() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&["--keep-texts", "5"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    for number in numbers(12) {
        say(&mut sender, [number]);
    }
    // What is beyond is not given out any more, whether it is gone already or not.
    let (mut peer, span) = receiver(server.port, "last=12", "cafe");
    assert_eq!((span.from, span.to), (7, 12));
    assert_eq!(records(&mut peer, 5)[0].text, "8");
    let length = || match engine.ask(&["XLEN", "chatbox:room:cafe"]) {
        redis::Value::Int(length) => length,
        other => panic!("{other:?}"),
    };
    crate::harness::wait_until(|| length() == 5, || format!("{} are left", length()));
}

#[test]
fn what_is_too_old_goes_also_where_nobody_is() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&["--keep-days", "1"]);
    let epoch = engine.epoch();
    for seq in 1..=45 {
        let (id, seq) = (format!("{epoch}-{seq}"), seq.to_string());
        let entry = ["first", &*seq, "time", "1", "total", "1", "lines", "delivery:old:bob:hi\n"];
        engine.ask(&[&["XADD", "chatbox:room:old", &*id], &entry[..]].concat());
    }
    engine.ask(&["HSET", "chatbox:ends", "old", &format!("{epoch}-45 0")]);
    let length = || engine.ask(&["XLEN", "chatbox:room:old"]);
    crate::harness::wait_until(|| length() == redis::Value::Int(0), || format!("{:?}", length()));
    // Their numbers are not used again, and what is young stays.
    let (mut peer, span) = receiver(server.port, "last=9", "old");
    assert_eq!((span.from, span.to), (45, 45));
    Peer::sender(server.port, "bob", "old").ok("sendall:hi again");
    assert_eq!(records(&mut peer, 1)[0].seq, 46);
    let (_, span) = receiver(server.port, "last=9", "old");
    assert_eq!((span.from, span.to), (45, 46));
}

#[test]
fn a_slow_receiver_on_one_server_holds_back_nobody() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&["--queue-limit", "20000"]);
    let mut slow = Peer::connect_with_buffer(servers[1].port, 4096);
    slow.enter("rlogin", "slow", "cafe");
    let load = Load::start(&servers);
    load.go_on(20_000);
    let outcome = load.end();
    outcome.assert_exact();
    outcome.assert_nothing_refused();
    // It gets everything all the same.
    for text in &outcome.heard[0] {
        assert!(slow.line().ends_with(&format!(":{text}")));
    }
}

/// What is announced while the connection for that is being made again is found out.
#[test]
fn nothing_is_missed_for_want_of_an_announcement() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    let mut eve = Peer::receiver(servers[1].port, "eve", "cafe");
    for number in 0..20 {
        engine.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        std::thread::sleep(std::time::Duration::from_millis(number * 5));
        sender.ok(&format!("sendall:{number}"));
        eve.expect(&format!("delivery:cafe:bob:{number}"));
    }
}

#[test]
fn a_report_says_how_it_is_with_the_log() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&[]);
    let report = server.report();
    let expected =
        format!("log: Redis at 127.0.0.1:{}: 0 rooms followed, 0 texts wait", engine.port);
    assert!(report.contains(&expected), "{report}");
}

#[test]
fn what_is_given_back_is_what_was_said_to_the_byte() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let (mut live, _) = receiver(servers[1].port, "", "cafe");
    let texts = ["  blanks  ", "\ttabs\t", "a\0b\0", "\u{e9}:\u{1b}[m ", " \r ", ""];
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    texts.iter().for_each(|text| sender.ok(&format!("sendall:{text}")));
    let (mut late, _) = receiver(servers[1].port, "last=9", "cafe");
    for peer in [&mut live, &mut late] {
        let heard: Vec<_> = records(peer, texts.len()).into_iter().map(|it| it.text).collect();
        assert_eq!(heard, texts.map(|text| text.as_bytes().escape_ascii().to_string()));
    }
}

#[test]
fn texts_of_earlier_epochs_are_not_kept_beside_those_of_this() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&["--keep-texts", "5"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    for number in 1..=12 {
        sender.ok(&format!("sendall:{number}"));
        if number % 4 == 0 {
            engine.ask(&["DEL", "chatbox:state"]);
            say_until_kept(&mut sender, "once more");
        }
    }
    let length = || engine.ask(&["XLEN", "chatbox:room:cafe"]);
    crate::harness::wait_until(|| length() == redis::Value::Int(5), || format!("{:?}", length()));
}

/// Not for ever: it ends with the server, or a while after it has died.
#[test]
fn what_a_server_has_given_is_remembered_for_days() {
    let Some(engine) = Engine::start() else { return };
    let says = |server: Server| {
        Peer::sender(server.port, "bob", "cafe").ok("sendall:hello");
        server
    };
    let records = || match engine.ask(&["KEYS", "chatbox:writer:*"]) {
        redis::Value::Array(records) => records,
        other => panic!("{other:?}"),
    };
    let dead = says(engine.server(&[]));
    dead.program.signal(rustix::process::Signal::KILL);
    let [redis::Value::BulkString(record)] = &records()[..] else { panic!() };
    let record = str::from_utf8(record).unwrap();
    assert_eq!(engine.ask(&["TTL", record]), redis::Value::Int(-1));
    says(engine.server(&[])).stop();
    assert_eq!(records().len(), 1, "one is left, of that which has died");
    let name = record.strip_prefix("chatbox:writer:").unwrap();
    engine.ask(&["HSET", "chatbox:servers", name, "1"]);
    let server = says(engine.server(&[]));
    assert_eq!(engine.ask(&["EXISTS", record]), redis::Value::Int(0));
    assert_eq!(records().len(), 1);
    drop(server);
}

#[test]
fn two_chats_share_a_redis_by_their_prefixes() {
    let Some(engine) = Engine::start() else { return };
    let chats = ["one:", "other:"].map(|prefix| engine.server(&["--redis-prefix", prefix]));
    let mut receivers = chats.each_ref().map(|it| Peer::receiver(it.port, "eve", "cafe"));
    for (chat, text) in chats.iter().zip(["for one", "for the other"]) {
        Peer::sender(chat.port, "bob", "cafe").ok(&format!("sendall:{text}"));
    }
    for (receiver, text) in receivers.iter_mut().zip(["for one", "for the other"]) {
        receiver.expect(&format!("delivery:cafe:bob:{text}"));
    }
    let redis::Value::Array(keys) = engine.ask(&["KEYS", "*"]) else { panic!() };
    assert!(keys.len() >= 8, "{keys:?}");
    for key in keys {
        let redis::Value::BulkString(key) = key else { panic!() };
        assert!(key.starts_with(b"one:") || key.starts_with(b"other:"), "{}", key.escape_ascii());
    }
}

#[test]
fn redis_may_be_at_a_socket_of_this_machine() {
    let Some(engine) = Engine::with(&["--unixsocket", "socket"]) else { return };
    let url = format!("unix://{}", engine.folder().join("socket").display());
    let server = crate::harness::Server::with(&["--redis", &url]);
    let mut eve = Peer::receiver(server.port, "eve", "cafe");
    Peer::sender(engine.server(&[]).port, "bob", "cafe").ok("sendall:hello");
    eve.expect("delivery:cafe:bob:hello");
}

/// What it has to fetch is more than it ever has in memory.
#[test]
fn a_server_that_is_behind_in_many_rooms_does_not_take_everything_at_once() {
    const ROOMS: usize = 40;
    const TEXTS: usize = 4000;
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let [behind, other] = &servers;
    let rooms: Vec<_> = (0..ROOMS).map(|room| format!("room{room}")).collect();
    let mut receivers: Vec<_> =
        rooms.iter().map(|room| Peer::receiver(behind.port, "eve", room)).collect();
    let before = behind.program.peak_memory();
    behind.program.signal(rustix::process::Signal::STOP);
    let text = "x".repeat(230);
    for room in &rooms {
        let mut sender = Peer::sender(other.port, "bob", room);
        for _ in 0..TEXTS / 1000 {
            sender.send(format!("sendall:{text}\n").repeat(1000));
            (0..1000).for_each(|_| sender.expect("ok:sent"));
        }
    }
    behind.program.signal(rustix::process::Signal::CONT);
    for (receiver, room) in receivers.iter_mut().zip(&rooms) {
        (0..TEXTS).for_each(|_| receiver.expect(&format!("delivery:{room}:bob:{text}")));
    }
    let more = behind.program.peak_memory() - before;
    let said = (ROOMS * TEXTS * text.len() / 1024) as u64;
    assert!(more < said / 2, "{more} KiB for {said}");
}
