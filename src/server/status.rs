//! What a server says of itself when asked.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::info;

use super::chat::admission::{Admission, Kind};
use super::chat::census::Census;
use super::chat::id::Way;
use super::chat::vouched::Voucher;
use super::worker::shared::Shared;
use crate::system::logging::ASKED_FOR;

/// Rooms that a report names at most.
const ROOMS: usize = 20;

/// Slow receivers of a room that it names at most.
const SLOW: usize = 5;

/// Logs the server's state, in a few lines; `has_ways`: clients may come in other ways than over TCP as it
/// is.
pub(crate) fn log(shared: &Shared, up: Duration, has_ways: bool) {
    let Shared { admission, rooms, tally, placement, .. } = shared;
    let rooms = rooms.all();
    let mut rooms: Vec<_> = rooms.iter().map(|room| (room.census(), room.name())).collect();
    rooms.sort_by(|a, b| b.cmp(a));
    let queued: usize = rooms.iter().map(|(census, _)| census.bytes).sum();
    info!(
        target: ASKED_FOR,
        "report: up {} s; {} new clients, {} senders, {} receivers, {} half-closed receivers, at \
         most {} in all; {} rooms, {queued} bytes queued; so far {} texts, {} deliveries, {} \
         receivers cut, {} clients lost",
        up.as_secs(),
        admission.taken(Kind::New),
        admission.taken(Kind::Sender),
        admission.taken(Kind::Receiver),
        admission.taken(Kind::HalfClosed),
        admission.max,
        rooms.len(),
        tally.texts.load(Ordering::Relaxed),
        tally.deliveries.load(Ordering::Relaxed),
        tally.cut.load(Ordering::Relaxed),
        tally.lost.load(Ordering::Relaxed),
    );
    if has_ways {
        log_ways(admission);
    }
    let workers: Vec<_> = (0..placement.workers()).map(|one| placement.sessions(one)).collect();
    info!(target: ASKED_FOR, "report: clients on each worker: {workers:?}");
    if let Some(report) = shared.log.as_ref().and_then(|log| log.report()) {
        info!(target: ASKED_FOR, "report: {report}");
    }
    for (census, name) in rooms.iter().take(ROOMS) {
        info!(target: ASKED_FOR, "report: room {name}: {census}");
    }
    if rooms.len() > ROOMS {
        info!(target: ASKED_FOR, "report: and {} rooms more", rooms.len() - ROOMS);
    }
    info!(target: ASKED_FOR, "end of report");
}

/// Logs how the clients came, and what vouches for their names.
fn log_ways(admission: &Admission) {
    let [tcp, tls, socket] = [Way::Tcp, Way::Tls, Way::Socket].map(|way| admission.came(way));
    let vouchers = [Voucher::Account, Voucher::Certificate];
    let [accounts, certificates] = vouchers.map(|voucher| admission.vouched_by(voucher));
    info!(
        target: ASKED_FOR,
        "report: {tcp} clients over TCP, {tls} over TLS, {socket} over the socket; {accounts} known \
         by accounts, {certificates} by certificates",
    );
}

/// `3 receivers, 1 half-closed, 1048 bytes queued, waits for receiver eve (127.0.0.1:4711)`
impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Census { receivers, half_closed, bytes, waits_for } = self;
        write!(f, "{receivers} receivers, {half_closed} half-closed, {bytes} bytes queued")?;
        let shown = waits_for.iter().take(SLOW);
        shown.enumerate().try_for_each(|(index, receiver)| {
            write!(f, "{} {receiver}", if index == 0 { ", waits for" } else { "," })
        })
    }
}
