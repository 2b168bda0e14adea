//! Rooms that remember: what is kept, what survives, and what receivers are given of it. Every test
//! has a server and a file of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

mod bench;
mod crashes;
mod files;
mod manual;
mod receiver;
mod replays;
mod scratch;
mod slow;
mod trouble;
mod wire;
