//! The sessions on one worker that have something new in their queues.

use std::collections::VecDeque;
use std::mem;

/// Tokens of sessions, each once, in the order in which they came in. One may stand for a session
/// that has gone, or for the next with that token, which costs a look into a queue.
#[derive(Debug, Default)]
pub struct Ripe {
    line: VecDeque<usize>,
    /// Whether a token is in the line.
    listed: Vec<bool>,
}

impl Ripe {
    /// Adds a session, unless it is there already.
    pub fn add(&mut self, token: usize) {
        if self.listed.len() <= token {
            self.listed.resize(token + 1, false);
        }
        if !mem::replace(&mut self.listed[token], true) {
            self.line.push_back(token);
        }
    }

    /// Takes out the one that has been there the longest.
    pub fn take(&mut self) -> Option<usize> {
        let token = self.line.pop_front()?;
        self.listed[token] = false;
        Some(token)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// The session is among them.
    #[cfg(test)]
    pub fn holds(&self, token: usize) -> bool {
        self.line.contains(&token)
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_and_first_come_first_served() {
        let mut ripe = Ripe::default();
        [5, 2, 5, 9, 2].into_iter().for_each(|token| ripe.add(token));
        assert_eq!(ripe.len(), 3);
        assert_eq!(ripe.take(), Some(5));
        // Out and in again: behind the others.
        ripe.add(5);
        ripe.add(9);
        assert_eq!(std::iter::from_fn(|| ripe.take()).collect::<Vec<_>>(), [2, 9, 5]);
        assert!(ripe.is_empty());
    }
}
