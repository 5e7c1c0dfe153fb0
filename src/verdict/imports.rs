//! What the deployers were told to leave out, read where it stands in the cluster: Argo CD's `ignoreDifferences`, Flux's ignore rules. pure
//!
//! Sources: Argo CD util/argo/normalizers/diff_normalizer.go and pkg/apis/application/v1alpha1 `ResourceIgnoreDifferences`; argocd-cm keys
//! util/settings `resource.customizations.ignoreDifferences.<group>_<kind>`; Flux helm-controller api/v2 `DriftDetection`,
//! kustomize-controller `spec.ignore`.

use serde_json::Value;

use crate::{
    drift::exempt::{By, Chosen, Exemption, Pattern},
    object::{DeployerMark, GroupKind, Object, yaml},
    witness::Live,
};

/// Every rule of a deployer in the cluster, in the order of the objects that hold them.
pub(super) fn exemptions(live: &Live) -> Vec<Exemption> {
    let mut out = Vec::new();
    let mut each = |group: &str, kind: &str, read: &dyn Fn(&Object, &Value) -> Vec<Exemption>| {
        let mut all: Vec<_> = live.objects.of_kind(&GroupKind::new(group, kind)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        for object in all.into_iter().filter(|o| !o.meta.partial) {
            // Most of them have none, and parsing all of them on every run would cost more than it tells.
            if object.content.json().contains("gnore") {
                out.extend(read(object, &object.content.value()));
            }
        }
    };
    each("argoproj.io", "Application", &application);
    each("", "ConfigMap", &argocd_cm);
    each("kustomize.toolkit.fluxcd.io", "Kustomization", &|o, v| flux(o, v.pointer("/spec/ignore"), DeployerMark::FluxKustomization));
    each("helm.toolkit.fluxcd.io", "HelmRelease", &|o, v| flux(o, v.pointer("/spec/driftDetection/ignore"), DeployerMark::FluxHelmRelease));
    out
}

fn texts<'v>(value: &'v Value, key: &str) -> Vec<&'v str> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn place(object: &Object) -> String {
    object.id.namespace.as_ref().map_or_else(|| object.id.name.to_string(), |n| format!("{n}/{}", object.id.name))
}

/// The fields that an entry of Argo CD leaves out; one that names none leaves out nothing.
fn fields(entry: &Value, origin: &str, reason: &str, objects: Chosen) -> Option<Exemption> {
    let (pointers, jq, managers) = (texts(entry, "jsonPointers"), texts(entry, "jqPathExpressions"), texts(entry, "managedFieldsManagers"));
    let any = !(pointers.is_empty() && jq.is_empty() && managers.is_empty());
    any.then(|| Exemption::new(origin, reason, objects).pointers(pointers).jq(jq).managers(managers))
}

fn application(object: &Object, value: &Value) -> Vec<Exemption> {
    let name = &object.id.name;
    let mut marks = vec![DeployerMark::ArgoCd(name.clone())];
    marks.extend(object.id.namespace.as_ref().map(|ns| DeployerMark::ArgoCd(format!("{ns}_{name}").into())));
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    let of = |entry: &Value| {
        let objects = Chosen {
            group: Pattern::glob(Some(&text(entry, "group").unwrap_or_default())),
            kind: Pattern::glob(Some(&text(entry, "kind").unwrap_or_default())),
            name: text(entry, "name").map_or(Pattern::Any, Pattern::Exact),
            namespace: text(entry, "namespace").map_or(Pattern::Any, Pattern::Exact),
            by: Some(By::Marks(marks.clone())),
            ..Chosen::any()
        };
        fields(entry, &format!("Argo CD Application {}", place(object)), "ignoreDifferences of the application", objects)
    };
    value.pointer("/spec/ignoreDifferences").and_then(Value::as_array).into_iter().flatten().filter_map(of).collect()
}

