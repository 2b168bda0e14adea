//! What senders and receivers do, each of them over connections that can be made again.
//!
//! Knows the protocol, terminals and pipes. Must not know flags, nor anything of the server's inside.
#![doc = include_str!("CLIENTS.md")]

mod backoff;
pub(crate) mod chat;
pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod cursor;
mod dial;
mod dialogue;
mod distrust;
mod entry;
mod error;
mod hearing;
pub(crate) mod history;
pub(crate) mod link;
mod local;
mod patience;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod tls;
pub(crate) mod transport;
mod turn;
mod watch;

pub(crate) use error::ClientError;
