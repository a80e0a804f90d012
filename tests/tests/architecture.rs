//! Which crate may know which other one, and what every manifest and source file keeps to.
//!
//! The rules stand in ARCHITECTURE.md with their reasons. Whoever changes one changes it there and
//! here, in the same commit.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read the workspace has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

#[test]
fn crates_know_only_the_crates_that_their_arrows_lead_to() {
    let metadata = workspace();
    let mut violations = Vec::new();
    for package in crates(&metadata) {
        let direct = internal(&metadata, package, Scope::Product);
        let allowed = reachable(&package.name);
        for unknown in direct.difference(&allowed) {
            violations.push(format!("{} → {unknown} is a new arrow", package.name));
        }
        for missing in arrows(&package.name)
            .iter()
            .filter(|to| !direct.contains(*to))
        {
            violations.push(format!("{} → {missing} is gone", package.name));
        }
    }
    check(&violations, "Layers");
}

/// A crate's own tests may use the conformance suite and the test doubles. What needs more crates
/// belongs into this package. `tenure-core` has not even that: it would be compiled twice, as two
/// different crates, in its own tests.
#[test]
fn tests_inside_crates_add_nothing_but_the_test_doubles() {
    let metadata = workspace();
    let mut violations = Vec::new();
    for package in crates(&metadata) {
        let mut allowed = reachable(&package.name);
        if allowed.contains("tenure-core") && package.name != "tenure-testing" {
            allowed.insert("tenure-testing");
        }
        for unknown in internal(&metadata, package, Scope::Tests).difference(&allowed) {
            violations.push(format!("{} → {unknown} (dev) is a new arrow", package.name));
        }
    }
    check(&violations, "Layers");
}

#[test]
fn core_and_stores_know_no_framework_and_adapters_no_store() {
    let metadata = workspace();
    let mut violations = Vec::new();
    for package in crates(&metadata) {
        let foreign = FOREIGN.iter().filter(|(name, _)| package.name == *name);
        for &word in foreign.flat_map(|(_, words)| *words) {
            let found = package.dependencies.iter().filter(|dependency| {
                Scope::Product.covers(dependency)
                    && dependency.path.is_none()
                    && is_or_has(&dependency.name, word)
            });
            violations.extend(found.map(|found| format!("{} → {}", package.name, found.name)));
        }
    }
    check(&violations, "Layers");
}

/// Who uses one adapter compiles nothing of the other's framework, and no driver.
#[test]
fn what_is_foreign_to_a_crate_does_not_come_with_its_dependencies_either() {
    let mut violations = Vec::new();
    for (name, words) in FOREIGN {
        for found in everything_below(name) {
            let foreign = words.iter().any(|word| is_or_has(&found, word));
            if foreign && !found.starts_with("tenure") {
                violations.push(format!("{name} → … → {found}"));
            }
        }
    }
    check(&violations, "Layers");
}

/// The layers inside of `tenure-core` point one way too.
#[test]
fn rooms_of_core_know_only_the_rooms_below_them() {
    let metadata = workspace();
    let core = crates(&metadata).find(|package| package.name == "tenure-core");
    let source = core.expect("the core").manifest_path.with_file_name("src");
    let exports = exports(&read(&source.join("lib.rs").into_std_path_buf()));
    let mut violations = Vec::new();
    for path in rust_files(source.as_std_path()) {
        let inside = path.strip_prefix(&source).expect("a file of the core");
        let room = inside.with_extension("");
        let room = room.iter().next().and_then(|name| name.to_str());
        let room = room.expect("a room's name");
        if DOORS.contains(&room) {
            continue;
        }
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            violations.push(format!("{room} has no place yet: add it to `ROOMS`"));
            continue;
        };
        for name in names_of_the_crate(&read(&path)) {
            let to = exports.get(&name).unwrap_or(&name);
            if to != room && !below.contains(&to.as_str()) {
                violations.push(format!("{}: {room} → {to} ({name})", inside.display()));
            }
        }
    }
    check(&violations, "Layers");
}

