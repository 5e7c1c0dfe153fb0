//! What nobody has to back up, because a controller makes it again: a table of rules, and chains of owners. pure
//!
//! A rule here hides an object from "what would be lost", so each one is narrow: it names what the controller itself writes, and an
//! object that a person changed or made in the same place does not match. Data is never derived: PersistentVolumes and their claims
//! have a manifest that a controller wrote and bytes that nobody can make again.

use std::cell::OnceCell;

use serde_json::{Map, Value};

pub(super) mod makers;
mod table;
#[cfg(test)]
mod tests;

pub(super) use table::Rule;
use table::{CONTROL_PLANE, INSTALLERS, RULES, When};

use super::memo::Memo;
use crate::{
    drift::{Managers, Writer, owners::Owners},
    object::{BodyError, GroupKind, Object, ObjectId},
};

/// The rule for objects whose owner is recoverable.
pub(super) const OWNED: (&str, &str) = ("owned", "Its controller makes it again from its owner");

/// Kinds whose objects stand for bytes or for credentials that no controller can make again.
fn holds_data(gk: &GroupKind) -> bool {
    gk.is("", "PersistentVolume") || gk.is("", "PersistentVolumeClaim") || &*gk.group == "snapshot.storage.k8s.io"
}

/// Finds the rule that says a controller makes this object again. `service` gives the Service of the same name, if there is one.
pub(super) fn rule_for(object: &Object, service: &dyn Fn(&ObjectId) -> Option<Value>, memo: &Memo) -> Result<Option<&'static Rule>, BodyError> {
    let of_kind = |r: &Rule, object: &Object| {
        if r.kinds.is_empty() { may_be_installed(object) } else { r.kinds.iter().any(|(g, k)| object.id.gk.is(g, k)) }
    };
    // Who wrote an object whose body is on a shelf is not known before it is read.
    let open = object.content.place().is_some() && !holds_data(&object.id.gk);
    if !open && !RULES.iter().any(|r| of_kind(r, object)) {
        return Ok(None);
    }
    // Endpoints depend on another object, so their answer cannot be remembered by their own content.
    let context = object.id.gk.is("", "Endpoints");
    let find = || {
        let object = &*object.whole()?;
        let value = OnceCell::new();
        Ok(RULES.iter().position(|r| of_kind(r, object) && r.when.iter().all(|w| w.holds(object, &value, service))))
    };
    let found = if context { find() } else { memo.rule(object.content.print(), memo.writers(object), find) };
    Ok(found?.and_then(|n| RULES.get(n)))
}

fn may_be_installed(object: &Object) -> bool {
    // A Secret's value differs in the next installation, so what used the old one breaks.
    let installed = |m: &str| INSTALLERS.iter().any(|i| m.contains(i));
    !holds_data(&object.id.gk) && !object.id.gk.is("", "Secret") && object.meta.managers().is_some_and(|m| installed(&m))
}

/// The owner whose controller makes an object, if it has one. An owner that is not the controller only decides about garbage.
pub(super) fn owner_of(object: &Object) -> Option<[ObjectId; 2]> {
    if holds_data(&object.id.gk) {
        return None;
    }
    let owner = object.meta.owners.iter().find(|o| o.controller)?;
    let id = ObjectId { gk: owner.gvk.gk.clone(), namespace: object.id.namespace.clone(), name: owner.name.clone() };
    Some([id.clone(), ObjectId { namespace: None, ..id }])
}

/// Owners that are no controllers, of an object that only controllers wrote: one of them made it. Credentials are left out, as the next ones
/// are others.
pub(super) fn owners_of_made(object: &Object, managers: &Managers) -> Vec<[ObjectId; 2]> {
    let owners = &object.meta.owners;
    if owners.is_empty() || owners.iter().any(|o| o.controller) || holds_data(&object.id.gk) || object.id.gk.is("", "Secret") {
        return Vec::new();
    }
    let writers = Owners::read(object.meta.managers().as_deref());
    if writers.is_empty() || !writers.all(|e| e.writer(managers) == Writer::Controller) {
        return Vec::new();
    }
    let of = |gk: &GroupKind, name: &crate::object::Text| {
        let id = ObjectId { gk: gk.clone(), namespace: object.id.namespace.clone(), name: name.clone() };
        [id.clone(), ObjectId { namespace: None, ..id }]
    };
    owners.iter().map(|o| of(&o.gvk.gk, &o.name)).collect()
}

