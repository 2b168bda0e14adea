//! `sender` and `receiver` in scripts: counts, time-outs, JSON, pipelines, statuses, reconnection.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::script::Script;
use crate::harness::{Finished, NO_HOST, Peer, Program, Server, Signal, bash, chatbox, numbered};

/// Lets a sender in that asks for the room `cafe` at once.
fn let_in(script: &Script) -> Peer {
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    peer.expect("join:cafe");
    peer.send("ok:\n");
    peer
}

/// A sender that is in the room `cafe`.
fn sender_in_room(script: &Script, args: &[&str]) -> (Program, Peer) {
    let sender = script.start("sender", &[&["bob", "--room", "cafe"], args].concat());
    (sender, let_in(script))
}

/// Runs a script that finds the server at `$port`.
fn run(script: &str, port: impl ToString) -> Program {
    let mut command = bash(script);
    command.env("port", port.to_string());
    Program::start(command)
}

fn stderr_lines(finished: &Finished) -> Vec<String> {
    String::from_utf8_lossy(&finished.stderr).lines().map(str::to_owned).collect()
}

#[test]
fn a_receiver_ends_after_as_many_texts_as_it_was_asked_for() {
    let script = Script::new();
    let receiver = script.start("receiver", &["eve", "cafe", "-n", "3", "--timeout", "1000"]);
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:1\n");
    receiver.expect_stdout("bob: 1\n");
    // More than wanted in one packet.
    peer.send("delivery:cafe:bob:2\ndelivery:cafe:bob:3\ndelivery:cafe:bob:4\n");
    receiver.finish().assert(0, b"bob: 1\nbob: 2\nbob: 3\n", "");
}

#[test]
fn a_receiver_whose_time_is_over_ends_with_124() {
    let script = Script::new();
    for at_work in [0, 1, 2, 3] {
        let args = ["eve", "cafe", "-n", "2", "--timeout", "0.5"];
        let begun = Instant::now();
        let receiver = script.start("receiver", &args);
        let mut peer = script.accept();
        let steps = ["", "ok:\n", "ok:\nok:\n", "ok:\nok:\ndelivery:cafe:bob:1\n"];
        peer.send(steps[at_work]);
        let finished = receiver.finish();
        assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
        let stdout = if at_work == 3 { "bob: 1\n" } else { "" };
        finished.assert(124, stdout.as_bytes(), "receiver: the time is over\n");
    }
}

/// A listener whose queue is full, so that nobody can connect.
fn unreachable() -> (TcpListener, Vec<TcpStream>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300));
    let queue = std::iter::from_fn(|| connect().ok()).take(100).collect();
    (listener, queue, address.port().to_string())
}

#[test]
fn the_time_of_a_receiver_passes_while_it_connects() {
    let (_listener, _queue, port) = unreachable();
    for flag in ["--raw", "--reconnect"] {
        let mut command = chatbox(["receiver", "127.0.0.1", &port, "eve", "cafe"]);
        command.args(["--timeout", "0.5", flag]);
        let begun = Instant::now();
        Program::start(command).finish().assert(124, b"", "receiver: the time is over\n");
        // One attempt to connect takes twenty seconds.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
}

#[test]
fn the_time_of_a_receiver_passes_while_nobody_reads_it() {
    let script = Script::new();
    let mut command = chatbox(["receiver", "127.0.0.1", &script.port, "eve", "cafe"]);
    command.args(["--timeout", "1"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut peer = script.accept();
    // More than the pipe takes.
    peer.send(format!("ok:\nok:\n{}", "delivery:cafe:bob:hello\n".repeat(20_000)));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "still running");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(124));
}

#[test]
fn nonsense_is_wrong_usage() {
    for (applet, args) in [
        ("receiver", &["eve", "cafe", "-n", "0"][..]),
        ("receiver", &["eve", "cafe", "-n", "many"]),
        ("receiver", &["eve", "cafe", "--timeout", "-1"]),
        ("receiver", &["eve", "cafe", "--timeout", "nan"]),
        ("receiver", &["eve", "cafe", "--color", "blue"]),
        ("sender", &["bob", "-m", "hi"]),
        ("sender", &["bob", "--room"]),
    ] {
        let mut command = chatbox([applet, "localhost", "1"]);
        command.args(args);
        Program::start(command).finish().assert_one_error(2, &format!("chatbox {applet}"));
    }
}

#[test]
fn json_is_one_object_a_line_and_keeps_every_byte() {
    let server = Server::start();
    let mut command = server.client("receiver", &["eve", "cafe", "--json", "-n", "3"]);
    command.env("TZ", "NPT-5:45");
    let receiver = Program::start(command);
    server.program.expect_stderr("joined room cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.send(b"sendall:a \"quoted\" \\ \x1b[2J \xf0\x9f\xa6\x80\nsendall:\xff\x00\nsendall:\n");
    let finished = receiver.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let lines = String::from_utf8(finished.stdout.clone()).unwrap();
    let objects: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3, "{finished:?}");
    for object in &objects {
        assert_eq!((&object["room"], &object["sender"]), (&"cafe".into(), &"bob".into()));
        let time = object["time"].as_str().unwrap();
        assert!(time.ends_with("+05:45") && time.contains('T'), "{time}");
    }
    assert_eq!(objects[0]["text"], "a \"quoted\" \\ \x1b[2J \u{1f980}");
    assert_eq!(objects[0].get("text_bytes"), None);
    assert_eq!(objects[1]["text"], "\u{fffd}\0");
    assert_eq!(objects[1]["text_bytes"], serde_json::json!([0xff, 0]));
    assert_eq!(objects[2]["text"], "");
}

