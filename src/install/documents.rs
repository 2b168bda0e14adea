//! The documents of an installation, and where they belong.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};
use argh_complete::Generator;
use argh_complete::{bash::Bash, zsh::Zsh};

use crate::usage::man;

const NAME: &str = env!("CARGO_PKG_NAME");

/// What systemd runs a server by.
const UNIT: &str = include_str!("chatbox.service");

/// A program that the executable can be.
#[derive(Debug)]
pub(crate) struct Program {
    /// The name that it is called by.
    pub name: &'static str,
    /// An installation has a link of that name.
    pub linked: bool,
    /// What it is called with.
    pub info: CommandInfoWithArgs,
}

/// Manual pages, completions for shells, and a unit for systemd: paths below `PREFIX/share`, and contents. `root` is about
/// the executable.
pub(crate) fn all(
    root: &CommandInfoWithArgs,
    programs: &[Program],
) -> impl Iterator<Item = (String, String)> {
    let unit = (format!("{NAME}/{NAME}.service"), UNIT.to_owned());
    manual_pages(root, programs).into_iter().chain(completions(root, programs)).chain([unit])
}

/// One page about the executable, and one about each program.
fn manual_pages(root: &CommandInfoWithArgs, programs: &[Program]) -> Vec<(String, String)> {
    let page_name = |program: &Program| format!("{NAME}-{}", program.name);
    let file = |name: &str| format!("man/man1/{name}.1");
    let related = programs.iter().map(page_name);
    let mut pages = vec![(file(NAME), man::page(NAME, root, &[NAME], related))];
    for program in programs {
        let in_full = format!("{NAME} {}", program.name);
        let calls = [program.name, &in_full];
        let calls = if program.linked { &calls[..] } else { &calls[1..] };
        let name = page_name(program);
        pages.push((file(&name), man::page(&name, &program.info, calls, [NAME.to_owned()])));
    }
    pages
}

/// Completions for the executable and for each link, as each shell looks for them.
fn completions(root: &CommandInfoWithArgs, programs: &[Program]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let linked = programs.iter().filter(|program| program.linked);
    let linked = linked.map(|program| (program.name, &program.info));
    for (name, info) in std::iter::once((NAME, root)).chain(linked) {
        files.extend([
            (format!("bash-completion/completions/{name}"), Bash::generate(name, info)),
            (format!("zsh/site-functions/_{name}"), Zsh::generate(name, info)),
            (format!("fish/vendor_completions.d/{name}.fish"), fish(name, info)),
        ]);
    }
    files
}

/// Completions for fish. Those of `argh_complete` need version 4, which many systems do not have.
fn fish(name: &str, info: &CommandInfoWithArgs) -> String {
    let top = if info.commands.is_empty() { "" } else { " -n __fish_use_subcommand" };
    // Applets take no files.
    let mut script = format!("complete -c {name} -f\n");
    for one in &info.commands {
        let description = fish_quoted(one.command.description);
        script += &format!("complete -c {name}{top} -a {} -d {description}\n", one.name);
    }
    script += &fish_flags(name, top, info);
    for one in &info.commands {
        let inside = format!(" -n '__fish_seen_subcommand_from {}'", one.name);
        script += &fish_flags(name, &inside, &one.command);
    }
    script
}

fn fish_flags(name: &str, condition: &str, info: &CommandInfoWithArgs) -> String {
    let line = |flag: &FlagInfo<'_>| {
        let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
        let long = flag.long.trim_start_matches('-');
        let value = match flag.kind {
            FlagInfoKind::Switch => "",
            FlagInfoKind::Option { arg_name: "DIR" } => " -r -F",
            FlagInfoKind::Option { .. } => " -x",
        };
        let description = fish_quoted(flag.description);
        format!("complete -c {name}{condition}{short} -l {long}{value} -d {description}\n")
    };
    info.flags.iter().map(line).collect()
}

fn fish_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
