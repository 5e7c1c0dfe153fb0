//! How the items of two lists are paired. pure

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::values::{key_text, same};
use crate::object::Text;

/// Key fields of a keyed list, each with the default that stands for an absent one.
pub type Keys = [(Text, Option<Text>)];

/// Positions that belong together; one side is absent for what only the other has. Desired ones first, in their order.
pub type Pairs = Vec<(Option<usize>, Option<usize>)>;

/// Pairs of items with a repeated key that are looked at, besides one for each item: what occurs more often was made by nobody.
const MOST_CANDIDATES: usize = 4_096;

/// The value of one key field of an item, as text; the default if it is absent. `None` if it has none.
pub fn key_value(item: &Value, key: &str, default: Option<&str>) -> Option<String> {
    match item.as_object()?.get(key) {
        None | Some(Value::Null) => default.map(str::to_owned),
        Some(Value::String(text)) if text.is_empty() => default.map(str::to_owned).or_else(|| Some(String::new())),
        Some(Value::Object(_) | Value::Array(_)) => None,
        Some(scalar) => Some(key_text(scalar)),
    }
}

/// The items by their keys; `None` if one of them is no mapping or lacks a key.
fn keys_of(items: &[Value], keys: &Keys) -> Option<Vec<Vec<String>>> {
    items.iter().map(|item| keys.iter().map(|(k, default)| key_value(item, k, default.as_deref())).collect()).collect()
}

/// Whether two items plainly have the same keys: compared in place, so that the common case of equal order costs no allocation.
fn same_keys(a: &Value, b: &Value, keys: &Keys) -> bool {
    keys.iter().all(|(k, default)| match (a.get(&**k), b.get(&**k)) {
        (Some(Value::String(x)), Some(Value::String(y))) => x == y && !x.is_empty(),
        (Some(Value::Number(x)), Some(Value::Number(y))) => x == y,
        (None, Some(Value::String(t))) | (Some(Value::String(t)), None) => default.as_deref().is_some_and(|d| d == t),
        (None, None) => default.is_some(),
        _ => false,
    })
}

/// Pairs by keys, items of a repeated key by what they say. `None` if an item has no keys: such a list can only be compared by position.
pub fn by_keys(desired: &[Value], observed: &[Value], keys: &Keys) -> Option<Pairs> {
    if desired.len() == observed.len() && desired.iter().zip(observed).all(|(d, o)| same_keys(d, o, keys)) {
        return Some((0..desired.len()).map(|i| (Some(i), Some(i))).collect());
    }
    let (wanted, there) = (keys_of(desired, keys)?, keys_of(observed, keys)?);
    let pairs = pair(&wanted, &there);
    // Of items that repeat a key those belong together that say the same.
    let repeats = |all: &[Vec<String>]| all.iter().collect::<HashSet<_>>().len() < all.len();
    let by_likeness = || alike(desired, observed, (&wanted, &there));
    Some((repeats(&wanted) || repeats(&there)).then(by_likeness).flatten().unwrap_or(pairs))
}

/// Pairs items of one key by how much they say the same, equal ones first. `None` if so many repeat a key that their order has to do.
fn alike(desired: &[Value], observed: &[Value], (wanted, there): (&[Vec<String>], &[Vec<String>])) -> Option<Pairs> {
    let members = |v: &Value| v.as_object().map_or(0, serde_json::Map::len);
    let shared = |d: &Value, o: &Value| d.as_object().map_or(0, |d| d.iter().filter(|(k, v)| o.get(*k).is_some_and(|w| same(v, w))).count());
    let mut candidates: Vec<(usize, usize, usize)> = Vec::new();
    let mut by_key: HashMap<&Vec<String>, Vec<usize>> = HashMap::new();
    there.iter().enumerate().for_each(|(o, key)| by_key.entry(key).or_default().push(o));
    if wanted.iter().map(|key| by_key.get(key).map_or(0, Vec::len)).sum::<usize>() > MOST_CANDIDATES + wanted.len() {
        return None;
    }
    for (d, key) in wanted.iter().enumerate() {
        let found = by_key.get(key).into_iter().flatten();
        // What is not shared on either side speaks against a pair.
        candidates.extend(found.map(|&o| (members(&desired[d]) + members(&observed[o]) - 2 * shared(&desired[d], &observed[o]), d, o)));
    }
    candidates.sort_unstable();
    let mut of_desired = vec![None; desired.len()];
    let mut taken = vec![false; observed.len()];
    for (_, d, o) in candidates {
        if of_desired[d].is_none() && !taken[o] {
            (of_desired[d], taken[o]) = (Some(o), true);
        }
    }
    let pairs = of_desired.into_iter().enumerate().map(|(d, o)| (Some(d), o));
    Some(pairs.chain(taken.iter().enumerate().filter(|(_, taken)| !**taken).map(|(o, _)| (None, Some(o)))).collect())
}

fn pair<K: std::hash::Hash + Eq>(desired: &[K], observed: &[K]) -> Pairs {
    let mut open: HashMap<&K, VecDeque<usize>> = HashMap::with_capacity(observed.len());
    for (i, key) in observed.iter().enumerate() {
        open.entry(key).or_default().push_back(i);
    }
    let mut pairs: Pairs = desired.iter().enumerate().map(|(i, key)| (Some(i), open.get_mut(key).and_then(VecDeque::pop_front))).collect();
    let mut rest: Vec<usize> = open.into_values().flatten().collect();
    rest.sort_unstable();
    pairs.extend(rest.into_iter().map(|i| (None, Some(i))));
    pairs
}