#[test]
fn the_time_is_printed_if_it_is_asked_for() {
    let script = Script::new();
    let receiver = script.start("receiver", &["eve", "cafe", "--timestamps", "-n", "1"]);
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
    let finished = receiver.finish();
    let line = String::from_utf8_lossy(&finished.stdout).into_owned();
    let digits = line.replace(|char: char| char.is_ascii_digit(), "0");
    assert_eq!(digits, "0000-00-00 00:00:00 bob: hi\n", "{finished:?}");
}

/// On a busy machine one may take longer; that all do would be a buffer's doing.
#[test]
fn a_line_is_in_the_pipe_within_50_ms_of_its_arrival() {
    let script = Script::new();
    let mut command = chatbox(["receiver", "localhost", &script.port, "eve", "cafe"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut peer = script.accept();
    peer.send("ok:\nok:\n");
    let mut took = |number: usize| {
        let begun = Instant::now();
        peer.send(format!("delivery:cafe:bob:{number}\n"));
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, format!("bob: {number}\n"));
        begun.elapsed()
    };
    let quickest = (0..20).map(&mut took).min().unwrap();
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
    drop(peer);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_receiver_whose_reader_is_gone_ends_by_sigpipe_at_once() {
    let script = Script::new();
    let receiver = run(
        "\"$chatbox\" receiver localhost $port eve cafe | head -n 1; echo ${PIPESTATUS[0]}",
        &script.port,
    );
    let mut peer = script.accept();
    // The room is silent after the first line.
    peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
    receiver.finish().assert(0, b"bob: hi\n141\n", "");
    peer.expect("rlogin:eve");
    peer.expect("join:cafe");
    peer.expect_end();
}

#[test]
fn whoever_wants_more_lines_is_told_what_a_client_does() {
    let server = Server::start();
    let port = server.port;
    let connected = |finished: &Finished, client: &str| {
        let lines = stderr_lines(finished);
        let to = |host: &str| format!("{client}: connected to {host}:{port}");
        let first = lines.first().map(String::as_str).unwrap_or_default();
        assert!([to("127.0.0.1"), to("[::1]")].contains(&first.to_owned()), "{finished:?}");
        lines
    };
    let mut sender = Program::start(server.client("sender", &["bob", "-v"]));
    sender.say("/join cafe\nhi\n/leave\n");
    sender.end_of_input();
    let lines = connected(&sender.finish(), "sender");
    assert!(lines[1].starts_with("sender: logged in, the server says: "), "{lines:?}");
    assert_eq!(lines[2..], ["sender: joined room cafe", "sender: left the room"]);

    let receiver = server.receiver_with(&["-v", "-n1"], "eve", "cafe");
    let mut sender = Program::start(server.client("sender", &["bob", "-v", "--room", "bar"]));
    sender.say("/join cafe\nhi\n");
    sender.end_of_input();
    let lines = connected(&sender.finish(), "sender");
    assert!(lines[2].starts_with("sender: joined room bar, the server says: "), "{lines:?}");
    assert_eq!(lines[3..], ["sender: joined room cafe"]);
    let lines = connected(&receiver.finish(), "receiver");
    assert!(lines[2].starts_with("receiver: joined room cafe, the server says: "), "{lines:?}");

    let bench = Program::start(server.client("bench", &["-v", "--messages", "1"]));
    let lines = connected(&bench.finish(), "bench");
    assert_eq!(lines[1..], ["bench: logged in and in their rooms: senders 1, receivers 10"]);
}

#[test]
fn a_pipeline_is_a_bounded_number_of_texts_ahead_of_its_answers() {
    let script = Script::new();
    let (mut sender, mut peer) = sender_in_room(&script, &[]);
    let lines: String = (0..2000).map(|number| format!("{number}\n")).collect();
    sender.say(lines);
    sender.end_of_input();
    // As far ahead as it ever gets: not a single answer so far.
    for number in 0..512 {
        peer.expect(&format!("sendall:{number}"));
    }
    // One answer makes room for one text, and no more.
    peer.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut nothing = [0];
    assert!(peer.stream().peek(&mut nothing).is_err(), "over 512 texts without an answer");
    peer.stream().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for number in 512..2000 {
        peer.send("ok:\n");
        peer.expect(&format!("sendall:{number}"));
    }
    assert!(sender.is_running(), "it does not wait for its answers");
    peer.send("ok:\n".repeat(512));
    sender.finish().assert(0, b"", "");
    peer.expect_end();
}

#[test]
fn a_hundred_thousand_lines_arrive_in_order() {
    let server = Server::start();
    let count = "100000";
    let receiver = Program::start(server.client("receiver", &["eve", "cafe", "-n", count]));
    server.program.expect_stderr("joined room cafe");
    run(&format!("seq {count} | \"$chatbox\" sender --room cafe localhost $port bob"), server.port)
        .finish()
        .assert(0, b"", "");
    let finished = receiver.finish();
    let expected: String = (1..=100_000).map(|number| format!("bob: {number}\n")).collect();
    assert!(finished.stdout == expected.as_bytes(), "{finished:?}");
    assert_eq!(finished.status.code(), Some(0));
}

#[test]
fn each_error_of_a_pipeline_names_its_line() {
    let script = Script::new();
    let (mut sender, mut peer) = sender_in_room(&script, &[]);
    let too_long = "x".repeat(250);
    sender.say(format!("one\n\n/what\n{too_long}\n  five \n/join b/d\n/leave\nlast"));
    sender.end_of_input();
    for request in ["sendall:one", "sendall:five", "join:b/d", "leave:", "sendall:last"] {
        peer.expect(request);
    }
    peer.send("ok:\nerr: no: \x1b[1m\nerr:bad\nok:\nerr:\n");
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let lines = stderr_lines(&finished);
    assert_eq!(lines.len(), 5, "{finished:?}");
    assert!(lines[0].starts_with("sender: line 3: unknown command"), "{finished:?}");
    assert_eq!(lines[1], "sender: line 4: too long to send by 4 bytes");
    let refused = ["line 5:  no: \x1b[1m", "line 6: bad", "line 8: "];
    assert_eq!(lines[2..], refused.map(|line| format!("sender: {line}")));
}

#[test]
fn a_pipeline_ends_at_quit_whatever_the_answer() {
    for (answer, said) in [("ok:\n", ""), ("err:stay\n", "sender: line 2: stay\n"), ("", "")] {
        let script = Script::new();
        let (mut sender, mut peer) = sender_in_room(&script, &[]);
        sender.say("one\n/quit\nnever\n");
        peer.expect("sendall:one");
        peer.expect("quit:");
        peer.send(format!("ok:\n{answer}"));
        if answer.is_empty() {
            drop(peer);
            sender.finish().assert(0, b"", said);
        } else {
            sender.finish().assert(0, b"", said);
            peer.expect_end();
        }
    }
}

#[test]
fn a_room_that_is_refused_is_passed_on_exactly() {
    let script = Script::new();
    let sender = script.start("sender", &["bob", "--room", "cafe"]);
    let mut peer = script.accept();
    peer.line();
    peer.send("ok:\n");
    peer.line();
    peer.send("err: not: you\n");
    sender.finish().assert(1, b"", " not: you\n");
    let server = Server::with(&[]);
    let mut command = server.client("sender", &["bob", "--room", "b/d"]);
    command.stdin(Stdio::null());
    Program::start(command).finish().assert_one_error(1, "room name");
}

#[test]
fn messages_are_sent_as_they_are() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let args =
        ["bob", "--room", "cafe", "-m", " hi ", "--message", "/quit", "--message=a=b", "-m", ""];
    Program::start(server.client("sender", &args)).finish().assert(0, b"", "");
    for text in [" hi ", "/quit", "a=b", ""] {
        receiver.expect(&format!("delivery:cafe:bob:{text}"));
    }
    let mut args = vec!["bob", "--room", "cafe"];
    let numbers: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    numbers.iter().for_each(|number| args.extend(["-m", number]));
    Program::start(server.client("sender", &args)).finish().assert(0, b"", "");
    for number in numbers {
        receiver.expect(&format!("delivery:cafe:bob:{number}"));
    }
}

#[test]
fn a_message_that_is_not_sent_is_a_failure() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let too_long = "x".repeat(247);
    let args = ["bob", "--room", "cafe", "-m", "one", "-m", &too_long, "-m", "a\nb", "-m", "four"];
    let finished = Program::start(server.client("sender", &args)).finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let lines = stderr_lines(&finished);
    assert_eq!(lines.len(), 2, "{finished:?}");
    assert_eq!(lines[0], "sender: text 2: too long to send by 1 byte");
    assert!(
        lines[1].starts_with("sender: text 3: ") && lines[1].contains("line break"),
        "{lines:?}"
    );
    receiver.expect("delivery:cafe:bob:one");
    receiver.expect("delivery:cafe:bob:four");

    let script = Script::new();
    let (sender, mut peer) = sender_in_room(&script, &["-m", "one", "-m", "two"]);
    peer.expect("sendall:one");
    peer.send("ok:\n");
    peer.expect("sendall:two");
    peer.send("err:no\n");
    sender.finish().assert(1, b"", "sender: text 2: no\n");
}

