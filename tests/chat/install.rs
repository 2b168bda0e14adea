//! `install.sh`, into scratch prefixes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command_line::scratch;
use crate::harness::{Finished, Program, left_out};

const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh");

/// Runs `install.sh` with an executable that is built already.
fn install(prefix: &Path, flags: &[&str]) -> Finished {
    let mut command = Command::new(INSTALL);
    command
        .arg("--prefix")
        .arg(prefix)
        .args(["--binary", env!("CARGO_BIN_EXE_chatbox")])
        .args(flags);
    command.env_remove("DESTDIR").env_remove("PREFIX");
    Program::start(command).finish()
}

/// Everything below a folder that is no folder, by its path relative to it.
fn contents(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn assert_installed(prefix: &Path) {
    for applet in ["server", "sender", "receiver"] {
        let link = prefix.join("bin").join(applet);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("chatbox"), "{}", link.display());
        let mut command = Command::new(link);
        command.arg("--help");
        let finished = Program::start(command).finish();
        let usage = format!("Usage: {applet} ");
        assert!(String::from_utf8_lossy(&finished.stdout).starts_with(&usage), "{finished:?}");
    }
}

fn assert_success(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

fn assert_failure(finished: &Finished, names: &[&Path]) {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    for name in names {
        assert!(
            stderr.contains(name.to_str().unwrap()),
            "{} unnamed: {finished:?}",
            name.display()
        );
    }
}

#[test]
fn install_again_and_uninstall() {
    let prefix = scratch("install");
    fs::create_dir(prefix.join("bin")).unwrap();
    fs::write(prefix.join("bin/other"), "not ours").unwrap();
    let before = contents(&prefix);
    let first = install(&prefix, &[]);
    assert_success(&first);
    assert!(String::from_utf8_lossy(&first.stdout).contains("not on your PATH"), "{first:?}");
    assert_installed(&prefix);
    let installed = contents(&prefix);

    assert_success(&install(&prefix, &[]));
    assert_installed(&prefix);
    assert_eq!(contents(&prefix), installed, "installed twice");

    assert_success(&install(&prefix, &["--uninstall"]));
    assert_eq!(contents(&prefix), before, "uninstalled");
    assert_failure(&install(&prefix, &["--uninstall"]), &[&prefix]);
}

#[test]
fn what_is_not_our_own_is_not_overwritten_unless_forced() {
    let prefix = scratch("refusal");
    let bin = prefix.join("bin");
    fs::create_dir(&bin).unwrap();
    let (server, receiver) = (bin.join("server"), bin.join("receiver"));
    fs::write(&server, "somebody's server").unwrap();
    symlink("elsewhere", &receiver).unwrap();
    let before = contents(&prefix);
    assert_failure(&install(&prefix, &[]), &[&server, &receiver]);
    assert_eq!(contents(&prefix), before);
    assert_eq!(fs::read_to_string(&server).unwrap(), "somebody's server");
    assert_eq!(fs::read_link(&receiver).unwrap(), Path::new("elsewhere"));

    assert_success(&install(&prefix, &["--force"]));
    assert_installed(&prefix);
}

#[test]
fn what_was_changed_since_is_not_removed() {
    let prefix = scratch("changed");
    assert_success(&install(&prefix, &[]));
    let (program, sender) = (prefix.join("bin/chatbox"), prefix.join("bin/sender"));
    fs::remove_file(&program).unwrap();
    fs::write(&program, "somebody's chatbox").unwrap();
    fs::remove_file(&sender).unwrap();
    symlink("/bin/true", &sender).unwrap();
    // Nor is it taken for our own by an upgrade.
    assert_failure(&install(&prefix, &[]), &[&program, &sender]);
    assert_failure(&install(&prefix, &["--uninstall"]), &[&program, &sender]);
    let left = ["bin/chatbox", "bin/sender"].map(String::from);
    assert_eq!(contents(&prefix), BTreeSet::from(left));
}

#[test]
fn a_link_to_a_folder_is_replaced_and_not_followed() {
    let prefix = scratch("folder");
    let folder = prefix.join("folder");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir(prefix.join("bin")).unwrap();
    symlink(&folder, prefix.join("bin/server")).unwrap();
    assert_failure(&install(&prefix, &[]), &[&prefix.join("bin/server")]);
    assert_success(&install(&prefix, &["--force"]));
    assert_installed(&prefix);
    assert_eq!(contents(&folder), BTreeSet::new());
}

#[test]
fn packagers_stage_below_destdir_without_a_record() {
    let stage = scratch("stage");
    let run = || {
        let mut command = Command::new(INSTALL);
        command.args(["--binary", env!("CARGO_BIN_EXE_chatbox")]);
        command.env("DESTDIR", &stage).env("PREFIX", "/usr");
        Program::start(command).finish()
    };
    assert_success(&run());
    assert_installed(&stage.join("usr"));
    let staged = contents(&stage);
    assert!(!staged.contains("usr/share/chatbox/installed"), "{staged:?}");
    // Nothing is in the way of what is the same.
    assert_success(&run());
    assert_eq!(contents(&stage), staged);
    fs::write(stage.join("usr/bin/chatbox"), "another").unwrap();
    assert_failure(&run(), &[&stage.join("usr/bin/chatbox")]);
}

#[test]
fn help_and_wrong_usage() {
    let prefix = scratch("usage");
    let help = install(&prefix, &["--help"]);
    assert_success(&help);
    assert!(help.stdout.starts_with(b"Usage: install.sh"), "{help:?}");
    for flags in [&["--nonsense"][..], &["--prefix"], &["here"]] {
        assert_eq!(install(&prefix, flags).status.code(), Some(2), "{flags:?}");
    }
    assert_eq!(contents(&prefix), BTreeSet::new());
}

#[test]
fn an_upgrade_removes_what_is_no_longer_part_of_it() {
    let prefix = scratch("upgrade");
    assert_success(&install(&prefix, &[]));
    let installed = contents(&prefix);
    // As if an earlier version had installed two more files, one of which somebody changed.
    let record = prefix.join("share/chatbox/installed");
    let mut lines = fs::read_to_string(&record).unwrap();
    for (path, text) in [("share/old/one", "old\n"), ("bin/two", "old\n"), ("bin/three.1", "new\n")]
    {
        let path = prefix.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    // The checksum of "old\n".
    let sum = Program::start({
        let mut command = Command::new("sh");
        command.args(["-c", "printf 'old\\n' | cksum | tr ' ' '-'"]);
        command
    });
    let sum = String::from_utf8(sum.finish().stdout).unwrap();
    for path in ["share/old/one", "bin/two", "bin/three.1"] {
        lines += &format!("file {} {path}\n", sum.trim());
    }
    lines += "folder - share/old\n";
    fs::write(&record, lines).unwrap();
    let again = install(&prefix, &[]);
    assert_success(&again);
    let mut expected = installed;
    expected.insert("bin/three.1".into());
    assert_eq!(contents(&prefix), expected, "{again:?}");
    assert!(!prefix.join("share/old").exists(), "an empty folder is left");
    let stdout = String::from_utf8_lossy(&again.stdout);
    assert!(stdout.contains("left ") && stdout.contains("bin/three.1"), "{again:?}");
    assert_installed(&prefix);
}

#[test]
fn what_is_no_chatbox_is_not_installed() {
    let prefix = scratch("wrong");
    for binary in ["/bin/true", "/bin/false", "/nonexistent"] {
        let mut command = Command::new(INSTALL);
        command.arg("--prefix").arg(&prefix).args(["--binary", binary]).env_remove("DESTDIR");
        let finished = Program::start(command).finish();
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr);
        assert!(stderr.contains(&format!("{binary} is no chatbox")), "{finished:?}");
    }
    assert_eq!(contents(&prefix), BTreeSet::new());
}

/// A checkout in small: `install.sh` beside a package that is built in no time.
struct Checkout {
    root: PathBuf,
    prefix: PathBuf,
}

impl Checkout {
    /// `None` if this user has no cargo.
    fn new(name: &str) -> Option<Self> {
        let cargo = Command::new(env!("CARGO")).arg("--version").output();
        if !cargo.is_ok_and(|output| output.status.success()) {
            left_out("there is no cargo for this user");
            return None;
        }
        let folder = scratch(name);
        let root = folder.join("a checkout");
        fs::create_dir_all(root.join("src")).unwrap();
        fs::write(root.join("install.sh"), fs::read(INSTALL).unwrap()).unwrap();
        // A workspace of its own, wherever the tests are.
        let package = "[package]\nname = \"chatbox\"\nversion = \"7.8.9\"\nedition = \"2024\"\n\
                       [workspace]\n";
        fs::write(root.join("Cargo.toml"), package).unwrap();
        let lock = "version = 4\n\n[[package]]\nname = \"chatbox\"\nversion = \"7.8.9\"\n";
        fs::write(root.join("Cargo.lock"), lock).unwrap();
        let main = r#"
            fn main() {
                let words: Vec<_> = std::env::args().skip(1).collect();
                match words[0].as_str() {
                    "--list" => println!("server"),
                    "--version" => println!("chatbox {}", env!("CARGO_PKG_VERSION")),
                    _ => std::fs::create_dir_all(&words[1]).unwrap(),
                }
            }
        "#;
        fs::write(root.join("src/main.rs"), main).unwrap();
        Some(Checkout { root, prefix: folder.join("prefix") })
    }

    /// An earlier version's executable, where cargo puts those that it builds if nothing is set.
    fn with_old_executable(self) -> Self {
        let old = self.root.join("target/release/chatbox");
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_chatbox")).arg(&old).status();
        assert!(copied.unwrap().success());
        self
    }

    /// A command in the checkout, with cargo, and with nothing set for it.
    fn command(&self, program: &str) -> Command {
        let cargo = Path::new(env!("CARGO")).parent().unwrap().to_str().unwrap();
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{cargo}:{path}")).current_dir(&self.root);
        for set in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "DESTDIR"] {
            command.env_remove(set);
        }
        command.env("PREFIX", &self.prefix);
        command
    }

    fn assert_new_version_installed(&self, finished: &Finished) {
        assert_success(finished);
        let mut command = Command::new(self.prefix.join("bin/server"));
        command.arg("--version");
        Program::start(command).finish().assert(0, b"chatbox 7.8.9\n", "");
    }
}

