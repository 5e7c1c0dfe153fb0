//! The user's own ignore rules, applied to one object. pure
//!
//! A rule speaks of an object if all its globs match. It leaves out a field if one of its pointers covers the field or one of its managers
//! owns it; without pointers and managers it leaves out the whole object. Whether it has expired is the caller's question.
//!
//! Pointers are RFC 6901 with `*` for any one step. In a list the step is the item's position in Git (in the cluster, for what only the
//! cluster has), or the values of its keys joined by commas: `/spec/template/spec/containers/app/env/DEBUG`, `/spec/ports/80,TCP`.

use globset::Glob;

use crate::{config::IgnoreRule, object::ObjectId};

/// One step of a leaf as pointers see it.
pub enum Token {
    /// A member of a mapping.
    Key(String),
    /// An item: its position and the values of its keys.
    Item(usize, String),
}

/// A rule that speaks of the object at hand.
pub struct Applies<'a> {
    rule: &'a IgnoreRule,
    pointers: Vec<Vec<String>>,
}

impl<'a> Applies<'a> {
    /// The rules that speak of this object.
    pub fn to(rules: &'a [IgnoreRule], id: &ObjectId) -> Vec<Self> {
        rules
            .iter()
            .filter(|r| {
                glob(r.group.as_deref(), &id.gk.group)
                    && glob(r.kind.as_deref(), &id.gk.kind)
                    && glob(r.namespace.as_deref(), id.namespace.as_deref().unwrap_or_default())
                    && glob(r.name.as_deref(), &id.name)
            })
            .map(|rule| Self { rule, pointers: rule.pointers.iter().map(|p| parse(p)).collect() })
            .collect()
    }

    /// Why the rule exists.
    pub fn reason(&self) -> &'a str {
        &self.rule.reason
    }

    /// Whether the rule leaves out the leaf at `path` that `managers` own.
    pub fn covers(&self, path: &[Token], managers: &[&str]) -> bool {
        if self.rule.pointers.is_empty() && self.rule.managers.is_empty() {
            return true;
        }
        self.pointers.iter().any(|p| covers(p, path)) || self.rule.managers.iter().any(|m| managers.contains(&m.as_str()))
    }
}

/// An absent glob matches anything; one that does not parse matches nothing but itself (the configuration has refused it already).
fn glob(pattern: Option<&str>, text: &str) -> bool {
    match pattern {
        None => true,
        Some(p) if !p.contains(['*', '?', '[', '{', '\\']) => p == text,
        Some(p) => Glob::new(p).is_ok_and(|g| g.compile_matcher().is_match(text)),
    }
}

/// Splits a pointer and undoes its escapes (`~1` is `/`, `~0` is `~`).
fn parse(pointer: &str) -> Vec<String> {
    let inner = pointer.strip_prefix('/').unwrap_or(pointer);
    if inner.is_empty() && pointer.is_empty() {
        return Vec::new();
    }
    inner.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

fn covers(pointer: &[String], path: &[Token]) -> bool {
    pointer.len() <= path.len()
        && pointer.iter().zip(path).all(|(wanted, step)| {
            wanted == "*"
                || match step {
                    Token::Key(key) => wanted == key,
                    Token::Item(n, keys) => wanted == keys || wanted.parse() == Ok(*n),
                }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, pointers: &[&str], managers: &[&str]) -> IgnoreRule {
        IgnoreRule {
            reason: "because".into(),
            group: None,
            kind: (!kind.is_empty()).then(|| kind.into()),
            namespace: None,
            name: None,
            pointers: pointers.iter().map(|p| (*p).to_owned()).collect(),
            managers: managers.iter().map(|m| (*m).to_owned()).collect(),
            expires: None,
        }
    }

    #[test]
    fn globs_choose_objects() {
        let id = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
        for (kind, hit) in [("", true), ("Deployment", true), ("Deploy*", true), ("{Deployment,Service}", true), ("Service", false), ("[", false)] {
            assert_eq!(Applies::to(&[rule(kind, &[], &[])], &id).len(), usize::from(hit), "{kind}");
        }
    }

    #[test]
    fn pointers_managers_or_nothing_choose_fields() {
        let id = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
        let path = || {
            vec![
                Token::Key("spec".into()),
                Token::Key("containers".into()),
                Token::Item(0, "app".into()),
                Token::Key("a/b~c".into()),
                Token::Key("deep".into()),
            ]
        };
        for (pointers, managers, hit) in [
            (vec![], vec![], true),
            (vec!["/spec"], vec![], true),
            (vec!["/spec/containers/0/a~1b~0c"], vec![], true),
            (vec!["/spec/containers/app"], vec![], true),
            (vec!["/spec/*/*/*/deep"], vec![], true),
            (vec!["/spec/containers/1"], vec![], false),
            (vec!["/spec/containers/0/a~1b~0c/deep/er"], vec![], false),
            (vec!["/status"], vec!["vpa"], true),
            (vec![], vec!["hpa"], false),
        ] {
            let rules = [rule("", &pointers, &managers)];
            assert_eq!(Applies::to(&rules, &id)[0].covers(&path(), &["vpa"]), hit, "{pointers:?} {managers:?}");
        }
    }
}
