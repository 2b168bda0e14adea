//! A report as one JSON object.

use serde_json::{Value, json};

use super::outcome::{Report, word};
use crate::check::trial::Tried;
use crate::check::verdict::Stop;

pub(super) fn written(report: &Report) -> String {
    let counts = report.counts();
    let cases: Vec<_> = report.tried.iter().map(of_case).collect();
    let report = json!({
        "what": report.what.to_string(),
        "profile": report.profile.to_string(),
        "passed": counts.passed,
        "failed": counts.failed,
        "errors": counts.errors,
        "skipped": counts.skipped,
        "cases": cases,
    });
    format!("{report}\n")
}

fn of_case(tried: &Tried) -> Value {
    let mut case = json!({
        "id": tried.about.id,
        "asks": tried.about.asks,
        "verdict": word(&tried.outcome),
        "seconds": tried.time.as_secs_f64(),
    });
    match &tried.outcome {
        Ok(()) => {}
        Err(Stop::Skip(why)) => case["why"] = why.as_str().into(),
        Err(Stop::Fail(finding) | Stop::Error(finding)) => {
            let told = |told: &crate::check::story::Told| json!([told.who, told.shown()]);
            case["story"] = finding.story.iter().map(told).collect();
            case["expected"] = finding.expected.as_str().into();
            case["came"] = finding.came.as_str().into();
            case["timed_out"] = finding.timed_out.into();
        }
    }
    case
}
