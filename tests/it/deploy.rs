//! What is shipped beside the program holds together: rules, runbooks, dashboards, chart and base.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::tools;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn run(tool: &str, args: &[&str]) -> Output {
    Command::new(tools::path(tool)).args(args).current_dir(root()).output().unwrap_or_else(|e| panic!("{tool}: {e}"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(tool: &str, args: &[&str]) -> String {
    let output = run(tool, args);
    assert!(output.status.success(), "{tool} {args:?}: {}", text(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Every word that looks like a metric of ours.
fn metrics_named(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|w| w.starts_with("snapgap_") && w.len() > "snapgap_".len());
    words.map(|w| w.strip_suffix("_bucket").unwrap_or(w).to_owned()).collect()
}

#[test]
fn every_metric_that_a_rule_a_dashboard_or_a_doc_names_exists() {
    let known: BTreeSet<String> = snapgap::metrics::table::TABLE.iter().map(|f| f.name.to_owned()).collect();
    let mut files = vec!["deploy/prometheus/rules.yml".to_owned(), "deploy/prometheus/rules_test.yml".to_owned(), "README.md".to_owned()];
    for folder in ["dashboards", "docs", "docs/runbooks"] {
        for entry in fs::read_dir(root().join(folder)).expect(folder) {
            let name = entry.expect("entry").file_name().into_string().expect("text");
            if name.ends_with(".json") || name.ends_with(".md") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    let mut seen = 0;
    for file in files {
        let named = metrics_named(&read(&file));
        seen += named.len();
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names metrics that do not exist: {unknown:?}");
    }
    assert!(seen > 50, "only {seen} metrics were found: the test is not looking");
}

#[test]
fn the_rules_pass_promtool_and_their_own_tests() {
    succeeds("promtool", &["check", "rules", "deploy/prometheus/rules.yml"]);
    succeeds("promtool", &["test", "rules", "deploy/prometheus/rules_test.yml"]);
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let rules: serde_yaml::Value = serde_yaml::from_str(&read("deploy/prometheus/rules.yml")).expect("yaml");
    let mut alerts = BTreeSet::new();
    for group in rules["groups"].as_sequence().expect("groups") {
        for rule in group["rules"].as_sequence().expect("rules") {
            let name = rule["alert"].as_str().expect("alert");
            let annotations = &rule["annotations"];
            assert!(annotations["runbook_url"].as_str().expect("runbook").ends_with(&format!("/runbooks/{name}")), "{name}");
            assert!(!annotations["summary"].as_str().expect("summary").contains("{{"), "{name}: a summary is static");
            assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().expect("severity")), "{name}");
            alerts.insert(name.to_owned());
        }
    }
    let pages: BTreeSet<String> = fs::read_dir(root().join("docs/runbooks"))
        .expect("runbooks")
        .map(|e| e.expect("entry").file_name().into_string().expect("text").trim_end_matches(".md").to_owned())
        .collect();
    assert_eq!(alerts, pages);
    for page in pages {
        let page = read(&format!("docs/runbooks/{page}.md"));
        assert!(["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"].iter().all(|h| page.contains(h)));
    }
}

#[test]
fn the_alertmanager_example_is_accepted() {
    succeeds("amtool", &["check-config", "deploy/prometheus/alertmanager.yml"]);
}

/// The dashboards: each is in a file that is named after its uid.
const BOARDS: [&str; 2] = ["snapgap-overview", "snapgap-backup"];

fn board(name: &str) -> serde_json::Value {
    serde_json::from_str(&read(&format!("dashboards/{name}.json"))).expect("json")
}

#[test]
fn dashboards_follow_the_conventions_that_grafana_needs() {
    let files = fs::read_dir("dashboards").expect("dashboards").count();
    assert_eq!(files, BOARDS.len(), "a dashboard that no test looks at");
    BOARDS.iter().for_each(|name| follows_the_conventions(name));
}

fn follows_the_conventions(name: &str) {
    let board = board(name);
    assert_eq!(board["uid"], name);
    assert_eq!(board["editable"], false);
    let text = board.to_string();
    assert!(!text.contains("${DS_") && !text.contains("__inputs"), "the data source is a variable, or provisioning fails");
    let mut ids = BTreeSet::new();
    for panel in board["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().unwrap_or_default();
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().expect("id")), "{title}");
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            ["stat", "table", "timeseries", "state-timeline", "bargauge"].contains(&panel["type"].as_str().expect("type")),
            "{title}: an Angular panel"
        );
        assert!(panel["description"].as_str().is_some_and(|d| d.len() > 20), "{title} has no description");
        assert!(panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|u| !u.is_empty()), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expr = target["expr"].as_str().expect("expr");
            assert!(!expr.contains("rate(") || expr.contains("$__rate_interval"), "{title}: {expr}");
            assert!(expr.contains("$cluster") && expr.contains("$job"), "{title}: {expr}");
        }
    }
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let boards: Vec<_> = BOARDS.iter().map(|name| board(name)).collect();
    let mut rules = String::from("groups:\n- name: queries\n  rules:\n");
    let mut count = 0;
    for target in boards.iter().flat_map(|b| b["panels"].as_array().expect("panels")).flat_map(|p| p["targets"].as_array().into_iter().flatten()) {
        let mut expr = target["expr"].as_str().expect("expr").to_owned();
        for (variable, value) in [
            ("$__rate_interval", "5m"),
            ("$__interval", "1m"),
            ("$cluster", ".*"),
            ("$job", ".+"),
            ("$app", ".+"),
            ("$schedule", ".*"),
            ("$namespace", ".*"),
        ] {
            expr = expr.replace(variable, value);
        }
        rules.push_str(&format!("  - record: query:{count}\n    expr: {}\n", serde_json::Value::String(expr)));
        count += 1;
    }
    assert!(count > 40, "only {count} queries");
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("queries.yml");
    fs::write(&file, rules).expect("write");
    succeeds("promtool", &["check", "rules", "--lint=none", &file.display().to_string()]);
}

