//! A connection that can be made again: logged in, and in the room that it was in.
//!
//! Knows when to try again, and which request may be sent twice. Must not know where requests come
//! from.

use std::fmt::Display;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use log::{Level, info, log_enabled};

use super::backoff::Backoff;
use super::connection::{Answer, Connection, Notice};
use super::error::ClientError;
use super::history::Ask;
use super::transport::Address;
use super::turn::Turn;
use crate::terminal::output::notice;
use crate::wire::position::Span;
use crate::wire::protocol::{Request, offers_history};

/// What a client connects as.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The server.
    pub address: Address,
    /// As a receiver, rather than a sender.
    pub receives: bool,
    /// The user's name.
    pub user: String,
    /// The room that it is in, if any.
    pub room: Option<Vec<u8>>,
    /// What a receiver asks of the server's history, if it wants any.
    pub history: Option<Ask>,
}

/// What to do while the server is away.
pub(crate) trait Reconnect {
    /// Writes a notice, in one line: to standard error by default.
    fn notice(&mut self, what: &dyn Display) {
        notice(what);
    }

    /// Waits before the next attempt. Returns `false` if there is to be none.
    fn pause(&mut self, time: Duration) -> bool {
        thread::sleep(time);
        true
    }
}

/// Tries again until the server is back.
#[derive(Debug)]
pub(crate) struct KeepTrying;

impl Reconnect for KeepTrying {}

/// A connection to a server, logged in and in its room.
#[derive(Debug)]
pub(crate) struct Link {
    /// What it is.
    pub identity: Identity,
    /// The connection, as it is now.
    pub connection: Connection,
    /// Where its join in the room's history led to, if it gets records.
    pub span: Option<Span>,
    /// Make it again when it is lost.
    retry: bool,
    /// It is lost, and has not been made again yet.
    lost: Option<ClientError>,
}

impl Link {
    /// Connects, logs in and enters the room, if there is one. With `retry`, tries again and again
    /// until the server is there.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; with `retry`, only if the server refuses, or is none, or `reconnect` wants no
    /// other attempt.
    pub(crate) fn open(
        identity: Identity,
        retry: bool,
        reconnect: &mut dyn Reconnect,
    ) -> Result<Self, ClientError> {
        let mut turn = Turn::default();
        let Joined { connection, span, .. } = match connect(&identity, &mut turn, reconnect) {
            Err(error) if retry && error.is_loss() => keep_trying(
                |turn, news| connect(&identity, turn, news),
                turn,
                error,
                ClientError::is_loss,
                reconnect,
            )?,
            joined => joined?,
        };
        Ok(Link { identity, connection, span, retry, lost: None })
    }

    /// From now on, the connection is made again when it is lost.
    pub(crate) fn set_retry(&mut self) {
        self.retry = true;
    }

    /// The connection is made again after `loss`.
    pub(crate) fn retries(&self, loss: &ClientError) -> bool {
        self.retry && loss.is_loss()
    }

    /// Makes the connection again after `loss`, if that is wanted.
    ///
    /// # Errors
    ///
    /// `loss`, if it is no loss of a connection, or that is not to be made again; the last error, if
    /// `reconnect` wants no other attempt.
    pub(crate) fn reopen(
        &mut self,
        loss: ClientError,
        reconnect: &mut dyn Reconnect,
    ) -> Result<(), ClientError> {
        if !self.retries(&loss) {
            return Err(loss);
        }
        // Also after a refusal: the first login was accepted.
        let may_pass = |error: &ClientError| !matches!(error, ClientError::NothingKept);
        let again = |turn: &mut Turn, news: &mut dyn Reconnect| connect(&self.identity, turn, news);
        let again = keep_trying(again, Turn::default(), loss, may_pass, reconnect)?;
        let Joined { connection, span, .. } = again;
        (self.connection, self.span, self.lost) = (connection, span, None);
        Ok(())
    }

    /// Sends a request and waits for its answer. If the connection is lost, it is made again, where
    /// that is wanted, and the request is sent again unless it must not be carried out twice.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if it cannot be sent or no answer comes; an `err` is an answer.
    pub(crate) fn request(
        &mut self,
        request: &Request<'_>,
        reconnect: &mut dyn Reconnect,
    ) -> Result<Outcome, ClientError> {
        loop {
            match self.try_request(request, reconnect)? {
                Outcome::NotSent => {
                    if let Some(loss) = self.loss() {
                        self.reopen(loss, reconnect)?;
                    }
                }
                outcome => return Ok(outcome),
            }
        }
    }