#[test]
fn endless_input_ends_with_the_server_and_takes_no_memory() {
    for flags in ["", "--room cafe"] {
        let server = Server::with(&[]);
        let mut receiver = Peer::receiver(server.port, "eve", "cafe");
        // The shell tells the sender's number, and then becomes it.
        let script = format!(
            "yes | (echo /join cafe; cat) | (echo $BASHPID; exec \"$chatbox\" sender {flags} localhost $port bob)"
        );
        let pipeline = run(&script, server.port);
        pipeline.expect_stdout("\n");
        for _ in 0..10_000 {
            receiver.expect("delivery:cafe:bob:y");
        }
        let pid = String::from_utf8(pipeline.stdout()).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 20 * 1024, "{peak} KiB");
        drop(server);
        let finished = pipeline.finish();
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let lines = stderr_lines(&finished);
        assert_eq!(lines.len(), 1, "{finished:?}");
        assert!(lines[0].starts_with("sender: the "), "{finished:?}");
    }
}

#[test]
fn a_pipeline_ends_by_the_signal_that_ends_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let script = Script::new();
        let (sender, mut peer) = sender_in_room(&script, &["--reconnect"]);
        sender.signal(signal);
        let finished = sender.finish();
        assert_eq!(finished.status.signal(), Some(signal.as_raw()), "{finished:?}");
        assert_eq!(finished.stderr, b"", "{finished:?}");
        peer.expect_end();
    }
}

