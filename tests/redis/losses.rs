//! Redis does not have all that it has had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use redis::Value;
use rustix::process::Signal;

use crate::engine::{Engine, until_one_is_in_doubt};
use crate::harness::records::{receiver, records};
use crate::harness::{Peer, Server, wait_until};
use crate::load::Load;
use crate::trouble::say_until_kept;
use crate::way::Way;

/// What a Redis had on its disk.
struct Copy {
    kept: PathBuf,
    copied: PathBuf,
}

impl Copy {
    fn of(engine: &Engine) -> Self {
        let [kept, copied] = ["appendonlydir", "copy"].map(|name| engine.folder().join(name));
        copy(&kept, &copied);
        Copy { kept, copied }
    }

    /// Ends that Redis, which then has that again.
    fn put_back(&self, engine: &mut Engine) {
        engine.kill();
        fs::remove_dir_all(&self.kept).unwrap();
        copy(&self.copied, &self.kept);
        engine.run();
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_redis_that_has_lost_everything_begins_a_new_epoch() {
    let Some(mut engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let epoch = engine.epoch();
    let (mut peer, _) = receiver(servers[1].port, "", "cafe");
    Peer::sender(servers[0].port, "bob", "cafe").ok("sendall:before");
    assert_eq!(records(&mut peer, 1)[0].epoch, epoch);
    engine.kill();
    engine.run();
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    say_until_kept(&mut sender, "after");
    let after = &records(&mut peer, 1)[0];
    assert!(after.epoch > epoch && after.seq == 1 && after.text == "after", "{after:?}");
    for server in &servers {
        server.program.expect_stderr("a new epoch begins");
        assert_eq!(server.program.stderr().matches("a new epoch begins").count(), 1);
    }
    // Somebody deletes everything, and no connection breaks.
    engine.ask(&["FLUSHALL"]);
    say_until_kept(&mut sender, "once more");
    let more = &records(&mut peer, 1)[0];
    assert!(more.epoch > after.epoch && more.seq == 1, "{more:?}");
    // Or a room.
    engine.ask(&["DEL", "chatbox:room:cafe"]);
    say_until_kept(&mut sender, "and more");
    let last = &records(&mut peer, 1)[0];
    assert!(last.epoch > more.epoch && last.seq == 2, "{last:?}");
    // Or where the rooms end.
    engine.ask(&["DEL", "chatbox:ends"]);
    say_until_kept(&mut sender, "and this");
    let this = &records(&mut peer, 1)[0];
    assert!(this.epoch > last.epoch && this.seq == 3, "{this:?}");
    // Or both.
    engine.ask(&["DEL", "chatbox:ends", "chatbox:room:cafe"]);
    say_until_kept(&mut sender, "and both");
    let both = &records(&mut peer, 1)[0];
    assert!(both.epoch > this.epoch && both.text == "and both", "{both:?}");
}

#[test]
fn a_redis_that_comes_back_with_an_older_tail_begins_a_new_epoch() {
    let Some(mut engine) = Engine::durable() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let epoch = engine.epoch();
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    (1..=5).for_each(|number| sender.ok(&format!("sendall:{number}")));
    let copy = Copy::of(&engine);
    let (mut peer, _) = receiver(servers[1].port, "", "cafe");
    (6..=9).for_each(|number| sender.ok(&format!("sendall:{number}")));
    assert_eq!(records(&mut peer, 4)[3].seq, 9);
    copy.put_back(&mut engine);
    say_until_kept(&mut sender, "after");
    let after = &records(&mut peer, 1)[0];
    assert!(after.epoch > epoch && after.seq == 6 && after.text == "after", "{after:?}");
    // Who comes with a position that nobody has any more gets all that came after what is left.
    for (asked, from) in [(3, 3), (5, 5), (9, 5)] {
        let (mut late, span) = receiver(servers[0].port, &format!("after={epoch}-{asked}"), "cafe");
        assert_eq!((span.epoch, span.from, span.to), (after.epoch, from, 6));
        let texts = records(&mut late, 6 - from as usize);
        assert_eq!(texts.last().unwrap().text, "after");
    }
    // The same copy once more: its epoch is not begun again, in which there were other texts.
    copy.put_back(&mut engine);
    say_until_kept(&mut sender, "once more");
    let more = &records(&mut peer, 1)[0];
    assert!(more.epoch > after.epoch && more.seq == 6 && more.text == "once more", "{more:?}");
    let (_, span) = receiver(servers[0].port, &format!("after={epoch}-9"), "cafe");
    assert_eq!((span.epoch, span.from, span.to), (more.epoch, 5, 6));
}

/// One that has been there may have seen what is lost now.
#[test]
fn if_a_server_cannot_say_whether_all_is_there_a_new_epoch_begins() {
    let Some(mut engine) = Engine::durable() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let epoch = engine.epoch();
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    let mut eve = Peer::receiver(servers[1].port, "eve", "cafe");
    sender.ok("sendall:1");
    eve.expect("delivery:cafe:bob:1");
    servers[1].program.signal(Signal::STOP);
    engine.kill();
    engine.run();
    say_until_kept(&mut sender, "2");
    assert!(engine.epoch() > epoch);
    servers[1].program.signal(Signal::CONT);
    eve.expect("delivery:cafe:bob:2");
    servers.iter().for_each(|server| server.program.expect_stderr("a new epoch begins"));
}

#[test]
fn if_nobody_is_left_who_has_seen_what_there_was_a_new_epoch_begins() {
    let Some(mut engine) = Engine::durable() else { return };
    let say = |engine: &Engine, from: u64, to: u64| {
        let server = engine.server(&[]);
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        (from..=to).for_each(|number| sender.ok(&format!("sendall:{number}")));
        server.stop();
    };
    say(&engine, 1, 3);
    let (epoch, copy) = (engine.epoch(), Copy::of(&engine));
    say(&engine, 4, 6);
    assert_eq!(engine.epoch(), epoch);
    copy.put_back(&mut engine);
    let server = engine.server(&[]);
    assert!(engine.epoch() > epoch);
    server.program.expect_stderr("a new epoch begins");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:another");
    // The numbers of before are no numbers of now.
    let (mut peer, span) = receiver(server.port, &format!("after={epoch}-6"), "cafe");
    assert_eq!((span.from, span.to), (3, 4));
    assert_eq!(records(&mut peer, 1)[0].text, "another");
}

/// It has the data of the replica then, and no connection breaks.
#[test]
fn a_replica_that_has_less_and_takes_over_is_noticed() {
    let (Some(engine), Some(replica)) = (Engine::start(), Engine::start()) else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let epoch = engine.epoch();
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    let (mut peer, _) = receiver(servers[1].port, "", "cafe");
    sender.ok("sendall:1");
    sender.ok("sendall:2");
    follow(&replica, &engine);
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    sender.ok("sendall:3");
    assert_eq!(records(&mut peer, 3)[2].seq, 3);
    follow(&engine, &replica);
    engine.ask(&["REPLICAOF", "NO", "ONE"]);
    say_until_kept(&mut sender, "after");
    let after = &records(&mut peer, 1)[0];
    assert!(after.epoch > epoch && after.seq == 3 && after.text == "after", "{after:?}");
    for server in &servers {
        server.program.expect_stderr("a new epoch begins");
    }
}

/// One is a replica of the other, and has all that it has.
fn follow(one: &Engine, other: &Engine) {
    one.ask(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    let is_up = || match one.ask(&["INFO", "replication"]) {
        Value::BulkString(info) => String::from_utf8_lossy(&info).contains("master_link_status:up"),
        other => panic!("{other:?}"),
    };
    wait_until(is_up, || "it is no replica".into());
}

#[test]
fn what_is_in_doubt_when_texts_are_lost_is_refused_as_not_known() {
    until_one_is_in_doubt(is_refused_as_not_known);
}

fn is_refused_as_not_known(mut engine: Engine) -> bool {
    let server = engine.server(&["--redis-timeout", "2"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:before");
    engine.signal(Signal::STOP);
    sender.send("sendall:in doubt\n");
    server.program.expect_stderr("is away: ");
    engine.kill();
    engine.run();
    let refused = sender.line();
    let in_doubt = refused.starts_with("err:Redis has lost texts: it is not known");
    assert!(in_doubt || refused.starts_with("err:not kept: Redis is away: "), "{refused}");
    say_until_kept(&mut sender, "after");
    in_doubt
}

#[test]
fn whoever_talks_while_texts_are_lost_goes_on_and_hears_nothing_twice() {
    let Some(mut engine) = Engine::durable() else { return };
    let servers: [_; 3] = engine.servers(&[]);
    let epoch = engine.epoch();
    let load = Load::start(&servers);
    load.go_on(1000);
    let copy = Copy::of(&engine);
    load.go_on(1000);
    copy.put_back(&mut engine);
    load.go_on(1000);
    assert!(engine.epoch() > epoch);
    engine.ask(&["FLUSHALL"]);
    load.go_on(1000);
    let outcome = load.end();
    outcome.assert_once_and_in_one_order();
    let reasons = ["Redis has lost texts: ", "not kept: "];
    let is_said = |why: &String| reasons.iter().any(|reason| why.starts_with(reason));
    assert!(outcome.refused.iter().all(|(_, why)| is_said(why)));
}

/// What is there of both is heard, whether it is less than what there was before or more than is read
/// at a time.
#[test]
fn a_server_that_misses_two_epochs_goes_on() {
    for (before, between) in [(20, 40), (200, 300)] {
        let Some(engine) = Engine::start() else { return };
        let way = Way::to(&engine);
        let away = Server::with(&["--redis", &way.url()]);
        let there = engine.server(&[]);
        let mut eve = Peer::receiver(away.port, "eve", "cafe");
        let mut sender = Peer::sender(there.port, "bob", "cafe");
        let mut on_both = |from: u64, to: u64| {
            (from..=to).for_each(|number| sender.ok(&format!("sendall:{number}")));
        };
        on_both(1, before);
        (1..=before).for_each(|number| eve.expect(&format!("delivery:cafe:bob:{number}")));
        way.set_open(false);
        way.cut();
        engine.ask(&["FLUSHALL"]);
        say_until_kept(&mut Peer::sender(there.port, "bob", "bar"), "first");
        on_both(1000, 1000 + between);
        engine.ask(&["DEL", "chatbox:state"]);
        say_until_kept(&mut Peer::sender(there.port, "bob", "bar"), "second");
        on_both(2000, 2003);
        way.set_open(true);
        for number in (1000..=1000 + between).chain(2000..=2003) {
            eve.expect(&format!("delivery:cafe:bob:{number}"));
        }
        let mut here = Peer::sender(away.port, "al", "cafe");
        say_until_kept(&mut here, "here");
        eve.expect("delivery:cafe:al:here");
    }
}

/// Without it, a text that is given to Redis once more would be kept twice.
#[test]
fn that_the_record_of_a_server_is_gone_is_noticed() {
    let Some(engine) = Engine::start() else { return };
    let way = Way::to(&engine);
    let server = Server::with(&["--redis", &way.url()]);
    let (mut peer, _) = receiver(engine.server(&[]).port, "", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    way.swallow("kept");
    sender.send("sendall:in doubt\n");
    let is_there = || engine.ask(&["XLEN", "chatbox:room:cafe"]) == Value::Int(1);
    wait_until(is_there, || "it is not there".into());
    let script = "for _, key in ipairs(redis.call('KEYS', 'chatbox:writer:*')) do redis.call('DEL', key) end";
    engine.ask(&["EVAL", script, "0"]);
    way.swallow("");
    let answer = sender.line();
    assert!(answer.starts_with("err:Redis has lost texts: it is not known"), "{answer}");
    say_until_kept(&mut sender, "after");
    drop(peer.next_line());
    let (mut late, _) = receiver(server.port, "last=9", "cafe");
    let texts: Vec<_> = records(&mut late, 2).into_iter().map(|it| it.text).collect();
    assert_eq!(texts, ["in doubt", "after"]);
}

/// No numbers are used again, for other texts.
#[test]
fn that_the_ends_are_gone_is_noticed_also_by_one_who_has_just_come() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&[]);
    let (mut peer, _) = receiver(server.port, "", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    (1..=3).for_each(|number| sender.ok(&format!("sendall:{number}")));
    let epoch = records(&mut peer, 3)[2].epoch;
    let fresh = engine.server(&[]);
    for joins in [false, true] {
        engine.ask(&["DEL", "chatbox:ends", "chatbox:room:cafe"]);
        if joins {
            let (_, span) = receiver(fresh.port, "last=9", "cafe");
            assert!(span.epoch > epoch);
        }
        say_until_kept(&mut Peer::sender(fresh.port, "al", "cafe"), "new");
        let record = &records(&mut peer, 1)[0];
        assert!(record.epoch > epoch && record.text == "new", "{record:?}");
    }
}

#[test]
fn a_state_that_makes_no_sense_is_begun_anew() {
    let Some(engine) = Engine::start() else { return };
    let server = engine.server(&[]);
    let mut eve = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let set = ["HSET", "chatbox:state", "total", "x"];
    for (number, command) in [&["HDEL", "chatbox:state", "total"][..], &set].iter().enumerate() {
        engine.ask(command);
        sender.ok(&format!("sendall:{number}"));
        eve.expect(&format!("delivery:cafe:bob:{number}"));
    }
}

/// As if what was lost were there again: nobody hears it.
#[test]
fn what_is_beyond_the_end_of_an_epoch_is_no_text_of_the_next() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let epoch = engine.epoch();
    let mut receivers = servers.each_ref().map(|it| receiver(it.port, "", "cafe").0);
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    (1..=3).for_each(|number| sender.ok(&format!("sendall:{number}")));
    receivers.iter_mut().for_each(|it| drop(records(it, 3)));
    for seq in 4..=99 {
        let (id, seq) = (format!("{epoch}-{seq}"), seq.to_string());
        let entry = ["first", &*seq, "time", "1", "total", "1", "lines", "delivery:cafe:bob:no\n"];
        engine.ask(&[&["XADD", "chatbox:room:cafe", &*id], &entry[..]].concat());
    }
    say_until_kept(&mut sender, "4");
    sender.ok("sendall:5");
    let next: Vec<_> = receivers.iter_mut().map(|it| records(it, 2)).collect();
    let (mut late, span) = receiver(servers[1].port, "last=9", "cafe");
    assert_eq!((span.from, span.to), (0, 5));
    let all = records(&mut late, 5);
    assert!(all.iter().enumerate().all(|(before, it)| it.text == (before + 1).to_string()));
    assert!(next.iter().all(|next| *next == all[3..]), "{next:?}");
}

#[test]
fn an_entry_that_makes_no_sense_keeps_nobody_from_hearing_what_follows() {
    let Some(engine) = Engine::start() else { return };
    let servers: [_; 2] = engine.servers(&[]);
    let mut eve = Peer::receiver(servers[1].port, "eve", "cafe");
    let mut sender = Peer::sender(servers[0].port, "bob", "cafe");
    sender.ok("sendall:1");
    eve.expect("delivery:cafe:bob:1");
    engine.ask(&["XADD", "chatbox:room:cafe", &format!("{}-2", engine.epoch()), "a", "b"]);
    for text in ["2", "3"] {
        say_until_kept(&mut sender, text);
        eve.expect(&format!("delivery:cafe:bob:{text}"));
    }
}
