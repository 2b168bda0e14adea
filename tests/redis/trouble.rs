//! What happens when Redis does not do what it should, or a server does not, while four senders have
//! 64 texts each without an answer.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::engine::{Engine, until_one_is_in_doubt};
use crate::harness::records::{receiver, records};
use crate::harness::{Peer, Server};
use crate::load::{Load, Outcome};
use crate::way::Way;

/// All was kept, and heard by everybody, once and in one order.
fn assert_as_if_nothing(outcome: &Outcome) {
    outcome.assert_nothing_refused();
    outcome.assert_exact();
}

#[test]
fn connections_that_break_are_not_noticed() {
    let Some(engine) = Engine::start() else { return };
    let way = Way::to(&engine);
    let servers = [
        Server::with(&["--redis", &way.url()]),
        Server::with(&["--redis", &way.url()]),
        engine.server(&[]),
    ];
    let epoch = engine.epoch();
    let load = Load::start(&servers);
    for _ in 0..10 {
        load.go_on(1000);
        way.cut();
    }
    load.go_on(1000);
    assert_as_if_nothing(&load.end());
    assert_eq!(engine.epoch(), epoch);
}

#[test]
fn a_redis_that_is_frozen_for_seconds_makes_everybody_wait() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let load = Load::start(&servers);
    load.go_on(2000);
    engine.signal(Signal::STOP);
    thread::sleep(Duration::from_secs(3));
    engine.signal(Signal::CONT);
    load.go_on(2000);
    assert_as_if_nothing(&load.end());
}

#[test]
fn a_redis_that_is_restarted_with_all_that_it_has_answered_goes_on() {
    let Some(mut engine) = Engine::durable() else { return };
    let servers: [_; 3] = engine.servers(&[]);
    let epoch = engine.epoch();
    let load = Load::start(&servers);
    for _ in 0..3 {
        load.go_on(1000);
        engine.kill();
        engine.run();
    }
    load.go_on(1000);
    assert_as_if_nothing(&load.end());
    assert_eq!(engine.epoch(), epoch);
}

#[test]
fn what_is_said_while_redis_is_away_for_long_is_refused_and_never_heard() {
    let Some(mut engine) = Engine::durable() else { return };
    let servers: [_; 2] = engine.servers(&["--redis-timeout", "2"]);
    let load = Load::start(&servers);
    load.go_on(1000);
    let mut quiet = Peer::sender(servers[0].port, "al", "quiet");
    let mut newcomer = Peer::connect(servers[0].port);
    newcomer.ok("rlogin:dan");
    engine.kill();
    for server in &servers {
        server.program.expect_stderr("is away: ");
    }
    let refused = quiet.ask("sendall:hello?");
    assert!(refused.starts_with("err:not kept: Redis is away: "), "{refused}");
    let begun = Instant::now();
    quiet.err("sendall:hello again?");
    assert!(begun.elapsed() < Duration::from_secs(5), "not at once: {:?}", begun.elapsed());
    let refused = newcomer.ask("join:elsewhere");
    assert!(refused.starts_with("err:Redis is away: "), "{refused}");
    assert!(servers[0].report().contains(", away for "), "{}", servers[0].report());
    engine.run();
    for server in &servers {
        server.program.expect_stderr("is back after ");
        let stderr = server.program.stderr();
        assert_eq!(stderr.matches("is away: ").count(), 1, "{stderr}");
    }
    load.go_on(1000);
    load.end().assert_exact();
    newcomer.ok("join:elsewhere");
    quiet.ok("sendall:hello");
}

/// What is in doubt is answered when Redis can say what became of it, however long that takes.
#[test]
fn what_is_in_doubt_while_redis_is_frozen_for_long_is_neither_lost_nor_doubled() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&["--redis-timeout", "2"]);
    let load = Load::start(&servers);
    load.go_on(1000);
    engine.signal(Signal::STOP);
    for server in &servers {
        server.program.expect_stderr("is away: ");
    }
    engine.signal(Signal::CONT);
    load.go_on(1000);
    load.end().assert_exact();
}

#[test]
fn a_redis_that_sleeps_over_a_command_makes_everybody_wait() {
    let Some(engine) = Engine::with(&["--enable-debug-command", "yes"]) else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let load = Load::start(&servers);
    load.go_on(1000);
    engine.ask(&["DEBUG", "SLEEP", "0.9"]);
    load.go_on(1000);
    assert_as_if_nothing(&load.end());
}

#[test]
fn the_others_do_not_notice_that_a_server_dies() {
    let Some(engine) = Engine::start() else { return };
    let [dies, one, two] = engine.servers::<3>(&[]);
    let (mut moves, span) = receiver(dies.port, "", "cafe");
    let others = [one, two];
    let load = Load::start(&others);
    load.go_on(1000);
    let mut seqs: Vec<_> = records(&mut moves, 500).iter().map(|record| record.seq).collect();
    dies.program.signal(Signal::KILL);
    load.go_on(1000);
    // One of its clients goes to another server, and gets all that came since.
    let after = format!("after={}-{}", span.epoch, seqs.last().unwrap());
    let (mut moved, _) = receiver(others[0].port, &after, "cafe");
    let outcome = load.end();
    assert_as_if_nothing(&outcome);
    let rest = outcome.kept.len() + 1 - seqs.len();
    seqs.extend(records(&mut moved, rest).iter().map(|record| record.seq));
    assert_eq!(seqs, (1..=outcome.kept.len() as u64 + 1).collect::<Vec<_>>());
}

