//! Which worker a session lives on.
//!
//! As a rule, all that is in a room lives on one worker, so that a text reaches everybody without
//! waking another thread. Beside the regular workers there may be a reserve, which gets receivers
//! only in a crowd, and one that gets nothing but small rooms which would have to wait for large ones
//! elsewhere, as the reserve does, too.

use std::iter;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::room::Room;
use super::sync::Arc;
use super::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Sessions for each of the other workers from which on the reserve gets some. Fewer are served
/// better by fewer threads, which do more in one turn, and leave a processor to programs that connect
/// from this machine.
pub(crate) const RESERVE_FROM: usize = 2000;

/// As long as a room has fewer receivers than this, they all live on one worker. Above it, a wake-up
/// costs little beside the writes that it spreads over the processors. Only in a crowd some of them
/// may live in the reserve.
const SPREAD_FROM: usize = 256;

/// How long a worker counts as loud after it has been.
const OF_LATE: Duration = Duration::from_secs(1);

/// The workers, and how much there is to do on each.
#[derive(Debug)]
pub(crate) struct Placement {
    loads: Vec<Load>,
    /// Workers that get sessions from the start, at least one.
    regulars: usize,
    /// Workers that get receivers in a crowd: these, and the next one if there is a reserve.
    in_a_crowd: usize,
    begun: Instant,
}

#[derive(Debug, Default)]
struct Load {
    /// Sessions on the worker, or on their way to it.
    sessions: AtomicUsize,
    /// When the worker was last busy with large rooms, in milliseconds since `begun`; 0 for never.
    loud: AtomicU64,
}

impl Placement {
    /// So many workers, all of them regular.
    pub(crate) fn regular(workers: usize) -> Self {
        Self::new(workers, workers, workers)
    }

    /// So many workers on that many processors. What is above the number of processors is for small
    /// rooms; the last of several others is a reserve.
    pub(crate) fn automatic(workers: usize, processors: usize) -> Self {
        let in_a_crowd = workers.min(processors).max(1);
        Self::new(workers, (in_a_crowd - 1).max(1), in_a_crowd)
    }

    fn new(workers: usize, regulars: usize, in_a_crowd: usize) -> Self {
        let loads = (0..workers).map(|_| Load::default()).collect();
        Placement { loads, regulars, in_a_crowd, begun: Instant::now() }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.loads.len()
    }

    /// One more session is on a worker, or on its way there, for as long as that is not dropped.
    pub(crate) fn assign(self: &Arc<Self>, worker: usize) -> Assignment {
        self.loads[worker].sessions.fetch_add(1, Ordering::Relaxed);
        Assignment { placement: Arc::clone(self), worker }
    }

    /// Sessions on a worker, or on their way to it.
    pub(crate) fn sessions(&self, worker: usize) -> usize {
        self.loads[worker].sessions.load(Ordering::Relaxed)
    }

    /// A worker is busy with large rooms.
    pub(crate) fn set_loud(&self, worker: usize) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.loads[worker].loud.store(now.max(1), Ordering::Relaxed);
    }

    /// The worker has been busy with large rooms of late.
    fn is_loud(&self, worker: usize) -> bool {
        let loud = self.loads[worker].loud.load(Ordering::Relaxed);
        loud > 0 && self.begun.elapsed() < Duration::from_millis(loud) + OF_LATE
    }

    /// The workers that receivers are given to: the regular ones, until there is a crowd.
    fn in_service(&self) -> Range<usize> {
        let sessions: usize = (0..self.loads.len()).map(|worker| self.sessions(worker)).sum();
        let is_crowd = sessions >= RESERVE_FROM * self.regulars;
        0..if is_crowd { self.in_a_crowd } else { self.regulars }
    }

    /// What so many sessions are to a worker. The reserve gets half as many as the others: where
    /// its processor is, the clients of this machine are, too, and to hand a session over costs.
    fn load(&self, worker: usize, sessions: usize) -> usize {
        if worker < self.regulars { sessions } else { 2 * sessions }
    }

    /// The worker for a newcomer or a new room: the one with the fewest sessions, `preferred` among
    /// equals. Never the reserve: to log in there would take a wake-up for each line.
    pub(crate) fn least_busy(&self, preferred: usize) -> usize {
        let load = |worker: &usize| (self.sessions(*worker), *worker != preferred);
        (0..self.regulars).min_by_key(load).unwrap_or(preferred)
    }

    /// Where a small room can go that has to wait for large ones: the worker with the fewest sessions
    /// of those that have not been busy with large rooms of late, a reserve included.
    pub(crate) fn calm_worker(&self) -> Option<usize> {
        let calm = (0..self.loads.len()).filter(|worker| !self.is_loud(*worker));
        calm.min_by_key(|worker| self.sessions(*worker))
    }

    /// Where a receiver should live that is on worker `here` and is to be in that room.
    pub(crate) fn for_receiver(&self, room: &Room, here: usize) -> usize {
        if room.receivers() < SPREAD_FROM {
            return self.or_reserve(room.home(), here);
        }
        let sizes = room.receivers_by_worker();
        self.in_service().min_by_key(|worker| sizes[*worker]).unwrap_or(here)
    }

    /// The room's home, or the reserve if that has less load, the session itself aside.
    fn or_reserve(&self, home: usize, here: usize) -> usize {
        let load = |worker: &usize| {
            let itself = usize::from(*worker == here);
            let others = self.sessions(*worker).saturating_sub(itself);
            (self.load(*worker, others), *worker != here)
        };
        let reserve = self.in_service().skip(self.regulars);
        iter::once(home).chain(reserve).min_by_key(load).unwrap_or(home)
    }
}