/// Whether every item is a mapping with a `name` of its own, and there is one.
pub fn has_unique_names(items: &[Value]) -> bool {
    let mut names: Vec<&str> = Vec::with_capacity(items.len());
    for item in items {
        match item.get("name").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => names.push(name),
            _ => return false,
        }
    }
    names.sort_unstable();
    !names.is_empty() && names.windows(2).all(|w| w[0] != w[1])
}

/// Pairs equal items wherever they are; what has no equal stands alone.
pub fn as_set(desired: &[Value], observed: &[Value]) -> Pairs {
    let canonical = |items: &[Value]| items.iter().map(canonical).collect::<Vec<_>>();
    pair(&canonical(desired), &canonical(observed))
}

/// Pairs the items of a list whose order means nothing: equal ones first, what is left over by position.
pub fn as_bag(desired: &[Value], observed: &[Value]) -> Pairs {
    if desired.len() == observed.len() && desired.iter().zip(observed).all(|(d, o)| same(d, o)) {
        return (0..desired.len()).map(|i| (Some(i), Some(i))).collect();
    }
    let paired = as_set(desired, observed);
    let mut rest: VecDeque<usize> = paired.iter().filter(|(d, _)| d.is_none()).filter_map(|(_, o)| *o).collect();
    let mut pairs: Pairs = paired.into_iter().filter(|(d, _)| d.is_some()).map(|(d, o)| (d, o.or_else(|| rest.pop_front()))).collect();
    pairs.extend(rest.into_iter().map(|i| (None, Some(i))));
    pairs
}

/// A text that is the same for items that differ only in the order of their lists of scalars.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members: Vec<String> = map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k:?}:{}", canonical(v))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let mut texts: Vec<String> = items.iter().map(canonical).collect();
            if items.iter().all(|i| !i.is_object() && !i.is_array()) {
                texts.sort_unstable();
            }
            format!("[{}]", texts.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(v: Value) -> Vec<Value> {
        v.as_array().cloned().unwrap_or_default()
    }

    #[test]
    fn ports_are_paired_by_number_and_protocol_with_its_default() {
        let keys = [("port".into(), None), ("protocol".into(), Some("TCP".into()))];
        let git = list(json!([{"port": 53, "protocol": "UDP"}, {"port": 53}, {"port": 80}]));
        let live = list(json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"port": 81, "protocol": "TCP"}]));
        assert_eq!(by_keys(&git, &live, &keys), Some(vec![(Some(0), Some(1)), (Some(1), Some(0)), (Some(2), None), (None, Some(2))]));
    }

    #[test]
    fn repeated_keys_are_paired_in_their_order_and_items_without_keys_are_not() {
        let keys = [("name".into(), None)];
        let twice = list(json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]));
        assert_eq!(by_keys(&twice, &twice, &keys), Some(vec![(Some(0), Some(0)), (Some(1), Some(1))]));
        assert_eq!(by_keys(&twice, &twice[..1], &keys), Some(vec![(Some(0), Some(0)), (Some(1), None)]));
        assert_eq!(by_keys(&twice, &list(json!(["x"])), &keys), None);
        assert_eq!(by_keys(&list(json!([{"name": {}}])), &twice, &keys), None);
    }

    #[test]
    fn of_items_that_repeat_a_key_those_belong_together_that_say_the_same() {
        let keys = [("name".into(), None)];
        let git = list(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2", "more": 1}]));
        let live = list(json!([{"name": "B", "value": "1"}, {"name": "B", "value": "2"}]));
        assert_eq!(by_keys(&git, &live, &keys), Some(vec![(Some(0), None), (Some(1), Some(1)), (None, Some(0))]));
        let twice = list(json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B"}]));
        let turned = list(json!([{"name": "B"}, {"name": "A", "value": "2"}, {"name": "A", "value": "1"}]));
        assert_eq!(by_keys(&twice, &turned, &keys), Some(vec![(Some(0), Some(2)), (Some(1), Some(1)), (Some(2), Some(0))]));
        let many = |from: i64| (from..from + 20_000).map(|n| json!({"name": "A", "value": n})).chain([json!({"name": from})]).collect::<Vec<_>>();
        let begun = std::time::Instant::now();
        let pairs = by_keys(&many(0), &many(1), &keys).expect("keys");
        assert_eq!((pairs[7], pairs.len()), ((Some(7), Some(7)), 20_002), "so many are paired in their order");
        assert!(begun.elapsed().as_secs() < 30, "in time that grows with their number");
    }

    #[test]
    fn bags_pair_equal_items_wherever_they_are() {
        let git = list(json!([{"verbs": ["get", "list"]}, {"verbs": ["watch"]}]));
        let live = list(json!([{"verbs": ["update"]}, {"verbs": ["list", "get"]}]));
        assert_eq!(as_bag(&git, &live), [(Some(0), Some(1)), (Some(1), Some(0))]);
        assert_eq!(as_bag(&git, &live[1..]), [(Some(0), Some(0)), (Some(1), None)]);
    }

    #[test]
    fn names_count_only_if_all_have_one_of_their_own() {
        for (items, unique) in [
            (json!([{"name": "a"}, {"name": "b"}]), true),
            (json!([{"name": "a"}, {"name": "a"}]), false),
            (json!([{"name": "a"}, {}]), false),
            (json!(["a"]), false),
            (json!([]), false),
        ] {
            assert_eq!(has_unique_names(&list(items.clone())), unique, "{items}");
        }
    }
}
