//! The exam itself: install, wait for calm, require silence, edit, and ask the server the same question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use snapgap::drift::{Comparison, LeafClass};

use super::{
    api::{Api, Refusal, label},
    client,
    edits::{Dice, Edit, Op, Pool, draw, pool, schema_path},
    verdicts::{Asked, Schemata, Standing, empty, knows_more, leaf_path, ours, stand, theirs},
};
use crate::support::{control_plane::ControlPlane, program::eventually};

/// How manifests get into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Server-side apply, as GitOps controllers do it.
    Apply,
    /// kubectl's client-side apply.
    Client,
    /// Create, then update: as Helm 3 does it. The next upgrade merges a patch from the last manifest, the new one and what is live, as kubectl
    /// does, so kubectl is asked; the last manifest is given to it in its own annotation, which the engine is not shown.
    Helm,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Apply, Self::Client, Self::Helm];

    pub fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Client => "client",
            Self::Helm => "helm",
        }
    }

    pub fn manager(self) -> &'static str {
        match self {
            Self::Apply => "argocd-controller",
            Self::Client => "kubectl-client-side-apply",
            Self::Helm => "helm",
        }
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Edits of the manifest, for each object and way.
    pub git: usize,
    /// Edits of the live object by somebody else, for each object and way.
    pub live: usize,
    /// The same for client-side apply, where one round costs a whole `kubectl apply`.
    pub rounds: usize,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    pub objects: usize,
    /// Questions that both answered.
    pub asked: usize,
    pub agreed: usize,
    /// Differences whose reason is documented, by reason.
    pub documented: BTreeMap<String, usize>,
    /// Edits that the server did not take.
    pub refused: usize,
    /// Manifests that the server did not take, and why.
    pub unplaced: Vec<String>,
    /// What was reported although nobody had touched anything.
    pub noise: BTreeMap<String, String>,
    /// Differences that nobody documented, with an example.
    pub disputed: BTreeMap<String, String>,
    /// Objects that could not be brought back to a clean state between two edits.
    pub unhealed: Vec<String>,
}

impl Outcome {
    pub fn print(&self) {
        println!("{} objects, {} questions that both answered: {} agreed, documented {:?}", self.objects, self.asked, self.agreed, self.documented);
        println!("{} edits were refused by the server; {} objects could not be healed", self.refused, self.unhealed.len());
        for (title, rows) in [("not placed", &self.unplaced), ("not healed", &self.unhealed)] {
            rows.iter().for_each(|r| println!("{title}: {r}"));
        }
        for (title, rows) in [("noise", &self.noise), ("disputed", &self.disputed)] {
            rows.iter().for_each(|(k, example)| println!("{title}: {k}\n        {example}"));
        }
    }
}

/// One run over one control plane.
pub struct Exam<'a> {
    pub api: Api,
    plane: &'a ControlPlane,
    plan: Plan,
    pool: Pool,
    /// By kind: all manifests, to add from.
    donors: BTreeMap<String, Vec<Value>>,
    schemata: Schemata,
    out: Mutex<Outcome>,
}

/// An object under exam: how it came, what Git says, and what the server has.
#[derive(Clone)]
pub struct Placed {
    pub way: Way,
    pub desired: Value,
    pub live: Value,
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The manifest as it is applied in one way: names and namespaces of its own, so that the ways do not meet.
fn renamed(manifest: &Value, way: Way, namespaced: bool) -> Value {
    let mut out = manifest.clone();
    let of_way = |v: &Value, otherwise: &str| Value::from(format!("{}-{}", v.as_str().unwrap_or(otherwise), way.name()));
    let meta = &mut out["metadata"];
    if namespaced {
        meta["namespace"] = of_way(&meta["namespace"], "exam");
    } else {
        meta["name"] = of_way(&meta["name"], "exam");
        meta.as_object_mut().expect("metadata").remove("namespace");
    }
    out
}

/// Whether the server kept less members than Git sets.
fn loses(set: &Value, kept: Option<&Value>) -> bool {
    match (set, kept) {
        (_, None) => true,
        (Value::Object(a), Some(Value::Object(b))) => a.iter().any(|(k, v)| loses(v, b.get(k))),
        _ => false,
    }
}

/// What Git sets in the one field that the server refuses, by its own words (`... is invalid: data: Forbidden: ...`).
fn refused_field<'v>(message: &str, desired: &'v Value) -> Option<&'v Value> {
    let (_, words) = message.split_once(" is invalid: ")?;
    let (field, _) = words.split_once(": ").filter(|(field, _)| !field.contains(['[', ' ']))?;
    desired.pointer(&format!("/{}", field.replace('.', "/")))
}