fn argocd_cm(object: &Object, value: &Value) -> Vec<Exemption> {
    const KEY: &str = "resource.customizations.ignoreDifferences.";
    let Some(data) = value.get("data").and_then(Value::as_object).filter(|_| &*object.id.name == "argocd-cm") else { return Vec::new() };
    let read = |text: &str| yaml::parse(text.as_bytes(), &yaml::Limits::default()).ok().and_then(|p| p.documents.into_iter().next()).map(|d| d.value);
    let of = |kind: &str, entry: &Value| {
        // `apps_Deployment` here, `apps/Deployment` in the older form; the core group is left out.
        let (group, kind) = kind.rsplit_once(['_', '/']).unwrap_or(("", kind));
        let (group, kind) = if kind == "all" && group.is_empty() { ("*", "*") } else { (group, kind) };
        let objects = Chosen { group: Pattern::glob(Some(group)), kind: Pattern::glob(Some(kind)), by: Some(By::ArgoCd), ..Chosen::any() };
        fields(entry, &format!("Argo CD settings {}", place(object)), "ignoreDifferences of all applications", objects)
    };
    let mut out = Vec::new();
    for (key, text) in data {
        let Some(parsed) = text.as_str().filter(|_| key.starts_with("resource.customizations")).and_then(read) else { continue };
        if let Some(kind) = key.strip_prefix(KEY) {
            out.extend(of(kind, &parsed));
        } else if key == "resource.customizations" {
            for (kind, all) in parsed.as_object().into_iter().flatten() {
                let inner = all.get("ignoreDifferences").and_then(Value::as_str).and_then(read);
                out.extend(inner.and_then(|entry| of(kind, &entry)));
            }
        }
    }
    out
}

fn flux(object: &Object, rules: Option<&Value>, mark: fn(crate::object::Text) -> DeployerMark) -> Vec<Exemption> {
    let of = |rule: &Value| {
        let target = rule.get("target").unwrap_or(&Value::Null);
        let text = |key: &str| target.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        let objects = Chosen {
            group: text("group").map_or(Pattern::Any, |g| Pattern::Exact(g.to_owned())),
            kind: pattern(text("kind")),
            name: pattern(text("name")),
            namespace: pattern(text("namespace")),
            by: Some(By::Marks(vec![mark(place(object).into())])),
            labels: selector(text("labelSelector"))?,
            annotations: selector(text("annotationSelector"))?,
        };
        let paths = texts(rule, "paths");
        let rule = Exemption::new(&format!("Flux {} {}", object.id.gk.kind, place(object)), "ignored by the deployer's own rule", objects);
        match &paths[..] {
            [] => None,
            all if all.contains(&"") => Some(rule),
            all => Some(rule.pointers(all.iter().copied())),
        }
    };
    rules.and_then(Value::as_array).into_iter().flatten().filter_map(of).collect()
}

/// A name in a selector of kustomize is a regular expression over the whole. People write names, and `.*` at an end; anything else is
/// taken as a name, so that it leaves out too little rather than too much.
fn pattern(text: Option<&str>) -> Pattern {
    let Some(text) = text else { return Pattern::Any };
    let plain = text.replace(".*", "");
    let simple = plain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if simple && plain.len() < text.len() { Pattern::glob(Some(&text.replace(".*", "*"))) } else { Pattern::Exact(text.to_owned()) }
}

