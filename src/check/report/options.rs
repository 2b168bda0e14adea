//! What there is to choose in a report.

use std::str::FromStr;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// The Test Anything Protocol.
    Tap,
    /// One JSON object.
    Json,
    /// XML as JUnit writes it.
    Junit,
    /// What Gradescope reads as `results.json`.
    Gradescope,
}

impl FromStr for Form {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "text" => Ok(Form::Text),
            "tap" => Ok(Form::Tap),
            "json" => Ok(Form::Json),
            "junit" => Ok(Form::Junit),
            "gradescope" => Ok(Form::Gradescope),
            _ => Err("text, tap, json, junit or gradescope is needed"),
        }
    }
}

/// What there is to choose in a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub form: Form,
    /// Name those that passed, too.
    pub verbose: bool,
    /// Name only those that did not pass.
    pub quiet: bool,
    /// One test for each group instead of each case.
    pub by_group: bool,
    /// The points of all of it.
    pub points: u32,
}
