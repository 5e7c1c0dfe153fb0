//! helm 3 and helm 4 on good and on hostile charts.

use std::{os::unix::fs::symlink, time::Duration};

use snapgap::{
    config::{HelmOptions, Renderer},
    git::MemoryTree,
    render::sandbox::Layers,
};

use crate::support::{
    render::{CANARY, Trap, World, names, put, value},
    tools,
};

const BOTH: [&str; 2] = ["helm", "helm3"];

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";

fn helm(options: HelmOptions) -> Renderer {
    Renderer::Helm(options)
}

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n{data}\n")
}

#[test]
fn a_chart_with_subchart_value_files_and_crds_renders() {
    let tree = MemoryTree::new()
        .with("charts/shop/Chart.yaml", format!("{CHART}dependencies:\n- {{name: redis, version: 1.x.x, repository: 'https://charts.example.com'}}\n"))
        .with("charts/shop/charts/redis/Chart.yaml", "apiVersion: v2\nname: redis\nversion: 1.2.3\n")
        .with("charts/shop/charts/redis/templates/cm.yaml", config_map("{{ .Release.Name }}-redis", "  size: '{{ .Values.size }}'"))
        .with("charts/shop/values.yaml", "a: chart\nb: chart\nc: chart\nredis: {size: 1}\n")
        .with("charts/shop/values-prod.yaml", "b: file\nc: file\n")
        .with("env/prod.yaml", "redis: {size: 7}\n")
        .with("charts/shop/extra.txt", "from a file")
        .with("charts/shop/crds/crd.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: carts.example.com}\n")
        .with(
            "charts/shop/templates/cm.yaml",
            config_map(
                "main",
                "  a: {{ .Values.a }}\n  b: {{ .Values.b }}\n  c: {{ .Values.c }}\n  ns: {{ .Release.Namespace }}\n  kube: {{ .Capabilities.KubeVersion.Version }}\n  \
                 has: '{{ .Capabilities.APIVersions.Has \"example.com/v1/Cart\" }}'\n  hasnot: '{{ .Capabilities.APIVersions.Has \"example.com/v2\" }}'\n  \
                 file: '{{ .Files.Get \"extra.txt\" }}'\n  now: {{ lookup \"v1\" \"Secret\" \"x\" \"y\" | toJson | quote }}",
            ),
        );
    for tool in BOTH {
        let world = World::new(tool);
        let options = HelmOptions {
            value_files: vec!["values-prod.yaml".into(), "../../env/prod.yaml".into()],
            values: Some("c: inline\n".into()),
            ..HelmOptions::default()
        };
        let rendered = world
            .render_with("charts/shop", helm(options.clone()), &tree, |ctx| {
                ctx.kube_version = Some("v1.33.5".into());
                ctx.api_versions = vec!["example.com/v1".into(), "example.com/v1/Cart".into()];
            })
            .unwrap_or_else(|e| panic!("{tool}: {e}"));
        assert_eq!(names(&rendered), ["ConfigMap main", "ConfigMap shop-redis", "CustomResourceDefinition.apiextensions.k8s.io carts.example.com"]);
        let expected = serde_json::json!({"a": "chart", "b": "file", "c": "inline", "ns": "shop-ns", "kube": "v1.33.5", "has": "true", "hasnot": "false",
            "file": "from a file", "now": "{}"});
        assert_eq!(value(&rendered, "main")["data"], expected, "{tool}");
        assert_eq!(value(&rendered, "shop-redis")["data"]["size"], "7");
        let version = if tool == "helm" { "helm v4." } else { "helm v3." };
        assert!(rendered.evidence.tool.as_deref().is_some_and(|t| t.starts_with(version)), "{:?}", rendered.evidence);

        let options = HelmOptions { skip_crds: true, release_name: Some("other".into()), kube_version: Some("v1.30.0".into()), ..options };
        let rendered = world.render("charts/shop", helm(options), &tree).unwrap_or_else(|e| panic!("{tool}: {e}"));
        assert_eq!(names(&rendered), ["ConfigMap main", "ConfigMap other-redis"]);
        assert_eq!(value(&rendered, "main")["data"]["kube"], "v1.30.0");
    }
}

#[test]
fn a_linked_file_in_a_chart_is_refused_and_past_that_unreadable() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    put(elsewhere.path(), &[("token", CANARY)]);
    let template = config_map("x", "  stolen: {{ .Files.Get \"link\" | quote }}");
    for tool in BOTH {
        let world = World::new(tool);
        let target = elsewhere.path().join("token").display().to_string();
        for target in [target.as_str(), "/etc/hostname", "../../../../etc/hostname"] {
            let tree = MemoryTree::new().with("app/Chart.yaml", CHART).with("app/templates/cm.yaml", template.as_str()).with_link("app/link", target);
            let refused = world.render("app", helm(HelmOptions::default()), &tree).expect_err("refused");
            assert!(!format!("{refused} {refused:?}").contains(CANARY), "{refused}");
        }
        let run = |layers: Layers, strict: bool| {
            let folder = world.folder();
            put(&folder.tree(), &[("Chart.yaml", CHART), ("templates/cm.yaml", &template)]);
            symlink(elsewhere.path().join("token"), folder.tree().join("link")).expect("linked");
            let mut job = world.job(tools::path(tool), &["template", "."], layers);
            job.strict = strict;
            world.run(job, folder).expect("ran")
        };
        assert!(!format!("{:?}", String::from_utf8_lossy(&run(Layers::all(), true).stdout)).contains(CANARY), "{tool}");
        let bare = run(Layers::default(), false);
        assert!(String::from_utf8_lossy(&bare.stdout).contains(CANARY), "unconfined {tool} does read it, so the above could fail");
    }
}

