//! Redis does not keep what it is given, and says so.

use std::fs;

use rustix::process::Signal;

use crate::engine::{Engine, until_one_is_in_doubt};
use crate::harness::{Peer, Server, records, wait_until};
use crate::load::Load;
use crate::trouble::say_until_kept;
use crate::way::Way;

#[test]
fn what_redis_refuses_is_refused_for_as_long_as_it_does() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let load = Load::start(&servers);
    load.go_on(1000);
    engine.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let mut sender = Peer::sender(servers[0].port, "bob", "bar");
    let refused = sender.ask("sendall:hi");
    assert!(refused.starts_with("err:not kept: Redis says: OOM "), "{refused}");
    engine.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    sender.ok("sendall:hi");
    load.go_on(1000);
    // A replica takes nothing.
    engine.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = sender.ask("sendall:hi");
    assert!(refused.contains("READONLY"), "{refused}");
    engine.ask(&["REPLICAOF", "NO", "ONE"]);
    load.go_on(1000);
    // A user who may not any more.
    engine.ask(&["ACL", "SETUSER", "default", "-evalsha"]);
    let refused = sender.ask("sendall:hi");
    assert!(refused.contains("NOPERM"), "{refused}");
    engine.ask(&["ACL", "SETUSER", "default", "+evalsha", "-xadd"]);
    let refused = sender.ask("sendall:hi");
    assert!(refused.contains("The user executing the script"), "{refused}");
    // What is kept is not refused because nobody could be told.
    engine.ask(&["ACL", "SETUSER", "default", "+xadd", "-publish"]);
    sender.ok("sendall:hi");
    engine.ask(&["ACL", "SETUSER", "default", "+publish"]);
    load.go_on(1000);
    // It has forgotten the scripts: nobody notices.
    engine.ask(&["SCRIPT", "FLUSH"]);
    sender.ok("sendall:hi");
    engine.ask(&["SCRIPT", "FLUSH"]);
    Peer::receiver(servers[1].port, "eve", "elsewhere");
    let outcome = load.end();
    assert!(outcome.refused.iter().all(|(_, why)| why.starts_with("not kept: ")));
    outcome.assert_exact();
    let stderr = servers[0].program.stderr();
    assert!(stderr.matches("keeps nothing").count() < 20, "{stderr}");
}

#[test]
fn what_is_in_doubt_is_not_refused_for_what_a_later_attempt_meets() {
    let Some(engine) = Engine::start() else { return };
    let way = Way::to(&engine);
    let server = Server::with(&["--redis", &way.url()]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:1");
    engine.ask(&["ACL", "SETUSER", "default", "-xadd"]);
    // It is on its way for so long that it is given to Redis again, which refuses it.
    way.hold();
    sender.send("sendall:2\n");
    server.program.expect_stderr("keeps nothing: ");
    engine.ask(&["ACL", "SETUSER", "default", "+xadd"]);
    way.release();
    sender.expect("ok:sent");
    sender.ok("sendall:3");
    for text in ["1", "2", "3"] {
        receiver.expect(&format!("delivery:cafe:bob:{text}"));
    }
}

#[test]
fn while_redis_loads_what_it_has_it_is_away() {
    let Some(mut engine) = Engine::durable() else { return };
    let servers: [_; 2] = engine.servers(&["--redis-timeout", "2"]);
    let epoch = engine.epoch();
    let load = Load::start(&servers);
    load.go_on(1000);
    engine.ask(&["EVAL", "for i = 1, 6000 do redis.call('SET', i, i) end", "0"]);
    engine.kill();
    engine.run_slowly();
    let mut sender = Peer::sender(servers[0].port, "bob", "bar");
    wait_until(|| sender.ask("sendall:hi").contains("LOADING"), || "it does not say so".into());
    engine.wait();
    say_until_kept(&mut sender, "again");
    load.go_on(1000);
    load.end().assert_exact();
    assert_eq!(engine.epoch(), epoch);
}

/// The disk is full, or is none.
#[test]
fn what_redis_cannot_write_to_the_disk_is_refused() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&[]);
    let mut peer = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:1");
    // As after a snapshot that has failed.
    fs::create_dir(engine.folder().join("dump.rdb")).unwrap();
    engine.ask(&["CONFIG", "SET", "save", "10000 1000000"]);
    engine.ask(&["BGSAVE"]);
    let refused = std::cell::RefCell::new(String::new());
    let is_refused = || {
        *refused.borrow_mut() = sender.ask("sendall:2");
        *refused.borrow() != "ok:sent"
    };
    wait_until(is_refused, || "it is not refused".into());
    assert!(refused.borrow().starts_with("err:not kept: Redis says: MISCONF "), "{refused:?}");
    engine.ask(&["CONFIG", "SET", "save", ""]);
    sender.ok("sendall:3");
    peer.expect("delivery:cafe:bob:1");
    while peer.line() != "delivery:cafe:bob:3" {}
}

