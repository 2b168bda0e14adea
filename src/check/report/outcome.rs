//! What came of the cases, and the words for it that all forms share.

use crate::check::case::{Profile, What};
use crate::check::trial::Tried;
use crate::check::verdict::{Finding, Stop};

/// What came of the cases.
pub(crate) struct Report {
    pub what: What,
    pub profile: Profile,
    pub tried: Vec<Tried>,
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub errors: usize,
}

impl Report {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for tried in &self.tried {
            match &tried.outcome {
                Ok(()) => counts.passed += 1,
                Err(Stop::Fail(_)) => counts.failed += 1,
                Err(Stop::Skip(_)) => counts.skipped += 1,
                Err(Stop::Error(_)) => counts.errors += 1,
            }
        }
        counts
    }
}

/// What there is to say of a case that did not pass, a few lines.
pub(super) fn details(stop: &Stop) -> Vec<String> {
    let (before, finding) = match stop {
        Stop::Skip(why) => return vec![why.clone()],
        Stop::Fail(finding) => (None, finding),
        Stop::Error(finding) => (Some("could not be tried, for before that:"), finding),
    };
    let Finding { story, expected, came, .. } = finding;
    let mut lines: Vec<(String, String)> =
        story.iter().map(|told| (told.who.clone(), told.shown())).collect();
    lines.push(("expected".into(), expected.clone()));
    lines.push(("but came".into(), came.clone()));
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = lines.into_iter().map(|(name, text)| format!("{name:<width$}  {text}"));
    before.map(str::to_owned).into_iter().chain(lines).collect()
}

/// The verdict in one word.
pub(super) fn word(outcome: &Result<(), Stop>) -> &'static str {
    match outcome {
        Ok(()) => "pass",
        Err(Stop::Fail(_)) => "fail",
        Err(Stop::Skip(_)) => "skip",
        Err(Stop::Error(_)) => "error",
    }
}
