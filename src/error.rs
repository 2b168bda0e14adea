//! What a user is told when something goes wrong, and the exit status that says so to programs.

use std::io::{self, Write};

use thiserror::Error;

use crate::bench::BenchError;
use crate::call::UsageError;
use crate::client::ClientError;
use crate::server::ServerError;

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
    /// A load cannot begin.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// A load has shown that the server loses, doubles or swaps texts.
    #[error("the server lost, duplicated or reordered texts")]
    Unclean,
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
    /// The exit status: 2 for wrong usage, 1 for all that happens later.
    pub fn status(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Server(ServerError::UnknownHost { .. }) => 2,
            _ => 1,
        }
    }

    /// Says on standard error what is wrong, in one line.
    pub fn print(&self) {
        match self {
            Error::Client(ClientError::Refused(reason)) => pass_on(reason),
            error => complain(error),
        }
    }
}

/// Says on standard error what is wrong, in one line.
pub fn complain(what: &dyn std::error::Error) {
    let text = format!("{}: {what}", env!("CARGO_PKG_NAME"));
    // What it quotes may hold anything.
    let visible = text.chars().flat_map(|char| match char.is_control() {
        true => char.escape_default().collect::<Vec<_>>(),
        false => vec![char],
    });
    say(visible.collect::<String>().into_bytes());
}

/// Passes on to standard error what a server gave as its reason, exactly.
pub fn pass_on(reason: &[u8]) {
    say(reason.to_vec());
}

fn say(mut line: Vec<u8>) {
    line.push(b'\n');
    // There is nobody left to tell if this fails.
    let _ = io::stderr().write_all(&line);
}
