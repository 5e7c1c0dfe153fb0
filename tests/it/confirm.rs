//! `cluster.confirm: server`: what drifts is put to the real API server's dry run, and its answer stands beside ours.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    cli::{Ran, snapgap},
    control_plane::{ControlPlane, Options, Request},
    daemon::{Daemon, Setting, shipped_rules_with, shipped_user, user_with},
    git_repo::Repo,
    program::{Folder, eventually},
    tools,
};

/// The manifests of one app in a repository of its own, applied to a namespace of its own.
struct Shop<'p> {
    plane: &'p ControlPlane,
    name: &'static str,
    folder: Folder,
    repo: Repo,
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart", "labels": {"app": "cart"}}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "cart"}}, "template": {"metadata": {"labels": {"app": "cart"}},
            "spec": {"containers": [{"name": "cart", "image": image}]}}}})
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"mode": value, "always": "there"}})
}

fn yaml(objects: &[Value]) -> String {
    objects.iter().map(|o| format!("---\n{o}\n")).collect()
}

impl<'p> Shop<'p> {
    fn new(name: &'static str, objects: &[Value]) -> Self {
        Self::on(ControlPlane::shared(), name, objects)
    }

    fn on(plane: &'p ControlPlane, name: &'static str, objects: &[Value]) -> Self {
        let folder = Folder::new("snapgap-confirm-");
        let repo = Repo::new(folder.path(), "fleet");
        repo.commit("Declare the shop", &[("shop/all.yaml", &yaml(objects))]);
        plane.kubectl(&["create", "namespace", name]);
        Self { plane, name, folder, repo }
    }

    /// Applies what Git says as Argo CD does with server-side apply.
    fn sync(&self, how: &[&str]) {
        let files = self.repo.work().join("shop").display().to_string();
        self.plane.kubectl(&[&["apply", "-n", self.name, "-f", &files], how].concat());
    }

    fn declare(&self, objects: &[Value]) -> String {
        self.repo.commit("Change the shop", &[("shop/all.yaml", &yaml(objects))])
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.plane.kubectl(&[args, &["-n", self.name]].concat())
    }

    fn run(&self, kubeconfig: &std::path::Path, args: &[&str]) -> Ran {
        let (git, kubeconfig) = (self.repo.git_dir.display().to_string(), kubeconfig.display().to_string());
        let app = format!("{}=shop:directory,namespace={}", self.name, self.name);
        snapgap(self.folder.path(), &[args, &["--git", &git, "--kubeconfig", &kubeconfig, "--app", &app]].concat())
    }

    /// What the report says of one object.
    fn said(&self, kubeconfig: &std::path::Path, kind: &str, name: &str) -> Value {
        let report = self.run(kubeconfig, &["report", "-o", "json", "--confirm", "server"]).ended(0).json();
        let objects = report["objects"].as_array().expect("objects");
        objects.iter().find(|o| o["kind"] == kind && o["name"] == name && o["namespace"] == self.name).unwrap_or(&Value::Null).clone()
    }
}

const SERVER_SIDE: [&str; 3] = ["--server-side", "--force-conflicts", "--field-manager=argocd-controller"];

/// The rules of all ClusterRoles of the chart with the dry-run tier.
fn dry_run_rules() -> Vec<Value> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/snapgap");
    let out = Command::new(tools::path("helm"))
        .args(["template", "snapgap", chart, "--show-only", "templates/rbac.yaml", "--set", "rbac.dryRun=true"])
        .output()
        .expect("helm starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("text");
    let documents = serde_yaml::Deserializer::from_str(&text).map(|d| <Value as serde::Deserialize>::deserialize(d).expect("YAML"));
    let roles = documents.filter(|d| d["kind"] == "ClusterRole");
    roles.flat_map(|r| r["rules"].as_array().cloned().unwrap_or_default()).collect()
}

/// A user who may do what the chart grants with the dry-run tier.
fn user(name: &str) -> PathBuf {
    user_with(ControlPlane::shared(), name, &dry_run_rules())
}

/// What a user asked for with a verb that writes.
fn writes_on(plane: &ControlPlane, user: &str) -> Vec<Request> {
    let reads = ["get", "list", "watch"];
    plane.audit().into_iter().filter(|r| r.user == user && !reads.contains(&&*r.verb)).collect()
}

fn writes(user: &str) -> Vec<Request> {
    writes_on(ControlPlane::shared(), user)
}

