//! Our own programs are right.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::harness::{Place, Program, Server, Way};
use crate::over_each_way;
use crate::run::{check, report, trouble, with_verdict};

const CHATBOX: &str = env!("CARGO_BIN_EXE_chatbox");

/// A folder for this test alone.
pub fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// All cases pass; those that are skipped all begin so.
fn assert_right(words: &[&str], skipped: Option<&str>) {
    // However busy this machine is.
    let (status, report) = report(&[&words[..1], &["--timeout", "60"], &words[1..]].concat());
    assert_eq!(status, 0, "{}", trouble(&report));
    let others = with_verdict(&report, "skip");
    let expected = |id: &&str| skipped.is_some_and(|start| id.starts_with(start));
    assert!(others.iter().all(expected), "{others:?}");
    assert!(report["passed"].as_u64().unwrap() > 40, "{report:#}");
}

#[test]
fn our_server_is_right() {
    assert_right(&["server", "--", CHATBOX, "server"], Some("server/history/"));
}

#[test]
fn our_server_that_keeps_what_is_said_is_right() {
    let file = scratch("history").join("chat.db");
    let words = ["server", "--", CHATBOX, "server", "--history", file.to_str().unwrap()];
    assert_right(&words, Some("server/history/not-offered"));
}

over_each_way! {
    our_server_is_right_for_those_who_find_it_running
}

fn our_server_is_right_for_those_who_find_it_running(way: Way) {
    let server = Server::over(way, &[]);
    let port = server.port.to_string();
    let (status, report) = match server.place() {
        Place::Port(_) => report(&["server", "localhost", &port]),
        Place::Socket(path) => report(&["server", path.parent().unwrap().to_str().unwrap(), &port]),
        Place::Tls(_, authority) => {
            report(&["server", "--tls", "--cacert", &authority.own(), "localhost", &port])
        }
    };
    assert_eq!(status, 0, "{}", trouble(&report));
    let skipped = with_verdict(&report, "skip");
    let expected =
        |id: &&str| ["server/history/", "server/running/"].iter().any(|it| id.starts_with(it));
    assert!(skipped.iter().all(expected), "{skipped:?}");
}

#[test]
fn our_sender_and_receiver_are_right() {
    for client in ["sender", "receiver"] {
        assert_right(&[client, "--", CHATBOX, client], None);
    }
}

#[test]
fn by_their_links_they_are_right_too() {
    let folder = scratch("links");
    for applet in ["server", "sender", "receiver"] {
        let link = folder.join(applet);
        symlink(CHATBOX, &link).unwrap();
        let finished = check(&[applet, "--profile", "assignment", "--", link.to_str().unwrap()]);
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    }
}

/// What they write does not matter then.
#[test]
fn a_run_leaves_no_process_behind() {
    let folder = scratch("strays");
    let note = folder.join("stray");
    let script = "setsid sleep 1000 & echo $! >\"$0\"; exec \"$@\"";
    let words = ["server", "--only", "server/texts/*", "--", "sh", "-c", script];
    let finished = check(&[&words[..], &[note.to_str().unwrap(), CHATBOX, "server"]].concat());
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let stray = fs::read_to_string(note).unwrap();
    assert!(!is_running(stray.trim()), "{stray}");
}

/// Whether there is such a process, which has not ended.
pub fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A run that goes on until somebody ends it.
pub fn endless(script: &str, note: &str) -> Program {
    let words = ["check", "--timeout", "100", "server", "--", "sh", "-c", script, note];
    Program::start(crate::harness::chatbox(words))
}
