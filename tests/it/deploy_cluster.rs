//! Chart and base against a real API server that enforces restricted pods, and values that the chart's schema refuses.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    control_plane::{ControlPlane, Options},
    program::eventually,
    tools,
    velero::PATIENCE,
};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/snapgap");

fn template(args: &[&str]) -> Result<String, String> {
    let out =
        Command::new(tools::path("helm")).args(["template", "snapgap", CHART, "--namespace", "snapgap"]).args(args).output().expect("helm starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml::Deserializer::from_str(text).map(|d| <Value as serde::Deserialize>::deserialize(d).expect("YAML"));
    all.filter(|d| !d.is_null()).collect()
}

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    for (set, named) in [
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.digest=latest", "digest"),
        ("image.repository=", "repository"),
        ("service.port=0", "port"),
        ("service.port=http", "port"),
        ("log.format=xml", "format"),
        ("log.level=", "level"),
        ("rbac.secrets=perhaps", "secrets"),
        ("rbac.customResourceGroups={*}", "customResourceGroups"),
        ("cache.sizeLimit=much", "sizeLimit"),
        ("persistence.size=64MB", "size"),
        ("persistence.enabled=yes-please", "enabled"),
        ("networkPolicy.apiServerPort=70000", "apiServerPort"),
        ("networkPolicy.gitPorts={ssh}", "gitPorts"),
        ("networkPolicy.apiServerCidrs={10.0.0.1}", "apiServerCidrs"),
        ("networkPolicy.extraEgress={10.0.0.0/8}", "extraEgress"),
        ("networkPolicy.extraEgress[0].from=anywhere", "extraEgress"),
        ("prometheusRule.runbookBaseUrl=wiki", "runbookBaseUrl"),
        ("serviceMonitor.interval=often", "interval"),
        ("terminationGracePeriodSeconds=1", "terminationGracePeriodSeconds"),
        ("replicas=3", "replicas"),
        ("nodeSelector=linux", "nodeSelector"),
    ] {
        let refused = template(&["--set", set]).expect_err(set);
        assert!(refused.contains(named) && refused.contains("schema"), "{set}: {refused}");
    }
}

#[test]
fn a_real_api_server_takes_chart_and_base_and_lets_the_pod_in_where_only_restricted_ones_may() {
    let plane = ControlPlane::shared();
    let base =
        Command::new(tools::path("kustomize")).args(["build"]).arg(Path::new(CHART).join("../../kustomize")).output().expect("kustomize starts");
    assert!(base.status.success(), "{}", String::from_utf8_lossy(&base.stderr));
    let base = String::from_utf8(base.stdout).expect("text");
    let namespace = documents(&base).into_iter().find(|d| d["kind"] == "Namespace").expect("the base has a namespace");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    plane.apply(&namespace.to_string());
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: keeper}}");
    let everything = "networkPolicy.enabled=true,networkPolicy.apiServerCidrs={10.0.0.1/32},networkPolicy.gitCidrs={10.0.0.0/8},\
        networkPolicy.extraEgress[0].to[0].ipBlock.cidr=10.20.0.0/16,networkPolicy.extraEgress[0].ports[0].port=9000,rbac.secrets=true,\
        rbac.downloadRequests=true,rbac.dryRun=true,config.velero.namespace=keeper,\
        persistence.enabled=true,auth.existingSecret=token,tls.existingSecret=cert,dashboards.enabled=true,rbac.customResourceGroups={cert-manager.io}";
    let (plain, all) = (template(&[]).expect("renders"), template(&["--set", everything]).expect("renders"));
    for (what, text) in [("the base", &base), ("the chart", &plain), ("the chart with everything", &all)] {
        let said = plane.kubectl_with(&["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors"], text);
        assert_eq!(said.lines().count(), documents(text).len(), "{what}: {said}");
        // Pods are let in or not when they are made, so the template is tried as the pod that it will be.
        let read = plane.kubectl_with(&["create", "--dry-run=client", "-o", "json"], text);
        let mut read = serde_json::Deserializer::from_str(&read).into_iter::<Value>().map(|d| d.expect("JSON"));
        let deployment = read.find_map(|d| {
            if d["kind"] == "List" {
                d["items"].as_array()?.iter().find(|i| i["kind"] == "Deployment").cloned()
            } else {
                (d["kind"] == "Deployment").then_some(d)
            }
        });
        let deployment = deployment.expect("a Deployment");
        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = "tried".into();
        plane.kubectl_with(&["create", "--dry-run=server", "-n", "snapgap"], &pod.to_string());
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
        let refused = plane.try_kubectl(&["create", "--dry-run=server", "-n", "snapgap", "-f", "-"], &pod.to_string()).expect_err("it is enforced");
        assert!(refused.contains("violates PodSecurity"), "{what}: {refused}");
    }
}