#[test]
fn without_being_asked_to_no_request_with_a_write_verb_is_sent_although_it_were_allowed() {
    let shop = Shop::new("confirm-off", &[deployment("registry.example.com/cart:1", 1)]);
    shop.sync(&SERVER_SIDE);
    shop.kubectl(&["scale", "deployment/cart", "--replicas=2"]);
    let kubeconfig = user("confirm-off");
    let report = shop.run(&kubeconfig, &["report", "-o", "json"]).ended(0).json();
    let cart = report["objects"].as_array().expect("objects").iter().find(|o| o["name"] == "cart" && o["app"] == "confirm-off").expect("cart");
    assert_eq!((&cart["drift"], &cart["confirmed"]), (&"changed".into(), &Value::Null));
    assert!(writes("confirm-off").is_empty(), "{:?}", writes("confirm-off"));
}

#[test]
fn the_server_agrees_and_is_asked_once_for_each_state_however_often_the_status_is_written() {
    // A change of the admission configuration is a reason to ask anew, so nobody else may be at work here.
    let plane = ControlPlane::start(Options { controllers: true, flags: Vec::new() });
    let shop = Shop::on(&plane, "confirm-cache", &[deployment("registry.example.com/cart:1", 1), config_map("banner", "on")]);
    shop.sync(&SERVER_SIDE);
    let setting = Setting::new(&shop.repo.git_dir.display().to_string(), &[("confirm-cache", "shop", "confirm-cache")]);
    let kubeconfig = user_with(&plane, "confirm-cache", &dry_run_rules());
    let writes = || writes_on(&plane, "confirm-cache");
    let asked = || writes().iter().filter(|r| r.uri.contains("/cart?")).count();
    let daemon = Daemon::start(&setting.with(&format!("cluster: {{kubeconfig: '{}', confirm: server}}", kubeconfig.display())));
    let cart = ("confirm-cache", "Deployment", "cart");
    daemon.wait(cart, "drift", "in_sync");
    assert!(writes().is_empty(), "nothing drifts, so nothing is asked");
    let answer = || daemon.object("confirm-cache", "Deployment", "cart").map(|o| o["confirmed"]["answer"].clone()).unwrap_or_default();
    shop.kubectl(&["set", "image", "deployment/cart", "cart=registry.example.com/cart:9"]);
    eventually("the server agrees", Duration::from_secs(60), || answer() == "agrees");
    daemon.wait_metric("snapgap_confirmed_objects{answer=\"agrees\"}", 1.0);
    let said = daemon.object("confirm-cache", "Deployment", "cart").expect("known");
    assert_eq!((&said["drift"], &said["confirmed"]["manager"]), (&"changed".into(), &"argocd-controller".into()), "{said:#}");
    assert!(said["confirmed"]["at"].is_string() && said["confirmed"]["fields"] == json!([]), "{said:#}");
    // The Deployment's controller writes an annotation after the edit, and an answer that came before was about another state.
    let settled = || {
        let seen = asked();
        std::thread::sleep(Duration::from_secs(3));
        (asked() == seen && answer() == "agrees").then_some(seen)
    };
    eventually("everything was asked", Duration::from_secs(60), || settled().is_some());
    let before = asked();
    assert!((1..=5).contains(&before), "asked {before} times: {:#?}", writes());
    let version = || shop.kubectl(&["get", "deployment/cart", "-o", "jsonpath={.metadata.resourceVersion}"]);
    let generation = || shop.kubectl(&["get", "deployment/cart", "-o", "jsonpath={.metadata.generation}"]);
    let seen = version();
    for n in 1..=3 {
        let patch = json!({"status": {"conditions": [{"type": "Progressing", "status": "False", "reason": format!("Exam{n}"), "message": "written by a test",
            "lastUpdateTime": "2026-03-01T10:00:00Z", "lastTransitionTime": "2026-03-01T10:00:00Z"}]}});
        shop.kubectl(&["patch", "deployment/cart", "--subresource=status", "--type=merge", &format!("-p={patch}")]);
        std::thread::sleep(Duration::from_millis(800));
    }
    assert_ne!(version(), seen, "the status was written");
    assert_eq!(asked(), before, "a write of the status asks nothing anew: {:#?}", writes());
    // Another state is another question, and a daemon under a stale version counter still gets its answer.
    shop.kubectl(&["annotate", "deployment/cart", "note=by-hand"]);
    let generated = generation();
    eventually("it is asked again", Duration::from_secs(60), || asked() > before && answer() == "agrees");
    assert!(writes().iter().all(|r| r.verb == "patch" && r.uri.contains("dryRun=All")), "{:#?}", writes());
    assert_eq!(generation(), generated, "a dry run writes nothing");
    assert!(daemon.metric("snapgap_kube_requests_total{code=\"200\",verb=\"patch\"}").is_some_and(|n| n >= 2.0));
    let page = daemon.get("/objects/view?namespace=confirm-cache&group=apps&kind=Deployment&name=cart").body;
    assert!(page.contains("dry run"), "{page}");
    shop.kubectl(&["annotate", "deployment/cart", "note-"]);
    shop.sync(&SERVER_SIDE);
    eventually("what is healed is not told", Duration::from_secs(60), || answer().is_null());
}

