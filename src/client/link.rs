//! A connection that can be made again: logged in, and in the room that it was in.
//!
//! Knows when to try again, and which request may be sent twice. Must not know where requests come
//! from.

use std::fmt::Display;
use std::thread;
use std::time::Duration;

use log::{Level, info, log_enabled};

use super::backoff::Backoff;
use super::connection::{Answer, Connection, Notice};
use super::error::ClientError;
use super::transport::Address;
use crate::terminal::output::notice;
use crate::wire::protocol::Request;

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
        let mut backoff = Backoff::new();
        loop {
            match connect(&identity, reconnect) {
                Ok(connection) => return Ok(Link { identity, connection, retry, lost: None }),
                Err(error) if retry && error.is_loss() => pause(error, &mut backoff, reconnect)?,
                Err(error) => return Err(error),
            }
        }
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
        let mut backoff = Backoff::new();
        let mut reason = loss;
        loop {
            pause(reason, &mut backoff, reconnect)?;
            match connect(&self.identity, reconnect) {
                Ok(connection) => {
                    self.connection = connection;
                    self.lost = None;
                    reconnect.notice(&"connected again");
                    return Ok(());
                }
                // Also a refusal: the first login was accepted.
                Err(error) => reason = error,
            }
        }
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

fn connect(identity: &Identity, reconnect: &mut dyn Reconnect) -> Result<Connection, ClientError> {
    let Identity { address, receives, user, room } = identity;
    let mut notice = |what: &dyn Display| reconnect.notice(what);
    let mut connection = Connection::open(address)?;
    say_more(&mut notice, &format_args!("connected to {}", connection.peer()));
    let user = user.as_bytes();
    let login = if *receives { Request::LogInReceiver } else { Request::LogInSender };
    let answer = connection.require_ok(&login(user), &mut notice)?;
    say_more(&mut notice, &format_args!("logged in, the server says: {}", answer.escape_ascii()));
    if let Some(room) = room {
        let answer = connection.require_ok(&Request::Join(room), &mut notice)?;
        let room = room.escape_ascii();
        let answer = answer.escape_ascii();
        say_more(&mut notice, &format_args!("joined room {room}, the server says: {answer}"));
    }
    Ok(connection)
}

/// Says what is worth a line only to those who asked for more of them. Where a prompt may be open, the
/// log would not do.
fn say_more(notice: &mut Notice<'_>, what: &dyn Display) {
    if log_enabled!(Level::Info) {
        notice(what);
    }
}

/// Reports why there is no connection, and waits before the next attempt. Returns that error if
/// there is to be none.
fn pause(
    reason: ClientError,
    backoff: &mut Backoff,
    reconnect: &mut dyn Reconnect,
) -> Result<(), ClientError> {
    let time = backoff.pause();
    reconnect.notice(&format_args!("{reason}; trying again in {:.1} s", time.as_secs_f64()));
    if reconnect.pause(time) { Ok(()) } else { Err(reason) }
}
