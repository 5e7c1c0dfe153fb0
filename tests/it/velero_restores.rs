//! Restores by a real Velero: what `explain` foretold of each object against what was done to it, and proofs that outlive their restores.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{
    control_plane::{ControlPlane, Options as Plane},
    daemon::{Daemon, Setting, shipped_rules_with, shipped_user, user_with},
    node::Node,
    program::{Folder, eventually},
    velero::{Options, PATIENCE, Store, Velero, inflated},
};

fn object(api: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
    object.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
    object
}

fn map(name: &str, value: &str) -> Value {
    object("v1", "ConfigMap", name, json!({"data": {"k": value}}))
}

fn role_binding(role: &str) -> Value {
    let api = "rbac.authorization.k8s.io";
    object(&format!("{api}/v1"), "RoleBinding", "reader", json!({"roleRef": {"apiGroup": api, "kind": "Role", "name": role}, "subjects": []}))
}

fn stateful(policy: &str) -> Value {
    let template = json!({"metadata": {"labels": {"a": "s"}}, "spec": {"containers": [{"name": "c", "image": "example.com/a"}]}});
    let spec =
        json!({"replicas": 0, "serviceName": "s", "podManagementPolicy": policy, "selector": {"matchLabels": {"a": "s"}}, "template": template});
    object("apps/v1", "StatefulSet", "ledger", json!({ "spec": spec }))
}

fn deployment(seconds: u32) -> Value {
    let template = json!({"metadata": {"labels": {"a": "d"}}, "spec": {"containers": [{"name": "c", "image": "example.com/a"}]}});
    let spec = json!({"replicas": 0, "minReadySeconds": seconds, "selector": {"matchLabels": {"a": "d"}}, "template": template});
    object("apps/v1", "Deployment", "cart", json!({ "spec": spec }))
}

fn job(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["template"] = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example.com/a"}]}});
    object("batch/v1", "Job", name, json!({ "spec": spec }))
}

fn pod(name: &str, image: &str) -> Value {
    let spec = json!({"automountServiceAccountToken": false, "nodeName": "n1", "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "c", "image": image}]});
    object("v1", "Pod", name, json!({ "spec": spec }))
}

fn account(label: &str) -> Value {
    let mut account = object("v1", "ServiceAccount", "bot", json!({}));
    account["metadata"]["labels"] = json!({label: "1"});
    account
}

/// What the API server has of the namespace, less what it, controllers and restores write by themselves.
fn contents(plane: &ControlPlane) -> BTreeMap<String, Value> {
    let kinds = "configmaps,secrets,serviceaccounts,deployments,statefulsets,jobs,pods,services,rolebindings,roles,persistentvolumeclaims";
    let list: Value = serde_json::from_str(&plane.kubectl(&["get", kinds, "-n", "shop", "-o", "json"])).expect("JSON");
    let mut found = BTreeMap::new();
    for item in list["items"].as_array().expect("items") {
        let mut item = item.clone();
        item.as_object_mut().expect("a mapping").remove("status");
        let metadata = item["metadata"].as_object_mut().expect("metadata");
        for key in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "annotations"] {
            metadata.remove(key);
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|k, _| !["velero.io/backup-name", "velero.io/restore-name"].contains(&k.as_str()));
        }
        if metadata.get("labels").is_some_and(|l| *l == json!({})) {
            metadata.remove("labels");
        }
        found.insert(format!("{}/{}", item["kind"].as_str().expect("a kind"), item["metadata"]["name"].as_str().expect("a name")), item);
    }
    found
}

/// What the restore's own list says it did to each object of the namespace: `ConfigMap/a` to `created`.
fn did(velero: &Velero<'_>, restore: &str) -> BTreeMap<String, String> {
    let list: Value = serde_json::from_str(&inflated(&velero.restore_file(restore, "-resource-list.json.gz"))).expect("JSON");
    let mut found = BTreeMap::new();
    for (kind, lines) in list.as_object().expect("a mapping") {
        let kind = kind.rsplit('/').next().expect("a kind");
        for line in lines.as_array().expect("lines").iter().filter_map(Value::as_str) {
            let (path, action) = line.strip_suffix(')').and_then(|l| l.rsplit_once('(')).expect("an action");
            if let Some(name) = path.strip_prefix("shop/") {
                found.insert(format!("{kind}/{name}"), action.to_owned());
            }
        }
    }
    found
}

