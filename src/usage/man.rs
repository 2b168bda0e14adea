//! What is known of a command line → its manual page.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};
use roff::{Inline, Roff, bold, italic, roman};

use super::call::{HELP_FLAG, VERSION, VERSION_FLAG};
use super::help;

/// The page about a command, in the `man` format. `signals` are those that mean something to
/// it, and what, `calls` the ways to call it, without its arguments, and `related` the names of the pages to look at too.
pub(crate) fn page(
    name: &str,
    info: &CommandInfoWithArgs,
    signals: &[(&str, &str)],
    calls: &[&str],
    related: impl IntoIterator<Item = String>,
) -> String {
    let mut page = Roff::new();
    page.control("TH", [name.to_uppercase().as_str(), "1", " ", VERSION]);
    page.control("SH", ["NAME"]);
    let summary = info.description.split_terminator(['.', ':']).next().unwrap_or_default();
    page.text([roman(format!("{name} - {}", lower_first(summary)))]);
    page.control("SH", ["SYNOPSIS"]);
    for (number, call) in calls.iter().enumerate() {
        if number > 0 {
            page.control("br", []);
        }
        page.text(synopsis(call, info));
    }
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(info.description)]);
    for note in info.notes {
        page.control("PP", []);
        page.text([roman(*note)]);
    }
    let positionals =
        info.positionals.iter().map(|one| (vec![italic(one.name)], one.description.to_owned()));
    list(&mut page, "ARGUMENTS", positionals);
    let commands = info.commands.iter();
    let commands = commands.map(|one| (vec![bold(one.name)], one.command.description.to_owned()));
    list(&mut page, "APPLETS", commands);
    let common = [HELP_FLAG, VERSION_FLAG];
    let flags =
        help::flags(info, &common).map(|flag| (spelling(flag), flag.description.to_owned()));
    list(&mut page, "OPTIONS", flags);
    let codes = info.error_codes.iter();
    let codes = codes.map(|one| (vec![bold(one.code.to_string())], one.description.to_owned()));
    list(&mut page, "EXIT STATUS", codes);
    let signals = signals.iter().map(|(name, text)| (vec![bold(*name)], (*text).to_owned()));
    list(&mut page, "SIGNALS", signals);
    examples(&mut page, info, calls);
    page.control("SH", ["SEE ALSO"]);
    let related: Vec<_> = related.into_iter().map(|name| format!("{name}(1)")).collect();
    page.text([roman(related.join(", "))]);
    page.render()
}

fn synopsis(call: &str, info: &CommandInfoWithArgs) -> Vec<Inline> {
    let mut line = vec![bold(call)];
    if !info.commands.is_empty() {
        line.extend([roman(" "), italic("APPLET"), roman(" ["), italic("ARGUMENTS"), roman("]")]);
        return line;
    }
    line.extend([roman(" ["), italic("OPTIONS"), roman("]")]);
    for positional in info.positionals {
        let name = italic(positional.name);
        match positional.optionality {
            Optionality::Optional => line.extend([roman(" ["), name, roman("]")]),
            _ => line.extend([roman(" "), name]),
        }
    }
    line
}

/// A flag with its value, in all its forms.
fn spelling(flag: &FlagInfo<'_>) -> Vec<Inline> {
    let mut forms = Vec::new();
    if let Some(short) = flag.short {
        forms.extend([bold(format!("-{short}")), roman(", ")]);
    }
    forms.push(bold(flag.long));
    if let FlagInfoKind::Option { arg_name } = flag.kind {
        forms.extend([roman(" "), italic(arg_name)]);
    }
    forms
}

/// A section of items and what there is to say about each; none if there are no items.
fn list(page: &mut Roff, title: &str, items: impl Iterator<Item = (Vec<Inline>, String)>) {
    for (number, (item, text)) in items.enumerate() {
        if number == 0 {
            page.control("SH", [title]);
        }
        page.control("TP", []);
        page.text(item);
        page.text([roman(text)]);
    }
}

fn examples(page: &mut Roff, info: &CommandInfoWithArgs, calls: &[&str]) {
    if info.examples.is_empty() {
        return;
    }
    let name = calls.last().copied().unwrap_or_default();
    page.control("SH", ["EXAMPLES"]);
    page.control("nf", []);
    for example in info.examples {
        page.text([roman(example.replace("{command_name}", name))]);
    }
    page.control("fi", []);
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
