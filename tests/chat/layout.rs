//! The map of the source in `src/lib.rs` is complete, and imports go one way in it.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of the map.
fn map() -> Vec<String> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.map(|row| row.split('`').next().unwrap().trim_start_matches("mod@").to_owned()).collect()
}

/// All source files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_module_uses_only_what_stands_below_it_in_the_map() {
    let map = map();
    let place = |module: &str| map.iter().position(|one| one == module);
    for file in files(&source()) {
        let inside = file.strip_prefix(source()).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" || module == "main" {
            continue;
        }
        let own = place(module).unwrap_or_else(|| panic!("{module} is not in the map"));
        let text = fs::read_to_string(&file).unwrap();
        for used in text.split("crate::").skip(1) {
            let end = used.find(|char: char| !char.is_alphanumeric() && char != '_');
            let used = &used[..end.unwrap_or(used.len())];
            let other = place(used).unwrap_or_else(|| panic!("{used} is not in the map"));
            assert!(other >= own, "{} uses {used}, which stands above {module}", inside.display());
        }
    }
}