#[test]
fn dependencies_that_are_not_vendored_are_named_before_anything_runs() {
    let mut world = World::new("helm");
    world.settings.helm = "/nonexistent/helm".into();
    let tree = MemoryTree::new()
        .with("app/Chart.yaml", format!("{CHART}dependencies:\n- {{name: redis, version: 1.x.x, repository: 'https://charts.example.com'}}\n"));
    let refused = world.render("app", helm(HelmOptions::default()), &tree).expect_err("refused");
    assert!(refused.to_string().contains("redis"), "{refused}");
    assert_ne!(refused.kind(), "tool_missing");
}

#[test]
fn a_schema_that_refers_elsewhere_is_not_asked_for_and_that_is_told() {
    let trap = Trap::set();
    let schema = format!(
        r#"{{"$schema":"https://json-schema.org/draft-07/schema#","properties":{{"a":{{"$ref":"http://127.0.0.1:{}/s.json"}}}}}}"#,
        trap.port()
    );
    for tool in BOTH {
        let world = World::new(tool);
        let template = config_map("x", "  a: {{ .Values.a | quote }}");
        let tree = MemoryTree::new()
            .with("app/Chart.yaml", CHART)
            .with("app/values.yaml", "a: b\n")
            .with("app/values.schema.json", schema.as_str())
            .with("app/templates/cm.yaml", template.as_str());
        let rendered = world.render("app", helm(HelmOptions::default()), &tree).unwrap_or_else(|e| panic!("{tool}: {e}"));
        assert_eq!(value(&rendered, "x")["data"]["a"], "b");
        assert!(rendered.diagnostics.iter().any(|d| &*d.reason == "schema_not_validated" && &*d.file == "app/values.schema.json"));

        let folder = world.folder();
        put(&folder.tree(), &[("Chart.yaml", CHART), ("values.yaml", "a: b\n"), ("values.schema.json", &schema), ("templates/cm.yaml", &template)]);
        let _ = world.run(world.job(tools::path(tool), &["template", "."], Layers::all()), folder).expect("ran");
        assert!(!trap.was_reached(), "{tool}");

        let own = tree.with("app/values.schema.json", r#"{"properties":{"a":{"type":"integer"}}}"#);
        let refused = world.render("app", helm(HelmOptions::default()), &own).expect_err("values that break a schema of its own");
        assert_eq!(refused.kind(), "render_failed", "{refused}");
    }
}

#[test]
fn templates_that_never_end_are_ended() {
    for tool in BOTH {
        let mut world = World::new(tool);
        world.settings.timeout = Duration::from_secs(4);
        let spin = "{{ range until 100000 }}{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ end }}\n";
        let tree = MemoryTree::new().with("app/Chart.yaml", CHART).with("app/templates/spin.yaml", spin);
        let ended = world.render("app", helm(HelmOptions::default()), &tree).expect_err("ended");
        assert_eq!(ended.kind(), "render_timeout", "{tool}: {ended}");

        world.settings.timeout = Duration::from_secs(60);
        let tree = tree.with("app/templates/spin.yaml", "{{ define \"x\" }}{{ include \"x\" . }}{{ end }}{{ include \"x\" . }}\n");
        let ended = world.render("app", helm(HelmOptions::default()), &tree).expect_err("ended");
        assert!(["render_failed", "render_memory_limit"].contains(&ended.kind()), "{tool}: {ended}");
    }
}

#[test]
fn a_chart_that_prints_too_much_is_ended() {
    for tool in BOTH {
        let mut world = World::new(tool);
        world.settings.output_bytes = 1 << 20;
        let flood = "{{ range until 40000 }}# 0123456789012345678901234567890123456789\n{{ end }}a: b\n";
        let tree = MemoryTree::new().with("app/Chart.yaml", CHART).with("app/templates/flood.yaml", flood);
        let ended = world.render("app", helm(HelmOptions::default()), &tree).expect_err("ended");
        assert_eq!(ended.kind(), "render_output_limit", "{tool}: {ended}");
    }
}

#[test]
fn what_a_chart_says_when_it_fails_holds_no_secret_value() {
    for tool in BOTH {
        let world = World::new(tool);
        let tree = MemoryTree::new()
            .with("app/Chart.yaml", CHART)
            .with("app/values.yaml", format!("db: {{}}\nadmin:\n  password: {CANARY}\n"))
            .with("app/templates/cm.yaml", "{{ fail (printf \"no luck with %s in %s\" .Values.admin.password .Values.inline.token) }}\n");
        let options = HelmOptions { values: Some(format!("inline:\n  token: \"inline-{CANARY}\"\n")), ..HelmOptions::default() };
        let failed = world.render("app", helm(options), &tree).expect_err("failed");
        let text = format!("{failed} {failed:?}");
        assert!(text.contains("no luck") && text.contains("templates/cm.yaml"), "{text}");
        assert!(!text.contains(CANARY) && !text.contains("snapgap-"), "{text}");
    }
}

#[test]
fn a_release_name_or_value_file_is_never_taken_for_a_flag() {
    for tool in BOTH {
        let world = World::new(tool);
        let tree = MemoryTree::new().with("app/Chart.yaml", CHART).with("app/templates/cm.yaml", config_map("x", "  a: b"));
        let named = |name: &str| HelmOptions { release_name: Some(name.into()), ..HelmOptions::default() };
        let failed = world.render("app", helm(named("--post-renderer=/bin/sh")), &tree).expect_err("no valid name");
        assert!(failed.to_string().contains("name"), "{tool}: {failed}");
        let options = HelmOptions { value_files: vec!["missing.yaml".into()], ..HelmOptions::default() };
        let failed = world.render("app", helm(options), &tree).expect_err("no such file");
        assert!(failed.to_string().contains("missing.yaml"), "{failed}");
    }
}
