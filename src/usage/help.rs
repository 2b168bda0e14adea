//! What is known of a command line → its help text.
//!
//! The help text of `argh` is not used: it has no names of values, so it does not show which options
//! take one.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};
use textwrap::{Options, fill};

/// Columns of a line.
const WIDTH: usize = 80;

/// Columns of what stands before a description.
const ITEM: usize = 24;

/// A flag with its value, in all its forms, as in `-n, --count N`.
pub(crate) fn spelling(flag: &FlagInfo<'_>) -> String {
    let short = flag.short.map(|short| format!("-{short}, ")).unwrap_or_default();
    let value = match flag.kind {
        FlagInfoKind::Option { arg_name } => format!(" {arg_name}"),
        FlagInfoKind::Switch => String::new(),
    };
    format!("{short}{}{value}", flag.long)
}

/// An argument, in brackets if it may be left out.
fn argument(argument: &PositionalInfo<'_>) -> String {
    match argument.optionality {
        Optionality::Optional => format!("[{}]", argument.name),
        _ => argument.name.into(),
    }
}

/// A command's own flags, and then `common`, which stand in no other place.
pub(crate) fn flags<'a>(
    info: &CommandInfoWithArgs,
    common: &'a [FlagInfo<'a>],
) -> impl Iterator<Item = &'a FlagInfo<'a>> {
    let is_own = |flag: &&FlagInfo<'_>| common.iter().all(|other| other.long != flag.long);
    info.flags.iter().filter(is_own).chain(common)
}

/// How a command is called: `Usage: ...`, in one line.
pub(crate) fn usage(name: &str, info: &CommandInfoWithArgs) -> String {
    if !info.commands.is_empty() {
        return format!("Usage: {name} APPLET [ARGUMENTS]");
    }
    let arguments = info.positionals.iter().map(|one| format!(" {}", argument(one)));
    format!("Usage: {name} [OPTIONS]{}", arguments.collect::<String>())
}

/// The help text of a command that is called by `name`; `common` are the flags that it has beside
/// those in `info`.
pub(crate) fn text(name: &str, info: &CommandInfoWithArgs, common: &[FlagInfo<'_>]) -> String {
    let mut text = format!("{}\n\n{}\n", usage(name, info), fill(info.description, WIDTH));
    let item = |name: &str, description: &str| (name.to_owned(), description.to_owned());
    let applets = info.commands.iter().map(|one| item(one.name, one.command.description));
    section(&mut text, "Applets", applets);
    let positionals = info.positionals.iter().map(|one| item(one.name, one.description));
    section(&mut text, "Arguments", positionals);
    let flags = flags(info, common).map(|flag| (spelling(flag), flag.description.to_owned()));
    section(&mut text, "Options", flags);
    if !info.examples.is_empty() {
        text += "\nExamples:\n";
    }
    for example in info.examples {
        text += &format!("  {}\n", example.replace("{command_name}", name));
    }
    for note in info.notes {
        text += &format!("\n{}\n", fill(note, WIDTH));
    }
    let codes = info.error_codes.iter().map(|one| item(&one.code.to_string(), one.description));
    section(&mut text, "Exit status", codes);
    text
}

/// Items with their descriptions beside them, or below if an item is long; nothing if there are no
/// items.
fn section(text: &mut String, title: &str, items: impl Iterator<Item = (String, String)>) {
    let indent = " ".repeat(ITEM);
    for (number, (item, description)) in items.enumerate() {
        if number == 0 {
            *text += &format!("\n{title}:\n");
        }
        let head = format!("  {item:<width$}", width = ITEM - 2);
        let options = Options::new(WIDTH).subsequent_indent(&indent);
        *text += &if head.len() > ITEM || !head.ends_with(' ') {
            format!("{head}\n{}\n", fill(&description, options.initial_indent(&indent)))
        } else {
            format!("{}\n", fill(&description, options.initial_indent(&head)))
        };
    }
}