#[test]
fn the_reader_of_sources_finds_what_they_name() {
    let source = "\
use crate::{
    Record, model::{Edits, Name}, changes::SessionError as Refused,
};
/// See [`Session`](crate::Session).
fn f(at: crate::Timestamp) -> crate::store::Load {}
#[cfg(test)]
mod tests {
    use crate::KeyRing;
}
";
    let names = names_of_the_crate(source);
    assert_eq!(
        names,
        ["Record", "Timestamp", "changes", "model", "store"]
            .map(str::to_owned)
            .into()
    );
    let exports =
        exports("pub use self::{\n    clock::{Clock, SystemClock},\n    model::Key,\n};\n");
    assert_eq!(exports["SystemClock"], "clock");
    assert_eq!(exports["Key"], "model");
}

#[test]
fn every_package_has_its_place() {
    let metadata = workspace();
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let listed = ARROWS.iter().any(|(from, _)| *from == name);
        match folder(&metadata, package).as_str() {
            "crates" if listed => {}
            "crates" => violations.push(format!("{name} has no arrows yet: add it to `ARROWS`")),
            "benches" | "examples" | "tests" if package.publish == Some(Vec::new()) => {}
            "benches" | "examples" | "tests" => {
                violations.push(format!("{name} may use every crate, so `publish = false`"));
            }
            other => violations.push(format!("{name} lies in {other}/")),
        }
    }
    check(&violations, "Layout");
}

#[test]
fn every_package_keeps_the_workspaces_lints() {
    let violations = manifests(&workspace())
        .filter(|(_, manifest)| !manifest.contains("\n[lints]\nworkspace = true\n"))
        .map(|(path, _)| format!("{}: no `[lints] workspace = true`", path.display()))
        .collect::<Vec<_>>();
    check(&violations, "Conventions");
}

#[test]
fn every_dependency_comes_from_the_workspaces_table() {
    let violations = manifests(&workspace())
        .flat_map(|(path, manifest)| {
            let entries = dependency_entries(&manifest).into_iter();
            entries
                .filter(|entry| !entry.contains("workspace = true"))
                .map(|entry| format!("{}: {entry}", path.display()))
                .collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    check(&violations, "Conventions");
}

#[test]
fn no_source_file_is_longer_than_one_sitting() {
    let metadata = workspace();
    let mut violations = Vec::new();
    for package in crates(&metadata) {
        let source = package.manifest_path.with_file_name("src");
        for path in rust_files(source.as_std_path()) {
            let text = read(&path);
            // By the order that files keep, the tests are the end of the file.
            let lines = text
                .lines()
                .take_while(|line| *line != "mod tests {")
                .count();
            if lines > MAX_LINES {
                violations.push(format!(
                    "{}: {lines} lines, at most {MAX_LINES}",
                    path.display()
                ));
            }
        }
    }
    check(&violations, "Conventions");
}

#[test]
fn the_manifest_reader_finds_versions_wherever_they_hide() {
    let manifest = r#"
[package]
version = "1"

[dependencies]
# A comment = "with an equals sign".
fine.workspace = true
also-fine = { workspace = true, features = [
    "one=two",
] }
literal = "1"

[target.'cfg(unix)'.dev-dependencies]
inline = { version = "2" }

[dependencies.table]
version = "3"

[features]
default = []
"#;
    let entries = dependency_entries(manifest);
    assert_eq!(
        entries,
        [
            "fine.workspace = true",
            "also-fine = { workspace = true, features = [",
            "literal = \"1\"",
            "inline = { version = \"2\" }",
            "[dependencies.table]",
        ]
    );
}

/// Which dependencies of a package are meant.
#[derive(Clone, Copy)]
enum Scope {
    /// What its users get: normal and build dependencies.
    Product,
    Tests,
}

impl Scope {
    fn covers(self, dependency: &Dependency) -> bool {
        let tests = dependency.kind == DependencyKind::Development;
        match self {
            Self::Product => !tests,
            Self::Tests => tests,
        }
    }
}

fn check(violations: &[String], section: &str) {
    assert!(
        violations.is_empty(),
        "against ARCHITECTURE.md, \"{section}\":\n  {}\n",
        violations.join("\n  ")
    );
}

fn workspace() -> Metadata {
    let mut command = MetadataCommand::new();
    command.no_deps().exec().expect("the workspace's metadata")
}

/// The packages under `crates/`: those with arrows. What lies elsewhere may use everything.
fn crates(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    let packages = metadata.workspace_packages().into_iter();
    packages.filter(|package| folder(metadata, package) == "crates")
}

fn folder(metadata: &Metadata, package: &Package) -> String {
    let path = package.manifest_path.strip_prefix(&metadata.workspace_root);
    let path = path.expect("members lie inside the workspace");
    path.iter().next().unwrap_or_default().to_owned()
}

/// The workspace's packages among a package's direct dependencies.
fn internal<'a>(metadata: &'a Metadata, package: &Package, scope: Scope) -> BTreeSet<&'a str> {
    let packages = metadata.workspace_packages().into_iter();
    packages
        .map(|other| other.name.as_str())
        .filter(|other| {
            let mut dependencies = package.dependencies.iter();
            dependencies.any(|dependency| scope.covers(dependency) && dependency.name == *other)
        })
        .collect()
}

