//! The command line: which applet is called.
//!
//! `chatbox server 5000` and a link named `server` come to the same thing here.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::applets::{self, APPLETS};
use crate::call::{Call, UsageError, VERSION};
use crate::error::Error;
use crate::output;

const NAME: &str = env!("CARGO_PKG_NAME");

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
        Err(Error::Usage(UsageError::Help(text))) => output::print(&text),
        result => result,
    }
}

fn dispatch(program: &OsStr, words: &[&str]) -> Result<(), Error> {
    let file_name = Path::new(program).file_name().and_then(OsStr::to_str);
    if let Some(applet) = file_name.and_then(applets::named) {
        return (applet.run)(&Call { name: &[applet.name], words });
    }
    match words {
        [] => Err(UsageError::NoApplet { applets: applets::names() }.into()),
        ["-h" | "--help", ..] => Err(help(overview())),
        ["-V" | "--version", ..] => Err(help(format!("{VERSION}\n"))),
        ["--list", ..] => Err(help(list())),
        [name, words @ ..] => {
            let applets = applets::names();
            let unknown = || UsageError::UnknownApplet { name: (*name).into(), applets };
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
         -V, --version     display the version\n  --list            name the applets that get links, one a line\n\n\
         Examples:\n  {NAME} server 5000\n  {NAME} receiver localhost 5000 alice cafe\n  \
         {NAME} sender localhost 5000 bob\n\n\
         '{NAME} APPLET --help' tells about an applet.\n"
    );
    text
}

/// The names that an installation has links for.
fn list() -> String {
    let linked = APPLETS.iter().filter(|applet| applet.linked);
    linked.map(|applet| format!("{}\n", applet.name)).collect()
}

fn help(text: String) -> Error {
    UsageError::Help(text).into()
}
