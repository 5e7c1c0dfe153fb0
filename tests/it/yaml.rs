//! YAML against what Kubernetes' own parser (sigs.k8s.io/yaml) made of the same bytes. I/O: reads tests/data/yaml.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use snapgap::object::yaml::{Limits, parse, write};

/// Cases that we read otherwise than the recorded outputs, and why. The recording cut each file at `\n---` before parsing, as kubectl and
/// Argo CD do, and go-yaml's `Unmarshal` stops after the first document of such a piece.
const OTHERWISE: [(&str, &str, &str); 3] = [
    ("directive.yaml", r#"[{"a":true}]"#, "cutting at `---` tears the directive from its document; the document is fine"),
    ("directive12.yaml", "ERR", "the first piece is an error for any reader of the whole file, so the file is one"),
    ("docend.yaml", r#"[{"a":1},{"b":2}]"#, "after `...` another document may begin; Go drops it without a word"),
];

/// Go prints numbers in its own way, and JSON knows no integer beyond 64 bits: numbers are the same if they are the same float.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || (x.as_f64() == y.as_f64() && !(x.is_i64() && y.is_i64())),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b)),
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| same(v, w))),
        _ => a == b,
    }
}

#[test]
fn every_case_reads_as_kubernetes_reads_it() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/yaml");
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(data.join("expected.tsv")).expect("expected.tsv").lines() {
        let (piece, outcome) = line.split_once('\t').expect("piece, tab, outcome");
        let (case, _) = piece.split_once('#').expect("case#number");
        expected.entry(case.to_owned()).or_default().push(outcome.to_owned());
    }
    let mut cases = 0;
    for entry in std::fs::read_dir(data.join("cases")).expect("cases") {
        let path = entry.expect("entry").path();
        let case = path.file_name().expect("name").to_string_lossy().into_owned();
        let ours = parse(&std::fs::read(&path).expect("readable"), &Limits::default());
        // An empty document is no object, and Go writes `null` for no document at all.
        let ours = ours.map(|p| p.documents.into_iter().map(|d| d.value).filter(|v| !v.is_null()).collect::<Vec<_>>());
        let theirs = expected.remove(&case).unwrap_or_default();
        let wanted = match OTHERWISE.iter().find(|(name, ..)| *name == case) {
            Some((_, wanted, _)) => (*wanted).to_owned(),
            None if theirs.iter().any(|o| o.starts_with("ERR")) => "ERR".to_owned(),
            None => format!("[{}]", theirs.iter().filter(|o| *o != "null").cloned().collect::<Vec<_>>().join(",")),
        };
        match (wanted.as_str(), ours) {
            ("ERR", ours) => assert!(ours.is_err(), "{case}: refused by Kubernetes, read here as {ours:?}"),
            (wanted, ours) => {
                let wanted: Vec<Value> = serde_json::from_str(wanted).expect("JSON");
                let ours = ours.unwrap_or_else(|e| panic!("{case}: {e}"));
                assert!(ours.len() == wanted.len() && ours.iter().zip(&wanted).all(|(a, b)| same(a, b)), "{case}: {ours:?}, not {wanted:?}");
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 62);
    assert!(expected.is_empty(), "outcomes without a case: {expected:?}");
}

#[test]
fn what_is_written_reads_back_as_the_same() {
    let words = [
        "on",
        "Off",
        "YES",
        "no",
        "y",
        "N",
        "true",
        "null",
        "~",
        "",
        "1",
        "012",
        "0x10",
        "0b1",
        "0o7",
        "1_000",
        "1e3",
        "+1",
        "-.5",
        ".inf",
        ".NaN",
        "=",
        "<<",
        "12:30:45",
        "2001-01-01",
        "plain",
        "a b",
        "a: b",
        "- a",
        "#a",
        "two\nlines\n",
        " on ",
        "on\n",
        "'on'",
        "\"on\"",
    ];
    let keys: serde_json::Map<String, Value> = words.iter().map(|w| ((*w).to_owned(), Value::from(*w))).collect();
    for value in [Value::from(words.to_vec()), Value::Object(keys), serde_json::json!({"a": [true, null, 1, -2.5, {"on": "off"}]})] {
        let text = write(&value).expect("written");
        let read = parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e}:\n{text}"));
        assert_eq!(read.documents[0].value, value, "{text}");
    }
    assert_eq!(write(&serde_json::json!({"on": "on", "image": "shop:1.2"})).expect("written"), "image: shop:1.2\n\"on\": \"on\"\n");
}
