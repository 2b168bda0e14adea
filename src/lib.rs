//! A chat for the terminal: a server, senders and receivers that talk a line protocol over TCP,
//! with rooms, in one executable.
//!
//! # Map
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | the name the program was called by, or its first argument → an applet |
//! | [`documents`] | the manual pages and completions of an installation |
//! | [`applets`] | the table of applets; each one's flags and what it does with them |
//! | [`signals`] | signals → what they ask for |
//! | [`output`] | standard output |
//! | [`error`] | what a user is told, and the exit status |
//! | [`install`] | links and documents → files |
//! | [`usage`] | how a command is called, and how that is told |
//! | [`server`] | rooms and everything between a client's socket and them |
//! | [`mod@bench`] | a load for any server, and the count of what came of it |
//! | [`client`] | what senders and receivers share: connect, log in, request → answer |
//! | [`logging`] | what goes to standard error beside errors |
//! | [`terminal`] | what may be shown on a terminal, and in which colour |
//! | [`sockets`] | what every connection wants of its socket |
//! | [`descriptors`] | how many descriptors there may be, and are, and room for them |
//! | [`lines`] | bytes, cut anywhere → lines with a limit on their length |
//! | [`protocol`] | names, requests, replies: parse and encode |
//!
//! Imports go one way: a module uses only what stands below it in the map. The server and the
//! clients never meet.

pub mod applets;
pub mod bench;
pub mod cli;
pub mod client;
pub mod descriptors;
pub mod documents;
pub mod error;
pub mod install;
pub mod lines;
pub mod logging;
pub mod output;
pub mod protocol;
pub mod server;
pub mod signals;
pub mod sockets;
pub mod terminal;
pub mod usage;
