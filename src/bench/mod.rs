//! A load for any server that speaks the protocol, and a report of the results.
//!
//! Knows the protocol, and connections as clients make them. Must not know flags.
#![doc = include_str!("MEASUREMENTS.md")]

mod client;
mod error;
mod load;
mod plan;
mod replay;
mod report;
mod text;

use std::io::{self, IsTerminal, Write};

use crate::terminal::output;

pub(crate) use error::BenchError;
pub(crate) use plan::{End, Plan};
pub(crate) use text::MIN_SIZE;

/// How to print the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// As one JSON object instead of a table.
    pub json: bool,
    /// With a histogram of how the times from send to delivery are distributed.
    pub histogram: bool,
    /// Without a line on the terminal about how far it is.
    pub quiet: bool,
}

/// Runs a load, and prints a report.
///
/// # Errors
///
/// [`BenchError`]; also if the server did not do what it should.
pub(crate) fn run(plan: &Plan, options: Options) -> Result<(), BenchError> {
    let mut progress = ProgressLine { shown: io::stderr().is_terminal() && !options.quiet };
    let report = load::run(plan, |report| progress.show(&report.progress()));
    progress.show("");
    let report = report?;
    let mut text =
        if options.json { format!("{}\n", report.json(plan)) } else { report.table(plan) };
    if options.histogram {
        text += &format!("\n{}", report.histogram());
    }
    output::print(&text)?;
    if report.is_clean() { Ok(()) } else { Err(BenchError::Unclean) }
}

/// One line on a terminal, written over again and again.
struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    fn show(&mut self, text: &str) {
        // A progress that cannot be written is no error.
        if self.shown && write!(io::stderr(), "\r\x1b[K{text}").is_err() {
            self.shown = false;
        }
    }
}