#[test]
fn a_receiver_that_reconnects_goes_on_where_it_was() {
    let server = Server::start();
    let port = server.port;
    let receiver =
        Program::start(server.client("receiver", &["eve", "cafe", "--reconnect", "-n", "2"]));
    server.program.expect_stderr("joined room cafe");
    Peer::sender(port, "bob", "cafe").ok("sendall:before");
    receiver.expect_stdout("bob: before\n");
    drop(server);
    receiver.expect_stderr("receiver: the server closed the connection; trying again\n");
    let server = Server::run(chatbox(["server", &port.to_string(), "-v"]));
    server.program.expect_stderr("joined room cafe");
    receiver.expect_stderr("receiver: connected again after ");
    Peer::sender(port, "bob", "cafe").ok("sendall:after");
    let finished = receiver.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stdout, b"bob: before\nbob: after\n", "{finished:?}");
}

/// One line when it goes, one when it is back; each attempt for those who want to know more.
#[test]
fn a_server_that_is_away_for_long_is_two_lines() {
    for (flags, tries) in [(&["--reconnect"][..], 0), (&["--reconnect", "-v"], 2)] {
        let script = Script::new();
        let receiver = script.start("receiver", &[&["eve", "cafe", "-n", "1"], flags].concat());
        let mut peer = script.accept();
        peer.send("ok:\nok:\n");
        peer.expect("rlogin:eve");
        peer.expect("join:cafe");
        drop(peer);
        // Attempts that fail, though the server can tell that there are some.
        for _ in 0..2 {
            let mut peer = script.accept();
            peer.expect("rlogin:eve");
            drop(peer);
        }
        let mut peer = script.accept();
        peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
        let finished = receiver.finish();
        let lines = stderr_lines(&finished);
        let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        assert_eq!(
            count("the server closed the connection; trying again"),
            1 + tries,
            "{finished:?}"
        );
        assert_eq!(count("; trying again in "), tries, "{finished:?}");
        let back = lines.last().unwrap();
        assert!(back.contains("connected again after ") && back.ends_with(" s"), "{finished:?}");
        assert!(tries > 0 || lines.len() == 2, "{finished:?}");
    }
}