/// Runs helm against a cluster.
fn helm(plane: &ControlPlane, home: &Path, args: &[&str]) -> String {
    let kubeconfig = plane.admin();
    let out = Command::new(tools::path("helm")).args(args).args(["-n", "snapgap"]).env("KUBECONFIG", kubeconfig).env("HOME", home).output();
    let out = out.expect("helm starts");
    assert!(out.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn the_chart_is_installed_upgraded_and_taken_away_and_the_base_applied() {
    let plane = ControlPlane::start(Options { controllers: true, flags: vec![] });
    let home = tempfile::tempdir().expect("a folder");
    let base = Path::new(CHART).join("../../kustomize").display().to_string();
    let pod_with = |what: &str, tag: &str| {
        eventually(what, PATIENCE, || {
            let pods = plane.kubectl(&["get", "pods", "-n", "snapgap", "-l", "app.kubernetes.io/name=snapgap", "-o", "json"]);
            let pods: Value = serde_json::from_str(&pods).expect("JSON");
            let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().is_some_and(|i| i.ends_with(tag));
            pods["items"].as_array().expect("items").iter().any(image)
        });
    };
    let left = |kinds: &str| plane.kubectl(&["get", kinds, "-A", "-l", "app.kubernetes.io/name=snapgap", "-o", "name"]);
    const KINDS: &str = "deployments,services,serviceaccounts,configmaps,clusterroles,clusterrolebindings,roles,rolebindings,networkpolicies";
    helm(&plane, home.path(), &["install", "snapgap", CHART, "--create-namespace", "--set", "image.tag=one"]);
    pod_with("the pod of the chart is made", ":one");
    helm(&plane, home.path(), &["upgrade", "snapgap", CHART, "--set", "image.tag=two,networkPolicy.enabled=true,rbac.secrets=true"]);
    pod_with("the upgrade makes another", ":two");
    assert!(left(KINDS).contains("networkpolicy"), "{}", left(KINDS));
    let history = helm(&plane, home.path(), &["history", "snapgap", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&history).expect("JSON").as_array().map(Vec::len), Some(2), "{history}");
    helm(&plane, home.path(), &["uninstall", "snapgap", "--wait"]);
    eventually("nothing of it is left", PATIENCE, || left(KINDS).is_empty());
    plane.kubectl(&["apply", "-k", &base]);
    pod_with("the pod of the base is made", concat!(":", env!("CARGO_PKG_VERSION")));
    plane.kubectl(&["delete", "-k", &base]);
    assert_eq!(left(KINDS), "");
}

#[test]
fn the_roles_that_are_printed_for_a_cluster_are_taken_by_it() {
    let plane = ControlPlane::shared();
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: velero}}");
    let home = tempfile::tempdir().expect("a folder");
    let kubeconfig = plane.admin().display().to_string();
    for (with, kinds) in [
        (&[][..], &["ClusterRole"][..]),
        (&["--with", "secrets"], &["ClusterRole", "ClusterRole"]),
        (&["--with", "secrets,download-requests,dry-run"], &["ClusterRole", "ClusterRole", "Role", "ClusterRole"]),
    ] {
        let printed = crate::support::cli::snapgap(home.path(), &[&["rbac", "--kubeconfig", &kubeconfig], with].concat()).ended(0).out;
        let roles = documents(&printed);
        assert_eq!(roles.iter().map(|r| r["kind"].as_str().expect("a kind")).collect::<Vec<_>>(), kinds, "{printed}");
        plane.kubectl_with(&["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors"], &printed);
        let first = roles[0]["rules"].to_string();
        assert!(first.contains("deployments") && !first.contains("\"secrets\"") && !first.contains('*'), "{first}");
    }
}

