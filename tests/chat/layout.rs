//! The map of the source in `src/lib.rs` is complete, and imports go one way: in the map, and
//! between the files of each folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// Where a module is, from the root of the crate.
type ModulePath = Vec<String>;

/// What uses what.
type Edges = BTreeSet<(String, String)>;

/// All modules that have a file, and their tokens. Neither comments nor texts are tokens.
struct Modules(BTreeMap<ModulePath, TokenStream>);

impl Modules {
    fn new(files: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let files = files.into_iter().filter(|(path, _)| path.as_os_str() != "main.rs");
        let parse = |(path, text): (PathBuf, String)| {
            let tokens = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (module_path(&path), tokens)
        };
        Modules(files.map(parse).collect())
    }

    /// The modules below `src`.
    fn of_crate() -> Self {
        let text = |path: &Path| fs::read_to_string(source().join(path)).unwrap();
        Self::new(rust_files(&source()).map(|path| {
            let path = path.strip_prefix(source()).unwrap().to_owned();
            let text = text(&path);
            (path, text)
        }))
    }

    /// What the files and folders in each folder use of each other; a folder's own file is `mod`.
    /// The crate itself is the folder without a name.
    fn edges(&self) -> BTreeMap<String, Edges> {
        let mut uses = Vec::new();
        let mut only_in_tests = BTreeSet::new();
        for (module, tokens) in &self.0 {
            let mut scan = Scan { modules: self, uses: BTreeSet::new(), only_in_tests: Vec::new() };
            scan.scan(tokens.clone(), module);
            uses.push((module, scan.uses));
            only_in_tests.extend(scan.only_in_tests);
        }
        let mut edges = BTreeMap::<String, Edges>::new();
        for (user, used) in uses {
            let is_test = |test: &ModulePath| user.starts_with(test);
            if only_in_tests.iter().any(is_test) {
                continue;
            }
            for used in used.iter().filter(|used| *used != user) {
                let same = user.iter().zip(used).take_while(|(one, other)| one == other).count();
                let entry =
                    |path: &ModulePath| path.get(same).map_or("mod", |name| name).to_owned();
                let folder = edges.entry(user[..same].join("::")).or_default();
                folder.insert((entry(user), entry(used)));
            }
        }
        edges
    }

    /// The module that a path leads to, or into.
    fn holder(&self, path: &[String]) -> Option<&ModulePath> {
        let known = |length| self.0.get_key_value(&path[..length]).map(|(module, _)| module);
        (1..=path.len()).rev().find_map(known)
    }
}

/// A look through one file, for all paths that lead to modules of the crate.
struct Scan<'a> {
    modules: &'a Modules,
    uses: BTreeSet<ModulePath>,
    /// Modules with files of their own that are there in tests alone.
    only_in_tests: Vec<ModulePath>,
}

impl Scan<'_> {
    /// Looks through what stands in module `here`, which may be one inside of a file.
    fn scan(&mut self, tokens: TokenStream, here: &[String]) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        let mut colons = 0;
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                hash if is_punct(hash, '#') && is_cfg_test(after) => {
                    let (item, after) = after[1..].split_at(length_of_item(&after[1..]));
                    let name = item.iter().skip_while(|token| token.to_string() != "mod").nth(1);
                    self.only_in_tests.extend(name.map(|name| below(here, name.to_string())));
                    rest = after;
                }
                TokenTree::Ident(word) if word == "mod" => {
                    if let [TokenTree::Ident(name), TokenTree::Group(group), after @ ..] = after {
                        self.scan(group.stream(), &below(here, name.to_string()));
                        rest = after;
                    }
                }
                TokenTree::Ident(word) if colons < 2 && starts_with_colons(after) => {
                    if let Some(start) = self.start(word, here) {
                        rest = self.follow(&start, &after[2..]);
                    }
                }
                TokenTree::Group(group) => self.scan(group.stream(), here),
                _ => {}
            }
            colons = if is_punct(first, ':') { colons + 1 } else { 0 };
        }
    }

    /// Where a path starts whose first word this is, if that is in the crate.
    fn start(&self, word: &Ident, here: &[String]) -> Option<ModulePath> {
        match word.to_string().as_str() {
            "crate" => Some(Vec::new()),
            "self" => Some(here.to_vec()),
            "super" => Some(here[..here.len() - 1].to_vec()),
            name => Some(below(here, name.into())).filter(|path| self.modules.0.contains_key(path)),
        }
    }

    /// Follows a path from `start`, and each branch of it; returns what comes after it.
    fn follow<'t>(&mut self, start: &[String], tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        match tokens {
            [TokenTree::Group(group), rest @ ..] if group.delimiter() == Delimiter::Brace => {
                let branches: Vec<_> = group.stream().into_iter().collect();
                for branch in branches.split(|token| is_punct(token, ',')) {
                    self.follow(start, branch);
                }
                rest
            }
            [TokenTree::Ident(word), rest @ ..] => {
                let path = match word.to_string().as_str() {
                    "self" => start.to_vec(),
                    "super" => start[..start.len() - 1].to_vec(),
                    name => below(start, name.into()),
                };
                if starts_with_colons(rest) {
                    self.follow(&path, &rest[2..])
                } else {
                    self.found(&path, rest)
                }
            }
            rest => self.found(start, rest),
        }
    }

    fn found<'t>(&mut self, path: &[String], rest: &'t [TokenTree]) -> &'t [TokenTree] {
        self.uses.extend(self.modules.holder(path).cloned());
        rest
    }
}

