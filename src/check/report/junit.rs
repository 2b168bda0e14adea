//! A report as XML, in the form of JUnit that CI systems read.

use super::outcome::{Report, details};
use crate::check::trial::Tried;
use crate::check::verdict::Stop;

pub(super) fn written(report: &Report) -> String {
    let counts = report.counts();
    let seconds: f64 = report.tried.iter().map(|tried| tried.time.as_secs_f64()).sum();
    let numbers = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\"",
        report.tried.len(),
        counts.failed,
        counts.errors,
        counts.skipped
    );
    let cases: String = report.tried.iter().map(of_case).collect();
    let what = report.what;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n\
         <testsuite name=\"{what}\" {numbers}>\n{cases}</testsuite>\n</testsuites>\n"
    )
}

fn of_case(tried: &Tried) -> String {
    let class = tried.about.group().replace('/', ".");
    let name = tried.about.id.rsplit('/').next().unwrap_or_default();
    let seconds = tried.time.as_secs_f64();
    let start = format!("<testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\"");
    let (tag, stop) = match &tried.outcome {
        Ok(()) => return format!("{start}/>\n"),
        Err(Stop::Skip(why)) => {
            let why = escaped(why);
            return format!("{start}><skipped message=\"{why}\"/></testcase>\n");
        }
        Err(stop @ Stop::Fail(_)) => ("failure", stop),
        Err(stop @ Stop::Error(_)) => ("error", stop),
    };
    let (asks, details) = (escaped(&tried.about.asks), escaped(&details(stop).join("\n")));
    format!("{start}><{tag} message=\"{asks}\">{details}</{tag}></testcase>\n")
}

/// A text as XML takes it. Control characters have been made visible before.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped.push('\n'),
            char if char.is_control() => escaped += &char.escape_unicode().to_string(),
            char => escaped.push(char),
        }
    }
    escaped
}
