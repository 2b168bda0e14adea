//! What a user is told when something goes wrong, and the exit status that says so to programs.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use thiserror::Error;

use crate::bench::BenchError;
use crate::client::ClientError;
use crate::install::InstallError;
use crate::server::ServerError;
use crate::terminal::visible;
use crate::usage::call::UsageError;

/// Anything that ends the program with a status other than 0.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line asks for help, or makes no sense.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The server cannot run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A sender or receiver cannot go on.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The connection was lost, and with it the answers to some requests.
    #[error("{loss}; {}", between(.unit, *.first, *.last))]
    Unanswered {
        /// How it was lost.
        #[source]
        loss: ClientError,
        /// What input comes in: lines, or texts.
        unit: &'static str,
        /// The first unit without an answer.
        first: usize,
        /// The last one.
        last: usize,
    },
    /// A load cannot begin.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// An installation cannot be made.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A load has shown that the server loses, doubles or swaps texts, or does not stay.
    #[error("the server lost, duplicated or reordered texts, or was gone before the end")]
    Unclean,
    /// What was waited for has not come in time.
    #[error("the time is over")]
    TimeOver,
    /// Something is wrong, and has been said.
    #[error("something went wrong")]
    Said,
    /// There is no thread to be had.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// Signals cannot be handled.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

impl Error {
    /// The exit status: 2 for wrong usage, 124 when the time is over, 1 for all else.
    pub fn status(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Server(ServerError::UnknownHost { .. }) => 2,
            Error::TimeOver => 124,
            _ => 1,
        }
    }

    /// Says on standard error what is wrong, in one line, unless that has been said already.
    pub fn print(&self) {
        match self {
            Error::Said => {}
            Error::Client(ClientError::Refused(reason)) => pass_on("", reason),
            error => notice(error),
        }
    }
}

fn between(unit: &str, first: usize, last: usize) -> String {
    match first == last {
        true => format!("{unit} {first} has no answer"),
        false => format!("{unit}s {first} to {last} have no answer"),
    }
}

/// Says something on standard error, in one line.
pub fn notice(what: &dyn Display) {
    // What it quotes may hold anything, but no colour of ours.
    say(format!("{}: {what}", env!("CARGO_PKG_NAME")).as_bytes(), true);
}

/// Passes on to standard error what a server gave as its reason: exactly, unless it is for a
/// terminal. `before` is what there is to say before it.
pub fn pass_on(before: &str, reason: &[u8]) {
    let terminal = io::stderr().is_terminal();
    say(&[before.as_bytes(), reason].concat(), terminal);
}

fn say(line: &[u8], make_visible: bool) {
    let mut line = match make_visible {
        true => visible(line).into_bytes(),
        false => line.to_vec(),
    };
    line.push(b'\n');
    // There is nobody left to tell if this fails.
    let _ = io::stderr().write_all(&line);
}