fn below(module: &[String], name: String) -> ModulePath {
    module.iter().cloned().chain([name]).collect()
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn starts_with_colons(tokens: &[TokenTree]) -> bool {
    tokens.len() >= 2 && tokens[..2].iter().all(|token| is_punct(token, ':'))
}

fn is_cfg_test(after_hash: &[TokenTree]) -> bool {
    after_hash
        .first()
        .is_some_and(|attribute| attribute.to_string().replace(' ', "") == "[cfg(test)]")
}

/// Up to the end of an item: a semicolon, or the first braces.
fn length_of_item(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |last| last + 1)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All source files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The source files among them.
fn rust_files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files(folder).into_iter().filter(is_rust)
}

fn module_path(file: &Path) -> ModulePath {
    let words = file.with_extension("");
    let words = words.iter().map(|word| word.to_str().unwrap().to_owned());
    words.filter(|word| word != "lib" && word != "mod").collect()
}

/// What is left of edges without those that are in no circle, nor on the way from one to another.
fn circles(edges: &Edges) -> Edges {
    let is_used = |name: &String| edges.iter().any(|(_, used)| used == name);
    let uses = |name: &String| edges.iter().any(|(user, _)| user == name);
    let left: Edges =
        edges.iter().filter(|(user, used)| is_used(user) && uses(used)).cloned().collect();
    if left.len() == edges.len() { left } else { circles(&left) }
}

/// The rows of the map: a module, and what it uses.
fn map() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`")?.strip_suffix(" |"));
    let row = |row: &str| {
        let (module, uses) = (row.split('`').next().unwrap(), row.rsplit(" | ").next().unwrap());
        let uses = uses.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (module.trim_start_matches("mod@").to_owned(), uses)
    };
    rows.map(row).collect()
}

#[test]
fn a_module_uses_what_the_map_says_and_that_stands_below_it() {
    let (map, modules) = (map(), Modules::of_crate());
    let mut above = BTreeSet::new();
    for (module, uses) in &map {
        above.insert(module);
        let wrong: Vec<_> = uses.iter().filter(|used| above.contains(used)).collect();
        assert!(wrong.is_empty(), "{module} uses {wrong:?}, which does not stand below it");
        let edges = &modules.edges()[""];
        let found = edges.iter().filter(|(user, _)| user == module).map(|(_, used)| used.clone());
        assert_eq!(*uses, found.collect(), "the map says otherwise of {module}");
    }
    let all: BTreeSet<_> = modules.0.keys().filter_map(|path| path.first()).collect();
    assert_eq!(above, all, "the map has other modules");
}

#[test]
fn no_files_of_a_folder_use_each_other_in_a_circle() {
    for (folder, edges) in Modules::of_crate().edges() {
        let circles = circles(&edges);
        assert!(circles.is_empty(), "circles in {folder}: {circles:?}");
    }
}

/// All words of the code, however deep they stand.
fn words(tokens: TokenStream, words: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => drop(words.insert(word.to_string())),
            TokenTree::Group(group) => self::words(group.stream(), words),
            _ => {}
        }
    }
}