/// The effects in the words of the daemon.
const EFFECTS: [(&str, &str); 10] = [
    ("would do nothing", "nothing"),
    ("would create it", "create"),
    ("would leave it alone: it is the same", "skip_same"),
    ("would leave it alone with a warning", "skip_differs"),
    ("would patch it to what the backup holds", "overwrite"),
    ("would add the backup's secrets", "merge"),
    ("would try to patch it", "refused"),
    ("would leave it out: its claim", "provisioned"),
    ("would leave it out: Velero never restores it", "never_restored"),
    ("cannot be foretold", "unknown"),
];

/// What the daemon says of every object of the namespace; `update` says with that policy.
fn foretold(daemon: &Daemon, update: bool) -> BTreeMap<String, String> {
    let report = daemon.report();
    let own = report["objects"].as_array().expect("objects").iter().filter(|o| o["namespace"] == "shop");
    own.map(|o| {
        let (kind, name) = (o["kind"].as_str().expect("a kind"), o["name"].as_str().expect("a name"));
        let told = daemon.json(&format!("/api/v1/object?namespace=shop&kind={kind}&name={name}"));
        let fact = |label: &str| told["evidence"]["facts"].as_array().and_then(|all| all.iter().find(|f| f["label"] == label)?["value"].as_str());
        let said = fact("With policy update").filter(|_| update).or_else(|| fact("A restore now")).expect("a fact");
        let effect = EFFECTS.iter().find(|(words, _)| said.starts_with(words)).unwrap_or_else(|| panic!("{kind}/{name}: {said}"));
        (format!("{kind}/{name}"), effect.1.to_owned())
    })
    .collect()
}