/// Whether somebody has written the object in another version than the one that Git names.
fn written_in_another_version(live: &Value, desired: &Value) -> bool {
    let entries = live["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|e| e["apiVersion"] != desired["apiVersion"])
}

/// Kinds whose names are tied to their content: examined in one way only.
fn has_fixed_name(manifest: &Value) -> bool {
    matches!(kind(manifest), "CustomResourceDefinition" | "APIService" | "IPAddress")
}

impl<'a> Exam<'a> {
    pub fn new(plane: &'a ControlPlane, manifests: &[Value], plan: Plan) -> Self {
        let mut donors: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        manifests.iter().for_each(|m| donors.entry(kind(m).to_owned()).or_default().push(m.clone()));
        Self { api: Api::connect(&plane.admin()), plane, plan, pool: pool(manifests), donors, schemata: Schemata::default(), out: Mutex::default() }
    }

    /// The whole exam over these manifests.
    pub fn run(mut self, manifests: &[Value]) -> Outcome {
        let placed = self.place(manifests);
        self.calm(&placed);
        let defines = |p: &Placed| kind(&p.desired) == "CustomResourceDefinition";
        let definitions: Vec<Value> = placed.iter().filter(|p| defines(p)).map(|p| p.live.clone()).collect();
        self.schemata = self.api.schemata(&self.plane.admin(), &definitions);
        let placed = self.silence(placed);
        let (others, merged): (Vec<Placed>, Vec<Placed>) = placed.into_iter().partition(|p| p.way == Way::Apply);
        let (definitions, others): (Vec<Placed>, Vec<Placed>) = others.into_iter().partition(defines);
        let merged = client::remember(&self, merged);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| client::rounds(&self, merged));
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(placed) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.edit(placed);
                    }
                });
            }
        });
        // Alone: what is edited in a definition decides what the server makes of objects of its kind.
        definitions.iter().for_each(|placed| self.edit(placed));
        self.out.into_inner().expect("the outcome")
    }

    pub fn plane(&self) -> &ControlPlane {
        self.plane
    }

    /// What the engine says of a live object.
    pub fn ours(&self, way: Way, desired: &Value, live: &Value) -> Comparison {
        let mut live = live.clone();
        if way == Way::Helm
            && let Some(annotations) = live.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        {
            annotations.remove(client::LAST_APPLIED);
        }
        ours(&*self.schemata.of(desired), desired, &live)
    }

    pub fn plan(&self) -> Plan {
        self.plan
    }

    pub fn with(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.out.lock().expect("the outcome"));
    }

    // ------------------------------------------------------------------------------------------------------------ placing

    fn place(&self, manifests: &[Value]) -> Vec<Placed> {
        let (crds, others): (Vec<&Value>, Vec<&Value>) = manifests.iter().partition(|m| kind(m) == "CustomResourceDefinition");
        let mut placed = Vec::new();
        for crd in crds {
            placed.extend(self.install(crd, Way::Apply));
        }
        for crd in &placed {
            let established = || self.api.live(&crd.desired).is_ok_and(|c| c["status"]["conditions"].to_string().contains("\"Established\""));
            eventually("the CustomResourceDefinition is established", Duration::from_secs(60), established);
        }
        self.api.discover();
        let mut spaces = BTreeSet::new();
        let mut todo: Vec<(Way, Value)> = Vec::new();
        for manifest in others {
            let Some(namespaced) = self.api.is_namespaced(manifest) else {
                self.with(|o| o.unplaced.push(format!("{}: {} is not served", label(manifest), manifest["apiVersion"])));
                continue;
            };
            for way in Way::ALL.into_iter().filter(|w| *w == Way::Apply || !has_fixed_name(manifest)) {
                let desired = if has_fixed_name(manifest) { manifest.clone() } else { renamed(manifest, way, namespaced) };
                if namespaced {
                    spaces.insert(desired["metadata"]["namespace"].as_str().unwrap_or_default().to_owned());
                }
                todo.push((way, desired));
            }
        }
        // Namespaces that the manifests declare come as such; the rest is made for the exam and not part of it.
        let declared = |name: &str| todo.iter().any(|(_, d)| kind(d) == "Namespace" && d["metadata"]["name"] == name);
        for name in spaces.iter().filter(|n| !declared(n)) {
            let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.api.apply(&space, "exam", false).expect("a namespace");
        }
        todo.sort_by_key(|(_, d)| kind(d) != "Namespace");
        let (client, direct): (Vec<_>, Vec<_>) = todo.into_iter().partition(|(way, _)| *way == Way::Client);
        placed.extend(direct.iter().filter_map(|(way, desired)| self.install(desired, *way)));
        placed.extend(client::install(self, &client.into_iter().map(|(_, d)| d).collect::<Vec<_>>()));
        placed
    }

    fn install(&self, desired: &Value, way: Way) -> Option<Placed> {
        let done = match way {
            Way::Apply | Way::Client => self.api.apply(desired, way.manager(), false),
            Way::Helm => {
                let mut first = desired.clone();
                first["metadata"]["annotations"]["exam.example.com/revision"] = json!("1");
                let patch = json!({"metadata": {"annotations": {"exam.example.com/revision": null}}});
                self.api.create(&first, way.manager()).and_then(|_| self.api.merge(desired, way.manager(), &patch))
            }
        };
        match done {
            Ok(live) => Some(Placed { way, desired: desired.clone(), live }),
            Err(Refusal { message, .. }) => {
                self.with(|o| o.unplaced.push(format!("{} {}: {}", way.name(), label(desired), message)));
                None
            }
        }
    }

    /// Waits until nobody writes any more.
    fn calm(&self, placed: &[Placed]) {
        let versions =
            || placed.iter().map(|p| self.api.live(&p.desired).map_or(Value::Null, |l| l["metadata"]["resourceVersion"].clone())).collect();
        let mut last: Vec<Value> = versions();
        eventually("calm", Duration::from_secs(90), || {
            thread::sleep(Duration::from_millis(700));
            let now = versions();
            std::mem::replace(&mut last, now) == last
        });
    }

    /// Nobody has touched anything, so nobody may report anything, neither we nor the server.
    fn silence(&self, placed: Vec<Placed>) -> Vec<Placed> {
        let mut clean = Vec::new();
        for mut p in placed {
            let Ok(live) = self.api.live(&p.desired) else {
                self.with(|o| o.unplaced.push(format!("{} {}: gone again", p.way.name(), label(&p.desired))));
                continue;
            };
            p.live = live;
            let mine = self.ours(p.way, &p.desired, &p.live);
            self.with(|o| o.objects += 1);
            for leaf in mine.leaves.iter().filter(|l| l.class != LeafClass::UnknownField) {
                let key = format!("{} {} {:?} {}", p.way.name(), kind(&p.desired), leaf.class, leaf_path(leaf));
                self.with(|o| drop(o.noise.insert(key, format!("{} {leaf:?}", label(&p.desired)))));
            }
            if mine.leaves.iter().all(|l| l.class == LeafClass::UnknownField) {
                clean.push(p);
            }
        }
        clean
    }

    // ------------------------------------------------------------------------------------------------------------- editing

    pub fn draw(&self, object: &Value, dice: &mut Dice) -> Option<Edit> {
        let donors = self.donors.get(kind(object)).map(Vec::as_slice).unwrap_or_default();
        draw(object, dice.pick(donors), &self.pool, dice)
    }

    pub fn dice(&self, placed: &Placed) -> Dice {
        Dice::new(self.plan.seed, &format!("{} {}", placed.way.name(), label(&placed.desired)))
    }

    /// The object as it is at this moment: controllers write the status when they come round.
    pub fn now(&self, placed: &Placed) -> Value {
        self.api.live(&placed.desired).unwrap_or_else(|_| placed.live.clone())
    }

    fn edit(&self, placed: &Placed) {
        let mut dice = self.dice(placed);
        for _ in 0..self.plan.git {
            let Some(edit) = self.draw(&placed.desired, &mut dice) else { continue };
            let Some(desired) = edit.on(&placed.desired) else { continue };
            self.ask(placed.way, &desired, &self.now(placed), &edit, "git");
        }
        let mut placed = placed.clone();
        for n in 0..self.plan.live {
            let Some(edit) = self.draw(&placed.live, &mut dice) else { continue };
            let person = if n % 3 == 2 { "some-operator" } else { "kubectl-edit" };
            let Ok(edited) = self.api.json_patch(&placed.desired, person, &edit.forward()) else {
                self.with(|o| o.refused += 1);
                continue;
            };
            // The server may make nothing of it.
            if theirs(&placed.live, &edited).is_empty() {
                placed.live = edited;
                continue;
            }
            self.ask(placed.way, &placed.desired, &edited, &edit, person);
            if !self.heal(&mut placed, &edit, person) {
                return;
            }
        }
    }

    fn ask(&self, way: Way, desired: &Value, live: &Value, edit: &Edit, who: &str) {
        let mine = self.ours(way, desired, live);
        match self.api.apply(desired, way.manager(), true) {
            Ok(predicted) => self.hold(way, desired, &mine, live, &predicted, edit, who),
            Err(refusal) => {
                self.with(|o| o.refused += 1);
                // The server takes nothing of it, so what Git says can never become live: that is not clean.
                let value = edit.value.as_ref().or(edit.before.as_ref());
                let refused_empty = value.is_some_and(empty) || refused_field(&refusal.message, desired).is_some_and(empty);
                let reason = if knows_more(&mine) { Some("rule") } else { refused_empty.then_some("empty") };
                if let Some(reason) = reason.filter(|_| mine.leaves.is_empty()) {
                    self.with(|o| *o.documented.entry(reason.to_owned()).or_default() += 1);
                } else if mine.leaves.is_empty() {
                    let key = format!(
                        "{} {} {who} {:?} {}: refused by the server, clean to snapgap",
                        way.name(),
                        kind(desired),
                        edit.op,
                        schema_path(&edit.pointer)
                    );
                    self.with(|o| drop(o.disputed.insert(key, format!("{} {edit:?} {}", label(desired), refusal.message))));
                }
            }
        }
    }

    /// Counts one pair of answers.
    #[expect(clippy::too_many_arguments)]
    pub fn hold(&self, way: Way, desired: &Value, mine: &Comparison, live: &Value, predicted: &Value, edit: &Edit, who: &str) {
        let changes = theirs(live, predicted);
        let set_by_git = edit.value.as_ref().filter(|_| who == "git");
        let dropped = set_by_git.is_some_and(|v| loses(v, predicted.pointer(&edit.pointer))).then(|| schema_path(&edit.pointer));
        let asked = Asked {
            dropped: dropped.as_deref(),
            merged: Some(desired).filter(|_| way != Way::Apply),
            taken: way == Way::Helm && who == "git" && edit.op == Op::Delete,
            deleted: who == "git" && edit.op == Op::Delete,
            forgotten: way == Way::Client && live["metadata"]["annotations"].get(client::LAST_APPLIED).is_none(),
            desired,
            live,
            converted: way == Way::Apply && written_in_another_version(live, desired),
        };
        let standing = stand(&*self.schemata.of(desired), mine, &changes, &asked);
        self.with(|o| {
            o.asked += 1;
            match standing {
                Standing::Agreed => o.agreed += 1,
                Standing::Documented(why) => *o.documented.entry(why.to_owned()).or_default() += 1,
                Standing::Disputed(places) => {
                    for (path, side) in places {
                        let key = format!("{} {} {who} {:?} {path}: only {side}", way.name(), kind(desired), edit.op);
                        let leaves: Vec<_> = mine.leaves.iter().map(|l| (l.class, leaf_path(l))).collect();
                        o.disputed.insert(
                            key,
                            format!("{} {edit:?}\n        ours {leaves:?} {:?}\n        theirs {changes:?}", label(desired), mine.silenced),
                        );
                    }
                }
            }
        });
    }

    /// Takes the edit back and lets the deployer apply again; false if the object does not come clean.
    fn heal(&self, placed: &mut Placed, edit: &Edit, person: &str) -> bool {
        let back = self.api.json_patch(&placed.desired, person, &edit.backward()).or_else(|_| self.api.replace(&placed.live, person));
        // What cannot be taken back may still be put right by an apply.
        drop(back);
        let healed = self.api.apply(&placed.desired, placed.way.manager(), false);
        let clean =
            |live: &Value| self.ours(placed.way, &placed.desired, live).leaves.iter().all(|l| l.is_addition() || l.class == LeafClass::UnknownField);
        match healed {
            Ok(live) if clean(&live) => {
                placed.live = live;
                true
            }
            answer => {
                let why = answer.map_or_else(|r| r.message, |_| "still differs".to_owned());
                self.with(|o| {
                    o.unhealed.push(format!("{} {} after {person} {:?} {}: {why}", placed.way.name(), label(&placed.desired), edit.op, edit.pointer))
                });
                false
            }
        }
    }
}
