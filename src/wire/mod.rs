//! What goes over a connection: bytes → lines, and what lines mean.
//!
//! Knows bytes and nothing else: neither sockets nor what is done about a line.
#![doc = include_str!("PROTOCOL.md")]

pub(crate) mod lines;
pub mod position;
pub mod protocol;
