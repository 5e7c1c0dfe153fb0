//! What the server fills in when nobody sets a field: rules with their conditions, read from a table. pure
//!
//! A rule is a line of `defaults.txt`: type, field, value and conditions. The value is JSON or says where it comes from; the conditions
//! look at what stands beside the field. Kubernetes' own functions (`SetDefaults_*`) look at the whole object in the same way.

use std::mem::size_of;

use serde_json::Value;

use super::index::bytes_of;
use crate::{drift::values::same, object::Text};

/// One value that the server fills in, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultRule {
    value: Source,
    when: Vec<Condition>,
}

/// Where a default comes from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// It is always this.
    Json(Value),
    /// What another field has.
    Copy(Reference),
    /// What another mapping has under the same key.
    Entry(Reference),
    /// `Always` or `IfNotPresent`, by the tag of an image.
    PullPolicy(Reference),
    /// Another field in lower case.
    Lower(Reference),
    /// Another field and a suffix.
    Suffixed(Reference, Text),
    /// Nothing: whatever is set, the server takes it out.
    Nothing,
    /// What another field has that Git sets: the two are one field under two names, and the other wins.
    Follows(Reference),
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// The field has one of these values.
    Is(Reference, Vec<Value>),
    /// The field is there and not empty.
    Has(Reference),
    /// The field is not there, or empty.
    Lacks(Reference),
    /// The container at hand is in this field.
    Under(Text),
    /// The object is of one of these kinds.
    Kind(Vec<Text>),
    /// Nothing else stands beside it but these.
    Alone(Vec<Text>),
}

/// Another field: from the root (`/spec/x`), beside (`x`), or beside a container further out (`../x`). Lists do not count as containers.
#[derive(Clone, Debug, PartialEq)]
struct Reference {
    root: bool,
    up: usize,
    steps: Vec<Text>,
}

/// Where a field stands.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// Kind of the object.
    pub kind: &'a str,
    /// Schema path of the field; list items stand as `*`.
    pub path: &'a [&'a str],
    /// Containers from the root down to the one that the field is in.
    pub trail: &'a [&'a Value],
}

impl DefaultRule {
    /// A rule that always holds.
    pub fn always(value: Value) -> Self {
        Self { value: Source::Json(value), when: Vec::new() }
    }

    /// Reads value and conditions of a line. `None` if it is none.
    pub fn parse(value: &str, conditions: &str) -> Option<Self> {
        let when = conditions.split(';').map(str::trim).filter(|c| !c.is_empty()).map(Condition::parse).collect::<Option<_>>()?;
        Some(Self { value: Source::parse(value)?, when })
    }

    /// The value, if it is the same whatever stands beside it.
    pub fn constant(&self) -> Option<&Value> {
        match &self.value {
            Source::Json(value) => Some(value),
            _ => None,
        }
    }

    /// The value that is filled in without any condition.
    pub fn unconditional(&self) -> Option<&Value> {
        self.constant().filter(|_| self.when.is_empty())
    }

    /// Whether the server fills in this value here.
    pub fn gives(&self, spot: &Spot<'_>, entry: bool, value: &Value) -> bool {
        // An entry's neighbours are those of the mapping that it is in.
        let beside = if entry { spot.trail.len().saturating_sub(1) } else { spot.trail.len() };
        let trail = &spot.trail[..beside];
        self.value.is(spot, trail, value) && self.when.iter().all(|c| c.holds(spot, trail, entry))
    }

    /// Whether the server makes this value of what stands beside the field, whatever the field itself says.
    pub fn decides(&self, spot: &Spot<'_>, value: &Value) -> bool {
        let Source::Follows(other) = &self.value else { return false };
        other.find(spot.trail).is_some_and(|v| same(v, value)) && self.when.iter().all(|c| c.holds(spot, spot.trail, false))
    }

    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.when.len() * size_of::<Condition>() + self.constant().map_or(0, bytes_of)
    }
}

