//! What users and the protocol rely on, tried with real processes and real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

mod answers;
mod arbitrary;
mod bench;
mod cases;
mod certificates;
mod chat;
mod chat_history;
mod chat_screen;
mod clients;
mod command_line;
mod delivery;
mod descriptors;
mod documents;
mod install;
mod layout;
mod lines;
mod logins;
mod picture;
mod pipes;
mod readme;
mod revocation;
mod running;
mod shutdown;
mod sockets;
mod terminal;
mod tls;