impl When {
    fn holds(&self, object: &Object, parsed: &OnceCell<Value>, service: &dyn Fn(&ObjectId) -> Option<Value>) -> bool {
        let value = || parsed.get_or_init(|| object.content.value());
        let id = &object.id;
        match self {
            Self::Named(names) => names.contains(&&*id.name),
            Self::NameStarts(prefix) => id.name.starts_with(prefix),
            Self::In(namespace) => id.namespace.as_deref() == Some(namespace),
            Self::Label(key, want) => member(value(), "labels", key) == Some(want),
            Self::LabelIn(key, wants) => member(value(), "labels", key).is_some_and(|v| wants.contains(&v)),
            Self::Annotated(key) => member(value(), "annotations", key).is_some(),
            Self::Lacks(key) => member(value(), "annotations", key).is_none(),
            Self::Annotation(key, want) => member(value(), "annotations", key) == Some(want),
            Self::Type(want) => value().get("type").and_then(Value::as_str) == Some(want),
            Self::Bare => bare(value()),
            Self::TokenName => {
                let account = member(value(), "annotations", "kubernetes.io/service-account.name");
                let suffix = account.and_then(|a| id.name.strip_prefix(a)?.strip_prefix("-token-"));
                suffix.is_some_and(|s| s.len() == 5 && s.bytes().all(|b| b.is_ascii_alphanumeric()))
            }
            Self::OnlyInstallers => object.meta.managers().is_some_and(|m| only_installers(&m)),
            Self::OfBackup => object.meta.restored_from.is_some(),
            Self::ServiceSelects => {
                let of = ObjectId { gk: GroupKind::new("", "Service"), ..id.clone() };
                let selector = |s: Value| s.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty());
                service(&of).is_some_and(selector)
            }
        }
    }
}

/// What is made again by somebody, as a part of docs/drift.md.
pub fn markdown() -> String {
    use std::fmt::Write as _;
    let cell = |t: &str| t.replace('|', "\\|");
    let mut out = String::from("## Objects that controllers make\n\n| rule | kinds | why |\n|---|---|---|\n");
    for rule in table::RULES {
        let name = |(group, kind): &(&str, &str)| if group.is_empty() { (*kind).to_owned() } else { format!("{kind}.{group}") };
        let kinds = if rule.kinds.is_empty() { "any".to_owned() } else { rule.kinds.iter().map(name).collect::<Vec<_>>().join(", ") };
        let _ = writeln!(out, "| {} | {} | {} |", rule.name, cell(&kinds), cell(rule.reason));
    }
    out.push_str("\n## Objects that others make without a controller reference\n\n| rule | what is made | by | source |\n|---|---|---|---|\n");
    for row in makers::rows() {
        let _ = writeln!(out, "| {} |", row.map(|c| cell(&c)).join(" | "));
    }
    out
}

fn member<'v>(value: &'v Value, section: &str, key: &str) -> Option<&'v str> {
    value.get("metadata")?.get(section)?.get(key)?.as_str()
}

fn bare(value: &Value) -> bool {
    let section = |name: &str| value.get("metadata").and_then(|m| m.get(name)).and_then(Value::as_object);
    let empty = |m: Option<&Map<String, Value>>| m.is_none_or(Map::is_empty);
    let own_labels = |m: Option<&Map<String, Value>>| m.is_none_or(|m| m.keys().all(|k| k == "kubernetes.io/metadata.name"));
    let no_pull_secrets = value.get("imagePullSecrets").and_then(Value::as_array).is_none_or(Vec::is_empty);
    empty(section("annotations")) && own_labels(section("labels")) && no_pull_secrets
}

fn only_installers(managers: &str) -> bool {
    let entries: Vec<Value> = serde_json::from_str(managers).unwrap_or_default();
    let names = || entries.iter().filter_map(|e| e.get("manager").and_then(Value::as_str));
    names().count() == entries.len() && names().any(|n| INSTALLERS.contains(&n)) && names().all(|n| CONTROL_PLANE.contains(&n))
}
