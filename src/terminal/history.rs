//! The file with the lines that were typed at a prompt.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Editor, Helper};

use super::output::notice;

/// The history of an editor, in a file of the user's.
#[derive(Debug)]
pub(super) struct HistoryFile {
    /// `None` if there is no place for one, or it cannot be used.
    path: Option<PathBuf>,
}

impl HistoryFile {
    /// Reads the history, as far as it can be used, and says so if it cannot.
    pub(super) fn load<H: Helper>(editor: &mut Editor<H, FileHistory>) -> Self {
        let mut history = HistoryFile { path: path().filter(|path| !is_device(path)) };
        history.attempt("read", |path| {
            // There is none the first time.
            if !path.exists() {
                return Ok(());
            }
            drop_what_is_no_text(path)?;
            editor.load_history(path)
        });
        history
    }

    /// Adds a line, also to the file.
    pub(super) fn add<H: Helper>(&mut self, editor: &mut Editor<H, FileHistory>, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let _ = editor.add_history_entry(line);
        self.attempt("write", |path| {
            let folder = path.parent().unwrap_or(path);
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // The editor reads it again if somebody else has written it.
            editor.append_history(path).or_else(|_| {
                drop_what_is_no_text(path)?;
                editor.append_history(path)
            })
        });
    }

    /// Does something with the file. If that fails, says so, once, and does without.
    fn attempt(&mut self, what: &str, action: impl FnOnce(&Path) -> Result<(), ReadlineError>) {
        let Some(path) = &self.path else { return };
        if let Err(error) = action(path) {
            let path = path.display();
            notice(&format_args!("cannot {what} the history in {path}, and do without: {error}"));
            self.path = None;
        }
    }
}

/// Removes the lines of a history that are not UTF-8, and says so: the editor can read no others, and
/// would neither read nor write the file because of one.
fn drop_what_is_no_text(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    if std::str::from_utf8(&bytes).is_ok() {
        return Ok(());
    }
    let lines = || bytes.split_inclusive(|byte| *byte == b'\n');
    let is_text = |line: &&[u8]| std::str::from_utf8(line).is_ok();
    let dropped = lines().filter(|line| !is_text(line)).count();
    fs::write(path, lines().filter(is_text).collect::<Vec<_>>().concat())?;
    let lines = if dropped == 1 { "1 line" } else { &format!("{dropped} lines") };
    let path = path.display();
    notice(&format_args!("{lines} of the history in {path} dropped for not being UTF-8"));
    Ok(())
}

/// Whoever puts `/dev/null` there wants no history, and to hear nothing of it.
fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| !file.is_file() && !file.is_dir())
}

/// Where the XDG base directory specification wants a history.
fn path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join(env!("CARGO_PKG_NAME")).join("history"))
}
