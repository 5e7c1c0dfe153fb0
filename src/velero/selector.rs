//! Label selectors as Kubernetes reads them, and what Velero makes of them. pure
//!
//! Sources: k8s.io/apimachinery `LabelSelectorAsSelector` and `labels.NewRequirement`; Velero's pkg/backup/item_collector.go. Velero turns a
//! selector into text and lists by it, so a selector that cannot be written as text (an empty one, a wrong one) makes every list fail.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

/// Labels of an object.
pub type Labels<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Labels out of a JSON mapping.
pub fn labels_of(map: &Map<String, Value>) -> Labels<'_> {
    map.iter().map(|(k, v)| (k.into(), v.as_str().unwrap_or_default().into())).collect()
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// One `LabelSelector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// All of these hold.
    Terms(Terms),
    /// Kubernetes refuses it: a key, value or operator is none.
    Wrong,
}

/// Requirements of which all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(Vec<Term>);

/// What a backup selects by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Nothing: everything is selected.
    #[default]
    All,
    /// `labelSelector`, or `orLabelSelectors` of which one must hold.
    Any(Vec<Selector>),
}

impl Selector {
    /// Reads one. Anything that is no mapping is wrong.
    pub fn read(value: &Value) -> Self {
        Self::terms(value).map_or(Self::Wrong, |terms| Self::Terms(Terms(terms)))
    }

    fn terms(value: &Value) -> Option<Vec<Term>> {
        let map = value.as_object()?;
        let mut terms = Vec::new();
        if let Some(labels) = map.get("matchLabels").filter(|v| !v.is_null()) {
            for (key, value) in labels.as_object()? {
                terms.push(Term::In(key.clone(), vec![value.as_str()?.to_owned()]));
            }
        }
        if let Some(expressions) = map.get("matchExpressions").filter(|v| !v.is_null()) {
            for e in expressions.as_array()? {
                let key = e.get("key").and_then(Value::as_str)?.to_owned();
                let values =
                    e.get("values").and_then(Value::as_array).map(|v| v.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
                let values = values.unwrap_or_else(|| Some(Vec::new()))?;
                terms.push(match (e.get("operator").and_then(Value::as_str)?, values.is_empty()) {
                    ("In", false) => Term::In(key, values),
                    ("NotIn", false) => Term::NotIn(key, values),
                    ("Exists", true) => Term::Exists(key),
                    ("DoesNotExist", true) => Term::Absent(key),
                    _ => return None,
                });
            }
        }
        terms.iter().all(Term::is_valid).then_some(terms)
    }

    /// Whether it selects these labels. An empty selector selects all, a wrong one none.
    pub fn matches(&self, labels: &Labels<'_>) -> bool {
        match self {
            Self::Wrong => false,
            Self::Terms(Terms(terms)) => terms.iter().all(|t| t.holds(labels)),
        }
    }

    /// Whether a list can be asked for by it. An empty selector becomes the text `<none>`, a wrong one `<error>`
    /// (`metav1.FormatLabelSelector`); the API server refuses both.
    pub fn can_list(&self) -> bool {
        matches!(self, Self::Terms(Terms(terms)) if !terms.is_empty())
    }

    /// Whether any requirement is about one of these labels.
    pub fn asks_for(&self, labels: &[&str]) -> bool {
        let Self::Terms(Terms(terms)) = self else { return false };
        terms.iter().any(|t| labels.contains(&t.key()))
    }
}

impl Selection {
    /// Out of a backup's spec.
    pub fn read(spec: &Value) -> Self {
        let member = |key: &str| spec.get(key).filter(|v| !v.is_null());
        match (member("labelSelector"), member("orLabelSelectors").and_then(Value::as_array)) {
            (_, Some(any)) if !any.is_empty() => Self::Any(any.iter().map(Selector::read).collect()),
            (Some(one), _) => Self::Any(vec![Selector::read(one)]),
            _ => Self::All,
        }
    }

    /// Whether there is any selector.
    pub fn is_set(&self) -> bool {
        *self != Self::All
    }

    /// Whether Velero can list by it. If one selector of several cannot be listed by, nothing is (`listResourceByLabelsPerNamespace`).
    pub fn can_list(&self) -> bool {
        match self {
            Self::All => true,
            Self::Any(any) => any.iter().all(Selector::can_list),
        }
    }

