//! Answers that are refused, late, strange, lost, or without an end; and servers that give none.

use std::time::Duration;

use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{Finished, Peer, Program, Signal, chatbox, wait_until};

/// How long a server may leave a login or a join without an answer.
const LONGEST: Duration = Duration::from_secs(30);

/// A client, and a server that has answered the first requests of it.
fn answered(applet: &str, args: &[&str], requests: usize) -> (Program, Peer, Script) {
    let script = Script::new();
    let client = script.start(applet, args);
    let mut peer = script.accept();
    for _ in 0..requests {
        peer.line();
        peer.send("ok:\n");
    }
    (client, peer, script)
}

/// There is an `ok`, but it was on its way before the request could have been.
#[test]
fn a_request_that_could_not_be_written_has_no_answer() {
    /// On a busy machine, loopback may tell of the reset when the request is written already.
    const TRIES: usize = 5;
    for args in [&["bob"][..], &["bob", "--room", "cafe", "-m", "hi"]] {
        let mut finished = (0..TRIES).map(|_| sends_to_one_that_is_gone(args));
        let finished = finished.find(|it| it.status.code() != Some(0)).expect("it never fails");
        finished.assert_one_error(1, "sender: the ");
    }
}

fn sends_to_one_that_is_gone(args: &[&str]) -> Finished {
    let (mut sender, mut peer, _script) = answered("sender", args, 1);
    if args.len() == 1 {
        sender.say("/leave\n");
    }
    peer.line();
    // It waits for that answer, and will find more than that, and a connection that is gone.
    sender.signal(Signal::STOP);
    wait_until(|| sender.is_stopped(), || "it runs".into());
    peer.send("ok:\nok:early\nok:early\nok:early\n");
    peer.reset();
    sender.say("/join bar\nhi\n");
    sender.end_of_input();
    sender.signal(Signal::CONT);
    sender.finish()
}

#[test]
fn whoever_answers_a_login_with_something_else_is_no_server() {
    for (applet, args, requests) in [
        ("sender", &["bob"][..], 0),
        ("sender", &["bob", "--reconnect"], 0),
        ("sender", &["bob", "--room", "cafe"], 1),
        ("receiver", &["eve", "cafe"], 0),
        ("receiver", &["eve", "cafe", "--reconnect"], 1),
        ("bench", &[], 0),
    ] {
        for line in ["hello", "", "HTTP/1.1 400 Bad\x1b[1m", "delivery:cafe"] {
            let (client, mut peer, _script) = answered(applet, args, requests);
            // It goes on talking, as a web server does, and stays.
            peer.send(format!("{line}\r\nServer: nginx\r\n\r\n<html>\r\n</html>\r\n"));
            let finished = client.finish();
            finished.assert_one_error(1, "is no chat server: it says ");
            let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
            assert!(stderr.contains(&line.replace('\x1b', "\\x1b")), "{finished:?}");
            assert!(stderr.starts_with(&format!("{applet}: ")), "{finished:?}");
            assert!(!stderr.contains("nginx") && !stderr.contains("ERROR"), "{finished:?}");
        }
    }
}

/// Each request's answer may be the last that the server says.
#[test]
fn a_last_line_of_the_server_needs_no_end() {
    let (receiver, mut peer, _script) = answered("receiver", &["eve", "cafe"], 2);
    peer.send("delivery:cafe:bob:one\ndelivery:cafe:bob:two");
    drop(peer);
    receiver.finish().assert(
        1,
        b"bob: one\nbob: two\n",
        "receiver: the server closed the connection\n",
    );
    for (applet, args) in [("sender", &["bob"][..]), ("receiver", &["eve", "cafe"])] {
        let (client, mut peer, _script) = answered(applet, args, 0);
        peer.line();
        peer.send("err:full");
        drop(peer);
        client.finish().assert(1, b"", "full\n");
    }
    // With a room, it notices the end of the connection while there may be more to send: what comes from
    // the command line has an end that nobody can be late for.
    for (args, requests) in [(&["bob"][..], 1), (&["bob", "--room", "cafe", "-m", "hi"], 2)] {
        let (mut sender, mut peer, _script) = answered("sender", args, requests);
        if requests == 1 {
            sender.say("hi\n");
            sender.end_of_input();
        }
        peer.expect("sendall:hi");
        peer.send("ok:");
        drop(peer);
        sender.finish().assert(0, b"", "");
    }
    let (bench, peer, script) = answered("bench", &["--receivers", "1"], 0);
    for mut peer in [peer, script.accept()] {
        peer.line();
        peer.line();
        peer.send("err:full");
    }
    bench.finish().assert_one_error(1, "the server said: full");
}

