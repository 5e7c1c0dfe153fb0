//! What an archive of everything holds, body for body, against lists taken before and after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use serde_json::{Value, json};
use snapgap::{
    config::ArchiveLimits,
    object::{Object, ObjectId, admit},
    velero::{archive, edits},
};

use crate::{
    cluster_read::redactor,
    support::{
        control_plane::{ControlPlane, Options as Plane},
        program::eventually,
        velero::{Options, PATIENCE, Store, Velero},
    },
};

/// A claim that is bound by hand, asks to be made out of a snapshot and selects its volume: what Velero takes out of its copy.
fn bound(name: &str, class: &str) -> [Value; 2] {
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": {"disk": name}}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": class, "hostPath": {"path": "/nowhere"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name, "namespace": "shop"}}});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "shop"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": class, "volumeName": name,
        "selector": {"matchLabels": {"disk": name}},
        "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "yesterday"}}});
    [volume, claim]
}

fn populate(plane: &ControlPlane) {
    let columns =
        json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}});
    let definition = |plural: &str, kind: &str, scope: &str| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "names": {"plural": plural, "kind": kind}, "scope": scope,
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": columns}]}})
    };
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "shop"}}}),
        definition("widgets", "Widget", "Namespaced"),
        definition("plans", "Plan", "Cluster"),
    ] {
        plane.apply(&object.to_string());
    }
    plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    let in_shop = |api: &str, kind: &str, name: &str, rest: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
        object.as_object_mut().expect("a mapping").extend(rest.as_object().expect("a mapping").clone());
        object
    };
    let mut objects = vec![
        json!({"apiVersion": "example.com/v1", "kind": "Plan", "metadata": {"name": "large"}, "spec": {"size": 9007199254740993_i64}}),
        in_shop("example.com/v1", "Widget", "one", json!({"spec": {"size": 1}})),
        in_shop("v1", "ConfigMap", "text", json!({"data": {"t": "ä \u{2028} <&> \"quoted\"\n"}, "binaryData": {"b": "AAECAw=="}})),
        in_shop("v1", "Secret", "password", json!({"stringData": {"p": "secret"}})),
        in_shop(
            "v1",
            "Event",
            "it-happened",
            json!({"involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"}, "reason": "Told", "message": "m", "type": "Normal"}),
        ),
        in_shop(
            "v1",
            "Pod",
            "web",
            json!({"spec": {"containers": [{"name": "c", "image": "example.com/c:1", "resources": {"requests": {"cpu": "100m"}}}],
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "picked"}}]}}),
        ),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "example.com/none"}),
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 1000}),
    ];
    objects.extend(bound("picked", "fast"));
    objects.extend(bound("by-hand", ""));
    for object in objects {
        plane.apply(&object.to_string());
    }
    for claim in ["picked", "by-hand"] {
        eventually(&format!("claim {claim} is bound"), PATIENCE, || {
            plane.kubectl(&["get", "pvc", claim, "-n", "shop", "-o", "jsonpath={.status.phase}"]) == "Bound"
        });
    }
}

/// Everything that the API server lists. An Event is served by two groups, and stored once.
fn lists(plane: &ControlPlane) -> BTreeMap<ObjectId, Object> {
    let resources = plane.kubectl(&["api-resources", "--verbs=list,get,create,delete", "-o", "name"]);
    let mut all = BTreeMap::new();
    for resource in resources.lines() {
        let list: Value = serde_json::from_str(&plane.kubectl(&["get", resource, "-A", "-o", "json"])).expect("JSON");
        for item in list["items"].as_array().expect("items") {
            let object = admit(item.clone(), &redactor()).expect("an object");
            all.insert(object.id.clone(), object);
        }
    }
    all
}

#[test]
fn every_object_of_a_backup_of_everything_equals_what_was_served_but_for_veleros_own_edits() {
    let plane = ControlPlane::start(Plane { controllers: true, flags: Vec::new() });
    populate(&plane);
    let store = Store::start();
    let velero = Velero::start(&plane, &store, Options::default());
    let before = lists(&plane);
    let ended = velero.back_up("everything", &json!({"includedClusterScopedResources": ["*"], "snapshotVolumes": false}));
    assert_eq!(ended["status"]["phase"], "Completed", "{}", velero.log());
    let after = lists(&plane);
    let limits = ArchiveLimits { entries: 100_000, object_bytes: 16 << 20, total_bytes: 1 << 30, time: Duration::from_secs(60) };
    let file = fs::File::open(velero.file("everything", ".tar.gz")).expect("an archive");
    let archive = archive::read(file, "everything", &limits, &redactor()).expect("read");
    assert!(archive.diagnostics.is_empty() && archive.unreadable.is_empty(), "{:?}", archive.diagnostics);

    let (mut kinds, mut moving, mut edited, mut wrong) = (BTreeSet::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, copy) in archive.objects.iter() {
        let served: Vec<&Object> = [&before, &after].into_iter().filter_map(|list| list.get(id)).collect();
        // Written while the backup ran: neither list shows the state that it took.
        if served.iter().all(|s| s.meta.resource_version != copy.meta.resource_version) {
            moving.push(id.to_string());
            continue;
        }
        kinds.insert(id.gk.to_string());
        let letters = served.iter().any(|s| s.content == copy.content);
        let level = |s: &&Object| {
            let (mut there, mut held) = (s.content.value(), copy.content.value());
            edits::level(&id.gk, &mut there, &mut held);
            there == held
        };
        match (letters, served.iter().any(level)) {
            (true, _) => {}
            (false, true) => edited.push(id.to_string()),
            (false, false) => wrong.push(format!("{id}\n  held   {}\n  served {}", copy.content.json(), served[0].content.json())),
        }
        let facts = |o: &Object| (o.meta.uid.clone(), o.meta.created, o.version.clone(), o.meta.phase.clone());
        if !served.iter().any(|s| facts(s) == facts(copy)) {
            wrong.push(format!("{id}: {:?} and not {:?}", facts(copy), facts(served[0])));
        }
    }
    edited.sort();
    println!("{} objects of {} kinds; Velero edited {edited:?}; written meanwhile {moving:?}", archive.objects.len(), kinds.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), archive.objects.len(), wrong.join("\n"));
    assert_eq!(edited, ["PersistentVolumeClaim shop/by-hand", "PersistentVolumeClaim shop/picked"]);
    // Velero's own objects, and what controllers renew all the time.
    let own = |id: &String| ["Backup.velero.io", "BackupStorageLocation.velero.io", "Lease", "Event"].iter().any(|kind| id.starts_with(kind));
    assert!(moving.iter().all(own), "{moving:?}");
    for kind in ["Event", "Pod", "PersistentVolumeClaim", "PersistentVolume", "StorageClass.storage.k8s.io", "Widget.example.com", "Plan.example.com"]
    {
        assert!(kinds.contains(kind) || kind == "Event" && kinds.contains("Event.events.k8s.io"), "{kind} of {kinds:?}");
    }
    assert!(archive.objects.len() > 150 && kinds.len() >= 20, "{} {kinds:?}", archive.objects.len());
}
