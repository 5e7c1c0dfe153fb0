//! The daemon before a real API server, as a user bound to the shipped ClusterRole: what is applied, edited, deleted, forbidden, defined.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    control_plane::ControlPlane,
    daemon::{Daemon, SOON, Setting, grant, shipped_rules, shipped_user, user_with},
    git_repo::Repo,
    program::{Folder, eventually},
};

/// The manifests of the test's app, which name no namespace.
fn manifests() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/daemon/shop");
    let read = |path: PathBuf| (format!("shop/{}", path.file_name().expect("a name").display()), fs::read_to_string(&path).expect("readable"));
    fs::read_dir(folder).expect("a folder").map(|e| read(e.expect("an entry").path())).collect()
}

fn repository(folder: &Folder) -> Repo {
    let repo = Repo::new(folder.path(), "fleet");
    let files = manifests();
    repo.commit("Declare the shop", &files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    repo
}

fn findings(objects: &[Value]) -> Vec<String> {
    let drifting = objects.iter().filter(|o| o["drift"] != "in_sync" || o["recovery"] == "unknown");
    drifting.map(|o| format!("{}/{}: {} {} {} {:#}", o["kind"], o["name"], o["drift"], o["recovery"], o["why"], o["fields"])).collect()
}

#[test]
fn what_is_applied_either_way_is_in_sync_and_every_edit_shows_with_its_owner_and_is_gone_when_reverted() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-shop-"));
    let repo = repository(&folder);
    let shop = repo.work().join("shop").display().to_string();
    for namespace in ["edits-server", "edits-client"] {
        plane.kubectl(&["create", "namespace", namespace]);
    }
    let apply = |namespace: &str| {
        let how: &[&str] = if namespace == "edits-server" { &["--server-side", "--force-conflicts"] } else { &[] };
        plane.kubectl(&[&["apply", "-n", namespace, "-f", &shop], how].concat());
    };
    apply("edits-server");
    apply("edits-client");
    let setting = Setting::new(&repo.git_dir.display().to_string(), &[("server", "shop", "edits-server"), ("client", "shop", "edits-client")]);
    let daemon = Daemon::start(&setting.cluster(&shipped_user(plane, "edits")));
    for (app, namespace) in [("server", "edits-server"), ("client", "edits-client")] {
        let objects = daemon.objects_of(app);
        assert!(objects.len() >= 17, "only {} objects of {app}", objects.len());
        assert_eq!(findings(&objects), Vec::<String>::new(), "{app}");
        let n = ["-n", namespace];
        let kubectl = |args: &[&str]| plane.kubectl(&[args, &n].concat());
        let drifted = |drift: &str| format!("snapgap_drift_objects{{app=\"{app}\",drift=\"{drift}\"}}");
        // Each edit: what is done, to which object, what it is called, the field, its owner.
        let deployment = (namespace, "Deployment", "cart");
        type Edit<'a> = (&'a [&'a str], (&'a str, &'a str, &'a str), &'a str, &'a str, &'a str);
        let edits: [Edit<'_>; 6] = [
            (&["scale", "deployment/cart", "--replicas=5"], deployment, "changed", "spec.replicas", "kubectl (scale)"),
            (
                &["set", "image", "deployment/cart", "cart=registry.example.com/cart:9"],
                deployment,
                "changed",
                "spec.template.spec.containers[name=cart].image",
                "kubectl-set",
            ),
            (
                &["set", "env", "deployment/cart", "-c", "cart", "MODE=off"],
                deployment,
                "changed",
                "spec.template.spec.containers[name=cart].env[name=MODE].value",
                "kubectl-set",
            ),
            (
                &["patch", "service/cart", "--type=json", r#"-p=[{"op":"replace","path":"/spec/ports/0/targetPort","value":81}]"#],
                (namespace, "Service", "cart"),
                "changed",
                "spec.ports",
                "kubectl-patch",
            ),
            (
                &["patch", "configmap/banner", r#"-p={"data":{"text":"bye"}}"#],
                (namespace, "ConfigMap", "banner"),
                "changed",
                "data.text",
                "kubectl-patch",
            ),
            (&["label", "role/cart", "touched=yes"], (namespace, "Role", "cart"), "added", "metadata.labels.touched", "kubectl-label"),
        ];
        for (edit, object, drift, path, owner) in edits {
            let edited = jiff::Timestamp::now();
            kubectl(edit);
            let said = daemon.wait(object, "drift", drift);
            let fields = said["fields"].as_array().expect("fields");
            let field = fields.iter().find(|f| f["path"].as_str().is_some_and(|p| p.starts_with(path)));
            let field = field.unwrap_or_else(|| panic!("{app}: {edit:?}: no field {path} in {fields:#?}"));
            assert_eq!(field["owner"], owner, "{app}: {edit:?}: {field:#}");
            // The server writes no time beside what came through `scale`: then it drifts since it was seen, not since the last commit.
            assert!(field["time"].is_string() || owner.ends_with("(scale)"), "{app}: {edit:?}: {said:#}");
            // Also one that only watching can tell shows at once, and not when the daemon next looks at the clock.
            eventually("the onset is known", Duration::from_secs(5), || {
                let since = daemon.said(object.0, object.1, object.2, "drift_since").parse::<jiff::Timestamp>();
                since.is_ok_and(|since| since + jiff::SignedDuration::from_secs(2) >= edited)
            });
            daemon.wait_metric(&drifted(drift), 1.0);
            if drift == "added" {
                kubectl(&["label", "role/cart", "touched-"]);
            } else {
                apply(namespace);
            }
            daemon.wait(object, "drift", "in_sync");
            daemon.wait_metric(&drifted(drift), 0.0);
        }
        kubectl(&["set", "env", "deployment/cart", "-c", "cart", "EXTRA=1"]);
        let said = daemon.wait(deployment, "drift", "added");
        assert_eq!(said["fields"][0]["owner"], "kubectl-set", "{said:#}");
        kubectl(&["set", "env", "deployment/cart", "-c", "cart", "EXTRA-"]);
        daemon.wait(deployment, "drift", "in_sync");
        kubectl(&["delete", "configmap/banner"]);
        daemon.wait((namespace, "ConfigMap", "banner"), "drift", "missing");
        daemon.wait_metric(&drifted("missing"), 1.0);
        apply(namespace);
        daemon.wait((namespace, "ConfigMap", "banner"), "drift", "in_sync");
        daemon.wait_metric(&drifted("missing"), 0.0);
        assert_eq!(findings(&daemon.objects_of(app)), Vec::<String>::new(), "{app} at the end");
    }
}

#[test]
fn the_shipped_role_leaves_no_blind_spot_but_secrets() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-role-"));
    let repo = repository(&folder);
    let daemon =
        Daemon::start(&Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "nowhere")]).cluster(&shipped_user(plane, "role")));
    let report = daemon.report();
    let spots = report["blind_spots"].as_array().expect("blind spots");
    println!("blind spots: {spots:#?}");
    let refused: Vec<&Value> = spots.iter().filter(|s| s["reason"] == "forbidden").collect();
    assert!(refused.is_empty(), "forbidden: {refused:#?}");
    let mattering: Vec<&str> = spots.iter().filter(|s| s["matters"] == true).filter_map(|s| s["what"].as_str()).collect();
    assert!(mattering.iter().all(|what| *what == "secrets"), "{mattering:?}");
    assert!(spots.iter().any(|s| s["what"] == "secrets"), "Secrets are not read by default, and that is said");
    let unread = plane.audit().into_iter().filter(|r| r.user == "role" && r.uri.starts_with("/api/v1/secrets")).count();
    assert_eq!(unread, 0, "Secrets are not even asked for");
    let writes: Vec<_> = plane.audit().into_iter().filter(|r| r.user == "role" && !["get", "list", "watch"].contains(&r.verb.as_str())).collect();
    assert!(writes.is_empty(), "the daemon only reads: {writes:?}");
}

