//! Why a request is not carried out.

use thiserror::Error;

use super::vouched::WrongName;
use crate::wire::protocol::{self, Name, RequestError};

/// Why a request is not carried out. Its text is the payload of the `err`.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("line too long, at most {} bytes with its end", protocol::MAX_REQUEST)]
    LineTooLong,
    #[error(transparent)]
    Malformed(#[from] RequestError),
    #[error("not logged in")]
    NotLoggedIn,
    /// It wants to go, and has nothing to stay for.
    #[error("not logged in, bye")]
    QuitBeforeLogin,
    /// A web page must not be able to speak for the person who reads it.
    #[error("this is a chat server, and does not speak HTTP")]
    Http,
    #[error("already logged in as {0}")]
    AlreadyLoggedIn(Name),
    #[error("bad user name, only letters and digits will do")]
    BadUser,
    #[error("bad room name, only letters and digits will do")]
    BadRoom,
    #[error(transparent)]
    WrongName(#[from] WrongName),
    #[error("not in a room, join one first")]
    NotInRoom,
    #[error("only a sender may do that")]
    SendersOnly,
    #[error("only a receiver may do that")]
    ReceiversOnly,
    #[error("a history is asked for with nothing, last=N or after=EPOCH-SEQ")]
    BadHistory,
}

impl Refusal {
    /// The connection ends with it.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Refusal::QuitBeforeLogin | Refusal::Http)
    }
}
