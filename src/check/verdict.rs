//! What a case comes to, and what is told of it.
//!
//! Knows what was expected and what came. Must not know sockets, nor how a report looks.

use super::story::Told;

/// A step of a case: it gives something, or the case stops there.
pub(super) type Step<T = ()> = Result<T, Stop>;

/// Why a case does not pass.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// The program does not do what the case asks.
    Fail(Finding),
    /// There is nothing to try, and why.
    Skip(String),
    /// What the case asks could not be tried: something that comes before it went wrong.
    Error(Finding),
}

/// What went wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    /// What was sent and what came before that.
    pub story: Vec<Told>,
    /// What was expected, in words.
    pub expected: String,
    /// What came instead, in words.
    pub came: String,
    /// Nothing came in the time that `--timeout` gives.
    pub timed_out: bool,
}

impl Finding {
    /// One without a story.
    pub(super) fn new(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Finding { expected: expected.into(), came: came.into(), ..Finding::default() }
    }
}

impl Stop {
    /// What went wrong, if anything did.
    pub(super) fn finding(&self) -> Option<&Finding> {
        match self {
            Stop::Fail(finding) | Stop::Error(finding) => Some(finding),
            Stop::Skip(_) => None,
        }
    }
}

/// For the steps that are not what a case is about.
pub(super) trait Given {
    /// What went wrong is no fault that the case looks for: it could not be tried.
    fn given(self) -> Self;
}

impl<T> Given for Step<T> {
    fn given(self) -> Self {
        self.map_err(|stop| match stop {
            Stop::Fail(finding) => Stop::Error(finding),
            other => other,
        })
    }
}
