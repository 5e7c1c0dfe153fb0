//! Writes a value as YAML that Kubernetes' own parser reads back as the same. pure

use granit_parser::ScalarStyle;
use serde_json::Value;

use super::scalar::{self, Scalar, is_merge};

/// What stands around a text that needs quotes until the writer has written it: characters that no manifest uses.
const MARKS: [char; 2] = ['\u{f8fe}', '\u{f8ff}'];

/// A value as YAML. The writer knows the words of YAML 1.2 only, and Kubernetes' parser those of 1.1: an `on` that is text would come back
/// as a truth value.
///
/// # Errors
/// Only if serialisation fails, which no JSON value causes.
pub fn write(value: &Value) -> Result<String, serde_yaml::Error> {
    if value.to_string().contains(MARKS) {
        return serde_yaml::to_string(value);
    }
    Ok(serde_yaml::to_string(&marked(value))?.replace(MARKS, "\""))
}

fn marked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mark(text)),
        Value::Array(items) => items.iter().map(marked).collect(),
        Value::Object(members) => members.iter().map(|(key, inner)| (mark(key), marked(inner))).collect(),
        plain => plain.clone(),
    }
}

fn mark(text: &str) -> String {
    let means_text = matches!(scalar::resolve(text, ScalarStyle::Plain, None), Ok(Scalar::Text(_))) && !is_merge(text, ScalarStyle::Plain, None);
    // What holds other characters means text, or is quoted by the writer.
    let word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-~=<".contains(c));
    if word && !means_text { format!("{}{text}{}", MARKS[0], MARKS[1]) } else { text.to_owned() }
}