#[test]
fn a_forbidden_kind_is_unknown_with_the_permission_that_heals_it_until_it_is_granted() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-forbidden-"));
    let repo = repository(&folder);
    plane.kubectl(&["create", "namespace", "forbidden"]);
    plane.kubectl(&["apply", "-n", "forbidden", "-f", &repo.work().join("shop").display().to_string()]);
    let mut rules = shipped_rules(&[]);
    for rule in &mut rules {
        if let Some(groups) = rule["apiGroups"].as_array_mut() {
            groups.retain(|g| g != "policy" && g != "storage.k8s.io");
        }
    }
    // `view` holds PodDisruptionBudgets too, so this user is not bound to it.
    let config = plane.user("forbidden", &[]);
    grant(plane, "forbidden", &rules);
    plane.kubectl(&["create", "clusterrolebinding", "forbidden", "--clusterrole=forbidden", "--user=forbidden"]);
    let daemon = Daemon::start(&Setting::new(&repo.git_dir.display().to_string(), &[("shop", "shop", "forbidden")]).cluster(&config));
    let budget = ("forbidden", "PodDisruptionBudget", "cart");
    let said = daemon.wait(budget, "drift", "unknown");
    let message = said["unknown"][0]["message"].as_str().expect("a message");
    assert_eq!((said["unknown"][0]["side"].as_str(), said["unknown"][0]["reason"].as_str()), (Some("cluster"), Some("forbidden")));
    for word in ["poddisruptionbudgets", "policy", "list"] {
        assert!(message.contains(word), "{word} is not named: {message}");
    }
    println!("the message: {message}");
    daemon.wait_metric("snapgap_unknown_objects{reason=\"forbidden\",side=\"cluster\"}", 1.0);
    let spots = daemon.json("/api/v1/report")["blind_spots"].clone();
    assert!(spots.as_array().expect("blind spots").iter().any(|s| s["what"] == "poddisruptionbudgets.policy" && s["matters"] == true), "{spots:#}");
    assert_eq!(daemon.said("forbidden", "Deployment", "cart", "drift"), "in_sync", "the others are judged");
    grant(plane, "forbidden", &shipped_rules(&[]));
    let said = daemon.wait(budget, "drift", "in_sync");
    assert_eq!(said["unknown"], serde_json::json!([]));
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
";

