//! What senders and receivers do, each of them over connections that can be made again.
//!
//! Knows the protocol, terminals and pipes. Must not know flags, nor anything of the server's inside.

mod backoff;
pub mod command;
pub mod connection;
mod error;
pub mod link;
pub mod receive;
pub mod send;
pub mod transport;
mod watch;

pub use error::ClientError;
