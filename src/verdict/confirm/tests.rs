//! The server's answers beside verdicts, over small worlds. pure

use std::time::Duration;

use serde_json::{Value, json};

use super::{Suspect, consider};
use crate::{
    config::Confirm,
    report::model::{Answer, Confirmed, Deed, Drift},
    verdict::{
        Memo, judge_and_ask,
        world::{World, at, take},
    },
    witness::{Answered, Failure, Listing, Said},
};

const MANAGER: &str = "argocd-controller";

/// cart as Git says it, with more fields on top.
fn cart(replicas: u32, more: Value) -> Value {
    let mut v = World::deployment("cart", replicas);
    if let (Some(spec), Value::Object(more)) = (v["spec"].as_object_mut(), more) {
        spec.extend(more);
    }
    v
}

fn owned(mut v: Value, entries: &Value) -> Value {
    v["metadata"]["managedFields"] = entries.clone();
    v["metadata"]["resourceVersion"] = "7".into();
    v
}

fn applied(fields: Value) -> Value {
    json!([{"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": fields}}])
}

fn world(live: Value) -> World {
    let mut world = World::new().declares("shop", vec![cart(3, json!({}))]).runs(vec![live]).listing("apps", "Deployment", Listing::Complete);
    world.config.cluster.confirm = Some(Confirm { per_second: 5, again: Duration::from_secs(3600) });
    world
}

fn asked(world: &World) -> Vec<Suspect> {
    judge_and_ask(&world.inputs(), &mut Memo::default()).1
}

fn answered(world: &mut World, said: Said) {
    let suspect = asked(world).remove(0);
    let answer = Answered { key: suspect.key, manager: suspect.manager, at: at("11:59"), said };
    world.answers.by_object.insert(suspect.id, answer);
}

fn would(v: Value) -> Said {
    Said::Would { then: take(v).into(), before: None }
}

fn said(world: &World) -> Confirmed {
    world.verdict("Deployment", "cart").confirmed.expect("it drifts")
}

#[test]
fn what_was_not_asked_for_is_not_asked() {
    let mut world = world(owned(cart(5, json!({})), &applied(json!({"f:replicas": {}}))));
    world.config.cluster.confirm = None;
    assert_eq!((asked(&world), world.verdict("Deployment", "cart").confirmed), (vec![], None));
}

#[test]
fn only_what_drifts_is_asked_about_and_in_the_name_of_its_deployer() {
    let live = |replicas, entries: &Value| owned(cart(replicas, json!({})), entries);
    let apply = applied(json!({"f:replicas": {}}));
    assert!(asked(&world(live(3, &apply))).is_empty());
    let suspect = asked(&world(live(5, &apply))).remove(0);
    assert_eq!((&*suspect.manager, &*suspect.plural, suspect.resource_version.as_deref()), (MANAGER, "deployments", Some("7")));
    assert_eq!(suspect.body["spec"]["replicas"], 3);
    let update = |manager: &str| json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
    for (entries, manager, reason) in [
        (json!([update("helm")]), Some("helm"), "pending"),
        (json!([update("kubectl-edit"), apply[0]]), Some(MANAGER), "pending"),
        (json!([update("kubectl-edit")]), None, "no_deployer"),
        (json!([update("helm"), update("Terraform")]), None, "ambiguous_deployer"),
        (
            json!([update("helm"), {"manager": "Terraform", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}}]),
            Some("Terraform"),
            "pending",
        ),
        (json!([]), None, "no_deployer"),
    ] {
        let world = world(live(5, &entries));
        assert_eq!(asked(&world).first().map(|s| s.manager.to_string()).as_deref(), manager, "{entries}");
        assert_eq!(said(&world).reason.as_deref(), Some(reason), "{entries}");
    }
}

