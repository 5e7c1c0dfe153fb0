//! Objects as wholes against a real API server: left behind, made by others, served in another version, going with their namespace.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    program::eventually,
    scene::{Scene, fields, notes, of, plane},
};

/// Defines a kind that takes anything.
pub fn define(group: &str, version: &str, kind: &str, plural: &str) {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let versions = json!([{"name": version, "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}}]);
    let names = json!({"plural": plural, "kind": kind, "singular": kind.to_lowercase()});
    let spec = json!({"group": group, "names": names, "scope": "Namespaced", "versions": versions});
    let name = format!("{plural}.{group}");
    // Groups of Kubernetes' own domain ask for a word of approval.
    let approved = json!({"api-approved.kubernetes.io": "https://github.com/kubernetes/autoscaler/pull/63"});
    let metadata = json!({"name": name, "annotations": if group.ends_with(".k8s.io") { approved } else { json!({}) }});
    plane()
        .apply(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}).to_string());
    plane().kubectl(&["wait", "--for=condition=established", "--timeout=60s", "crd", &name]);
    eventually("the kind is served", Duration::from_secs(60), || plane().try_kubectl(&["get", &name, "-A"], "").is_ok());
}

const OLD: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: old}, data: {k: v}}";
const NEW: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: new}, data: {k: v}}";

fn drift(object: &Value) -> &str {
    object["drift"].as_str().unwrap_or_default()
}

fn why(object: &Value) -> &str {
    object["why"].as_str().unwrap_or_default()
}

#[test]
fn what_git_dropped_is_known_by_the_inventory_of_flux_and_the_list_of_argo_cd() {
    define("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations");
    define("argoproj.io", "v1alpha1", "Application", "applications");
    for (namespace, api, kind, status) in [
        (
            "listed-by-flux",
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            json!({"inventory": {"entries": [{"id": "listed-by-flux_new__ConfigMap", "v": "v1"}, {"id": "listed-by-flux_old__ConfigMap", "v": "v1"}]}}),
        ),
        (
            "listed-by-argo",
            "argoproj.io/v1alpha1",
            "Application",
            json!({"resources": [{"kind": "ConfigMap", "version": "v1", "namespace": "listed-by-argo", "name": "new", "status": "Synced"},
                {"kind": "ConfigMap", "version": "v1", "namespace": "listed-by-argo", "name": "old", "status": "OutOfSync", "requiresPruning": true}]}),
        ),
    ] {
        let scene = Scene::new(namespace);
        scene.declare("new.yaml", NEW);
        scene.deploy("setup-controller");
        scene.also(OLD);
        assert_eq!(drift(&scene.verdict("ConfigMap", "old")), "unmanaged", "{kind}: nobody speaks of it yet");
        scene.also(&json!({"apiVersion": api, "kind": kind, "metadata": {"name": "fleet"}, "spec": {}}).to_string());
        scene.patch(&format!("{}/fleet", kind.to_lowercase()), "flux", &json!({"status": status}).to_string(), &["--subresource=status"]);
        let old = scene.verdict("ConfigMap", "old");
        assert_eq!((drift(&old), old["app"].as_str()), ("removed", Some(namespace)), "{kind}: {}", why(&old));
        assert!(why(&old).contains(&format!("{kind} {namespace}/fleet still lists it")), "{}", why(&old));
        assert_eq!(drift(&scene.verdict("ConfigMap", "new")), "in_sync", "{kind}");
    }
}

#[test]
fn what_git_dropped_is_known_by_the_parent_of_an_apply_set() {
    let scene = Scene::new("apply-set");
    // The app declared neither of these as long as anybody looked, so its history says nothing.
    scene.declare("other.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}");
    let set = |name: &str, yaml: &str| {
        // kubectl makes the parent, a Secret, and writes its id on it.
        let args = ["apply", "-n", "apply-set", "--server-side", "--prune", &format!("--applyset={name}"), "-f", "-"];
        plane().try_kubectl_in(&[("KUBECTL_APPLYSET", "true")], &args, yaml).unwrap_or_else(|e| panic!("{e}"));
    };
    set("apply-set", OLD);
    set("stranger", NEW);
    let part_of = scene.kubectl(&["get", "configmap", "old", "-o", r"jsonpath={.metadata.labels.applyset\.kubernetes\.io/part-of}"]);
    assert!(part_of.starts_with("applyset-") && part_of.ends_with("-v1"), "{part_of}");
    // Nothing that is declared carries the mark: the parent's name is that of the app, and its identity is the set's id.
    let (old, new) = (scene.verdict("ConfigMap", "old"), scene.verdict("ConfigMap", "new"));
    assert_eq!((drift(&old), old["app"].as_str()), ("removed", Some("apply-set")), "{}", why(&old));
    assert_eq!((drift(&new), new["app"].as_str()), ("unmanaged", None), "{}", why(&new));
    // What is declared may carry the mark too, which is no drift.
    scene.declare("old.yaml", OLD);
    assert_eq!(drift(&scene.verdict("ConfigMap", "old")), "in_sync");
}

