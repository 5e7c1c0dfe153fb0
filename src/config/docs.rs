//! The reference of the configuration file, made from the structs that read it. pure

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::file::File;

/// The Markdown tables: the file itself, then each kind of entry, in alphabetical order.
pub fn markdown() -> String {
    let schema = schemars::schema_for!(File).to_value();
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let mut text = String::new();
    section(&mut text, "The file", &schema, definitions);
    for (name, definition) in definitions {
        if definition.get("properties").is_some() {
            section(&mut text, &format!("`{name}`"), definition, definitions);
        }
    }
    text
}

fn section(text: &mut String, title: &str, schema: &Value, definitions: &Map<String, Value>) {
    let _ = writeln!(text, "## {title}\n\n{}\n\n| key | value | meaning |\n|---|---|---|", describe(schema));
    let required: Vec<&str> = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let must = if required.contains(&key.as_str()) { " (required)" } else { "" };
        let _ = writeln!(text, "| `{key}` | {}{must} | {} |", kind(property, definitions), describe(property));
    }
    text.push('\n');
}

fn describe(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// What a value may be, in words.
fn kind(schema: &Value, definitions: &Map<String, Value>) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next()) {
        let Some(target) = definitions.get(name) else { return name.to_owned() };
        return words_of(target).unwrap_or_else(|| format!("[{name}](#{})", name.to_lowercase()));
    }
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        return options.iter().filter(|o| o.get("type") != Some(&"null".into())).map(|o| kind(o, definitions)).collect::<Vec<_>>().join(" or ");
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect(),
        _ => Vec::new(),
    };
    match kinds.first() {
        Some(&"array") => format!("list of {}", schema.get("items").map(|i| kind(i, definitions)).unwrap_or_default()),
        Some(&"string") => "text".into(),
        Some(&"integer") => "number".into(),
        Some(&"boolean") => "true or false".into(),
        _ => "any".into(),
    }
}

/// The words of an enumeration.
fn words_of(schema: &Value) -> Option<String> {
    let from_enum = schema.get("enum").and_then(Value::as_array).map(|e| e.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    let from_consts =
        || schema.get("oneOf").and_then(Value::as_array).map(|o| o.iter().filter_map(|v| v.get("const").and_then(Value::as_str)).collect::<Vec<_>>());
    let words = from_enum.or_else(from_consts).filter(|w| !w.is_empty())?;
    Some(words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        let text = markdown();
        let rows: Vec<_> = text.lines().filter(|l| l.starts_with("| `")).collect();
        assert!(rows.len() > 60, "{} keys", rows.len());
        for row in rows {
            let meaning = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
            assert!(meaning.len() > 5 && !row.contains("| any"), "not described: {row}");
        }
    }
}
