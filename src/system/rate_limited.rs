//! What may happen again and again, and is not worth a line in the log each time.

use std::fmt::Arguments;
use std::time::{Duration, Instant};

use log::warn;

/// How long a number of warnings counts.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// A warning that is given a few times in ten seconds at most.
#[derive(Debug)]
pub(crate) struct Warning {
    /// How often in ten seconds.
    most: usize,
    /// Since when they are counted.
    since: Option<Instant>,
    given: usize,
    /// How many were not given since the last one that was.
    left_out: usize,
}

/// Once in ten seconds.
impl Default for Warning {
    fn default() -> Self {
        Self::at_most(1)
    }
}

impl Warning {
    /// One that may be given so often in ten seconds.
    pub(crate) fn at_most(most: usize) -> Self {
        Warning { most, since: None, given: 0, left_out: 0 }
    }

    /// Gives it, unless that has been done often enough.
    pub(crate) fn warn(&mut self, text: Arguments<'_>) {
        match self.left_out_if_given(Instant::now()) {
            None => {}
            Some(0) => warn!("{text}"),
            Some(left_out) => warn!("{text} (and {left_out} more since the last such line)"),
        }
    }

    /// `None` if it has been given often enough; else how many were left out.
    fn left_out_if_given(&mut self, now: Instant) -> Option<usize> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            self.since = Some(now);
            self.given = 0;
        }
        if self.given >= self.most {
            self.left_out += 1;
            return None;
        }
        self.given += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_given_and_the_others_counted() {
        let begun = Instant::now();
        let mut warning = Warning::at_most(2);
        let mut given = |seconds| warning.left_out_if_given(begun + Duration::from_secs(seconds));
        assert_eq!([given(0), given(1), given(2), given(9)], [Some(0), Some(0), None, None]);
        assert_eq!([given(10), given(11), given(12)], [Some(2), Some(0), None]);
        assert_eq!(given(30), Some(1));
    }
}
