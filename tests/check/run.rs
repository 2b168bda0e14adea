//! Running `chatbox check`, and reading what it reports.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

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

/// What a row of a table has to say, with so many seconds for each thing that is waited for: few, for a
/// fault may be that nothing comes; and, if that does not do on a machine that is busy, many.
pub fn patiently(problem: impl Fn(&str) -> Option<String>) -> Option<String> {
    problem("4").and_then(|_| problem("30"))
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
