//! Several servers that are one chat, over a real Redis, which each test has for itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

mod clients;
mod engine;
mod load;
mod losses;
mod refusals;
mod rooms;
mod start;
mod trouble;
mod way;
