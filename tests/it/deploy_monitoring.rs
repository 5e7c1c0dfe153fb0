//! What the chart gives to a Prometheus Operator and to Grafana: field by field, and taken by the operator's own definitions.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    control_plane::{ControlPlane, Options},
    program::Folder,
    tools,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn rendered(values: &str) -> (String, Vec<Value>) {
    let chart = Path::new(ROOT).join("deploy/helm/snapgap");
    let out = Command::new(tools::path("helm")).args(["template", "snapgap", "--namespace", "watch", "--set", values]).arg(chart).output();
    let out = out.expect("helm starts");
    assert!(out.status.success(), "{values}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("text");
    let all = serde_yaml::Deserializer::from_str(&text).map(|d| <Value as serde::Deserialize>::deserialize(d).expect("YAML"));
    let all = all.filter(|d| !d.is_null()).collect();
    (text, all)
}

fn of<'a>(all: &'a [Value], kind: &str) -> &'a Value {
    let mut found = all.iter().filter(|d| d["kind"] == kind);
    let one = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "{kind} stands twice");
    one
}

const ALL: &str = "serviceMonitor.enabled=true,serviceMonitor.interval=45s,serviceMonitor.additionalLabels.release=prom,prometheusRule.enabled=true,\
    prometheusRule.additionalLabels.release=prom,prometheusRule.runbookBaseUrl=https://wiki.example.org/runbooks/,dashboards.enabled=true,\
    dashboards.annotations.folder=GitOps,auth.existingSecret=token,tls.existingSecret=cert";

#[test]
fn prometheus_is_led_to_the_port_that_the_service_has_with_what_it_needs_to_be_let_in() {
    let (_, all) = rendered(ALL);
    let (monitor, service) = (of(&all, "ServiceMonitor"), of(&all, "Service"));
    assert_eq!((&monitor["metadata"]["name"], &monitor["metadata"]["namespace"]), (&json!("snapgap"), &json!("watch")));
    assert_eq!(monitor["metadata"]["labels"]["release"], "prom");
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    assert!(!selector.is_empty() && selector.iter().all(|(key, value)| service["metadata"]["labels"][key] == *value), "it selects another Service");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!((&endpoint["path"], &endpoint["interval"], &endpoint["scrapeTimeout"]), (&json!("/metrics"), &json!("45s"), &json!("10s")));
    assert_eq!(endpoint["scheme"], "https");
    assert_eq!(endpoint["tlsConfig"], json!({"serverName": "snapgap.watch.svc", "ca": {"secret": {"name": "cert", "key": "ca.crt"}}}));
    assert_eq!(endpoint["authorization"], json!({"credentials": {"name": "token", "key": "token"}}));
    let (_, open) = rendered("serviceMonitor.enabled=true");
    let endpoint = of(&open, "ServiceMonitor")["spec"]["endpoints"][0].as_object().expect("an endpoint").clone();
    assert_eq!(endpoint.keys().collect::<Vec<_>>(), ["interval", "path", "port", "scrapeTimeout"], "neither TLS nor a token");
}

#[test]
fn the_rules_and_dashboards_of_the_chart_are_the_shipped_ones_with_the_runbooks_where_the_user_has_them() {
    let (_, all) = rendered(ALL);
    let rule = of(&all, "PrometheusRule");
    assert_eq!(rule["metadata"]["labels"]["release"], "prom");
    let shipped = read("deploy/prometheus/rules.yml");
    let wanted: Value =
        serde_yaml::from_str(&shipped.replace("https://snapgap.example.com/runbooks/", "https://wiki.example.org/runbooks/")).expect("YAML");
    assert!(wanted["groups"].as_array().is_some_and(|g| g.len() > 5) && !wanted.to_string().contains("snapgap.example.com"));
    assert_eq!(rule["spec"], wanted);
    let folder = Folder::new("snapgap-rules-");
    let file = folder.path().join("rules.yml");
    fs::write(&file, rule["spec"].to_string()).expect("written");
    let said = Command::new(tools::path("promtool")).args(["check", "rules"]).arg(&file).output().expect("promtool starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let (_, plain) = rendered("prometheusRule.enabled=true");
    assert_eq!(of(&plain, "PrometheusRule")["spec"], serde_yaml::from_str::<Value>(&shipped).expect("YAML"));
    let boards: Vec<_> = all.iter().filter(|d| d["metadata"]["name"] == "snapgap-dashboards").collect();
    assert_eq!(boards.len(), 1);
    assert_eq!(boards[0]["metadata"]["labels"]["grafana_dashboard"], "1", "what Grafana's sidecar looks for");
    assert_eq!(boards[0]["metadata"]["annotations"]["folder"], "GitOps");
    let files: Vec<String> = fs::read_dir(Path::new(ROOT).join("dashboards"))
        .expect("dashboards")
        .map(|e| e.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    assert_eq!(boards[0]["data"].as_object().map(serde_json::Map::len), Some(files.len()));
    for file in files {
        let held: Value = serde_json::from_str(boards[0]["data"][&file].as_str().unwrap_or_else(|| panic!("no {file}"))).expect("JSON");
        assert_eq!(held, serde_json::from_str::<Value>(&read(&format!("dashboards/{file}"))).expect("JSON"), "{file}");
    }
}

#[test]
fn the_operators_own_definitions_take_the_monitor_and_the_rules() {
    let plane = ControlPlane::start(Options::default());
    for file in ["servicemonitors.crd.yaml", "prometheusrules.crd.yaml"] {
        plane.kubectl(&["apply", "--server-side", "-f", &tools::path(file).display().to_string()]);
    }
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: watch}}");
    for values in ["serviceMonitor.enabled=true,prometheusRule.enabled=true", ALL] {
        let (text, all) = rendered(values);
        let said = plane.kubectl_with(&["apply", "--validate=strict", "--warnings-as-errors"], &text);
        assert_eq!(said.lines().count(), all.len(), "{said}");
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            let kept: Value = serde_json::from_str(&plane.kubectl(&["get", kind, "snapgap", "-n", "watch", "-o", "json"])).expect("JSON");
            assert_eq!(kept["spec"], of(&all, kind)["spec"], "{kind}: what was kept is not what was sent");
        }
    }
    // The definitions look: a field that they do not know is refused.
    let (text, _) = rendered("serviceMonitor.enabled=true");
    let wrong = text.replace("scrapeTimeout: 10s", "scrapeTimeuot: 10s");
    let refused = plane.try_kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"], &wrong).expect_err("refused");
    assert!(wrong != text && refused.contains("scrapeTimeuot"), "{refused}");
}
