//! Why a check does not end with success.

use std::io;

use thiserror::Error;

use super::case::Profile;
use crate::system::signals::SignalsError;
use crate::terminal::TerminalError;

/// Why there is no report, or one that is not all good.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    /// No case is called so.
    #[error("no case of the profile {profile} matches '{glob}'; --list names them")]
    NoSuchCase {
        /// What was asked for.
        glob: String,
        /// Of which cases.
        profile: Profile,
    },
    /// Everything is left out.
    #[error("no case is left to try; --list names those that are")]
    NoCase,
    /// Some cases did not pass.
    #[error("{failed} of {all} cases failed, and {errors} could not be tried")]
    NotRight {
        /// Cases that failed.
        failed: usize,
        /// Cases that could not be tried.
        errors: usize,
        /// All cases.
        all: usize,
    },
    /// No case came to anything.
    #[error("nothing could be tested: {0}")]
    Nothing(String),
    /// The system refuses something.
    #[error("cannot look after programs: {0}")]
    System(#[from] io::Error),
    /// Signals cannot be handled.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// The report cannot be shown.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
}

impl CheckError {
    /// The exit status: 2 for wrong usage, 3 if nothing could be tested, 1 for all else.
    pub(crate) fn status(&self) -> u8 {
        match self {
            CheckError::NoSuchCase { .. } | CheckError::NoCase => 2,
            CheckError::Nothing(_) => 3,
            _ => 1,
        }
    }
}
