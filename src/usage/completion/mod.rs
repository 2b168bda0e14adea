//! What is known of the command line → completions for shells.
//!
//! A shell knows of a command only the word that it is called by, and others may have programs of
//! that name. So each script first looks where the word leads to, without running it, and leaves
//! what is not this program to the shell.

pub(crate) mod bash;
pub(crate) mod fish;
pub(crate) mod zsh;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::call::{HELP_FLAG, VERSION_FLAG};
use super::help;

/// The executable, whose name is also the command that has applets.
const NAME: &str = env!("CARGO_PKG_NAME");

/// What can stand in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// Something of which nothing is known.
    Anything,
    Hosts,
    Folders,
    Files,
    Words(&'static [&'static str]),
}

impl Offer {
    /// What stands where a help text has this name.
    fn of(name: &str) -> Self {
        match name {
            "HOST" | "ADDR" => Offer::Hosts,
            "DIR" => Offer::Folders,
            "FILE" => Offer::Files,
            "WHEN" => Offer::Words(&["auto", "always", "never"]),
            "WHAT" => Offer::Words(&["server", "sender", "receiver"]),
            "PROFILE" => Offer::Words(&["assignment", "full"]),
            "FORM" => Offer::Words(&["text", "tap", "json", "junit", "gradescope"]),
            _ => Offer::Anything,
        }
    }
}

/// The commands that there are: the executable itself, and its applets.
fn commands(
    root: &CommandInfoWithArgs,
) -> impl Iterator<Item = (&'static str, &CommandInfoWithArgs)> {
    let applets = root.commands.iter().map(|one| (one.name, &one.command));
    std::iter::once((NAME, root)).chain(applets)
}

fn applets(root: &CommandInfoWithArgs) -> Vec<&'static str> {
    root.commands.iter().map(|one| one.name).collect()
}

/// All flags of a command.
fn flags(info: &CommandInfoWithArgs) -> Vec<&'static FlagInfo<'static>> {
    const COMMON: &[FlagInfo<'static>] = &[HELP_FLAG, VERSION_FLAG];
    help::flags(info, COMMON).collect()
}

/// What a flag can be written as.
fn spellings(flag: &FlagInfo<'_>) -> Vec<String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short.into_iter().chain([flag.long.to_owned()]).collect()
}

/// The name of a flag's value, if it takes one.
fn value(flag: &FlagInfo<'static>) -> Option<&'static str> {
    match flag.kind {
        FlagInfoKind::Option { arg_name } => Some(arg_name),
        FlagInfoKind::Switch => None,
    }
}

/// Each flag that takes a value, as `COMMAND FLAG` in each spelling, and what the value can be.
fn values(root: &CommandInfoWithArgs) -> Vec<(Vec<String>, Offer)> {
    let mut values = Vec::new();
    for (command, info) in commands(root) {
        for flag in flags(info) {
            let Some(name) = value(flag) else { continue };
            let calls = spellings(flag).into_iter().map(|flag| format!("{command} {flag}"));
            values.push((calls.collect(), Offer::of(name)));
        }
    }
    values
}
