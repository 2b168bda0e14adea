//! The check that what was sent can be replayed: once and in order.
//!
//! Knows rooms as receivers that go back in them see them. Must not know how texts were sent.

use rustix::event::{PollFd, PollFlags};

use super::client::{RESPONSE_TIMEOUT, Receiver};
use super::error::BenchError;
use super::plan::Plan;
use super::report::Replayed;
use super::text::{Answers, Arrival};
use crate::client::ClientError;
use crate::client::connection::Connection;
use crate::client::history::Ask;
use crate::client::link::{Identity, KeepTrying, Link};
use crate::system::descriptors;
use crate::wire::lines::Line;
use crate::wire::position::{Position, Resume, Span};
use crate::wire::protocol::{self, Reply};

/// Where each room is before anything is sent.
///
/// # Errors
///
/// [`BenchError::History`] if the server keeps nothing, or does not let anybody in.
pub(super) fn begin(plan: &Plan) -> Result<Vec<Position>, BenchError> {
    let begin = |room| enter(plan, room, None).map(|(_, span)| span.from);
    (0..plan.rooms).map(begin).collect()
}

/// Replays all rooms from where they were, see [`begin`].
///
/// # Errors
///
/// [`BenchError::History`] if the server does not let anybody in any more.
pub(super) fn check(
    plan: &Plan,
    begun: &[Position],
    answers: &[Answers],
) -> Result<Replayed, BenchError> {
    let mut replayed = Replayed::default();
    for (room, position) in begun.iter().enumerate() {
        let (mut connection, span) = enter(plan, room, Some(Resume::After(*position)))?;
        let mut receiver = Receiver::new(plan, room);
        let mut last = span.from;
        while last.seq < span.to {
            let Some(line) = connection.next_line() else {
                // What does not come is lost.
                if has_more(&mut connection) { continue } else { break }
            };
            let before = last;
            let arrival = match line {
                Line::Whole(line) => match Reply::parse(line) {
                    Ok(Reply::Record(protocol::Stamp { position, .. }, delivery)) => {
                        last = position;
                        receiver.record(delivery.text, plan, answers)
                    }
                    _ => None,
                },
                Line::TooLong(_) => None,
            };
            let follows = last == Position { seq: before.seq + 1, ..before };
            let kept = arrival.filter(|(stamp, _)| {
                follows && !answers[usize::from(stamp.sender)].is_refused(stamp.number)
            });
            match kept.map(|(_, arrival)| arrival) {
                None => replayed.strays += 1,
                Some(Arrival::Duplicate) => replayed.duplicated += 1,
                Some(arrival) => {
                    replayed.texts += 1;
                    replayed.reordered += u64::from(arrival == Arrival::Reordered);
                }
            }
        }
        replayed.lost += receiver.lost(plan, answers);
    }
    Ok(replayed)
}

/// Enters a room as a receiver that goes back in it.
fn enter(plan: &Plan, room: usize, from: Option<Resume>) -> Result<(Connection, Span), BenchError> {
    let identity = Identity {
        address: plan.address.clone(),
        receives: true,
        user: plan.user.clone(),
        room: Some(plan.room(room).into_bytes()),
        history: Some(Ask { from, required: true }),
    };
    let link = Link::open(identity, false, &mut KeepTrying).map_err(BenchError::History)?;
    let span = link.span.ok_or(BenchError::History(ClientError::NothingKept))?;
    Ok((link.connection, span))
}

/// Reads more, if more comes in time.
fn has_more(connection: &mut Connection) -> bool {
    let mut fds = [PollFd::new(connection, PollFlags::IN)];
    let ready = descriptors::wait(&mut fds, Some(RESPONSE_TIMEOUT)).unwrap_or(false);
    ready && connection.fill().is_ok()
}
