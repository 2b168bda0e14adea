//! Running `chatbox check`, and reading what it reports.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use crate::harness::chatbox;

/// Runs it with these words. It bounds all that it waits for itself.
pub fn check(words: &[&str]) -> Output {
    let mut command = chatbox(["check"].iter().chain(words).copied());
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs it with `--format json`; its exit status, and its report.
pub fn report(words: &[&str]) -> (i32, Value) {
    let finished = check(&[&["--format", "json"], words].concat());
    let json = serde_json::from_slice(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
    (finished.status.code().unwrap(), json)
}

/// The rows of a table of faults are right: `problem` says of each what is not. It gets so many seconds
/// for each thing that is waited for: few, for a fault may be that nothing comes; and, if that does not do
/// on a machine that is busy, many.
pub fn assert_right<Row: Send>(
    rows: impl Iterator<Item = Row> + Send,
    problem: impl Fn(&Row, &str) -> Option<String> + Sync,
) {
    /// At a time: most wait for something most of the time.
    const AT_A_TIME: usize = 5;
    let (rows, wrong) = (Mutex::new(rows), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(row) = { rows.lock().unwrap().next() } {
                    let found = problem(&row, "4").and_then(|_| problem(&row, "30"));
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is not as a row says: just these cases of a kind of program fail, three at most.
pub fn unlike(cases: &[&str], kind: &str, fault: &str, checked: (i32, Value)) -> Option<String> {
    let (status, report) = checked;
    assert!(cases.len() <= 3, "{fault}: {cases:?}");
    let of_kind = format!("{kind}/");
    let found: Vec<_> =
        failed(&report).into_iter().map(|id| id.strip_prefix(&of_kind).unwrap()).collect();
    let right = found == cases && status == i32::from(!cases.is_empty());
    (!right).then(|| {
        let trouble = trouble(&report);
        format!("{kind} {fault}: status {status}, failed {found:?}\n  not {cases:?}\n{trouble}")
    })
}

/// The verdict of each case.
pub fn verdicts(report: &Value) -> BTreeMap<&str, &str> {
    let cases = report["cases"].as_array().unwrap();
    cases.iter().map(|it| (it["id"].as_str().unwrap(), it["verdict"].as_str().unwrap())).collect()
}

/// The cases with this verdict.
pub fn with_verdict<'a>(report: &'a Value, verdict: &str) -> Vec<&'a str> {
    let all = verdicts(report).into_iter();
    all.filter(|(_, found)| *found == verdict).map(|(id, _)| id).collect()
}

/// The cases that failed.
pub fn failed(report: &Value) -> Vec<&str> {
    with_verdict(report, "fail")
}

/// All that is told of the cases that neither passed nor were skipped, a line each.
pub fn trouble(report: &Value) -> String {
    let cases = report["cases"].as_array().unwrap().iter();
    let bad = cases.filter(|case| case["verdict"] != "pass" && case["verdict"] != "skip");
    bad.map(|case| format!("    {case}\n")).collect()
}
