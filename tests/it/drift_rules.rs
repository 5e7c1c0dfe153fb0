//! Rules of deployers where they stand on a real API server, and rules of people that loop, blow up or match nothing.

use serde_json::{Value, json};

use crate::{
    drift_objects::define,
    support::scene::{Scene, fields, notes, of, plane},
};

fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 3\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: app, image: 'registry.example.com/{name}:1'}}]}}\n"
    )
}

/// The counts of what was left out, by where the rule stands.
fn left_out(report: &Value, origin: &str) -> u64 {
    let all = report["suppressed"].as_array().into_iter().flatten().filter(|s| s["origin"] == origin);
    all.map(|s| s["fields"].as_u64().unwrap_or_default()).sum()
}

/// Puts an Application there that lists these Deployments as its own.
fn application(scene: &Scene, spec: &Value, names: &[&str]) {
    define("argoproj.io", "v1alpha1", "Application", "applications");
    scene
        .also(&json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": scene.namespace}, "spec": spec}).to_string());
    let entry = |name: &&str| json!({"group": "apps", "version": "v1", "kind": "Deployment", "namespace": scene.namespace, "name": name});
    let resources: Vec<Value> = names.iter().map(entry).collect();
    scene.patch(
        &format!("application/{}", scene.namespace),
        "argocd",
        &json!({"status": {"resources": resources}}).to_string(),
        &["--subresource=status"],
    );
}

#[test]
fn argo_cds_rules_hold_for_what_it_tracks_by_annotation_and_by_label() {
    let scene = Scene::new("argo-rules");
    for name in ["pointer", "expression", "writer", "stranger"] {
        scene.declare(&format!("{name}.yaml"), &deployment(name));
    }
    scene.deploy("argocd-controller");
    let image = |name: &str, manager: &str| {
        let edit = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.com/other:1"}]"#;
        scene.kubectl(&["patch", "deployment", name, "--type=json", &format!("--field-manager={manager}"), "-p", edit]);
    };
    for name in ["pointer", "stranger"] {
        scene.patch(&format!("deployment/{name}"), "kubectl-edit", r#"{"spec":{"replicas":5}}"#, &[]);
    }
    image("expression", "kubectl-edit");
    image("writer", "image-updater");
    let spec = json!({"ignoreDifferences": [
        {"group": "apps", "kind": "Deployment", "name": "pointer", "jsonPointers": ["/spec/replicas"]},
        {"group": "apps", "kind": "Deployment", "name": "expression", "jqPathExpressions": [".spec.template.spec.containers[] | select(.name == \"app\") | .image"]},
        {"group": "apps", "kind": "Deployment", "name": "writer", "managedFieldsManagers": ["image-updater"]},
        {"group": "apps", "kind": "Deployment", "name": "stranger", "jsonPointers": ["/spec/replicas"]}]});
    let all = || scene.report();
    let told = |report: &Value| ["pointer", "expression", "writer", "stranger"].map(|n| fields(&of(report, "argo-rules", "Deployment", n)).len());
    assert_eq!(told(&all()), [1, 1, 1, 1]);
    // Nothing marks them as the application's: a label does not, for anybody may carry it, so its rules are not for them.
    application(&scene, &spec, &[]);
    scene.kubectl(&["label", "deployment", "--all", "app.kubernetes.io/instance=argo-rules", "--field-manager=argocd-controller"]);
    assert_eq!(told(&all()), [1, 1, 1, 1]);
    // By label an application tracks what it lists.
    application(&scene, &spec, &["pointer", "expression", "writer"]);
    let report = all();
    assert_eq!(told(&report), [0, 0, 0, 1]);
    assert_eq!(left_out(&report, "Argo CD Application argo-rules/argo-rules"), 3);
    // By annotation it tracks what says so of itself.
    application(&scene, &spec, &[]);
    for name in ["pointer", "expression", "writer"] {
        let id = format!("argocd.argoproj.io/tracking-id=argo-rules:apps/Deployment:argo-rules/{name}");
        scene.kubectl(&["annotate", "deployment", name, &id, "--field-manager=argocd-controller"]);
    }
    // A copied mark speaks of another object.
    let copied = "argocd.argoproj.io/tracking-id=argo-rules:apps/Deployment:argo-rules/pointer";
    scene.kubectl(&["annotate", "deployment", "stranger", copied, "--field-manager=argocd-controller"]);
    let report = all();
    assert_eq!(told(&report), [0, 0, 0, 1], "{:?}", fields(&of(&report, "argo-rules", "Deployment", "stranger")));
    assert_eq!(left_out(&report, "Argo CD Application argo-rules/argo-rules"), 3);
}

#[test]
fn argo_cds_settings_hold_for_all_that_any_application_tracks() {
    let scene = Scene::new("argo-settings");
    for name in ["pointer", "expression", "writer", "stranger"] {
        scene.declare(&format!("{name}.yaml"), &deployment(name));
    }
    scene.deploy("argocd-controller");
    for name in ["pointer", "stranger"] {
        scene.patch(&format!("deployment/{name}"), "kubectl-edit", r#"{"spec":{"replicas":5}}"#, &[]);
    }
    scene.patch("deployment/expression", "kubectl-edit", r#"{"spec":{"minReadySeconds":7}}"#, &[]);
    scene.patch("deployment/writer", "kubectl-argo", r#"{"spec":{"revisionHistoryLimit":3}}"#, &[]);
    application(&scene, &json!({}), &["pointer", "expression", "writer"]);
    scene.also(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm}\ndata:\n  resource.customizations.ignoreDifferences.apps_Deployment: |\n    \
         jsonPointers: [/spec/replicas]\n    jqPathExpressions: ['.spec.minReadySeconds']\n  resource.customizations.ignoreDifferences.all: |\n    managedFieldsManagers: [kubectl-argo]\n",
    );
    let report = scene.report();
    let told = ["pointer", "expression", "writer", "stranger"].map(|n| fields(&of(&report, "argo-settings", "Deployment", n)).len());
    let suppressed = of(&report, "argo-settings", "Deployment", "writer");
    assert_eq!((told, left_out(&report, "Argo CD settings argo-settings/argocd-cm")), ([0, 0, 0, 1], 3), "{suppressed} {}", report["suppressed"]);
    scene.kubectl(&["delete", "configmap", "argocd-cm"]);
}

#[test]
fn fluxs_rules_and_marks_on_single_objects_hold() {
    define("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations");
    define("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases");
    let scene = Scene::new("flux-rules");
    let marked = |name: &str, what: &str, owner: &str| {
        let labels = format!("labels: {{{what}.toolkit.fluxcd.io/namespace: flux-rules, {what}.toolkit.fluxcd.io/name: {owner}}}");
        deployment(name).replacen(&format!("{{name: {name}}}"), &format!("{{name: {name}, {labels}}}"), 1)
    };
    for (name, what, owner) in [
        ("kustomized", "kustomize", "apps"),
        ("released", "helm", "pay"),
        ("other", "kustomize", "apps"),
        ("disabled", "kustomize", "apps"),
        ("once", "kustomize", "apps"),
    ] {
        scene.declare(&format!("{name}.yaml"), &marked(name, what, owner));
    }
    scene.deploy("kustomize-controller");
    for name in ["kustomized", "released", "other", "disabled", "once"] {
        scene.patch(&format!("deployment/{name}"), "kubectl-edit", r#"{"spec":{"replicas":5}}"#, &[]);
    }
    scene.patch("deployment/disabled", "kubectl-edit", r#"{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/reconcile":"disabled"}}}"#, &[]);
    scene.patch("deployment/once", "kubectl-edit", r#"{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/ssa":"IfNotPresent"}}}"#, &[]);
    let told = |report: &Value| {
        ["kustomized", "released", "other", "disabled", "once"]
            .map(|n| fields(&of(report, "flux-rules", "Deployment", n)).iter().any(|f| f.contains("replicas")))
    };
    let rule = |target: Value| json!([{"paths": ["/spec/replicas"], "target": target}]);
    assert_eq!(told(&scene.report()), [true, true, true, false, false]);
    // The shape that the controllers read: a list of paths with a target each (api/v1 IgnoreRule, api/v2 DriftDetection).
    scene.also(
        &json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "apps"},
            "spec": {"ignore": rule(json!({"kind": "Deployment", "name": "kustom.*"}))}})
        .to_string(),
    );
    scene.also(
        &json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "pay"},
            "spec": {"driftDetection": {"mode": "warn", "ignore": rule(json!({"kind": "Deployment"}))}}})
        .to_string(),
    );
    let report = scene.report();
    assert_eq!(told(&report), [false, false, true, false, false]);
    assert_eq!(left_out(&report, "Flux Kustomization flux-rules/apps"), 1);
    assert_eq!(left_out(&report, "Flux HelmRelease flux-rules/pay"), 1);
    assert!(left_out(&report, "a mark on the object") >= 2, "{}", report["suppressed"]);
}

#[test]
fn rules_that_loop_blow_up_or_match_nothing_leave_nothing_out_and_are_told() {
    let mut scene = Scene::new("bad-rules");
    scene.declare("cart.yaml", &deployment("cart"));
    scene.deploy("argocd-controller");
    scene.patch("deployment/cart", "kubectl-edit", r#"{"spec":{"replicas":5}}"#, &[]);
    let rule = |reason: &str, part: &str| format!("- {{reason: {reason}, kind: Deployment, namespace: bad-rules, {part}}}\n");
    let looping = [
        ("everything of everything", r#"jq: [".. | .. | .. | .. | .. | .. | .. | .."]"#),
        ("a trillion times", r#"jq: ["range(1000000000000) | empty"]"#),
        ("a trillion questions", r#"jq: ["select(any(range(1000000000000); . < 0)) | .spec"]"#),
    ];
    let unused =
        [("nowhere", "pointers: [/spec/nothing/here]"), ("no writer", "managers: [nobody-at-all]"), ("no match", r#"jq: [".spec.nothing"]"#)];
    scene.config = format!("ignore:\n{}", looping.iter().chain(&unused).map(|(reason, part)| rule(reason, part)).collect::<String>());
    let begun = std::time::Instant::now();
    let report = scene.report();
    assert!(begun.elapsed().as_secs() < 60, "a rule may not hold up the report: {:?}", begun.elapsed());
    let said = of(&report, "bad-rules", "Deployment", "cart");
    assert_eq!(fields(&said), ["operational spec.replicas by kubectl-edit"], "what a broken rule speaks of stays a finding");
    let (broken, idle) = (notes(&report, "rule_broken"), notes(&report, "rule_unused"));
    for (reason, _) in looping {
        assert!(broken.iter().any(|n| n.contains(&format!("`{reason}`"))), "{reason}: {broken:?} {idle:?}");
    }
    for (reason, _) in unused {
        assert!(idle.iter().any(|n| n.contains(&format!("`{reason}`")) && n.contains("matches nothing")), "{reason}: {idle:?}");
    }
    // One that is read and right works beside them.
    scene.config += &rule("by the load test", "pointers: [/spec/replicas]");
    let report = scene.report();
    assert_eq!((fields(&of(&report, "bad-rules", "Deployment", "cart")), left_out(&report, "configuration")), (vec![], 1));
    // What is no expression at all is refused before anything is read.
    scene.config = format!("ignore:\n{}", rule("broken", r#"jq: [".spec["]"#));
    let refused = scene.run(&["report"]).ended(3);
    assert!(refused.err.contains(".spec["), "{refused:?}");
    assert!(plane().kubectl(&["get", "deployment", "-n", "bad-rules"]).contains("cart"));
}
