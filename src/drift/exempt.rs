//! Rules of users and deployers that leave differences out, compiled once and applied to one object after the other. pure
//!
//! A rule speaks of an object if all that it names matches. It leaves out a field if one of its pointers or jq expressions covers the
//! field or one of its managers owns it; without any of these it leaves out the whole object. Whether it has expired is the caller's question.
//!
//! Pointers are RFC 6901 with `*` for any one step. In a list the step is the item's position in Git (in the cluster, for what only the
//! cluster has), or the values of its keys joined by commas: `/spec/template/spec/containers/app/env/DEBUG`, `/spec/ports/80,TCP`.

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};
use serde_json::Value;

use super::{
    jq::{self, Jq},
    pointer::{cut, parse, there},
    values::same,
};
use crate::{
    config::IgnoreRule,
    object::{DeployerMark, ObjectId, Text},
};

/// Whether a jq expression is one that rules may use.
///
/// # Errors
/// When it is not; the message says why.
pub fn readable(jq: &str) -> Result<(), String> {
    Jq::read(jq).map(drop)
}

/// One step of a leaf as rules see it.
#[derive(Debug)]
pub enum Token {
    /// A member of a mapping.
    Key(String),
    /// An item: its position in Git, its position on the other side, and the values of its keys.
    Item(Option<usize>, Option<usize>, String),
}

/// Text that a rule asks for.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Anything.
    Any,
    /// This text.
    Exact(String),
    /// Whatever the glob matches.
    Like(Box<GlobMatcher>),
}

impl Pattern {
    /// A glob; an absent one matches anything. One that does not parse matches nothing but itself (the configuration has refused it).
    pub fn glob(pattern: Option<&str>) -> Self {
        match pattern {
            None | Some("*") => Self::Any,
            Some(p) if !p.contains(['*', '?', '[', '{', '\\']) => Self::Exact(p.to_owned()),
            Some(p) => Glob::new(p).map_or_else(|_| Self::Exact(p.to_owned()), |g| Self::Like(Box::new(g.compile_matcher()))),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => wanted == text,
            Self::Like(glob) => glob.is_match(text),
        }
    }
}

/// Which objects a rule speaks of.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// API group.
    pub group: Pattern,
    /// Kind.
    pub kind: Pattern,
    /// Namespace.
    pub namespace: Pattern,
    /// Name.
    pub name: Pattern,
    /// Only what this deployer put there; `None` for any object.
    pub by: Option<By>,
    /// Labels and annotations that the object must have.
    pub labels: Vec<(String, String)>,
    /// Annotations that the object must have.
    pub annotations: Vec<(String, String)>,
}

/// Whose objects a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Those of any Argo CD application.
    ArgoCd,
    /// Those with one of these marks.
    Marks(Vec<DeployerMark>),
}

impl Chosen {
    /// Any object.
    pub fn any() -> Self {
        let any = Pattern::Any;
        Self { group: any.clone(), kind: any.clone(), namespace: any.clone(), name: any, by: None, labels: Vec::new(), annotations: Vec::new() }
    }

    fn matches(&self, id: &ObjectId, mark: Option<&DeployerMark>, desired: &Value, observed: &Value) -> bool {
        let by = match &self.by {
            None => true,
            Some(By::ArgoCd) => matches!(mark, Some(DeployerMark::ArgoCd(_))),
            Some(By::Marks(marks)) => mark.is_some_and(|m| marks.contains(m)),
        };
        let has = |section: &str, wanted: &[(String, String)]| {
            let at =
                |v: &Value, key: &str, text: &str| v.get("metadata").and_then(|m| m.get(section)).and_then(|s| s.get(key)).is_some_and(|v| v == text);
            wanted.iter().all(|(k, v)| at(desired, k, v) || at(observed, k, v))
        };
        by && self.group.matches(&id.gk.group)
            && self.kind.matches(&id.gk.kind)
            && self.namespace.matches(id.namespace.as_deref().unwrap_or_default())
            && self.name.matches(&id.name)
            && has("labels", &self.labels)
            && has("annotations", &self.annotations)
    }
}

/// What a rule leaves out.
#[derive(Clone)]
enum Part {
    Pointer(String, Vec<String>),
    Jq(String, Result<Jq, String>),
    Manager(String),
}

impl Part {
    fn text(&self) -> &str {
        match self {
            Self::Pointer(text, _) | Self::Jq(text, _) | Self::Manager(text) => text,
        }
    }
}

/// One rule.
#[derive(Clone)]
pub struct Exemption {
    /// Where it stands: `configuration`, `Argo CD Application argocd/shop`, ...
    pub origin: Text,
    /// Why it exists.
    pub reason: Text,
    objects: Chosen,
    parts: Vec<Part>,
}

