//! The words that a command was called with → its arguments, or what is wrong with the words.
//!
//! Knows the flags that every command has. Must not know what arguments mean.

use std::ffi::OsString;

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, FromArgs, Optionality};
use thiserror::Error;

use super::help;
use super::words::{End, in_one_form};

/// What the executable is called, and its version.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// The flag of every command that shows its help.
pub(crate) const HELP_FLAG: FlagInfo<'static> =
    flag("--help", Some('h'), None, "display usage information");

/// The flag of every command that shows its version.
pub(crate) const VERSION_FLAG: FlagInfo<'static> =
    flag("--version", Some('V'), None, "display the version");

/// A flag, with a name for its value if it takes one.
pub(crate) const fn flag(
    long: &'static str,
    short: Option<char>,
    value: Option<&'static str>,
    description: &'static str,
) -> FlagInfo<'static> {
    let kind = match value {
        Some(arg_name) => FlagInfoKind::Option { arg_name },
        None => FlagInfoKind::Switch,
    };
    let optionality = Optionality::Optional;
    FlagInfo { kind, optionality, long, short, description, hidden: false }
}

/// The command line asks for help, or makes no sense.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    /// Help is asked for; this is it.
    #[error("{0}")]
    Help(String),
    /// No applet is named.
    #[error("which applet? the applets are: {applets}")]
    NoApplet {
        /// The applets there are.
        applets: String,
    },
    /// There is no such applet.
    #[error("no applet is called '{name}'; the applets are: {applets}")]
    UnknownApplet {
        /// What was asked for.
        name: String,
        /// The applets there are.
        applets: String,
    },
    /// A word cannot be understood at all.
    #[error("argument {position} is not valid UTF-8: '{}'", .word.as_encoded_bytes().escape_ascii())]
    NotUtf8 {
        /// Counted from 1.
        position: usize,
        /// The word.
        word: OsString,
    },
    /// An applet does not take these words.
    #[error("{problem}; {usage}")]
    Words {
        /// What is wrong with them.
        problem: String,
        /// How the applet is used.
        usage: String,
    },
}

/// How an applet was called.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The words that name it, for usage texts.
    pub name: &'a [&'a str],
    /// The words after that.
    pub words: &'a [&'a str],
}

impl Call<'_> {
    /// The arguments, as `T` wants them.
    ///
    /// # Errors
    ///
    /// [`UsageError::Help`] if it is help that is asked for, [`UsageError::Words`] if `T` does not
    /// take these words.
    pub(crate) fn arguments<T: FromArgs + ArgsInfo>(&self) -> Result<T, UsageError> {
        let info = T::get_args_info();
        let words = in_one_form(self.words, info.flags, &[HELP_FLAG, VERSION_FLAG]);
        let words = words.map_err(|end| match end {
            End::Flag(flag) if flag == VERSION_FLAG.long => {
                UsageError::Help(format!("{VERSION}\n"))
            }
            End::Flag(_) => self.help::<T>(),
            End::Wrong(problem) => self.wrong_words::<T>(&problem),
        })?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        T::from_args(self.name, &words).map_err(|exit| match exit.status {
            Ok(()) => self.help::<T>(),
            Err(()) => self.wrong_words::<T>(&exit.output),
        })
    }

    /// The error that the words do not fit together.
    pub(crate) fn wrong(&self, problem: &str) -> UsageError {
        let usage = format!("see {} --help", self.name.join(" "));
        UsageError::Words { problem: problem.into(), usage }
    }

    fn help<T: ArgsInfo>(&self) -> UsageError {
        let common = [HELP_FLAG, VERSION_FLAG];
        UsageError::Help(help::text(&self.name.join(" "), &T::get_args_info(), &common))
    }

    fn wrong_words<T: ArgsInfo>(&self, problem: &str) -> UsageError {
        let mut problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut usage = help::usage(&self.name.join(" "), &T::get_args_info());
        for text in [&mut problem, &mut usage] {
            if let Some(first) = text.get_mut(..1) {
                first.make_ascii_lowercase();
            }
        }
        UsageError::Words { problem, usage }
    }
}