#[test]
fn a_client_that_reconnects_waits_for_the_first_connection_too() {
    let script = Script::new();
    let port = script.port.clone();
    drop(script.listener);
    let mut command = chatbox(["receiver", "localhost", &port, "eve", "cafe"]);
    command.args(["--reconnect", "-n", "1"]);
    let receiver = Program::start(command);
    receiver.expect_stderr("trying again\n");
    let server = Server::run(chatbox(["server", &port, "-v"]));
    server.program.expect_stderr("joined room cafe");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hi");
    assert_eq!(receiver.finish().stdout, b"bob: hi\n");

    // A name may be unknown for a while.
    let mut command = chatbox(["receiver", NO_HOST, "5000", "eve", "cafe"]);
    command.args(["--reconnect", "-v"]);
    let mut receiver = Program::start(command);
    receiver.expect_stderr("receiver: cannot find host ");
    receiver.expect_stderr("; trying again in ");
    assert!(receiver.is_running(), "{receiver:?}");
    let mut command = server.client("receiver", &["eve", "b/d", "--reconnect"]);
    command.arg("-q");
    Program::start(command).finish().assert_one_error(1, "room name");
}

#[test]
fn the_time_of_a_receiver_passes_while_it_tries_to_reconnect() {
    let script = Script::new();
    let args = ["eve", "cafe", "--reconnect", "--timeout", "1"];
    let receiver = script.start("receiver", &args);
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
    receiver.expect_stdout("bob: hi\n");
    drop((peer, script.listener));
    let finished = receiver.finish();
    assert_eq!(finished.status.code(), Some(124), "{finished:?}");
}

/// A plain sender's text that got no answer is not sent again, and said to be unsure; all else goes
/// on, in the room that the sender was in.
#[test]
fn a_plain_sender_that_reconnects_sends_no_text_twice() {
    let script = Script::new();
    let mut sender = script.start("sender", &["bob", "--reconnect"]);
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    sender.say("/join cafe\none\ntwo\n");
    peer.expect("join:cafe");
    peer.send("ok:\n");
    peer.expect("sendall:one");
    drop(peer);
    let mut peer = let_in(&script);
    peer.expect("sendall:two");
    peer.send("ok:\n");
    sender.expect_stderr("sender: line 2: the answer got lost: unsure whether it was sent\n");
    // The server goes away while the sender has nothing to say: nothing gets lost.
    peer.reset();
    sender.say("/join bar\nthree\n");
    let mut peer = let_in(&script);
    peer.expect("join:bar");
    // To join again does no harm.
    drop(peer);
    let mut peer = let_in(&script);
    peer.expect("join:bar");
    peer.send("ok:\n");
    peer.expect("sendall:three");
    peer.send("ok:\n");
    sender.end_of_input();
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let unsure = stderr_lines(&finished).iter().filter(|line| line.contains("unsure")).count();
    assert_eq!(unsure, 1, "{finished:?}");
}

