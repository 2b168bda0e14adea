//! Every error that ends the program → one line on standard error, and an exit status.

use std::io::ErrorKind;

use thiserror::Error;

use crate::bench::BenchError;
use crate::check::CheckError;
use crate::client::ClientError;
use crate::install::InstallError;
use crate::server::ServerError;
use crate::system::signals::{self, SignalsError};
use crate::terminal::TerminalError;
use crate::terminal::output::{notice, pass_on};
use crate::terminal::settings;
use crate::usage::call::UsageError;

/// Anything that ends the program with a status other than 0.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The command line asks for help, or makes no sense.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The server cannot run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A sender or receiver cannot go on.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A load cannot begin, or has shown that the server is not right.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// Cases cannot be tried, or have shown that something is not right.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// An installation cannot be made.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A time limit is over.
    #[error("the time is over")]
    TimedOut,
    /// Signals cannot be handled.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// Standard input or output failed.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
}

impl Error {
    /// The exit status: 2 for wrong usage, 124 when the time is over, 1 for all else; a check has more.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::TimedOut => 124,
            Error::Check(error) => error.status(),
            _ => 1,
        }
    }

    /// Prints the error and ends the process with its status, from any thread.
    pub(crate) fn exit(&self) -> ! {
        settings::release();
        self.print();
        std::process::exit(self.status().into())
    }

    /// Prints the error on standard error, in one line, unless it has been reported already. If
    /// standard output is not read any more, ends the process instead, as a shell expects.
    pub(crate) fn print(&self) {
        match self {
            Error::Client(ClientError::Reported) => {}
            Error::Client(ClientError::Refused(reason)) => pass_on(reason),
            error if error.is_unread() => signals::end_by_sigpipe(),
            error => notice(error),
        }
    }

    /// Standard output is not read any more.
    fn is_unread(&self) -> bool {
        let (Error::Terminal(error)
        | Error::Client(ClientError::Terminal(error))
        | Error::Bench(BenchError::Terminal(error))
        | Error::Check(CheckError::Terminal(error))) = self
        else {
            return false;
        };
        matches!(error, TerminalError::Output(source) if source.kind() == ErrorKind::BrokenPipe)
    }
}