impl Source {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(json) = serde_json::from_str(text) {
            return Some(Self::Json(json));
        }
        if text == "nothing" {
            return Some(Self::Nothing);
        }
        let (name, argument) = text.strip_suffix(')')?.split_once('(')?;
        let at = |a: &str| Reference::parse(a);
        Some(match name {
            "copy" => Self::Copy(at(argument)),
            "entry" => Self::Entry(at(argument)),
            "pull_policy" => Self::PullPolicy(at(argument)),
            "lower" => Self::Lower(at(argument)),
            "follows" => Self::Follows(at(argument)),
            "suffixed" => {
                let (field, suffix) = argument.split_once(',')?;
                Self::Suffixed(at(field), suffix.trim().into())
            }
            _ => return None,
        })
    }

    fn is(&self, spot: &Spot<'_>, trail: &[&Value], value: &Value) -> bool {
        let text = |at: &Reference| at.find(trail).and_then(Value::as_str);
        match self {
            Self::Json(json) => same(json, value),
            Self::Copy(at) => at.find(trail).is_some_and(|v| same(v, value)),
            // The map that the others are filled from is not filled from itself.
            Self::Entry(at) => {
                let source = at.find(trail).filter(|map| !spot.trail.last().is_some_and(|own| std::ptr::eq(*own, *map)));
                spot.path.last().zip(source).and_then(|(key, map)| map.get(*key)).is_some_and(|v| same(v, value))
            }
            Self::Nothing => true,
            // It is no default: what Git sets decides.
            Self::Follows(_) => false,
            Self::PullPolicy(at) => value == pull_policy(text(at).unwrap_or_default()),
            Self::Lower(at) => text(at).zip(value.as_str()).is_some_and(|(other, v)| v == other.to_lowercase()),
            Self::Suffixed(at, suffix) => {
                text(at).zip(value.as_str()).is_some_and(|(other, v)| v.strip_suffix(&**suffix).is_some_and(|rest| rest == other))
            }
        }
    }
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        let words = |rest: &str| rest.split_whitespace().map(Text::from).collect::<Vec<_>>();
        if let Some((field, values)) = text.split_once(" = ") {
            let values = values.split(" | ").map(|v| serde_json::from_str(v.trim()).ok()).collect::<Option<_>>()?;
            return Some(Self::Is(Reference::parse(field), values));
        }
        let (word, rest) = text.split_once(' ')?;
        Some(match word {
            "has" => Self::Has(Reference::parse(rest)),
            "lacks" => Self::Lacks(Reference::parse(rest)),
            "under" => Self::Under(rest.into()),
            "kind" => Self::Kind(words(rest)),
            "alone" => Self::Alone(words(rest)),
            _ => return None,
        })
    }

    fn holds(&self, spot: &Spot<'_>, trail: &[&Value], entry: bool) -> bool {
        let empty = |v: &Value| match v {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        match self {
            Self::Is(at, values) => at.find(trail).is_some_and(|v| values.contains(v)),
            Self::Has(at) => at.find(trail).is_some_and(|v| !empty(v)),
            Self::Lacks(at) => at.find(trail).is_none_or(empty),
            Self::Under(name) => spot.path.iter().rev().nth(if entry { 2 } else { 1 }).is_some_and(|step| *step == &**name),
            Self::Kind(kinds) => kinds.iter().any(|k| &**k == spot.kind),
            Self::Alone(names) => {
                let field = spot.path.last().copied().unwrap_or_default();
                trail.last().and_then(|v| v.as_object()).is_some_and(|m| m.keys().all(|k| k == field || names.iter().any(|n| **n == **k)))
            }
        }
    }
}

impl Reference {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        let root = text.starts_with('/');
        let steps: Vec<&str> = text.split('/').filter(|s| !s.is_empty()).collect();
        let up = steps.iter().take_while(|s| **s == "..").count();
        Self { root, up, steps: steps[up..].iter().map(|s| Text::from(*s)).collect() }
    }

    fn find<'v>(&self, trail: &[&'v Value]) -> Option<&'v Value> {
        let start = if self.root { trail.first() } else { trail.iter().rev().filter(|v| !v.is_array()).nth(self.up) };
        self.steps.iter().try_fold(*start?, |value, step| value.get(&**step)).filter(|v| !v.is_null())
    }
}

