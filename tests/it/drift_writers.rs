//! Who made a difference, on a real API server: people who operate, admission that rewrites, autoscalers, slips of the pen.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    drift_objects::define,
    support::{
        program::eventually,
        scene::{Scene, fields, notes, of, plane},
    },
};

fn deployment(name: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  replicas: 3\n{more}  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: app, image: 'registry.example.com/{name}:1'}}]}}\n"
    )
}

fn marks(object: &Value) -> (&str, bool) {
    (object["drift"].as_str().unwrap_or_default(), object["operational"].as_bool().unwrap_or_default())
}

#[test]
fn what_people_do_for_now_is_operational_and_the_object_says_so() {
    let scene = Scene::new("operations");
    for name in ["restarted", "scaled", "paused", "relabelled"] {
        scene.declare(&format!("{name}.yaml"), &deployment(name, ""));
    }
    scene.deploy("argocd-controller");
    scene.kubectl(&["rollout", "restart", "deployment/restarted"]);
    scene.kubectl(&["scale", "deployment/scaled", "--replicas=5"]);
    scene.kubectl(&["rollout", "pause", "deployment/paused"]);
    scene.kubectl(&["rollout", "restart", "deployment/relabelled"]);
    scene.kubectl(&["label", "deployment/relabelled", "by=hand"]);
    let report = scene.report();
    let said = |name: &str| of(&report, "operations", "Deployment", name);
    for (name, drift, operational, class) in [
        ("restarted", "added", true, r#"operational spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]"#),
        ("scaled", "changed", true, "operational spec.replicas"),
        ("paused", "added", true, "operational spec.paused"),
        ("relabelled", "added", false, "added metadata.labels.by"),
    ] {
        let object = said(name);
        assert_eq!(marks(&object), (drift, operational), "{name}: {:?} {}", fields(&object), object["why"]);
        assert!(fields(&object).iter().any(|f| f.starts_with(class)), "{name}: {:?}", fields(&object));
    }
    assert_eq!(report["summary"]["operational"], 3);
    let table = scene.run(&["report"]).out;
    assert!(table.contains("BY HAND"), "{table}");
}

#[test]
fn a_field_that_the_server_does_not_know_is_told_with_its_line_and_is_no_drift() {
    let scene = Scene::new("unknown-field");
    scene.declare("cart.yaml", &deployment("cart", "  replicaz: 4\n"));
    let file = scene.files().join("cart.yaml").display().to_string();
    // Server-side apply refuses it; client-side apply without validation lets it pass, as Helm does.
    assert!(plane().try_kubectl(&["apply", "-n", "unknown-field", "--server-side", "-f", &file], "").is_err());
    scene.kubectl(&["apply", "--validate=false", "-f", &file]);
    let report = scene.report();
    let said = of(&report, "unknown-field", "Deployment", "cart");
    assert_eq!((marks(&said).0, fields(&said)), ("in_sync", vec!["unknown_field spec.replicaz".to_owned()]), "{}", said["why"]);
    assert_eq!((said["fields"][0]["line"].as_u64(), report["summary"]["unknown_fields"].as_u64()), (Some(6), Some(1)));
    assert_eq!(notes(&report, "unknown_field").len(), 1);
}

/// A policy that sends every image to a mirror, in namespaces that ask for it.
fn mirror() {
    let expression = "[JSONPatch{op: 'replace', path: '/spec/template/spec/containers/0/image', \
                      value: object.spec.template.spec.containers[0].image.replace('registry.example.com', 'mirror.example.com')}]";
    let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]);
    let constraints = json!({"resourceRules": rules, "namespaceSelector": {"matchLabels": {"mirrored": "yes"}}});
    let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": constraints,
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]});
    let api = "admissionregistration.k8s.io/v1";
    plane().apply(&json!({"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "mirror"}, "spec": spec}).to_string());
    let binding = json!({"policyName": "mirror"});
    plane().apply(&json!({"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "mirror"}, "spec": binding}).to_string());
}

#[test]
fn what_admission_makes_of_an_image_is_the_work_of_a_policy_and_a_late_deploy_is_not() {
    mirror();
    for (namespace, client_side) in [("mirrored-server-side", false), ("mirrored-client-side", true)] {
        let scene = Scene::new(namespace);
        plane().kubectl(&["label", "namespace", namespace, "mirrored=yes"]);
        scene.declare("cart.yaml", &deployment("cart", ""));
        let deploy = || {
            if client_side { drop(scene.kubectl(&["apply", "-f", &scene.files().display().to_string()])) } else { scene.deploy("argocd-controller") }
        };
        let image = || scene.kubectl(&["get", "deployment", "cart", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        // The server takes a policy in within a second or two.
        eventually("the policy acts", Duration::from_secs(60), || {
            deploy();
            let acts = image() == "mirror.example.com/cart:1";
            if !acts {
                scene.kubectl(&["delete", "deployment", "cart"]);
            }
            acts
        });
        let place = "spec.template.spec.containers[name=app].image";
        let owner = if client_side { "kubectl-client-side-apply" } else { "argocd-controller" };
        let said = scene.verdict("Deployment", "cart");
        assert_eq!(fields(&said), [format!("policy {place} by {owner}")], "{namespace}: {}", said["why"]);
        assert!(said["why"].as_str().is_some_and(|w| w.contains("a sync does not heal that")), "{}", said["why"]);
        // Applying again changes nothing, and the verdict stays.
        deploy();
        assert_eq!(fields(&scene.verdict("Deployment", "cart")), [format!("policy {place} by {owner}")], "{namespace}");
        // Another field moves on in Git: the image is the policy's still, the other is not applied yet.
        scene.commit_at(60);
        scene.declare("cart.yaml", &deployment("cart", "").replace("replicas: 3", "replicas: 4"));
        let said = scene.verdict("Deployment", "cart");
        assert_eq!(
            fields(&said),
            [format!("changed spec.replicas by {owner}"), format!("policy {place} by {owner}")],
            "{namespace}: {}",
            said["why"]
        );
        // Where no policy acts, the same picture is a deploy that is not done.
        let plain = Scene::new(if client_side { "late-client-side" } else { "late-server-side" });
        plain.declare("cart.yaml", &deployment("cart", ""));
        let files = plain.files().display().to_string();
        if client_side {
            drop(plain.kubectl(&["apply", "-f", &files]))
        } else {
            plain.deploy("argocd-controller")
        }
        plain.declare("cart.yaml", &deployment("cart", "").replace("cart:1", "cart:2"));
        let said = plain.verdict("Deployment", "cart");
        assert_eq!(fields(&said), [format!("changed {place} by {owner}")], "{namespace}: {}", said["why"]);
    }
}

#[test]
fn replicas_are_the_business_of_a_real_autoscaler_inside_its_range_only() {
    let scene = Scene::new("scaled");
    let hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: cart}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: cart}\n  \
               minReplicas: 4\n  maxReplicas: 8\n  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]\n";
    scene.declare("cart.yaml", &deployment("cart", ""));
    scene.declare("hpa.yaml", hpa);
    scene.deploy("argocd-controller");
    let replicas = || scene.kubectl(&["get", "deployment", "cart", "-o", "jsonpath={.spec.replicas}"]);
    eventually("the controller scales up to its least", Duration::from_secs(120), || replicas() == "4");
    let said = scene.verdict("Deployment", "cart");
    assert_eq!((marks(&said).0, fields(&said)), ("in_sync", vec![]), "{}", said["why"]);
    assert!(said["suppressed"].as_u64().is_some_and(|n| n > 0), "{said}");
    // Out of its range it is told. An autoscaler leaves alone what was scaled to none.
    // A scale to none leaves nobody as the owner: the zero is left out of what is noted (autoscaling/v1 ScaleSpec, omitempty).
    scene.kubectl(&["scale", "deployment/cart", "--replicas=0"]);
    let said = scene.verdict("Deployment", "cart");
    assert_eq!((marks(&said), fields(&said)), (("changed", true), vec!["operational spec.replicas".to_owned()]), "{}", said["why"]);
}

#[test]
fn ranges_of_keda_and_of_a_vertical_autoscaler_are_read_where_they_stand() {
    define("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");
    define("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", "verticalpodautoscalers");
    let scene = Scene::new("ranges");
    for name in ["queue", "sized"] {
        let resources = "resources: {requests: {cpu: 200m}}";
        scene.declare(&format!("{name}.yaml"), &deployment(name, "").replace(":1'}", &format!(":1', {resources}}}")));
    }
    scene.deploy("argocd-controller");
    scene.also(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: queue}\nspec: {scaleTargetRef: {name: queue}, minReplicaCount: 0, maxReplicaCount: 10}\n---\n\
         apiVersion: autoscaling.k8s.io/v1\nkind: VerticalPodAutoscaler\nmetadata: {name: sized}\nspec:\n  targetRef: {apiVersion: apps/v1, kind: Deployment, name: sized}\n  \
         updatePolicy: {updateMode: Auto}\n  resourcePolicy: {containerPolicies: [{containerName: app, minAllowed: {cpu: 100m}, maxAllowed: {cpu: '2'}}]}\n",
    );
    let scale = |n: u32| scene.patch("deployment/queue", "keda-operator", &format!(r#"{{"spec":{{"replicas":{n}}}}}"#), &["--subresource=scale"]);
    let size = |cpu: &str| {
        let patch = format!(r#"[{{"op":"replace","path":"/spec/template/spec/containers/0/resources/requests/cpu","value":"{cpu}"}}]"#);
        scene.kubectl(&["patch", "deployment", "sized", "--type=json", "--field-manager=vpa-updater", "-p", &patch]);
    };
    let place = "spec.template.spec.containers[name=app].resources.requests.cpu";
    for (replicas, cpu, queue, sized) in [
        (8, "1500m", vec![], vec![]),
        (10, "100m", vec![], vec![]),
        (12, "2500m", vec!["policy spec.replicas by keda-operator (scale)".to_owned()], vec![format!("policy {place} by vpa-updater")]),
        // A scale to none takes the field from its owner and leaves none, and from then on the server notes nobody who scales.
        (0, "2", vec![], vec![]),
        (11, "2001m", vec!["operational spec.replicas".to_owned()], vec![format!("policy {place} by vpa-updater")]),
    ] {
        scale(replicas);
        size(cpu);
        let report = scene.report();
        for (name, told) in [("queue", queue), ("sized", sized)] {
            let said = of(&report, "ranges", "Deployment", name);
            let noted = || scene.kubectl(&["get", "deployment", name, "-o", "jsonpath={.metadata.managedFields[*]['manager','subresource']}"]);
            assert_eq!(fields(&said), told, "{replicas} {cpu}: {} {}", said["why"], noted());
        }
    }
}
