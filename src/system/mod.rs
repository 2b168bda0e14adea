//! The operating system: descriptors, files, sockets, users, signals, the log.
//!
//! Knows nothing of what stands above: not what a chat is, nor what is done about a signal.

pub(crate) mod accounts;
pub mod descriptors;
pub(crate) mod files;
pub(crate) mod logging;
pub(crate) mod rate_limited;
pub(crate) mod signals;
pub(crate) mod sockets;