impl Exemption {
    /// A rule over whole objects; parts are added to narrow it.
    pub fn new(origin: &str, reason: &str, objects: Chosen) -> Self {
        Self { origin: origin.into(), reason: reason.into(), objects, parts: Vec::new() }
    }

    /// Leaves out what JSON pointers cover.
    #[must_use]
    pub fn pointers<'t>(mut self, all: impl IntoIterator<Item = &'t str>) -> Self {
        self.parts.extend(all.into_iter().map(|p| Part::Pointer(p.to_owned(), parse(p))));
        self
    }

    /// Leaves out what jq expressions choose.
    #[must_use]
    pub fn jq<'t>(mut self, all: impl IntoIterator<Item = &'t str>) -> Self {
        self.parts.extend(all.into_iter().map(|e| Part::Jq(e.to_owned(), Jq::read(e))));
        self
    }

    /// Leaves out what field managers own.
    #[must_use]
    pub fn managers<'t>(mut self, all: impl IntoIterator<Item = &'t str>) -> Self {
        self.parts.extend(all.into_iter().map(|m| Part::Manager(m.to_owned())));
        self
    }

    /// A rule of the configuration.
    pub fn of(rule: &IgnoreRule) -> Self {
        let glob = |p: &Option<String>| Pattern::glob(p.as_deref());
        let (group, kind, namespace, name) = (glob(&rule.group), glob(&rule.kind), glob(&rule.namespace), glob(&rule.name));
        Self::new("configuration", &rule.reason, Chosen { group, kind, namespace, name, ..Chosen::any() })
            .pointers(rule.pointers.iter().map(String::as_str))
            .jq(rule.jq.iter().map(String::as_str))
            .managers(rule.managers.iter().map(String::as_str))
    }
}

/// What became of one part of a rule beside one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Position of the rule.
    pub rule: usize,
    /// Position of the part; `None` for the rule as a whole.
    pub part: Option<usize>,
    /// Why the part is broken, if it is.
    pub broken: Option<String>,
}

/// All rules.
#[derive(Clone, Default)]
pub struct Exemptions(Vec<Exemption>);

impl Exemptions {
    /// Rules in the order in which they are asked.
    pub fn new(all: Vec<Exemption>) -> Self {
        Self(all)
    }

    /// A text that is the same for the same rules.
    pub fn print(&self) -> String {
        let parts = |e: &Exemption| e.parts.iter().map(|p| p.text().to_owned()).collect::<Vec<_>>();
        self.0.iter().map(|e| format!("{} {} {:?} {:?}\n", e.origin, e.reason, e.objects, parts(e))).collect()
    }

    /// No rules.
    pub fn none() -> &'static Self {
        const NONE: &Exemptions = &Exemptions(Vec::new());
        NONE
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Origin, reason and parts of every rule, for telling which were of no use.
    pub fn listed(&self) -> impl Iterator<Item = (&Exemption, Vec<&str>)> {
        self.0.iter().map(|e| (e, e.parts.iter().map(Part::text).collect()))
    }

    /// The rules that speak of this object, with what they choose in it.
    pub(super) fn to<'a>(&'a self, id: &ObjectId, mark: Option<&DeployerMark>, desired: &Value, observed: &Value) -> Vec<Applies<'a>> {
        let hit = |(n, rule): (usize, &'a Exemption)| {
            rule.objects.matches(id, mark, desired, observed).then(|| Applies {
                n,
                rule,
                jq: rule.parts.iter().map(|p| p.chosen(desired, observed)).collect(),
            })
        };
        self.0.iter().enumerate().filter_map(hit).collect()
    }
}

/// What an expression chooses in Git's object and in the other, or why it is broken.
type Choice = Result<[Vec<Vec<jq::Step>>; 2], String>;

impl Part {
    fn chosen(&self, desired: &Value, observed: &Value) -> Choice {
        match self {
            Self::Jq(_, Ok(jq)) => Ok([jq.paths(desired)?, jq.paths(observed)?]),
            Self::Jq(_, Err(why)) => Err(why.clone()),
            _ => Ok([Vec::new(), Vec::new()]),
        }
    }
}

/// A rule that speaks of the object at hand.
pub(super) struct Applies<'a> {
    n: usize,
    pub(super) rule: &'a Exemption,
    /// Per part what its jq expression chooses in Git's object and in the other.
    jq: Vec<Choice>,
}