    /// Whether these labels are selected.
    pub fn matches(&self, labels: &Labels<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Any(any) => any.iter().any(|s| s.matches(labels)),
        }
    }

    /// Whether any selector is about one of these labels.
    pub fn asks_for(&self, labels: &[&str]) -> bool {
        match self {
            Self::All => false,
            Self::Any(any) => any.iter().any(|s| s.asks_for(labels)),
        }
    }
}

impl Term {
    fn key(&self) -> &str {
        match self {
            Self::In(key, _) | Self::NotIn(key, _) | Self::Exists(key) | Self::Absent(key) => key,
        }
    }

    fn holds(&self, labels: &Labels<'_>) -> bool {
        let value = labels.get(self.key());
        let among = |values: &[String]| value.is_some_and(|v| values.iter().any(|w| w == v));
        match self {
            Self::In(_, values) => among(values),
            Self::NotIn(_, values) => !among(values),
            Self::Exists(_) => value.is_some(),
            Self::Absent(_) => value.is_none(),
        }
    }

    fn is_valid(&self) -> bool {
        let values = match self {
            Self::In(_, values) | Self::NotIn(_, values) => values.as_slice(),
            Self::Exists(_) | Self::Absent(_) => &[],
        };
        let name = |text: &str| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
            let bytes = text.as_bytes();
            bytes.len() <= 63 && bytes.iter().all(|b| inner(*b)) && end(bytes.first()) && end(bytes.last())
        };
        let domain = |text: &str| {
            let part = |p: &str| {
                !p.is_empty()
                    && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !p.starts_with('-')
                    && !p.ends_with('-')
            };
            text.len() <= 253 && text.split('.').all(part)
        };
        let key = match self.key().split_once('/') {
            Some((prefix, rest)) => domain(prefix) && name(rest),
            None => name(self.key()),
        };
        key && values.iter().all(|v| v.is_empty() || name(v))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_match_as_the_api_server_matches_them() {
        let object = json!({"app": "cart", "tier": "web", "empty": ""});
        let labels = labels_of(object.as_object().expect("a mapping"));
        let express = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, matches, lists) in [
            (json!({"matchLabels": {"app": "cart"}}), true, true),
            (json!({"matchLabels": {"app": "cart", "tier": "db"}}), false, true),
            (json!({"matchLabels": {"empty": ""}}), true, true),
            (express("app", "In", json!(["a", "cart"])), true, true),
            (express("app", "NotIn", json!(["cart"])), false, true),
            (express("gone", "NotIn", json!(["cart"])), true, true),
            (express("app", "Exists", json!(null)), true, true),
            (express("gone", "DoesNotExist", json!([])), true, true),
            (express("app", "DoesNotExist", json!([])), false, true),
            (json!({}), true, false),
            (express("app", "In", json!([])), false, false),
            (express("app", "Exists", json!(["x"])), false, false),
            (express("app", "Like", json!(["x"])), false, false),
            (json!({"matchLabels": {"app": "two words"}}), false, false),
            (json!({"matchLabels": {"Example.com/app": "x"}}), false, false),
            (json!({"matchLabels": {"example.com/app": "x"}}), false, true),
            (json!([1]), false, false),
        ] {
            let read = Selector::read(&selector);
            assert_eq!((read.matches(&labels), read.can_list()), (matches, lists), "{selector}");
        }
    }

    #[test]
    fn of_several_selectors_one_must_hold_and_all_must_be_listable() {
        let object = json!({"app": "cart"});
        let labels = labels_of(object.as_object().expect("a mapping"));
        let any = Selection::read(&json!({"orLabelSelectors": [{"matchLabels": {"app": "pay"}}, {"matchLabels": {"app": "cart"}}]}));
        assert!(any.is_set() && any.matches(&labels) && any.can_list() && any.asks_for(&["app"]) && !any.asks_for(&["b"]));
        let broken = Selection::read(&json!({"orLabelSelectors": [{"matchLabels": {"app": "cart"}}, {}]}));
        assert!(broken.matches(&labels) && !broken.can_list());
        for nothing in [json!({}), json!({"orLabelSelectors": [], "labelSelector": null})] {
            assert_eq!(Selection::read(&nothing), Selection::All);
        }
    }
}