/// Each text is either answered, or reported as unsure, or sent again; never two of these.
#[test]
fn a_pipeline_that_reconnects_sends_no_text_twice_and_forgets_none() {
    let script = Script::new();
    let (mut sender, mut peer) = sender_in_room(&script, &["--reconnect"]);
    let lines: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    sender.say(lines);
    sender.end_of_input();
    let mut arrived = Vec::new();
    let mut take = |peer: &mut Peer, count: usize| {
        for _ in 0..count {
            let line = peer.line();
            arrived.push(line.strip_prefix("sendall:").unwrap().parse::<usize>().unwrap());
        }
    };
    take(&mut peer, 100);
    peer.send("ok:\n".repeat(40));
    // Whatever else was on its way, the server has not carried it out.
    peer.reset();
    let mut peer = let_in(&script);
    while let Some(line) = peer.next_line() {
        let line = String::from_utf8(line).unwrap();
        arrived.push(line.strip_prefix("sendall:").unwrap().parse().unwrap());
        peer.send("ok:\n");
    }
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let mut unsure = BTreeSet::new();
    for line in stderr_lines(&finished) {
        if let Some((number, _)) = line
            .strip_prefix("sender: line ")
            .and_then(|rest| rest.split_once(": the answer got lost: unsure"))
        {
            assert!(unsure.insert(number.parse::<usize>().unwrap()), "twice: {line}");
        }
    }
    let all: BTreeSet<usize> = arrived.iter().copied().collect();
    assert_eq!(all.len(), arrived.len(), "some arrived twice");
    // Of those that the first server saw and did not answer, the sender cannot be sure.
    assert!((41..=100).all(|number| unsure.contains(&number)), "{finished:?}");
    assert!((1..=40).all(|number| !unsure.contains(&number)), "{finished:?}");
    let missing: Vec<_> =
        (1..=1000).filter(|number| !all.contains(number) && !unsure.contains(number)).collect();
    assert_eq!(missing, [0; 0], "neither arrived nor reported: {finished:?}");
    let second = &arrived[100..];
    assert!(second.is_sorted(), "{second:?}");
    assert!(second.iter().all(|number| !unsure.contains(number)), "sent again though unsure");
    assert!(second.len() > 400, "{} texts after the loss", second.len());
}

/// A text after a `/join` is for the new room, also on the next connection.
#[test]
fn a_pipeline_that_reconnects_is_in_the_room_that_it_was_in() {
    let script = Script::new();
    let (mut sender, mut peer) = sender_in_room(&script, &["--reconnect"]);
    sender.say("/join bar\n");
    peer.expect("join:bar");
    peer.send("ok:\n");
    sender.say("one\n");
    peer.expect("sendall:one");
    peer.send("ok:\n");
    drop(peer);
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    peer.expect("join:bar");
    peer.send("ok:\n");
    sender.say("two\n/leave\n/join baz\nthree\n");
    for request in ["sendall:two", "leave:", "join:baz"] {
        peer.expect(request);
    }
    peer.send("ok:\nok:\n");
    peer.expect("sendall:three");
    // The answers to `/join baz` and to the text do not come any more.
    peer.reset();
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    peer.expect("join:baz");
    peer.send("ok:\n");
    sender.end_of_input();
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let unsure: Vec<_> =
        stderr_lines(&finished).into_iter().filter(|line| line.contains("unsure")).collect();
    assert_eq!(unsure, ["sender: line 6: the answer got lost: unsure whether it was sent"]);
}

/// It was let in before, and may be again.
#[test]
fn a_refusal_on_the_way_back_is_no_end() {
    let script = Script::new();
    let (mut sender, peer) = sender_in_room(&script, &["--reconnect"]);
    drop(peer);
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("err:f\u{fc}ll\n");
    sender.expect_stderr("sender: f\u{fc}ll; trying again in ");
    drop(peer);
    let mut peer = let_in(&script);
    sender.say("hi\n");
    peer.expect("sendall:hi");
    peer.send("ok:\n");
    sender.end_of_input();
    assert_eq!(sender.finish().status.code(), Some(0));
}

#[test]
fn a_plain_sender_that_finds_the_server_gone_loses_no_text() {
    let script = Script::new();
    let mut sender = script.start("sender", &["bob", "--reconnect"]);
    for text in ["one", "two", "three"] {
        // But for the first, each text meets a connection that has ended already.
        sender.say(format!("{text}\n"));
        let mut peer = script.accept();
        peer.expect("slogin:bob");
        peer.send("ok:\n");
        peer.expect(&format!("sendall:{text}"));
        peer.send("ok:\n");
        // A program that another test is just starting may have the connection open a bit longer.
        peer.end();
    }
    sender.end_of_input();
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(!stderr_lines(&finished).iter().any(|line| line.contains("unsure")), "{finished:?}");
}

