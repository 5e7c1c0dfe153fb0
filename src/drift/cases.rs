//! The catalogue of causes as cases: data in `tests/data/drift/cases`, read and held here. I/O: reads tests/data/drift

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::exempt::{Exemption, Exemptions};
use super::schema::{Origin, Shape, definition};
use super::{Builtin, Comparison, Leaf, Observed, Policy, Schema, causes, compare};
use crate::{
    config::IgnoreRule,
    object::{Gvk, ObjectId},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Row of the catalogue.
    row: u32,
    name: String,
    desired: Value,
    live: Value,
    managers: Option<Value>,
    /// What was last applied client-side.
    applied: Option<Value>,
    /// The schema of a custom resource (`openAPIV3Schema`), as its definition in the cluster has it.
    schema: Option<Value>,
    #[serde(default)]
    backup: bool,
    #[serde(default)]
    ignore: Vec<Ignore>,
    #[serde(default)]
    expect: Vec<String>,
    silenced: Option<BTreeMap<String, u32>>,
    unjudged: Option<String>,
    /// The rule that does not hold here although it could.
    speaks: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ignore {
    reason: String,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    #[serde(default)]
    pointers: Vec<String>,
    #[serde(default)]
    jq: Vec<String>,
    #[serde(default)]
    managers: Vec<String>,
}

/// Runs one comparison with the built-in schema.
pub fn run(desired: &Value, observed: &Value, managers: Option<&str>, ignore: &[IgnoreRule], additions: bool) -> Comparison {
    run_beside(desired, Observed { value: observed, managers, applied: None }, ignore, additions)
}

/// The shape of a custom resource with this schema.
fn shape(object: &Value, schema: &Value) -> Shape {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let gvk = Gvk::parse(&text(&object["apiVersion"]), &text(&object["kind"]));
    let version = json!({"name": &*gvk.version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things"}, "spec": {
        "group": &*gvk.gk.group, "scope": "Cluster", "names": {"kind": &*gvk.gk.kind, "plural": "things"}, "versions": [version]}});
    let read = definition::read(&definition).expect("a definition");
    Shape::of(&read.index, &gvk, Origin::Definition, true).expect("the kind")
}

/// The same, beside what was last applied.
pub fn run_beside(desired: &Value, observed: Observed<'_>, ignore: &[IgnoreRule], additions: bool) -> Comparison {
    run_by(&Builtin, desired, observed, ignore, additions)
}

fn run_by(schema: &dyn Schema, desired: &Value, observed: Observed<'_>, ignore: &[IgnoreRule], additions: bool) -> Comparison {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let gvk = Gvk::parse(&text(&desired["apiVersion"]), &text(&desired["kind"]));
    let meta = &desired["metadata"];
    let id = ObjectId::new(&gvk.gk.group, &gvk.gk.kind, meta["namespace"].as_str(), &text(&meta["name"]));
    let exempt = Exemptions::new(ignore.iter().map(Exemption::of).collect());
    let policy = Policy { exempt: &exempt, look_for_additions: additions, ..Policy::of(schema, &id, &gvk) };
    compare(desired, observed, &policy)
}

/// A leaf in one line.
pub fn line(leaf: &Leaf) -> String {
    let by = leaf.owner.as_ref().map(|o| format!(" by {o}")).unwrap_or_default();
    let at = leaf.time.map(|t| format!(" at {t}")).unwrap_or_default();
    format!("{} {}{by}{at}", leaf.class.name(), leaf.path)
}

#[test]
fn every_case_of_the_catalogue_is_judged_as_written() {
    let (mut wrong, mut seen, mut rows) = (Vec::new(), 0, std::collections::BTreeSet::new());
    let (mut silent, mut spoken) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for (file, text) in causes::files() {
        let cases: Vec<Case> = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        for case in cases {
            seen += 1;
            rows.insert(case.row);
            let ignore: Vec<IgnoreRule> = case
                .ignore
                .into_iter()
                .map(|i| IgnoreRule {
                    reason: i.reason,
                    group: None,
                    kind: i.kind,
                    namespace: i.namespace,
                    name: i.name,
                    pointers: i.pointers,
                    jq: i.jq,
                    managers: i.managers,
                    expires: None,
                })
                .collect();
            let managers = case.managers.map(|m| m.to_string());
            let applied = case.applied.map(|a| a.to_string());
            let live = Observed { value: &case.live, managers: managers.as_deref(), applied: applied.as_deref() };
            let got = match &case.schema {
                Some(schema) => run_by(&shape(&case.desired, schema), &case.desired, live, &ignore, !case.backup),
                None => run_beside(&case.desired, live, &ignore, !case.backup),
            };
            let leaves: Vec<String> = got.leaves.iter().map(line).collect();
            let silenced: BTreeMap<String, u32> = got.silenced.iter().map(|s| (s.rule.to_string(), s.leaves)).collect();
            silent.extend(silenced.keys().cloned());
            if let Some(rule) = case.speaks {
                assert!(!leaves.is_empty() && !silenced.contains_key(&rule), "{rule} is to be silent about nothing in {}", case.name);
                spoken.insert(rule);
            }
            let unjudged = got.unjudged.as_ref().map(|f| f.reason.to_string());
            if leaves != case.expect || unjudged != case.unjudged || case.silenced.as_ref().is_some_and(|s| *s != silenced) {
                wrong.push(format!(
                    "{file} {}: {}\n  leaves    {leaves:?}\n  wanted    {:?}\n  silenced  {silenced:?}\n  wanted    {:?}\n  unjudged  {unjudged:?}",
                    case.row, case.name, case.expect, case.silenced,
                ));
            }
        }
    }
    for rule in super::rules::RULES.iter().map(|r| r.name) {
        assert!(silent.contains(rule) && spoken.contains(rule), "rule {rule} needs a case in which it is silent and one in which it is not");
    }
    assert!(seen > 110 && rows.len() > 50, "{seen} cases of {} rows", rows.len());
    assert!(wrong.is_empty(), "{} of {seen} cases are judged otherwise:\n{}", wrong.len(), wrong.join("\n"));
}
