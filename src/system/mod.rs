//! What we want of the operating system, and what it wants of us.
//!
//! Knows nothing of what stands above: not what a chat is, nor what becomes of a signal.

pub mod descriptors;
pub(crate) mod logging;
pub(crate) mod signals;
pub(crate) mod sockets;