/// What is left to do when the server is away and the input is over: nothing.
#[test]
fn no_client_waits_for_a_server_that_it_does_not_need() {
    for (args, ending) in [
        (&["bob", "--reconnect"][..], ""),
        (&["bob", "--reconnect"], "/quit\n"),
        (&["bob", "--reconnect", "--room", "cafe"], ""),
    ] {
        let script = Script::new();
        let mut sender = script.start("sender", args);
        let mut peer = script.accept();
        peer.send("ok:\nok:\n");
        peer.expect("slogin:bob");
        if args.contains(&"--room") {
            peer.expect("join:cafe");
        }
        drop((peer, script));
        if args.len() > 2 {
            sender.expect_stderr("trying again");
        }
        sender.say(ending);
        sender.end_of_input();
        let finished = sender.finish();
        assert_eq!(finished.status.code(), Some(0), "{args:?} {ending:?}: {finished:?}");
    }
    let script = Script::new();
    let receiver = run(
        "\"$chatbox\" receiver localhost $port eve cafe --reconnect | head -n 1; echo ${PIPESTATUS[0]}",
        &script.port,
    );
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
    peer.expect("rlogin:eve");
    peer.expect("join:cafe");
    drop((peer, script));
    let finished = receiver.finish();
    assert_eq!(finished.stdout, b"bob: hi\n141\n", "{finished:?}");
}

#[test]
fn an_answer_without_an_end_is_a_failure() {
    for applet in ["sender", "receiver"] {
        let script = Script::new();
        let args: &[&str] = if applet == "sender" { &["bob"] } else { &["eve", "cafe"] };
        let client = script.start(applet, args);
        let mut peer = script.accept();
        peer.line();
        peer.send(format!("ok:{}\n", "x".repeat(20_000)));
        client.finish().assert_one_error(1, "more than 16384 bytes");
    }
}

#[test]
fn what_a_server_says_before_it_goes_is_the_reason() {
    let script = Script::new();
    let (mut sender, mut peer) = sender_in_room(&script, &[]);
    sender.say("one\n");
    peer.expect("sendall:one");
    peer.send("ok:\nerr:closing time\n");
    drop(peer);
    sender.finish().assert(1, b"", "sender: the server closed the connection: closing time\n");
}

/// As one plays a server with `nc`: all answers are there before the first request.
#[test]
fn answers_may_be_early() {
    for args in [&["bob"][..], &["bob", "--room", "cafe"], &["bob", "--room", "cafe", "-m", "hi"]] {
        let script = Script::new();
        let mut sender = script.start("sender", args);
        let mut peer = script.accept();
        peer.send("ok:1\nok:2\nok:3\nerr:four\nok:5\n");
        sender.say("/join bar\nhi\nhello\n");
        sender.end_of_input();
        let finished = sender.finish();
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        let expected = match args.len() {
            1 => "four\n",
            3 => "sender: line 2: four\n",
            _ => "",
        };
        assert_eq!(stderr, expected, "{finished:?}");
    }
}

