//! Sessions on one worker that something is to be done for.

use std::collections::VecDeque;
use std::mem;

use super::lane::{Lane, Lanes};

/// Tokens of sessions, each once a lane, in the order in which they came in. One may stand for a
/// session that has gone, or for the next with that token, which costs a look.
#[derive(Debug, Default)]
pub(crate) struct SessionQueue {
    lanes: Lanes<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    queue: VecDeque<usize>,
    /// Whether a token is in the queue.
    listed: Vec<bool>,
}

impl SessionQueue {
    /// Adds a session, unless it is there already.
    pub(crate) fn add(&mut self, token: usize, lane: Lane) {
        let Tokens { queue, listed } = &mut self.lanes[lane];
        if listed.len() <= token {
            listed.resize(token + 1, false);
        }
        if !mem::replace(&mut listed[token], true) {
            queue.push_back(token);
        }
    }

    /// Takes out the one that has been there the longest.
    pub(crate) fn take(&mut self, lane: Lane) -> Option<usize> {
        let Tokens { queue, listed } = &mut self.lanes[lane];
        let token = queue.pop_front()?;
        listed[token] = false;
        Some(token)
    }

    /// All of them, in order.
    pub(crate) fn iter(&self, lane: Lane) -> impl Iterator<Item = usize> {
        self.lanes[lane].queue.iter().copied()
    }

    /// How many there are.
    pub(crate) fn len(&self, lane: Lane) -> usize {
        self.lanes[lane].queue.len()
    }

    /// There are none.
    pub(crate) fn is_empty(&self) -> bool {
        Lane::ALL.iter().all(|lane| self.lanes[*lane].queue.is_empty())
    }

    /// The session is among them.
    #[cfg(test)]
    pub(crate) fn holds(&self, token: usize) -> bool {
        Lane::ALL.iter().any(|lane| self.iter(*lane).any(|listed| listed == token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_and_first_come_first_served() {
        let mut queue = SessionQueue::default();
        [5, 2, 5, 9, 2].into_iter().for_each(|token| queue.add(token, Lane::Loud));
        queue.add(7, Lane::Quiet);
        assert_eq!((queue.len(Lane::Quiet), queue.len(Lane::Loud)), (1, 3));
        assert_eq!(queue.take(Lane::Loud), Some(5));
        // Out and in again: behind the others.
        queue.add(5, Lane::Loud);
        queue.add(9, Lane::Loud);
        let rest: Vec<_> = std::iter::from_fn(|| queue.take(Lane::Loud)).collect();
        assert_eq!(rest, [2, 9, 5]);
        assert!(!queue.is_empty());
        assert_eq!(queue.take(Lane::Quiet), Some(7));
        assert!(queue.is_empty());
    }
}
