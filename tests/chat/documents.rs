//! Manual pages, completions and links: they are there, and know what the programs know.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use chatbox::wire::protocol::MAX_REQUEST;

use crate::command_line::scratch;
use crate::harness::terminal::Terminal;
use crate::harness::{Program, bash, chatbox, left_out};

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
        ("chatbox-chat", &["chat"]),
        ("chatbox-bench", &["bench"]),
        ("chatbox-check", &["check"]),
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
        let all = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"];
        let signals: &[_] = if command.is_empty() { &[] } else { &["SIGNALS"] };
        for section in all.iter().chain(signals) {
            let has = |title: &str| {
                let forms = [format!(".SH {title}\n"), format!(".SH \"{title}\"\n")];
                forms.iter().any(|form| text.contains(form))
            };
            assert!(has(section), "no {section} in {page}:\n{text}");
        }
    }
}

/// A manual page as a person reads it, each paragraph on a line.
fn read_manual(folder: &Path, name: &str) -> String {
    let text = fs::read_to_string(folder.join(format!("man/man1/{name}.1"))).unwrap();
    text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
}

#[test]
fn the_readme_says_of_signals_and_exit_statuses_what_the_manual_says() {
    let folder = export("same");
    let readme = include_str!("../../README.md");
    let server = read_manual(&folder, "chatbox-server");
    let (_, signals) = server.split_once(".SH SIGNALS\n").unwrap();
    let signals: Vec<_> = signals.split(".SH ").next().unwrap().lines().collect();
    let signals: Vec<_> =
        signals.chunks(3).map(|one| format!("| {} | {} |", one[1], one[2])).collect();
    assert!(signals.len() >= 2, "{server}");
    for row in &signals {
        assert!(readme.contains(row), "not in the README: {row}");
    }
    let rows = readme.lines().filter(|line| line.starts_with("| SIG")).count();
    assert_eq!(rows, signals.len(), "the README has other signals");
    let chatbox = read_manual(&folder, "chatbox");
    let (_, codes) = chatbox.split_once(".SH \"EXIT STATUS\"\n").unwrap();
    let codes: Vec<_> = codes.split(".SH ").next().unwrap().lines().collect();
    assert!(codes.len() >= 9, "{chatbox}");
    for code in codes.chunks(3) {
        let quote = format!("{}, {}", code[1], code[2]);
        assert!(readme.contains(&quote), "not in the README: {quote}");
    }
}

#[test]
fn a_manual_page_is_found_by_the_name_of_the_program() {
    let folder = export("by-name");
    for name in ["server", "sender", "receiver"] {
        let text = read_manual(&folder, name);
        assert_eq!(text, format!(".so man1/chatbox-{name}.1\n"));
        let mut command = Command::new("man");
        command.arg("-M").arg(folder.join("man")).args(["1", name]).env("LC_ALL", "C");
        command.env("MANPAGER", "cat").env("PAGER", "cat");
        if Command::new("man").arg("--version").output().is_err() {
            left_out("there is no man");
            continue;
        }
        let finished = Program::start(command).finish();
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert!(
            text.contains("SYNOPSIS") && text.contains(&format!("chatbox {name} [")),
            "{finished:?}"
        );
    }
    assert!(!folder.join("man/man1/bench.1").exists(), "there is no link for it");
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
            let flags = flags(&help(command));
            for flag in flags.iter().filter_map(|flag| flag.strip_prefix("--")) {
                let spelt = format!("{dashes}{flag}");
                assert!(text.contains(&spelt), "no {spelt} in {path}:\n{text}");
            }
        }
    }
}

/// The words that bash makes of a line.
fn bash_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in line.split(' ') {
        let cut = |c: char| c == '=' || c == ':';
        let mut rest = word;
        while let Some(at) = rest.find(cut) {
            words.extend([&rest[..at], &rest[at..=at]].iter().map(|part| (*part).to_owned()));
            rest = &rest[at + 1..];
        }
        if !rest.is_empty() || word.is_empty() {
            words.push(rest.to_owned());
        }
    }
    words
}

