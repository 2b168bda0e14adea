//! The documents of an installation, and where they belong.

use argh::CommandInfoWithArgs;

use crate::usage::completion::{bash, fish, zsh};
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
    /// Signals that mean something to it, and what.
    pub signals: &'static [(&'static str, &'static str)],
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

/// One page about the executable, and one about each program, by the name of its link, too.
fn manual_pages(root: &CommandInfoWithArgs, programs: &[Program]) -> Vec<(String, String)> {
    let page_name = |program: &Program| format!("{NAME}-{}", program.name);
    let file = |name: &str| format!("man/man1/{name}.1");
    let related = programs.iter().map(page_name);
    let mut pages = vec![(file(NAME), man::page(NAME, root, &[], &[NAME], related))];
    for program in programs {
        let in_full = format!("{NAME} {}", program.name);
        let calls = [program.name, &in_full];
        let calls = if program.linked { &calls[..] } else { &calls[1..] };
        let name = page_name(program);
        let related = [NAME.to_owned()];
        let page = man::page(&name, &program.info, program.signals, calls, related);
        pages.push((file(&name), page));
        if program.linked {
            // The page is to be found by the name of the link, too.
            pages.push((file(program.name), format!(".so man1/{name}.1\n")));
        }
    }
    pages
}

/// Completions for the executable and for each link, as each shell looks for them.
fn completions(root: &CommandInfoWithArgs, programs: &[Program]) -> Vec<(String, String)> {
    let files = |name| {
        [
            (format!("bash-completion/completions/{name}"), bash::script(name, root)),
            (format!("zsh/site-functions/_{name}"), zsh::script(name, root)),
            (format!("fish/vendor_completions.d/{name}.fish"), fish::script(name, root)),
        ]
    };
    let linked = programs.iter().filter(|program| program.linked).map(|program| program.name);
    std::iter::once(NAME).chain(linked).flat_map(files).collect()
}
