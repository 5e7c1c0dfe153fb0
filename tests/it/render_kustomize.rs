//! kustomize on good and on hostile repositories: real builds, and that nothing outside the repository leaks into one.

use std::{os::unix::fs::symlink, process::Command, time::Duration};

use snapgap::{
    config::Renderer,
    git::MemoryTree,
    render::{
        RenderError,
        sandbox::{Layer, Layers},
    },
};

use crate::support::{
    render::{CANARY, Trap, World, names, put, value},
    tools,
};

fn deployment() -> &'static str {
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: cart, image: registry.example.com/cart:1}\n"
}

/// Every word of an error, through all of its causes.
fn everything(error: &RenderError) -> String {
    format!("{error} {error:?}")
}

#[test]
fn an_overlay_with_base_component_and_generators_renders() {
    let world = World::new("helm");
    let tree = MemoryTree::new()
        .with("base/deployment.yaml", deployment())
        .with("base/kustomization.yaml", "resources: [deployment.yaml]\n")
        .with(
            "components/tls/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /metadata/annotations, value: {tls: 'on'}}\n",
        )
        .with(
            "apps/shop/prod/kustomization.yaml",
            "resources: [../../../base]\ncomponents: [../../../components/tls]\nnamePrefix: prod-\nimages: [{name: registry.example.com/cart, newTag: '2'}]\n\
             configMapGenerator: [{name: conf, files: [app.conf]}]\nsecretGenerator: [{name: db, literals: [password=hunter2-canary]}]\n",
        )
        .with("apps/shop/prod/app.conf", "a=b\n");
    let rendered = world.render("apps/shop/prod", Renderer::Auto, &tree).expect("rendered");
    let names = names(&rendered);
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(
        names[0].starts_with("ConfigMap prod-conf-") && names[1] == "Deployment.apps prod-cart" && names[2].starts_with("Secret prod-db-"),
        "{names:?}"
    );
    let cart = value(&rendered, "prod-cart");
    assert_eq!(cart["metadata"]["annotations"]["tls"], "on");
    assert_eq!(cart["spec"]["template"]["spec"]["containers"][0]["image"], "registry.example.com/cart:2");
    assert_eq!(&*rendered.evidence.renderer, "kustomize");
    assert!(rendered.evidence.tool.as_deref().is_some_and(|t| t.starts_with("kustomize v5.")), "{:?}", rendered.evidence);
    assert!(rendered.evidence.sandbox.as_deref().is_some_and(|s| s.contains("seccomp")), "{:?}", rendered.evidence);
    assert!(!format!("{rendered:?}").contains("hunter2"));
    assert_eq!(&*rendered.revision, "abc123");
}

#[test]
fn every_fallback_renders_too_and_says_which_it_was() {
    let mut world = World::new("helm");
    let tree = MemoryTree::new().with("a/kustomization.yaml", "resources: [d.yaml]\n").with("a/d.yaml", deployment());
    let all = world.render("a", Renderer::Kustomize, &tree).expect("rendered").evidence.sandbox.expect("told");
    for layers in [
        &[Layer::Netns, Layer::Mountns][..],
        &[Layer::Netns],
        &[Layer::Seccomp],
        &[Layer::Netns, Layer::Seccomp],
        &[Layer::Landlock, Layer::Seccomp],
        &[Layer::Netns, Layer::Landlock],
    ] {
        world.layers = Layers::only(layers);
        let rendered = world.render("a", Renderer::Kustomize, &tree).expect("rendered");
        // A kernel may lack Landlock; then it must not be claimed.
        let expected = if all.contains("landlock") { world.layers.clone() } else { world.layers.clone().without(Layer::Landlock) };
        assert_eq!(rendered.evidence.sandbox.as_deref(), Some(expected.to_string().as_str()));
    }
    world.layers = Layers::default();
    let refused = world.render("a", Renderer::Kustomize, &tree).expect_err("strict");
    assert_eq!(refused.kind(), "sandbox_unavailable");
    world.settings.sandbox = snapgap::config::Sandbox::BestEffort;
    let rendered = world.render("a", Renderer::Kustomize, &tree).expect("rendered");
    assert_eq!(rendered.evidence.sandbox.as_deref(), Some("none"));
}

