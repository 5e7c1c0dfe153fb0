//! Makers that leave no controller reference on what they make: found by the marks that they do leave. pure
//!
//! Each row names what the maker itself writes on its product, and how the maker is found; it must be there and name the product. A maker
//! that makes other bytes the next time (a certificate authority) is no maker of the old ones.

use serde_json::Value;

use super::When;
use crate::object::{GroupKind, Object, ObjectId};

/// One row.
pub(in crate::verdict) struct Maker {
    /// Stable name.
    pub name: &'static str,
    /// Group and kind of what is made.
    pub(super) products: &'static [(&'static str, &'static str)],
    /// What is written on the product.
    pub(super) when: &'static [When],
    /// Group and kind of the maker; none: the product's own.
    by: Option<(&'static str, &'static str)>,
    find: Find,
    /// What the maker must not say: pointer and values.
    unless: Option<(&'static str, &'static [&'static str])>,
    /// Who says so.
    pub source: &'static str,
}

/// How the maker is found.
enum Find {
    /// It has the product's name.
    SameName,
    /// An annotation of the product has its name, and at this pointer it names the product.
    Annotation(&'static str, &'static str),
    /// At this pointer it names the product; a maker that says nothing there has the product's name.
    Names(&'static str),
    /// An annotation of the product has its namespace and name.
    Place(&'static str),
}

const SECRET: &[(&str, &str)] = &[("", "Secret")];

/// The rows.
pub(in crate::verdict) const MAKERS: &[Maker] = &[
    Maker {
        name: "external_secret",
        products: SECRET,
        when: &[When::Annotated("reconcile.external-secrets.io/data-hash")],
        by: Some(("external-secrets.io", "ExternalSecret")),
        find: Find::Names("/spec/target/name"),
        // With these the Secret was there before.
        unless: Some(("/spec/target/creationPolicy", &["Merge", "None"])),
        source: "external-secrets apis/externalsecrets/v1 (AnnotationDataHash, ExternalSecretCreationPolicy)",
    },
    Maker {
        name: "certificate",
        products: SECRET,
        when: &[When::Type("kubernetes.io/tls")],
        by: Some(("cert-manager.io", "Certificate")),
        find: Find::Annotation("cert-manager.io/certificate-name", "/spec/secretName"),
        // The key of an authority made anew is another: nothing that it signed is trusted any more.
        unless: Some(("/spec/isCA", &["true"])),
        source: "cert-manager pkg/apis/certmanager/v1 (CertificateNameKey); owner references are off unless --enable-certificate-owner-ref",
    },
    Maker {
        name: "sealed_secret",
        products: SECRET,
        when: &[When::Annotation("sealedsecrets.bitnami.com/skip-set-owner-references", "true"), When::Lacks("sealedsecrets.bitnami.com/patch")],
        by: Some(("bitnami.com", "SealedSecret")),
        find: Find::SameName,
        unless: None,
        source: "sealed-secrets README (skip-set-owner-references, patch), pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go (the Secret has its name)",
    },
    Maker {
        name: "managed_sealed_secret",
        products: SECRET,
        when: &[When::Annotation("sealedsecrets.bitnami.com/managed", "true"), When::Lacks("sealedsecrets.bitnami.com/patch")],
        by: Some(("bitnami.com", "SealedSecret")),
        find: Find::SameName,
        unless: None,
        source: "sealed-secrets README (managing existing secrets: the controller overwrites what was there)",
    },
    Maker {
        name: "reflected",
        products: &[("", "Secret"), ("", "ConfigMap")],
        when: &[When::Annotation("reflector.v1.k8s.emberstack.com/auto-reflects", "True")],
        by: None,
        find: Find::Place("reflector.v1.k8s.emberstack.com/reflects"),
        unless: None,
        source: "emberstack kubernetes-reflector README (automatic mirrors)",
    },
];

/// A maker to look for, as read from its product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::verdict) struct Sought {
    /// Position of the row.
    pub row: usize,
    /// Where the maker is, if the product says so; else it is to be found among those that name the product.
    pub at: Option<ObjectId>,
}

/// Whether an object can be the product of a row at all, by its kind.
pub(in crate::verdict) fn may_be_made(id: &ObjectId) -> bool {
    MAKERS.iter().any(|m| m.products.iter().any(|(g, k)| id.gk.is(g, k)))
}

/// What maker an object's marks speak of.
pub(in crate::verdict) fn sought(object: &Object) -> Option<Sought> {
    let value = std::cell::OnceCell::new();
    let nobody = |_: &ObjectId| None;
    let hit = |m: &Maker| m.products.iter().any(|(g, k)| object.id.gk.is(g, k)) && m.when.iter().all(|w| w.holds(object, &value, &nobody));
    MAKERS.iter().enumerate().filter(|(_, m)| hit(m)).find_map(|(row, m)| {
        let gk = m.by.map_or_else(|| object.id.gk.clone(), |(group, kind)| GroupKind::new(group, kind));
        let annotation = |key: &str| super::member(value.get_or_init(|| object.content.value()), "annotations", key).map(str::to_owned);
        let here = |name: &str| ObjectId { gk: gk.clone(), namespace: object.id.namespace.clone(), name: name.into() };
        let at = match m.find {
            Find::SameName => Some(here(&object.id.name)),
            Find::Annotation(key, _) => Some(here(&annotation(key)?)),
            Find::Names(_) => None,
            Find::Place(key) => {
                let place = annotation(key)?;
                let (namespace, name) = place.split_once('/')?;
                Some(ObjectId { gk, namespace: Some(namespace.into()), name: name.into() })
            }
        };
        Some(Sought { row, at })
    })
}

impl Maker {
    /// Group and kind of those that name their product, if that is how they are found.
    pub(in crate::verdict) fn names_products(&self) -> Option<GroupKind> {
        self.by.filter(|_| matches!(self.find, Find::Names(_))).map(|(group, kind)| GroupKind::new(group, kind))
    }

    /// Whether a maker that says this makes this product.
    pub(in crate::verdict) fn makes(&self, maker: &Value, product: &ObjectId) -> bool {
        let named = match self.find {
            Find::Annotation(_, pointer) => text(maker, pointer).is_some_and(|t| *t == *product.name),
            Find::SameName | Find::Place(_) | Find::Names(_) => true,
        };
        named && !self.refuses(maker)
    }

    /// What a maker that names its product makes.
    pub(in crate::verdict) fn product(&self, id: &ObjectId, maker: &Value) -> Option<ObjectId> {
        let Find::Names(pointer) = self.find else { return None };
        let (group, kind) = self.products.first()?;
        let name = text(maker, pointer).filter(|t| !t.is_empty()).unwrap_or_else(|| id.name.to_string());
        (!self.refuses(maker)).then(|| ObjectId::new(group, kind, id.namespace.as_deref(), &name))
    }

    fn refuses(&self, maker: &Value) -> bool {
        self.unless.is_some_and(|(pointer, values)| text(maker, pointer).is_some_and(|t| values.contains(&&*t)))
    }

    /// Group and kind of what is made, for people.
    fn kinds(&self) -> String {
        self.products.iter().map(|(_, kind)| *kind).collect::<Vec<_>>().join(", ")
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// The rows as rows of a table: name, what is made, by what, source.
pub(in crate::verdict) fn rows() -> impl Iterator<Item = [String; 4]> {
    let by = |m: &Maker| m.by.map_or_else(|| "the object that it mirrors".to_owned(), |(group, kind)| format!("{kind}.{group}"));
    MAKERS.iter().map(move |m| [m.name.to_owned(), m.kinds(), by(m), m.source.to_owned()])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        report::model::{Drift, Recovery},
        verdict::world::{Snapshot, World},
    };

    fn secret(name: &str, annotations: Value) -> Value {
        json!({"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/tls","metadata":{"name":name,"namespace":"shop","annotations":annotations},"data":{"k":"dg=="}})
    }

    fn maker(api: &str, kind: &str, name: &str, spec: Value) -> Value {
        json!({"apiVersion":api,"kind":kind,"metadata":{"name":name,"namespace":"shop"},"spec":spec})
    }

    #[test]
    fn what_is_made_without_a_controller_reference_is_as_recoverable_as_its_maker() {
        let hash = json!({"reconcile.external-secrets.io/data-hash":"h"});
        let external = |name: &str, spec: Value| maker("external-secrets.io/v1", "ExternalSecret", name, spec);
        let named = json!({"cert-manager.io/certificate-name":"web"});
        let certificate = |spec: Value| maker("cert-manager.io/v1", "Certificate", "web", spec);
        let sealed = |name: &str| maker("bitnami.com/v1alpha1", "SealedSecret", name, json!({}));
        let skip = json!({"sealedsecrets.bitnami.com/skip-set-owner-references":"true"});
        let copied = json!({"reflector.v1.k8s.emberstack.com/auto-reflects":"True","reflector.v1.k8s.emberstack.com/reflects":"shop/origin"});
        for (what, product, by, derived) in [
            ("its own name", secret("db", hash.clone()), external("db", json!({})), true),
            ("another target", secret("db", hash.clone()), external("x", json!({"target":{"name":"db","creationPolicy":"Orphan"}})), true),
            ("not its target", secret("db", hash.clone()), external("db", json!({"target":{"name":"other"}})), false),
            ("merged into what was there", secret("db", hash), external("db", json!({"target":{"creationPolicy":"Merge"}})), false),
            ("without its mark", secret("db", json!({})), external("db", json!({})), false),
            ("a certificate", secret("web-tls", named.clone()), certificate(json!({"secretName":"web-tls"})), true),
            ("an authority", secret("web-tls", named.clone()), certificate(json!({"secretName":"web-tls","isCA":true})), false),
            ("its certificate moved on", secret("web-tls", named), certificate(json!({"secretName":"web-tls-2"})), false),
            ("unsealed", secret("s", skip.clone()), sealed("s"), true),
            ("unsealed from another", secret("s", skip), sealed("t"), false),
            (
                "patched",
                secret("s", json!({"sealedsecrets.bitnami.com/managed":"true","sealedsecrets.bitnami.com/patch":"true"})),
                sealed("s"),
                false,
            ),
            ("taken over", secret("s", json!({"sealedsecrets.bitnami.com/managed":"true"})), sealed("s"), true),
            ("a mirror", secret("copy", copied), secret("origin", json!({})), true),
        ] {
            let name = product["metadata"]["name"].as_str().expect("a name").to_owned();
            let world = World::new().declares("shop", vec![by.clone()]).runs(vec![product.clone(), by.clone()]);
            let said = world.verdict("Secret", &name);
            let want = if derived { (Drift::Derived, Recovery::Derived) } else { (Drift::Unmanaged, Recovery::Lost) };
            assert_eq!((said.drift, said.recovery), want, "{what}: {}", said.why);
            if derived {
                // With a maker that nobody has, it is no less made by it, and lost with it.
                let said = World::new().runs(vec![product.clone(), by]).verdict("Secret", &name);
                assert_eq!((said.drift, said.recovery), (Drift::Derived, Recovery::Lost), "{what}");
                // Without its maker it is anybody's.
                let said =
                    World::new().runs(vec![product.clone()]).backup(Snapshot::new("n", "01:00").holding(vec![product])).verdict("Secret", &name);
                assert_eq!((said.drift, said.recovery), (Drift::Unmanaged, Recovery::Backup), "{what}");
            }
        }
    }

    #[test]
    fn an_owner_that_is_no_controller_made_what_only_controllers_wrote() {
        let made = |kind: &str, api: &str, managers: &[&str]| {
            let entries: Vec<Value> = managers.iter().map(|m| json!({"manager":m,"operation":"Update","fieldsV1":{}})).collect();
            json!({"apiVersion":api,"kind":kind,"metadata":{"name":"made","namespace":"shop","managedFields":entries,
                "ownerReferences":[{"apiVersion":"kafka.example.com/v1","kind":"Kafka","name":"events","uid":"u"}]}})
        };
        let kafka = maker("kafka.example.com/v1", "Kafka", "events", json!({}));
        for (what, product, kind, derived) in [
            ("an operator alone", made("ConfigMap", "v1", &["kafka-operator"]), "ConfigMap", true),
            ("a person too", made("ConfigMap", "v1", &["kafka-operator", "kubectl-edit"]), "ConfigMap", false),
            ("a deployer too", made("ConfigMap", "v1", &["argocd-controller"]), "ConfigMap", false),
            ("nobody knows who", made("ConfigMap", "v1", &[]), "ConfigMap", false),
            ("credentials", made("Secret", "v1", &["kafka-operator"]), "Secret", false),
            ("data", made("PersistentVolumeClaim", "v1", &["kafka-operator"]), "PersistentVolumeClaim", false),
        ] {
            let world = World::new().declares("shop", vec![kafka.clone()]).runs(vec![product, kafka.clone()]);
            let said = world.verdict(kind, "made");
            let want = if derived { (Drift::Derived, Recovery::Derived) } else { (Drift::Unmanaged, Recovery::Lost) };
            assert_eq!((said.drift, said.recovery), want, "{what}: {}", said.why);
        }
    }

    #[test]
    fn every_row_says_who_says_so() {
        assert!(MAKERS.iter().all(|m| m.source.len() > 20 && m.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
