//! JSON pointers over values: what they mean, whether it is there, and the value without it. pure

use serde_json::Value;

/// Splits a pointer and undoes its escapes (`~1` is `/`, `~0` is `~`).
pub(super) fn parse(pointer: &str) -> Vec<String> {
    let inner = pointer.strip_prefix('/').unwrap_or(pointer);
    if inner.is_empty() && pointer.is_empty() {
        return Vec::new();
    }
    inner.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// The members or items that one step of a pointer means, as positions or keys.
fn meant<'v>(value: &'v Value, step: &str) -> Vec<&'v Value> {
    match value {
        Value::Object(map) if step == "*" => map.values().collect(),
        Value::Object(map) => map.get(step).into_iter().collect(),
        Value::Array(items) if step == "*" => items.iter().collect(),
        Value::Array(items) => match step.parse::<usize>() {
            Ok(n) => items.get(n).into_iter().collect(),
            // An item is also named by a value of its keys; which those are only the schema knows, so any of its texts may be meant.
            Err(_) => items.iter().filter(|i| named(i, step)).collect(),
        },
        _ => Vec::new(),
    }
}

fn named(item: &Value, step: &str) -> bool {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    match item {
        Value::Object(map) => step.split(',').next().is_some_and(|first| map.values().any(|v| !v.is_object() && !v.is_array() && text(v) == first)),
        scalar => text(scalar) == step,
    }
}

/// Whether a pointer means something that is there.
pub(super) fn there(value: &Value, pointer: &[String]) -> bool {
    match pointer.split_first() {
        None => true,
        Some((step, rest)) => meant(value, step).into_iter().any(|v| there(v, rest)),
    }
}

/// Takes out what a pointer means.
pub(super) fn cut(value: &mut Value, pointer: &[String]) {
    let Some((step, rest)) = pointer.split_first() else { return };
    match value {
        Value::Object(map) if rest.is_empty() && step == "*" => map.clear(),
        Value::Object(map) if rest.is_empty() => drop(map.remove(step)),
        Value::Object(map) => map.iter_mut().filter(|(k, _)| step == "*" || *k == step).for_each(|(_, v)| cut(v, rest)),
        Value::Array(items) if rest.is_empty() && step == "*" => items.clear(),
        Value::Array(items) => match step.parse::<usize>() {
            Ok(n) if rest.is_empty() && n < items.len() => drop(items.remove(n)),
            Ok(n) => items.get_mut(n).into_iter().for_each(|v| cut(v, rest)),
            Err(_) if rest.is_empty() => items.retain(|i| !named(i, step)),
            Err(_) => items.iter_mut().filter(|i| step == "*" || named(i, step)).for_each(|v| cut(v, rest)),
        },
        _ => {}
    }
}
