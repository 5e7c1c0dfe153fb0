//! Writes a value as YAML that Kubernetes' own parser reads back as the same. pure

use granit_parser::ScalarStyle;
use serde::Serialize;
use serde_yaml::Value;

use super::scalar::{self, Scalar, is_merge};

/// What stands around a text that needs quotes until the writer has written it: characters that no manifest uses.
const MARKS: [char; 2] = ['\u{f8fe}', '\u{f8ff}'];

/// A value as YAML, members in their own order. The writer knows the words of YAML 1.2 only, and Kubernetes' parser those of 1.1: an `on`
/// that is text would come back as a truth value.
///
/// # Errors
/// Only if serialisation fails, which no JSON value and no report causes.
pub fn write(value: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let mut value = serde_yaml::to_value(value)?;
    if !mark(&mut value) {
        return serde_yaml::to_string(&value);
    }
    Ok(serde_yaml::to_string(&value)?.replace(MARKS, "\""))
}

/// Marks the texts that need quotes. `false`, and nothing is marked, if the value itself holds such a mark.
fn mark(value: &mut Value) -> bool {
    if holds_marks(value) {
        return false;
    }
    mark_texts(value);
    true
}

fn holds_marks(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(MARKS),
        Value::Sequence(items) => items.iter().any(holds_marks),
        Value::Mapping(members) => members.iter().any(|(key, inner)| holds_marks(key) || holds_marks(inner)),
        _ => false,
    }
}

fn mark_texts(value: &mut Value) {
    match value {
        Value::String(text) if needs_quotes(text) => *text = format!("{}{text}{}", MARKS[0], MARKS[1]),
        Value::Sequence(items) => items.iter_mut().for_each(mark_texts),
        Value::Mapping(members) => {
            let marked = std::mem::take(members).into_iter().map(|(mut key, mut inner)| {
                mark_texts(&mut key);
                mark_texts(&mut inner);
                (key, inner)
            });
            *members = marked.collect();
        }
        _ => {}
    }
}

fn needs_quotes(text: &str) -> bool {
    let means_text = matches!(scalar::resolve(text, ScalarStyle::Plain, None), Ok(Scalar::Text(_))) && !is_merge(text, ScalarStyle::Plain, None);
    // What holds other characters means text, or is quoted by the writer.
    let word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-~=<".contains(c));
    word && !means_text
}
