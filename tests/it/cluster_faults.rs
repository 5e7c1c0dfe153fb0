//! Following a real cluster through its bad days: cut off, killed, stalled, forgetful, half broken.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use snapgap::{
    cluster::{Inventory, Limits},
    object::ObjectId,
    witness::Listing,
};

use crate::{
    cluster_read::{listing, read_as, settings},
    cluster_watch::{follow, limits, until},
    support::{
        control_plane::{ControlPlane, Options},
        gate::Gate,
    },
};

static PLANE: Mutex<Option<ControlPlane>> = Mutex::new(None);

/// A control plane that may be broken, for one test after the other.
struct Violent(MutexGuard<'static, Option<ControlPlane>>);

impl Violent {
    fn get() -> Self {
        let mut held = PLANE.lock().unwrap_or_else(PoisonError::into_inner);
        // One that a failed test left behind may be in any state.
        if held.as_ref().is_none_or(|p| p.try_kubectl(&["get", "--raw", "/readyz", "--request-timeout=5s"], "").is_err()) {
            *held = None;
            *held = Some(ControlPlane::start(Options::default()));
        }
        Self(held)
    }
}

impl std::ops::Deref for Violent {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        self.0.as_ref().expect("started")
    }
}

fn map(name: &str) -> ObjectId {
    ObjectId::new("", "ConfigMap", Some("default"), name)
}

fn make(plane: &ControlPlane, name: &str, value: &str) {
    plane.apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: default}}, data: {{k: '{value}'}}}}"));
}

fn remove(plane: &ControlPlane, name: &str) {
    plane.kubectl(&["delete", "configmap", name, "-n", "default"]);
}