/// What this machine is to cargo.
fn this_target() -> String {
    let version = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn what_cargo_has_just_built_is_installed_wherever_that_is() {
    let Some(checkout) = Checkout::new("built") else { return };
    let checkout = checkout.with_old_executable();
    let mut command = checkout.command("sh");
    command.arg("install.sh").env("CARGO_BUILD_TARGET", this_target());
    checkout.assert_new_version_installed(&Program::start(command).finish());

    fs::remove_dir_all(&checkout.prefix).unwrap();
    let config = format!("[build]\ntarget = [\"{}\"]\ntarget-dir = \"else where\"", this_target());
    fs::create_dir(checkout.root.join(".cargo")).unwrap();
    fs::write(checkout.root.join(".cargo/config.toml"), config).unwrap();
    let mut command = checkout.command("sh");
    command.arg("install.sh");
    checkout.assert_new_version_installed(&Program::start(command).finish());
}

#[test]
fn what_says_another_version_than_the_source_is_not_installed() {
    let Some(checkout) = Checkout::new("version") else { return };
    let main = checkout.root.join("src/main.rs");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, text.replace("chatbox {}", "chatbox 0.{}")).unwrap();
    let mut command = checkout.command("sh");
    command.arg("install.sh");
    let finished = Program::start(command).finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(String::from_utf8_lossy(&finished.stderr).contains("chatbox 7.8.9"), "{finished:?}");
    assert!(!checkout.prefix.exists(), "{finished:?}");
}

