//! One that does what the reference does, and deviates where it does, is right for the course.

use crate::fault::Fault;
use crate::faulty_client;
use crate::faulty_server::start;
use crate::run::{failed, report, trouble, with_verdict};

/// All cases of the course pass; the whole protocol is another matter.
fn assert_right_for_the_course(words: &[&str], skipped: &str) {
    let (status, report) =
        report(&[words[0..1].as_ref(), &["--profile", "assignment"], &words[1..]].concat());
    assert_eq!((status, failed(&report)), (0, vec![]), "{}", trouble(&report));
    let others = with_verdict(&report, "skip");
    assert!(others.iter().all(|id| id.starts_with(skipped)), "{others:?}");
}

#[test]
fn a_server_like_the_reference_is_right_for_the_course() {
    let server = start(Fault::Reference);
    let port = server.port.to_string();
    assert_right_for_the_course(&["server", "127.0.0.1", &port], "server/running/");
}

#[test]
fn clients_like_the_reference_and_others_are_right_for_the_course() {
    for (client, habit) in [
        ("sender", "Reference"),
        ("sender", "QuitsAtEnd"),
        ("sender", "FailsAtEnd"),
        ("receiver", "Reference"),
    ] {
        let command = faulty_client::command(client, habit);
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        assert_right_for_the_course(&[&[client, "--"], &words[..]].concat(), "nothing");
    }
}