impl Applies<'_> {
    /// Whether the rule leaves out the leaf at `path` that `managers` own. `sides` is what stands there: if the rule speaks of parts of it
    /// only, the rest must be the same.
    pub(super) fn covers(&self, path: &[Token], managers: &[&str], sides: (Option<&Value>, Option<&Value>)) -> bool {
        if self.rule.parts.is_empty() {
            return true;
        }
        let whole = |(part, jq): (&Part, &Choice)| match (part, jq) {
            (Part::Pointer(_, pointer), _) => pointer.len() <= path.len() && pointer.iter().zip(path).all(|(p, t)| t.is(p)),
            (Part::Manager(m), _) => managers.contains(&m.as_str()),
            (Part::Jq(..), Ok([desired, observed])) => {
                let at = |chosen: &[Vec<jq::Step>], git: bool| {
                    chosen.iter().any(|c| c.len() <= path.len() && c.iter().zip(path).all(|(s, t)| t.at(s, git)))
                };
                at(desired, true) || at(observed, false)
            }
            (Part::Jq(..), Err(_)) => false,
        };
        self.rule.parts.iter().zip(&self.jq).any(whole) || self.covers_the_difference(path, sides)
    }

    /// Whether two values are the same once what the rule speaks of is taken out of both.
    fn covers_the_difference(&self, path: &[Token], sides: (Option<&Value>, Option<&Value>)) -> bool {
        let (Some(d), Some(o)) = sides else { return false };
        if !d.is_object() && !d.is_array() {
            return false;
        }
        let (mut d, mut o, mut any) = (d.clone(), o.clone(), false);
        for (part, jq) in self.rule.parts.iter().zip(&self.jq) {
            match (part, jq) {
                (Part::Pointer(_, p), _) if p.len() > path.len() && p.iter().zip(path).all(|(p, t)| t.is(p)) => {
                    any = true;
                    cut(&mut d, &p[path.len()..]);
                    cut(&mut o, &p[path.len()..]);
                }
                (Part::Jq(..), Ok([desired, observed])) => {
                    for (chosen, side, git) in [(desired, &mut d, true), (observed, &mut o, false)] {
                        // From the last: a position that is taken out moves those after it.
                        for c in chosen.iter().rev().filter(|c| c.len() > path.len() && c.iter().zip(path).all(|(s, t)| t.at(s, git))) {
                            any = true;
                            let rest: Vec<String> = c[path.len()..].iter().map(jq::Step::text).collect();
                            cut(side, &rest);
                        }
                    }
                }
                _ => {}
            }
        }
        any && same(&d, &o)
    }

    /// Which parts speak of something that is there, and which are broken.
    pub(super) fn uses(&self, desired: &Value, observed: &Value, managers: &[String]) -> BTreeSet<Use> {
        let mut out = BTreeSet::from([Use { rule: self.n, part: None, broken: None }]);
        for (n, (part, jq)) in self.rule.parts.iter().zip(&self.jq).enumerate() {
            let there = match (part, jq) {
                (Part::Pointer(_, p), _) => there(desired, p) || there(observed, p),
                (Part::Manager(m), _) => managers.contains(m),
                (Part::Jq(..), Ok([d, o])) => {
                    let at = |v: &Value, c: &[jq::Step]| there(v, &c.iter().map(jq::Step::text).collect::<Vec<_>>());
                    d.iter().any(|c| at(desired, c)) || o.iter().any(|c| at(observed, c))
                }
                (Part::Jq(..), Err(_)) => false,
            };
            let broken = jq.as_ref().err().cloned();
            if there || broken.is_some() {
                out.insert(Use { rule: self.n, part: Some(n), broken });
            }
        }
        out
    }
}

impl Token {
    fn is(&self, wanted: &str) -> bool {
        wanted == "*"
            || match self {
                Self::Key(key) => wanted == key,
                Self::Item(git, other, keys) => wanted == keys || git.or(*other).is_some_and(|n| wanted.parse() == Ok(n)),
            }
    }