/// `Always` for `latest` and for images without tag and digest, else `IfNotPresent` (`pkg/util/parsers` ParseImageName: a digest alone
/// leaves the tag empty).
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match (tag, digest) {
        // No image at all has no tag either, and the parser's error is passed over.
        _ if image.is_empty() => "IfNotPresent",
        (Some("latest"), _) | (None, false) => "Always",
        _ => "IfNotPresent",
    }
}

/// One line of the table: a type, a field of it (or the entries of a field, `field/*`), and what is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'t> {
    /// Type, without the common prefix.
    pub of: &'t str,
    /// Field.
    pub field: &'t str,
    /// The rule.
    pub rule: DefaultRule,
}

/// Reads the table; lines that do not parse are left out, and a test holds that there are none.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter(|l| !l.starts_with('#')).filter_map(|line| {
        let mut columns = line.split('\t');
        let (of, field, value) = (columns.next()?, columns.next()?, columns.next()?);
        Some(Line { of, field, rule: DefaultRule::parse(value, columns.next().unwrap_or_default())? })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gives(rule: (&str, &str), kind: &str, path: &str, trail: &[&Value], value: Value) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        DefaultRule::parse(rule.0, rule.1).expect("a rule").gives(&Spot { kind, path: &path, trail }, path.contains(&"requests"), &value)
    }

    #[test]
    fn the_pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("registry.example.com:5000/nginx", "Always"),
            ("registry.example.com:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
            ("nginx:latest@sha256:00", "Always"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_value_that_its_neighbours_do_not_explain_is_no_default() {
        let container =
            json!({"image": "nginx:1", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, "ports": [{"containerPort": 80}]});
        let spec = json!({"hostNetwork": true, "containers": [container]});
        let root = json!({"spec": spec});
        let port = json!({"containerPort": 80});
        let pull = ("pull_policy(image)", "");
        assert!(gives(pull, "Pod", "spec/containers/*/imagePullPolicy", &[&root, &spec, &container], json!("IfNotPresent")));
        assert!(!gives(pull, "Pod", "spec/containers/*/imagePullPolicy", &[&root, &spec, &container], json!("Never")));
        assert!(!gives(pull, "Pod", "spec/containers/*/imagePullPolicy", &[], json!("Always")));
        let trail = [&root, &spec, &spec["containers"], &container, &container["ports"], &port];
        let host = ("copy(containerPort)", "../../hostNetwork = true");
        assert!(gives(host, "Pod", "spec/containers/*/ports/*/hostPort", &trail, json!(80)));
        assert!(!gives(host, "Pod", "spec/containers/*/ports/*/hostPort", &trail, json!(8080)));
        let trail = [&root, &spec, &spec["containers"], &container, &container["resources"], &container["resources"]["requests"]];
        let requests = ("entry(limits)", "kind Pod");
        assert!(gives(requests, "Pod", "spec/containers/*/resources/requests/cpu", &trail, json!("1")));
        assert!(!gives(requests, "Pod", "spec/containers/*/resources/requests/cpu", &trail, json!("2")));
        assert!(!gives(requests, "Deployment", "spec/containers/*/resources/requests/cpu", &trail, json!("1")));
    }

    #[test]
    fn conditions_look_beside_above_and_at_the_root() {
        let spec = json!({"type": "NodePort", "empty": [], "n": null, "down": {"x": 1}});
        let root = json!({"spec": spec});
        let down = &spec["down"];
        for (when, holds) in [
            ("../type = \"NodePort\" | \"LoadBalancer\"", true),
            ("../type = \"ClusterIP\"", false),
            ("/spec/type = \"NodePort\"", true),
            ("has ../type; lacks ../empty; lacks ../n", true),
            ("has ../empty", false),
            ("under down", true),
            ("under up", false),
            ("kind Service Pod", true),
            ("kind Pod", false),
            ("alone x", true),
            ("alone y", false),
        ] {
            assert_eq!(gives(("1", when), "Service", "spec/down/y", &[&root, &spec, down], json!(1)), holds, "{when}");
        }
        for broken in ["whatever", "when x", "x = nope"] {
            assert!(DefaultRule::parse("1", broken).is_none(), "{broken}");
        }
        assert!(DefaultRule::parse("copy(x", "").is_none() && DefaultRule::parse("what(x)", "").is_none());
    }
}