const WIDGET: &str = "apiVersion: shop.example.com/v1\nkind: Widget\nmetadata: {name: round}\nspec: {size: 3}\n";

#[test]
fn kinds_that_are_defined_and_removed_while_it_runs_are_picked_up_and_dropped() {
    let (plane, folder) = (ControlPlane::shared(), Folder::new("snapgap-widgets-"));
    let repo = Repo::new(folder.path(), "fleet");
    repo.commit("Declare a widget", &[("widgets/round.yaml", WIDGET)]);
    plane.kubectl(&["create", "namespace", "widgets"]);
    let config = user_with(plane, "widgets", &shipped_rules(&["shop.example.com"]));
    let daemon = Daemon::start(&Setting::new(&repo.git_dir.display().to_string(), &[("widgets", "widgets", "widgets")]).cluster(&config));
    let widget = ("widgets", "Widget", "round");
    // Nobody can tell yet whether the kind has namespaces.
    let known = || daemon.objects_of("widgets").pop().expect("Git declares it");
    let before = known();
    assert!(before["why"].as_str().is_some_and(|w| w.contains("does not serve Widget.shop.example.com")), "{before:#}");
    plane.apply(DEFINITION);
    plane.kubectl(&["wait", "--for=condition=Established", "crd/widgets.shop.example.com", "--timeout=60s"]);
    daemon.wait(widget, "drift", "missing");
    eventually("the widget is made", SOON, || plane.try_kubectl(&["apply", "--server-side", "-n", "widgets", "-f", "-"], WIDGET).is_ok());
    daemon.wait(widget, "drift", "in_sync");
    plane.kubectl(&["patch", "widget/round", "-n", "widgets", "--type=merge", "-p", r#"{"spec":{"size":4}}"#]);
    let said = daemon.wait(widget, "drift", "changed");
    assert_eq!(said["fields"][0]["path"], "spec.size", "{said:#}");
    plane.kubectl(&["delete", "crd/widgets.shop.example.com"]);
    eventually("the kind is gone", SOON, || known()["why"].as_str().is_some_and(|w| w.contains("does not serve Widget.shop.example.com")));
    let spots = daemon.report()["blind_spots"].clone();
    assert!(spots.as_array().expect("blind spots").iter().all(|s| s["what"] != "widgets.shop.example.com"), "{spots:#}");
}
