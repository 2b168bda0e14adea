//! Whose turn it is among the addresses of a host: after one that took the connection and then failed,
//! the next one's.
//!
//! Knows which address comes first. Must not know how one connects, nor what failing is.

use std::collections::HashSet;
use std::net::SocketAddr;

/// Whose turn it is, from one attempt to the next.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// The address that failed last.
    failed: Option<SocketAddr>,
    /// What this attempt has come to, if an address took the connection.
    reached: Option<Reached>,
    /// So many addresses have failed since all had.
    in_vain: usize,
}

/// An address that took the connection.
#[derive(Debug)]
struct Reached {
    address: SocketAddr,
    /// So many were tried for that, this one included.
    tried: usize,
    /// So many there are.
    all: usize,
}

impl Turn {
    /// The addresses, each once, from the one on whose turn it is. They may be others each time.
    pub(super) fn order(&self, addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let mut seen = HashSet::new();
        let mut order: Vec<_> = addresses.filter(|address| seen.insert(*address)).collect();
        let failed = order.iter().position(|address| Some(*address) == self.failed);
        order.rotate_left(failed.map_or(0, |failed| failed + 1));
        order
    }

    /// This one of the addresses in that order has taken the connection.
    pub(super) fn reach(&mut self, address: SocketAddr, order: &[SocketAddr]) {
        let before = order.iter().take_while(|one| **one != address).count();
        self.reached = Some(Reached { address, tried: before + 1, all: order.len() });
    }

    /// The attempt has failed. Returns whether all addresses have by now, each in its turn.
    pub(super) fn pass(&mut self) -> bool {
        if let Some(Reached { address, tried, all }) = self.reached.take() {
            self.failed = Some(address);
            self.in_vain += tried;
            if self.in_vain < all {
                return false;
            }
        }
        self.in_vain = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, number], 5000))
    }

    fn number(address: &SocketAddr) -> u8 {
        (0..=u8::MAX).find(|&number| self::address(number) == *address).unwrap()
    }

    /// An attempt in which the first of those addresses that `takes` a connection fails later. Returns
    /// who was asked, up to that, and whether all have failed.
    fn attempt(turn: &mut Turn, resolved: &[u8], takes: impl Fn(u8) -> bool) -> (Vec<u8>, bool) {
        let order = turn.order(resolved.iter().map(|&number| address(number)));
        let taken = order.iter().position(|it| takes(number(it)));
        if let Some(taken) = taken {
            turn.reach(order[taken], &order);
        }
        let asked = taken.map_or(&order[..], |taken| &order[..=taken]);
        (asked.iter().map(number).collect(), turn.pass())
    }

    #[test]
    fn each_address_that_fails_makes_it_the_turn_of_the_next() {
        let mut turn = Turn::default();
        for round in 0..3 {
            for (first, all) in [(1, false), (2, false), (3, true)] {
                let attempt = attempt(&mut turn, &[1, 2, 3], |_| true);
                assert_eq!(attempt, (vec![first], all), "round {round}");
            }
        }
    }

    #[test]
    fn who_takes_no_connection_is_passed_over_and_has_had_its_turn() {
        let mut turn = Turn::default();
        for (asked, all) in [(vec![1, 2], false), (vec![3, 4], true), (vec![1, 2], false)] {
            assert_eq!(attempt(&mut turn, &[1, 2, 3, 4], |it| it % 2 == 0), (asked, all));
        }
        // Nor does it change whose turn it is.
        assert_eq!(attempt(&mut turn, &[1, 2, 3], |_| false), (vec![3, 1, 2], true));
        assert_eq!(attempt(&mut turn, &[1, 2, 3], |it| it == 2), (vec![3, 1, 2], true));
        assert_eq!(attempt(&mut turn, &[2], |_| true), (vec![2], true));
    }

    #[test]
    fn addresses_may_come_and_go_move_and_be_doubled() {
        let mut turn = Turn::default();
        assert_eq!(attempt(&mut turn, &[1, 2], |_| true).0, [1]);
        assert_eq!(attempt(&mut turn, &[3, 1, 2], |_| true).0, [2]);
        assert_eq!(attempt(&mut turn, &[2, 3, 1], |_| true).0, [3]);
        // Who failed is not there any more.
        assert_eq!(attempt(&mut turn, &[2, 1], |_| true).0, [2]);
        for first in [1, 3, 2, 1] {
            assert_eq!(attempt(&mut turn, &[2, 1, 2, 1, 3], |_| true).0, [first]);
        }
        assert_eq!(attempt(&mut turn, &[], |_| true), (vec![], true));
    }

    #[test]
    fn where_nothing_failed_it_is_the_turn_of_the_address_before() {
        let mut turn = Turn::default();
        let order = turn.order([1, 2].map(address).into_iter());
        turn.reach(order[0], &order);
        // A chat has two connections, which lead to the same server.
        let order = turn.order([1, 2].map(address).into_iter());
        assert_eq!(order, [1, 2].map(address));
        turn.reach(order[0], &order);
        assert!(!turn.pass());
        assert_eq!(attempt(&mut turn, &[1, 2], |_| true), (vec![2], true));
    }
}