/// Where the programs are, beside one that has the name of one of them and is not: it would leave a
/// trace if it ran.
fn with_a_stranger(name: &str) -> PathBuf {
    let folder = export(name);
    let bin = folder.join("bin");
    fs::create_dir_all(folder.join("other")).unwrap();
    fs::create_dir_all(&bin).unwrap();
    for name in ["chatbox", "server", "receiver", "sender"] {
        symlink(env!("CARGO_BIN_EXE_chatbox"), bin.join(name)).unwrap();
        let other = folder.join("other").join(name);
        fs::write(&other, "#!/bin/sh\n>\"$0.ran\"\necho --theirs\n").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// What bash offers at the end of a line, in a folder of such programs, with the strictest settings.
/// Fails if anything is left behind.
fn bash_offers(folder: &Path, line: &str) -> BTreeSet<String> {
    let script = r#"
        set -eu
        before= after= cmd=mine opts=mine found=mine words=mine i=mine cur=mine
        COMP_LINE=$0 COMP_POINT=${#COMP_LINE} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        name=${1##*/}
        source "bash-completion/completions/$name"
        complete -p "$name" >&2
        before=$(compgen -v | sort)
        _chatbox "$1" "${COMP_WORDS[COMP_CWORD]}" ""
        after=$(compgen -v | sort)
        [[ $before == "$after" ]] || { echo "$after" >&2; exit 3; }
        [[ $cmd$opts$found$words$i$cur == minemineminemineminemine ]]
        [[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = bash(script);
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg(line).args(bash_words(line)).current_dir(folder);
    command.env("PATH", format!("{}:{path}", folder.join("bin").display()));
    command.env_remove("COMP_LINE");
    let finished = Program::start(command).finish();
    assert_eq!(finished.status.code(), Some(0), "{line}: {finished:?}");
    let offers = String::from_utf8(finished.stdout).unwrap();
    offers.lines().filter(|offer| !is_other_localhost(offer)).map(str::to_owned).collect()
}

/// Machines have other names for themselves, too.
fn is_other_localhost(offer: &str) -> bool {
    offer.starts_with("localhost") && offer != "localhost"
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn bash_completes_what_is_due() {
    let folder = with_a_stranger("bash");
    let applets = ["server", "sender", "receiver", "chat", "bench", "check"];
    for (line, offered) in [
        ("receiver --t", &["--timeout", "--timestamps", "--tls"][..]),
        ("chatbox receiver --ti", &["--timeout", "--timestamps"]),
        ("chatbox se", &["server", "sender"]),
        ("chatbox ", &applets),
        ("chatbox --v", &["--version"]),
        (
            "chatbox -",
            &["-h", "--help", "-V", "--version", "--list", "--install-links", "--export"],
        ),
        ("bin/sender --mes", &["--message"]),
        (
            "sender -",
            &[
                "-h",
                "--help",
                "-V",
                "--version",
                "-v",
                "--verbose",
                "-q",
                "--quiet",
                "-m",
                "--message",
                "--room",
                "--timeout",
                "--reconnect",
                "--no-reconnect",
                "--tls",
                "--cacert",
                "--cert",
                "--key",
                "--insecure",
            ],
        ),
        // Where the server is can be known, its port, a user or a room cannot.
        ("receiver localhos", &["localhost"]),
        ("receiver --json localhos", &["localhost"]),
        ("receiver --count 3 localhos", &["localhost"]),
        ("receiver --count=3 localhos", &["localhost"]),
        ("receiver -- localhos", &["localhost"]),
        ("receiver localhost ", &[]),
        ("receiver localhost 5000 ", &[]),
        ("receiver ::1 localhos", &[]),
        ("sender --room ", &[]),
        ("sender --room -", &[]),
        ("sender -- -", &[]),
        ("server --bind localhos", &["localhost"]),
        ("receiver --color ", &["auto", "always", "never"]),
        ("receiver --color=", &["auto", "always", "never"]),
        ("receiver --color=al", &["always"]),
        ("chatbox receiver --color a", &["auto", "always"]),
        // Users and rooms may be called like applets.
        ("chatbox sender localhost 5000 server --ro", &["--room"]),
        ("receiver localhost 5000 server bench --js", &["--json"]),
        ("chatbox sender --room receiver --me", &["--message"]),
        ("sender -m 'sender' --ro", &["--room"]),
        ("chatbox --install-links b", &["bash-completion", "bin"]),
    ] {
        assert_eq!(bash_offers(&folder, line), set(offered), "{line}");
    }
    // Whatever is offered for a flag, the program takes.
    for word in bash_offers(&folder, "receiver --color ") {
        let args = ["receiver", "--color", &word, "localhost", "0", "alice", "cafe"];
        Program::start(chatbox(args)).finish().assert_one_error(2, "a port is a number");
    }
}

#[test]
fn completions_leave_alone_what_is_not_this_program_and_never_run_it() {
    let folder = with_a_stranger("strangers");
    let (line, own) = ("/receiver --ti", set(&["--timeout", "--timestamps"]));
    assert_eq!(bash_offers(&folder, &format!("bin{line}")), own);
    assert_eq!(bash_offers(&folder, &format!("{}/bin{line}", folder.display())), own);
    for stranger in ["other", "./other", "nowhere", folder.join("other").to_str().unwrap()] {
        assert_eq!(bash_offers(&folder, &format!("{stranger}{line}")), set(&[]), "{stranger}");
    }
    if is_there("fish") {
        let all = |line: &str| fish_offers(&folder, line).join(" ");
        assert!(all(&format!("bin{line}")).contains("--timeout"), "{}", all(&format!("bin{line}")));
        assert!(!all(&format!("./other{line}")).contains("--timeout"));
    }
    let ran = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ran");
    let others = fs::read_dir(folder.join("other")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(others.filter(ran).count(), 0, "completion has run what it completes");
}

/// Whether there is such a shell.
fn is_there(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").output().is_ok();
    if !found {
        left_out(&format!("there is no {shell}"));
    }
    found
}

/// What fish offers at the end of a line.
fn fish_offers(folder: &Path, line: &str) -> Vec<String> {
    let script =
        "for file in fish/vendor_completions.d/*.fish; source $file; end; complete -C$argv[1]";
    let mut command = Command::new("fish");
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(["--no-config", "-c", script, line]).current_dir(folder).env("HOME", folder);
    command.env("PATH", format!("{}:{path}", folder.join("bin").display()));
    let finished = Program::start(command).finish();
    finished.assert(0, &finished.stdout, "");
    let offers = String::from_utf8(finished.stdout).unwrap();
    offers.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn fish_completes_what_is_due() {
    if !is_there("fish") {
        return;
    }
    let folder = with_a_stranger("fish");
    for (line, offered) in [
        ("receiver --ti", &["--timeout", "--timestamps"][..]),
        ("chatbox receiver --ti", &["--timeout", "--timestamps"]),
        ("chatbox se", &["sender", "server"]),
        ("receiver --json localhos", &["localhost"]),
        ("receiver localhost ", &[]),
        ("receiver --color al", &["always"]),
        ("chatbox sender localhost 5000 server --ro", &["--room"]),
        ("sender --room ", &[]),
    ] {
        let mut offers: BTreeSet<_> = fish_offers(&folder, line).into_iter().collect();
        offers.retain(|offer| !is_other_localhost(offer));
        assert_eq!(offers, set(offered), "{line}");
    }
}

/// A shell at a terminal, in a folder of such programs, that has run these lines.
fn at_terminal(folder: &Path, mut command: Command, lines: &[&str]) -> Terminal {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.join("bin").display())).env("HOME", folder);
    let mut cd = Command::new("env");
    cd.arg("-C").arg(folder).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        cd.env(name, value.unwrap_or_default());
    }
    let mut terminal = Terminal::start(&cd);
    for line in lines {
        terminal.keys(format!("{line}\n"));
    }
    terminal.keys("PS1='> '; clear\n");
    terminal.expect_at_cursor(">");
    terminal
}

/// Types keys, waits until the line is so, and forgets it.
fn assert_typed(terminal: &mut Terminal, keys: &str, line: &str) {
    terminal.keys(keys);
    terminal.expect_at_cursor(format!("> {line}").trim_end());
    // Whatever else there may be comes before this.
    terminal.keys("!");
    terminal.expect_at_cursor(&format!("> {line}!"));
    terminal.keys("\x15");
    terminal.expect_at_cursor(">");
}

#[test]
fn a_tab_completes_at_the_prompt_of_bash() {
    let folder = with_a_stranger("bash-prompt");
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]).env("LC_ALL", "C");
    let lines = [
        "set -u; bind 'set enable-bracketed-paste off'",
        "for file in bash-completion/completions/*; do source \"$file\"; done",
    ];
    let mut terminal = at_terminal(&folder, command, &lines);
    for (keys, line) in [
        ("receiver --times\t", "receiver --timestamps "),
        // A second Tab does not undo the first.
        ("receiver --color=al\t", "receiver --color=always "),
        ("receiver --color=al\t\t", "receiver --color=always "),
        // No files where a host is due.
        ("receiver zsh/site-f\t", "receiver zsh/site-f"),
        ("other/receiver --times\t\t", "other/receiver --times"),
        ("other/receiver zsh/site-f\t_rec\t", "other/receiver zsh/site-functions/_receiver "),
    ] {
        assert_typed(&mut terminal, keys, line);
    }
}

#[test]
fn a_tab_completes_at_the_prompt_of_zsh() {
    if !is_there("zsh") {
        return;
    }
    let folder = with_a_stranger("zsh-prompt");
    let mut command = Command::new("zsh");
    command.args(["-f", "-i"]).env("LC_ALL", "C");
    let lines = [
        "fpath=($PWD/zsh/site-functions $fpath); autoload -Uz compinit; compinit -D -u; setopt nounset",
        "unsetopt zle_bracketed_paste prompt_sp 2>/dev/null; unset zle_bracketed_paste",
    ];
    let mut terminal = at_terminal(&folder, command, &lines);
    for (keys, line) in [
        ("receiver --times\t", "receiver --timestamps "),
        ("receiver --color=al\t", "receiver --color=always "),
        ("chatbox receiver --times\t", "chatbox receiver --timestamps "),
        ("receiver --json nosuchhos\t", "receiver --json nosuchhos"),
        ("chatbox rec\t", "chatbox receiver "),
        ("other/receiver --times\t\t", "other/receiver --times"),
        ("other/receiver zsh/site-f\t_rec\t", "other/receiver zsh/site-functions/_receiver "),
    ] {
        assert_typed(&mut terminal, keys, line);
    }
}

#[test]
fn links_are_made_where_one_wants_them() {
    let folder = scratch("made-links");
    let inner = folder.join("new/bin");
    fs::create_dir_all(&inner).unwrap();
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
    // A path that was mistyped is no reason to make folders.
    let mistyped = folder.join("no/bin");
    let made = Program::start(chatbox(["--install-links", mistyped.to_str().unwrap()])).finish();
    made.assert_one_error(1, &format!("there is no folder {}", mistyped.display()));
    assert!(!folder.join("no").exists());
    for flag in ["--install-links", "--export"] {
        Program::start(chatbox([flag, "/dev/null/x"])).finish().assert_one_error(1, "/dev/null/x");
    }
}

/// The help has its numbers from the code.
#[test]
fn the_readme_quotes_the_numbers_that_the_help_has() {
    let readme = include_str!("../../README.md");
    let helps = [help(&["server"]), help(&["bench"]), help(&["check"])].join(" ");
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
