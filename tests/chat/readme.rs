//! The README and the documents beside the code: short, linked, and true as they are written.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command_line::scratch;
use crate::harness::authority::has_openssl;
use crate::harness::terminal::Terminal;
use crate::harness::{Finished, Peer, Program, Server, bash, chatbox, left_out};

const README: &str = include_str!("../../README.md");
const RUNNING: &str = include_str!("../../src/applets/SERVER.md");
const WHO: &str = include_str!("../../src/server/listen/WHO.md");
const PROTOCOL: &str = include_str!("../../src/wire/PROTOCOL.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder whose name ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path, end) } else { vec![path] };
    let is_one = |path: &PathBuf| path.to_str().unwrap().ends_with(end);
    entries.flat_map(below).filter(is_one).collect()
}

/// The lines of a document's blocks of this kind.
fn blocks<'a>(document: &'a str, kind: &str) -> Vec<&'a str> {
    let start = format!("```{kind}\n");
    let blocks = document.split(&start).skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap().lines()).collect()
}

/// The names that a document's headings have in links.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter_map(|line| line.strip_prefix('#'));
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        text.chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn the_readme_is_short() {
    let lines = README.lines().count();
    assert!(lines <= 250, "{lines} lines: details go into the documents beside the code");
}

#[test]
fn the_readme_says_what_it_needs_and_what_it_is_not() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    for text in
        ["On Linux", "no passwords", "no encryption", "**every interface**", "--bind localhost"]
    {
        assert!(README.contains(text), "nothing says {text}");
    }
    let rust = format!("[Rust](https://rustup.rs) {version} or newer");
    assert!(README.contains(&rust), "it is not said that it takes Rust {version}");
}

#[test]
fn the_readme_has_every_flag() {
    for applet in ["server", "sender", "receiver", "chat", "bench", "check"] {
        let (_, part) = README.split_once(&format!("{applet} [OPTIONS]")).expect(applet);
        let part = part.split("\n##").next().unwrap();
        let help = Program::start(chatbox([applet, "--help"])).finish();
        let help = String::from_utf8(help.stdout).unwrap();
        let (_, options) = help.split_once("Options:\n").unwrap();
        let words = options.split("\n\n").next().unwrap().lines();
        let flags = words.flat_map(|line| line.split_whitespace().take(2));
        let common = ["--help", "--version", "--verbose", "--quiet"];
        for flag in flags.filter(|word| word.starts_with("--") && !common.contains(word)) {
            let quotes = [format!("`{flag}`"), format!("`{flag} ")];
            assert!(quotes.iter().any(|quote| part.contains(quote)), "{applet}: no {flag}");
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = files(&root().join("src"), ".md").into_iter().chain([root().join("README.md")]);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.starts_with("https:")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = document.parent().unwrap().join(path);
            let target = if path.is_empty() { document.clone() } else { target };
            let there = fs::read_to_string(&target);
            let there =
                there.unwrap_or_else(|error| panic!("{}: {link}: {error}", document.display()));
            let found = anchor.is_empty() || anchors(&there).contains(anchor);
            assert!(found, "{}: no heading for {link}", document.display());
        }
    }
}

/// So that they are read with the code that they are about, and on their own.
#[test]
fn each_document_is_the_documentation_of_a_module_and_linked_from_the_readme() {
    let documents = files(&root().join("src"), ".md");
    assert!(documents.len() >= 4, "{documents:?}");
    for document in documents {
        let name = document.file_name().unwrap().to_str().unwrap();
        let attribute = format!("#![doc = include_str!(\"{name}\")]");
        let beside = files(document.parent().unwrap(), ".rs");
        let of_module = |path: &PathBuf| fs::read_to_string(path).unwrap().contains(&attribute);
        assert!(beside.iter().any(of_module), "{name} is no module's documentation");
        let path = document.strip_prefix(root()).unwrap().to_str().unwrap();
        assert!(README.contains(&format!("]({path}")), "nothing leads to {path}");
    }
}

/// A line of a document in a shell that finds the programs, with the server's port.
fn in_shell(port: u16, folder: &Path, line: &str) -> Command {
    let mut command = bash(&line.replace("5000", &port.to_string()));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.display()));
    command
}

/// Runs such a line.
fn as_written(port: u16, folder: &Path, line: &str) -> Program {
    let mut program = Program::start(in_shell(port, folder, line));
    program.end_of_input();
    program
}

fn with_links(name: &str) -> PathBuf {
    let folder = scratch(name);
    for name in ["chatbox", "server", "sender", "receiver"] {
        symlink(env!("CARGO_BIN_EXE_chatbox"), folder.join(name)).unwrap();
    }
    folder
}

