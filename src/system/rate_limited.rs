//! What may happen again and again, and is not worth a line in the log each time.

use std::fmt::Arguments;
use std::time::{Duration, Instant};

use log::warn;

/// How often to warn of the same thing.
const EVERY: Duration = Duration::from_secs(10);

/// A warning that is not given again and again.
#[derive(Debug, Default)]
pub(crate) struct Warning {
    given: Option<Instant>,
}

impl Warning {
    /// Gives it, unless that has been done a short while ago.
    pub(crate) fn warn(&mut self, text: Arguments<'_>) {
        if self.given.is_none_or(|given| given.elapsed() >= EVERY) {
            warn!("{text}");
            self.given = Some(Instant::now());
        }
    }
}
