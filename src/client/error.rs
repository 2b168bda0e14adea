//! Why a client cannot go on.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

use super::cursor::CursorError;
use super::distrust::Distrust;
use super::patience::LONGEST;
use crate::terminal::TerminalError;
use crate::terminal::visible::visible;
use crate::tls::TlsError;
use crate::wire::protocol::EncodeError;

/// Why a client cannot go on.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// The host's name does not resolve.
    #[error("cannot find host {host}: {source}")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of the host accepts a connection.
    #[error("cannot connect to {host} port {port}: {source}")]
    Connect {
        /// The host's name.
        host: String,
        /// The port.
        port: u16,
        /// What the system said of the last address tried.
        source: io::Error,
    },
    /// A Unix socket does not accept a connection.
    #[error("cannot connect to {}: {source}", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody answers at a Unix socket who may not be trusted.
    #[error(
        "whoever answers at {} is neither root nor the owner of the directory, but uid {uid}",
        .path.display()
    )]
    Impostor {
        /// The socket.
        path: PathBuf,
        /// The number of that user.
        uid: u32,
    },
    /// A certificate or a key of one's own will not do.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server and this client do not come to trust each other.
    #[error(transparent)]
    Distrust(Distrust),
    /// The server has closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server has closed the connection, with this reason.
    #[error("the server closed the connection: {}", visible(.0))]
    ClosedWith(Vec<u8>),
    /// A receiver's connection was reset, as the server does if that reads too slowly; anything in
    /// between, or a server that was killed, may have done it as well.
    #[error(
        "the connection was reset, as it is when a receiver takes too little: texts may be missing"
    )]
    Cut,
    /// The same, where the server keeps what is said: who comes back is told what is missing.
    #[error("the connection was reset, as it is when a receiver takes nothing for too long")]
    CutFromHistory,
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[source] io::Error),
    /// The server does not answer a request other than a text.
    #[error("the server has not answered for {} s", LONGEST.as_secs())]
    Silent,
    /// Whoever is there answers a login, or the first join, with something else.
    #[error("the server there is no chat server: it says {}", visible(.0))]
    NoChat(Vec<u8>),
    /// The server keeps nothing, and that is not enough.
    #[error("the server does not keep what is said; this needs one that does (server --history)")]
    NothingKept,
    /// The server keeps what is said, but does not say where in that one is.
    #[error("the server does not say where in the room's history it begins: {}", visible(.0))]
    NoSpan(Vec<u8>),
    /// Where a receiver is cannot be kept.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The server sent a line that is far too long, when it should have answered.
    #[error("the server's answer has more than {0} bytes")]
    Overlong(usize),
    /// The server answered `err`; this is its payload.
    #[error("{}", visible(.0))]
    Refused(Vec<u8>),
    /// The request does not fit the wire.
    #[error(transparent)]
    Unsendable(#[from] EncodeError),
    /// The connection was lost, and with it the answers to some requests.
    #[error("{loss}; {}", between(.unit, *.first, *.last))]
    Unanswered {
        /// How it was lost.
        #[source]
        loss: Box<ClientError>,
        /// What input comes in: lines, or texts.
        unit: &'static str,
        /// The first unit without an answer.
        first: usize,
        /// The last one.
        last: usize,
    },
    /// Something was not sent, or refused, and that has been reported.
    #[error("something was not sent")]
    Reported,
    /// Standard input or output failed.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl ClientError {
    /// The connection broke, for this reason.
    pub(super) fn broken(error: io::Error) -> Self {
        error.downcast().map_or_else(Self::Broken, Self::Distrust)
    }

    /// The connection is lost, and may be made again later.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::UnknownHost { .. }
                | Self::Connect { .. }
                | Self::Socket { .. }
                | Self::Distrust(Distrust::Ended | Distrust::Refusal(_))
                | Self::Closed
                | Self::Cut
                | Self::CutFromHistory
                | Self::ClosedWith(_)
                | Self::Broken(_)
                | Self::Silent
        )
    }

    /// The same for a receiver, which knows what a reset may mean. `records`: it gets them.
    pub(crate) fn of_receiver(self, records: bool) -> Self {
        match self {
            Self::Broken(error) if error.kind() == ErrorKind::ConnectionReset => {
                if records {
                    Self::CutFromHistory
                } else {
                    Self::Cut
                }
            }
            error => error,
        }
    }
}

fn between(unit: &str, first: usize, last: usize) -> String {
    if first == last {
        format!("{unit} {first} has no answer")
    } else {
        format!("{unit}s {first} to {last} have no answer")
    }
}