#[test]
fn where_admission_writes_another_value_the_disagreement_is_visible_and_the_verdict_stays() {
    let plane = ControlPlane::shared();
    let api = "admissionregistration.k8s.io";
    let here = json!({"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "confirm-policy"}}});
    let binding = |kind: &str, more: Value| {
        let mut v = json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": {"name": "confirm-policy"}, "spec": {"policyName": "confirm-policy"}});
        v["spec"].as_object_mut().expect("a spec").extend(more.as_object().expect("a mapping").clone());
        v
    };
    let shop = Shop::new("confirm-policy", &[deployment("registry.example.com/cart:1", 1), config_map("banner", "on")]);
    let policy = json!({"apiVersion": format!("{api}/v1"), "kind": "MutatingAdmissionPolicy", "metadata": {"name": "confirm-policy"}, "spec": {
        "matchConstraints": here, "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{minReadySeconds: 7, replicas: 4}}"}}]}});
    plane.apply(&yaml(&[policy, binding("MutatingAdmissionPolicyBinding", json!({}))]));
    eventually("the policy acts", Duration::from_secs(60), || {
        shop.sync(&SERVER_SIDE);
        shop.kubectl(&["get", "deployment/cart", "-o", "jsonpath={.spec.replicas}"]) == "4"
    });
    let kubeconfig = user("confirm-policy");
    let cart = shop.said(&kubeconfig, "Deployment", "cart");
    let confirmed = &cart["confirmed"];
    assert_eq!((&cart["drift"], &confirmed["answer"]), (&"changed".into(), &"differs".into()), "{cart:#}");
    assert_eq!(confirmed["fields"], json!([{"path": "spec.replicas", "deed": "keeps", "then": "4"}]), "{cart:#}");
    let table = shop.run(&kubeconfig, &["report", "--confirm", "server", "--all"]).ended(0).out;
    let flat = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("The server's dry run differs: an apply would leave spec.replicas as it is."), "{table}");
    let told = shop.run(&kubeconfig, &["explain", "Deployment/cart", "-n", "confirm-policy", "--confirm", "server"]).ended(0).out;
    assert!(told.contains("Server's dry run") && told.contains("asked as argocd-controller"), "{told}");
    // A policy that refuses what Git says from now on.
    let policy = json!({"apiVersion": format!("{api}/v1"), "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "confirm-policy"}, "spec": {
        "matchConstraints": here, "failurePolicy": "Fail",
        "validations": [{"expression": "!object.spec.template.spec.containers.exists(c, c.image.endsWith(':1'))", "message": "images of version 1 are not let in"}]}});
    plane.apply(&yaml(&[policy, binding("ValidatingAdmissionPolicyBinding", json!({"validationActions": ["Deny"]}))]));
    eventually("the policy acts", Duration::from_secs(60), || {
        let cart = shop.said(&kubeconfig, "Deployment", "cart");
        cart["confirmed"]["answer"] == "refused" && cart["confirmed"]["message"].as_str().is_some_and(|m| m.contains("version 1 are not let in"))
    });
    plane.kubectl(&["delete", "validatingadmissionpolicybinding/confirm-policy", "mutatingadmissionpolicybinding/confirm-policy"]);
}

#[test]
fn what_the_server_can_never_take_is_refused_in_its_words_without_the_values() {
    let shop = Shop::new("confirm-immutable", &[deployment("registry.example.com/cart:1", 1)]);
    shop.sync(&SERVER_SIDE);
    let mut moved = deployment("registry.example.com/cart:1", 1);
    for path in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        moved.pointer_mut(path).expect("labels")["tier"] = "canary-tier".into();
    }
    shop.declare(&[moved]);
    let cart = shop.said(&user("confirm-immutable"), "Deployment", "cart");
    let confirmed = &cart["confirmed"];
    assert_eq!((&cart["drift"], &confirmed["answer"], &confirmed["reason"]), (&"changed".into(), &"refused".into(), &"invalid".into()), "{cart:#}");
    let message = confirmed["message"].as_str().expect("a message");
    assert!(message.contains("spec.selector: field is immutable") && !message.contains("canary-tier"), "{message}");
}

