//! The drift engine under the API server's examination, over manifests of every built-in kind and of hard CustomResourceDefinitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{
    exam::{
        manifests, options,
        run::{Exam, Outcome, Plan},
    },
    support::control_plane::ControlPlane,
};

/// What is found must be what is listed in `tests/data/drift/gaps`, to the row: a fix removes its row. `UPDATE=1` writes the list anew.
fn exactly(file: &str, found: &BTreeMap<String, String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/drift/gaps").join(file);
    let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    if std::env::var_os("UPDATE").is_some() {
        let rows: String = found.iter().map(|row| format!("{row}\n")).collect();
        fs::write(
            &path,
            format!("# Known gaps, held to the row by tests/it/drift_exam.rs: way, kind, who, edit, schema path, who speaks alone.\n{rows}"),
        )
        .expect("written");
        return;
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let listed: BTreeSet<&str> = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    println!("{file}: {} known gaps\n{}", listed.len(), listed.iter().copied().collect::<Vec<_>>().join("\n"));
    let (new, mended): (Vec<_>, Vec<_>) = (found.difference(&listed).collect(), listed.difference(&found).collect());
    assert!(new.is_empty() && mended.is_empty(), "{file}: new gaps {new:#?}; mended, take their rows out: {mended:#?}");
}

fn examine(folders: &[&str], plan: Plan) -> Outcome {
    let plane = ControlPlane::start(options());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let manifests: Vec<_> = folders.iter().flat_map(|folder| manifests(&data.join(folder))).collect();
    let outcome = Exam::new(&plane, &manifests, plan).run(&manifests);
    outcome.print();
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/drift.md")).expect("docs/drift.md");
    for class in outcome.documented.keys() {
        assert!(docs.contains(&format!("\n| `{class}` |")), "docs/drift.md does not say why the two differ: {class}");
    }
    outcome
}

#[test]
fn every_built_in_kind_with_all_its_fields_is_judged_as_the_api_server_judges_it() {
    let outcome = examine(&["drift/maximal"], Plan { seed: 1, git: 6, live: 3, rounds: 3 });
    assert!(outcome.objects > 250 && outcome.asked > 1_000, "{} objects, {} questions", outcome.objects, outcome.asked);
    exactly("maximal-noise.txt", &outcome.noise);
    exactly("maximal-disputes.txt", &outcome.disputed);
}

#[test]
fn custom_resources_of_hard_schemas_are_judged_as_the_api_server_judges_them() {
    let outcome = examine(&["crds", "drift/crds"], Plan { seed: 2, git: 8, live: 5, rounds: 5 });
    assert!(outcome.objects > 100 && outcome.asked > 500, "{} objects, {} questions", outcome.objects, outcome.asked);
    exactly("crds-noise.txt", &outcome.noise);
    exactly("crds-disputes.txt", &outcome.disputed);
}