#[test]
fn a_link_out_of_the_repository_refuses_the_app() {
    let world = World::new("helm");
    for target in ["/etc", "../../../etc", "../.."] {
        let tree = MemoryTree::new().with("app/kustomization.yaml", "resources: [base]\n").with_link("app/base", target);
        let refused = world.render("app", Renderer::Kustomize, &tree).expect_err("refused");
        assert_eq!(refused.kind(), "bad_link", "{refused}");
        assert!(refused.to_string().contains("base"), "{refused}");
    }
}

#[test]
fn a_linked_folder_that_slipped_past_the_export_still_leads_nowhere() {
    let world = World::new("helm");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let stolen = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {CANARY}}}\n");
    put(elsewhere.path(), &[("kustomization.yaml", "resources: [cm.yaml]\n"), ("cm.yaml", &stolen)]);
    let build = |layers: Layers, strict: bool| {
        let folder = world.folder();
        put(&folder.tree(), &[("kustomization.yaml", "resources: [base]\n")]);
        symlink(elsewhere.path(), folder.tree().join("base")).expect("linked");
        let mut job = world.job(tools::path("kustomize"), &["build", "."], layers);
        job.strict = strict;
        world.run(job, folder).expect("ran")
    };
    let confined = build(Layers::all(), true);
    assert_ne!(confined.code, Some(0));
    assert!(!format!("{confined:?}").contains(CANARY));
    let bare = build(Layers::default(), false);
    assert!(String::from_utf8_lossy(&bare.stdout).contains(CANARY), "unconfined kustomize does follow it, so the above could fail");
}

#[test]
fn a_base_in_another_repository_of_this_machine_stays_there() {
    let world = World::new("helm");
    let other = tempfile::tempdir().expect("a folder");
    put(
        other.path(),
        &[("kustomization.yaml", "resources: [cm.yaml]\n"), ("cm.yaml", &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {CANARY}}}\n"))],
    );
    for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "x"]] {
        let done = Command::new(tools::path("git")).current_dir(other.path()).args(args).status().expect("git");
        assert!(done.success());
    }
    let kustomization = format!("resources: ['file://{}//.?ref=main']\n", other.path().display());
    let tree = MemoryTree::new().with("app/kustomization.yaml", kustomization.as_str());
    let refused = world.render("app", Renderer::Kustomize, &tree).expect_err("refused");
    assert!(!everything(&refused).contains(CANARY), "{refused}");
    let folder = world.folder();
    put(&folder.tree(), &[("kustomization.yaml", &kustomization)]);
    let ran = world.run(world.job(tools::path("kustomize"), &["build", "."], Layers::all()), folder).expect("ran");
    assert_ne!(ran.code, Some(0));
    assert!(!format!("{ran:?}").contains(CANARY));
}

#[test]
fn an_address_is_never_asked_even_past_the_first_check() {
    let world = World::new("helm");
    let trap = Trap::set();
    for address in [format!("http://127.0.0.1:{}/x.yaml", trap.port()), format!("https://127.0.0.1:{}/x.git//base?ref=main", trap.port())] {
        let kustomization = format!("resources: ['{address}']\n");
        let tree = MemoryTree::new().with("app/kustomization.yaml", kustomization.as_str());
        world.render("app", Renderer::Kustomize, &tree).expect_err("refused");
        for layers in [Layers::only(&[Layer::Netns]), Layers::only(&[Layer::Seccomp]), Layers::all()] {
            let folder = world.folder();
            put(&folder.tree(), &[("kustomization.yaml", &kustomization)]);
            let ran = world.run(world.job(tools::path("kustomize"), &["build", "."], layers.clone()), folder).expect("ran");
            assert_ne!(ran.code, Some(0), "{layers}");
            assert!(!trap.was_reached(), "{layers}");
        }
    }
    let folder = world.folder();
    put(&folder.tree(), &[("kustomization.yaml", &format!("resources: ['http://127.0.0.1:{}/x.yaml']\n", trap.port()))]);
    let mut job = world.job(tools::path("kustomize"), &["build", "."], Layers::default());
    (job.strict, job.limits.wall) = (false, Duration::from_secs(3));
    let _ = world.run(job, folder);
    assert!(trap.was_reached(), "unconfined kustomize does ask, so the above could fail");
}