#[test]
fn what_operators_make_without_a_controller_reference_is_derived() {
    for (group, version, kind, plural) in [
        ("external-secrets.io", "v1", "ExternalSecret", "externalsecrets"),
        ("cert-manager.io", "v1", "Certificate", "certificates"),
        ("bitnami.com", "v1alpha1", "SealedSecret", "sealedsecrets"),
        ("kafka.example.com", "v1", "Kafka", "kafkas"),
    ] {
        define(group, version, kind, plural);
    }
    let scene = Scene::new("makers");
    scene.declare(
        "makers.yaml",
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: db}\nspec: {target: {name: db-credentials, creationPolicy: Orphan}}\n---\n\
         apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: web}\nspec: {secretName: web-tls}\n---\n\
         apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: root}\nspec: {secretName: root-ca, isCA: true}\n---\n\
         apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: sealed}\nspec: {encryptedData: {}}\n---\n\
         apiVersion: kafka.example.com/v1\nkind: Kafka\nmetadata: {name: events}\n",
    );
    scene.deploy("argocd-controller");
    let uid = scene.kubectl(&["get", "kafka", "events", "-o", "jsonpath={.metadata.uid}"]);
    scene.also(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: db-credentials, annotations: {{reconcile.external-secrets.io/data-hash: h}}}}\n---\n\
         apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: web-tls, annotations: {{cert-manager.io/certificate-name: web}}}}\nstringData: {{tls.crt: '', tls.key: ''}}\n---\n\
         apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: root-ca, annotations: {{cert-manager.io/certificate-name: root}}}}\nstringData: {{tls.crt: '', tls.key: ''}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: sealed, annotations: {{sealedsecrets.bitnami.com/skip-set-owner-references: 'true'}}}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: by-hand}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: broker, ownerReferences: [{{apiVersion: kafka.example.com/v1, kind: Kafka, name: events, uid: {uid}}}]}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: touched, ownerReferences: [{{apiVersion: kafka.example.com/v1, kind: Kafka, name: events, uid: {uid}}}]}}\n"
    ));
    scene.patch("configmap/touched", "kubectl-edit", r#"{"data":{"k":"v"}}"#, &[]);
    let report = scene.report();
    for (kind, name, drift, recovery) in [
        ("Secret", "db-credentials", "derived", "derived"),
        ("Secret", "web-tls", "derived", "derived"),
        ("Secret", "root-ca", "unmanaged", "lost"),
        ("Secret", "sealed", "derived", "derived"),
        ("Secret", "by-hand", "unmanaged", "lost"),
        ("ConfigMap", "broker", "derived", "derived"),
        ("ConfigMap", "touched", "unmanaged", "lost"),
    ] {
        let said = of(&report, "makers", kind, name);
        assert_eq!((said["drift"].as_str(), said["recovery"].as_str()), (Some(drift), Some(recovery)), "{name}: {}", why(&said));
    }
}

#[test]
fn an_autoscaler_of_version_1_is_compared_with_what_the_server_says_in_version_2() {
    let scene = Scene::new("versions");
    let hpa = |target: &str| {
        format!(
            "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {{name: cart}}\nspec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: cart}}\n  \
             minReplicas: 2\n  maxReplicas: 6\n{target}"
        )
    };
    scene.declare("hpa.yaml", &hpa("  targetCPUUtilizationPercentage: 70\n"));
    for client_side in [false, true] {
        if client_side {
            plane().kubectl_with(&["apply", "-n", "versions"], &hpa("  targetCPUUtilizationPercentage: 70\n"));
        } else {
            scene.deploy("argocd-controller");
        }
        let said = scene.verdict("HorizontalPodAutoscaler", "cart");
        assert_eq!((drift(&said), fields(&said)), ("in_sync", vec![]), "client-side: {client_side}: {}", why(&said));
    }
    let live: Value = serde_json::from_str(&scene.kubectl(&["get", "hpa", "cart", "-o", "json"])).expect("JSON");
    assert_eq!(live["apiVersion"], "autoscaling/v2", "the server prefers version 2");
    // A person edits it, in version 2.
    let edit = r#"[{"op":"replace","path":"/spec/metrics/0/resource/target/averageUtilization","value":90},{"op":"replace","path":"/spec/maxReplicas","value":9}]"#;
    scene.kubectl(&["patch", "hpa", "cart", "--type=json", "--field-manager=kubectl-edit", "-p", edit]);
    let said = scene.verdict("HorizontalPodAutoscaler", "cart");
    assert_eq!(drift(&said), "changed", "{}", why(&said));
    let told = fields(&said);
    assert!(told.iter().any(|f| f == "changed spec.maxReplicas by kubectl-edit"), "{told:?}");
    assert!(told.iter().any(|f| f.starts_with("changed spec.metrics") && f.ends_with("by kubectl-edit")), "{told:?}");
    // The deployer takes it back; then Git drops the target, and the server's default takes its place when that is applied.
    scene.deploy("argocd-controller");
    assert_eq!(drift(&scene.verdict("HorizontalPodAutoscaler", "cart")), "in_sync");
    scene.declare("hpa.yaml", &hpa(""));
    let said = scene.verdict("HorizontalPodAutoscaler", "cart");
    assert_eq!(fields(&said), ["removed spec.metrics by argocd-controller"], "{}", why(&said));
}

