//! Deployers that merge patches of their own making: kubectl itself says what it would change, for all objects at once.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::{Value, json};

use super::{
    api::{Refusal, label},
    edits::{Edit, Op},
    run::{Exam, Placed, Way},
    verdicts::theirs,
};

/// Where kubectl keeps the last manifest.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Gives kubectl the last manifest of an object that was installed as Helm does it: Helm keeps it elsewhere, where no edit of the object reaches it.
fn reminded(exam: &Exam<'_>, way: Way, desired: &Value, live: Value) -> Result<Value, Refusal> {
    if way != Way::Helm || live["metadata"]["annotations"].get(LAST_APPLIED).is_some() {
        return Ok(live);
    }
    exam.api.merge(desired, "exam", &json!({"metadata": {"annotations": {LAST_APPLIED: desired.to_string()}}}))
}

/// The same of all.
pub fn remember(exam: &Exam<'_>, mut placed: Vec<Placed>) -> Vec<Placed> {
    placed.retain_mut(|p| match reminded(exam, p.way, &p.desired, p.live.clone()) {
        Ok(live) => {
            p.live = live;
            true
        }
        Err(why) => {
            exam.with(|o| o.unplaced.push(format!("helm {}: {}", label(&p.desired), why.message)));
            false
        }
    });
    placed
}

fn list(objects: impl IntoIterator<Item = Value>) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects.into_iter().collect::<Vec<_>>()}).to_string()
}

/// Two groups may have one kind.
fn key(object: &Value) -> String {
    format!("{} {}", object["apiVersion"], label(object))
}

/// Applies all; what kubectl refused is not placed.
pub fn install(exam: &Exam<'_>, manifests: &[Value]) -> Vec<Placed> {
    let words = exam.plane().try_kubectl(&["apply", "--validate=false", "-f", "-"], &list(manifests.iter().cloned())).err().unwrap_or_default();
    assert!(manifests.is_empty() || manifests.iter().any(|m| exam.api.live(m).is_ok()), "kubectl applied nothing: {words}");
    let mut placed = Vec::new();
    for desired in manifests {
        match exam.api.live(desired) {
            Ok(live) => placed.push(Placed { way: Way::Client, desired: desired.clone(), live }),
            Err(_) => {
                let name = desired["metadata"]["name"].as_str().unwrap_or_default();
                let why = words.lines().find(|l| l.contains(name)).unwrap_or("kubectl says nothing of it");
                exam.with(|o| o.unplaced.push(format!("client {}: {why}", label(desired))));
            }
        }
    }
    placed
}

/// What kubectl would make of these manifests, by label. Those that it refuses are left out.
fn predict(exam: &Exam<'_>, manifests: &[Value]) -> BTreeMap<String, Value> {
    let mut asked: Vec<&Value> = manifests.iter().collect();
    for _ in 0..40 {
        if asked.is_empty() {
            break;
        }
        let answer = exam
            .plane()
            .try_kubectl(&["apply", "--validate=false", "--dry-run=server", "-o", "json", "-f", "-"], &list(asked.iter().map(|m| (*m).clone())));
        match answer {
            Ok(json) => {
                let all: Value = serde_json::from_str(&json).expect("JSON");
                let items = all["items"].as_array().cloned().unwrap_or_else(|| vec![all.clone()]);
                return items.into_iter().map(|i| (key(&i), i)).collect();
            }
            // While the server takes a changed definition in, it does not know the kind.
            Err(words) if words.contains("could not find the requested resource") => thread::sleep(Duration::from_millis(250)),
            // With one refusal kubectl prints nothing of the others.
            Err(words) => {
                let before = asked.len();
                asked.retain(|m| !words.contains(&format!("\"{}\"", m["metadata"]["name"].as_str().unwrap_or_default())));
                assert!(asked.len() < before, "kubectl refuses without saying what: {words}");
                exam.with(|o| o.refused += before - asked.len());
            }
        }
    }
    assert!(asked.is_empty(), "kubectl gave no answer about {} manifests", asked.len());
    BTreeMap::new()
}

/// In each round every object is edited once: first in Git, then live.
pub fn rounds(exam: &Exam<'_>, mut placed: Vec<Placed>) {
    let mut dice: Vec<_> = placed.iter().map(|p| exam.dice(p)).collect();
    for round in 0..exam.plan().rounds {
        placed.iter_mut().for_each(|p| p.live = exam.now(p));
        let git: Vec<(Placed, Edit, Value)> = placed
            .iter()
            .zip(&mut dice)
            .filter_map(|(p, dice)| {
                let edit = exam.draw(&p.desired, dice)?;
                let desired = edit.on(&p.desired)?;
                // What the server refuses would silence kubectl about all others.
                exam.api.apply(&desired, "exam", true).ok().map(|_| (p.clone(), edit, desired))
            })
            .collect();
        let predicted = predict(exam, &git.iter().map(|(_, _, d)| d.clone()).collect::<Vec<_>>());
        for (p, edit, desired) in &git {
            if let Some(then) = predicted.get(&key(desired)) {
                let mine = exam.ours(p.way, desired, &p.live);
                exam.hold(p.way, desired, &mine, &p.live, then, edit, "git");
            }
        }
        live_round(exam, &mut placed, &mut dice, if round % 3 == 2 { "some-operator" } else { "kubectl-edit" });
    }
}

fn live_round(exam: &Exam<'_>, placed: &mut [Placed], dice: &mut [super::edits::Dice], person: &str) {
    let mut edited: Vec<(usize, Edit, Value)> = Vec::new();
    for (n, (p, dice)) in placed.iter_mut().zip(dice).enumerate() {
        let Some(edit) = exam.draw(&p.live, dice) else { continue };
        let edited_live = exam.api.json_patch(&p.desired, person, &edit.forward()).and_then(|live| reminded(exam, p.way, &p.desired, live));
        match edited_live {
            Ok(live) if theirs(&p.live, &live).is_empty() => p.live = live,
            Ok(live) => edited.push((n, edit, live)),
            Err(_) => exam.with(|o| o.refused += 1),
        }
    }
    let predicted = predict(exam, &edited.iter().map(|(n, ..)| placed[*n].desired.clone()).collect::<Vec<_>>());
    for (n, edit, live) in &edited {
        let p = &mut placed[*n];
        if let Some(then) = predicted.get(&key(&p.desired)) {
            let mine = exam.ours(p.way, &p.desired, live);
            exam.hold(p.way, &p.desired, &mine, live, then, edit, person);
        }
        let back = exam.api.json_patch(&p.desired, person, &edit.backward()).or_else(|_| exam.api.replace(&p.live, person));
        match back.and_then(|live| reminded(exam, p.way, &p.desired, live)) {
            Ok(back) => p.live = back,
            Err(why) => {
                let line = format!("{} {} after {person} {:?} {}: {}", p.way.name(), label(&p.desired), edit.op, edit.pointer, why.message);
                exam.with(|o| o.unhealed.push(line));
                // An addition that cannot be taken back stays; the next comparison begins from there.
                if edit.op != Op::Delete {
                    p.live = live.clone();
                }
            }
        }
    }
}