fn assert_success(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

#[test]
fn the_readmes_commands_for_clients_do_what_they_say() {
    let folder = with_links("as-written");
    let server = Server::start();
    let lines = blocks(README, "sh");
    let of = |name: &str| lines.iter().copied().filter(|line| line.contains(name)).collect();
    let (receivers, senders): (Vec<_>, Vec<_>) = (of("receiver "), of("sender "));
    let chats: Vec<_> = of("chatbox chat ");
    assert!(!receivers.is_empty() && senders.len() >= 2 && chats.len() >= 2, "{lines:?}");
    let at_terminal = |line: &&str| {
        let mut command = in_shell(server.port, &folder, line);
        command.env("XDG_STATE_HOME", &folder);
        Terminal::start(&command)
    };
    let mut chats: Vec<_> = chats.iter().map(at_terminal).collect();
    let all = (receivers.len() + chats.len()) as u64;
    let receivers: Vec<_> =
        receivers.into_iter().map(|line| as_written(server.port, &folder, line)).collect();
    server.wait_for_report("receivers,", |number| number == all);
    chats[0].keys("Hello, Bob!\r");
    chats[1].expect(" alice: Hello, Bob!");
    for line in senders {
        assert_success(&as_written(server.port, &folder, line).finish());
    }
    receivers.into_iter().for_each(|receiver| assert_success(&receiver.finish()));
    for chat in &mut chats {
        chat.expect(" bob: 100000");
        chat.keys("/quit\r");
        assert_eq!(chat.finish().code(), Some(0), "{chat:?}");
    }
}

#[test]
fn the_health_check_tells_a_server_from_none() {
    let folder = with_links("health");
    let server = Server::start();
    let checks: Vec<_> =
        blocks(RUNNING, "sh").into_iter().filter(|line| line.contains("sender ")).collect();
    let [check] = checks[..] else { panic!("{checks:?}") };
    assert_success(&as_written(server.port, &folder, check).finish());
    let port = server.port;
    assert_success(&server.stop());
    let finished = as_written(port, &folder, check).finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
}

#[test]
fn the_certificates_that_the_document_makes_let_their_user_in() {
    if !has_openssl() {
        return left_out("there is no openssl");
    }
    let folder = with_links("certificates");
    let run = |line: &str| {
        let mut command = bash(&line.replace("chat.example.org", "localhost"));
        command.current_dir(&folder);
        assert_success(&Program::start(command).finish());
    };
    let lines = blocks(WHO, "sh");
    assert!(lines.len() >= 11, "{lines:?}");
    lines.iter().for_each(|line| run(line));
    // Somebody else, in the same way.
    let of_user = |line: &&&str| line.contains("alice") && !line.contains("-revoke");
    lines.iter().filter(of_user).for_each(|line| run(&line.replace("alice", "carol")));
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [ca, cert, key, crl] = ["ca.pem", "server.pem", "server.key", "revoked.pem"].map(path);
    let flags = ["--cert", &cert, "--key", &key, "--client-ca", &ca];
    let sender = |server: &Server, owner: &str, user| {
        let [cert, key] = ["pem", "key"].map(|end| path(&format!("{owner}.{end}")));
        let trust = ["--tls", "--cacert", &ca, "--cert", &cert, "--key", &key, "--room", "cafe"];
        let words = [&[user, "-m", "hi"], &trust[..]].concat();
        Program::start(server.client("sender", &words)).finish()
    };
    let server = Server::with(&flags);
    assert_success(&sender(&server, "alice", "alice"));
    sender(&server, "alice", "bob").assert_one_error(1, "you are alice");
    let server = Server::with(&[&flags[..], &["--crl", &crl]].concat());
    assert_success(&sender(&server, "carol", "carol"));
    sender(&server, "alice", "alice").assert_one_error(1, "it is revoked");
}

#[test]
fn the_session_by_hand_is_what_the_server_answers() {
    let server = Server::start();
    let mut peer = Peer::connect(server.port);
    let session = blocks(PROTOCOL, "console");
    assert!(session.len() >= 9, "{session:?}");
    for pair in session[1..].chunks(2) {
        peer.send(format!("{}\n", pair[0]));
        peer.expect(pair[1]);
    }
    peer.expect_end();
}

#[test]
fn the_first_line_of_the_log_says_version_limits_and_workers() {
    let flags = ["--max-clients", "7", "--max-per-address", "2", "--queue-limit", "4096"];
    let server = Server::with(&[&flags[..], &["--total-queue-limit", "65536"]].concat());
    let stderr = server.program.stderr();
    let first = stderr.lines().next().unwrap();
    let version = format!("chatbox {}: ", env!("CARGO_PKG_VERSION"));
    for text in [
        &version,
        "3 workers",
        "7 clients,",
        "2 clients from one address",
        "4096 bytes queued for one",
        "65536 for all",
    ] {
        assert!(first.contains(text), "no {text} in {first}");
    }
}

#[test]
fn the_unit_for_systemd_starts_a_server_and_says_what_it_may() {
    let folder = scratch("unit");
    let exported = Program::start(chatbox(["--export", folder.to_str().unwrap()])).finish();
    assert_success(&exported);
    let unit = fs::read_to_string(folder.join("chatbox/chatbox.service")).unwrap();
    let value = |name: &str| {
        let start = format!("{name}=");
        unit.lines().find_map(|line| line.strip_prefix(&start)).expect(name).to_owned()
    };
    for limit in ["LimitNOFILE", "MemoryMax", "TasksMax", "TimeoutStopSec"] {
        assert!(value(limit).starts_with(|c: char| c.is_numeric()), "{limit}");
    }
    for hardening in ["DynamicUser", "NoNewPrivileges", "PrivateTmp", "MemoryDenyWriteExecute"] {
        assert_eq!(value(hardening), "yes", "{hardening}");
    }
    let line = value("ExecStart");
    let words = line.strip_prefix("/usr/local/bin/chatbox server ").expect(&line);
    let words = words.replace("5000", "0");
    let server = Server::run(chatbox(["server"].into_iter().chain(words.split(' '))));
    assert_success(&server.stop());
}