/// All at the same time, since each takes as long as a server may.
#[test]
fn a_login_or_a_join_without_an_answer_is_a_lost_connection() {
    let silent = |applet, args: &[&str], requests, input: &str| {
        let (mut client, peer, script) = answered(applet, args, requests);
        client.say(input);
        (client, peer, script)
    };
    let lost = [
        silent("sender", &["bob"], 0, ""),
        silent("sender", &["bob"], 1, "/join cafe\n"),
        silent("sender", &["bob", "--room", "cafe"], 1, ""),
        silent("sender", &["bob", "--room", "cafe"], 2, "/join bar\n"),
        silent("receiver", &["eve", "cafe"], 0, ""),
        silent("receiver", &["eve", "cafe"], 1, ""),
    ];
    let retried = silent("receiver", &["eve", "cafe", "--reconnect"], 1, "");
    let quits = silent("sender", &["bob"], 1, "/quit\n");
    let texts = [
        silent("sender", &["bob"], 1, "hi\n"),
        silent("sender", &["bob", "--room", "cafe"], 2, "hi\n"),
        silent("sender", &["bob", "--room", "cafe", "-m", "hi"], 2, ""),
    ];
    for (client, mut peer, _script) in lost {
        client.expect_stderr_after(LONGEST, "has not answered for 30 s");
        client.finish().assert_one_error(1, "the server has not answered for 30 s");
        while peer.next_line().is_some() {}
    }
    let (client, _peer, script) = retried;
    client.expect_stderr_after(LONGEST, "has not answered for 30 s; trying again\n");
    script.accept().expect("rlogin:eve");
    let (client, mut peer, _script) = quits;
    peer.expect("quit:");
    peer.expect_end();
    client.finish().assert(0, b"", "");
    // A text may be held back for longer.
    for (mut sender, mut peer, _script) in texts {
        sender.expect_stderr_after(LONGEST, "no answer from the server for 30 s; still waiting\n");
        peer.expect("sendall:hi");
        peer.send("ok:\n");
        sender.end_of_input();
        let finished = sender.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    }
}

/// A stopped server accepts, for the system does that.
#[test]
fn the_time_of_a_sender_passes_whatever_it_waits_for() {
    for (args, requests) in [
        (&["bob"][..], 0),
        (&["bob"], 1),
        (&["bob", "--room", "cafe"], 1),
        (&["bob", "--room", "cafe"], 2),
        (&["bob", "--room", "cafe", "-m", "hi"], 2),
        (&["bob", "--reconnect", "--room", "cafe"], 2),
    ] {
        let args = [args, &["--timeout", "0.7"]].concat();
        let script = Script::new();
        let mut sender = script.start("sender", &args);
        let mut peer = script.accept();
        peer.send("ok:\n".repeat(requests));
        sender.say("hi\n");
        sender.finish().assert(124, b"", "sender: the time is over\n");
    }
}

/// A sender at a terminal.
fn at_terminal(script: &Script, flags: &[&str]) -> Terminal {
    let mut command = chatbox(["sender", "localhost", &script.port, "bob"]);
    command.args(flags).env("XDG_STATE_HOME", "/dev/null");
    Terminal::start(&command)
}

#[test]
fn a_person_is_told_soon_that_there_is_no_answer() {
    let told = "sender: no answer from the server for 5 s; still waiting";
    let scripts = [Script::new(), Script::new()];
    let mut senders = scripts.each_ref().map(|script| at_terminal(script, &[]));
    let [mut login, mut peer] = scripts.each_ref().map(Script::accept);
    login.expect("slogin:bob");
    peer.expect("slogin:bob");
    peer.send("ok:\nok:\n");
    senders[1].keys("/join cafe\r");
    senders[1].expect_at_cursor("cafe>");
    senders[1].keys("hi\r");
    for sender in &senders {
        sender.expect_line(told);
    }
    peer.send("ok:\n");
    senders[1].keys("/quit\r");
    peer.send("ok:\n");
    assert_eq!(senders[1].finish().code(), Some(0));
}

/// The connection is still there, so nobody else would tell the prompt that it is over.
#[test]
fn a_prompt_gives_up_a_server_that_does_not_answer() {
    let scripts = [Script::new(), Script::new()];
    let [mut ending, _going_on] =
        [(&scripts[0], &["--no-reconnect"][..]), (&scripts[1], &[])].map(|(script, flags)| {
            let mut sender = at_terminal(script, flags);
            let mut peer = script.accept();
            peer.expect("slogin:bob");
            peer.send("ok:\n");
            sender.keys("/join cafe\r");
            peer.expect("join:cafe");
            peer.stream().set_read_timeout(Some(2 * LONGEST)).unwrap();
            (sender, peer)
        });
    ending.1.expect_end();
    ending.0.expect("sender: the server has not answered for 30 s");
    assert_eq!(ending.0.finish().code(), Some(1));
    scripts[1].accept().expect("slogin:bob");
}