/// Holds what was foretold against the list and against what became of the objects; returns which effects there were.
fn hold(told: &BTreeMap<String, String>, did: &BTreeMap<String, String>, worlds: [&BTreeMap<String, Value>; 3]) -> BTreeSet<String> {
    let [backed_up, before, after] = worlds;
    let mut wrong = Vec::new();
    for (object, effect) in told {
        let action = did.get(object).map_or("", String::as_str);
        let (listed, became): (&[&str], _) = match effect.as_str() {
            "create" => (&["created"], backed_up.get(object)),
            // Velero compares managedFields too, and takes out of some kinds what the API server fills in: what is the same may differ to it.
            "skip_same" => (&["skipped", "failed", "updated"], before.get(object)),
            "skip_differs" | "refused" => (&["failed"], before.get(object)),
            "overwrite" => (&["updated"], backed_up.get(object)),
            "merge" => (&["updated", "skipped"], after.get(object)),
            "never_restored" => (&["", "skipped"], before.get(object)),
            "nothing" => (&[""], before.get(object)),
            // Their bodies are a controller's bookkeeping and not read.
            "unknown" if ["ControllerRevision/", "ReplicaSet/"].iter().any(|kind| object.starts_with(kind)) => continue,
            _ => {
                wrong.push(format!("{object}: foretold {effect}"));
                continue;
            }
        };
        println!("{object}: foretold {effect}, done {action:?}");
        if !listed.contains(&action) {
            wrong.push(format!("{object}: foretold {effect}, and Velero says {action:?}"));
        }
        // Events and slices come and go; only what is read whole is compared.
        let read = [before, after, backed_up].iter().any(|world| world.contains_key(object));
        if read && after.get(object) != became {
            wrong.push(format!("{object}: foretold {effect}, and it became {:?}, not {became:?}", after.get(object)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    told.values().filter(|effect| *effect != "unknown").cloned().collect()
}

#[test]
fn what_explain_foretells_of_a_restore_is_what_a_real_one_does() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    let apply = |object: &Value| plane.apply(&object.to_string());
    apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
    eventually("the namespace has its account", PATIENCE, || {
        !plane.kubectl(&["get", "serviceaccount", "default", "-n", "shop", "--ignore-not-found"]).is_empty()
    });
    let sealed = |value: &str| object("v1", "ConfigMap", "sealed", json!({"data": {"k": value}, "immutable": true}));
    let secret = |value: &str| object("v1", "Secret", "key", json!({"stringData": {"k": value}}));
    let first = [
        map("same", "1"),
        map("changed", "1"),
        map("gone", "1"),
        sealed("1"),
        secret("1"),
        account("old"),
        deployment(1),
        stateful("OrderedReady"),
        role_binding("a"),
        object("v1", "Service", "web", json!({"spec": {"ports": [{"port": 80}]}})),
        // No completions are asked for, so it is complete at once.
        job("done", json!({"completions": 0})),
        job("waits", json!({"suspend": true})),
        pod("runs", "example.com/a"),
        pod("ended", "example.com/a"),
    ];
    first.iter().for_each(apply);
    let phase = |pod: &str, phase: &str| {
        let status = json!({"status": {"phase": phase}}).to_string();
        plane.kubectl(&["patch", "pod", pod, "-n", "shop", "--subresource=status", "--type=merge", "-p", &status]);
    };
    phase("runs", "Running");
    phase("ended", "Succeeded");
    eventually("the job is complete", PATIENCE, || {
        !plane.kubectl(&["get", "job", "done", "-n", "shop", "-o", "jsonpath={.status.completionTime}"]).is_empty()
    });
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    assert_eq!(velero.back_up("night", &json!({"includedNamespaces": ["shop"]}))["status"]["phase"], "Completed");
    let backed_up = contents(&plane);

    // Life goes on.
    let again = |object: &Value, kind: &str, name: &str| {
        plane.kubectl(&["delete", kind, name, "-n", "shop", "--wait=true"]);
        apply(object);
    };
    [map("changed", "2"), map("new", "1"), secret("2"), deployment(5)].iter().for_each(apply);
    again(&sealed("2"), "configmap", "sealed");
    again(&stateful("Parallel"), "statefulset", "ledger");
    again(&role_binding("b"), "rolebinding", "reader");
    again(&account("young"), "serviceaccount", "bot");
    plane.kubectl(&["label", "pod", "runs", "-n", "shop", "since=then"]);
    for gone in [["configmap", "gone"], ["job", "done"], ["pod", "ended"]] {
        let force: &[&str] = if gone[0] == "pod" { &["--force", "--grace-period=0"] } else { &[] };
        plane.kubectl(&[&["delete", gone[0], gone[1], "-n", "shop", "--wait=true"][..], force].concat());
    }
    let user = user_with(&plane, "restores", &shipped_rules_with(&["rbac.secrets=true"]));
    let bucket = velero.root().display().to_string();
    let lines = format!("cluster: {{kubeconfig: '{}', secrets: true}}\nvelero: {{backups: [{{file: '{bucket}'}}]}}", user.display());
    let daemon = Daemon::start(&Setting::default().with(&lines));
    eventually("the daemon has read the backup", PATIENCE, || daemon.said("shop", "ConfigMap", "changed", "backup") == "night");
    let run = |name: &str, spec: Value| {
        let told = foretold(&daemon, !spec["existingResourcePolicy"].is_null());
        let before = contents(&plane);
        velero.create("Restore", name, &spec);
        assert_eq!(velero.ended("Restore", name)["status"]["phase"], "Completed", "{name}");
        hold(&told, &did(&velero, name), [&backed_up, &before, &contents(&plane)])
    };

    let seen = run("plain", json!({"backupName": "night"}));
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), ["create", "merge", "never_restored", "nothing", "skip_differs", "skip_same"]);
    let bot = &contents(&plane)["ServiceAccount/bot"]["metadata"]["labels"];
    assert_eq!(bot, &json!({"old": "1", "young": "1"}), "what the backup has is added, and what the cluster has stays");
    eventually("the daemon sees what was made", PATIENCE, || daemon.said("shop", "ConfigMap", "gone", "recovery") == "backup");

    let seen = run("update", json!({"backupName": "night", "existingResourcePolicy": "update"}));
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    assert!(["merge", "never_restored", "nothing", "overwrite", "refused", "skip_same"].iter().all(|e| seen.contains(e)), "{seen:?}");
    // Objects that were patched were in its way: it proves nothing.
    let mut told = Value::Null;
    eventually("the restore is told", PATIENCE, || {
        let report = daemon.report();
        told = report["restores"].as_array().and_then(|all| all.iter().find(|r| r["name"] == "update")).cloned().unwrap_or_default();
        told["updated"].as_u64().is_some_and(|n| n > 0)
    });
    assert_eq!(told["proves"], json!([]), "{}", told["why"]);
}

#[test]
fn what_a_restore_proved_outlives_it_its_backup_and_the_daemon() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}).to_string());
    plane.apply(&map("rates", "1").to_string());
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    // A name that no label can hold.
    let long = "nightly-of-the-shop-that-nobody-has-ever-given-a-shorter-name-20260302010000";
    assert_eq!(velero.back_up(long, &json!({"includedNamespaces": ["shop"]}))["status"]["phase"], "Completed");
    let kept = Folder::new("snapgap-state-");
    let user = shipped_user(&plane, "proofs");
    let state = kept.path().join("state.json");
    let start = || {
        let lines = format!("state_file: '{}'\nvelero: {{read: all, backups: [{{file: '{}'}}]}}", state.display(), velero.root().display());
        Daemon::start(&Setting::default().cluster(&user).with(&lines))
    };
    let proof = |daemon: &Daemon, scope: &str, name: &str| {
        let of = json!({"scope": scope, "name": name});
        daemon.report()["proofs"].as_array().expect("proofs").iter().find(|p| p["of"] == of).cloned().unwrap_or_default()
    };
    assert_eq!(velero.back_up("other", &json!({"includedNamespaces": ["default"]}))["status"]["phase"], "Completed");
    let daemon = start();
    velero.create("Restore", "drill", &json!({"backupName": long, "namespaceMapping": {"shop": "shop-drill"}}));
    assert_eq!(velero.ended("Restore", "drill")["status"]["phase"], "Completed");
    let label = "velero.io/backup-name";
    let cut = plane.kubectl(&[
        "get",
        "configmap",
        "rates",
        "-n",
        "shop-drill",
        "-o",
        &format!("jsonpath={{.metadata.labels.{}}}", label.replace('.', "\\.")),
    ]);
    println!("the label is {cut}");
    assert_eq!(cut, snapgap::velero::label::valid_name(long), "as Velero writes it");
    let mut known = Value::Null;
    eventually("the namespace is proven", PATIENCE, || {
        known = proof(&daemon, "namespace", "shop");
        known["at"].is_string()
    });
    println!("{known}");
    assert_eq!((&known["restore"], &known["backup"], &known["remembered"]), (&json!("drill"), &json!(long), &json!(false)));
    eventually("it is written down", PATIENCE, || std::fs::read_to_string(&state).is_ok_and(|t| t.contains("drill")));
    // The drill is cleaned up, and the backup deleted as its expiry would: Velero takes the restore and its files with it.
    plane.kubectl(&["delete", "namespace", "shop-drill", "--wait=false"]);
    velero.create("DeleteBackupRequest", "away", &json!({"backupName": long}));
    eventually("backup and restore are gone", PATIENCE, || {
        velero.get("Backup", long).is_null() && velero.get("Restore", "drill").is_null() && !velero.root().join("restores/drill").exists()
    });
    let series = "snapgap_namespace_proven_restore_timestamp_seconds{resource_namespace=\"shop\"}";
    let still = |daemon: &Daemon| {
        let mut now = Value::Null;
        eventually("the proof is remembered", PATIENCE, || {
            now = proof(daemon, "namespace", "shop");
            now["remembered"] == true && daemon.report()["restores"] == json!([])
        });
        assert_eq!((&now["at"], &now["restore"], &now["backup"]), (&known["at"], &known["restore"], &known["backup"]));
        assert!(daemon.metric(series).is_some_and(|t| t > 1e9));
        assert!(proof(daemon, "backup", long).is_null(), "the backup is not told any more");
    };
    still(&daemon);
    drop(daemon);
    still(&start());
}

