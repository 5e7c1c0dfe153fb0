//! The house keeps its own rules: every room says what it is, pure rooms do no I/O, files stay short.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The longest a source file may be.
const LONGEST: usize = 500;

/// What a pure file may not name, and why.
const IMPURE: [(&str, &str); 12] = [
    ("tokio::", "the async runtime"),
    ("kube::", "the Kubernetes client"),
    ("gix::", "the Git library"),
    ("std::fs", "the file system"),
    ("std::process", "processes"),
    ("std::net::Tcp", "the network"),
    ("std::env", "the environment"),
    ("std::thread", "threads"),
    ("Timestamp::now", "the clock"),
    ("Zoned::now", "the clock"),
    ("SystemTime", "the clock"),
    ("Instant::now", "the clock"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join(folder), &mut found);
    found.sort();
    let name = |p: &PathBuf| p.strip_prefix(root).expect("inside").display().to_string();
    found.iter().map(|p| (name(p), fs::read_to_string(p).expect("readable"))).collect()
}

/// The code without comments and without the test module at its end, which may do what it likes; a test module in a file of its own ends nothing.
/// What grouped imports name is written out, so that `use std::{fmt, fs}` names `std::fs`.
fn code(text: &str) -> String {
    let module = |rest: &str| rest.strip_prefix("mod ").and_then(|r| r.lines().next()).is_some_and(|line| line.ends_with('{'));
    let tests = text.match_indices("#[cfg(test)]\n").find(|(at, mark)| module(&text[at + mark.len()..])).map_or(text.len(), |(at, _)| at);
    let code = text[..tests].lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let imports: Vec<String> = code.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).flat_map(|(tree, _)| leaves("", tree)).collect();
    format!("{code}\n{}", imports.join("\n"))
}

/// The paths that a tree of imports names.
fn leaves(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((stem, group)) = tree.split_once('{').and_then(|(stem, rest)| Some((stem, rest.strip_suffix('}')?))) else {
        return vec![format!("{prefix}{tree}::")];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match parts.last_mut() {
            Some(_) if c == ',' && depth == 0 => parts.push(String::new()),
            Some(part) => part.push(c),
            None => {}
        }
    }
    parts.iter().filter(|p| !p.trim().is_empty()).flat_map(|part| leaves(&format!("{prefix}{stem}"), part)).collect()
}

#[test]
fn an_import_does_not_hide_in_a_group_or_behind_the_tests() {
    let text = "#[cfg(test)]\nmod tests;\n\nuse std::{\n    collections::{BTreeMap, HashMap},\n    fs,\n};\n// tokio::spawn\nfn a() {}\n\n#[cfg(test)]\nmod laws {\n    use gix::x;\n}\n";
    let code = code(text);
    assert!(code.contains("std::fs::") && code.contains("std::collections::HashMap::") && code.contains("fn a()"), "{code}");
    assert!(!code.contains("gix::") && !code.contains("tokio::"), "{code}");
}

