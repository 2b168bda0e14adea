//! A report for people.

use super::options::Options;
use super::outcome::{Report, details, word};
use crate::check::verdict::Stop;
use crate::terminal::color::Look;
use crate::terminal::visible::visible;

pub(super) fn written(report: &Report, options: Options, look: Look) -> String {
    let mut text = String::new();
    for tried in &report.tried {
        let shown = match &tried.outcome {
            Ok(()) => options.verbose,
            Err(Stop::Skip(_)) => !options.quiet,
            Err(_) => true,
        };
        if !shown {
            continue;
        }
        let verdict = paint(&format!("{:<5}", word(&tried.outcome)), look);
        text += &format!("{verdict} {}", tried.about.id);
        text += &match &tried.outcome {
            Ok(()) => "\n".to_owned(),
            Err(Stop::Skip(why)) => format!(": {why}\n"),
            Err(stop) => {
                let lines = [tried.about.asks.clone()].into_iter().chain(details(stop));
                let lines = lines.map(|line| format!("      {}\n", visible(line.as_bytes())));
                format!("\n{}\n", lines.collect::<String>())
            }
        };
    }
    text + &summary(report)
}

fn summary(report: &Report) -> String {
    let counts = report.counts();
    let mut parts = vec![format!("{} passed", counts.passed)];
    for (count, what) in [
        (counts.failed, "failed"),
        (counts.errors, "could not be tried"),
        (counts.skipped, "skipped"),
    ] {
        parts.extend((count > 0).then(|| format!("{count} {what}")));
    }
    let Report { what, profile, tried } = report;
    format!("{what}, profile {profile}: {} of {} cases\n", parts.join(", "), tried.len())
}

/// A verdict in its colour.
fn paint(verdict: &str, look: Look) -> String {
    let color = match verdict.trim() {
        "pass" => 32,
        "fail" => 31,
        "skip" => 36,
        _ => 35,
    };
    if look.colors { format!("\x1b[{color}m{verdict}\x1b[0m") } else { verdict.to_owned() }
}
