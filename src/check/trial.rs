//! Trying cases, one after the other.
//!
//! Knows when it makes no sense to go on. Must not know what is tried.
#![doc = include_str!("TEACHERS.md")]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use super::case::{About, Case};
use super::verdict::{Finding, Step, Stop};

/// What cases are tried on.
pub(super) trait Ground {
    /// Gets everything ready for a case.
    ///
    /// # Errors
    ///
    /// Why no case can be tried now.
    fn begin(&mut self) -> Step;

    /// Clears away after a case, and sees whether what is tried has survived it.
    ///
    /// # Errors
    ///
    /// What the case comes to then, if it does not pass.
    fn end(&mut self, outcome: Step) -> Step;

    /// What is tried is gone for good, and why.
    fn is_lost(&self) -> Option<String>;

    /// What is tried can be had afresh after any trouble.
    fn is_renewable(&self) -> bool;
}

/// What makes the names of a case different from all others: a few letters and digits.
pub(super) fn mark() -> String {
    format!("{:x}", RandomState::new().build_hasher().finish() & 0xff_ffff)
}

/// A case that was tried.
pub(super) struct Tried {
    pub about: About,
    pub outcome: Step,
    pub time: Duration,
}

/// Time-outs in a row after which one that cannot be started afresh is left alone; likewise for
/// one that does not start.
const MOST_IN_A_ROW: usize = 3;

/// Tries cases, and tells before each.
pub(super) fn try_all<G: Ground>(
    ground: &mut G,
    cases: &[Case<G>],
    mut progress: impl FnMut(usize, &About),
) -> Vec<Tried> {
    let (mut tried, mut timed_out, mut not_begun) = (Vec::new(), 0, 0);
    for (number, case) in cases.iter().enumerate() {
        progress(number, &case.about);
        let begun = Instant::now();
        let given_up = ground.is_lost().or_else(|| {
            if not_begun == MOST_IN_A_ROW {
                Some("it did not start three times in a row".into())
            } else if timed_out == MOST_IN_A_ROW && !ground.is_renewable() {
                Some("there were three time-outs in a row".into())
            } else {
                None
            }
        });
        let outcome = match given_up {
            Some(why) => Err(Stop::Error(Finding::new("to be tried", format!("not tried: {why}")))),
            None => match ground.begin() {
                Ok(()) => {
                    not_begun = 0;
                    let outcome = (case.run)(ground);
                    ground.end(outcome)
                }
                Err(stop) => {
                    not_begun += 1;
                    Err(stop)
                }
            },
        };
        if timed_out < MOST_IN_A_ROW {
            let finding = outcome.as_ref().err().and_then(Stop::finding);
            timed_out = if finding.is_some_and(|it| it.timed_out) { timed_out + 1 } else { 0 };
        }
        tried.push(Tried { about: case.about.clone(), outcome, time: begun.elapsed() });
    }
    tried
}