/// Equalities of a label selector; `None` if it asks for more than that, for then it cannot be said what it chooses.
fn selector(text: Option<&str>) -> Option<Vec<(String, String)>> {
    let equality = |part: &str| {
        let (key, value) = part.split_once("==").or_else(|| part.split_once('='))?;
        let plain = |t: &str| !t.contains(['!', '(', ' ']);
        let (key, value) = (key.trim(), value.trim());
        (plain(key) && plain(value)).then(|| (key.to_owned(), value.to_owned()))
    };
    text.map_or(Some(Vec::new()), |t| t.split(',').map(equality).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verdict::world::World;

    fn told(objects: Vec<Value>) -> Vec<String> {
        let world = World::new().runs(objects);
        exemptions(&world.live)
            .iter()
            .map(|e| {
                crate::drift::exempt::Exemptions::new(vec![e.clone()])
                    .listed()
                    .map(|(e, parts)| format!("{}: {}", e.origin, parts.join(" ")))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn rules_are_read_where_they_stand() {
        let application = json!({"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"shop","namespace":"argocd"},
            "spec":{"ignoreDifferences":[
                {"group":"apps","kind":"Deployment","jsonPointers":["/spec/replicas"],"jqPathExpressions":[".spec.paused"]},
                {"kind":"Secret","managedFieldsManagers":["eso"]},
                {"group":"apps","kind":"StatefulSet"}]}});
        let settings = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"argocd-cm","namespace":"argocd"},"data":{
            "resource.customizations.ignoreDifferences.admissionregistration.k8s.io_MutatingWebhookConfiguration":"jqPathExpressions:\n- '.webhooks[]?.clientConfig.caBundle'\n",
            "resource.customizations.ignoreDifferences.all":"managedFieldsManagers: [kube-controller-manager]",
            "resource.customizations":"apps/Deployment:\n  ignoreDifferences: |\n    jsonPointers: [/spec/x]\n",
            "url":"ignored"}});
        let release = json!({"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"pay","namespace":"shop"},
            "spec":{"driftDetection":{"mode":"warn","ignore":[{"paths":["/spec/replicas"],"target":{"kind":"Deployment","name":"pay-.*"}},{"paths":[""]}]}}});
        let kustomization = json!({"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization","metadata":{"name":"apps","namespace":"flux-system"},
            "spec":{"ignore":[{"paths":["/data/x"],"target":{"labelSelector":"a=b"}},{"paths":["/data/y"],"target":{"labelSelector":"a in (b)"}}]}});
        assert_eq!(
            told(vec![application, settings, release, kustomization]),
            [
                "Argo CD Application argocd/shop: /spec/replicas .spec.paused",
                "Argo CD Application argocd/shop: eso",
                "Argo CD settings argocd/argocd-cm: /spec/x",
                "Argo CD settings argocd/argocd-cm: .webhooks[]?.clientConfig.caBundle",
                "Argo CD settings argocd/argocd-cm: kube-controller-manager",
                "Flux Kustomization flux-system/apps: /data/x",
                "Flux HelmRelease shop/pay: /spec/replicas",
                "Flux HelmRelease shop/pay: ",
            ]
        );
    }

    #[test]
    fn a_rule_of_an_application_holds_for_its_own_objects_only_and_is_counted_with_its_origin() {
        let cart = |replicas: u32, app: &str| {
            let mut v = World::deployment("cart", replicas);
            v["metadata"]["annotations"] = json!({"argocd.argoproj.io/tracking-id": format!("{app}:apps/Deployment:shop/cart")});
            v
        };
        let application = |name: &str| {
            json!({"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":name,"namespace":"argocd"},
                "spec":{"ignoreDifferences":[{"group":"apps","kind":"Deployment","jsonPointers":["/spec/replicas"]}]}})
        };
        let world = World::new().declares("shop", vec![World::deployment("cart", 2)]);
        let of = |name: &str| world.clone().runs(vec![cart(3, "shop"), application(name)]);
        assert_eq!(of("other").verdict("Deployment", "cart").drift, crate::report::model::Drift::Changed);
        let report = of("shop").judge();
        let found = report.suppressed.iter().find(|s| &*s.origin == "Argo CD Application argocd/shop").expect("counted");
        assert_eq!((found.fields, found.objects), (1, 1));
        assert_eq!(of("shop").verdict("Deployment", "cart").drift, crate::report::model::Drift::InSync);
    }
}