#[test]
fn an_ingress_of_the_group_that_was_is_the_one_that_runs() {
    let scene = Scene::new("moved");
    let old = |port: u32| {
        format!(
            "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {{name: web}}\nspec:\n  backend: {{serviceName: fallback, servicePort: http}}\n  rules:\n  \
             - host: shop.example.com\n    http: {{paths: [{{path: /, backend: {{serviceName: web, servicePort: {port}}}}}]}}\n"
        )
    };
    scene.declare("ingress.yaml", &old(80));
    scene.also(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec:\n  defaultBackend: {service: {name: fallback, port: {name: http}}}\n  rules:\n  \
         - host: shop.example.com\n    http: {paths: [{path: /, pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}\n",
    );
    let report = scene.report();
    let said = of(&report, "moved", "Ingress", "web");
    assert_eq!((drift(&said), said["group"].as_str()), ("in_sync", Some("networking.k8s.io")), "{}", why(&said));
    let note = notes(&report, "version_not_served");
    assert!(note.len() == 1 && note[0].contains("extensions/v1beta1") && note[0].contains("declare them as networking.k8s.io/v1"), "{note:?}");
    scene.declare("ingress.yaml", &old(81));
    let said = scene.verdict("Ingress", "web");
    assert_eq!(drift(&said), "changed", "{}", why(&said));
    assert!(said["fields"].to_string().contains("81"), "{said}");
}

#[test]
fn in_a_namespace_that_is_being_deleted_nothing_is_asked_to_be_synced() {
    let scene = Scene::new("ending");
    scene.declare("new.yaml", NEW);
    scene.declare("held.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.com/held]}, data: {k: v}}");
    scene.deploy("argocd-controller");
    plane().kubectl(&["delete", "namespace", "ending", "--wait=false"]);
    eventually("the controller empties the namespace", Duration::from_secs(60), || {
        plane().try_kubectl(&["get", "configmap", "new", "-n", "ending"], "").is_err()
    });
    let report = scene.report();
    let new = of(&report, "ending", "ConfigMap", "new");
    assert_eq!((drift(&new), new["terminating"].as_bool()), ("missing", Some(true)));
    assert!(why(&new).contains("its namespace is being deleted") && !why(&new).contains("sync it"), "{}", why(&new));
    let held = of(&report, "ending", "ConfigMap", "held");
    assert!(held["terminating"] == true && why(&held).to_lowercase().contains("it is being deleted"), "{}", why(&held));
    let note = notes(&report, "namespace_terminating");
    assert!(note.len() == 1 && note[0].contains("namespace ending is being deleted, and 2 objects"), "{note:?}");
    let text = scene.run(&["report", "-o", "markdown"]).out;
    assert!(text.contains("Nothing can be synced there before that is done"), "{text}");
    // The server says the same of a sync.
    let refused = plane().try_kubectl(&["apply", "-n", "ending", "--server-side", "-f", "-"], NEW).expect_err("refused");
    assert!(refused.contains("being terminated"), "{refused}");
    scene.patch("configmap/held", "setup-controller", r#"{"metadata":{"finalizers":null}}"#, &[]);
}

#[test]
fn a_manifest_with_a_generated_name_has_no_identity_and_is_told() {
    let scene = Scene::new("nameless");
    scene.declare("job.yaml", "# A job.\napiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: run-}\n");
    scene.kubectl(&["create", "-f", &scene.files().join("job.yaml").display().to_string()]);
    let report = scene.report();
    let note = notes(&report, "generate_name");
    assert!(note.len() == 1 && note[0].contains("job.yaml") && note[0].contains("no identity"), "{note:?}");
    let made = |o: &&Value| o["namespace"] == "nameless" && o["name"].as_str().is_some_and(|n| n.starts_with("run-"));
    let made = report["objects"].as_array().and_then(|a| a.iter().find(made).cloned()).expect("what was made of it");
    assert_eq!(drift(&made), "unmanaged", "nothing says whose it is: {made}");
}