#[test]
fn bytes_that_a_restore_brought_back_are_told_from_manifests_alone() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    Node::install_kinds(&plane);
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    let node = Node::start(&velero);
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}).to_string());
    eventually("the namespace has its account", PATIENCE, || {
        !plane.kubectl(&["get", "serviceaccount", "default", "-n", "shop", "--ignore-not-found"]).is_empty()
    });
    let photo = vec![7; 100_000];
    node.claim("shop", "photos", &[("cat", &photo)]);
    node.pod("shop", "web", &json!({}), &["photos"]);
    let shop = json!({"includedNamespaces": ["shop"]});
    assert_eq!(velero.back_up("plain", &shop)["status"]["phase"], "Completed");
    plane.kubectl(&["annotate", "pod", "web", "-n", "shop", "backup.velero.io/backup-volumes=photos"]);
    assert_eq!(velero.back_up("files", &shop)["status"]["phase"], "Completed", "{}\n{}", velero.log(), node.logs());
    let lines = format!("velero: {{read: all, backups: [{{file: '{}'}}]}}", velero.root().display());
    let daemon = Daemon::start(&Setting::default().cluster(&shipped_user(&plane, "bytes")).with(&lines));
    let told = |name: &str| {
        let mut last = Value::Null;
        eventually(&format!("restore {name} is told as done"), PATIENCE, || {
            let report = daemon.report();
            last = report["restores"].as_array().and_then(|all| all.iter().find(|r| r["name"] == name)).cloned().unwrap_or_default();
            last["created"].is_u64() && last["phase"] == "Completed"
        });
        println!("{name}: proves {} with bytes {}: {}", last["proves"], last["with_bytes"], last["why"]);
        last
    };
    let proof = || {
        let of = json!({"scope": "namespace", "name": "shop"});
        daemon.report()["proofs"].as_array().expect("proofs").iter().find(|p| p["of"] == of).cloned().unwrap_or_default()
    };
    // The claim comes back, and nothing in it.
    velero.create("Restore", "bare", &json!({"backupName": "plain", "namespaceMapping": {"shop": "shop-bare"}}));
    assert_eq!(velero.ended("Restore", "bare")["status"]["phase"], "Completed", "{}", velero.log());
    let bare = told("bare");
    assert_eq!((&bare["proves"], &bare["with_bytes"]), (&json!(["shop"]), &json!([])));
    assert!(bare["why"].as_str().is_some_and(|w| w.contains("manifests only: that the bytes of its 1 claim came back nothing shows")), "{bare}");
    let known = proof();
    assert!(known["at"].is_string() && known["with_bytes_at"].is_null(), "{known}");
    daemon.wait_metric("snapgap_proven_namespaces{layer=\"apps\",proven=\"manifests\"}", 1.0);
    assert!(daemon.get("/").body.contains("manifests only"));
    // Its files come back.
    velero.create("Restore", "drill", &json!({"backupName": "files", "namespaceMapping": {"shop": "shop-drill"}}));
    eventually("the Pod is made", PATIENCE, || !plane.kubectl(&["get", "pod", "web", "-n", "shop-drill", "--ignore-not-found"]).is_empty());
    node.adopt("shop-drill", "web", &["photos"]);
    assert_eq!(velero.ended("Restore", "drill")["status"]["phase"], "Completed", "{}\n{}", velero.log(), node.logs());
    assert!(std::fs::read(node.file("shop-drill", "photos", "cat")).expect("a file") == photo);
    println!("{}", inflated(&velero.root().join("restores/drill/drill-volumeinfo.json.gz")));
    println!("{}", velero.all("PodVolumeRestore")[0]);
    let drill = told("drill");
    assert_eq!((&drill["proves"], &drill["with_bytes"]), (&json!(["shop"]), &json!(["shop"])), "{}", drill["why"]);
    let known = proof();
    assert_eq!((&known["restore"], &known["with_bytes_at"], &known["with_bytes"]), (&json!("drill"), &known["at"], &json!(1)));
}
