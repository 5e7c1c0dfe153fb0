//! Reading a real cluster once: every kind judged, Secrets hidden, failures named.

use std::{collections::BTreeMap, fs, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use snapgap::{
    cluster::{
        self, Connection, DumpLimits, Limits,
        discovery::{discover, plain},
        rbac::{Tiers, roles},
        wire::Wire,
    },
    config,
    object::{GroupKind, ObjectId, Redactor, builtin::BUILTINS},
    witness::{Listing, Live},
};

use crate::support::control_plane::ControlPlane;

const CANARY: &str = "canary-7f3a-never-to-be-seen";

pub fn redactor() -> Redactor {
    Redactor::new([9; 32])
}

pub fn settings(kubeconfig: std::path::PathBuf) -> config::Cluster {
    config::Cluster { kubeconfig: Some(kubeconfig), secrets: true, ..Default::default() }
}

pub async fn read_as(settings: &config::Cluster, limits: Limits) -> Live {
    let connection = Connection::connect(settings).await.expect("a connection");
    cluster::read(&connection, settings, &redactor(), &limits, &|_| {}).await
}

/// What a kind's listing says, in short.
pub fn listing(live: &Live, group: &str, kind: &str) -> String {
    match live.kinds.get(&GroupKind::new(group, kind)).map(|k| &k.listing) {
        None => "not served".into(),
        Some(Listing::Complete) => "complete".into(),
        Some(Listing::Skipped(f)) => format!("skipped: {}", f.reason),
        Some(Listing::Failed(f)) => format!("failed: {}: {}", f.reason, f.message),
    }
}

/// Everything that a view could ever show, as one text.
pub fn everything(live: &Live) -> String {
    let mut text = format!("{live:?} {live:#?}");
    for object in live.objects.values() {
        text.push_str(object.content.json());
        text.push_str(object.meta.managers.as_deref().unwrap_or_default());
    }
    for whole in live.controllers.values() {
        text.push_str(&whole.to_string());
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_is_read_with_every_kind_judged_and_no_secret_value_anywhere() {
    let plane = ControlPlane::shared();
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: read}}");
    plane.kubectl_with(
        &["apply"],
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: read}}\nstringData: {{password: {CANARY}}}\ndata: {{token: {}}}\n",
            STANDARD.encode(CANARY)
        ),
    );
    plane.apply(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart, namespace: read}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: cart}}\n  \
         template:\n    metadata: {labels: {app: cart}}\n    spec: {containers: [{name: c, image: example.com/c:1}]}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: read}, spec: {containers: [{name: c, image: 'example.com/bare:1'}]}}\n",
    );
    let mut rounds = Vec::new();
    let kubeconfig = settings(plane.admin());
    let connection = Connection::connect(&kubeconfig).await.expect("a connection");
    let progress = std::sync::Mutex::new(&mut rounds);
    let live = cluster::read(&connection, &kubeconfig, &redactor(), &Limits { page: 7, ..Limits::default() }, &|p| {
        progress.lock().expect("unpoisoned").push(p)
    })
    .await;

    assert_eq!(live.failure, None);
    assert!(live.discovered && live.as_of.is_some() && live.namespaces.is_none());
    assert_eq!(live.server_version.as_deref(), Some("v1.36.3"));
    let uid = plane.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    assert_eq!(live.cluster_uid.as_deref(), Some(uid.as_str()));
    let last = rounds.last().expect("progress was told");
    assert_eq!((last.kinds_done, last.objects), (last.kinds, live.objects.len()));

    for (group, kind, says) in [
        ("apps", "Deployment", "complete"),
        ("", "Secret", "complete"),
        ("", "Pod", "complete"),
        ("", "Event", "skipped: ephemeral"),
        ("", "ComponentStatus", "skipped: ephemeral"),
        ("authentication.k8s.io", "TokenReview", "skipped: not_listable"),
        ("example.com", "Nothing", "not served"),
    ] {
        assert_eq!(listing(&live, group, kind), says, "{kind}.{group}");
    }
    for (gk, kind) in &live.kinds {
        assert!(!matches!(kind.listing, Listing::Failed(_)), "{gk}: {:?}", kind.listing);
    }
    let of = |group: &str, kind: &str, name: &str| live.objects.get(&ObjectId::new(group, kind, Some("read"), name)).cloned();
    let cart = of("apps", "Deployment", "cart").expect("the Deployment");
    assert!(cart.content.json().contains("example.com/c:1") && cart.meta.managers.as_deref().is_some_and(|m| m.contains("kubectl")));
    let bare = of("", "Pod", "bare").expect("the Pod");
    assert!(!bare.meta.partial && bare.content.json().contains("example.com/bare:1"), "a Pod that nothing owns is read whole");

    let shown = everything(&live);
    assert!(of("", "Secret", "s").expect("the Secret").content.json().contains("hidden:"));
    assert!(!shown.contains(CANARY) && !shown.contains(&STANDARD.encode(CANARY)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_not_asked_for_unless_switched_on() {
    let plane = ControlPlane::shared();
    let user = plane.user("no-secrets", &["system:masters"]);
    let live = read_as(&config::Cluster { kubeconfig: Some(user), ..Default::default() }, Limits::default()).await;
    assert_eq!(listing(&live, "", "Secret"), "skipped: secrets_off");
    let asked: Vec<String> = plane.audit().into_iter().filter(|r| r.user == "no-secrets").map(|r| r.uri).collect();
    assert!(asked.iter().any(|uri| uri.contains("/configmaps")) && !asked.iter().any(|uri| uri.contains("/secrets")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_discovery_and_the_table_of_built_in_kinds_agree_with_aggregated_discovery() {
    let plane = ControlPlane::shared();
    let connection = Connection::connect(&settings(plane.admin())).await.expect("a connection");
    let wire = Wire::new(connection, Limits::default());
    let (mut aggregated, mut by_group) = (discover(&wire).await.expect("discovered"), plain(&wire).await.expect("discovered"));
    // Other tests define kinds of their own meanwhile.
    aggregated.kinds.retain(|gk, _| !gk.group.ends_with("example.com"));
    by_group.kinds.retain(|gk, _| !gk.group.ends_with("example.com"));
    assert_eq!(aggregated.kinds, by_group.kinds);
    let served: BTreeMap<_, _> =
        aggregated.kinds.iter().map(|(gk, s)| ((gk.group.to_string(), gk.kind.to_string()), (s.plural.to_string(), s.namespaced))).collect();
    let table: BTreeMap<_, _> = BUILTINS.iter().map(|b| ((b.group.to_owned(), b.kind.to_owned()), (b.plural.to_owned(), b.namespaced))).collect();
    for (kind, said) in &served {
        // A Scale is a way to speak to other kinds, and no kind of its own.
        if !matches!(kind.0.as_str(), "velero.io") {
            assert_eq!(table.get(kind), Some(said), "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_by_kubectl_says_the_same_as_the_cluster() {
    let plane = ControlPlane::shared();
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: dumped}}");
    plane.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: dumped, labels: {a: b}}, data: {k: v}}");
    plane.kubectl_with(&["apply"], "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: dumped}, stringData: {k: v}}");
    plane.apply("{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: dumped}, spec: {schedule: '@daily', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'example.com/c'}]}}}}}}");
    let dir = tempfile::tempdir().expect("folder");
    fs::write(
        dir.path().join("a.json"),
        plane.kubectl(&["get", "configmaps,secrets,cronjobs", "-n", "dumped", "-o", "json", "--show-managed-fields"]),
    )
    .expect("written");
    fs::write(dir.path().join("b.json"), plane.kubectl(&["get", "namespaces", "-o", "json"])).expect("written");
    let dump = cluster::read_dump(dir.path(), &redactor(), &DumpLimits::default()).expect("readable");
    let live = read_as(&settings(plane.admin()), Limits::default()).await;
    assert_eq!(dump.cluster_uid, live.cluster_uid);
    let mut compared = 0;
    for (id, object) in dump.objects.iter().filter(|(id, _)| id.namespace.as_deref() == Some("dumped")) {
        let other = live.objects.get(id).expect("the cluster has it");
        assert_eq!((object.content.json(), &object.meta.managers), (other.content.json(), &other.meta.managers), "{id}");
        compared += 1;
    }
    assert!(compared >= 3, "{compared}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_bound_to_the_printed_role_reads_everything_but_secrets() {
    let plane = ControlPlane::shared();
    let admin = settings(plane.admin());
    let connection = Connection::connect(&admin).await.expect("a connection");
    let survey = cluster::survey(&connection, &config::Cluster::default(), &Limits::default()).await;
    plane.apply(&roles(&survey.kinds, "velero", Tiers::default()));
    plane.kubectl(&["create", "clusterrolebinding", "snapgap-test", "--clusterrole=snapgap", "--user=printed-role"]);
    let user = plane.user("printed-role", &[]);
    let live = read_as(&config::Cluster { kubeconfig: Some(user.clone()), ..Default::default() }, Limits::default()).await;
    let failed = |live: &Live| {
        let failed = |(gk, k): (&GroupKind, &snapgap::witness::KindState)| match &k.listing {
            Listing::Failed(f) if !gk.group.ends_with("example.com") => Some(format!("{gk} {}: {}", f.reason, f.message)),
            _ => None,
        };
        live.kinds.iter().filter_map(failed).collect::<Vec<_>>()
    };
    assert_eq!(failed(&live), Vec::<String>::new());
    assert!(live.objects.len() > 50);
    let greedy = read_as(&settings(user), Limits::default()).await;
    let failures = failed(&greedy);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(
        failures[0].starts_with("Secret forbidden: may not list secrets in the core API group") && failures[0].contains("get, list and watch"),
        "{failures:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named_and_nothing_is_claimed() {
    let plane = ControlPlane::shared();
    let nobody = plane.user_at("nobody", &[], crate::support::program::free_port());
    let live = read_as(&settings(nobody), Limits { call: Duration::from_secs(20), ..Limits::default() }).await;
    let failure = live.failure.expect("a failure");
    assert_eq!(&*failure.reason, "unreachable");
    assert!(
        failure.message.contains("https://127.0.0.1:") && failure.message.contains("context test of") && failure.message.contains("refused"),
        "{}",
        failure.message
    );
    assert!(!live.discovered && live.kinds.is_empty() && live.as_of.is_none());
}