    fn at(&self, step: &jq::Step, git: bool) -> bool {
        match (self, step) {
            (Self::Key(key), jq::Step::Key(wanted)) => key == wanted,
            (Self::Item(d, o, _), jq::Step::Index(n)) => (if git { d } else { o }) == &Some(*n),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(kind: &str) -> Exemption {
        Exemption::new("configuration", "because", Chosen { kind: Pattern::glob((!kind.is_empty()).then_some(kind)), ..Chosen::any() })
    }

    fn cart() -> ObjectId {
        ObjectId::new("apps", "Deployment", Some("shop"), "cart")
    }

    #[test]
    fn globs_and_marks_choose_objects() {
        let argo = DeployerMark::ArgoCd("shop".into());
        for (kind, hit) in [("", true), ("Deployment", true), ("Deploy*", true), ("{Deployment,Service}", true), ("Service", false), ("[", false)] {
            let all = Exemptions::new(vec![rule(kind)]);
            assert_eq!(all.to(&cart(), None, &Value::Null, &Value::Null).len(), usize::from(hit), "{kind}");
        }
        for (by, mark, hit) in [
            (By::ArgoCd, Some(&argo), true),
            (By::ArgoCd, None, false),
            (By::Marks(vec![argo.clone()]), Some(&argo), true),
            (By::Marks(vec![DeployerMark::ArgoCd("other".into())]), Some(&argo), false),
        ] {
            let all = Exemptions::new(vec![Exemption::new("o", "r", Chosen { by: Some(by.clone()), ..Chosen::any() })]);
            assert_eq!(all.to(&cart(), mark, &Value::Null, &Value::Null).len(), usize::from(hit), "{by:?}");
        }
        let labelled = Exemptions::new(vec![Exemption::new("o", "r", Chosen { labels: vec![("a".into(), "b".into())], ..Chosen::any() })]);
        assert_eq!(labelled.to(&cart(), None, &json!({"metadata":{"labels":{"a":"b"}}}), &Value::Null).len(), 1);
        assert_eq!(labelled.to(&cart(), None, &json!({"metadata":{"labels":{"a":"c"}}}), &Value::Null).len(), 0);
    }

    #[test]
    fn pointers_expressions_managers_or_nothing_choose_fields() {
        let key = |k: &str| Token::Key(k.into());
        let path = || vec![key("spec"), key("containers"), Token::Item(Some(0), Some(1), "app".into()), key("a/b~c"), key("deep")];
        let desired = json!({"spec":{"containers":[{"name":"app","a/b~c":{"deep":1}}]}});
        let observed = json!({"spec":{"containers":[{"name":"x"},{"name":"app","a/b~c":{"deep":2}}]}});
        for (rule, hit) in [
            (rule(""), true),
            (rule("").pointers(["/spec"]), true),
            (rule("").pointers(["/spec/containers/0/a~1b~0c"]), true),
            (rule("").pointers(["/spec/containers/app"]), true),
            (rule("").pointers(["/spec/*/*/*/deep"]), true),
            (rule("").pointers(["/spec/containers/1"]), false),
            (rule("").pointers(["/spec/containers/0/a~1b~0c/deep/er"]), false),
            (rule("").pointers(["/status"]).managers(["vpa"]), true),
            (rule("").managers(["hpa"]), false),
            (rule("").jq([".spec.containers[] | select(.name == \"app\")"]), true),
            (rule("").jq([".spec.containers[] | select(.name == \"x\")"]), false),
            (rule("").jq(["repeat(.)"]), false),
        ] {
            let all = Exemptions::new(vec![rule]);
            let applies = all.to(&cart(), None, &desired, &observed);
            assert_eq!(applies[0].covers(&path(), &["vpa"], (None, None)), hit, "{}", all.print());
        }
    }

    #[test]
    fn a_rule_over_parts_of_a_value_leaves_it_out_if_the_rest_is_the_same() {
        let (d, o) = (json!([{"op":"a","v":1},{"op":"b"}]), json!([{"op":"a","v":2},{"op":"b"}]));
        let path = [Token::Key("list".into())];
        let covers = |rule: Exemption, o: &Value| {
            let all = Exemptions::new(vec![rule]);
            all.to(&cart(), None, &json!({"list": d}), &json!({"list": o}))[0].covers(&path, &[], (Some(&d), Some(o)))
        };
        assert!(covers(rule("").pointers(["/list/0/v"]), &o) && covers(rule("").pointers(["/list/*/v"]), &o));
        assert!(covers(rule("").jq([".list[].v"]), &o));
        assert!(!covers(rule("").pointers(["/list/1/v"]), &o) && !covers(rule("").jq([".list[].op"]), &o));
        let longer = json!([{"op":"a","v":2},{"op":"b"},{"op":"c"}]);
        assert!(
            covers(rule("").jq([".list[] | select(.op == \"c\"), .list[].v"]), &longer) || covers(rule("").jq([".list[2]", ".list[].v"]), &longer)
        );
    }

    #[test]
    fn what_speaks_of_nothing_is_told_from_what_is_broken() {
        let all = Exemptions::new(vec![
            rule("").pointers(["/spec/replicas", "/spec/nothing"]).jq([".spec.replicas", ".no", "def f: f; f"]).managers(["x"]),
        ]);
        let object = json!({"spec":{"replicas":1}});
        let uses = all.to(&cart(), None, &object, &object)[0].uses(&object, &object, &[]);
        let told: Vec<(Option<usize>, bool)> = uses.iter().map(|u| (u.part, u.broken.is_some())).collect();
        assert_eq!(told, [(None, false), (Some(0), false), (Some(2), false), (Some(4), true)]);
    }
}
