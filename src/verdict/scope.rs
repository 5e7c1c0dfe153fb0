//! Where an object lives: whether its kind is namespaced, and so which identity a manifest really names. pure
//!
//! A manifest often names no namespace (the app's destination fills it in) or one that its kind does not have (the server drops it).
//! Both need the scope of the kind: what live discovery says, else the built-in table, else a CustomResourceDefinition in the
//! cluster, in Git or in a backup. Where nobody knows, both identities are tried against what was read, as Argo CD does.

use std::{borrow::Cow, cell::RefCell, rc::Rc};

use super::{fast::FastMap, memo::Memo};
use crate::{
    object::{GroupKind, Object, ObjectId, Text, builtin::builtin},
    witness::{BackedUp, Declared, Live},
};

/// What is known of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KindFacts {
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// `plural.group`, or the plural alone for the core group, as Velero writes resources.
    pub plural_group: Rc<str>,
}

/// Knows the scope of kinds.
pub(super) struct Kinds<'a> {
    live: &'a Live,
    definitions: Vec<&'a Object>,
    known: RefCell<FastMap<GroupKind, Option<KindFacts>>>,
}

/// The identity that a manifest really names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// The identity.
    pub id: ObjectId,
    /// The manifest names a namespace that its cluster-scoped kind does not have.
    pub drops_namespace: bool,
}

fn is_definition(id: &ObjectId) -> bool {
    id.gk.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

impl<'a> Kinds<'a> {
    /// Gathers what the witnesses say of kinds. Definitions are read only when a kind asks for them.
    pub(super) fn of(declared: &'a Declared, live: &'a Live, backed_up: &'a BackedUp) -> Self {
        let kind = GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition");
        let mut definitions: Vec<&Object> = live.objects.of_kind(&kind).map(|o| &**o).collect();
        let rendered = declared.apps.values().filter_map(|a| a.rendered.as_ref());
        definitions.extend(rendered.flat_map(|r| &r.objects).map(|d| &d.object).filter(|o| is_definition(&o.id)));
        for backup in backed_up.backups.iter().filter(|b| b.state.usable()) {
            if let Ok(archive) = backup.content.archive() {
                definitions.extend(archive.objects.iter().filter(|(id, _)| is_definition(id)).map(|(_, o)| &**o));
            }
        }
        // A stable sort: where two witnesses differ, the cluster's definition wins over Git's and that over a backup's.
        definitions.sort_by(|a, b| a.id.name.cmp(&b.id.name));
        Self { live, definitions, known: RefCell::default() }
    }

    /// All definitions that a witness has, the cluster's before the others of the same name.
    pub(super) fn definitions(&self) -> Vec<&'a Object> {
        self.definitions.clone()
    }

    /// What is known of a kind; `None` if nobody says.
    pub(super) fn facts(&self, gk: &GroupKind, memo: &Memo) -> Option<KindFacts> {
        if let Some(known) = self.known.borrow().get(gk) {
            return known.clone();
        }
        let found = self.look_up(gk, memo);
        self.known.borrow_mut().insert(gk.clone(), found.clone());
        found
    }

    fn look_up(&self, gk: &GroupKind, memo: &Memo) -> Option<KindFacts> {
        let facts = |namespaced, plural: &str| KindFacts { namespaced, plural_group: plural_group(plural, &gk.group).into() };
        if let Some(served) = self.live.kinds.get(gk) {
            return Some(facts(served.namespaced, &served.plural));
        }
        if let Some(known) = builtin(&gk.group, &gk.kind) {
            return Some(facts(known.namespaced, known.plural));
        }
        // A definition is named `<plural>.<group>`; only those of this group are worth parsing.
        let of_group = self.definitions.iter().filter(|d| d.id.name.split_once('.').is_some_and(|(_, group)| group == &*gk.group));
        of_group.filter_map(|d| memo.definition(d).ok()).find(|d| d.kind == *gk.kind).map(|d| facts(d.namespaced, &d.plural))
    }

    /// `plural.group` of a kind, guessed from its name if nobody says (lower case with an `s`, as client-go guesses).
    pub(super) fn plural_group(&self, gk: &GroupKind, memo: &Memo) -> Rc<str> {
        self.facts(gk, memo).map_or_else(|| plural_group(&guess(&gk.kind), &gk.group).into(), |f| f.plural_group)
    }

    /// The identity that a manifest of an app with this destination names. `seen` says whether a witness knows an identity.
    pub(super) fn place(&self, raw: &ObjectId, destination: Option<&Text>, memo: &Memo, seen: impl Fn(&ObjectId) -> bool) -> Placed {
        let filled = || match &raw.namespace {
            Some(_) => raw.clone(),
            None => raw.in_namespace(destination.map_or("default", |n| n)),
        };
        let bare = || ObjectId { namespace: None, ..raw.clone() };
        let cluster_scoped = match self.facts(&raw.gk, memo) {
            Some(facts) => !facts.namespaced,
            None => seen(&bare()) || (raw.namespace.is_none() && !seen(&filled())),
        };
        if cluster_scoped { Placed { id: bare(), drops_namespace: raw.namespace.is_some() } } else { Placed { id: filled(), drops_namespace: false } }
    }
}

