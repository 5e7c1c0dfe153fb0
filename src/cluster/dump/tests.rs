//! Tests of dumps. I/O: temporary folders.

use std::fs;

use serde_json::json;

use super::*;
use crate::velero::{Names, archive::write::write_archive};

fn read(files: &[(&str, String)], limits: &DumpLimits) -> Result<Live, String> {
    let dir = tempfile::tempdir().expect("folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let place = dir.path().display().to_string();
    read_dump(dir.path(), &Redactor::new([0; 32]), limits).map_err(|e| format!("{}: {}", e.kind(), e.to_string().replace(&place, "DIR")))
}

fn map(namespace: &str, name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": {"v": value}})
}

#[test]
fn lists_and_several_documents_and_folders_are_one_cluster() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [map("a", "one", "1"), {"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "kube-system", "uid": "u-1"}}]});
    let typed =
        json!({"apiVersion": "v1", "kind": "SecretList", "items": [{"metadata": {"namespace": "a", "name": "s"}, "data": {"p": "Y2FuYXJ5"}}]});
    let none = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": []});
    let live = read(
        &[
            ("all.json", format!("{list}\n{}", map("b", "two", "2"))),
            ("deep/er/secrets.json", typed.to_string()),
            ("none.json", none.to_string()),
            ("notes.txt", "not an object".into()),
            (".hidden.json", "}".into()),
        ],
        &DumpLimits::default(),
    )
    .expect("readable");
    assert_eq!((live.objects.len(), live.cluster_uid.as_deref(), live.namespaces.is_none()), (4, Some("u-1"), true));
    let kinds: Vec<String> = live.kinds.iter().map(|(gk, k)| format!("{gk} {} {}", k.plural, k.namespaced)).collect();
    assert_eq!(kinds, ["ConfigMap configmaps true", "Namespace namespaces false", "Secret secrets true", "Deployment.apps deployments true"]);
    assert!(live.kinds.values().all(|k| k.listing == Listing::Complete) && !live.discovered && live.as_of.is_some());
    let secret = live.objects.get(&ObjectId::new("", "Secret", Some("a"), "s")).expect("held");
    assert!(!secret.content.json().contains("Y2FuYXJ5"));
}

#[test]
fn a_dump_of_one_namespace_does_not_speak_for_others() {
    let live = read(&[("a.json", map("shop", "one", "1").to_string())], &DumpLimits::default()).expect("readable");
    let covered = |namespace| live.covers(&ObjectId::new("", "ConfigMap", namespace, "other"));
    assert!(covered(Some("shop")) && !covered(Some("elsewhere")) && !covered(None));
}

#[test]
fn custom_kinds_take_their_scope_from_their_definition_and_veleros_are_kept_whole() {
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "oxen.w.example.com"},
        "spec": {"group": "w.example.com", "scope": "Cluster", "names": {"kind": "Ox", "plural": "oxen"}}});
    let ox = json!({"apiVersion": "w.example.com/v1", "kind": "Ox", "metadata": {"name": "o"}});
    let backup =
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"namespace": "velero", "name": "b"}, "status": {"phase": "Completed"}});
    let live = read(&[("x.json", format!("{ox}{definition}{backup}"))], &DumpLimits::default()).expect("readable");
    let kind = &live.kinds[&GroupKind::new("w.example.com", "Ox")];
    assert_eq!((&*kind.plural, kind.namespaced), ("oxen", false));
    let whole = &live.controllers[&ObjectId::new("velero.io", "Backup", Some("velero"), "b")];
    assert_eq!(whole["status"]["phase"], "Completed");
}

