//! Replaces the values of Secrets by keyed hashes, before anything else sees them. pure
//!
//! The key is drawn once per process, so equal values compare equal on all three sides and a hash seen in one run says nothing
//! about a value guessed in another.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

/// What a replaced value starts with; the rest is 32 hexadecimal digits.
pub const MARK: &str = "hidden:";

/// Annotations that carry a copy of the whole object, and so of a Secret's values.
const COPIES: [&str; 3] = ["kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original", "objectset.rio.cattle.io/applied"];

/// An annotation on a Secret that is longer than this may hold a value and is replaced too.
const LONGEST_PLAIN_ANNOTATION: usize = 256;

/// Holds the key and reduces Secrets. Cloning shares the key.
#[derive(Clone)]
pub struct Redactor {
    key: [u8; 32],
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(key hidden)")
    }
}

impl Redactor {
    /// A redactor over the given key. Draw it from the operating system's random source; tests may fix it.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The keyed hash of a secret value, in the form that stands in for it everywhere.
    pub fn hide(&self, value: &[u8]) -> String {
        // HMAC takes keys of any length, so this cannot fail; an impossible failure still must not leak the value.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return format!("{MARK}unavailable") };
        mac.update(value);
        let digest = mac.finalize().into_bytes();
        let mut text = String::with_capacity(MARK.len() + 32);
        text.push_str(MARK);
        for byte in &digest[..16] {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// Reduces an object in place if it is a core Secret: `stringData` is folded into `data` (it wins, as on the API server), every
    /// value becomes a keyed hash of its decoded bytes, and annotations that may hold a copy are hidden. Other kinds are untouched.
    pub fn reduce(&self, object: &mut Value) {
        let is_secret =
            object.get("kind").and_then(Value::as_str) == Some("Secret") && object.get("apiVersion").and_then(Value::as_str) == Some("v1");
        let Some(map) = object.as_object_mut().filter(|_| is_secret) else { return };
        let mut data = Map::new();
        if let Some(Value::Object(plain)) = map.remove("data") {
            for (k, v) in plain {
                // The API server drops null values; base64 may be folded over lines.
                if v.is_null() {
                    continue;
                }
                let hidden = match v.as_str().map(|t| t.split_ascii_whitespace().collect::<String>()) {
                    Some(text) => match STANDARD.decode(&text) {
                        Ok(bytes) => self.hide(&bytes),
                        Err(_) => format!("{}-not-base64", self.hide(text.as_bytes())),
                    },
                    None => format!("{}-not-text", self.hide(v.to_string().as_bytes())),
                };
                data.insert(k, hidden.into());
            }
        }
        if let Some(Value::Object(plain)) = map.remove("stringData") {
            for (k, v) in plain {
                match v {
                    Value::Null => {}
                    Value::String(text) => drop(data.insert(k, self.hide(text.as_bytes()).into())),
                    other => drop(data.insert(k, format!("{}-not-text", self.hide(other.to_string().as_bytes())).into())),
                }
            }
        }
        if !data.is_empty() {
            map.insert("data".into(), Value::Object(data));
        }
        if let Some(annotations) = map.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut) {
            for (k, v) in annotations.iter_mut() {
                let text = v.as_str().unwrap_or_default();
                if COPIES.contains(&k.as_str()) || text.len() > LONGEST_PLAIN_ANNOTATION {
                    *v = self.hide(text.as_bytes()).into();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reduced(mut v: Value) -> Value {
        Redactor::new([7; 32]).reduce(&mut v);
        v
    }

    #[test]
    fn the_same_bytes_compare_equal_however_they_were_written() {
        let encoded = reduced(json!({"apiVersion":"v1","kind":"Secret","data":{"p":"Y2Fu\nYXJ5"}}));
        let plain = reduced(json!({"apiVersion":"v1","kind":"Secret","stringData":{"p":"canary"}}));
        assert_eq!(encoded, plain);
        assert!(encoded["data"]["p"].as_str().is_some_and(|t| t.starts_with(MARK)));
    }

    #[test]
    fn no_value_survives_in_any_place() {
        let v = reduced(json!({"apiVersion":"v1","kind":"Secret",
            "metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"p\":\"canary\"}}","long":"canary".repeat(60)}},
            "data":{"p":"Y2FuYXJ5","bad":"canary!","n":5,"nothing":null},"stringData":{"q":"canary","n":7}}));
        let text = v.to_string();
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
        assert!(!text.contains("nothing"));
    }

    #[test]
    fn other_kinds_are_left_alone_and_other_keys_hash_otherwise() {
        let cm = json!({"apiVersion":"v1","kind":"ConfigMap","data":{"p":"x"}});
        assert_eq!(reduced(cm.clone()), cm);
        assert_ne!(Redactor::new([1; 32]).hide(b"x"), Redactor::new([2; 32]).hide(b"x"));
    }
}
