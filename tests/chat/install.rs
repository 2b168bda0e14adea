//! `install.sh`, into scratch prefixes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::command_line::scratch;
use crate::harness::{Finished, Program};

/// Runs `install.sh` with an executable that is built already.
fn install(prefix: &Path, flags: &[&str]) -> Finished {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh"));
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
fn packagers_stage_below_destdir() {
    let stage = scratch("stage");
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh"));
    command.args(["--binary", env!("CARGO_BIN_EXE_chatbox")]);
    command.env("DESTDIR", &stage).env("PREFIX", "/usr");
    assert_success(&Program::start(command).finish());
    assert_installed(&stage.join("usr"));
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
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh"));
        command.arg("--prefix").arg(&prefix).args(["--binary", binary]).env_remove("DESTDIR");
        let finished = Program::start(command).finish();
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr);
        assert!(stderr.contains(&format!("{binary} is no chatbox")), "{finished:?}");
    }
    assert_eq!(contents(&prefix), BTreeSet::new());
}