#[test]
fn what_cannot_be_read_fails_with_the_place_and_without_content() {
    let same = map("n", "a", "1").to_string();
    for (files, says) in [
        (vec![("a.json", "\n\n{\"canary\": ".to_owned())], "dump_syntax: DIR/a.json: line 3: "),
        (
            vec![("a.json", format!("{same}\n{{\"kind\": \"X\", \"metadata\": {{\"name\": \"canary\"}}}}"))],
            "dump_not_an_object: DIR/a.json: line 2: not a Kubernetes object: no apiVersion",
        ),
        (
            vec![("a.json", same.clone()), ("b.json", map("n", "a", "2").to_string())],
            "dump_conflict: the dump holds ConfigMap n/a twice and in different states, in DIR/a.json and in DIR/b.json; keep the newer one",
        ),
        (
            vec![("a.txt", same.clone())],
            "dump_empty: the dump DIR holds no Kubernetes objects; it should be a .yaml, .yml or .json file, a Velero archive, or a folder of such files",
        ),
    ] {
        let error = read(&files, &DumpLimits::default()).expect_err(says);
        assert!(error.starts_with(says) && !error.contains("canary"), "{error}");
    }
    assert!(read(&[("a.json", same.clone()), ("b.json", same)], &DumpLimits::default()).is_ok(), "the same object twice is one object");
    let gone = read_dump(Path::new("/nowhere/at/all"), &Redactor::new([0; 32]), &DumpLimits::default()).expect_err("not there");
    assert!(gone.to_string().contains("/nowhere/at/all"));
}

#[test]
fn every_bound_holds() {
    let one = || map("n", "a", "1").to_string();
    let base = DumpLimits::default();
    for (limits, part) in [
        (DumpLimits { files: 1, ..base }, "more than 1 files"),
        (DumpLimits { depth: 0, ..base }, "more than 0 folders"),
        (DumpLimits { file_bytes: 10, ..base }, "more than the 10 bytes"),
        (DumpLimits { total_bytes: one().len() as u64 + 1, ..base }, "more than the 1 bytes"),
    ] {
        let error = read(&[("a.json", one()), ("d/b.json", map("n", "b", "1").to_string())], &limits).expect_err(part);
        assert!(error.starts_with("dump_too_large") && error.contains(part), "{error}");
    }
}

#[test]
fn yaml_as_kubectl_writes_it_is_read_with_its_lines() {
    let text = "apiVersion: v1\nitems:\n- apiVersion: v1\n  data: {v: 'yes'}\n  kind: ConfigMap\n  metadata: {name: a, namespace: n}\nkind: List\n---\n---\n\
                apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: n}\n";
    let live = read(&[("a.yaml", text.into())], &DumpLimits::default()).expect("readable");
    assert_eq!(live.objects.len(), 2);
    let error = read(&[("a.yaml", format!("{text}---\nkind: ConfigMap\n"))], &DumpLimits::default()).expect_err("no apiVersion");
    assert_eq!(error, "dump_not_an_object: DIR/a.yaml: line 14: not a Kubernetes object: no apiVersion");
}

#[test]
fn a_velero_archive_is_a_cluster_and_a_damaged_one_is_an_error() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("nightly.tar.gz");
    let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u-1"}});
    let objects = [system, map("n", "a", "1"), map("n", "b", "2")];
    let mut bytes = Vec::new();
    write_archive(&mut bytes, &objects, &Names::builtin(), jiff::Timestamp::UNIX_EPOCH).expect("written");
    fs::write(&path, &bytes).expect("written");
    let live = read_dump(&path, &Redactor::new([0; 32]), &DumpLimits::default()).expect("readable");
    assert_eq!((live.objects.len(), live.cluster_uid.as_deref(), live.namespaces.is_none()), (3, Some("u-1"), true));
    assert_eq!(live.kinds[&GroupKind::new("", "ConfigMap")].listing, Listing::Complete);
    fs::write(&path, &bytes[..bytes.len() - 9]).expect("written");
    let error = read_dump(&path, &Redactor::new([0; 32]), &DumpLimits::default()).expect_err("torn");
    assert!(error.kind() == "dump_archive" && error.to_string().contains("nightly.tar.gz"), "{error}");
}
