//! A chat for the terminal: a server, senders and receivers that talk a line protocol over TCP,
//! with rooms, in one executable.
//!
//! # Map
//!
//! | module | what it is for | what it uses |
//! |---|---|---|
//! | [`cli`] | the name the program was called by, or its first argument → an applet | `applets`, `error`, `install`, `terminal`, `usage` |
//! | [`applets`] | the table of applets; each one's flags → one call | `error`, `bench`, `check`, `client`, `server`, `terminal`, `usage`, `wire`, `system` |
//! | [`error`] | every error → what a user is told, and the exit status | `install`, `bench`, `check`, `client`, `server`, `terminal`, `usage`, `system` |
//! | [`install`] | links, manual pages and completions → files | `usage` |
//! | [`mod@bench`] | a load for any server, and the count of what came of it | `client`, `terminal`, `wire`, `system` |
//! | [`check`] | cases for any server, sender or receiver, and what came of them | `client`, `terminal`, `system` |
//! | [`client`] | what senders and receivers do: connect, log in, request → answer, delivery → output | `terminal`, `tls`, `wire`, `system` |
//! | [`server`] | rooms, and everything between a client's socket and them | `tls`, `wire`, `system` |
//! | [`terminal`] | what a person types and sees | `wire`, `system` |
//! | [`usage`] | how a command is called, and how that is told | |
//! | [`tls`] | files with certificates and keys → what an end of a connection needs | `system` |
//! | [`wire`] | bytes → lines, and lines ↔ requests, answers and deliveries | |
//! | [`system`] | descriptors, files, sockets, users, signals, the log | |
//!
//! Imports go one way: a module uses only what stands below it, and of that only what its row says.
//! In a folder, too, no files use each other in a circle.

#![warn(unreachable_pub, clippy::match_bool)]

mod applets;
mod bench;
mod check;
pub mod cli;
mod client;
mod error;
mod install;
mod server;
pub mod system;
mod terminal;
mod tls;
mod usage;
pub mod wire;
