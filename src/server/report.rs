//! What a server says of itself when asked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use log::info;

use super::hub::{Hub, Mailbox};
use super::places::Kind;

/// Rooms that a report names at most.
const ROOMS: usize = 20;

/// Logs the server's state, in a few lines.
pub fn log(hub: &Hub, up: Duration) {
    let Hub { places, directory, tally, mailboxes, .. } = hub;
    let rooms = directory.rooms();
    let mut rooms: Vec<_> = rooms.iter().map(|room| (room.census(), room.name())).collect();
    rooms.sort_by(|a, b| b.cmp(a));
    let queued: usize = rooms.iter().map(|((_, bytes), _)| bytes).sum();
    info!(
        "report: up {} s; {} new clients, {} senders, {} receivers, at most {} in all; {} rooms, \
         {queued} bytes queued; so far {} texts, {} deliveries, {} receivers cut",
        up.as_secs(),
        places.taken(Kind::New),
        places.taken(Kind::Sender),
        places.taken(Kind::Receiver),
        places.max,
        rooms.len(),
        tally.texts.load(Ordering::Relaxed),
        tally.deliveries.load(Ordering::Relaxed),
        tally.cut.load(Ordering::Relaxed),
    );
    let workers: Vec<_> = mailboxes.iter().map(Mailbox::sessions).collect();
    info!("report: clients on each worker: {workers:?}");
    for ((receivers, bytes), name) in rooms.iter().take(ROOMS) {
        info!("report: room {name}: {receivers} receivers, {bytes} bytes queued");
    }
    if rooms.len() > ROOMS {
        info!("report: and {} rooms more", rooms.len() - ROOMS);
    }
    info!("end of report");
}
