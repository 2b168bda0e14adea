//! When the clients of a worker have to have logged in, or come to the end of a handshake.

use std::collections::BTreeSet;
use std::time::Instant;

/// Deadlines of connections, by their tokens.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(BTreeSet<(Instant, usize)>);

impl Deadlines {
    /// Adds one.
    pub(crate) fn add(&mut self, deadline: Instant, token: usize) {
        self.0.insert((deadline, token));
    }

    /// Takes one away that no longer holds.
    pub(crate) fn remove(&mut self, deadline: Instant, token: usize) {
        self.0.remove(&(deadline, token));
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out the connection whose deadline is over, the oldest first. The time is asked for only
    /// if there is a deadline, for that costs a small turn of the loop a tenth.
    pub(crate) fn take_due(&mut self, now: impl FnOnce() -> Instant) -> Option<usize> {
        self.next().filter(|next| *next <= now())?;
        self.take_first()
    }

    /// Takes out the connection whose deadline is the next.
    pub(crate) fn take_first(&mut self) -> Option<usize> {
        self.0.pop_first().map(|(_, token)| token)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All are over now.
    #[cfg(test)]
    pub(crate) fn expire(&mut self) {
        let now = Instant::now();
        self.0 = self.0.iter().map(|(_, token)| (now, *token)).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_is_due_first_and_one_that_was_removed_never() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        for (seconds, token) in [(3, 7), (1, 8), (1, 9), (2, 1)] {
            deadlines.add(after(seconds), token);
        }
        deadlines.remove(after(1), 9);
        assert_eq!(deadlines.next(), Some(after(1)));
        let mut due = |seconds| deadlines.take_due(|| after(seconds));
        assert_eq!(
            [due(0), due(1), due(2), due(2), due(3)],
            [None, Some(8), Some(1), None, Some(7)]
        );
    }

    #[test]
    fn without_a_deadline_nobody_asks_for_the_time() {
        assert_eq!(Deadlines::default().take_due(|| panic!("is asked for")), None);
    }
}