    /// Sends a request and waits for its answer. If the connection is lost, and is to be made again,
    /// leaves that for later.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if it cannot be sent or no answer comes; an `err` is an answer.
    pub(crate) fn try_request(
        &mut self,
        request: &Request<'_>,
        reconnect: &mut dyn Reconnect,
    ) -> Result<Outcome, ClientError> {
        // After `quit` no connection is needed.
        let retry = self.retry && *request != Request::Quit;
        if retry && (self.lost.is_some() || self.connection.has_ended()) {
            return Ok(Outcome::NotSent);
        }
        match self.connection.request(request, &mut |what| reconnect.notice(what)) {
            Ok(answer) => {
                self.follow_room(request, &answer);
                Ok(Outcome::Answered(answer))
            }
            Err(error) if retry && error.is_loss() => {
                self.lost = Some(error);
                Ok(match request {
                    Request::SendAll(_) => Outcome::Unsure,
                    _ => Outcome::NotSent,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// How the connection was lost, if it was.
    fn loss(&mut self) -> Option<ClientError> {
        self.lost.take().or_else(|| self.connection.has_ended().then_some(ClientError::Closed))
    }

    /// Updates the room that the client is in.
    fn follow_room(&mut self, request: &Request<'_>, answer: &Answer) {
        match request {
            Request::Join(room) if answer.is_ok() => self.set_room(Some(room.to_vec())),
            Request::Leave if answer.is_ok() => self.set_room(None),
            _ => {}
        }
    }

    /// The client is in another room now, or in none.
    pub(super) fn set_room(&mut self, room: Option<Vec<u8>>) {
        match &room {
            Some(room) => info!("joined room {}", room.escape_ascii()),
            None => info!("left the room"),
        }
        self.identity.room = room;
    }
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server has answered.
    Answered(Answer),
    /// The connection was lost before the answer to a text.
    Unsure,
    /// The connection was lost before that, or it does no harm to send the request again.
    NotSent,
}

/// What an identity has become.
pub(super) struct Joined {
    /// Its connection.
    pub connection: Connection,
    /// It gets records: the server keeps what is said, and that was asked for.
    pub records: bool,
    /// Where it is in what the server keeps, if it gets records and is in a room.
    pub span: Option<Span>,
}

/// Connects, logs in and enters the room, if there is one.
///
/// # Errors
///
/// [`ClientError`].
pub(super) fn connect(
    identity: &Identity,
    turn: &mut Turn,
    reconnect: &mut dyn Reconnect,
) -> Result<Joined, ClientError> {
    let Identity { address, receives, user, room, history } = identity;
    let mut notice = |what: &dyn Display| reconnect.notice(what);
    let mut connection = Connection::open(address, turn)?;
    say_more(&mut notice, &format_args!("connected to {}", connection.peer()));
    let user = user.as_bytes();
    let login = if *receives { Request::LogInReceiver } else { Request::LogInSender };
    let answer = connection.require_ok(&login(user), &mut notice)?;
    say_more(&mut notice, &format_args!("logged in, the server says: {}", answer.escape_ascii()));
    let ask = history.filter(|_| offers_history(&answer));
    match ask {
        Some(Ask { from, .. }) => {
            let from = from.map(|from| from.to_string()).unwrap_or_default();
            connection.require_ok(&Request::History(from.as_bytes()), &mut notice)?;
        }
        None if history.is_some_and(|ask| ask.required) => return Err(ClientError::NothingKept),
        None => {}
    }
    let mut span = None;
    if let Some(room) = room {
        let answer = connection.require_ok(&Request::Join(room), &mut notice)?;
        if ask.is_some() {
            span = Some(Span::find(&answer).ok_or_else(|| ClientError::NoSpan(answer.clone()))?);
        }
        let room = room.escape_ascii();
        let answer = answer.escape_ascii();
        say_more(&mut notice, &format_args!("joined room {room}, the server says: {answer}"));
    }
    Ok(Joined { connection, records: ask.is_some(), span })
}

/// Says what is worth a line only to those who asked for more of them. Where a prompt may be open, the
/// log would not do.
fn say_more(notice: &mut Notice<'_>, what: &dyn Display) {
    if log_enabled!(Level::Info) {
        notice(what);
    }
}

/// Calls `connect`, after `reason` not to be connected, as soon as the server is there and as long as it fails
/// in a way that `may_pass`. Says when the server has gone away and when it is back, and in between only
/// what else it is told: one refusal, and each attempt if more is to be said. Pauses grow each time that
/// all addresses have had their turn.
///
/// # Errors
///
/// The last one, if it will not pass, or `reconnect` wants no other attempt.
pub(super) fn keep_trying<T>(
    mut connect: impl FnMut(&mut Turn, &mut dyn Reconnect) -> Result<T, ClientError>,
    mut turn: Turn,
    mut reason: ClientError,
    may_pass: impl Fn(&ClientError) -> bool,
    reconnect: &mut dyn Reconnect,
) -> Result<T, ClientError> {
    let away = Instant::now();
    let mut backoff = Backoff::new();
    let mut refused = false;
    let mut pause =
        |turn: &mut Turn| if turn.pass() { backoff.pause() } else { Backoff::new().pause() };
    let mut time = pause(&mut turn);
    reconnect.notice(&format_args!("{reason}; trying again"));
    loop {
        if !reconnect.pause(time) {
            return Err(reason);
        }
        reason = match connect(&mut turn, reconnect) {
            Ok(connected) => {
                let time = in_words(away.elapsed());
                reconnect.notice(&format_args!("connected again after {time}"));
                return Ok(connected);
            }
            Err(error) if may_pass(&error) => error,
            Err(error) => return Err(error),
        };
        time = pause(&mut turn);
        let is_news =
            matches!(reason, ClientError::Refused(_)) && !mem::replace(&mut refused, true);
        if is_news || log_enabled!(Level::Info) {
            let time = time.as_secs_f64();
            reconnect.notice(&format_args!("{reason}; trying again in {time:.1} s"));
        }
    }
}

/// A time, as exactly as one wants to know it.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{:.1} s", time.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_exactly_as_one_wants_to_know_it() {
        for (seconds, words) in [
            (0.04, "0.0 s"),
            (59.9, "59.9 s"),
            (60.0, "1 min 0 s"),
            (3599.9, "59 min 59 s"),
            (90_061.0, "25 h 1 min"),
        ] {
            assert_eq!(in_words(Duration::from_secs_f64(seconds)), words);
        }
    }
}