#[test]
fn a_prefix_that_is_empty_is_refused() {
    let home = scratch("empty");
    for flags in [&["--prefix", ""][..], &["--prefix="], &["--binary", ""], &["--binary="]] {
        let mut command = Command::new(INSTALL);
        command.args(flags).env("HOME", &home).env_remove("DESTDIR").env_remove("PREFIX");
        Program::start(command).finish().assert_one_error(2, "needs a value");
    }
    assert_eq!(contents(&home), BTreeSet::new());
}

#[test]
fn everybody_can_use_what_is_installed_whatever_the_umask() {
    let prefix = scratch("umask").join("new");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh", INSTALL, "--prefix"]).arg(&prefix);
    command.args(["--binary", env!("CARGO_BIN_EXE_chatbox")]).env_remove("DESTDIR");
    assert_success(&Program::start(command).finish());
    let mut entries = vec![prefix];
    while let Some(path) = entries.pop() {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        let program = path.ends_with("bin/chatbox");
        if path.is_symlink() {
            continue;
        } else if path.is_dir() {
            assert_eq!(mode, 0o755, "{}", path.display());
            entries.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode, if program { 0o755 } else { 0o644 }, "{}", path.display());
        }
    }
}

#[test]
fn a_source_that_is_only_to_be_read_is_built_elsewhere() {
    let Some(checkout) = Checkout::new("read-only") else { return };
    let before = contents(&checkout.root);
    let folders = || {
        let is_folder = |path: &PathBuf| path.is_dir();
        let entries = fs::read_dir(&checkout.root).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(is_folder).collect::<BTreeSet<_>>()
    };
    let folders_before = folders();
    let elsewhere = checkout.root.parent().unwrap().join("elsewhere");
    // Whoever is root can write to all the same.
    for path in [checkout.root.join("src"), checkout.root.clone()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let mut command = checkout.command("sh");
    command.arg("install.sh").env("CARGO_TARGET_DIR", elsewhere);
    let finished = Program::start(command).finish();
    for path in [checkout.root.clone(), checkout.root.join("src")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    checkout.assert_new_version_installed(&finished);
    assert_eq!((contents(&checkout.root), folders()), (before, folders_before));
}

#[test]
fn the_script_finds_its_source_through_a_link_and_from_standard_input() {
    let Some(checkout) = Checkout::new("called") else { return };
    let link = checkout.root.parent().unwrap().join("a link");
    symlink(checkout.root.join("install.sh"), &link).unwrap();
    let mut command = checkout.command(link.to_str().unwrap());
    fs::set_permissions(checkout.root.join("install.sh"), fs::Permissions::from_mode(0o755))
        .unwrap();
    command.current_dir("/");
    checkout.assert_new_version_installed(&Program::start(command).finish());

    fs::remove_dir_all(&checkout.prefix).unwrap();
    let mut command = checkout.command("sh");
    command.args(["-c", "exec sh <install.sh"]);
    checkout.assert_new_version_installed(&Program::start(command).finish());

    fs::remove_dir_all(&checkout.prefix).unwrap();
    let mut command = checkout.command("sh");
    command.args(["-c", "script=$PWD/install.sh; cd / && exec sh <\"$script\""]);
    Program::start(command).finish().assert_one_error(1, "run install.sh in its folder");
    assert!(!checkout.prefix.exists());
}

#[test]
fn what_is_replaced_by_force_is_kept() {
    let prefix = scratch("kept");
    let bin = prefix.join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("server"), "somebody's server").unwrap();
    symlink("elsewhere", bin.join("receiver")).unwrap();
    let forced = install(&prefix, &["--force"]);
    assert_success(&forced);
    assert_installed(&prefix);
    assert_eq!(fs::read_to_string(bin.join("server.orig")).unwrap(), "somebody's server");
    assert_eq!(fs::read_link(bin.join("receiver.orig")).unwrap(), Path::new("elsewhere"));
    assert!(String::from_utf8_lossy(&forced.stdout).contains("server.orig"), "{forced:?}");

    // Not over what was kept before, and then nothing is changed.
    fs::remove_file(bin.join("server")).unwrap();
    fs::write(bin.join("server"), "another one").unwrap();
    let before = contents(&prefix);
    assert_failure(&install(&prefix, &["--force"]), &[&bin.join("server.orig")]);
    assert_eq!(contents(&prefix), before);
    assert_eq!(fs::read_to_string(bin.join("server")).unwrap(), "another one");
    assert_eq!(fs::read_to_string(bin.join("server.orig")).unwrap(), "somebody's server");
}

#[test]
fn without_links_there_is_chatbox_alone() {
    let prefix = scratch("no-links");
    assert_success(&install(&prefix, &["--no-links"]));
    let installed = contents(&prefix);
    let names = |path: &String| {
        let name = path.rsplit('/').next().unwrap();
        ["server", "sender", "receiver"]
            .iter()
            .any(|applet| name.trim_start_matches('_').split('.').next() == Some(applet))
    };
    assert!(!installed.iter().any(names), "{installed:?}");
    for path in ["bin/chatbox", "share/bash-completion/completions/chatbox"] {
        assert!(installed.contains(path), "{installed:?}");
    }
    // Those of an earlier installation go.
    let with_links = scratch("no-links-any-more");
    assert_success(&install(&with_links, &[]));
    assert_success(&install(&with_links, &["--no-links"]));
    assert_eq!(contents(&with_links), installed);
}

/// A command that runs `install.sh` and finds another `cp` first: this script, which may call the
/// real one as `real_cp`.
fn with_cp(prefix: &Path, name: &str, script: &str) -> Command {
    let folder = scratch(name);
    let cp = folder.join("cp");
    let path = std::env::var("PATH").unwrap_or_default();
    let real = format!("real_cp() {{ env PATH='{path}' cp \"$@\"; }}");
    fs::write(&cp, format!("#!/bin/sh\n{real}\n{script}\n")).unwrap();
    fs::set_permissions(&cp, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(INSTALL);
    command.arg("--prefix").arg(prefix).args(["--binary", env!("CARGO_BIN_EXE_chatbox")]);
    command.env("PATH", format!("{}:{path}", folder.display())).env_remove("DESTDIR");
    command.env("TMPDIR", folder);
    command
}

/// The same as `contents`, and all folders.
fn everything(folder: &Path) -> BTreeSet<String> {
    let mut command = Command::new("find");
    command.arg(".").current_dir(folder);
    let found = Program::start(command).finish();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn two_that_install_into_one_prefix_take_turns() {
    for second in [&[][..], &["--uninstall"]] {
        let prefix = scratch("turns");
        assert_success(&install(&prefix, &[]));
        let installed = everything(&prefix);
        let go = scratch("turns-go").join("go");
        assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
        // The first stops at its first copy until there is somebody who writes into the pipe.
        let script = format!(
            "[ -e '{go}' ] && echo copying >&2 && read -r _ <'{go}' && rm '{go}'; real_cp \"$@\"",
            go = go.display()
        );
        let first = Program::start(with_cp(&prefix, "turns-cp", &script));
        first.expect_stderr("copying");
        let mut command = Command::new(INSTALL);
        command.arg("--prefix").arg(&prefix).args(["--binary", env!("CARGO_BIN_EXE_chatbox")]);
        command.args(second).env_remove("DESTDIR");
        let waiting = Program::start(command);
        waiting.expect_stdout("waiting for another install.sh");
        fs::write(&go, "go\n").unwrap();
        assert_success(&first.finish());
        assert_success(&waiting.finish());
        if second.is_empty() {
            assert_eq!(everything(&prefix), installed);
            assert_installed(&prefix);
        } else {
            assert_eq!(everything(&prefix), BTreeSet::from([".".to_owned()]));
        }
    }
}

#[test]
fn what_an_installation_that_was_killed_leaves_goes_with_the_next() {
    let clean = scratch("clean");
    assert_success(&install(&clean, &[]));
    for next in [&[][..], &["--uninstall"]] {
        let prefix = scratch("killed");
        // In the middle of a copy: half of a file is there.
        let script = "case $2 in */bin/*) echo half >\"$2\"; kill -9 $PPID; exit 1;; esac; \
                      real_cp \"$@\"";
        let killed = Program::start(with_cp(&prefix, "killed-cp", script)).finish();
        assert_eq!(killed.status.code(), None, "{killed:?}");
        let is_new = |path: &String| path.ends_with(".new");
        assert!(everything(&prefix).iter().any(is_new), "{:?}", everything(&prefix));
        assert_success(&install(&prefix, next));
        let expected = if next.is_empty() { contents(&clean) } else { BTreeSet::new() };
        assert_eq!(contents(&prefix), expected);
        if next.is_empty() {
            assert_installed(&prefix);
            assert_success(&install(&prefix, &["--uninstall"]));
        }
        assert_eq!(everything(&prefix), BTreeSet::from([".".to_owned()]));
    }
}

#[test]
fn an_installation_without_room_leaves_no_half_files() {
    for full in ["*.chatbox.new", "*/bin/.chatbox.new", "*/man1/.chatbox.new"] {
        let prefix = scratch("full");
        let script = format!(
            "case $2 in {full}) echo half >\"$2\"; echo no space left on device >&2; exit 1;; esac; \
             real_cp \"$@\""
        );
        let failed = Program::start(with_cp(&prefix, "full-cp", &script)).finish();
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        let left = everything(&prefix);
        assert!(!left.iter().any(|path| path.ends_with(".new")), "{left:?}");
        // And what is there can be removed, or be completed.
        if prefix.join("share/chatbox/installed").exists() {
            assert_success(&install(&prefix, &["--uninstall"]));
        }
        assert_eq!(everything(&prefix), BTreeSet::from([".".to_owned()]));
    }
}

#[test]
fn only_folders_that_were_not_there_before_are_removed() {
    let prefix = scratch("folders");
    for folder in ["bin", "share/man/man1", "share/fish"] {
        fs::create_dir_all(prefix.join(folder)).unwrap();
    }
    let before = everything(&prefix);
    assert_success(&install(&prefix, &[]));
    // What was made is known after an upgrade, too.
    assert_success(&install(&prefix, &[]));
    assert_success(&install(&prefix, &["--uninstall"]));
    assert_eq!(everything(&prefix), before);

    let inner = prefix.join("made/by/it");
    assert_success(&install(&inner, &[]));
    assert_success(&install(&inner, &["--uninstall"]));
    assert!(!inner.exists());
}
