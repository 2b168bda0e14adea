//! What an installation has beside the executable: links and documents.
//!
//! Knows files, and where they belong. Must not know which programs there are.

pub(crate) mod documents;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Links or files cannot be made.
#[derive(Debug, Error)]
pub(crate) enum InstallError {
    /// There is something else where a link has to be.
    #[error("{} is there already, and is not a link to this program; remove it first", .0.display())]
    Exists(PathBuf),
    /// There is no folder to make links in.
    #[error("there is no folder {}; make it first", .0.display())]
    NoFolder(PathBuf),
    /// The executable cannot be found.
    #[error("cannot tell where this program is: {0}")]
    Executable(#[source] io::Error),
    /// Something cannot be written.
    #[error("cannot make {}: {source}", .path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes links of these names to this executable, in `folder`. Those that are there already are left
/// alone.
///
/// # Errors
///
/// [`InstallError`]; if there is no such folder, or something else is in the way, nothing is made.
pub(crate) fn links(folder: &Path, names: &[&str]) -> Result<(), InstallError> {
    let executable = std::env::current_exe().and_then(fs::canonicalize);
    let executable = executable.map_err(InstallError::Executable)?;
    if !folder.is_dir() {
        return Err(InstallError::NoFolder(folder.into()));
    }
    let beside = fs::canonicalize(folder).ok().as_deref() == executable.parent();
    let target = match executable.file_name() {
        Some(name) if beside => Path::new(name),
        _ => &executable,
    };
    let mut missing = Vec::new();
    for name in names {
        let link = folder.join(name);
        match fs::symlink_metadata(&link) {
            Ok(present) if present.is_symlink() && resolves_to(&link, &executable) => {}
            Ok(_) => return Err(InstallError::Exists(link)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(link),
            Err(source) => return Err(InstallError::Write { path: link, source }),
        }
    }
    for link in missing {
        symlink(target, &link).map_err(|source| InstallError::Write { path: link, source })?;
    }
    Ok(())
}

/// Writes files below `folder`: paths relative to it, with their contents. What is there already is
/// overwritten.
///
/// # Errors
///
/// [`InstallError::Write`].
pub(crate) fn files(
    folder: &Path,
    files: impl IntoIterator<Item = (String, String)>,
) -> Result<(), InstallError> {
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        fs::write(&path, text).map_err(|source| InstallError::Write { path, source })?;
    }
    Ok(())
}

fn resolves_to(link: &Path, file: &Path) -> bool {
    fs::canonicalize(link).is_ok_and(|target| target == file)
}

fn make_folder(folder: &Path) -> Result<(), InstallError> {
    let fail = |source| InstallError::Write { path: folder.into(), source };
    fs::create_dir_all(folder).map_err(fail)
}
