//! The server's promises under fire: clients that stall, flood, say nothing, never stop or
//! vanish, and tables that are full. Every test has a server of its own and says what it saw.
//!
//! The tests that take minutes are ignored; README.md says how to run them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

mod addresses;
mod bugs;
mod crowds;
mod floods;
mod handshakes;
mod limits;
mod slow;
mod turmoil;
mod vanished;
