//! `chatbox bench`, against our own server and against ones that do it wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::ports::ClosedPort;
use crate::harness::{Finished, Program, Server, chatbox, limited};

fn bench(port: u16, flags: &[&str]) -> Finished {
    let port = port.to_string();
    let mut command = chatbox(["bench", "127.0.0.1", &port]);
    command.args(flags);
    Program::start(command).finish()
}

/// Runs a load with `--json` and returns its exit status and what it reports.
fn figures(port: u16, flags: &[&str]) -> (i32, Value) {
    let finished = bench(port, &[flags, &["--json"]].concat());
    let json = serde_json::from_slice(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
    (finished.status.code().unwrap(), json)
}

fn count(json: &Value, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

#[test]
fn a_server_that_does_it_right_is_clean() {
    let server = Server::with(&[]);
    let flags = ["--senders", "5", "--receivers", "12", "--rooms", "3", "--window", "8"];
    let flags = [&flags[..], &["--messages", "200", "--size", "246"]].concat();
    let (status, json) = figures(server.port, &flags);
    assert_eq!(status, 0, "{json}");
    assert_eq!(count(&json, "texts"), 1000);
    // Senders 0 to 4 are in rooms 0, 1, 2, 0, 1, and each room has four receivers.
    assert_eq!(count(&json, "deliveries"), 4000);
    for fault in ["lost", "duplicated", "reordered", "refused", "unanswered", "cut_off", "strays"] {
        assert_eq!(count(&json, fault), 0, "{fault}: {json}");
    }
    for times in ["delivery_us", "answer_us"] {
        let times =
            ["p50", "p90", "p99", "p99.9", "max"].map(|name| json[times][name].as_f64().unwrap());
        assert!(times[0] > 0.0 && times.is_sorted(), "{json}");
    }
}

#[test]
fn people_get_a_table_and_a_picture_and_no_progress_in_a_pipe() {
    let server = Server::with(&[]);
    let finished = bench(server.port, &["--seconds", "0.5", "--histogram"]);
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stderr, b"", "{finished:?}");
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    for word in
        ["texts", "deliveries", "p99.9", "send to delivery", "send to answer", "reordered", " % #"]
    {
        assert!(text.contains(word), "no {word}: {finished:?}");
    }
    let lost = text.lines().find(|line| line.starts_with("lost")).unwrap();
    assert_eq!(lost.split_whitespace().last(), Some("0"), "{finished:?}");
}

#[test]
fn a_rate_is_kept() {
    let server = Server::with(&[]);
    let rate = ["--senders", "4", "--rate", "200"];
    let (status, json) = figures(server.port, &[&rate[..], &["--messages", "75"]].concat());
    assert_eq!((status, count(&json, "texts")), (0, 300), "{json}");
    // The first text is due at once, and the last one after 299 of the pauses between them.
    let seconds = json["seconds"].as_f64().unwrap();
    assert!((1.495..15.0).contains(&seconds), "{json}");
    let (status, json) = figures(server.port, &[&rate[..], &["--seconds", "1.5"]].concat());
    // What is due at the very end may come too late on a busy machine.
    assert_eq!(status, 0, "{json}");
    assert!((30..=300).contains(&count(&json, "texts")), "{json}");
}

/// It does not make what it cannot send, and it stops when it is time.
#[test]
fn a_rate_that_cannot_be_kept_ends_in_time_and_says_so() {
    let server = Server::with(&[]);
    let port = server.port.to_string();
    let mut command = chatbox(["bench", "127.0.0.1", &port, "--json"]);
    command.args(["--senders", "2", "--receivers", "1", "--rate", "1e9", "--seconds", "1"]);
    let begun = Instant::now();
    let mut bench = Program::start(command);
    let mut most = 0;
    while bench.is_running() {
        most = most.max(bench.memory_if_running());
        assert!(begun.elapsed() < Duration::from_secs(20), "{most} KiB: {bench:?}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(most < 64 * 1024, "{most} KiB");
    let finished = bench.finish();
    let json: Value = serde_json::from_slice(&finished.stdout).expect("JSON");
    assert_eq!(finished.status.code(), Some(0), "{json}");
    assert_eq!(count(&json, "texts") + count(&json, "unsent"), 1_000_000_000, "{json}");
    assert_eq!(count(&json, "lost") + count(&json, "unanswered"), 0, "{json}");
}

#[test]
fn one_of_a_kind_is_called_so() {
    let server = Server::with(&[]);
    let finished = bench(server.port, &["--receivers", "2", "--messages", "1"]);
    assert!(finished.stdout.starts_with(b"1 sender, 2 receivers, 1 room, texts"), "{finished:?}");
}

/// What a server does with the tenth text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Lose,
    Double,
    DoubleLater,
    Swap,
    Refuse,
    /// Refuses this one, delivers it all the same, and loses the next.
    RefuseAndLose,
    /// Delivers a text that nobody sent, beside this one.
    Invent,
    DoNotAnswer,
    Stall,
    CutReceivers,
}

/// A server that does it right but for one fault.
fn faulty(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receivers: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let receivers = Arc::clone(&receivers);
            thread::spawn(move || serve(stream, &receivers, fault));
        }
    });
    port
}

