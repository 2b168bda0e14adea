//! Why a connection ends: what is logged, what the client is told, and what is counted.

use std::time::Duration;

use log::{debug, info};

use super::loss::Loss;
use crate::server::chat::room::Room;
use crate::server::chat::session::Session;
use crate::server::chat::sync::atomic::Ordering;
use crate::server::chat::tally::Tally;
use crate::system::rate_limited::Warning;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// All is said.
    Done,
    /// The client is lost.
    Lost(Loss),
    /// Its handshake was not over in time, or others began theirs.
    Handshake,
    /// What vouched for it does not any more.
    Revoked,
    /// It has not logged in in time.
    LoginTimeout,
    /// It has not logged in, and others need the place.
    Evicted,
    /// It may be gone, and others need the place.
    HalfClosed,
    /// Its queue has been above its mark for so long.
    Stalled(Duration),
    /// What it has not been given is no longer kept, or cannot be read.
    Missed,
    /// The server stops.
    Stopping,
    /// The server has a bug.
    Panicked,
}

impl CloseReason {
    /// What the client is told before the end.
    pub(crate) fn parting_line(self) -> Option<&'static [u8]> {
        match self {
            CloseReason::LoginTimeout => Some(b"not logged in in time"),
            CloseReason::Evicted => Some(b"not logged in, and others need the place"),
            _ => None,
        }
    }

    /// The client is to be able to tell that it was cut.
    pub(crate) fn is_cut(self) -> bool {
        matches!(self, CloseReason::Stalled(_) | CloseReason::Missed)
    }

    /// Counts the end of a session, and its texts that are not answered.
    pub(crate) fn count(self, tally: &Tally, session: &Session) {
        let (counter, more) = match self {
            CloseReason::Lost(Loss::TimedOut) => (&tally.lost, 1),
            CloseReason::Stalled(_) | CloseReason::Missed => (&tally.cut, 1),
            CloseReason::Stopping => (&tally.unanswered, session.unanswered_texts() as u64),
            _ => return,
        };
        counter.fetch_add(more, Ordering::Relaxed);
    }

    /// Logs the end of a session that was in that room; `cuts` gives the warnings of those that were
    /// cut.
    pub(crate) fn log(self, session: &Session, room: Option<&Room>, cuts: &mut Warning) {
        match self {
            CloseReason::Done => debug!("{session} left"),
            CloseReason::Lost(Loss::Closed) => debug!("{session} left: connection closed"),
            CloseReason::Lost(Loss::Tls) => debug!("{session} closed: it speaks TLS"),
            CloseReason::Lost(Loss::BadTls) => debug!("{session} closed: no TLS with it"),
            CloseReason::Handshake => debug!("{session} closed: its handshake takes too long"),
            CloseReason::Revoked | CloseReason::Lost(Loss::Revoked) => {
                info!("{session} closed: its certificate holds no longer")
            }
            CloseReason::Lost(Loss::TimedOut) => info!(
                "lost {session}: its system has not answered, or taken anything, for too long"
            ),
            CloseReason::LoginTimeout => debug!("{session} closed: not logged in in time"),
            CloseReason::Evicted => {
                debug!("{session} closed: not logged in, others need the place");
            }
            CloseReason::HalfClosed => {
                debug!("{session} closed: half-closed, and others need the place");
            }
            CloseReason::Stopping => debug!("{session} closed: the server stops"),
            CloseReason::Missed => cuts.warn(format_args!(
                "cut {session} in room {}: what it has not been given yet is no longer kept, or \
                 cannot be read",
                room.map_or("", |room| room.name().as_str()),
            )),
            CloseReason::Panicked => debug!("{session} closed: the server has a bug"),
            CloseReason::Stalled(time) => cuts.warn(format_args!(
                "cut {session} in room {}: it takes too little, {} bytes have been queued for {} s",
                room.map_or("", |room| room.name().as_str()),
                session.owed(),
                time.as_secs_f64(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::chat::admission::Admission;
    use crate::server::chat::id::Peer;
    use crate::server::chat::vouched::Vouched;

    #[test]
    fn only_what_an_operator_has_to_know_is_counted() {
        let tally = Tally::default();
        let admission = std::sync::Arc::new(Admission::new(1, None));
        let permit = admission.take(Peer::Local(0).origin()).unwrap();
        let session = Session::new(Peer::Local(0), Vouched::Nothing, permit);
        for reason in [
            CloseReason::Done,
            CloseReason::Lost(Loss::Closed),
            CloseReason::Lost(Loss::Tls),
            CloseReason::Lost(Loss::TimedOut),
            CloseReason::Lost(Loss::BadTls),
            CloseReason::Lost(Loss::Revoked),
            CloseReason::Handshake,
            CloseReason::Revoked,
            CloseReason::LoginTimeout,
            CloseReason::Evicted,
            CloseReason::HalfClosed,
            CloseReason::Stopping,
            CloseReason::Panicked,
        ] {
            reason.count(&tally, &session);
            assert!(!reason.is_cut());
        }
        for reason in [CloseReason::Stalled(Duration::ZERO), CloseReason::Missed] {
            reason.count(&tally, &session);
            assert!(reason.is_cut());
        }
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((count(&tally.lost), count(&tally.cut)), (1, 2));
    }
}