/// One session's share of the load of a worker.
#[derive(Debug)]
pub(crate) struct Assignment {
    placement: Arc<Placement>,
    worker: usize,
}

impl Drop for Assignment {
    fn drop(&mut self) {
        self.placement.loads[self.worker].sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two workers, a reserve, and one for small rooms, with so many sessions on each of the first.
    fn placement(sessions: [usize; 3]) -> Placement {
        let placement = Placement::automatic(4, 3);
        for (load, sessions) in placement.loads.iter().zip(sessions) {
            load.sessions.store(sessions, Ordering::Relaxed);
        }
        placement
    }

    #[test]
    fn there_is_a_regular_worker_then_one_for_small_rooms_then_a_reserve() {
        let shapes =
            [(1, 1), (2, 1), (2, 2), (3, 2), (5, 4), (2, 8)].map(|(workers, processors)| {
                let placement = Placement::automatic(workers, processors);
                (placement.regulars, placement.in_a_crowd, placement.workers())
            });
        assert_eq!(shapes, [(1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 2, 3), (3, 4, 5), (1, 2, 2)]);
    }

    #[test]
    fn newcomers_are_shared_by_all_but_the_reserve() {
        let cases = [
            ([0, 0, 0], 0),
            ([7, 5, 0], 1),
            ([5, 5, 9], 0),
            ([3 * RESERVE_FROM, RESERVE_FROM, 0], 1),
        ];
        for (sessions, newcomer) in cases {
            assert_eq!(placement(sessions).least_busy(0), newcomer, "{sessions:?}");
        }
    }

    #[test]
    fn the_reserve_is_in_service_in_a_crowd_only() {
        let cases = [
            ([0, 0, 0], 0..2),
            ([2 * RESERVE_FROM - 2, 1, 0], 0..2),
            ([2 * RESERVE_FROM - 1, 1, 0], 0..3),
            ([RESERVE_FROM - 1, RESERVE_FROM - 1, 2], 0..3),
        ];
        for (sessions, workers) in cases {
            assert_eq!(placement(sessions).in_service(), workers, "{sessions:?}");
        }
    }

    #[test]
    fn receivers_move_to_the_reserve_for_as_long_as_that_levels_something() {
        let cases = [
            // Sessions, the room's home, where the receiver is, and where it should be.
            ([9, 0, 0], 0, 0, 0),
            ([9, 0, 0], 0, 1, 0),
            ([2 * RESERVE_FROM, 0, 0], 0, 0, 2),
            ([2 * RESERVE_FROM, 0, 0], 1, 1, 1),
            ([2 * RESERVE_FROM + 1, RESERVE_FROM, RESERVE_FROM], 0, 0, 0),
            ([2 * RESERVE_FROM, RESERVE_FROM, RESERVE_FROM + 1], 0, 2, 2),
            ([2 * RESERVE_FROM, RESERVE_FROM, RESERVE_FROM + 2], 0, 2, 0),
            ([2 * RESERVE_FROM + 2, RESERVE_FROM, RESERVE_FROM], 0, 0, 2),
            ([2 * RESERVE_FROM, RESERVE_FROM, RESERVE_FROM], 0, 1, 0),
        ];
        for (sessions, home, here, there) in cases {
            let or_reserve = placement(sessions).or_reserve(home, here);
            assert_eq!(or_reserve, there, "{sessions:?}, home {home}, here {here}");
        }
    }

    #[test]
    fn a_calm_worker_has_not_been_loud_of_late_and_may_be_the_reserve() {
        let placement = placement([5, 4, 3]);
        assert_eq!(placement.calm_worker(), Some(3));
        placement.set_loud(3);
        assert_eq!(placement.calm_worker(), Some(2));
        placement.set_loud(2);
        assert_eq!(placement.calm_worker(), Some(1));
        placement.set_loud(0);
        placement.set_loud(1);
        assert_eq!(placement.calm_worker(), None);
    }

    #[test]
    fn a_session_counts_as_long_as_it_is_assigned() {
        let placement = Arc::new(Placement::regular(2));
        let assignments = [1, 1, 0].map(|worker| placement.assign(worker));
        assert_eq!([0, 1].map(|worker| placement.sessions(worker)), [1, 2]);
        drop(assignments);
        assert_eq!([0, 1].map(|worker| placement.sessions(worker)), [0, 0]);
    }
}