fn serve(stream: TcpStream, receivers: &Mutex<Vec<TcpStream>>, fault: Fault) {
    let mut output = stream.try_clone().unwrap();
    let mut answer = move |line: &str| output.write_all(line.as_bytes()).is_ok();
    let deliver = |text: &str| {
        for receiver in receivers.lock().unwrap().iter_mut() {
            let _ = receiver.write_all(format!("delivery:room:bench:{text}\n").as_bytes());
        }
    };
    let (mut texts, mut receives) = (0, false);
    let (mut held, mut later) = (None, None);
    for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
        match line.split_once(':').unwrap() {
            ("rlogin", _) => {
                receives = true;
                answer("ok:\n");
            }
            ("join", _) if receives => {
                // Nobody may send before it is listed, nor deliver before it has its answer.
                let mut receivers = receivers.lock().unwrap();
                answer("ok:\n");
                receivers.push(stream.try_clone().unwrap());
            }
            ("sendall", text) => {
                texts += 1;
                match fault {
                    Fault::RefuseAndLose if texts == 11 => {}
                    _ if texts != 10 => deliver(text),
                    Fault::Lose => {}
                    Fault::DoubleLater => {
                        deliver(text);
                        later = Some(text.to_owned());
                    }
                    Fault::RefuseAndLose => {
                        deliver(text);
                        answer("err:no\n");
                        continue;
                    }
                    Fault::Invent => {
                        deliver(&text.replacen("000", "fff", 2));
                        deliver(text);
                    }
                    Fault::DoNotAnswer => {
                        deliver(text);
                        continue;
                    }
                    Fault::Double => {
                        deliver(text);
                        deliver(text);
                    }
                    Fault::Swap => held = Some(text.to_owned()),
                    Fault::Refuse => {
                        answer("err:no\n");
                        continue;
                    }
                    Fault::Stall => {
                        thread::sleep(Duration::from_millis(500));
                        deliver(text);
                    }
                    Fault::CutReceivers => {
                        for receiver in receivers.lock().unwrap().drain(..) {
                            receiver.shutdown(std::net::Shutdown::Both).unwrap();
                        }
                    }
                }
                if texts == 11
                    && let Some(text) = held.take()
                {
                    deliver(&text);
                }
                answer("ok:\n");
                if texts == 20
                    && let Some(text) = later.take()
                {
                    // All that should come has come.
                    thread::sleep(Duration::from_millis(50));
                    deliver(&text);
                }
            }
            _ => drop(answer("ok:\n")),
        }
    }
}

#[test]
fn what_a_server_does_wrong_is_called_by_its_name() {
    for (fault, name, times) in [
        (Fault::Double, "duplicated", 3),
        (Fault::DoubleLater, "duplicated", 3),
        (Fault::Invent, "strays", 3),
        (Fault::Swap, "reordered", 3),
        (Fault::Refuse, "refused", 1),
        // Twenty texts, of which the first nine arrived.
        (Fault::CutReceivers, "lost", 33),
    ] {
        let (status, json) =
            figures(faulty(fault), &["--receivers", "3", "--messages", "20", "--window", "4"]);
        let dirty = !matches!(fault, Fault::Refuse | Fault::Invent);
        assert_eq!(status, i32::from(dirty), "{fault:?}: {json}");
        assert_eq!(count(&json, name), times, "{fault:?}: {json}");
        for other in ["lost", "duplicated", "reordered", "refused"] {
            assert!(other == name || count(&json, other) == 0, "{other} by {fault:?}: {json}");
        }
    }
}