#[test]
fn each_opt_in_of_the_chart_is_a_grant_of_its_own_and_lands_where_it_must() {
    let plain = documents(&template(&[]).expect("renders"));
    let name = |d: &Value| format!("{} {}", d["kind"].as_str().expect("a kind"), d["metadata"]["name"].as_str().expect("a name"));
    let added = |set: &str| -> Vec<Value> {
        let all = documents(&template(&["--set", set]).expect("renders"));
        all.into_iter().filter(|d| !plain.iter().any(|p| name(p) == name(d))).collect()
    };
    let downloads = added("rbac.downloadRequests=true,config.velero.namespace=keeper");
    assert_eq!(downloads.iter().map(name).collect::<Vec<_>>(), ["Role snapgap-download-requests", "RoleBinding snapgap-download-requests"]);
    assert!(downloads.iter().all(|d| d["metadata"]["namespace"] == "keeper"), "a Role counts in Velero's namespace only");
    let rules = serde_json::json!([{"apiGroups": ["velero.io"], "resources": ["downloadrequests"], "verbs": ["create", "get", "delete"]}]);
    assert_eq!(downloads[0]["rules"], rules);
    assert_eq!(downloads[1]["roleRef"]["name"], downloads[0]["metadata"]["name"]);
    assert_eq!(downloads[1]["subjects"], serde_json::json!([{"kind": "ServiceAccount", "name": "snapgap", "namespace": "snapgap"}]));
    assert!(added("rbac.downloadRequests=true").iter().all(|d| d["metadata"]["namespace"] == "velero"));
    let dry = added("rbac.dryRun=true,rbac.customResourceGroups={cert-manager.io}");
    assert_eq!(dry.iter().map(name).collect::<Vec<_>>(), ["ClusterRole snapgap-dry-run", "ClusterRoleBinding snapgap-dry-run"]);
    let rules = dry[0]["rules"].as_array().expect("rules");
    assert!(rules.iter().all(|r| r["verbs"] == serde_json::json!(["patch"])) && rules.iter().any(|r| r["apiGroups"][0] == "cert-manager.io"));
    assert!(!dry[0]["rules"].to_string().contains("\"secrets\""));
    let policy = added(
        "networkPolicy.enabled=true,networkPolicy.extraEgress[0].to[0].ipBlock.cidr=10.20.0.0/16,networkPolicy.extraEgress[0].ports[0].port=9000",
    );
    assert_eq!(policy.iter().map(name).collect::<Vec<_>>(), ["NetworkPolicy snapgap"]);
    let egress = policy[0]["spec"]["egress"].as_array().expect("egress");
    assert_eq!(egress.len(), 2, "DNS and what was added");
    assert_eq!(egress[1], serde_json::json!({"to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}], "ports": [{"port": 9000}]}));
}

#[test]
fn the_configuration_that_the_chart_writes_is_one_that_the_program_takes() {
    let values = "config.sources[0].url=https://git.example.com/fleet.git,config.apps[0].name=shop,config.apps[0].path=apps/shop,rbac.secrets=true,\
        auth.existingSecret=token,tls.existingSecret=cert,persistence.enabled=true";
    for args in [&[][..], &["--set", values]] {
        let map = documents(&template(args).expect("renders")).into_iter().find(|d| d["kind"] == "ConfigMap").expect("a ConfigMap");
        let home = tempfile::tempdir().expect("a folder");
        let (_, text) = map["data"].as_object().expect("data").iter().next().expect("a file");
        std::fs::write(home.path().join("snapgap.yaml"), text.as_str().expect("text")).expect("written");
        let told = crate::support::cli::snapgap(home.path(), &["config", "check", "-f", "snapgap.yaml"]).ended(0).out;
        assert_eq!(told.contains("app shop: apps/shop"), !args.is_empty(), "{told}");
        assert_eq!(told.contains("compared by keyed hash"), !args.is_empty(), "{told}");
    }
}
