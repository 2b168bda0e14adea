//! Manual pages, completions and links: they are there, and know what the programs know.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use chatbox::wire::protocol::MAX_REQUEST;

use crate::command_line::scratch;
use crate::harness::{Program, bash, chatbox};

/// All documents, in a folder.
fn export(name: &str) -> PathBuf {
    let folder = scratch(name);
    let exported = Program::start(chatbox(["--export", folder.to_str().unwrap()])).finish();
    exported.assert(0, b"", "");
    folder
}

fn help(command: &[&str]) -> String {
    let finished = Program::start(chatbox(command.iter().copied().chain(["--help"]))).finish();
    String::from_utf8(finished.stdout).unwrap()
}

/// The long flags of a help text, and the short ones with a dash.
fn flags(help: &str) -> BTreeSet<String> {
    let options = help.split("Options:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let lines = options.lines().filter(|line| line.trim_start().starts_with('-'));
    let words = lines.flat_map(|line| line.split_whitespace().take(2));
    let flags = words.filter(|word| word.starts_with('-'));
    flags.map(|word| word.trim_end_matches(',').to_owned()).collect()
}

#[test]
fn each_manual_page_tells_of_every_flag_and_argument_of_its_program() {
    let folder = export("manual");
    for (page, command) in [
        ("chatbox", &[][..]),
        ("chatbox-server", &["server"]),
        ("chatbox-sender", &["sender"]),
        ("chatbox-receiver", &["receiver"]),
        ("chatbox-bench", &["bench"]),
    ] {
        let path = folder.join(format!("man/man1/{page}.1"));
        let text = fs::read_to_string(&path).unwrap();
        // In the page's own format, a dash that is meant is escaped.
        let text = text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        let help = help(command);
        let flags = flags(&help);
        assert!(flags.len() >= 4, "{flags:?}");
        for flag in &flags {
            let alone = |line: &str| line.split([' ', ',']).any(|word| word == flag);
            assert!(text.lines().any(alone), "no {flag} in {page}:\n{text}");
        }
        let usage = help.lines().next().unwrap();
        for argument in usage.split_whitespace().skip(1).filter(|word| !word.contains('[')) {
            assert!(text.contains(argument), "no {argument} in {page}:\n{text}");
        }
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
            let has = |title: &str| text.contains(&format!(".SH {title}\n"));
            assert!(has(section), "no {section} in {page}:\n{text}");
        }
    }
}

#[test]
fn the_completions_for_each_shell_know_every_flag() {
    let folder = export("completions");
    for (name, command) in
        [("server", &["server"]), ("sender", &["sender"]), ("receiver", &["receiver"])]
    {
        for (path, dashes) in [
            (format!("bash-completion/completions/{name}"), "--"),
            (format!("zsh/site-functions/_{name}"), "--"),
            (format!("fish/vendor_completions.d/{name}.fish"), "-l "),
        ] {
            let text = fs::read_to_string(folder.join(&path)).unwrap();
            // Of what all commands have, they offer `--help` alone.
            let flags = flags(&help(command));
            let long = flags.iter().filter_map(|flag| flag.strip_prefix("--"));
            for flag in long.filter(|flag| *flag != "version") {
                let spelt = format!("{dashes}{flag}");
                assert!(text.contains(&spelt), "no {spelt} in {path}:\n{text}");
            }
        }
    }
}

