//! Programs that crash, hang, or are not there; and the end of a check before its time.

use std::net::TcpListener;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::fault::Fault;
use crate::faulty_server::program::command;
use crate::faulty_server::start;
use crate::harness::ports::ClosedPort;
use crate::harness::{Signal, wait_until};
use crate::own::{endless, is_running, scratch};
use crate::run::{check, failed, report, with_verdict};

/// What is said of a case.
fn came(report: &serde_json::Value, id: &str) -> String {
    let case = report["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap();
    case["came"].as_str().unwrap_or_else(|| panic!("{case}")).to_owned()
}

#[test]
fn a_crash_costs_the_case_and_is_told_and_the_rest_has_a_fresh_server() {
    let command = command(Fault::EmptyLineAborts);
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    let skip = ["server", "--skip", "server/running/*", "--skip", "server/crowd/*", "--"];
    let (status, report) = report(&[&skip[..], &words].concat());
    assert_eq!(status, 1, "{report:#}");
    let failing = ["server/answers/empty-line", "server/answers/many-bad", "server/strangers/http"];
    assert_eq!(failed(&report), failing);
    assert_eq!(with_verdict(&report, "error"), [""; 0]);
    let came = came(&report, "server/answers/empty-line");
    assert!(came.contains("the server has ended, with the end by signal 6 (SIGABRT)"), "{came}");
}

/// Also where the case has the server for itself.
#[test]
fn a_crash_of_a_server_that_a_case_has_taken_is_told() {
    let command = command(Fault::EmptyLineAborts);
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    let only = ["server", "--only", "server/running/silent-stdout", "--"];
    let (status, report) = report(&[&only[..], &words].concat());
    assert_eq!(status, 1, "{report:#}");
    let came = came(&report, "server/running/silent-stdout");
    assert!(came.contains("the server has ended, with the end by signal 6 (SIGABRT)"), "{came}");
}

#[test]
fn a_hang_costs_the_case_and_the_rest_has_a_fresh_server() {
    let command = command(Fault::EmptyLineHangs);
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    let only = ["server", "--timeout", "3", "--only", "server/answers/*", "--"];
    let (status, report) = report(&[&only[..], &words].concat());
    let failing = vec!["server/answers/empty-line", "server/answers/many-bad"];
    assert_eq!((status, failed(&report)), (1, failing), "{report:#}");
    assert_eq!(with_verdict(&report, "error"), [""; 0]);
    let came = came(&report, "server/answers/empty-line");
    assert!(came.contains("nothing within 3 s (--timeout)"), "{came}");
}

#[test]
fn without_a_fresh_server_the_rest_could_not_be_tried() {
    let server = start(Fault::EmptyLineHangs);
    let port = server.port.to_string();
    let words = ["server", "--timeout", "3", "--only", "server/answers/*", "localhost", &port];
    let (status, report) = report(&words);
    assert_eq!((status, failed(&report)), (1, vec!["server/answers/empty-line"]), "{report:#}");
    assert!(report["errors"].as_u64().unwrap() >= 10, "{report:#}");
    let came = came(&report, "server/answers/unread");
    assert!(came.contains("not tried: the server does not answer"), "{came}");
}

#[test]
fn after_three_time_outs_the_rest_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    thread::spawn(move || listener.incoming().flatten().map(std::mem::forget).count());
    let begun = Instant::now();
    let (status, report) = report(&["server", "--timeout", "1", "localhost", &port]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!((status, failed(&report)), (1, vec!["server/states/new-slogin"]), "{report:#}");
    let came = came(&report, "server/history/no-hole");
    assert!(came.contains("three time-outs in a row"), "{came}");
}

/// Each case could have its time-out, and the report would come too late for those who wait for it.
#[test]
fn who_never_says_a_word_is_left_alone_soon() {
    let begun = Instant::now();
    let silent = command(Fault::NeverAnswers);
    let silent: Vec<_> = silent.iter().map(String::as_str).collect();
    for (kind, words) in [("server", &silent[..]), ("receiver", &["sh", "-c", "exec sleep 1000"])] {
        let (status, report) = report(&[&[kind, "--timeout", "1", "--"], words].concat());
        assert_eq!(status, 1, "{report:#}");
        assert!(report["errors"].as_u64().unwrap() > 10, "{report:#}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn what_is_not_there_is_told_in_one_line() {
    let closed_port = ClosedPort::new();
    let closed = closed_port.port.to_string();
    for (words, why) in [
        (&["server", "localhost", &closed][..], "refused"),
        (&["server", "no such host", "5000"], "no such host"),
        (&["server", "/no/such/folder", "5000"], "No such file"),
        (&["server", "--tls", "--insecure", "localhost", &closed], "refused"),
        (&["server", "--", "/no/such/program"], "No such file"),
        (&["sender", "--", "/no/such/program"], "No such file"),
        (&["server", "--", "false"], "exit status 1"),
        (&["server", "--", "sh", "-c", "echo gone fishing >&2; exit 3"], "gone fishing"),
    ] {
        let finished = check(words);
        assert_eq!(finished.status.code(), Some(3), "{finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr);
        assert!(stderr.starts_with("check: nothing could be tested: "), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(why), "{stderr}");
    }
}

#[test]
fn a_signal_ends_all_that_was_started() {
    for signal in [Signal::INT, Signal::TERM] {
        let note = scratch("signal").join("pids");
        let script = "setsid sleep 1000 & echo $! >\"$0.new\"; echo $$ >>\"$0.new\"
                      mv \"$0.new\" \"$0\"; exec sleep 1000";
        let program = endless(script, note.to_str().unwrap());
        wait_until(|| note.exists(), || format!("{program:?}"));
        program.signal(signal);
        let finished = program.finish();
        assert_eq!(finished.status.code(), None, "{finished:?}");
        let pids = fs::read_to_string(&note).unwrap();
        wait_until(|| !pids.lines().any(is_running), || pids.clone());
    }
}
