//! Small helpers of every text form: ages, shortened values, names that cannot harm a terminal. pure

use std::{borrow::Cow, fmt::Write as _};

use jiff::Timestamp;
use serde_json::Value;

use crate::object::redact::MARK;
pub use crate::words::span;

/// How long ago, as a [`span`]; a moment in the future (clocks differ) counts as now.
pub fn since(now: Timestamp, then: Timestamp) -> String {
    span(u64::try_from(now.as_second().saturating_sub(then.as_second())).unwrap_or(0))
}

/// How long until, as a sentence part: `in 40 min`, or `overdue by 5 min`.
pub fn until(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.as_second().saturating_sub(now.as_second());
    match u64::try_from(seconds) {
        Ok(ahead) => format!("in {}", span(ahead)),
        Err(_) => format!("overdue by {}", span(seconds.unsigned_abs())),
    }
}

/// Whether a character could move the cursor, change colours or turn the reading direction.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with every character escaped that could do more than be seen. Names and messages come from clusters and repositories.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_harmful(c) => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text cleaned and cut to a number of characters, with `…` in place of what is left out.
pub fn shorten(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text.into_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// What stands in for a hidden value.
pub const HIDDEN: &str = "(value hidden)";

/// A value as the report holds it: JSON text, hashes of hidden values replaced by [`HIDDEN`] at any depth.
pub fn value(value: &Value) -> String {
    fn mask(value: &Value) -> Value {
        match value {
            Value::String(text) if text.starts_with(MARK) => HIDDEN.into(),
            Value::Array(items) => items.iter().map(mask).collect(),
            Value::Object(members) => Value::Object(members.iter().map(|(k, v)| (k.clone(), mask(v))).collect()),
            plain => plain.clone(),
        }
    }
    match value {
        Value::String(text) if text.starts_with(MARK) => HIDDEN.to_owned(),
        value => mask(value).to_string(),
    }
}

/// A number with its thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 object`, `12 objects`.
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_by_how_far_they_are() {
        let at = |s: i64| Timestamp::from_second(s).expect("a time");
        assert_eq!(since(at(100), at(40)), "1 min");
        assert_eq!(since(at(0), at(40)), "0 s");
        assert_eq!((until(at(0), at(2_400)), until(at(300), at(0))), ("in 40 min".into(), "overdue by 5 min".into()));
    }

    #[test]
    fn a_hostile_name_cannot_move_the_cursor() {
        for (text, shown) in [
            ("cart", "cart"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("x\u{202e}gpj", "x\\u{202e}gpj"),
            ("é 日本 ", "é 日本 "),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }

    #[test]
    fn a_hash_of_a_hidden_value_is_not_shown() {
        for (given, shown) in [
            (serde_json::json!("hidden:00ff"), HIDDEN),
            (serde_json::json!({"k": ["hidden:00ff", 1]}), r#"{"k":["(value hidden)",1]}"#),
            (serde_json::json!("plain"), "\"plain\""),
        ] {
            assert_eq!(value(&given), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(shorten("日本語テキスト", 4), "日本語…");
        assert_eq!(shorten("one two", 5), "one…");
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abc", 0), "…");
        assert_eq!((count(7), count(1_234), count(1_234_567)), ("7".into(), "1,234".into(), "1,234,567".into()));
        assert_eq!((counted(1, "object"), counted(2, "object")), ("1 object".into(), "2 objects".into()));
    }
}