#[test]
fn a_server_that_is_cut_off_is_alone_with_that() {
    let Some(engine) = Engine::start() else { return };
    let way = Way::to(&engine);
    // So that it does not miss what is trimmed meanwhile.
    let keep = ["--keep-texts", "10000000"];
    let url = way.url();
    let flags = [&["--redis", &*url, "--redis-timeout", "2"], &keep[..]].concat();
    let cut_off = Server::with(&flags);
    let servers: [_; 2] = engine.servers(&keep);
    let mut witness = Peer::receiver(cut_off.port, "dan", "cafe");
    let mut sender = Peer::sender(cut_off.port, "al", "bar");
    let load = Load::start(&servers);
    load.go_on(1000);
    way.set_open(false);
    way.cut();
    cut_off.program.expect_stderr("is away: ");
    sender.err("sendall:does anybody hear me?");
    load.go_on(1000);
    way.set_open(true);
    say_until_kept(&mut sender, "again?");
    let outcome = load.end();
    assert_as_if_nothing(&outcome);
    // Its receivers have missed nothing.
    for text in &outcome.heard[0] {
        assert!(witness.line().ends_with(&format!(":{text}")));
    }
}

/// Says something until it is kept: before that, it may be in doubt.
pub fn say_until_kept(sender: &mut Peer, text: &str) {
    let is_kept = || sender.ask(&format!("sendall:{text}")) == "ok:sent";
    crate::harness::wait_until(is_kept, || "it is not kept".into());
}

#[test]
fn a_server_stops_in_time_while_redis_is_frozen() {
    until_one_is_in_doubt(stops_with_a_text_in_doubt);
}

/// Stops a server that has a text while Redis is frozen. Returns whether the text was in doubt; else it
/// is refused.
fn stops_with_a_text_in_doubt(engine: Engine) -> bool {
    let server = engine.server(&["--redis-timeout", "30"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:hi");
    engine.signal(Signal::STOP);
    sender.send("sendall:in doubt\n");
    let begun = Instant::now();
    let finished = server.stop();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    let in_doubt = stderr.contains("1 texts are not answered");
    if !in_doubt {
        assert_eq!(sender.line(), "err:not kept: the server stops", "{finished:?}");
    }
    sender.expect_end();
    in_doubt
}

/// The room goes on so much while a server cannot read that it misses something.
#[test]
fn trimming_overtakes_a_server_that_cannot_read() {
    let Some(engine) = Engine::start() else { return };
    let way = Way::to(&engine);
    let flags = ["--keep-texts", "5"];
    let url = way.url();
    let behind = Server::with(&[&["--redis", &*url], &flags[..]].concat());
    let server = engine.server(&flags);
    let (mut peer, span) = receiver(behind.port, "", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:1");
    assert_eq!(records(&mut peer, 1)[0].seq, 1);
    way.set_open(false);
    way.cut();
    (2..=20).for_each(|number| sender.ok(&format!("sendall:{number}")));
    let is_trimmed = || engine.ask(&["XLEN", "chatbox:room:cafe"]) == redis::Value::Int(5);
    crate::harness::wait_until(is_trimmed, || "it is not trimmed".into());
    way.set_open(true);
    peer.expect_end();
    let (mut again, span) = receiver(behind.port, &format!("after={}-1", span.epoch), "cafe");
    assert_eq!((span.from, span.to), (15, 20));
    assert_eq!(records(&mut again, 5)[4].text, "20");
}

/// From a seed: connections break, Redis is frozen or restarted, a server is cut off.
#[test]
#[ignore = "takes five minutes"]
fn random_trouble_loses_nothing_and_doubles_nothing() {
    let Some(mut engine) = Engine::durable() else { return };
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let mut state: u64 = seed;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let way = Way::to(&engine);
    let url = way.url();
    let keep = ["--keep-texts", "100000000", "--redis-timeout", "3"];
    let flags = [&["--redis", &*url], &keep[..]].concat();
    let servers = [Server::with(&flags), engine.server(&keep), engine.server(&keep)];
    // Nobody is there, but Redis knows of it.
    let mut other = engine.server(&keep);
    let begun = Instant::now();
    let mut epoch = engine.epoch();
    while begun.elapsed() < Duration::from_secs(300) {
        let load = Load::start(&servers);
        for _ in 0..5 {
            load.go_on(random(2000) as usize);
            match random(5) {
                0 => way.cut(),
                4 => {
                    other.program.kill();
                    other = engine.server(&keep);
                }
                1 => {
                    engine.signal(Signal::STOP);
                    thread::sleep(Duration::from_millis(random(5000)));
                    engine.signal(Signal::CONT);
                }
                2 => {
                    engine.kill();
                    thread::sleep(Duration::from_millis(random(5000)));
                    engine.run();
                }
                _ => {
                    way.set_open(false);
                    way.cut();
                    thread::sleep(Duration::from_millis(random(5000)));
                    way.set_open(true);
                }
            }
        }
        load.go_on(1000);
        let outcome = load.end();
        // If a server comes too late, nobody can know whether something was lost.
        let is_other = std::mem::replace(&mut epoch, engine.epoch()) != epoch;
        println!("{} kept, {} refused", outcome.kept.len(), outcome.refused.len());
        outcome.assert_exact_but_for(is_other.then_some("Redis has lost texts"));
    }
}
