//! What a scalar means: go-yaml v2's `resolve.go`, and its values as JSON. pure

use base64::{Engine as _, engine::general_purpose::STANDARD};
use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// A scalar's value before it becomes JSON: keys and values treat numbers differently.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
}

/// The tags that change what a scalar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    Str,
    Bool,
    Int,
    Float,
    Null,
    Timestamp,
    Binary,
    Other,
}

const NAMESPACE: &str = "tag:yaml.org,2002:";

fn kind(tag: Option<&Tag>) -> Kind {
    let Some(tag) = tag else { return Kind::None };
    match tag.suffix_in_namespace(NAMESPACE).as_deref() {
        Some("str") => Kind::Str,
        Some("bool") => Kind::Bool,
        Some("int") => Kind::Int,
        Some("float") => Kind::Float,
        Some("null") => Kind::Null,
        Some("timestamp") => Kind::Timestamp,
        Some("binary") => Kind::Binary,
        _ => Kind::Other,
    }
}

/// Whether a key is the merge key: a plain `<<`, or one tagged as such (go-yaml v2 `isMerge`).
pub(super) fn is_merge(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
    text == "<<"
        && match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) => tag.suffix_in_namespace(NAMESPACE).as_deref() == Some("merge") || (tag.handle().is_empty() && tag.suffix() == "!"),
        }
}

/// Resolves a scalar. `Err` says what is wrong without quoting it.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, &'static str> {
    let kind = kind(tag);
    match kind {
        Kind::None if style != ScalarStyle::Plain => return Ok(Scalar::Text(text.to_owned())),
        Kind::Str | Kind::Other => return Ok(Scalar::Text(text.to_owned())),
        Kind::Binary => return binary(text),
        _ => {}
    }
    let value = plain(text);
    let fits = match (kind, &value) {
        (Kind::None, _) => true,
        (Kind::Bool, Scalar::Bool(_)) | (Kind::Null, Scalar::Null) => true,
        (Kind::Int, Scalar::Int(_) | Scalar::Uint(_)) | (Kind::Float, Scalar::Float(_)) => true,
        (Kind::Float, Scalar::Int(n)) => return Ok(Scalar::Float(*n as f64)),
        (Kind::Timestamp, Scalar::Text(t)) => looks_like_date(t),
        _ => false,
    };
    if fits { Ok(value) } else { Err("the value does not fit its tag") }
}

fn binary(text: &str) -> Result<Scalar, &'static str> {
    let folded: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = STANDARD.decode(folded).map_err(|_| "the !!binary value is not base64")?;
    // Go's JSON encoder writes one U+FFFD for each byte that is not UTF-8.
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Ok(Scalar::Text(out))
}

fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

/// A plain scalar without a tag, in the order in which `resolve.go` tries things.
fn plain(text: &str) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match first {
        b'~' | b'n' | b'N' | b'y' | b'Y' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => word(text),
        b'.' => special(text).or_else(|| float(text)).unwrap_or_else(|| Scalar::Text(text.to_owned())),
        b'+' | b'-' | b'0'..=b'9' => number(text),
        _ => Scalar::Text(text.to_owned()),
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text(text.to_owned()),
    }
}

fn special(text: &str) -> Option<Scalar> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Some(Scalar::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => Some(Scalar::Float(f64::NEG_INFINITY)),
        _ => None,
    }
}

fn number(text: &str) -> Scalar {
    let digits = if text.contains('_') { text.replace('_', "") } else { text.to_owned() };
    special(text)
        .or_else(|| integer(&digits))
        .or_else(|| float(&digits))
        .or_else(|| signed_binary(&digits))
        .unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// Go's `strconv.ParseInt(s, 0, 64)`, then `ParseUint`: `0x`, `0o`, `0b` in either case, and a leading `0` means octal.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let signed = rest.len() != text.len();
    let bytes = rest.as_bytes();
    let (base, digits) = match bytes {
        [b'0', b'x' | b'X', _, ..] => (16, &rest[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &rest[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &rest[2..]),
        [b'0'] => return Some(Scalar::Int(0)),
        [b'0', ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    match (negative, i64::try_from(magnitude)) {
        (false, Ok(n)) => Some(Scalar::Int(n)),
        (true, Ok(n)) => Some(Scalar::Int(-n)),
        (true, Err(_)) => (magnitude == i64::MIN.unsigned_abs()).then_some(Scalar::Int(i64::MIN)),
        (false, Err(_)) => (!signed).then_some(Scalar::Uint(magnitude)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; what overflows stays text, as in Go.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let shaped = all_digits(whole)
        && fraction.is_none_or(all_digits)
        && (!whole.is_empty() || fraction.is_some_and(|f| !f.is_empty()))
        && exponent.is_none_or(|e| !e.is_empty() && all_digits(e));
    if !shaped {
        return None;
    }
    text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Scalar::Float)
}

/// A leftover of go-yaml v2: after `0b` it also takes a sign.
fn signed_binary(text: &str) -> Option<Scalar> {
    let rest = text.strip_prefix("0b")?;
    let digits = rest.strip_prefix(['-', '+'])?;
    if !digits.bytes().all(|b| matches!(b, b'0' | b'1')) {
        return None;
    }
    i64::from_str_radix(rest, 2).ok().map(Scalar::Int)
}

impl Scalar {
    /// The value as Go's JSON encoder would write it and Kubernetes read it back: integral floats are integers.
    pub(super) fn into_value(self) -> Result<Value, &'static str> {
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(b) => Ok(Value::Bool(b)),
            Self::Int(n) => Ok(Value::from(n)),
            Self::Uint(n) => Ok(Value::from(n)),
            Self::Text(t) => Ok(Value::String(t)),
            Self::Float(f) => {
                // Both languages print the shortest digits that read back as the same float, and Go switches to an exponent at 1e21.
                let whole = (f.fract() == 0.0 && f.abs() < 1e21).then(|| f.to_string().parse::<i64>().ok()).flatten();
                match whole {
                    Some(n) => Ok(Value::from(n)),
                    None => Number::from_f64(f).map(Value::Number).ok_or("infinity and NaN cannot be told in JSON"),
                }
            }
        }
    }

    /// The text of this scalar as a key (`sigs.k8s.io/yaml` `convertToJSONableObject`).
    pub(super) fn key(&self) -> Result<String, &'static str> {
        match self {
            Self::Null => Err("a key without a value or null as a key"),
            Self::Uint(_) => Err("an integer this large cannot be a key"),
            Self::Bool(b) => Ok(b.to_string()),
            Self::Int(n) => Ok(n.to_string()),
            Self::Float(f) => Ok(float_key(*f)),
            Self::Text(t) => Ok(t.clone()),
        }
    }
}

/// Go's `strconv.FormatFloat(f, 'g', -1, 32)`.
fn float_key(f: f64) -> String {
    let f = f as f32;
    if f.is_nan() {
        return ".nan".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{f:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return f.to_string() };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // With the shortest digits Go writes an exponent below 1e-4 and from 1e6 on.
    if (-4..6).contains(&exponent) { f.to_string() } else { format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()) }
}