fn plural_group<'t>(plural: &'t str, group: &str) -> Cow<'t, str> {
    if group.is_empty() { plural.into() } else { format!("{plural}.{group}").into() }
}

/// Kubernetes' own guess at a plural (apimachinery `meta.UnsafeGuessKindToResource`).
fn guess(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.as_bytes().last() {
        Some(b's') => format!("{lower}es"),
        Some(b'y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::world::{World, crd};

    fn placed(world: &World, raw: &ObjectId, destination: Option<&str>) -> String {
        let kinds = Kinds::of(&world.declared, &world.live, &world.backed_up);
        let seen = |id: &ObjectId| world.live.objects.contains_key(id);
        let placed = kinds.place(raw, destination.map(Text::from).as_ref(), &Memo::default(), seen);
        format!("{}{}", placed.id, if placed.drops_namespace { " (namespace dropped)" } else { "" })
    }

    #[test]
    fn a_destination_is_filled_into_namespaced_kinds_only() {
        let world = World::new().declares("shop", vec![crd("widgets", "example.com", "Widget", "Namespaced")]);
        let world = world.runs(vec![crd("gadgets", "example.com", "Gadget", "Cluster")]);
        for (raw, destination, want) in [
            (ObjectId::new("", "ConfigMap", None, "a"), Some("shop"), "ConfigMap shop/a"),
            (ObjectId::new("", "ConfigMap", None, "a"), None, "ConfigMap default/a"),
            (ObjectId::new("", "ConfigMap", Some("other"), "a"), Some("shop"), "ConfigMap other/a"),
            (ObjectId::new("", "Namespace", None, "a"), Some("shop"), "Namespace a"),
            (ObjectId::new("", "Namespace", Some("shop"), "a"), Some("shop"), "Namespace a (namespace dropped)"),
            (ObjectId::new("example.com", "Widget", None, "a"), Some("shop"), "Widget.example.com shop/a"),
            (ObjectId::new("example.com", "Gadget", None, "a"), Some("shop"), "Gadget.example.com a"),
        ] {
            assert_eq!(placed(&world, &raw, destination), want);
        }
    }

    #[test]
    fn where_nobody_knows_the_scope_both_identities_are_tried() {
        let raw = ObjectId::new("odd.example.com", "Thing", None, "a");
        assert_eq!(placed(&World::new(), &raw, Some("shop")), "Thing.odd.example.com a");
        let thing = |ns: Option<&str>| {
            let mut v = serde_json::json!({"apiVersion":"odd.example.com/v1","kind":"Thing","metadata":{"name":"a"}});
            if let Some(ns) = ns {
                v["metadata"]["namespace"] = ns.into();
            }
            v
        };
        let unserved = |ns| World::new().runs(vec![thing(ns)]).without_kinds();
        assert_eq!(placed(&unserved(Some("shop")), &raw, Some("shop")), "Thing.odd.example.com shop/a");
        assert_eq!(placed(&unserved(None), &raw.in_namespace("shop"), Some("shop")), "Thing.odd.example.com a (namespace dropped)");
    }

    #[test]
    fn plurals_are_guessed_as_kubernetes_does() {
        for (kind, plural) in [("Policy", "policies"), ("Widget", "widgets"), ("Ingress", "ingresses")] {
            assert_eq!(guess(kind), plural);
        }
    }
}
