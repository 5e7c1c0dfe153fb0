//! What a dry run would change, read off its answer by itself: no schema, no rule, no owner is asked. pure
//!
//! The engine's own notion of equality must not be the judge of its own verdicts, so the two objects are compared letter by letter, and what
//! is no change to anybody (another order of the same items, another spelling of the same amount, empty for absent) is told apart afterwards.

use serde_json::{Map, Value};

use super::values::same_quantity;
use crate::object::{FieldPath, Step};

/// One place that would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where; items of lists by their position.
    pub path: FieldPath,
    /// What is there now; null if nothing is.
    pub now: Value,
    /// What would be there; null if nothing would.
    pub then: Value,
}

impl Change {
    /// Whether it is a change of letters alone: the same items in another order, the same amount in another spelling, empty for absent.
    pub fn is_of_form(&self) -> bool {
        reordered(&self.now, &self.then) || same_quantity(&self.now, &self.then) || (hollow(&self.now) && hollow(&self.then))
    }
}

/// The places in which two reduced objects differ. Of metadata those that Git can set and that are compared.
pub fn changes(now: &Value, then: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    walk(now, then, &mut Vec::new(), &mut out);
    let compared = |c: &Change| match &c.path.0[..] {
        [Step::Key(first), rest @ ..] if &**first == "metadata" => {
            matches!(rest, [Step::Key(section), ..] if matches!(&**section, "labels" | "annotations"))
        }
        _ => true,
    };
    out.retain(compared);
    out
}

fn walk(now: &Value, then: &Value, at: &mut Vec<Step>, out: &mut Vec<Change>) {
    const NOTHING: &Value = &Value::Null;
    match (now, then) {
        _ if now == then => {}
        (Value::Object(a), Value::Object(b)) => {
            let get = |m: &'_ Map<String, Value>, k: &str| m.get(k).cloned().unwrap_or(Value::Null);
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                at.push(Step::Key(key.as_str().into()));
                walk(&get(a, key), &get(b, key), at, out);
                at.pop();
            }
        }
        // A whole branch that comes or goes is told by its members, so that a rule that speaks of one of them finds it.
        (Value::Object(a), Value::Null) if !a.is_empty() => walk_all(a, at, out, |v| (v, NOTHING)),
        (Value::Null, Value::Object(b)) if !b.is_empty() => walk_all(b, at, out, |v| (NOTHING, v)),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && a.iter().any(|v| v.is_object() || v.is_array()) => {
            for (n, (x, y)) in a.iter().zip(b).enumerate() {
                at.push(Step::Index(n));
                walk(x, y, at, out);
                at.pop();
            }
        }
        _ => out.push(Change { path: FieldPath(at.clone()), now: now.clone(), then: then.clone() }),
    }
}

fn walk_all<'v>(members: &'v Map<String, Value>, at: &mut Vec<Step>, out: &mut Vec<Change>, sides: impl Fn(&'v Value) -> (&'v Value, &'v Value)) {
    for (key, value) in members {
        at.push(Step::Key(key.as_str().into()));
        let (now, then) = sides(value);
        walk(now, then, at, out);
        at.pop();
    }
}

/// Whether one path leads to the other's place or into it. Of list items only that they are items is compared: positions and keys name the same
/// ones in different ways.
pub fn related(a: &FieldPath, b: &FieldPath) -> bool {
    a.0.iter().zip(&b.0).all(|(x, y)| match (x, y) {
        (Step::Key(x), Step::Key(y)) => x == y,
        (Step::Key(_), _) | (_, Step::Key(_)) => false,
        _ => true,
    })
}

fn reordered(a: &Value, b: &Value) -> bool {
    let (Value::Array(a), Value::Array(b)) = (a, b) else { return false };
    a.len() == b.len() && a.iter().all(|x| b.contains(x)) && b.iter().all(|x| a.contains(x))
}

/// Whether a value says no more than its absence.
fn hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(hollow),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(now: &Value, then: &Value) -> Vec<(String, bool)> {
        changes(now, then).into_iter().map(|c| (c.path.to_string(), c.is_of_form())).collect()
    }

    #[test]
    fn what_would_change_is_read_letter_by_letter_and_form_is_told_apart() {
        let now = json!({"metadata": {"labels": {"a": "1"}, "finalizers": ["x"]}, "spec": {"n": 1, "cpu": "1000m", "verbs": ["get", "list"],
            "list": [{"name": "a", "image": "v1"}], "gone": {"deep": true}, "empty": {}}});
        let then = json!({"metadata": {"labels": {"a": "2"}}, "spec": {"n": 2, "cpu": "1", "verbs": ["list", "get"],
            "list": [{"name": "a", "image": "v2"}], "new": {"deep": ""}}});
        assert_eq!(
            told(&now, &then),
            [
                ("metadata.labels.a".to_owned(), false),
                ("spec.cpu".to_owned(), true),
                ("spec.empty".to_owned(), true),
                ("spec.gone.deep".to_owned(), false),
                ("spec.list[0].image".to_owned(), false),
                ("spec.n".to_owned(), false),
                ("spec.verbs".to_owned(), true),
                ("spec.new.deep".to_owned(), true),
            ]
        );
        assert!(changes(&now, &now).is_empty());
        let longer = json!({"metadata": {}, "spec": {"list": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(told(&json!({"spec": {"list": [{"name": "a"}]}}), &longer), [("spec.list".to_owned(), false)]);
    }

    #[test]
    fn paths_are_related_when_one_leads_into_the_other() {
        let path = |p: &str| {
            let step = |s: &str| s.parse().map_or_else(|_| Step::Key(s.into()), Step::Index);
            FieldPath(p.split('/').filter(|s| !s.is_empty()).map(step).collect())
        };
        let image = FieldPath(vec![Step::Key("spec".into()), Step::Select(vec![("name".into(), "a".into())]), Step::Key("image".into())]);
        for (a, b, yes) in
            [("spec", "spec/n", true), ("spec/n", "spec", true), ("spec/n", "spec/nn", false), ("spec/0", "spec/1", true), ("", "x", true)]
        {
            assert_eq!(related(&path(a), &path(b)), yes, "{a} {b}");
        }
        assert!(related(&image, &path("spec/0/image")) && related(&path("spec"), &image) && !related(&image, &path("spec/0/name")));
    }
}