#[test]
fn no_fault_hides_another() {
    let flags = ["--receivers", "3", "--messages", "20"];
    let (status, json) = figures(faulty(Fault::RefuseAndLose), &flags);
    assert_eq!((status, count(&json, "lost"), count(&json, "refused")), (1, 3, 1), "{json}");
}

#[test]
fn a_text_without_an_answer_is_a_failure() {
    let flags = ["--receivers", "3", "--messages", "20"];
    let (status, json) = figures(faulty(Fault::DoNotAnswer), &flags);
    assert_eq!((status, count(&json, "unanswered"), count(&json, "lost")), (1, 1, 0), "{json}");
}

#[test]
fn a_server_that_goes_away_is_a_failure_and_ends_the_load() {
    for window in ["1", "64"] {
        let server = Server::with(&[]);
        let port = server.port.to_string();
        let args = ["bench", "127.0.0.1", &port, "--seconds", "100", "--json", "--window", window];
        let bench = Program::start(chatbox(args));
        server.wait_for_report("texts", |texts| texts > 1000);
        let begun = Instant::now();
        drop(server);
        let finished = bench.finish();
        assert!(begun.elapsed() < Duration::from_secs(8), "waits for nothing");
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
        assert_eq!(count(&json, "cut_off"), 11, "{json}");
        assert_eq!(count(&json, "duplicated") + count(&json, "reordered"), 0, "{json}");
    }
}

#[test]
fn a_loss_is_a_failure_in_the_table_too() {
    let finished = bench(faulty(Fault::Lose), &["--receivers", "3", "--messages", "20"]);
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let lost = text.lines().find(|line| line.starts_with("lost")).unwrap();
    assert_eq!(lost.split_whitespace().last(), Some("3"), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert!(stderr.contains("lost") && stderr.lines().count() == 1, "{finished:?}");
}

/// A stall of half a second is seen by all texts that were due in it, not by one.
#[test]
fn a_stall_is_not_hidden_when_there_is_a_rate() {
    let flags = ["--receivers", "1", "--rate", "200", "--seconds", "1"];
    let (status, json) = figures(faulty(Fault::Stall), &flags);
    assert_eq!(status, 0, "{json}");
    let slow_half = json["delivery_us"]["p90"].as_f64().unwrap();
    assert!(slow_half > 200_000.0, "{json}");
}

#[test]
fn what_cannot_be_held_open_is_said_before_it_begins() {
    let server = Server::with(&["--max-clients", "5"]);
    let port = server.port.to_string();
    let refused = bench(server.port, &["--receivers", "10"]);
    refused.assert_one_error(
        1,
        "5 of 11 clients are logged in, and then the server said: the server is full",
    );
    let few = limited("-n 40", &["bench", "127.0.0.1", &port, "--receivers", "100"]);
    Program::start(few).finish().assert_one_error(1, "and 101 are wanted; raise it with ulimit -n");
    let closed = ClosedPort::new();
    bench(closed.port, &[]).assert_one_error(1, "0 of 11 clients are connected");
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closing.local_addr().unwrap().port();
    thread::spawn(move || closing.incoming().map(drop).count());
    bench(port, &[]).assert_one_error(1, "0 of 11 clients are logged in, and the server closed");
}

#[test]
fn flags_that_make_no_sense_are_one_line() {
    for flags in [
        &["--senders", "0"][..],
        &["--senders", "65537"],
        &["--size", "27"],
        &["--size", "247"],
        &["--rate", "0"],
        &["--rate", "fast"],
        &["--seconds", "-1"],
        &["--messages", "1", "--seconds", "1"],
        &["--window", "0"],
        &["--messages", "0"],
        &["--messages", "4294967296"],
        &["--json", "--histogram"],
    ] {
        bench(1, flags).assert_one_error(2, "chatbox bench");
    }
}