fn arrows(from: &str) -> &'static [&'static str] {
    let row = ARROWS.iter().find(|(name, _)| *name == from);
    row.map_or(&[], |(_, to)| to)
}

/// What the arrows lead to, directly or through other crates.
fn reachable(from: &str) -> BTreeSet<&'static str> {
    let beyond = arrows(from).iter().flat_map(|to| reachable(to));
    beyond.chain(arrows(from).iter().copied()).collect()
}

/// Whether `word` is one of the words that make up a package's name.
fn is_or_has(name: &str, word: &str) -> bool {
    name.split(['-', '_']).any(|part| part == word)
}

/// The names of all packages that are compiled for a package's users, with all of its features.
fn everything_below(package: &str) -> BTreeSet<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--all-features", "--prefix", "none"])
        .args(["--edges", "normal,build", "--package", package])
        .output()
        .expect("the tree of dependencies");
    let text = String::from_utf8(tree.stdout).expect("text");
    let names = text.lines().filter_map(|line| line.split(' ').next());
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    let trouble = String::from_utf8_lossy(&tree.stderr);
    assert!(names.contains(package), "{package}: {trouble}");
    names
}

/// The room of each name that a crate's root re-exports from one.
fn exports(root: &str) -> BTreeMap<String, String> {
    let start = root.find("pub use self::{").expect("re-exports");
    let body = &root[start + "pub use self::{".len()..];
    let mut exports = BTreeMap::new();
    for item in items(body) {
        let (room, names) = item.split_once("::").expect("a path");
        for name in names.split(|char: char| !char.is_alphanumeric() && char != '_') {
            exports.insert(name.to_owned(), room.trim().to_owned());
        }
    }
    exports
}

/// The first segments of all paths that begin at the crate's root, besides tests and documentation.
fn names_of_the_crate(source: &str) -> BTreeSet<String> {
    let lines = source.lines().take_while(|line| *line != "mod tests {");
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let path = &code[at + found.len()..];
        let paths = match path.strip_prefix('{') {
            Some(body) => items(body),
            None => vec![path],
        };
        names.extend(paths.into_iter().map(|path| {
            let end = path.find(|char: char| !char.is_alphanumeric() && char != '_');
            path[..end.unwrap_or(path.len())].to_owned()
        }));
    }
    names
}