#[test]
fn a_key_that_makes_no_sense_is_the_trouble_of_its_room_alone() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut eve = Peer::receiver(servers[1].port, "eve", "good");
    let speaks = |room| Peer::sender(servers[0].port, "bob", room);
    let (mut first, mut good, mut bad) = (speaks("first"), speaks("good"), speaks("bad"));
    engine.ask(&["SET", "chatbox:room:bad", "x"]);
    // They are given to Redis together, when it has answered what came before; mostly.
    for _ in 0..20 {
        engine.signal(Signal::STOP);
        for peer in [&mut first, &mut good, &mut bad] {
            peer.send("sendall:hello\n");
        }
        engine.signal(Signal::CONT);
        first.expect("ok:sent");
        good.expect("ok:sent");
        eve.expect("delivery:good:bob:hello");
        let refused = bad.line();
        assert!(refused.starts_with("err:not kept: Redis says: WRONGTYPE"), "{refused}");
    }
    good.ok("sendall:and more");
    eve.expect("delivery:good:bob:and more");
    assert!(!servers[0].report().contains("away"), "{}", servers[0].report());
    engine.ask(&["DEL", "chatbox:room:bad"]);
    bad.ok("sendall:hello");
}

#[test]
fn who_has_nothing_in_doubt_is_refused_at_once_also_where_others_have() {
    until_one_is_in_doubt(others_are_refused);
}