#[test]
fn files_outside_a_kustomization_are_not_generated_from() {
    let world = World::new("helm");
    let tree =
        MemoryTree::new().with("app/kustomization.yaml", "configMapGenerator: [{name: x, files: [../other/token]}]\n").with("other/token", CANARY);
    let refused = world.render("app", Renderer::Kustomize, &tree).expect_err("refused");
    assert!(!everything(&refused).contains(CANARY), "{refused}");
    assert!(!everything(&refused).contains(&*world.scratch.path().to_string_lossy()), "{refused}");
}

#[test]
fn a_yaml_bomb_ends_at_the_memory_limit() {
    let mut world = World::new("helm");
    world.settings.memory_bytes = 300 << 20;
    let mut bomb = String::from("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na: &a [x,x,x,x,x,x,x,x,x]\n");
    for (this, last) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        bomb.push_str(&format!("{this}: &{this} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n"));
    }
    let folder = world.folder();
    put(&folder.tree(), &[("kustomization.yaml", "resources: [bomb.yaml]\n"), ("bomb.yaml", &bomb)]);
    let ended = world.run(world.job(tools::path("kustomize"), &["build", "."], Layers::all()), folder).expect_err("ended");
    assert_eq!(ended.kind(), "render_memory_limit", "{ended}");
}

#[test]
fn what_kustomize_says_is_shown_without_values_and_paths_of_ours() {
    let world = World::new("helm");
    let tree = MemoryTree::new()
        .with("app/kustomization.yaml", "resources: [s.yaml]\npatches: [{path: missing.yaml}]\n")
        .with("app/s.yaml", format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{p: {CANARY}}}\n"));
    let failed = world.render("app", Renderer::Kustomize, &tree).expect_err("failed");
    let text = everything(&failed);
    assert!(text.contains("missing.yaml"), "{text}");
    assert!(!text.contains(CANARY) && !text.contains("snapgap-"), "{text}");
    let tree = tree
        .with("app/kustomization.yaml", "resources: [s.yaml]\n")
        .with("app/s.yaml", format!("apiVersion: v1\nkind: Secret\nmetadata: {CANARY}\n"));
    let failed = world.render("app", Renderer::Kustomize, &tree).expect_err("failed");
    assert!(!everything(&failed).contains(&CANARY[..6]), "{failed}");
}

#[test]
fn an_absent_program_folder_or_tool_is_named() {
    let mut world = World::new("helm");
    let tree = MemoryTree::new().with("app/kustomization.yaml", "resources: []\n");
    let failed = world.render("nope", Renderer::Kustomize, &tree).expect_err("no folder");
    assert!(failed.to_string().contains("nope"), "{failed}");
    world.settings.kustomize = "/nonexistent/kustomize".into();
    let failed = world.render("app", Renderer::Kustomize, &tree).expect_err("no program");
    assert_eq!(failed.kind(), "tool_missing");
    assert!(failed.to_string().contains("render.kustomize"), "{failed}");
}

#[test]
fn submodules_are_noted_and_not_rendered() {
    use snapgap::git::{Entry, EntryKind, Tree, TreeError};
    struct WithSubmodule(MemoryTree);
    impl Tree for WithSubmodule {
        fn entries(&self, folder: &str) -> Result<Option<Vec<Entry>>, TreeError> {
            let mut all = self.0.entries(folder)?;
            if folder == "chart"
                && let Some(all) = &mut all
            {
                all.push(Entry { name: "vendor".into(), kind: EntryKind::Submodule, oid: "1".into() });
            }
            Ok(all)
        }
        fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            if path.is_empty() { self.0.entry("") } else { Ok(self.entries(folder)?.and_then(|all| all.into_iter().find(|e| e.name == name))) }
        }
        fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, TreeError> {
            self.0.read(path, cap)
        }
    }
    let world = World::new("helm");
    let tree = WithSubmodule(MemoryTree::new().with("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"));
    let rendered = world.render("chart", Renderer::Auto, &tree).expect("rendered");
    assert!(rendered.diagnostics.iter().any(|d| &*d.reason == "submodule" && &*d.file == "chart/vendor"), "{:?}", rendered.diagnostics);
}
