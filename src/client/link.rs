//! A connection that can be made again: logged in, and in the room that it was in.

use std::fmt;
use std::thread;
use std::time::Instant;

use super::backoff::Backoff;
use super::{Answer, ClientError, Connection};
use crate::protocol::Request;

/// What a client is, to every server that it connects to.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The server's name or address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// It receives, rather than sends.
    pub receives: bool,
    /// The user's name.
    pub user: String,
    /// The room that it is in, if any.
    pub room: Option<Vec<u8>>,
}

/// Takes what there is to say about a connection that comes and goes, in one line.
pub type Say<'a> = dyn FnMut(&dyn fmt::Display) + 'a;

/// A connection to a server, logged in and in its room.
#[derive(Debug)]
pub struct Link {
    /// What it is.
    pub identity: Identity,
    /// The connection, as it is now.
    pub connection: Connection,
    /// Make it again when it is lost.
    retry: bool,
}

impl Link {
    /// Connects, logs in and enters the room, if there is one. With `retry`, tries again and again
    /// until the server is there.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; with `retry`, only if the host is unknown, the server refuses, or the
    /// deadline has come.
    pub fn open(
        identity: Identity,
        retry: bool,
        deadline: Option<Instant>,
        say: &mut Say<'_>,
    ) -> Result<Self, ClientError> {
        let mut backoff = Backoff::new();
        loop {
            match connect(&identity, deadline) {
                Ok(connection) => return Ok(Link { identity, connection, retry }),
                Err(error) if retry && error.is_loss() => {
                    pause(&error, &mut backoff, deadline, say)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the connection again after `loss`, if that is wanted.
    ///
    /// # Errors
    ///
    /// `loss`, if it is none or it is not wanted; [`ClientError::TimedOut`] at the deadline.
    pub fn reopen(&mut self, loss: ClientError, say: &mut Say<'_>) -> Result<(), ClientError> {
        if !self.retry || !loss.is_loss() {
            return Err(loss);
        }
        let deadline = self.connection.deadline();
        let mut backoff = Backoff::new();
        let mut reason = loss;
        loop {
            pause(&reason, &mut backoff, deadline, say)?;
            match connect(&self.identity, deadline) {
                Ok(connection) => {
                    self.connection = connection;
                    say(&"connected again");
                    return Ok(());
                }
                Err(ClientError::TimedOut) => return Err(ClientError::TimedOut),
                // Also a refusal: it was let in before.
                Err(error) => reason = error,
            }
        }
    }

    /// Sends a request and waits for its answer. If the connection is lost and made again, the
    /// request is sent again unless the server may have carried it out and it must not be carried
    /// out twice.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if it cannot be sent or no answer comes; an `err` is an answer.
    pub fn request(
        &mut self,
        request: &Request<'_>,
        say: &mut Say<'_>,
    ) -> Result<Outcome, ClientError> {
        loop {
            if self.retry && self.connection.has_ended() {
                self.reopen(ClientError::Closed, say)?;
            }
            let loss = match self.connection.request(request) {
                Ok(answer) => {
                    match request {
                        Request::Join(room) if answer.is_ok() => {
                            self.identity.room = Some(room.to_vec());
                        }
                        Request::Leave if answer.is_ok() => self.identity.room = None,
                        _ => {}
                    }
                    return Ok(Outcome::Answered(answer));
                }
                Err(error) => error,
            };
            if *request == Request::Quit {
                return Err(loss);
            }
            self.reopen(loss, say)?;
            if matches!(request, Request::SendAll(_)) {
                return Ok(Outcome::Unsure);
            }
        }
    }
}

/// What has become of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The server has answered.
    Answered(Answer),
    /// The connection was lost before the answer, and has been made again.
    Unsure,
}

fn connect(identity: &Identity, deadline: Option<Instant>) -> Result<Connection, ClientError> {
    let Identity { host, port, receives, user, room } = identity;
    let mut connection = Connection::open(host, *port, deadline)?;
    let user = user.as_bytes();
    connection.demand(&match receives {
        true => Request::LogInReceiver(user),
        false => Request::LogInSender(user),
    })?;
    if let Some(room) = room {
        connection.demand(&Request::Join(room))?;
    }
    Ok(connection)
}

/// Says what is wrong, and waits before the next attempt.
fn pause(
    reason: &ClientError,
    backoff: &mut Backoff,
    deadline: Option<Instant>,
    say: &mut Say<'_>,
) -> Result<(), ClientError> {
    let pause = backoff.pause();
    say(&format_args!("{reason}; trying again in {:.1} s", pause.as_secs_f64()));
    let until = Instant::now() + pause;
    let until = deadline.map_or(until, |deadline| until.min(deadline));
    thread::sleep(until.saturating_duration_since(Instant::now()));
    match deadline {
        Some(deadline) if deadline <= Instant::now() => Err(ClientError::TimedOut),
        _ => Ok(()),
    }
}