fn age(inventory: &Inventory) -> Duration {
    let as_of = inventory.as_of().expect("read once");
    Duration::try_from(Timestamp::now().duration_since(as_of)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_we_were_cut_off_is_seen_on_return_without_listing_anew() {
    let plane = Violent::get();
    let gate = Gate::before(plane.port).await;
    make(&plane, "stays", "1");
    make(&plane, "goes", "1");
    let inventory =
        follow(&settings(plane.user_at("cut-off", &["system:masters"], gate.port)), Limits { grace: Duration::from_secs(2), ..limits() }).await;
    assert!(inventory.first().await.objects.contains_key(&map("goes")));
    let lists = inventory.stats().lists;

    gate.close();
    remove(&plane, "goes");
    make(&plane, "comes", "1");
    let broken = until(&inventory, "the cut", |l| l.failure.is_some()).await;
    assert_eq!(broken.failure.as_ref().map(|f| &*f.reason), Some("unreachable"));
    assert_eq!(listing(&broken, "", "ConfigMap"), "complete", "the view as a whole is old, no single kind is unknown");
    assert!(broken.objects.contains_key(&map("goes")), "the last good objects stay");
    let then = age(&inventory);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(age(&inventory) >= then + Duration::from_secs(1), "the view grows older");

    gate.open();
    let healed = until(&inventory, "the return", |l| listing(l, "", "ConfigMap") == "complete" && l.objects.contains_key(&map("comes"))).await;
    assert!(!healed.objects.contains_key(&map("goes")) && healed.objects.contains_key(&map("stays")));
    until(&inventory, "all kinds back", |l| l.failure.is_none() && !format!("{:?}", l.kinds).contains("Failed")).await;
    assert_eq!(inventory.stats().lists, lists, "history was still known, so nothing was listed anew");
    let begun = Instant::now();
    while age(&inventory) >= Duration::from_secs(5) {
        assert!(begun.elapsed() < Duration::from_secs(60), "every kind returns, and the view is young again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    remove(&plane, "stays");
    remove(&plane, "comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_a_restarted_server_has_forgotten_is_still_noticed() {
    let plane = Violent::get();
    let gate = Gate::before(plane.port).await;
    make(&plane, "forgotten", "1");
    let inventory = follow(&settings(plane.user_at("forgetful", &["system:masters"], gate.port)), limits()).await;
    assert!(inventory.first().await.objects.contains_key(&map("forgotten")));
    let lists = inventory.stats().lists;
    gate.close();
    remove(&plane, "forgotten");
    plane.kill_api_server();
    plane.start_api_server();
    make(&plane, "after", "1");
    gate.open();
    until(&inventory, "the delete", |l| !l.objects.contains_key(&map("forgotten")) && l.objects.contains_key(&map("after"))).await;
    assert!(inventory.stats().lists > lists, "a server that starts anew knows no older history");
    remove(&plane, "after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_the_last_good_objects_until_it_is_back() {
    let plane = Violent::get();
    make(&plane, "kept", "1");
    let inventory = follow(&settings(plane.admin()), Limits { grace: Duration::from_secs(2), ..limits() }).await;
    inventory.first().await;
    plane.kill_api_server();
    let broken = until(&inventory, "the kill", |l| l.failure.is_some()).await;
    assert!(broken.objects.contains_key(&map("kept")) && broken.discovered);
    plane.start_api_server();
    until(&inventory, "the restart", |l| l.failure.is_none() && listing(l, "", "ConfigMap") == "complete").await;
    make(&plane, "kept", "2");
    until(&inventory, "an edit after it", |l| l.objects.get(&map("kept")).is_some_and(|o| o.content.json().contains("\"2\""))).await;
    remove(&plane, "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_server_is_noticed_within_the_limit_for_silence() {
    let plane = Violent::get();
    let quick = Limits {
        watch: Duration::from_secs(6),
        overtime: Duration::from_secs(3),
        silence: Duration::from_secs(9),
        grace: Duration::from_secs(1),
        call: Duration::from_secs(4),
        ..limits()
    };
    let inventory = follow(&settings(plane.admin()), quick).await;
    inventory.first().await;
    plane.stall_api_server();
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(age(&inventory) >= Duration::from_secs(3), "nothing was heard since: {:?}", age(&inventory));
    let stalled = until(&inventory, "the stall", |l| l.failure.is_some()).await;
    let noticed = begun.elapsed();
    plane.resume_api_server();
    assert!(noticed < Duration::from_secs(9 + 1 + 4 + 6), "{noticed:?}");
    assert_eq!(stalled.failure.as_ref().map(|f| f.reason.to_string()).as_deref(), Some("timeout"), "{:?}", stalled.failure);
    assert!(!stalled.objects.is_empty());
    until(&inventory, "the end of the stall", |l| l.failure.is_none() && listing(l, "", "ConfigMap") == "complete").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_no_list_is_given_up_after_a_few() {
    let plane = Violent::get();
    let quick = Limits { call: Duration::from_secs(5), ..Limits::default() };
    plane.stall_etcd();
    let begun = Instant::now();
    let live = read_as(&settings(plane.admin()), quick).await;
    plane.resume_etcd();
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    let failed = live.kinds.values().filter(|k| matches!(&k.listing, Listing::Failed(f) if &*f.reason == "timeout")).count();
    assert!(failed > 20 && live.failure.is_some(), "{failed} of {}: {:?}", live.kinds.len(), live.failure);
    until(&follow(&settings(plane.admin()), limits()).await, "the end of the stall", |l| {
        l.failure.is_none() && listing(l, "", "ConfigMap") == "complete"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_server_is_gone_is_broken_and_nothing_else_suffers() {
    let plane = Violent::get();
    let inventory = follow(&settings(plane.admin()), limits()).await;
    inventory.first().await;
    plane.apply(
        "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.gone.example.com}\nspec:\n  group: gone.example.com\n  version: v1\n  \
         groupPriorityMinimum: 100\n  versionPriority: 100\n  insecureSkipTLSVerify: true\n  service: {name: nobody, namespace: default}\n",
    );
    let live = until(&inventory, "the broken group", |l| l.broken_groups.contains_key("gone.example.com")).await;
    assert!(live.broken_groups["gone.example.com"].message.contains("gone.example.com/v1"));
    assert_eq!((listing(&live, "apps", "Deployment").as_str(), live.failure.is_none(), live.discovered), ("complete", true, true));
    plane.kubectl(&["delete", "apiservice", "v1.gone.example.com"]);
    until(&inventory, "its end", |l| l.broken_groups.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_changing_nothing_is_asked_and_nothing_is_published() {
    let plane = Violent::get();
    let inventory = follow(&settings(plane.user("quiet", &["system:masters"])), Limits::default()).await;
    inventory.first().await;
    // Discovery settles after what the first lists and earlier tests stirred up.
    tokio::time::sleep(Duration::from_secs(45)).await;
    let (since, before) = (Timestamp::now(), inventory.stats());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked: Vec<String> = plane
        .audit()
        .into_iter()
        .filter(|r| r.user == "quiet" && r.received >= since && r.verb != "watch")
        .map(|r| format!("{} {} {}", r.agent, r.verb, r.uri))
        .collect();
    assert_eq!(asked, Vec::<String>::new());
    let after = inventory.stats();
    assert_eq!((after.lists, after.discoveries, after.views), (before.lists, before.discoveries, before.views));
    assert!(after.events > before.events, "the watches live: {after:?}");
    // Bookmarks come about once a minute, and on a cluster as quiet as this nothing else does.
    assert!(age(&inventory) < Duration::from_secs(75) && inventory.first().await.as_of.is_some_and(|t| t > since), "and the view stays young");
    assert!(plane.audit().iter().any(|r| r.user == "quiet" && r.agent.starts_with("snapgap/")), "the agent names itself");
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_objects_fit_in_little_memory_and_a_change_among_them_shows_at_once() {
    let plane = Violent::get();
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: many}}");
    let inventory_settings = settings(plane.admin());
    let client = {
        let config =
            kube::Config::from_custom_kubeconfig(kube::config::Kubeconfig::read_from(plane.admin()).expect("readable"), &Default::default()).await;
        kube::Client::try_from(config.expect("usable")).expect("a client")
    };
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(client, "many");
    stream::iter(0..5_000)
        .for_each_concurrent(16, |n| {
            let maps = maps.clone();
            async move {
                let text = format!("{n} ").repeat(300);
                let map =
                    serde_json::from_value(serde_json::json!({"metadata": {"name": format!("m-{n}")}, "data": {"text": text}})).expect("a ConfigMap");
                maps.create(&Default::default(), &map).await.expect("created");
            }
        })
        .await;
    let before = resident_kib();
    let begun = Instant::now();
    let inventory = follow(&inventory_settings, Limits::default()).await;
    let live = inventory.first().await;
    let (first, after) = (begun.elapsed(), resident_kib());
    assert!(live.objects.len() >= 5_000, "{}", live.objects.len());
    println!("{} objects, {} kinds: first view after {first:?}; RSS {before} KiB -> {after} KiB", live.objects.len(), live.kinds.len());
    assert!(after < before + 100 * 1024, "RSS {before} KiB -> {after} KiB");
    let begun = Instant::now();
    plane.kubectl(&["patch", "configmap", "m-77", "-n", "many", "--type=merge", "-p", "{\"data\":{\"text\":\"changed\"}}"]);
    let id = ObjectId::new("", "ConfigMap", Some("many"), "m-77");
    until(&inventory, "the change", |l| l.objects.get(&id).is_some_and(|o| o.content.json().contains("changed"))).await;
    println!("an edit showed {:?} after kubectl was started", begun.elapsed());
    maps.delete_collection(&Default::default(), &Default::default()).await.expect("deleted");
}