/// Nor anything of the loop around it.
#[test]
fn the_core_of_the_server_knows_no_sockets() {
    let core = ["server", "chat"].map(String::from);
    let modules = Modules::of_crate();
    let files: Vec<_> = modules.0.iter().filter(|(path, _)| path.starts_with(&core)).collect();
    assert!(files.len() > 10, "{:?}", modules.0.keys());
    for (path, tokens) in files {
        let mut used = BTreeSet::new();
        words(tokens.clone(), &mut used);
        let foreign = ["mio", "rustix", "TcpStream", "TcpListener", "UnixStream", "os", "thread"];
        let foreign: Vec<_> = foreign.into_iter().filter(|word| used.contains(*word)).collect();
        assert!(foreign.is_empty(), "{path:?} uses {foreign:?}");
    }
    let edges = &modules.edges()["server"];
    let upwards: Vec<_> = edges.iter().filter(|(user, _)| user == "chat").collect();
    assert!(upwards.is_empty(), "{upwards:?}");
}

/// Each invariant of the server names tests, and they are there.
#[test]
fn the_tests_that_the_servers_design_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = fs::read_to_string(source().join("server/DESIGN.md")).unwrap();
    let (_, invariants) = design.split_once("## Invariants").unwrap();
    let (invariants, _) = invariants.split_once("\n## ").unwrap();
    let code = [source(), root.join("tests")].into_iter().flat_map(|folder| rust_files(&folder));
    let code: String = code.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut number = 0;
    for invariant in invariants.lines().filter(|line| line.starts_with(|c: char| c.is_numeric())) {
        number += 1;
        assert!(invariant.starts_with(&format!("{number}. ")), "{invariant}");
        let names = invariant.split('`').skip(1).step_by(2).filter(|name| name.contains("_"));
        let names: Vec<_> = names.collect();
        assert!(!names.is_empty(), "no test: {invariant}");
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "no {name}: {invariant}");
        }
    }
    assert!(number > 10, "{number} invariants");
}

/// The circles among some files, as `folder: file -> file`.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(path, text)| (path.into(), (*text).to_owned()));
    let edges = Modules::new(files).edges().into_iter();
    let lines = edges.flat_map(|(folder, edges)| {
        let line = move |(user, used)| format!("{folder}: {user} -> {used}");
        circles(&edges).into_iter().map(line)
    });
    lines.collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let folder = ("a/mod.rs", "mod b; mod c; mod d;");
    let both = ["a: b -> c", "a: c -> b"];
    for (b, c) in [
        ("use super::c::C;", "use super::b::B;"),
        ("use super::{c::C, d};", "use crate::{e, a::{d::D, b::{self, B}}};"),
        ("fn f(c: super::c::C) {}", "fn f() -> super::b::B { super::b::B::new() }"),
        ("fn f() { g(&[super::c::f()]) }", "type T = Vec<crate::a::b::T>;"),
        ("mod inner { use super::super::c; }", "fn f() { format!(\"{}\", super::b::F); }"),
    ] {
        let files = [folder, ("a/b.rs", b), ("a/c.rs", c), ("a/d.rs", "")];
        assert_eq!(circles_of(&files), both, "{b} {c}");
    }
    // A folder's own file is one of its files, and a folder in it is like a file.
    let files = [
        ("a/mod.rs", "mod b; pub use b::inner::B;"),
        ("a/b/mod.rs", "pub mod inner;"),
        ("a/b/inner.rs", "use super::super::A;"),
    ];
    assert_eq!(circles_of(&files), ["a: b -> mod", "a: mod -> b"]);
}

#[test]
fn what_is_no_circle_is_not_taken_for_one() {
    for (b, c) in [
        ("use super::c::C;", "use std::collections::BTreeMap;"),
        ("use super::c::C;", "/// See [`super::b`].\nconst C: &str = \"super::b::B\";"),
        ("use super::c::C;", "#[cfg(test)]\nmod tests { use super::super::b::B; }"),
        ("use super::c::C;", "mod b { pub fn f() {} } fn f() { self::b::f() }"),
        ("use super::test::T;", "use super::b::B;"),
    ] {
        let folder = ("a/mod.rs", "mod b; mod c; #[cfg(test)] mod test;");
        let test = ("a/test.rs", "use super::{b::B, c::C};");
        let files = [folder, ("a/b.rs", b), ("a/c.rs", c), test];
        assert_eq!(circles_of(&files), [""; 0], "{b} {c}");
    }
}
