//! Who is connected: how many clients of which kind, how many there may be, in all and from one
//! address, and who goes first when it gets tight.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::id::{Origin, SessionId, Way};
use super::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use super::sync::{Arc, Mutex, lock};
use super::vouched::Voucher;

/// How long a client may take to log in before it has to go for others.
const NEWCOMER: Duration = Duration::from_secs(10);

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has not logged in yet.
    New,
    /// A sender.
    Sender,
    /// A receiver.
    Receiver,
    /// A receiver that has shut down its writing side. It may still be listening or may be gone;
    /// nobody can tell until something is written to it.
    HalfClosed,
}

/// Why there is no place for a client. Its text is the payload of the `err`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// All are taken.
    #[error("the server is full, try again later")]
    Full,
    /// The client's address has as many as it may.
    #[error("too many clients from your address, at most {0}")]
    Address(usize),
    /// The client's user has as many as it may.
    #[error("too many clients of yours, at most {0}")]
    User(usize),
    /// It is a user of whom the system does not say who it is.
    #[error("the system does not say who you are")]
    Stranger,
}

/// All places, taken and free.
#[derive(Debug)]
pub(crate) struct Admission {
    /// How many clients there may be.
    pub max: usize,
    /// How many of them may be of one origin, if that is limited.
    pub max_per_address: Option<usize>,
    /// Clients in all.
    taken: AtomicUsize,
    /// Clients by [`Kind`].
    by_kind: [AtomicUsize; 4],
    /// Clients by [`Way`].
    by_way: [AtomicUsize; 3],
    /// Clients by [`Voucher`], those for whose names one vouches.
    by_voucher: [AtomicUsize; 2],
    /// Clients by origin, if that is limited.
    by_origin: Mutex<HashMap<Origin, usize>>,
    /// How many places have been given back so far.
    released: AtomicU64,
    /// Somebody waits for a place to be given back.
    awaited: AtomicBool,
    evictable: Mutex<Evictable>,
}

/// Those who have to go when others need their places, each kind in the order in which it became
/// so.
#[derive(Debug, Default)]
struct Evictable {
    /// Clients that have not logged in, and since when they are here.
    newcomers: BTreeMap<u64, (SessionId, Instant)>,
    half_closed: BTreeMap<u64, SessionId>,
    next: u64,
}

impl Evictable {
    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Admission {
    /// `max` free places, of which `max_per_address` may be taken by those of one origin.
    pub(crate) fn new(max: usize, max_per_address: Option<usize>) -> Self {
        Admission {
            max,
            max_per_address,
            taken: AtomicUsize::new(0),
            by_kind: Default::default(),
            by_way: Default::default(),
            by_voucher: Default::default(),
            by_origin: Mutex::default(),
            released: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            evictable: Mutex::default(),
        }
    }

    /// Takes a place for a new client of that origin.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`] if there is none for it.
    pub(crate) fn take(self: &Arc<Self>, origin: impl Into<Origin>) -> Result<Permit, NotAdmitted> {
        let origin = self.count_origin(origin.into())?;
        // Gives the origin's share back where there is no place.
        let admission = Arc::clone(self);
        let mut permit =
            Permit { admission, kind: None, origin, number: None, way: None, voucher: None };
        let more = |taken| (taken < self.max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.map_err(|_| NotAdmitted::Full)?;
        permit.set_kind(Kind::New);
        Ok(permit)
    }

    /// Counts one more client of an origin; returns what it is counted under.
    fn count_origin(&self, origin: Origin) -> Result<Option<Origin>, NotAdmitted> {
        let Some(max) = self.max_per_address else {
            return Ok(None);
        };
        let (origin, too_many) = match origin {
            Origin::Address(address) => {
                (Origin::Address(network(address)), NotAdmitted::Address(max))
            }
            Origin::User(_) => (origin, NotAdmitted::User(max)),
        };
        let mut by_origin = lock(&self.by_origin);
        let count = by_origin.entry(origin).or_default();
        if *count >= max {
            return Err(too_many);
        }
        *count += 1;
        Ok(Some(origin))
    }

    fn uncount_origin(&self, origin: Origin) {
        let mut by_origin = lock(&self.by_origin);
        if let Some(count) = by_origin.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                by_origin.remove(&origin);
            }
        }
    }

