//! A report as the Test Anything Protocol has it, version 13.

use super::outcome::{Report, details};
use crate::check::verdict::Stop;

pub(super) fn written(report: &Report) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", report.tried.len());
    for (number, tried) in (1..).zip(&report.tried) {
        let id = &tried.about.id;
        text += &match &tried.outcome {
            Ok(()) => format!("ok {number} - {id}\n"),
            Err(Stop::Skip(why)) => format!("ok {number} - {id} # SKIP {why}\n"),
            Err(stop) => {
                let details = details(stop).into_iter().map(|line| format!("    {line}\n"));
                let details: String = details.collect();
                let asks = quoted(&tried.about.asks);
                format!(
                    "not ok {number} - {id}\n  ---\n  asks: {asks}\n  details: |\n{details}  ...\n"
                )
            }
        };
    }
    text
}

/// A text as YAML takes it on a line.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