/// Kinds and names of the objects in a stream of documents, sorted.
fn named(text: &str) -> Vec<String> {
    let all = serde_yaml::Deserializer::from_str(text).map(|d| <serde_json::Value as serde::Deserialize>::deserialize(d).expect("YAML"));
    let name = |d: serde_json::Value| format!("{} {}", d["kind"].as_str().expect("a kind"), d["metadata"]["name"].as_str().expect("a name"));
    let mut names: Vec<_> = all.filter(|d| !d.is_null()).map(name).collect();
    names.sort();
    names
}

#[test]
fn the_chart_renders_by_helm_3_and_4_and_refuses_what_it_does_not_know() {
    let everything = [
        "template",
        "release",
        "deploy/helm/snapgap",
        "--namespace",
        "watch",
        "--set",
        "serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboards.enabled=true,networkPolicy.enabled=true,rbac.secrets=true,\
         rbac.downloadRequests=true,rbac.dryRun=true,\
         persistence.enabled=true,auth.existingSecret=token,tls.existingSecret=cert,rbac.customResourceGroups={cert-manager.io}",
    ];
    for helm in ["helm", "helm3"] {
        succeeds(helm, &["lint", "deploy/helm/snapgap"]);
        let plain = succeeds(helm, &["template", "release", "deploy/helm/snapgap"]);
        // Everything else is off by default: what reads more, what monitors, what closes the network.
        let kinds = [
            "ClusterRole release-snapgap",
            "ClusterRoleBinding release-snapgap",
            "ClusterRoleBinding release-snapgap-view",
            "ConfigMap release-snapgap",
            "Deployment release-snapgap",
            "Service release-snapgap",
            "ServiceAccount release-snapgap",
        ];
        assert_eq!(named(&plain), kinds, "{helm}");
        assert!(!plain.contains("resources: [secrets]") && !plain.contains("patch"));
        let all = succeeds(helm, &everything);
        for kind in ["ServiceMonitor", "PrometheusRule", "NetworkPolicy", "PersistentVolumeClaim", "Deployment", "ClusterRole", "Role"] {
            assert!(all.contains(&format!("kind: {kind}\n")), "{helm}: no {kind}");
        }
        assert!(all.contains("resources: [secrets]") && BOARDS.iter().all(|b| all.contains(&format!("{b}.json"))));
        for document in serde_yaml::Deserializer::from_str(&all) {
            <serde_yaml::Value as serde::Deserialize>::deserialize(document).expect("every document is YAML");
        }
        let wrong = run(helm, &["template", "release", "deploy/helm/snapgap", "--set", "rbac.secretz=true"]);
        assert!(!wrong.status.success() && text(&wrong).contains("secretz"), "{}", text(&wrong));
    }
}

#[test]
fn the_pod_is_restricted_and_the_role_reads_only() {
    let chart = succeeds("helm", &["template", "release", "deploy/helm/snapgap"]);
    let mut pods = 0;
    for document in serde_yaml::Deserializer::from_str(&chart) {
        let object = <serde_yaml::Value as serde::Deserialize>::deserialize(document).expect("yaml");
        match object["kind"].as_str() {
            Some("Deployment") => {
                pods += 1;
                let pod = &object["spec"]["template"]["spec"];
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
                assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
                let container = &pod["containers"][0]["securityContext"];
                assert_eq!(container["allowPrivilegeEscalation"], false);
                assert_eq!(container["readOnlyRootFilesystem"], true);
                assert_eq!(container["capabilities"]["drop"][0], "ALL");
            }
            Some("ClusterRole") => {
                for rule in object["rules"].as_sequence().expect("rules") {
                    for verb in rule["verbs"].as_sequence().expect("verbs") {
                        assert!(["get", "list", "watch"].contains(&verb.as_str().expect("verb")), "{verb:?}");
                    }
                    let words = |key: &str| rule[key].as_sequence().into_iter().flatten().filter_map(|v| v.as_str()).collect::<Vec<_>>();
                    let everything = words("resources").contains(&"*");
                    assert!(!everything || !words("apiGroups").iter().any(|g| g.is_empty() || *g == "*"), "a wildcard that holds Secrets");
                    assert!(!words("resources").contains(&"secrets"));
                }
            }
            _ => {}
        }
    }
    assert_eq!(pods, 1);
}

#[test]
fn what_is_made_from_something_else_is_up_to_date() {
    let chart = Path::new("deploy/helm/snapgap/files");
    assert_eq!(read("deploy/prometheus/rules.yml"), read(&chart.join("rules.yml").display().to_string()), "run tests/tools/regenerate");
    for name in BOARDS {
        let copy = read(&chart.join(format!("{name}.json")).display().to_string());
        assert_eq!(read(&format!("dashboards/{name}.json")), copy, "run tests/tools/regenerate");
    }
    let rendered = succeeds("helm", &["template", "snapgap", "deploy/helm/snapgap", "--namespace", "snapgap"]);
    let kept: Vec<_> = rendered.lines().filter(|l| !l.contains("app.kubernetes.io/managed-by: Helm") && !l.contains("helm.sh/chart:")).collect();
    let base = read("deploy/kustomize/snapgap.yaml");
    let base: Vec<_> = base.lines().skip(1).collect();
    assert_eq!(kept, base, "run tests/tools/regenerate");
    let built = succeeds("kustomize", &["build", "deploy/kustomize"]);
    assert!(built.contains("pod-security.kubernetes.io/enforce: restricted") && built.contains("kind: Deployment"));
}