#[test]
fn colours_in_a_pipe_come_without_the_harm() {
    let script = Script::new();
    let args = ["eve", "cafe", "--color", "always", "-n", "1"];
    let receiver = script.start("receiver", &args);
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:\x1b[2J\n");
    let finished = receiver.finish();
    let line = String::from_utf8(finished.stdout.clone()).unwrap();
    assert!(line.contains("\x1b[0m: \\x1b[2J"), "{finished:?}");
}

/// The numbers of the lines, or texts, that a sender is not sure of.
fn unsure(finished: &Finished) -> Vec<usize> {
    let number = |line: String| {
        let (place, _) = line.split_once(": the answer got lost: unsure")?;
        place.rsplit(' ').next()?.parse().ok()
    };
    stderr_lines(finished).into_iter().filter_map(number).collect()
}

/// The server takes as many requests as there are without an answer, and goes.
fn take_without_answer(peer: &mut Peer, count: usize) {
    for _ in 0..count {
        assert!(peer.line().starts_with("sendall:"));
    }
}

/// Lines that have been read and do not fit into the window are sent on the next connection.
#[test]
fn lines_that_waited_behind_unsure_ones_are_sent() {
    let script = Script::new();
    let (mut sender, mut peer) = sender_in_room(&script, &["--reconnect"]);
    sender.say((1..=700).map(|number| format!("{number}\n")).collect::<String>() + "last");
    sender.end_of_input();
    take_without_answer(&mut peer, 512);
    peer.send("ok:\n".repeat(100));
    take_without_answer(&mut peer, 100);
    peer.end();
    let mut peer = let_in(&script);
    for number in (613..=700).map(|number| number.to_string()).chain(["last".into()]) {
        peer.expect(&format!("sendall:{number}"));
        peer.send("ok:\n");
    }
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(unsure(&finished), (101..=612).collect::<Vec<_>>());
}

#[test]
fn texts_that_waited_behind_unsure_ones_are_sent() {
    let script = Script::new();
    let numbers: Vec<_> = (1..=600).map(|number| number.to_string()).collect();
    let mut args = vec!["--reconnect"];
    numbers.iter().for_each(|number| args.extend(["-m", number]));
    let (sender, mut peer) = sender_in_room(&script, &args);
    take_without_answer(&mut peer, 512);
    drop(peer);
    let mut peer = let_in(&script);
    for number in 513..=600 {
        peer.expect(&format!("sendall:{number}"));
    }
    peer.send("ok:\n".repeat(88));
    assert_eq!(unsure(&sender.finish()), (1..=512).collect::<Vec<_>>());
}

/// Nothing is left to send, so nobody has to wait for the server.
#[test]
fn nobody_waits_for_a_server_only_to_leave() {
    for (args, input) in [
        (&["bob", "--room", "cafe", "--reconnect", "-m", "one"][..], ""),
        (&["bob", "--room", "cafe", "--reconnect"], "one\n/quit\n"),
        (&["bob", "--room", "cafe", "--reconnect"], "one\n/leave\n/join bar\n"),
        (&["bob", "--room", "cafe", "--reconnect"], "one"),
    ] {
        let script = Script::new();
        let mut sender = script.start("sender", args);
        sender.say(input);
        sender.end_of_input();
        let mut peer = let_in(&script);
        peer.expect("sendall:one");
        drop((peer, script));
        let finished = sender.finish();
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert_eq!(unsure(&finished), [1], "{finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr);
        assert!(!stderr.contains("trying again"), "{finished:?}");
        assert!(stderr.contains("sender: the "), "no reason: {finished:?}");
    }
}

/// The end of input comes while the server is away, after a line that has no end.
#[test]
fn a_last_line_without_an_end_waits_for_the_server() {
    let server = Server::start();
    let port = server.port.to_string();
    let args = ["bob", "--room", "cafe", "--reconnect"];
    let mut sender = Program::start(server.client("sender", &args));
    server.program.expect_stderr("joined room cafe");
    sender.say("two");
    drop(server);
    sender.expect_stderr("trying again");
    sender.end_of_input();
    let server = Server::run(chatbox(["server", &port, "-v"]));
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    receiver.expect("delivery:cafe:bob:two");
    assert_eq!(sender.finish().status.code(), Some(0));
}

#[test]
fn a_pipeline_that_ends_with_the_server_says_what_had_no_answer() {
    for (answers, said) in [
        (0, "lines 1 to 4 have no answer"),
        (2, "lines 3 to 4 have no answer"),
        (3, "line 4 has no answer"),
    ] {
        let script = Script::new();
        let (mut sender, mut peer) = sender_in_room(&script, &[]);
        sender.say("1\n2\n3\n4\n");
        take_without_answer(&mut peer, 4);
        peer.send("ok:\n".repeat(answers));
        drop(peer);
        let expected = format!("sender: the server closed the connection; {said}\n");
        sender.finish().assert(1, b"", &expected);
    }
}

/// Real servers, killed again and again under a pipeline: a receiver that is there all the time
/// sees no text twice and all in order.
#[test]
fn a_pipeline_survives_servers_that_are_killed() {
    let server = Server::start();
    let port = server.port;
    let args = ["bob", "--room", "cafe", "--reconnect"];
    let mut sender = Program::start(server.client("sender", &args));
    server.program.expect_stderr("joined room cafe");
    let mut server = server;
    let mut seen = Vec::new();
    for round in 0..4 {
        let mut receiver = Peer::receiver(port, "eve", "cafe");
        let lines = numbered("", 1000).replace("sendall:", &format!("{round}x"));
        sender.say(lines);
        for _ in 0..500 {
            seen.push(receiver.line());
        }
        drop(server);
        server = Server::run(chatbox(["server", &port.to_string(), "-v"]));
        server.program.expect_stderr("joined room cafe");
    }
    drop(sender);
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "some came twice");
    assert!(seen.iter().map(|line| key(line)).is_sorted(), "out of order: {seen:?}");
}

/// The round and the number of a text.
fn key(line: &str) -> (usize, usize) {
    let text = line.rsplit(':').next().unwrap();
    let (round, number) = text.split_once('x').unwrap();
    (round.parse().unwrap(), number.parse().unwrap())
}
