//! When two scalars mean the same. pure

use serde_json::{Number, Value};

use crate::object::quantity::Quantity;

/// Whether two numbers are the same number: `1`, `1.0` and `1e0` are.
fn same_number(a: &Number, b: &Number) -> bool {
    if a == b {
        return true;
    }
    // Large integers must not be compared through floats, where neighbours collapse.
    if (a.is_i64() || a.is_u64()) && (b.is_i64() || b.is_u64()) {
        return false;
    }
    matches!((a.as_f64(), b.as_f64()), (Some(x), Some(y)) if x == y)
}

/// Whether two values are equal as JSON, numbers by value. `80` and `"80"` are not: to the API the text is the name of a port.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => same_number(x, y),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| same(v, w))),
        _ => a == b,
    }
}

/// Whether both are quantities of the same size.
pub fn same_quantity(a: &Value, b: &Value) -> bool {
    matches!((Quantity::from_json(a), Quantity::from_json(b)), (Some(x), Some(y)) if x == y)
}

/// A quantity in a form that is the same for all its spellings; `None` if it is none.
pub fn plain_quantity(value: &Value) -> Option<Value> {
    Quantity::from_json(value).map(|q| format!("{q:?}").into())
}

/// Whether both are quantities that the server stores alike in a ResourceList, where it rounds up to thousandths.
pub fn same_when_rounded(a: &Value, b: &Value) -> bool {
    let stored = |v: &Value| Quantity::from_json(v).map(Quantity::in_resource_list);
    matches!((stored(a), stored(b)), (Some(x), Some(y)) if x == y)
}

/// Whether both are the same bytes in base64, however folded.
pub fn same_base64(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_str(), b.as_str()) else { return false };
    a.bytes().filter(|c| !c.is_ascii_whitespace()).eq(b.bytes().filter(|c| !c.is_ascii_whitespace()))
}

/// Whether both are durations as Go writes them and last equally long: `60s` and `1m0s` are.
pub fn same_duration(a: &Value, b: &Value) -> bool {
    let nanos = |v: &Value| v.as_str().and_then(go_duration);
    matches!((nanos(a), nanos(b)), (Some(x), Some(y)) if x == y)
}

/// Nanoseconds of a Go duration of whole and decimal numbers with units (`time.ParseDuration`); `None` if it is none.
fn go_duration(text: &str) -> Option<i128> {
    if text.len() > 32 || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let divisor = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        total = total.checked_add(digits.checked_mul(scale)? / divisor)?;
        rest = after;
    }
    Some(total)
}

/// Whether a text was encrypted by SOPS (`ENC[AES256_GCM,data:...]`).
pub fn is_encrypted(value: &Value) -> bool {
    value.as_str().is_some_and(|t| t.starts_with("ENC[AES256_GCM,"))
}

/// A short text of a scalar, for list keys and set items.
pub fn key_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_equal_by_value_and_texts_by_letter() {
        for (a, b, equal) in [
            (json!(1), json!(1.0), true),
            (json!(1e3), json!(1000), true),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
            (json!(80), json!("80"), false),
            (json!(true), json!("true"), false),
            (json!([1.0, {"a": 2}]), json!([1, {"a": 2.0}]), true),
            (json!({"a": 1}), json!({"b": 1}), false),
        ] {
            assert_eq!(same(&a, &b), equal, "{a} {b}");
        }
    }

    #[test]
    fn durations_are_equal_by_length() {
        for (a, b, equal) in [
            ("60s", "1m", true),
            ("1m0s", "60s", true),
            ("1.5h", "90m", true),
            ("1h", "1d", false),
            ("60", "60s", false),
            ("1m", "1M", false),
            ("s", "s", false),
            ("99999999999999999999999999999h", "1h", false),
        ] {
            assert_eq!(same_duration(&json!(a), &json!(b)), equal, "{a} {b}");
        }
    }

    #[test]
    fn bytes_may_be_folded_over_lines() {
        assert!(same_base64(&json!("YWJj\nZGVm\n"), &json!("YWJjZGVm")));
        assert!(!same_base64(&json!("YWJj"), &json!("YWJk")) && !same_base64(&json!(1), &json!(1)));
    }
}
