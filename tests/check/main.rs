//! `chatbox check`: what is right passes, what is wrong is found, and what it says of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

mod client_faults;
mod fault;
mod faulty_client;
mod faulty_server;
mod own;
mod reference;
mod reports;
mod run;
mod selection;
mod server_faults;
mod trouble;