/// What bash offers for the last of some words.
fn bash_offers(folder: &Path, words: &[&str]) -> BTreeSet<String> {
    let script = "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \"_$1\"; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = bash(script);
    command.arg(folder.join("bash-completion/completions").join(words[0]));
    let finished = Program::start({
        command.args(words);
        command
    })
    .finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let offers = String::from_utf8(finished.stdout).unwrap();
    offers.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_and_applets() {
    let folder = export("bash");
    let offers = |words: &[&str]| bash_offers(&folder, words);
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(offers(&["receiver", "--t"]), set(&["--timeout", "--timestamps"]));
    assert_eq!(offers(&["chatbox", "receiver", "--ti"]), set(&["--timeout", "--timestamps"]));
    assert_eq!(offers(&["chatbox", "se"]), set(&["server", "sender"]));
    // It does not know which rooms there are.
    assert_eq!(offers(&["sender", "--room", ""]), set(&[]));
}

#[test]
fn links_are_made_where_one_wants_them() {
    let folder = scratch("made-links");
    let inner = folder.join("new/bin");
    let install = |folder: &Path| {
        Program::start(chatbox(["--install-links", folder.to_str().unwrap()])).finish()
    };
    let first = install(&inner);
    let said = format!("{} has links for server, sender, receiver\n", inner.display());
    let in_one_word = format!("--install-links={}", inner.display());
    Program::start(chatbox([in_one_word.as_str()])).finish().assert(0, said.as_bytes(), "");
    first.assert(0, said.as_bytes(), "");
    for applet in ["server", "sender", "receiver"] {
        let mut command = Command::new(inner.join(applet));
        command.arg("--help");
        let finished = Program::start(command).finish();
        let usage = format!("Usage: {applet} ");
        assert!(finished.stdout.starts_with(usage.as_bytes()), "{finished:?}");
    }
    // Again, it changes nothing, also if a link leads there on another way.
    fs::remove_file(inner.join("sender")).unwrap();
    symlink("receiver", inner.join("sender")).unwrap();
    install(&inner).assert(0, said.as_bytes(), "");
    assert_eq!(fs::read_link(inner.join("sender")).unwrap(), Path::new("receiver"));

    // Beside the executable they are relative, so that the folder can be moved.
    let beside = folder.join("beside");
    fs::create_dir(&beside).unwrap();
    let executable = beside.join("chatbox");
    // Whoever this process starts meanwhile would have its copy open for writing.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_chatbox")).arg(&executable).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(&executable);
    command.arg("--install-links").arg(".").current_dir(&beside);
    let said = b". has links for server, sender, receiver\n";
    Program::start(command).finish().assert(0, said, "");
    assert_eq!(fs::read_link(beside.join("sender")).unwrap(), Path::new("chatbox"));
}

#[test]
fn links_take_nobodys_place() {
    let folder = scratch("taken");
    fs::write(folder.join("sender"), "somebody's").unwrap();
    let install =
        || Program::start(chatbox(["--install-links", folder.to_str().unwrap()])).finish();
    install().assert_one_error(1, &format!("{} is there already", folder.join("sender").display()));
    fs::remove_file(folder.join("sender")).unwrap();
    symlink("elsewhere", folder.join("receiver")).unwrap();
    install().assert_one_error(1, "receiver is there already");
    let left: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["receiver"], "made some all the same");
    for args in [&["--install-links"][..], &["--export"], &["--export", "a", "b"]] {
        Program::start(chatbox(args.iter().copied()))
            .finish()
            .assert_one_error(2, "takes one folder");
    }
    for flag in ["--install-links", "--export"] {
        Program::start(chatbox([flag, "/dev/null/x"])).finish().assert_one_error(1, "/dev/null/x");
    }
}

/// The help has its numbers from the code.
#[test]
fn the_readme_quotes_the_numbers_that_the_help_has() {
    let readme = include_str!("../../README.md");
    let helps = [help(&["server"]), help(&["bench"])].join(" ");
    let helps = helps.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut quoted = 0;
    for row in readme.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [flags, _, defaults] = cells[..] else { continue };
        let flags = flags.split('`').skip(1).step_by(2);
        for (flag, default) in flags.zip(defaults.split(", ")) {
            let number = default.trim().split(';').next().unwrap();
            if number.parse::<u64>().is_ok() {
                let (_, about) = helps.split_once(&format!(" {flag} ")).expect(flag);
                let about = about.split(" --").next().unwrap();
                assert!(about.contains(&format!("(default: {number}")), "{flag}: {about}");
                quoted += 1;
            }
        }
    }
    assert!(quoted >= 5, "the tables look different");
    let (_, sizes) = helps.split_once("bytes of a text, ").unwrap();
    let sizes = sizes.split(" (").next().unwrap();
    let longest = sizes.rsplit(' ').next().unwrap();
    for quote in [
        sizes,
        &format!("A text can be {longest} bytes long"),
        &format!("at most {MAX_REQUEST} bytes, its end included"),
    ] {
        assert!(readme.contains(quote), "{quote}");
    }
}