    /// How many clients of that kind there are.
    pub(crate) fn taken(&self, kind: Kind) -> usize {
        self.count(kind).load(Ordering::SeqCst)
    }

    /// How many clients came that way.
    pub(crate) fn came(&self, way: Way) -> usize {
        self.by_way[way as usize].load(Ordering::Relaxed)
    }

    /// For how many clients' names that vouches.
    pub(crate) fn vouched_by(&self, voucher: Voucher) -> usize {
        self.by_voucher[voucher as usize].load(Ordering::Relaxed)
    }

    /// How many places have been given back so far.
    pub(crate) fn released(&self) -> u64 {
        self.released.load(Ordering::SeqCst)
    }

    /// Somebody waits for a place to be given back, or no longer does.
    pub(crate) fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    /// Somebody waits for a place to be given back.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    /// The session that has to go first if others need the place, no longer on the list: the client that has
    /// not logged in for the longest time, if that is long enough at the time `now`; else the
    /// receiver that shut down its writing side the longest time ago.
    pub(crate) fn next_to_evict(&self, now: Instant) -> Option<(Kind, SessionId)> {
        let mut evictable = lock(&self.evictable);
        if let Some(first) = evictable.newcomers.first_entry()
            && now.saturating_duration_since(first.get().1) > NEWCOMER
        {
            return Some((Kind::New, first.remove().0));
        }
        evictable.half_closed.pop_first().map(|(_, session)| (Kind::HalfClosed, session))
    }

    /// How many are listed as those who may have to go.
    #[cfg(test)]
    pub(crate) fn listed(&self) -> usize {
        let evictable = lock(&self.evictable);
        evictable.newcomers.len() + evictable.half_closed.len()
    }

    fn count(&self, kind: Kind) -> &AtomicUsize {
        &self.by_kind[kind as usize]
    }
}

/// What an address is counted under: who has one IPv6 address mostly has all of its /64 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// One client's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    /// `None` until the place is really taken.
    kind: Option<Kind>,
    /// What the client is counted under.
    origin: Option<Origin>,
    /// Its number on the list of its kind of those who may have to go.
    number: Option<u64>,
    /// How the client came, and what vouches for its name, once that is known.
    way: Option<Way>,
    voucher: Option<Voucher>,
}

impl Permit {
    /// How the client has come, and what vouches for its name, if anything does.
    pub(crate) fn know(&mut self, way: Option<Way>, voucher: Option<Voucher>) {
        let Permit { admission, .. } = self;
        let ways = [std::mem::replace(&mut self.way, way), way];
        recount(&admission.by_way, ways.map(|way| way.map(|way| way as usize)));
        let vouchers = [std::mem::replace(&mut self.voucher, voucher), voucher];
        recount(&admission.by_voucher, vouchers.map(|by| by.map(|by| by as usize)));
    }

