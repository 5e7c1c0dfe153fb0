//! What is fuzzed, and the laws that hold for any input. Called by the fuzz targets and by the plain test that replays the corpus.

// Each fuzz target uses one of them.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used)]

use serde_json::Value;
use snapgap::{
    drift::{Builtin, Observed, Policy, Schema, compare},
    object::{Content, Gvk, ObjectId, Quantity, Redactor, admit, yaml},
};

/// Any bytes are a file or an error with a place; what is read can be printed and read again as the same.
pub fn yaml(data: &[u8]) {
    let limits = yaml::Limits { bytes: 1 << 16, documents: 100, depth: 60, nodes: 20_000 };
    match yaml::parse(data, &limits) {
        Err(error) => assert!(error.line >= 1, "an error without a place"),
        Ok(parsed) => {
            for document in parsed.documents {
                let text = serde_json::to_vec(&document.value).expect("JSON");
                let again: Value = serde_json::from_slice(&text).expect("read back");
                assert_eq!(again, document.value);
            }
        }
    }
}

/// A quantity is equal to itself however often it is read, as a text and as a number.
pub fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = Quantity::from_json(&Value::from(text));
    assert!(read == Quantity::from_json(&Value::from(text)));
    if let Ok(number) = serde_json::from_str::<Value>(text)
        && number.is_number()
    {
        let _ = Quantity::from_json(&number);
    }
}

fn judged(desired: &Value, observed: &Value, managers: Option<&str>) -> usize {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let gvk = Gvk::parse(&text(&desired["apiVersion"]), &text(&desired["kind"]));
    let id = ObjectId::new(&gvk.gk.group, &gvk.gk.kind, None, "a");
    compare(desired, Observed { value: observed, managers, applied: None }, &Policy::of(&Builtin, &id, &gvk)).leaves.len()
}

/// Whatever stands in managedFields, it names owners at most: what Git sets is judged the same with and without.
pub fn managed_fields(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let desired = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v", "l": "w"}});
    let mut live = desired.clone();
    live["data"]["k"] = "x".into();
    live["metadata"]["labels"] = serde_json::json!({"a": "b"});
    assert!(judged(&desired, &live, None) <= judged(&desired, &live, Some(text)), "an owner made a difference vanish");
    assert_eq!(judged(&desired, &desired, Some(text)), 0);
}

/// Any path of any kind has an answer.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let (version, kind, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let gvk = Gvk::parse(version, kind);
    let steps: Vec<&str> = path.split('/').take(60).collect();
    let _ = (Builtin.list_kind(&gvk, &steps), Builtin.is_quantity(&gvk, &steps), Builtin.empty_means_something(&gvk, &steps));
    let _ = (Builtin.is_whole(&gvk, &steps), Builtin.is_base64(&gvk, &steps), Builtin.knows(&gvk));
    if let Some(value) = Builtin.default_of(&gvk, &steps) {
        assert!(!value.is_null(), "a default that is nothing");
    }
}

/// Two objects from two lines of JSON: nothing differs from itself, and whatever is admitted is admitted as the same again.
pub fn compare_objects(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let mut next = || lines.next().and_then(|l| serde_json::from_str::<Value>(l).ok()).unwrap_or_default();
    let (desired, live, managers) = (next(), next(), next());
    assert_eq!(judged(&desired, &desired, None), 0);
    assert_eq!(judged(&live, &live, Some(&managers.to_string())), 0);
    let first = judged(&desired, &live, Some(&managers.to_string()));
    assert_eq!(first, judged(&desired, &live, Some(&managers.to_string())));
    if let Ok(object) = admit(live, &Redactor::new([7; 32])) {
        assert_eq!(Content::of(&object.content.value()), object.content);
    }
}
