//! The catalogue of causes of wrong answers, `tests/data/drift/causes`: each with cases or with the tests that hold it. I/O: reads tests/data/drift

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// How many causes the catalogue has.
const CAUSES: u64 = 64;

fn folder(name: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/drift").join(name);
    let mut files: Vec<(String, String)> = fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.file_name().unwrap_or_default().display().to_string(), fs::read_to_string(&path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

fn causes() -> Vec<Value> {
    let read = |(name, text): (String, String)| serde_yaml::from_str::<Vec<Value>>(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    folder("causes").into_iter().flat_map(read).collect()
}

/// All cases, those of the catalogue included: the name of a file and a list of cases in it, as YAML.
pub fn files() -> Vec<(String, String)> {
    let mut all = folder("cases");
    for cause in causes() {
        let mut cases = cause["cases"].as_array().cloned().unwrap_or_default();
        cases.iter_mut().for_each(|c| c["row"] = cause["row"].clone());
        all.push((format!("cause {}", cause["row"]), serde_yaml::to_string(&cases).expect("YAML")));
    }
    all
}

/// Cases that are whole worlds, each with its row.
pub fn worlds() -> Vec<Value> {
    let of = |cause: Value| {
        let mut worlds = cause["worlds"].as_array().cloned().unwrap_or_default();
        worlds.iter_mut().for_each(|w| w["row"] = cause["row"].clone());
        worlds
    };
    causes().into_iter().flat_map(of).collect()
}

/// A cause that only a program can show (a render, a server) is held by tests by name; each of these counts as a case.
#[test]
fn every_cause_has_two_cases_or_more() {
    let mut held: BTreeMap<u64, usize> = BTreeMap::new();
    for (name, text) in files() {
        let cases: Vec<Value> = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        cases.iter().for_each(|c| *held.entry(c["row"].as_u64().expect("a row")).or_default() += 1);
    }
    worlds().iter().for_each(|w| *held.entry(w["row"].as_u64().expect("a row")).or_default() += 1);
    let causes = causes();
    let rows: Vec<u64> = causes.iter().filter_map(|c| c["row"].as_u64()).collect();
    assert_eq!(rows, (1..=CAUSES).collect::<Vec<_>>(), "every row once and in order");
    let mut sources = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { sources += &fs::read_to_string(&path).unwrap_or_default() }
        }
    }
    let mut bare = Vec::new();
    for cause in &causes {
        for word in ["cause", "source", "others", "snapgap"] {
            assert!(cause[word].as_str().is_some_and(|t| t.len() > 3), "row {} says nothing under {word}", cause["row"]);
        }
        let row = cause["row"].as_u64().expect("a number");
        let tests: Vec<&str> = cause["tests"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for test in &tests {
            assert!(sources.contains(&format!("fn {test}(")), "row {row} names a test that is not there: {test}");
        }
        let cases = held.get(&row).copied().unwrap_or_default();
        if cases + tests.len() < 2 {
            bare.push(row);
        }
    }
    println!("{} cases; {} causes are held by tests alone", held.values().sum::<usize>(), rows.iter().filter(|r| !held.contains_key(r)).count());
    assert!(bare.is_empty(), "causes with less than two cases: {bare:?}");
}
