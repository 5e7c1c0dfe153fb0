//! A readable difference of two objects, as lines of YAML. pure

use std::collections::HashMap;

use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use super::text::{HIDDEN, clean};
use crate::object::{FieldPath, redact::MARK, yaml as reader};

/// Texts longer than this are not compared line by line: the result would help nobody and the time grows with the square.
const LONGEST: usize = 512 * 1024;

/// What stands in for a hidden value on the right that is not the one on the left.
const HIDDEN_OTHER: &str = "(value hidden, differs)";

/// The object as YAML with sorted keys, hidden values without their hashes.
pub fn canonical(value: &Value) -> String {
    yaml(&mask(value, None))
}

/// A unified difference from `left` to `right`, with the two names in its head; empty if they are equal.
pub fn unified(left: (&str, &Value), right: (&str, &Value)) -> String {
    let (a, b) = (yaml(&mask(left.1, None)), yaml(&mask(right.1, Some(left.1))));
    if a == b {
        return String::new();
    }
    let (left, right) = (clean(left.0), clean(right.0));
    if a.len().max(b.len()) > LONGEST {
        return format!("--- {left}\n+++ {right}\n(too long to be shown line by line: {} and {} bytes)\n", a.len(), b.len());
    }
    TextDiff::from_lines(&a, &b).unified_diff().context_radius(3).header(&left, &right).to_string()
}

/// Where notes begin at the margin.
const MARGIN: usize = 60;

/// What is said of a leaf at the margin, by where it is.
pub type Notes<'a> = [(&'a FieldPath, String)];

/// Both sides in full, line by line, with what is said of the leaves that differ at the margin; `left_notes` are for lines that only the left
/// side has, `right_notes` for those of the right side.
pub fn annotated(left: (&str, &Value), right: (&str, &Value), left_notes: &Notes<'_>, right_notes: &Notes<'_>) -> String {
    let (a, b) = (yaml(&mask(left.1, None)), yaml(&mask(right.1, Some(left.1))));
    if a == b || a.len().max(b.len()) > LONGEST {
        return unified(left, right);
    }
    let (old, new) = (margin(&a, left_notes), margin(&b, right_notes));
    let mut out = format!("--- {}\n+++ {}\n", clean(left.0), clean(right.0));
    for change in TextDiff::from_lines(&a, &b).iter_all_changes() {
        let (sign, note) = match change.tag() {
            ChangeTag::Equal => (' ', None),
            ChangeTag::Delete => ('-', change.old_index().and_then(|n| old.get(&n))),
            ChangeTag::Insert => ('+', change.new_index().and_then(|n| new.get(&n))),
        };
        let line = change.value().trim_end_matches('\n');
        match note {
            Some(note) => out.push_str(&format!("{sign}{line:<MARGIN$}  # {}\n", clean(note))),
            None => out.push_str(&format!("{sign}{line}\n")),
        }
    }
    out
}

/// The notes by the line, from 0, on which their leaf begins.
fn margin<'n>(text: &str, notes: &'n Notes<'_>) -> HashMap<usize, &'n str> {
    let parsed = reader::parse(text.as_bytes(), &reader::Limits::within(text.len() as u64)).ok();
    let Some(document) = parsed.and_then(|p| p.documents.into_iter().next()) else { return HashMap::new() };
    let line = |path: &FieldPath| document.lines.line_of(path, &document.value).and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
    notes.iter().filter_map(|(path, note)| Some((line(path)?, note.as_str()))).collect()
}

/// Replaces hashes of hidden values; `other` is the same place on the left side.
fn mask(value: &Value, other: Option<&Value>) -> Value {
    match value {
        Value::String(text) if text.starts_with(MARK) => match other.and_then(Value::as_str) {
            Some(left) if left != text && left.starts_with(MARK) => HIDDEN_OTHER.into(),
            _ => HIDDEN.into(),
        },
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| mask(v, other.and_then(|o| o.get(i)))).collect(),
        Value::Object(members) => {
            let sorted: std::collections::BTreeMap<&String, &Value> = members.iter().collect();
            Value::Object(sorted.into_iter().map(|(k, v)| (k.clone(), mask(v, other.and_then(|o| o.get(k))))).collect::<Map<_, _>>())
        }
        plain => plain.clone(),
    }
}

