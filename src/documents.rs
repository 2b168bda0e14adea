//! The documents of an installation, and where they belong.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};
use argh_complete::Generator;
use argh_complete::{bash::Bash, zsh::Zsh};

use crate::applets::{self, APPLETS, Applet};
use crate::usage::man;

const NAME: &str = env!("CARGO_PKG_NAME");

/// Manual pages and completions for shells: paths below `PREFIX/share`, and contents. `root` tells
/// of the executable.
pub fn all(root: &CommandInfoWithArgs) -> impl Iterator<Item = (String, String)> {
    manual_pages(root).into_iter().chain(completions(root))
}

/// One page about the executable, and one about each applet.
fn manual_pages(root: &CommandInfoWithArgs) -> Vec<(String, String)> {
    let page_name = |applet: &Applet| format!("{NAME}-{}", applet.name);
    let file = |name: &str| format!("man/man1/{name}.1");
    let applets = APPLETS.iter().map(page_name);
    let mut pages = vec![(file(NAME), man::page(NAME, root, &[NAME], applets))];
    for applet in APPLETS {
        let in_full = format!("{NAME} {}", applet.name);
        let calls = match applet.linked {
            true => vec![applet.name, in_full.as_str()],
            false => vec![in_full.as_str()],
        };
        let name = page_name(applet);
        let page = man::page(&name, &(applet.info)(), &calls, [NAME.to_owned()]);
        pages.push((file(&name), page));
    }
    pages
}

/// Completions for the executable and for each link, as each shell looks for them.
fn completions(root: &CommandInfoWithArgs) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let links = applets::linked().map(|applet| (applet.name, (applet.info)()));
    for (name, info) in std::iter::once((NAME, root.clone())).chain(links) {
        files.extend([
            (format!("bash-completion/completions/{name}"), Bash::generate(name, &info)),
            (format!("zsh/site-functions/_{name}"), Zsh::generate(name, &info)),
            (format!("fish/vendor_completions.d/{name}.fish"), fish(name, &info)),
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