/// Files that are compiled for tests only: `#[cfg(test)] mod x;` names them.
fn for_tests(files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let folder = path.strip_suffix("/lib.rs").or(path.strip_suffix(".rs")).unwrap_or(path);
        for part in text.split("#[cfg(test)]").skip(1) {
            let line = part.trim_start().lines().next().unwrap_or_default();
            if let Some(name) = line.rsplit("mod ").next().and_then(|l| l.strip_suffix(';')) {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    found
}

fn first_lines(text: &str) -> String {
    text.lines().take_while(|l| l.starts_with("//!")).collect::<Vec<_>>().join("\n")
}

fn is_pure(text: &str) -> bool {
    let doc = first_lines(text);
    !doc.contains("I/O:") && doc.lines().any(|l| l.trim_end().trim_end_matches('.').ends_with("pure"))
}

#[test]
fn every_file_says_what_it_is_and_whether_it_does_io() {
    let silent: Vec<_> = all("src").into_iter().filter(|(_, text)| !is_pure(text) && !first_lines(text).contains("I/O:")).map(|(p, _)| p).collect();
    assert!(silent.is_empty(), "the first doc lines must say `pure` or `I/O: what`: {silent:#?}");
}

#[test]
fn pure_rooms_touch_nothing_outside_themselves() {
    let mut broken = Vec::new();
    let mut looked_at = 0;
    let files = all("src");
    let tests = for_tests(&files);
    let compiled_always = |path: &str| !tests.iter().any(|t| path.strip_prefix(t.as_str()).is_some_and(|rest| rest.starts_with(['.', '/'])));
    for (path, text) in files.into_iter().filter(|(path, text)| is_pure(text) && compiled_always(path)) {
        looked_at += 1;
        let code = code(&text);
        broken.extend(IMPURE.iter().filter(|(word, _)| code.contains(word)).map(|(word, what)| format!("{path} names {word} ({what})")));
    }
    assert!(looked_at > 10, "only {looked_at} pure files were found: the rule is not looking");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<_> = all("src").into_iter().chain(all("tests")).map(|(p, t)| (p, t.lines().count())).filter(|(_, n)| *n > LONGEST).collect();
    assert!(long.is_empty(), "over {LONGEST} lines, split them: {long:#?}");
}

#[test]
fn nothing_is_left_half_done() {
    let words = ["todo!(", "unimplemented!(", "FIXME", "dbg!(", "allow(dead_code)"];
    let left: Vec<_> =
        all("src").into_iter().flat_map(|(p, t)| words.iter().filter(|w| t.contains(**w)).map(|w| format!("{p}: {w}")).collect::<Vec<_>>()).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn only_one_room_knows_each_library() {
    for (word, room) in [
        ("gix::", "src/git"),
        ("kube::", "src/cluster"),
        ("axum::", "src/http"),
        ("granit_parser", "src/object/yaml"),
        ("landlock::", "src/render/sandbox"),
        ("object_store::", "src/velero/store"),
    ] {
        let strangers: Vec<_> = all("src").into_iter().filter(|(p, t)| !p.starts_with(room) && code(t).contains(word)).map(|(p, _)| p).collect();
        assert!(strangers.is_empty(), "{word} belongs into {room} alone: {strangers:?}");
    }
}

#[test]
fn settings_of_backups_that_messages_name_exist() {
    let schema = schemars::schema_for!(snapgap::config::file::File).to_value();
    let known = schema.pointer("/$defs/VeleroEntry/properties").and_then(serde_json::Value::as_object).expect("the section");
    let mut named = std::collections::BTreeSet::new();
    for (path, text) in all("src") {
        for rest in code(&text).split("`velero.").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            assert!(known.contains_key(&name), "{path} names the setting velero.{name}, and there is none");
            named.insert(name);
        }
    }
    // Every cap on archives has a setting, and a message that names it when it is hit.
    let caps = ["max_entries", "max_object", "max_total", "timeout", "max_cache"];
    let silent: Vec<_> = caps.into_iter().filter(|cap| !named.contains(*cap)).collect();
    assert!(silent.is_empty(), "no message names {silent:?}, though they can be reached");
}

/// What a reason stands behind; of some the word is not the first argument.
const REASONS: [&str; 10] = [
    "Failure::new(",
    "Judgement::new(",
    "Remark::new(",
    "Reason::absent(",
    "Reason::skipped(",
    "Reason::word(",
    "staleness(",
    ".lose(",
    ".tell(",
    "reason: ",
];

/// The same in the room of Velero, which has short names for it.
const OF_VELERO: [&str; 6] = ["remark(", "out(", "unknown(", "row(", "said(", "=> (\""];

/// Whether a text is one stable word.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The stable words of a file: those behind [`REASONS`], and those that errors tell as their kind.
fn reasons(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let more: &[&str] = if path.starts_with("src/velero") { &OF_VELERO } else { &[] };
    for mark in REASONS.iter().chain(more) {
        for (at, _) in text.match_indices(mark) {
            let before = text[..at].chars().next_back();
            if mark.starts_with(|c: char| c.is_ascii_lowercase()) && before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"') {
                continue;
            }
            // The first text of the same call, which is the word if it is one.
            let call = text[at + mark.trim_end_matches('"').len()..].split([';', '}']).next().unwrap_or_default();
            found.extend(call.split('"').nth(1).filter(|word| is_word(word)).map(str::to_owned));
        }
    }
    for kind in text.split("fn kind(&self) -> &'static str {").skip(1) {
        let body = kind.split("\n    }").next().unwrap_or_default();
        found.extend(body.split('"').skip(1).step_by(2).filter(|word| is_word(word)).map(str::to_owned));
    }
    found
}

#[test]
fn every_stable_reason_stands_in_the_docs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages = fs::read_dir(root).expect("readable folder").map(|e| e.expect("entry").path()).filter(|p| p.extension().is_some_and(|e| e == "md"));
    let docs: String = pages.map(|p| fs::read_to_string(p).expect("readable")).collect();
    let files = all("src");
    let tests = for_tests(&files);
    let own = |path: &str| !tests.iter().any(|t| path.strip_prefix(t.as_str()).is_some_and(|rest| rest.starts_with(['.', '/'])));
    // Worlds that are shown, and the names of stages and of causes of drift, are no reasons.
    let passed = ["src/http/sample", "src/report/sample", "src/demo", "src/daemon/board.rs", "src/drift/laws.rs", "src/verdict/world.rs"];
    let (mut missing, mut count) = (Vec::new(), 0);
    for (path, text) in files.iter().filter(|(path, _)| own(path) && !passed.iter().any(|p| path.starts_with(p))) {
        for word in reasons(path, &code(text)) {
            count += 1;
            if !docs.contains(&format!("`{word}`")) {
                missing.push(format!("{word} ({path})"));
            }
        }
    }
    assert!(count > 250, "only {count} were found: the rule is not looking");
    assert!(missing.is_empty(), "these reasons stand in no page of docs/: {missing:#?}");
}