/// The items of a list in braces, whose opening one is left out.
fn items(body: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, char) in body.char_indices() {
        match char {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                items.push(body[start..at].trim());
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

fn manifests(metadata: &Metadata) -> impl Iterator<Item = (PathBuf, String)> {
    let packages = metadata.workspace_packages().into_iter();
    packages.map(|package| {
        let path = package.manifest_path.as_std_path();
        (path.to_owned(), read(path))
    })
}

/// The first line of each dependency, from all tables of dependencies.
fn dependency_entries(manifest: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let mut in_dependencies = false;
    let mut depth = 0_usize;
    for line in manifest.lines().map(str::trim) {
        if depth == 0 && line.starts_with('[') {
            let table = line.trim_matches(['[', ']']);
            in_dependencies = table.ends_with("dependencies");
            // One dependency as a table of its own; the others are lines.
            if table.contains("dependencies.") {
                entries.push(line);
            }
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        if depth == 0 && in_dependencies && line.contains('=') {
            entries.push(line);
        }
        depth += line.matches(['[', '{']).count();
        depth = depth.saturating_sub(line.matches([']', '}']).count());
    }
    entries
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .flat_map(|entry| {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                rust_files(&path)
            } else {
                Vec::from_iter(
                    path.extension()
                        .is_some_and(|it| it == "rs")
                        .then_some(path.clone()),
                )
            }
        })
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each crate under `crates/`, and the crates that it builds on. A row may be there before its crate.
const ARROWS: &[(&str, &[&str])] = &[
    ("tenure-actix", &["tenure-core"]),
    ("tenure-axum", &["tenure-tower"]),
    ("tenure-core", &[]),
    ("tenure-near-cache", &["tenure-core"]),
    ("tenure-redis", &["tenure-core"]),
    ("tenure-sqlite", &["tenure-core"]),
    // All stores behind one type, each as a feature.
    (
        "tenure-stores",
        &["tenure-core", "tenure-redis", "tenure-sqlite"],
    ),
    ("tenure-testing", &["tenure-core"]),
    ("tenure-tower", &["tenure-core"]),
    ("xtask", &[]),
];

/// Each room of `tenure-core`, a folder or a file of its own, and those below it.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("entropy", &[]),
    ("model", &["clock", "entropy"]),
    ("cookie", &["clock", "entropy", "model"]),
    ("store", &["clock", "model"]),
    ("observe", &["clock", "entropy", "model"]),
    ("changes", &["entropy", "model", "store", "observe"]),
    (
        "manager",
        &[
            "clock", "entropy", "model", "cookie", "store", "observe", "changes",
        ],
    ),
    (
        "session",
        &[
            "clock", "entropy", "model", "cookie", "store", "observe", "changes", "manager",
        ],
    ),
];

/// The crate's root, and what shows its inside to benchmarks.
const DOORS: &[&str] = &["lib", "internals"];

/// Names of dependencies, whole or in part (`http` is also `http-body`), that a crate must do without.
///
/// Two adapters in one program may bring two versions of `http`, so core knows none.
const FOREIGN: &[(&str, &[&str])] = &[
    ("tenure-actix", &["axum", "redis", "tower"]),
    ("tenure-axum", &["actix", "redis"]),
    (
        "tenure-core",
        &["actix", "axum", "http", "hyper", "redis", "tower"],
    ),
    (
        "tenure-near-cache",
        &["actix", "axum", "http", "hyper", "redis", "tower"],
    ),
    ("tenure-redis", &["actix", "axum", "http", "hyper", "tower"]),
    (
        "tenure-sqlite",
        &["actix", "axum", "http", "hyper", "redis", "tower"],
    ),
    (
        "tenure-stores",
        &["actix", "axum", "http", "hyper", "tower"],
    ),
    ("tenure-tower", &["actix", "axum", "redis"]),
];

/// What a reader can hold in mind at once, without the tests. Most files are a third of it.
const MAX_LINES: usize = 450;
