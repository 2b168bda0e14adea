//! Which cases are tried, and words that make no sense.

use crate::fault::Fault;
use crate::faulty_server::start;
use crate::run::{check, report, verdicts};

fn listed(words: &[&str]) -> Vec<String> {
    let finished = check(&[words, &["--list"]].concat());
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let text = String::from_utf8(finished.stdout).unwrap();
    text.lines().map(|line| line.split_once("  ").unwrap().0.to_owned()).collect()
}

#[test]
fn cases_are_listed_with_what_they_ask() {
    for what in ["server", "sender", "receiver"] {
        let (full, assignment) = (listed(&[what]), listed(&[what, "--profile", "assignment"]));
        assert!(full.len() > 40 && assignment.len() > 20 && assignment.len() < full.len());
        assert!(full.iter().all(|id| id.starts_with(&format!("{what}/"))), "{full:?}");
        assert!(assignment.iter().all(|id| full.contains(id)), "{assignment:?}");
        let mut once = full.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), full.len(), "an id stands twice");
    }
    let shared = listed(&["server", "--shared"]);
    assert!(!shared.iter().any(|id| id.starts_with("server/crowd/")), "{shared:?}");
    assert!(shared.len() > 100);
}

#[test]
fn globs_choose_by_id() {
    let server = start(Fault::Nothing);
    let port = server.port.to_string();
    let chosen = |globs: &[&str]| {
        let (status, report) = report(&[&["server"], globs, &["127.0.0.1", &port]].concat());
        assert_eq!(status, 0, "{report:#}");
        verdicts(&report).into_keys().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["--only", "server/answers/empty-line"]), ["server/answers/empty-line"]);
    let two = chosen(&["--only", "*/empty-line", "--only=server/texts/n?l"]);
    assert_eq!(two, ["server/answers/empty-line", "server/texts/nul"]);
    let texts = chosen(&["--only", "server/texts/*", "--skip", "*/nul", "--skip", "*/*-*"]);
    assert_eq!(texts, ["server/texts/empty", "server/texts/plain", "server/texts/spaces"]);
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for (words, why) in [
        (
            &["server", "--only", "nothing/*", "--", "x"][..],
            "no case of the profile full matches 'nothing/*'",
        ),
        (
            &["server", "--skip", "nothing", "--", "x"],
            "no case of the profile full matches 'nothing'",
        ),
        (
            &["server", "--profile", "assignment", "--only", "*/nul", "--", "x"],
            "profile assignment",
        ),
        (&["server", "--skip", "*", "--", "x"], "no case is left"),
        (&["server", "localhost"], "HOST PORT, or --"),
        (&["server", "localhost", "0"], "a port is a number"),
        (&["server", "localhost", "1", "--", "x"], "HOST PORT, or --"),
        (&["server", "--tls", "--", "x"], "need a server that runs"),
        (&["sender", "--insecure", "--", "x"], "need a server that runs"),
        (&["server", "--cacert", "x", "localhost", "5000"], "need --tls"),
        (&["server", "--tls", "/tmp", "5000"], "no TLS on a Unix socket"),
        (&["server", "--"], "HOST PORT, or --"),
        (&["server"], "HOST PORT, or --"),
        (&["sender", "localhost", "5000"], "a client is -- and a command"),
        (&["waiter", "--", "x"], "server, sender or receiver is needed"),
        (&[], "WHAT"),
        (&["server", "--group", "--", "x"], "need --format gradescope"),
        (&["server", "--points", "5", "--", "x"], "need --format gradescope"),
        (&["server", "--format", "html", "--", "x"], "text, tap, json, junit or gradescope"),
        (&["server", "--profile", "half", "--", "x"], "assignment or full"),
    ] {
        let finished = check(words);
        assert_eq!(finished.status.code(), Some(2), "{words:?}: {finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert!(stderr.lines().count() == 1 && stderr.contains(why), "{words:?}: {stderr}");
        assert_eq!(finished.stdout, b"", "{finished:?}");
    }
}
