//! The command line: which applet is called, by which name, with which words.
//!
//! `chatbox server 5000` and a link named `server` come to the same thing here.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use argh::{ArgsInfo, EarlyExit, FlagInfoKind, FromArgs};
use thiserror::Error;

use crate::applets::{self, APPLETS};
use crate::error::Error;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"), "\n");

/// The command line makes no sense.
#[derive(Debug, Error)]
pub enum UsageError {
    /// No applet is named.
    #[error("which applet? usage: {NAME} APPLET ...; the applets are: {}", applets::names())]
    NoApplet,
    /// There is no such applet.
    #[error("no applet is called '{}'; the applets are: {}", .0.escape_debug(), applets::names())]
    UnknownApplet(String),
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
pub struct Call<'a> {
    /// The words that name it, for usage texts.
    name: &'a [&'a str],
    /// The words after that.
    words: &'a [&'a str],
}

/// Runs the applet that `args`, the first of which is the program's own name, ask for.
///
/// # Errors
///
/// Whatever the applet ends with; [`UsageError`] if there is none.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let words = args.iter().enumerate().map(|(index, word)| {
        let not_utf8 = || UsageError::NotUtf8 { position: index + 1, word: word.clone() };
        word.to_str().ok_or_else(not_utf8)
    });
    let words = words.collect::<Result<Vec<_>, _>>()?;
    match dispatch(&program, &words) {
        Err(Error::Help(text)) => print(&text),
        result => result,
    }
}

fn dispatch(program: &OsStr, words: &[&str]) -> Result<(), Error> {
    let file_name = Path::new(program).file_name().and_then(OsStr::to_str);
    if let Some(applet) = file_name.and_then(applets::named) {
        return (applet.run)(&Call { name: &[applet.name], words });
    }
    match words {
        [] => Err(UsageError::NoApplet.into()),
        ["-h" | "--help", ..] => Err(Error::Help(overview())),
        ["-V" | "--version", ..] => Err(Error::Help(VERSION.into())),
        ["--list", ..] => Err(Error::Help(list())),
        [name, words @ ..] => {
            let unknown = || UsageError::UnknownApplet((*name).into());
            let applet = applets::named(name).ok_or_else(unknown)?;
            (applet.run)(&Call { name: &[NAME, applet.name], words })
        }
    }
}

fn overview() -> String {
    let mut text = format!(
        "Usage: {NAME} APPLET [ARGUMENTS]\n\n\
         A chat for the terminal: a server, senders and receivers, with rooms.\n\n\
         Applets, also to be called by links of these names:\n"
    );
    for applet in APPLETS {
        text += &format!("  {:16}  {}\n", applet.name, applet.summary);
    }
    text += &format!(
        "\nOptions:\n  -h, --help        display usage information\n  \
         -V, --version     display the version\n  --list            name the applets, one a line\n\n\
         Examples:\n  {NAME} server 5000\n  {NAME} receiver localhost 5000 alice cafe\n  \
         {NAME} sender localhost 5000 bob\n\n\
         '{NAME} APPLET --help' tells about an applet.\n"
    );
    text
}

/// The applets' names, for scripts.
fn list() -> String {
    APPLETS.iter().map(|applet| format!("{}\n", applet.name)).collect()
}

/// Writes to standard output.
///
/// # Errors
///
/// [`Error::Output`] if that fails.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

impl Call<'_> {
    /// The arguments, as `T` wants them.
    ///
    /// # Errors
    ///
    /// [`Error::Help`] if it is help that is asked for, [`UsageError::Words`] if `T` does not take
    /// these words.
    pub fn arguments<T: FromArgs + ArgsInfo>(&self) -> Result<T, Error> {
        if let ["-V" | "--version", ..] = self.words {
            return Err(Error::Help(VERSION.into()));
        }
        let words = spell_out::<T>(self.words);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        T::from_args(self.name, &words).map_err(|exit| match exit.status {
            Ok(()) => Error::Help(exit.output),
            Err(()) => self.wrong_words::<T>(&exit).into(),
        })
    }

    /// The error that the words do not fit together.
    pub fn wrong(&self, problem: &str) -> UsageError {
        let usage = format!("see {} --help", self.name.join(" "));
        UsageError::Words { problem: problem.into(), usage }
    }

    fn wrong_words<T: FromArgs>(&self, exit: &EarlyExit) -> UsageError {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let help = T::from_args(self.name, &["--help"]).err().map(|exit| exit.output);
        let usage = help.as_deref().and_then(|help| help.lines().next()).unwrap_or_default();
        let mut problem = one_line(&exit.output);
        let mut usage = one_line(usage);
        for text in [&mut problem, &mut usage] {
            if let Some(first) = text.get_mut(..1) {
                first.make_ascii_lowercase();
            }
        }
        UsageError::Words { problem, usage }
    }
}

/// Rewrites the usual shorthands that `argh` does not know: `-vv` as `-v -v`, and `--flag=value`
/// as `--flag value`.
fn spell_out<T: ArgsInfo>(words: &[&str]) -> Vec<String> {
    let flags = T::get_args_info().flags;
    let takes_value = |word: &str| {
        let matches = |flag: &&argh::FlagInfo<'_>| {
            let short = flag.short.is_some_and(|short| word == format!("-{short}"));
            short || flag.long == word
        };
        flags
            .iter()
            .find(matches)
            .is_some_and(|flag| matches!(flag.kind, FlagInfoKind::Option { .. }))
    };
    let mut spelt = Vec::new();
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word.split_once('=') {
            Some((flag, value)) if takes_value(flag) => spelt.extend([flag.into(), value.into()]),
            _ if word == "--" => {
                spelt.push(word.into());
                spelt.extend(words.by_ref().map(|&word| word.into()));
            }
            _ if word.starts_with("-v") && word[1..].bytes().all(|byte| byte == b'v') => {
                spelt.extend(word[1..].bytes().map(|_| "-v".into()));
            }
            _ => {
                spelt.push(word.into());
                if takes_value(word) {
                    spelt.extend(words.next().map(|&word| word.into()));
                }
            }
        }
    }
    spelt
}
