//! Finds values by path, also in long lists of items with keys. pure

use std::{cell::RefCell, collections::HashMap};

use serde_json::Value;

use super::{FieldPath, Step, Text};

/// Positions of items by the texts of their keys.
type Positions = HashMap<Vec<String>, usize>;

/// Items of a list above which positions are noted, so that many paths into a long list do not each walk along it.
const LONG: usize = 64;

/// Positions in long lists, noted when they are first asked for. It serves values that outlive it and do not change.
#[derive(Debug, Default)]
pub struct Lookup {
    /// By the list and the names of the keys.
    known: RefCell<HashMap<(*const Value, Vec<String>), Positions>>,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Lookup {
    /// The value at a path, if it is there. List items are found by their keys.
    pub fn at<'v>(&self, root: &'v Value, path: &FieldPath) -> Option<&'v Value> {
        path.0.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get(&**key),
            Step::Index(n) => value.get(n),
            Step::Value(want) => value.as_array()?.iter().find(|v| text(v) == **want),
            Step::Select(keys) => match self.position(value, keys) {
                Some(n) => value.get(n),
                // A key that the item leaves out stands for its default, which the path spells out.
                None => value.as_array()?.iter().find(|v| keys.iter().all(|(k, want)| v.get(&**k).is_none_or(|have| text(have) == **want))),
            },
        })
    }

    /// The position of the item of a long list that has all these keys; of two the first. `None` also for a short list, which is walked
    /// along in no time.
    pub fn position(&self, list: &Value, keys: &[(Text, Text)]) -> Option<usize> {
        let items = list.as_array().filter(|items| items.len() > LONG)?;
        let names: Vec<String> = keys.iter().map(|(k, _)| k.to_string()).collect();
        let mut known = self.known.borrow_mut();
        let positions = known.entry((std::ptr::from_ref(list), names)).or_insert_with_key(|(_, names)| {
            let of = |item: &Value| names.iter().map(|k| item.get(k).map(text)).collect::<Option<Vec<_>>>();
            items.iter().enumerate().rev().filter_map(|(n, item)| Some((of(item)?, n))).collect()
        });
        let wanted: Vec<String> = keys.iter().map(|(_, text)| text.to_string()).collect();
        positions.get(&wanted).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_found_in_short_lists_and_in_long_ones() {
        for many in [3, 500] {
            let mut ports: Vec<Value> = (0..many).map(|n| json!({"port": n, "protocol": "TCP", "name": format!("p{n}")})).collect();
            ports.push(json!({"port": 2, "protocol": "TCP", "name": "again"}));
            ports.push(json!({"port": 7_000, "name": "without a protocol"}));
            let value = json!({"spec": {"ports": ports}});
            let select = |port: &str, protocol: &str| Step::Select(vec![("port".into(), port.into()), ("protocol".into(), protocol.into())]);
            let lookup = Lookup::default();
            let name = |port: &str, protocol: &str| {
                let path = FieldPath::root().key("spec").key("ports").child(select(port, protocol)).key("name");
                lookup.at(&value, &path).and_then(Value::as_str).map(str::to_owned)
            };
            assert_eq!(name("2", "TCP").as_deref(), Some("p2"), "the first of two");
            assert_eq!(name("2", "UDP"), None);
            assert_eq!(name("7000", "TCP").as_deref(), Some("without a protocol"));
            assert_eq!(name("9999", "TCP"), None);
        }
    }
}
