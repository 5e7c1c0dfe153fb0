//! Reads one list page object by object, so that never more than one is held as a tree of values. pure

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::call::CallError;

/// The end of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PageEnd {
    /// Where to go on; absent or empty at the last page.
    #[serde(rename = "continue")]
    pub next: Option<String>,
    /// The state that the list speaks of.
    pub resource_version: String,
}

/// Hands every item of a list to `take`, in order.
///
/// # Errors
/// When the text is not a list as Kubernetes sends it. Items before the wrong place were handed out already: the caller drops them.
pub fn read_page(text: &[u8], take: &mut dyn FnMut(Value)) -> Result<PageEnd, CallError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let end = parser.deserialize_map(Page { take }).map_err(|e| CallError::malformed(&e))?;
    parser.end().map_err(|e| CallError::malformed(&e))?;
    end.ok_or_else(|| CallError::Malformed("it is no list".into()))
}

struct Page<'a> {
    take: &'a mut dyn FnMut(Value),
}

impl<'de> Visitor<'de> for Page<'_> {
    type Value = Option<PageEnd>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut end, mut items) = (None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metadata" => end = Some(map.next_value::<PageEnd>()?),
                "items" => {
                    map.next_value_seed(Items { take: self.take })?;
                    items = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(end.filter(|_| items))
    }
}

struct Items<'a> {
    take: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    // Go writes an empty slice that was never made as null.
    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<Value>()? {
            (self.take)(item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Result<(Vec<Value>, PageEnd), CallError> {
        let mut items = Vec::new();
        read_page(text.as_bytes(), &mut |v| items.push(v)).map(|end| (items, end))
    }

    #[test]
    fn items_come_one_by_one_and_the_end_says_where_to_go_on() {
        let (items, end) =
            page(r#"{"kind":"XList","metadata":{"resourceVersion":"7","continue":"c","remainingItemCount":3},"items":[{"a":1},{"b":2}]}"#)
                .expect("a page");
        assert_eq!((items.len(), end), (2, PageEnd { next: Some("c".into()), resource_version: "7".into() }));
        let (items, end) = page(r#"{"items":null,"metadata":{}}"#).expect("a page");
        assert_eq!((items.len(), end), (0, PageEnd::default()));
    }

    #[test]
    fn what_is_no_list_is_refused_without_quoting_it() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"metadata":{}}"#,
            r#"{"items":[{"canary":1}"#,
            r#"{"items":"canary","metadata":{}}"#,
            "<html>canary",
            "{\"metadata\":{},\"items\":[]} x",
        ] {
            let told = page(text).expect_err(text).to_string();
            assert!(told.contains("cannot be read") && !told.contains("canary"), "{told}");
        }
    }
}