fn yaml(value: &Value) -> String {
    let text = reader::write(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(&clean(line));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_reads_as_yaml() {
        let git = json!({"spec": {"replicas": 2, "template": {"args": ["a", "b"]}}, "kind": "Deployment", "data": {"t": "one\ntwo\n"}});
        let live = json!({"kind": "Deployment", "spec": {"template": {"args": ["a", "c"]}, "replicas": 2}, "data": {"t": "one\n2\n"}});
        let text = unified(("desired (Git)", &git), ("live", &live));
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with(['-', '+'])).collect();
        assert_eq!(lines, ["--- desired (Git)", "+++ live", "-    two", "+    2", "-    - b", "+    - c"]);
        assert_eq!(unified(("a", &git), ("b", &git)), "");
        assert_eq!(canonical(&json!({"data": {"debug": "on", "mode": "0644"}})), "data:\n  debug: \"on\"\n  mode: \"0644\"\n");
    }

    #[test]
    fn differing_lines_say_at_the_margin_whose_they_are_and_every_line_is_there() {
        let git = json!({"kind": "Deployment", "spec": {"replicas": 2, "template": {"containers": [{"name": "a", "image": "x:1"}]}}});
        let live =
            json!({"kind": "Deployment", "spec": {"replicas": 5, "paused": true, "template": {"containers": [{"name": "a", "image": "x:1"}]}}});
        let spec = FieldPath::root().key("spec");
        let (replicas, paused) = (spec.key("replicas"), spec.key("paused"));
        let right = [(&replicas, "changed by kubectl (scale)".to_owned()), (&paused, "added by k9s".to_owned())];
        let text = annotated(("Git", &git), ("cluster", &live), &[(&replicas, "Git".to_owned())], &right);
        let lines: Vec<String> = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let want = [
            "--- Git",
            "+++ cluster",
            "kind: Deployment",
            "spec:",
            "- replicas: 2 # Git",
            "+ paused: true # added by k9s",
            "+ replicas: 5 # changed by kubectl (scale)",
            "template:",
            "containers:",
        ];
        assert_eq!(lines[..want.len()], want.map(str::to_owned));
        assert_eq!(annotated(("a", &git), ("b", &git), &[], &[]), "");
    }

    #[test]
    fn hidden_values_show_that_they_differ_and_nothing_else() {
        let git = json!({"data": {"same": "hidden:0011", "other": "hidden:aaaa", "gone": "hidden:cccc"}});
        let live = json!({"data": {"same": "hidden:0011", "other": "hidden:bbbb", "new": "hidden:dddd"}});
        let text = unified(("git", &git), ("live", &live));
        for hash in ["0011", "aaaa", "bbbb", "cccc", "dddd", MARK] {
            assert!(!text.contains(hash), "{hash} in {text}");
        }
        let changed: Vec<&str> = text.lines().skip(2).filter(|l| l.starts_with(['-', '+'])).collect();
        assert_eq!(changed, ["-  gone: (value hidden)", "-  other: (value hidden)", "+  new: (value hidden)", "+  other: (value hidden, differs)"]);
        assert!(!canonical(&git).contains("0011"));
    }

    #[test]
    fn hostile_text_is_escaped_and_huge_text_is_not_walked() {
        let a = json!({"k": "x\u{1b}[2J", "\u{202e}": 1});
        let text = unified(("a\u{1b}", &a), ("b", &json!({})));
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        let big = json!({"k": "line\n".repeat(LONGEST / 4)});
        assert!(unified(("a", &big), ("b", &json!({}))).contains("too long"));
    }
}