fn others_are_refused(engine: Engine) -> bool {
    let server = engine.server(&["--redis-timeout", "2"]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut doubtful = Peer::sender(server.port, "bob", "cafe");
    engine.signal(Signal::STOP);
    doubtful.send("sendall:1\nsendall:2\n");
    server.program.expect_stderr("is away: ");
    for _ in 0..200 {
        let mut visitor = Peer::sender(server.port, "al", "cafe");
        visitor.err("sendall:hello?");
    }
    // Nothing of them is left.
    server.wait_for_report("texts wait", |texts| texts <= 2);
    engine.signal(Signal::CONT);
    let answer = doubtful.line();
    if answer.starts_with("err:not kept: Redis is away") {
        return false;
    }
    assert_eq!(answer, "ok:sent");
    doubtful.expect("ok:sent");
    doubtful.ok("sendall:3");
    for text in ["1", "2", "3"] {
        receiver.expect(&format!("delivery:cafe:bob:{text}"));
    }
    true
}

#[test]
fn a_redis_that_lets_a_server_in_and_does_nothing_more_is_away() {
    let Some(engine) = Engine::start() else { return };
    let way = Way::to(&engine);
    let server = Server::with(&["--redis", &way.url(), "--redis-timeout", "2"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:1");
    way.swallow("room:cafe");
    sender.send("sendall:2\n");
    server.program.expect_stderr("is away: ");
    assert!(server.report().contains(", away for "), "{}", server.report());
    let mut other = Peer::sender(server.port, "al", "bar");
    other.err("sendall:hello?");
    way.swallow("");
    sender.expect("ok:sent");
    server.program.expect_stderr("is back after ");
    other.ok("sendall:hello");
}

#[test]
fn what_is_refused_for_want_of_any_right_is_not_kept() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&[]);
    let mut eve = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:first");
    eve.expect("delivery:cafe:bob:first");
    let epoch = engine.epoch();
    for right in ["hset", "hmget", "xadd", "time"] {
        engine.ask(&["ACL", "SETUSER", "default", &format!("-{right}")]);
        let refused = sender.ask("sendall:refused");
        assert!(refused.starts_with("err:not kept: Redis says: "), "{right}: {refused}");
        engine.ask(&["ACL", "SETUSER", "default", &format!("+{right}")]);
        say_until_kept(&mut sender, right);
        eve.expect(&format!("delivery:cafe:bob:{right}"));
    }
    assert_eq!(engine.ask(&["XLEN", "chatbox:room:cafe"]), redis::Value::Int(5));
    assert_eq!(engine.epoch(), epoch);
}

/// The document says what a user needs.
#[test]
fn a_user_with_no_more_rights_than_are_needed_is_refused_nothing() {
    let document = include_str!("../../src/server/redis/REDIS.md");
    let line = document.lines().find(|line| line.starts_with("ACL SETUSER ")).unwrap();
    let line = line.replace("PASSWORD", "secret");
    let Some(engine) = Engine::durable() else { return };
    engine.ask(&line.split(' ').collect::<Vec<_>>());
    let url = engine.url().replace("redis://", "redis://chat:secret@");
    let flags = ["--redis", &*url, "--keep-texts", "2000", "--keep-days", "1"];
    let servers: [_; 2] = std::array::from_fn(|_| Server::with(&flags));
    let load = Load::start(&servers);
    load.go_on(2000);
    let oldest = || engine.ask(&["XRANGE", "chatbox:room:cafe", "-", "+", "COUNT", "1"]);
    let at_first = oldest();
    let beats = || engine.ask(&["HVALS", "chatbox:servers"]);
    let first = beats();
    wait_until(|| beats() != first, || "no beat".into());
    wait_until(|| oldest() != at_first, || "nothing is trimmed".into());
    // It is noticed, and a new epoch begins.
    engine.ask(&["HSET", "chatbox:state", "epoch", "1"]);
    load.go_on(1000);
    let outcome = load.end();
    outcome.assert_once_and_in_one_order();
    assert!(outcome.refused.iter().all(|(_, why)| why.starts_with("Redis has lost texts")));
    let epoch = engine.epoch();
    let (_, span) = records::receiver(servers[0].port, "last=9", "cafe");
    let (_, again) = records::receiver(servers[1].port, "after=1-1", "cafe");
    assert_eq!((span.epoch, again.to), (epoch, span.to));
    assert_eq!(engine.ask(&["ACL", "LOG"]), redis::Value::Array(Vec::new()));
}

#[test]
fn who_has_nothing_in_doubt_is_refused_at_once_in_a_room_that_redis_refuses() {
    until_one_is_in_doubt(others_are_refused_by_redis);
}

fn others_are_refused_by_redis(engine: Engine) -> bool {
    let way = Way::to(&engine);
    let server = Server::with(&["--redis", &way.url(), "--redis-timeout", "600"]);
    let mut eve = Peer::receiver(server.port, "eve", "cafe");
    let [mut doubtful, mut other] =
        ["bob", "al"].map(|user| Peer::sender(server.port, user, "cafe"));
    doubtful.ok("sendall:1");
    other.ok("sendall:2");
    engine.ask(&["ACL", "SETUSER", "default", "-xadd"]);
    way.hold();
    doubtful.send("sendall:3\n");
    server.program.expect_stderr("keeps nothing: ");
    for _ in 0..3 {
        let refused = other.ask("sendall:refused");
        assert!(refused.starts_with("err:not kept: Redis says: "), "{refused}");
    }
    engine.ask(&["ACL", "SETUSER", "default", "+xadd"]);
    way.release();
    let answer = doubtful.line();
    if answer.starts_with("err:not kept: Redis says: ") {
        return false;
    }
    assert_eq!(answer, "ok:sent");
    other.ok("sendall:4");
    for (user, text) in [("bob", "1"), ("al", "2"), ("bob", "3"), ("al", "4")] {
        eve.expect(&format!("delivery:cafe:{user}:{text}"));
    }
    true
}

/// The connection for that is made when the first wants something.
#[test]
fn why_nothing_is_given_back_is_in_the_log_and_it_comes_in_the_end() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&["--redis-timeout", "2"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:1");
    let mut limit = engine.limit_connections();
    limit(2);
    let (mut receiver, _) = records::receiver(server.port, "last=1", "cafe");
    server.program.expect_stderr("gives nothing back: ");
    sender.ok("sendall:2");
    limit(1000);
    let records = records::records(&mut receiver, 2);
    let texts: Vec<_> = records.iter().map(|record| record.text.as_str()).collect();
    assert_eq!(texts, ["1", "2"]);
}

/// One receiver is being given what there is, another one comes, and somebody talks.
#[test]
fn while_redis_carries_out_somebodys_script_everybody_waits() {
    let Some(engine) = Engine::with(&["--busy-reply-threshold", "50"]) else { return };
    let server = engine.server(&["--keep-texts", "20000"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let text = "x".repeat(200);
    records::say(&mut sender, (0..20_000).map(|number| format!("{number}{text}")));
    let mut slow = Peer::connect_with_buffer(server.port, 4096);
    slow.ok("rlogin:eve");
    slow.ok("history:last=20000");
    slow.send("join:cafe\n");
    slow.line();
    std::thread::scope(|scope| {
        let script = "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 3 do end";
        scope.spawn(|| engine.ask(&["EVAL", script, "0"]));
        wait_until(|| engine.try_ask(&["PING"]).is_none(), || "it is not busy".into());
        sender.send("sendall:the end\n");
        records::records(&mut slow, 20_000);
        let (mut late, _) = records::receiver(server.port, "last=1", "cafe");
        sender.expect("ok:sent");
        late.line();
    });
    assert_eq!(records::records(&mut slow, 1)[0].text, "the end");
}

#[test]
fn what_the_others_cannot_be_told_they_find_out() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut eve = Peer::receiver(servers[1].port, "eve", "cafe");
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    engine.ask(&["ACL", "SETUSER", "default", "-publish"]);
    for text in ["1", "2"] {
        sender.ok(&format!("sendall:{text}"));
        eve.expect(&format!("delivery:cafe:bob:{text}"));
    }
}
