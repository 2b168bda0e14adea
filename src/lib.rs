//! A chat for the terminal: a server, senders and receivers that talk a line protocol over TCP,
//! with rooms, in one executable.
//!
//! # Map
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | the name the program was called by, or its first argument → an applet |
//! | [`applets`] | the table of applets; each one's flags and what it does with them |
//! | [`server`] | rooms and everything between a client's socket and them |
//! | [`client`] | what senders and receivers share: connect, log in, request → answer |
//! | [`bench`] | a load for any server, and the count of what came of it |
//! | [`lines`] | bytes, cut anywhere → lines with a limit on their length |
//! | [`protocol`] | names, requests, replies: parse and encode |
//! | [`descriptors`] | how many descriptors there may be, and are |
//! | [`logging`] | what goes to standard error beside errors |
//! | [`signals`] | signals → what they ask for |
//! | [`error`] | what a user is told, and the exit status |
//!
//! Imports go one way: `main → cli → applets → {server | client | bench} → lines → protocol`.
//! The server and the clients never meet. Only `cli` and `applets` know the command line.

pub mod applets;
pub mod bench;
pub mod cli;
pub mod client;
pub mod descriptors;
pub mod error;
pub mod lines;
pub mod logging;
pub mod protocol;
pub mod server;
pub mod signals;