#[test]
fn what_was_applied_client_side_is_asked_in_the_name_of_who_applied_it() {
    let shop = Shop::new("confirm-client", &[deployment("registry.example.com/cart:1", 1), config_map("banner", "on")]);
    shop.sync(&[]);
    shop.kubectl(&["set", "image", "deployment/cart", "cart=registry.example.com/cart:9"]);
    let mut more = config_map("banner", "on");
    more["data"]["dropped"] = "later".into();
    // What Git drops, kubectl takes out by a patch of its own.
    shop.declare(&[deployment("registry.example.com/cart:1", 1), more]);
    shop.sync(&[]);
    shop.kubectl(&["set", "image", "deployment/cart", "cart=registry.example.com/cart:9"]);
    shop.declare(&[deployment("registry.example.com/cart:1", 1), config_map("banner", "on")]);
    let kubeconfig = user("confirm-client");
    let cart = shop.said(&kubeconfig, "Deployment", "cart");
    assert_eq!((&cart["confirmed"]["answer"], &cart["confirmed"]["manager"]), (&"agrees".into(), &"kubectl-client-side-apply".into()), "{cart:#}");
    let banner = shop.said(&kubeconfig, "ConfigMap", "banner");
    assert_eq!((&banner["drift"], &banner["confirmed"]["reason"]), (&"changed".into(), &"client_side".into()), "{banner:#}");
    // Helm 3 creates and updates.
    shop.kubectl(&["delete", "deployment/cart"]);
    let path = format!("/apis/apps/v1/namespaces/{}/deployments?fieldManager=helm", shop.name);
    ControlPlane::shared().kubectl_with(&["create", "--raw", &path], &deployment("registry.example.com/cart:1", 3).to_string());
    let cart = shop.said(&kubeconfig, "Deployment", "cart");
    assert_eq!((&cart["confirmed"]["answer"], &cart["confirmed"]["manager"]), (&"agrees".into(), &"helm".into()), "{cart:#}");
}

#[test]
fn what_git_declares_in_an_older_version_is_asked_about_in_it() {
    let scaler = |most: u32, percent: u32| {
        json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "cart"}, "spec": {"minReplicas": 1,
            "maxReplicas": most, "targetCPUUtilizationPercentage": percent, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}}})
    };
    let shop = Shop::new("confirm-version", &[scaler(5, 70)]);
    shop.sync(&SERVER_SIDE);
    let kubeconfig = user("confirm-version");
    let said = || shop.said(&kubeconfig, "HorizontalPodAutoscaler", "cart");
    assert!(said().is_null(), "nothing is to be said of it: {:#}", said());
    // The controller's conditions stand in annotations of the old version; the server is read in the new one.
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 40}}});
    let patch = |metrics: &[&Value], more: Value| {
        let mut spec = json!({"maxReplicas": 9, "metrics": metrics});
        spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        shop.kubectl(&["patch", "horizontalpodautoscalers.v2.autoscaling/cart", "--type=merge", &format!("-p={}", json!({"spec": spec}))])
    };
    patch(&[&cpu], json!({}));
    let cart = said();
    assert_eq!((&cart["drift"], &cart["confirmed"]["answer"]), (&"changed".into(), &"agrees".into()), "{cart:#}");
    let told: Vec<&str> = cart["fields"].as_array().expect("fields").iter().filter_map(|f| f["path"].as_str()).collect();
    assert_eq!(told, ["spec.maxReplicas", "spec.metrics[0].resource.target.averageUtilization"], "{cart:#}");
    // What the old version has no field for, an answer in it does not show.
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}});
    patch(&[&cpu, &memory], json!({}));
    let cart = said();
    let confirmed = &cart["confirmed"];
    assert_eq!(
        (&cart["drift"], &confirmed["answer"], &confirmed["reason"]),
        (&"changed".into(), &"unasked".into(), &"version_differs".into()),
        "{cart:#}"
    );
    shop.sync(&SERVER_SIDE);
}

