//! The command line: which applet is called.
//!
//! `chatbox server 5000` and a link named `server` come to the same thing here.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use argh::{CommandInfoWithArgs, ErrorCodeInfo, FlagInfo, SubCommandInfo};

use crate::applets::{self, APPLETS, Applet};
use crate::error::Error;
use crate::install;
use crate::install::documents::{self, Program};
use crate::terminal::output;
use crate::usage::call::{Call, HELP_FLAG, UsageError, VERSION, VERSION_FLAG, flag};
use crate::usage::help;

const NAME: &str = env!("CARGO_PKG_NAME");

const FLAGS: &[FlagInfo<'static>] = &[
    HELP_FLAG,
    VERSION_FLAG,
    flag("--list", None, None, "name the applets that have links, one a line"),
    flag(
        "--install-links",
        None,
        Some("DIR"),
        "make those links in a folder, where they are not there yet",
    ),
    flag(
        "--export",
        None,
        Some("DIR"),
        "write manual pages and completions below a folder, as below PREFIX/share",
    ),
];

/// Runs the applet that `args`, the first of which is the program's own name, ask for. What it ends
/// with is said, and is the exit status.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let result = match words(&args).and_then(|words| dispatch(&program, &words)) {
        Err(Error::Usage(UsageError::Help(text))) => output::print(&text).map_err(Error::from),
        result => result,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.print();
            ExitCode::from(error.status())
        }
    }
}

fn words(args: &[OsString]) -> Result<Vec<&str>, Error> {
    let words = args.iter().enumerate().map(|(index, word)| {
        let not_utf8 = || UsageError::NotUtf8 { position: index + 1, word: word.clone() };
        Ok(word.to_str().ok_or_else(not_utf8)?)
    });
    words.collect()
}

fn dispatch(program: &OsStr, words: &[&str]) -> Result<(), Error> {
    let file_name = Path::new(program).file_name().and_then(OsStr::to_str);
    if let Some(applet) = file_name.and_then(applets::named) {
        return start(applet, &Call { name: &[applet.name], words });
    }
    // A folder may follow its flag in either form.
    if let [first, rest @ ..] = words
        && let Some((flag @ ("--install-links" | "--export"), folder)) = first.split_once('=')
    {
        return dispatch(program, &[&[flag, folder], rest].concat());
    }
    match words {
        [] => Err(UsageError::NoApplet { applets: applets::names() }.into()),
        ["-h" | "--help", ..] => Err(shown(help::text(NAME, &info(), &[]))),
        ["-V" | "--version", ..] => Err(shown(format!("{VERSION}\n"))),
        ["--list", ..] => Err(shown(list())),
        ["--install-links", folder] => {
            let names: Vec<_> = applets::linked().map(|applet| applet.name).collect();
            install::links(Path::new(folder), &names)?;
            Ok(output::print(format!("{folder} has links for {}\n", names.join(", ")))?)
        }
        ["--export", folder] => {
            Ok(install::files(Path::new(folder), documents::all(&info(), &programs()))?)
        }
        [flag @ ("--install-links" | "--export"), ..] => {
            let call = Call { name: &[NAME], words };
            Err(call.wrong(&format!("{flag} takes one folder")).into())
        }
        [flag, ..] if flag.starts_with('-') => {
            let call = Call { name: &[NAME], words };
            Err(call.wrong(&format!("there is no option {flag}")).into())
        }
        [name, words @ ..] => {
            let applets = applets::names();
            let unknown = || UsageError::UnknownApplet { name: (*name).into(), applets };
            let applet = applets::named(name).ok_or_else(unknown)?;
            start(applet, &Call { name: &[NAME, applet.name], words })
        }
    }
}

fn start(applet: &Applet, call: &Call<'_>) -> Result<(), Error> {
    output::speak_as(applet.name);
    (applet.run)(call)
}

/// All there is to know about the command line, in the form that `argh` has for it.
fn info() -> CommandInfoWithArgs {
    let command = |applet: &Applet| SubCommandInfo {
        name: applet.name,
        command: CommandInfoWithArgs {
            name: applet.name,
            description: applet.summary,
            ..(applet.info)()
        },
    };
    CommandInfoWithArgs {
        name: NAME,
        description: "A chat for the terminal: a server, senders and receivers, with rooms.",
        notes: &["Links to the executable that have the name of an applet are that applet. \
             'chatbox APPLET --help' tells about an applet."],
        flags: FLAGS,
        commands: APPLETS.iter().map(command).collect(),
        examples: &[
            "{command_name} server 5000",
            "{command_name} chat localhost 5000 alice cafe",
            "{command_name} receiver localhost 5000 alice cafe",
            "{command_name} sender localhost 5000 bob",
        ],
        error_codes: &[
            ErrorCodeInfo { code: 0, description: "all went well" },
            ErrorCodeInfo { code: 1, description: "something went wrong" },
            ErrorCodeInfo { code: 2, description: "wrong usage" },
        ],
        ..CommandInfoWithArgs::default()
    }
}

/// What the documents of an installation are about.
fn programs() -> Vec<Program> {
    let program = |applet: &Applet| {
        let Applet { name, linked, signals, info, .. } = *applet;
        Program { name, linked, signals, info: info() }
    };
    APPLETS.iter().map(program).collect()
}

/// The names that an installation has links for.
fn list() -> String {
    applets::linked().map(|applet| format!("{}\n", applet.name)).collect()
}

fn shown(text: String) -> Error {
    UsageError::Help(text).into()
}
