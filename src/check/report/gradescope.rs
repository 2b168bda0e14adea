//! A report as Gradescope reads it: `results.json`.

use serde_json::{Value, json};

use super::options::Options;
use super::outcome::{Report, details, word};
use crate::check::trial::Tried;
use crate::check::verdict::Stop;

/// Cases that are one test there.
struct Test<'a> {
    name: &'a str,
    cases: Vec<&'a Tried>,
}

pub(super) fn written(report: &Report, options: Options) -> String {
    let mut tests: Vec<Test<'_>> = Vec::new();
    for tried in &report.tried {
        let name = if options.by_group { tried.about.group() } else { &tried.about.id };
        match tests.last_mut().filter(|last| last.name == name) {
            Some(last) => last.cases.push(tried),
            None => tests.push(Test { name, cases: vec![tried] }),
        }
    }
    let counting = report.tried.iter().filter(|tried| counts(tried)).count();
    let mut before = 0;
    let tests: Vec<_> = tests
        .iter()
        .map(|test| {
            let number = test.cases.iter().filter(|tried| counts(tried)).count();
            let upto = |count: usize| share(options.points, count, counting);
            let max = upto(before + number) - upto(before);
            before += number;
            of_test(test, number, max)
        })
        .collect();
    let seconds: f64 = report.tried.iter().map(|tried| tried.time.as_secs_f64()).sum();
    let report = json!({
        "tests": tests,
        "stdout_visibility": "hidden",
        "execution_time": seconds.ceil(),
    });
    format!("{report}\n")
}

/// Whether there are points for a case: not if it was skipped.
fn counts(tried: &Tried) -> bool {
    !matches!(tried.outcome, Err(Stop::Skip(_)))
}

/// The share of so many cases in all points, in hundredths.
fn share(points: u32, count: usize, all: usize) -> u64 {
    u64::from(points) * 100 * count as u64 / all.max(1) as u64
}

/// A test with `max` hundredths of a point for `number` cases.
fn of_test(test: &Test<'_>, number: usize, max: u64) -> Value {
    let passed = test.cases.iter().filter(|tried| tried.outcome.is_ok()).count();
    let score = max * passed as u64 / number.max(1) as u64;
    let status = if passed == number { "passed" } else { "failed" };
    let output: Vec<_> = test.cases.iter().map(|tried| output(tried)).collect();
    json!({
        "name": test.name,
        "score": score as f64 / 100.0,
        "max_score": max as f64 / 100.0,
        "status": status,
        "output": output.join("\n"),
    })
}

fn output(tried: &Tried) -> String {
    let mut text = format!("{}: {}\n{}", word(&tried.outcome), tried.about.id, tried.about.asks);
    if let Err(stop) = &tried.outcome {
        for line in details(stop) {
            text += &format!("\n    {line}");
        }
    }
    text + "\n"
}