#[test]
fn a_user_without_the_right_is_told_once_what_would_heal_it_and_asks_no_further() {
    let names: Vec<String> = (0..12).map(|n| format!("flags-{n}")).collect();
    let of = |value: &str| {
        let mut all: Vec<Value> = names.iter().map(|n| config_map(n, value)).collect();
        all.push(deployment("registry.example.com/cart:1", 1));
        all
    };
    let shop = Shop::new("confirm-forbidden", &of("on"));
    shop.sync(&SERVER_SIDE);
    let mut changed = of("off");
    changed[12]["spec"]["replicas"] = 2.into();
    shop.declare(&changed);
    let kubeconfig = shipped_user(ControlPlane::shared(), "confirm-forbidden");
    let report = shop.run(&kubeconfig, &["report", "-o", "json", "--confirm", "server"]).ended(0).json();
    let ours: Vec<&Value> = report["objects"].as_array().expect("objects").iter().filter(|o| o["app"] == "confirm-forbidden").collect();
    assert_eq!(ours.len(), 13);
    for object in &ours {
        let confirmed = &object["confirmed"];
        assert_eq!(
            (&object["drift"], &confirmed["answer"], &confirmed["reason"]),
            (&"changed".into(), &"unasked".into(), &"forbidden".into()),
            "{object:#}"
        );
        assert_eq!(confirmed["message"], Value::Null, "{object:#}");
    }
    let notes = report["notes"].as_array().expect("notes").iter().filter(|n| n["reason"] == "confirm_forbidden").collect::<Vec<_>>();
    assert_eq!(notes.len(), 1, "{notes:#?}");
    let message = notes[0]["message"].as_str().expect("a message");
    assert!(message.contains("may not patch configmaps, deployments.apps") && message.contains("snapgap rbac --with dry-run"), "{message}");
    assert_eq!(writes("confirm-forbidden").len(), 2, "one question for each kind finds out: {:#?}", writes("confirm-forbidden"));
    // The role that the note speaks of is the one that heals it.
    let printed = shop.run(&kubeconfig, &["rbac", "--with", "dry-run"]).ended(0).out;
    assert!(printed.contains("snapgap-dry-run") && printed.contains("verbs: [patch]"), "{printed}");
}

#[test]
fn secrets_are_never_asked_about_and_their_values_stand_in_no_answer() {
    let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": value}});
    let shop = Shop::new("confirm-secret", &[secret("canary-git-value"), config_map("banner", "on")]);
    shop.sync(&SERVER_SIDE);
    shop.kubectl(&["patch", "secret/keys", r#"-p={"stringData":{"password":"canary-live-value"}}"#]);
    shop.kubectl(&["patch", "configmap/banner", r#"-p={"data":{"mode":"off"}}"#]);
    let mut rules = dry_run_rules();
    rules.extend(shipped_rules_with(&["rbac.secrets=true"]));
    rules.push(json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch"]}));
    let kubeconfig = user_with(ControlPlane::shared(), "confirm-secret", &rules);
    let args = ["--confirm", "server", "--secrets", "--log-level", "trace"];
    let report = shop.run(&kubeconfig, &[&["report", "-o", "json"], &args[..]].concat()).ended(0);
    let objects = report.json()["objects"].as_array().expect("objects").clone();
    let keys = objects.iter().find(|o| o["name"] == "keys").expect("keys");
    assert_eq!((&keys["drift"], &keys["confirmed"]["reason"]), (&"changed".into(), &"secret".into()), "{keys:#}");
    let banner = objects.iter().find(|o| o["name"] == "banner").expect("banner");
    assert_eq!(banner["confirmed"]["answer"], "agrees", "{banner:#}");
    assert!(writes("confirm-secret").iter().all(|r| !r.uri.contains("/secrets")), "{:#?}", writes("confirm-secret"));
    let told = shop.run(&kubeconfig, &[&["explain", "Secret/keys", "-n", "confirm-secret"], &args[..]].concat()).ended(0);
    let encoded = ["Y2FuYXJ5LWdpdC12YWx1", "Y2FuYXJ5LWxpdmUtdmFsd"];
    for said in [report.said(), told.said()] {
        assert!(!said.contains("canary-") && encoded.iter().all(|e| !said.contains(e)), "{said}");
    }
}

#[test]
fn a_dump_cannot_be_asked_and_says_so() {
    let folder = Folder::new("snapgap-confirm-dump-");
    let config = folder.path().join("snapgap.yaml");
    std::fs::write(&config, "cluster: {dump: ./dump, confirm: server}\n").expect("written");
    let refused = snapgap(folder.path(), &["config", "check", "-f", &config.display().to_string()]).ended(3);
    assert!(refused.err.contains("a dump has none"), "{refused:?}");
}
