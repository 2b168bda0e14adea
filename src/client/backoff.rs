//! Pauses between attempts, so that many clients do not all come back at once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The first pause, before it is varied.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause, before it is varied.
const LONGEST: Duration = Duration::from_secs(30);

/// A row of growing pauses.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// A new row.
    pub(super) fn new() -> Self {
        Backoff { next: FIRST }
    }

    /// The next pause: twice as long as the one before, give or take half of it at random.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(LONGEST);
        pause.mul_f64(0.5 + random())
    }
}

/// A random number from 0 to 1. The standard library seeds its hashes at random.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    bits as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::new();
        for expected in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] {
            let pause = backoff.pause().as_secs_f64();
            assert!((expected * 0.5..=expected * 1.5).contains(&pause), "{pause} for {expected}");
        }
        let first = |_| Backoff::new().pause();
        let firsts: std::collections::BTreeSet<_> = (0..20).map(first).collect();
        assert!(firsts.len() > 10, "{firsts:?}");
    }
}