#[test]
fn a_deployer_whose_fields_another_hand_has_all_taken_over_is_known_by_its_other_objects() {
    let taken = json!([{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let live = owned(cart(5, json!({})), &taken);
    let mut other = World::config_map("shop", "flags", "on");
    let mut there = other.clone();
    there["metadata"]["managedFields"] = json!([{"manager": "flux", "operation": "Apply", "fieldsV1": {"f:data": {"f:k": {}}}}]);
    let mut world = world(live.clone());
    assert_eq!(said(&world).reason.as_deref(), Some("no_deployer"));
    world = world.runs(vec![live.clone(), there]).declares("shop", vec![cart(3, json!({})), other.take()]);
    world.config.cluster.confirm = Some(Confirm { per_second: 5, again: Duration::from_secs(3600) });
    assert_eq!(&*asked(&world).remove(0).manager, "flux");
    let mut marked = live;
    marked["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    assert_eq!(&*asked(&self::world(marked)).remove(0).manager, "kustomize-controller");
}

#[test]
fn a_deployer_is_known_by_its_mark_and_its_marks_are_applied_too() {
    let mut live = owned(
        cart(5, json!({})),
        &json!([
        {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}},
        {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]),
    );
    live["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"});
    let suspect = asked(&world(live)).remove(0);
    assert_eq!(&*suspect.manager, "kustomize-controller");
    assert_eq!(suspect.body["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "shop");
}

#[test]
fn an_answer_agrees_or_differs_field_by_field_and_never_changes_the_verdict() {
    let fields = json!({"f:replicas": {}, "f:paused": {}});
    let live = |replicas, more: Value| owned(cart(replicas, more), &applied(fields.clone()));
    for (name, now, then, answer, told) in [
        ("heals", live(5, json!({})), live(3, json!({})), Answer::Agrees, vec![]),
        ("stays", live(5, json!({})), live(5, json!({})), Answer::Differs, vec![("spec.replicas", Deed::Keeps, Some("5"))]),
        ("becomes another", live(5, json!({})), live(4, json!({})), Answer::Differs, vec![("spec.replicas", Deed::Alters, Some("4"))]),
        (
            "more than is told",
            live(5, json!({})),
            live(3, json!({"minReadySeconds": 9})),
            Answer::Differs,
            vec![("spec.minReadySeconds", Deed::Changes, Some("9"))],
        ),
        ("dropped", live(3, json!({"paused": true})), live(3, json!({})), Answer::Agrees, vec![]),
    ] {
        let mut world = world(now);
        let before = world.verdict("Deployment", "cart");
        answered(&mut world, would(then));
        let after = world.verdict("Deployment", "cart");
        let confirmed = after.confirmed.clone().expect("it drifts");
        let got: Vec<_> = confirmed.fields.iter().map(|f| (f.path.as_str(), f.deed, f.then.as_deref())).collect();
        assert_eq!((confirmed.answer, got, confirmed.manager.as_deref()), (answer, told, Some(MANAGER)), "{name}");
        assert_eq!(crate::report::model::ObjectReport { confirmed: before.confirmed.clone(), ..after }, before, "{name}");
    }
}

#[test]
fn an_answer_in_another_version_is_held_against_the_same_state_in_that_version() {
    let scaler = |version: &str, most: u32, spec: Value, notes: &[&str]| {
        let mut all = json!({"minReplicas": 1, "maxReplicas": most});
        all.as_object_mut().expect("a map").extend(spec.as_object().expect("a map").clone());
        let mut meta = json!({"name": "cart", "namespace": "shop"});
        for note in notes {
            meta["annotations"][format!("autoscaling.alpha.kubernetes.io/{note}")] = "[]".into();
        }
        json!({"apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": all})
    };
    let old = |percent: u32| json!({"targetCPUUtilizationPercentage": percent});
    let new = |percent: u32| json!({"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]});
    let entries = json!([{"manager": MANAGER, "operation": "Apply", "apiVersion": "autoscaling/v1",
        "fieldsV1": {"f:spec": {"f:maxReplicas": {}, "f:targetCPUUtilizationPercentage": {}}}}]);
    let ask = |live: Value| {
        let live = owned(live, &entries);
        let mut world = World::new().declares("shop", vec![scaler("v1", 5, old(70), &[])]).runs(vec![live]);
        world.config.cluster.confirm = Some(Confirm { per_second: 5, again: Duration::from_secs(3600) });
        world
    };
    let conditions = ["conditions"];
    type Row<'r> = (&'r str, Value, Option<Value>, Value, Answer, Vec<(&'r str, Deed)>);
    let rows: Vec<Row<'_>> = vec![
        (
            "heals",
            scaler("v2", 9, new(70), &[]),
            Some(scaler("v1", 9, old(70), &conditions)),
            scaler("v1", 5, old(70), &conditions),
            Answer::Agrees,
            vec![],
        ),
        ("both", scaler("v2", 9, new(50), &[]), Some(scaler("v1", 9, old(50), &[])), scaler("v1", 5, old(70), &[]), Answer::Agrees, vec![]),
        (
            "one stays",
            scaler("v2", 9, new(50), &[]),
            Some(scaler("v1", 9, old(50), &[])),
            scaler("v1", 5, old(50), &[]),
            Answer::Differs,
            vec![("spec.metrics[0].resource.target.averageUtilization", Deed::Keeps)],
        ),
        (
            "the version cannot say all",
            scaler("v2", 9, new(70), &[]),
            Some(scaler("v1", 9, old(70), &["metrics"])),
            scaler("v1", 5, old(70), &["metrics"]),
            Answer::Unasked,
            vec![],
        ),
        ("not read in that version", scaler("v2", 9, new(70), &[]), None, scaler("v1", 5, old(70), &[]), Answer::Unasked, vec![]),
    ];
    for (name, live, before, then, answer, told) in rows {
        let mut world = ask(live);
        let suspect = asked(&world).remove(0);
        assert_eq!((&*suspect.gvk.version, &*suspect.version), ("v1", "v2"), "{name}");
        answered(&mut world, Said::Would { then: take(then).into(), before: before.map(|b| take(b).into()) });
        let confirmed = world.verdict("HorizontalPodAutoscaler", "cart").confirmed.expect("it drifts");
        let got: Vec<_> = confirmed.fields.iter().map(|f| (f.path.as_str(), f.deed)).collect();
        assert_eq!((confirmed.answer, got), (answer, told), "{name}");
        assert_eq!(confirmed.reason.as_deref(), (answer == Answer::Unasked).then_some("version_differs"), "{name}");
    }
}

#[test]
fn what_rules_know_and_what_others_added_is_no_disagreement() {
    let mut world = world(owned(
        cart(5, json!({"paused": true})),
        &json!([
        {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}]),
    ));
    // The addition stays, and an order alone is no change.
    answered(&mut world, would(cart(3, json!({"paused": true}))));
    assert_eq!(said(&world).answer, Answer::Agrees, "{:?}", said(&world));
    let added = self::world(owned(
        cart(3, json!({"paused": true})),
        &json!([
        {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "k9s", "operation": "Update", "fieldsV1": {"f:spec": {"f:minReadySeconds": {}, "f:paused": {}}}}]),
    ));
    let verdict = added.verdict("Deployment", "cart");
    if verdict.drift == Drift::Added {
        assert_eq!(verdict.confirmed.expect("said").reason.as_deref(), Some("additions"));
    }
    assert!(asked(&added).is_empty());
}

#[test]
fn a_deployer_that_applies_client_side_is_not_asked_what_it_would_take_out() {
    let entries = json!([{"manager": "helm", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}}]);
    let mut live = owned(cart(3, json!({"paused": true})), &entries);
    live["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": cart(3, json!({"paused": true})).to_string()});
    let world = world(live.clone());
    assert_eq!((world.verdict("Deployment", "cart").drift, said(&world).reason.as_deref()), (Drift::Changed, Some("client_side")));
    live["spec"]["replicas"] = 5.into();
    let mut both = self::world(live.clone());
    live["spec"]["replicas"] = 3.into();
    answered(&mut both, would(live));
    assert_eq!(said(&both).answer, Answer::Agrees);
}

#[test]
fn an_answer_holds_until_something_that_it_depends_on_changes() {
    let entries = applied(json!({"f:replicas": {}}));
    let live = owned(cart(5, json!({})), &entries);
    let key = |v: &Value| asked(&world(v.clone())).remove(0).key;
    let mut status = live.clone();
    status["status"] = json!({"readyReplicas": 5});
    status["metadata"]["resourceVersion"] = "8".into();
    status["metadata"]["managedFields"].as_array_mut().expect("entries").push(json!(
        {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": "2026-03-02T11:00:00Z", "fieldsV1": {"f:status": {}}}));
    assert_eq!(key(&live), key(&status), "a write of the status asks nothing new");
    assert_ne!(key(&live), key(&owned(cart(6, json!({})), &entries)), "another live value");
    let taken = json!([entries[0], {"manager": "k9s", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    assert_ne!(key(&live), key(&owned(cart(5, json!({})), &taken)), "another owner");
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}});
    assert_ne!(key(&live), asked(&world(live.clone()).runs(vec![policy])).remove(0).key, "another policy");
    let mut world = world(live.clone());
    answered(&mut world, would(cart(3, json!({}))));
    assert_eq!(said(&world).answer, Answer::Agrees);
    let answers = world.answers.clone();
    let mut moved = self::world(owned(cart(6, json!({})), &entries));
    moved.answers = answers;
    assert_eq!(said(&moved).reason.as_deref(), Some("pending"), "an answer about another state says nothing of this one");
}

#[test]
fn what_cannot_be_judged_is_never_asked_about_and_stays_unknown() {
    let live = owned(cart(5, json!({})), &applied(json!({"f:replicas": {}})));
    let mut known = world(live.clone());
    answered(&mut known, would(cart(3, json!({}))));
    let blind = Listing::Failed(Failure::new("forbidden", "may not list deployments"));
    let mut unknown = world(live).listing("apps", "Deployment", blind);
    unknown.answers = known.answers;
    let verdict = unknown.verdict("Deployment", "cart");
    assert_eq!((verdict.drift, verdict.confirmed, asked(&unknown).len()), (Drift::Unknown, None, 0));
}

#[test]
fn values_of_secrets_are_sent_nowhere() {
    let secret =
        |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "stringData": {"p": value}});
    let mut live = secret("canary-2");
    live["metadata"]["managedFields"] = applied(json!({}));
    let mut world = World::new().declares("shop", vec![secret("canary-1")]).runs(vec![live]);
    world.config.cluster.confirm = Some(Confirm { per_second: 5, again: Duration::from_secs(3600) });
    let verdict = world.verdict("Secret", "s");
    assert_eq!((verdict.drift, verdict.confirmed.expect("it drifts").reason.as_deref()), (Drift::Changed, Some("secret")));
    assert!(asked(&world).is_empty());
}

#[test]
fn a_missing_right_is_said_once_and_a_refusal_with_its_words() {
    let mut world = world(owned(cart(5, json!({})), &applied(json!({"f:replicas": {}}))));
    let id = asked(&world).remove(0).id;
    world.answers.forbidden.insert(id.gk.clone(), Failure::new("forbidden", "deployments.apps"));
    let confirmed = said(&world);
    assert_eq!((confirmed.answer, confirmed.reason.as_deref(), confirmed.message), (Answer::Unasked, Some("forbidden"), None));
    let notes: Vec<_> = world.judge().notes.into_iter().filter(|n| &*n.reason == "confirm_forbidden").collect();
    assert!(
        notes.len() == 1 && notes[0].message.contains("may not patch deployments.apps") && notes[0].message.contains("--with dry-run"),
        "{notes:?}"
    );
    world.answers.forbidden.clear();
    answered(&mut world, Said::Refused(Failure::new("invalid", "spec.selector: field is immutable")));
    let confirmed = said(&world);
    assert_eq!((confirmed.answer, confirmed.message.as_deref()), (Answer::Refused, Some("spec.selector: field is immutable")));
    // Nothing is considered twice under one key.
    let view = crate::velero::select::View::of(&world.live, "velero");
    let (inputs, memo) = (world.inputs(), Memo::default());
    let join = super::Join::of(&inputs, &view, &memo);
    assert_eq!(consider(&join).1.len(), 1);
}
