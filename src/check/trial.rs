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

    /// What is tried has not said a word when it should have, as a fresh one.
    fn is_mute(&self) -> bool;
}

/// A number that nobody can tell before.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What makes the names of a case different from all others: a few small letters. A program that is
/// wrong about other names fails the cases of names, and no others.
pub(super) fn mark() -> String {
    in_letters(random() & 0xfff_ffff)
}

/// A number in small letters.
pub(super) fn in_letters(mut number: u64) -> String {
    let mut letters = String::new();
    loop {
        letters.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return letters;
        }
    }
}

/// A case that was tried.
pub(super) struct Tried {
    pub about: About,
    pub outcome: Step,
    pub time: Duration,
}

/// Time-outs in a row after which one that cannot be started afresh, or never says anything, is left
/// alone; likewise for one that does not start.
const MOST_IN_A_ROW: usize = 3;

/// The same for one that can be started afresh. It is enough that other cases have their chance, and
/// little enough that the report does not come too late for those who wait for it.
const MOST_WITH_FRESH_ONES: usize = 10;

/// Tries cases, and tells before each.
pub(super) fn try_all<G: Ground>(
    ground: &mut G,
    cases: &[Case<G>],
    mut progress: impl FnMut(usize, &About),
) -> Vec<Tried> {
    let (mut tried, mut trouble) = (Vec::new(), Trouble::default());
    for (number, case) in cases.iter().enumerate() {
        progress(number, &case.about);
        let begun = Instant::now();
        let outcome = match trouble.given_up(ground) {
            Some(why) => Err(not_tried(&why)),
            None => trouble.tried(ground, case),
        };
        tried.push(Tried { about: case.about.clone(), outcome, time: begun.elapsed() });
    }
    tried
}

/// None of these cases can be tried.
pub(super) fn untried<G>(cases: &[Case<G>], why: &str) -> Vec<Tried> {
    let untried = |case: &Case<G>| {
        let (about, outcome) = (case.about.clone(), Err(not_tried(why)));
        Tried { about, outcome, time: Duration::ZERO }
    };
    cases.iter().map(untried).collect()
}

fn not_tried(why: &str) -> Stop {
    Stop::Error(Finding::new("to be tried", format!("not tried: {why}")))
}

/// What goes wrong so often that it makes no sense to go on.
#[derive(Default)]
struct Trouble {
    timed_out: usize,
    not_begun: usize,
}

impl Trouble {
    /// Why no more is tried, if so.
    fn given_up<G: Ground>(&self, ground: &G) -> Option<String> {
        if let Some(why) = ground.is_lost() {
            return Some(why);
        }
        if self.not_begun >= MOST_IN_A_ROW {
            return Some("it did not start three times in a row".into());
        }
        let (most, words) = if ground.is_renewable() && !ground.is_mute() {
            (MOST_WITH_FRESH_ONES, "ten")
        } else {
            (MOST_IN_A_ROW, "three")
        };
        (self.timed_out >= most).then(|| format!("there were {words} time-outs in a row"))
    }

    /// Tries a case.
    fn tried<G: Ground>(&mut self, ground: &mut G, case: &Case<G>) -> Step {
        if let Err(stop) = ground.begin() {
            self.not_begun += 1;
            return Err(stop);
        }
        self.not_begun = 0;
        let outcome = (case.run)(ground);
        let outcome = ground.end(outcome);
        match &outcome {
            Err(stop) if stop.finding().is_some_and(|finding| finding.timed_out) => {
                self.timed_out += 1;
            }
            // It says nothing of the program.
            Err(Stop::Skip(_)) => {}
            _ => self.timed_out = 0,
        }
        outcome
    }
}
