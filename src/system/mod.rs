//! The operating system: descriptors, sockets, signals, the log.
//!
//! Knows nothing of what stands above: not what a chat is, nor what is done about a signal.

pub mod descriptors;
pub(crate) mod logging;
pub(crate) mod rate_limited;
pub(crate) mod signals;
pub(crate) mod sockets;