    /// What the client is from now on.
    pub(crate) fn set_kind(&mut self, kind: Kind) {
        self.forget();
        self.admission.count(kind).fetch_add(1, Ordering::SeqCst);
        if let Some(before) = self.kind.replace(kind) {
            self.admission.count(before).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Lists the client among those who may have to go, as that session, if it is of a kind that
    /// may; until it is of another kind, moves, or is gone.
    pub(crate) fn list(&mut self, session: SessionId) {
        let mut evictable = lock(&self.admission.evictable);
        let number = evictable.next_number();
        match self.kind {
            Some(Kind::New) => {
                evictable.newcomers.insert(number, (session, Instant::now()));
            }
            Some(Kind::HalfClosed) => {
                evictable.half_closed.insert(number, session);
            }
            _ => return,
        }
        self.number = Some(number);
    }

    /// Takes the client off that list.
    pub(crate) fn forget(&mut self) {
        if let Some(number) = self.number.take() {
            let mut evictable = lock(&self.admission.evictable);
            match self.kind {
                Some(Kind::New) => drop(evictable.newcomers.remove(&number)),
                _ => drop(evictable.half_closed.remove(&number)),
            }
        }
    }

    /// What the client is.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == Some(kind)
    }
}

/// Counts what was counted under the first number, if any, under the second, if any.
fn recount(counts: &[AtomicUsize], [before, now]: [Option<usize>; 2]) {
    if let Some(now) = now {
        counts[now].fetch_add(1, Ordering::Relaxed);
    }
    if let Some(before) = before {
        counts[before].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.forget();
        self.know(None, None);
        if let Some(origin) = self.origin {
            self.admission.uncount_origin(origin);
        }
        if let Some(kind) = self.kind {
            self.admission.count(kind).fetch_sub(1, Ordering::SeqCst);
            self.admission.taken.fetch_sub(1, Ordering::SeqCst);
            self.admission.released.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_an_ipv6_network_is_one() {
        let admission = Arc::new(Admission::new(100, Some(2)));
        let cases = [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ];
        for (one, same, other) in cases {
            let [one, same, other] = [one, same, other].map(|text| text.parse::<IpAddr>().unwrap());
            let first = admission.take(one).unwrap();
            let _second = admission.take(same).unwrap();
            assert_eq!(admission.take(one).unwrap_err(), NotAdmitted::Address(2), "{one}");
            let _elsewhere = admission.take(other).unwrap();
            drop(first);
            let _again = admission.take(same).unwrap();
            assert_eq!(admission.take(one).unwrap_err(), NotAdmitted::Address(2), "{one}");
        }
        assert!(lock(&admission.by_origin).is_empty(), "{admission:?}");
        assert_eq!((admission.taken(Kind::New), admission.taken.load(Ordering::SeqCst)), (0, 0));
    }

    #[test]
    fn a_user_of_the_system_has_as_many_places_as_an_address() {
        let admission = Arc::new(Admission::new(100, Some(1)));
        let _first = admission.take(Origin::User(1000)).unwrap();
        let refused = admission.take(Origin::User(1000)).unwrap_err();
        assert_eq!(refused, NotAdmitted::User(1));
        let _other = admission.take(Origin::User(1001)).unwrap();
        let _elsewhere = admission.take("127.0.0.1".parse::<IpAddr>().unwrap()).unwrap();
    }

    #[test]
    fn clients_not_logged_in_go_first_then_those_half_closed_the_longest() {
        let admission = Arc::new(Admission::new(100, None));
        let id = |token| SessionId { worker: 0, token, serial: token as u64 };
        let mut clients: Vec<_> = (0..5)
            .map(|_| admission.take("192.0.2.1".parse::<IpAddr>().unwrap()).unwrap())
            .collect();
        let begun = Instant::now();
        clients[1].set_kind(Kind::HalfClosed);
        clients[3].set_kind(Kind::Sender);
        clients.iter_mut().enumerate().for_each(|(token, client)| client.list(id(token)));
        clients[0].set_kind(Kind::HalfClosed);
        clients[0].list(id(0));
        clients.pop();
        let early = admission.next_to_evict(begun + NEWCOMER);
        assert_eq!(early, Some((Kind::HalfClosed, id(1))), "{admission:?}");
        let late = begun + NEWCOMER * 2;
        assert_eq!(admission.next_to_evict(late), Some((Kind::New, id(2))), "{admission:?}");
        assert_eq!(admission.next_to_evict(late), Some((Kind::HalfClosed, id(0))), "{admission:?}");
        assert_eq!(admission.next_to_evict(late), None, "{admission:?}");
    }

    #[test]
    fn a_client_that_finds_no_place_counts_nowhere() {
        let admission = Arc::new(Admission::new(1, Some(9)));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let only = admission.take(address).unwrap();
        assert_eq!(admission.take(address).unwrap_err(), NotAdmitted::Full);
        drop(only);
        assert!(lock(&admission.by_origin).is_empty(), "{admission:?}");
        admission.take(address).unwrap();
    }
}
