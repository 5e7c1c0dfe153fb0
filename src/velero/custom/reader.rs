//! Reads members of an object by path; a member of the wrong type counts as absent and is remembered. pure

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::cron::parse_duration;
use crate::object::Text;

/// The longest piece of somebody else's text that is kept.
const LONGEST: usize = 1024;

pub(super) struct Reader<'a> {
    object: &'a Value,
    odd: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(object: &'a Value) -> Self {
        Self { object, odd: Vec::new() }
    }

    /// What was odd.
    pub fn finish(self) -> Vec<String> {
        self.odd
    }

    /// The member at a JSON pointer; null and absent are the same, as in Go.
    fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.object.pointer(pointer).filter(|v| !v.is_null())
    }

    fn refuse<T>(&mut self, pointer: &str, wanted: &str) -> Option<T> {
        self.odd.push(format!("{} is not {wanted} and was passed over", pointer.trim_start_matches('/').replace('/', ".")));
        None
    }

    /// Text; an empty one is an absent one.
    pub fn text(&mut self, pointer: &str) -> Option<Text> {
        match self.at(pointer)? {
            Value::String(text) => (!text.is_empty()).then(|| cut(text).into()),
            _ => self.refuse(pointer, "text"),
        }
    }

    pub fn label(&mut self, label: &str) -> Option<Text> {
        self.at("/metadata/labels")?.get(label)?.as_str().filter(|t| !t.is_empty()).map(|t| cut(t).into())
    }

    pub fn flag(&mut self, pointer: &str) -> bool {
        match self.at(pointer) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => self.refuse(pointer, "true or false").unwrap_or_default(),
        }
    }

    pub fn count(&mut self, pointer: &str) -> u64 {
        match self.at(pointer).map(Value::as_u64) {
            None => 0,
            Some(Some(count)) => count,
            Some(None) => self.refuse(pointer, "a count").unwrap_or_default(),
        }
    }

    pub fn time(&mut self, pointer: &str) -> Option<Timestamp> {
        match self.text(pointer)?.parse() {
            Ok(time) => Some(time),
            Err(_) => self.refuse(pointer, "a time as RFC 3339 writes it"),
        }
    }

    /// A `metav1.Duration`; zero means absent, as in Velero.
    pub fn duration(&mut self, pointer: &str) -> Option<Duration> {
        self.span(pointer).filter(|d| !d.is_zero())
    }

    /// A `metav1.Duration`; a negative one means absent.
    pub fn span(&mut self, pointer: &str) -> Option<Duration> {
        match parse_duration(&self.text(pointer)?) {
            Ok(nanos) => u64::try_from(nanos).ok().map(Duration::from_nanos),
            Err(_) => self.refuse(pointer, "a duration such as 4h0m0s"),
        }
    }

    pub fn texts(&mut self, pointer: &str) -> Vec<String> {
        match self.at(pointer) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(|t| cut(t).to_owned()).collect(),
            Some(_) => self.refuse(pointer, "a list of texts").unwrap_or_default(),
        }
    }

    /// A mapping, cloned; an empty one if there is none.
    pub fn mapping(&mut self, pointer: &str) -> Value {
        match self.at(pointer) {
            None => Value::Object(serde_json::Map::new()),
            Some(value @ Value::Object(_)) => value.clone(),
            Some(_) => self.refuse(pointer, "a mapping").unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }
    }
}

fn cut(text: &str) -> &str {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
