//! Which room may import which: the table below is the architecture document. An edge that it does not list is a
//! decision to be made here, not an accident to be found later.
//!
//! Edges are read off the source text: `crate::room`, in a `use` or in a path, and ways around it through `super`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by them

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and what it may import of ours.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("allocator", &[]),
    ("table", &["allocator"]),
    ("memfile", &[]),
    ("policy", &[]),
    ("config", &["policy"]),
    ("telemetry", &["clock", "config", "policy"]),
    ("key", &["config", "policy"]),
    ("route", &["config", "policy"]),
    ("validity", &["clock", "key", "table"]),
    (
        "store",
        &["allocator", "clock", "config", "key", "memfile", "policy", "table", "validity", "telemetry"],
    ),
    ("upstream", &["clock", "config", "telemetry"]),
    ("purge", &["clock", "config", "key", "route", "validity", "store", "telemetry"]),
    (
        "request",
        &["clock", "policy", "config", "telemetry", "key", "route", "validity", "store", "upstream", "purge"],
    ),
    (
        "admin",
        &["clock", "policy", "config", "telemetry", "key", "route", "validity", "store", "upstream", "purge"],
    ),
    // The key room owns the normal form of a `Host` field, so that requests and purges cannot differ about it.
    ("server", &["clock", "config", "memfile", "telemetry", "key"]),
    (
        "app",
        &[
            "clock",
            "policy",
            "config",
            "telemetry",
            "key",
            "route",
            "validity",
            "store",
            "upstream",
            "purge",
            "request",
            "admin",
            "server",
        ],
    ),
    // The demo counts into the telemetry of the Larder that it starts.
    ("cli", &["app", "config", "route", "telemetry"]),
    ("main", &["cli"]),
];

/// A source file, its room, and what it holds besides comments and strings.
struct Source {
    path: PathBuf,
    room: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let sources = files.into_iter().map(|path| {
        let inner = path.strip_prefix(&root).unwrap();
        let room = inner.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let code = without_comments_and_strings(&fs::read_to_string(&path).unwrap());
        Source { room, code, path: inner.to_owned() }
    });
    sources.collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Good enough for code that rustfmt has seen: strings and comments become spaces.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            string_end(rest)
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest[2..].find('\'').map_or(rest.len(), |end| end + 3)
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The first names after each `root::`: one, or those of a group in braces.
fn names_after(code: &str, root: &str) -> BTreeSet<String> {
    let is_name = |char: char| char.is_alphanumeric() || char == '_';
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        // `$crate::` is meant, `mycrate::` and `super::super::` within longer ways are not.
        if code[..at].ends_with(|char| is_name(char) || char == ':') {
            continue;
        }
        let after = code[at + root.len()..].trim_start();
        match after.strip_prefix('{') {
            Some(group) => names.extend(group_members(group)),
            None => names.extend(after.split(|char| !is_name(char)).next().map(str::to_owned)),
        }
    }
    names
}

/// The first name of each member of a group that has just been opened.
fn group_members(group: &str) -> Vec<String> {
    let (mut depth, mut members) = (0, vec![String::new()]);
    for char in group.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            char if depth == 0 => members.last_mut().unwrap().push(char),
            _ => {}
        }
    }
    members.iter().filter_map(|member| member.split("::").next()).map(|name| name.trim().to_owned()).collect()
}

/// The rooms that a source imports, its own left out.
fn imports(source: &Source, rooms: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut found = names_after(&source.code, "crate::");
    found.extend(names_after(&source.code, "larder::"));
    // From within a room, `super` often enough leads to the crate's root: only rooms' names count then.
    let depth = source.path.iter().count();
    let above = "super::".repeat(depth);
    for levels in [above.clone(), above + "super::"] {
        found.extend(names_after(&source.code, &levels));
    }
    found.retain(|name| rooms.contains(name.as_str()) && *name != source.room);
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let rooms: BTreeSet<&str> = table.keys().copied().collect();
    let mut faults = Vec::new();
    for source in sources() {
        if source.room == "lib" {
            continue;
        }
        let Some(allowed) = table.get(source.room.as_str()) else {
            faults.push(format!("{}: the room `{}` is not in the table", source.path.display(), source.room));
            continue;
        };
        for import in imports(&source, &rooms) {
            if !allowed.contains(&import.as_str()) {
                faults.push(format!("{}: `{}` imports `{import}`", source.path.display(), source.room));
            }
        }
    }
    assert!(faults.is_empty(), "edges that MAY_IMPORT does not list:\n{}", faults.join("\n"));
}

#[test]
fn the_table_is_acyclic_and_in_order() {
    let mut below = BTreeSet::new();
    for (room, imports) in MAY_IMPORT {
        for import in *imports {
            assert!(below.contains(import), "{room} imports {import}, which does not stand above it");
        }
        below.insert(room);
    }
}

#[test]
fn the_reader_of_imports_is_not_fooled() {
    let code = r#"
        use crate::one::{self, deep::crate_like};
        use crate::{two, three::Four, five::{six, seven}};
        // use crate::comment::x;
        /// See [`crate::doc`].
        fn f() -> crate::eight::Type { "crate::string \" crate::still" ; super::super::nine::f() }
        macro_rules! m { () => { $crate::ten::f() } }
    "#;
    let rooms = [
        "one", "two", "three", "five", "six", "seven", "comment", "doc", "eight", "string", "still", "nine",
        "ten",
    ];
    let source = Source {
        path: PathBuf::from("room/file.rs"),
        room: "room".to_owned(),
        code: without_comments_and_strings(code),
    };
    let found = imports(&source, &rooms.into_iter().collect());
    let expected = ["eight", "five", "nine", "one", "ten", "three", "two"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// Every room owns its reasons; what stands in a header, a log line or a metric must mean one thing only.
#[test]
fn every_named_reason_is_given_by_one_room_only() {
    use larder::{policy, purge, request, server, store, upstream};
    let rooms: [(&str, Vec<&str>); 7] = [
        ("storability", policy::storability::NotStored::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("reuse", policy::reuse::Why::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("store", store::NOT_SEALED.to_vec()),
        ("upstream", upstream::Failure::ALL.map(upstream::Failure::as_str).to_vec()),
        ("server", server::guard::REASONS.to_vec()),
        ("purge", purge::REASONS.to_vec()),
        ("request", request::reasons().to_vec()),
    ];
    let mut given_by = BTreeMap::new();
    for (room, reasons) in rooms {
        assert!(!reasons.is_empty(), "{room} gives no reasons");
        for reason in reasons {
            let words = reason.split('-');
            let kebab = |mut word: &str| {
                word = word.trim_matches(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit());
                word.is_empty()
            };
            assert!(
                words.clone().all(kebab) && !reason.contains("--"),
                "{room}: {reason:?} is not kebab-case"
            );
            if let Some(other) = given_by.insert(reason, room) {
                panic!("{reason:?} is given by {other} and by {room}");
            }
        }
    }
}
