//! `bench --history`, against our own server and against ones that keep it wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Finished, Program, Server, chatbox};
use crate::scratch::Scratch;

fn bench(port: u16, flags: &[&str]) -> Finished {
    let port = port.to_string();
    let args = [&["bench", "localhost", &port, "--history"], flags].concat();
    Program::start(chatbox(args)).finish()
}

/// The exit status and what is reported.
fn figures(port: u16, flags: &[&str]) -> (Option<i32>, Value) {
    let finished = bench(port, &[flags, &["--json"]].concat());
    let json = serde_json::from_slice(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
    (finished.status.code(), json)
}

#[test]
fn what_was_sent_can_be_replayed_once_and_in_order() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let flags = ["--senders", "5", "--receivers", "3", "--rooms", "3", "--window", "64"];
    let (status, json) = figures(server.port, &[&flags[..], &["--messages", "400"]].concat());
    let clean = json!({"texts": 2000, "lost": 0, "duplicated": 0, "reordered": 0, "strays": 0});
    assert_eq!((status, &json["replay"]), (Some(0), &clean), "{json}");
    let sql = "SELECT count(*) FROM texts WHERE sender = 'bench'";
    let kept = scratch.database().query_row(sql, [], |row| row.get(0));
    assert_eq!(kept, Ok(2000_i64));
    // As a table.
    let finished = bench(server.port, &["--messages", "7", "--receivers", "1"]);
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    let line = shown.lines().find(|line| line.starts_with("replayed ")).unwrap();
    let (count, faults) = line.split_once("; ").unwrap();
    assert_eq!(count.split_whitespace().last(), Some("7"), "{finished:?}");
    assert_eq!(faults, "lost 0, duplicated 0, reordered 0, strays 0", "{finished:?}");
}

#[test]
fn a_server_that_keeps_nothing_is_told_of_before_anything_is_sent() {
    let server = Server::start();
    bench(server.port, &["--messages", "1"]).assert_one_error(1, "does not keep what is said");
    assert_eq!(server.reports("texts"), 0);
    let port = server.port;
    drop(server);
    bench(port, &["--messages", "1"]).assert_one_error(1, "cannot connect");
}

#[test]
fn without_the_flag_nothing_is_replayed() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let port = server.port.to_string();
    let args = ["bench", "localhost", &port, "--messages", "5", "--json"];
    let finished = Program::start(chatbox(args)).finish();
    let json: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(json["replay"], Value::Null);
}

/// What is wrong with a history of twenty texts: with the fifth of them, if with any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Lose,
    Double,
    Swap,
    /// Its number is left out.
    Hole,
    /// It was refused, and is kept all the same.
    KeepRefused,
    /// Nobody sent what is kept in its place.
    Invent,
    /// The connection ends after it.
    Close,
}

impl Fault {
    /// The records of what was said.
    fn records(self, said: &[String]) -> Vec<(usize, String)> {
        let mut texts = said.to_vec();
        match self {
            Fault::Lose => drop(texts.remove(4)),
            Fault::Double => texts.insert(5, said[4].clone()),
            Fault::Swap => texts.swap(4, 5),
            Fault::Invent => texts[4] = "nobody said this".into(),
            Fault::None | Fault::Hole | Fault::KeepRefused | Fault::Close => {}
        }
        let hole = |seq| usize::from(self == Fault::Hole && seq > 4);
        (1..).zip(texts).map(|(seq, text)| (seq + hole(seq), text)).collect()
    }
}

/// What all connections to such a server share.
struct Room {
    fault: Fault,
    said: Mutex<Vec<String>>,
    receivers: Mutex<Vec<TcpStream>>,
}

/// A server that does it right, but for one fault in its history.
fn faulty(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let room = Arc::new(Room { fault, said: Mutex::default(), receivers: Mutex::default() });
    thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            let room = Arc::clone(&room);
            thread::spawn(move || serve(stream, &room));
        }
    });
    port
}

fn serve(stream: TcpStream, room: &Room) {
    let mut output = stream.try_clone().unwrap();
    let mut answer = move |line: &str| drop(output.write_all(format!("{line}\n").as_bytes()));
    let (mut receives, mut asked) = (false, None);
    for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
        match line.split_once(':').unwrap() {
            ("history", from) => {
                asked = Some(from.to_owned());
                answer("ok:");
            }
            ("join", _) if asked.is_some() => {
                if asked.as_deref() == Some("") {
                    answer("ok: @7-0..0");
                    continue;
                }
                assert_eq!(asked.as_deref(), Some("after=7-0"));
                let records = room.fault.records(&room.said.lock().unwrap());
                answer(&format!("ok: @7-0..{}", records.last().unwrap().0));
                for (seq, text) in records {
                    answer(&format!("record:7-{seq}:1:room:bench:{text}"));
                    if seq == 5 && room.fault == Fault::Close {
                        stream.shutdown(std::net::Shutdown::Both).unwrap();
                    }
                }
            }
            ("join", _) if receives => {
                let mut receivers = room.receivers.lock().unwrap();
                answer("ok:");
                receivers.push(stream.try_clone().unwrap());
            }
            ("sendall", text) => {
                let mut said = room.said.lock().unwrap();
                said.push(text.to_owned());
                if said.len() == 5 && room.fault == Fault::KeepRefused {
                    answer("err:no");
                    continue;
                }
                for receiver in room.receivers.lock().unwrap().iter_mut() {
                    let _ = receiver.write_all(format!("delivery:room:bench:{text}\n").as_bytes());
                }
                answer("ok:");
            }
            (tag, _) => {
                receives = tag == "rlogin";
                answer("ok:hello +history");
            }
        }
    }
}

#[test]
fn what_a_history_has_wrong_is_called_by_its_name() {
    for (fault, wrong) in [
        (Fault::None, &[][..]),
        (Fault::Lose, &[("lost", 1)]),
        (Fault::Double, &[("duplicated", 1)]),
        (Fault::Swap, &[("reordered", 1)]),
        (Fault::Hole, &[("strays", 1)]),
        (Fault::KeepRefused, &[("strays", 1)]),
        (Fault::Invent, &[("lost", 1), ("strays", 1)]),
        (Fault::Close, &[("lost", 15)]),
    ] {
        let (status, json) = figures(faulty(fault), &["--receivers", "1", "--messages", "20"]);
        for name in ["lost", "duplicated", "reordered", "strays"] {
            let expected =
                wrong.iter().find(|(wrong, _)| *wrong == name).map_or(0, |wrong| wrong.1);
            assert_eq!(json["replay"][name], expected, "{name} with {fault:?}: {json}");
        }
        assert_eq!(json["lost"], 0, "the load itself went well: {json}");
        assert_eq!(status, Some(i32::from(!wrong.is_empty())), "{fault:?}: {json}");
    }
}
