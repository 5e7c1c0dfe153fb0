//! What is printed for machines fits the schemas that are published for it, by a validator that is not ours.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::{
    daemon_page::demo,
    support::{
        cli::{World, snapgap},
        daemon::Daemon,
        program::Folder,
    },
};

#[test]
fn the_version_says_what_it_was_built_from() {
    let told = snapgap(Folder::new("snapgap-version-").path(), &["version"]).ended(0).out;
    let lines: Vec<&str> = told.lines().collect();
    let toolchain = include_str!("../../rust-toolchain.toml").lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
    assert_eq!(lines[0], concat!("snapgap ", env!("CARGO_PKG_VERSION")));
    // The tests are compiled in the same environment.
    assert_eq!(lines[1], format!("revision {}", option_env!("SNAPGAP_REVISION").filter(|r| !r.is_empty()).unwrap_or("unknown")));
    assert!(lines[2].starts_with(&format!("rustc {} (", toolchain.trim_matches('"'))), "{told}");
    assert_eq!(lines[3..], ["report schema snapgap.report/v1"]);
}

/// A published schema, ready to judge.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new(document: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let place = "https://snapgap.example.com/schema.json";
        compiler.add_resource(place, document).expect("it can be added");
        let index = compiler.compile(place, &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    fn of(world: &World, name: &str) -> Self {
        Self::new(snapgap(world.home(), &["schema", name]).ended(0).json())
    }

    fn fits(&self, what: &str, document: &Value) {
        if let Err(e) = self.schemas.validate(document, self.index) {
            panic!("{what} does not fit: {e:#}");
        }
    }

    fn refuses(&self, what: &str, document: &Value) {
        assert!(self.schemas.validate(document, self.index).is_err(), "{what} fits: {document}");
    }
}

#[test]
fn every_report_fits_the_published_schema() {
    let world = World::new();
    let schema = Schema::of(&world, "report");
    let (name, archive) = world.newest();
    for (what, args, code) in [
        ("the world of the demo", &[][..], 0),
        ("everything", &["--all"], 0),
        ("another moment", &["--all", "--now", "1990-01-01T00:00:00Z"], 0),
        ("no Git", &["--all", "--git", "/nonexistent"], 2),
        ("no cluster", &["--all", "--cluster-dump", "/nonexistent"], 2),
        ("no backup", &["--all", "--backup", "/nonexistent"], 2),
    ] {
        let form = |form: &'static str| world.run(&[&["report", "-o", form], args].concat()).ended(code).out;
        let json: Value = serde_json::from_str(&form("json")).expect("JSON");
        schema.fits(what, &json);
        let yaml: Value = serde_yaml::from_str(&form("yaml")).expect("YAML");
        schema.fits(what, &yaml);
        for (key, spoilt) in [("summary", Value::from("many")), ("objects", Value::from(3)), ("schema", Value::from(1)), ("as_of", Value::Null)] {
            let mut report = json.clone();
            report[key] = spoilt;
            schema.refuses(&format!("{what} with another {key}"), &report);
        }
        let mut less = json.clone();
        less.as_object_mut().expect("an object").remove("windows");
        schema.refuses("a report without windows", &less);
    }
    std::fs::write(&archive, "").expect("written");
    let damaged = world.run(&["report", "-o", "json", "--all"]).ended(2).json();
    assert!(damaged["backups"].as_array().expect("backups").iter().any(|b| b["name"] == *name && b["unread"].is_object()));
    schema.fits("a damaged backup", &damaged);
}

#[test]
fn what_coverage_prints_fits_the_schema_that_is_published_for_it() {
    let world = World::new();
    let schema = Schema::of(&world, "coverage");
    let plan = world.home().join("plan.yaml");
    std::fs::write(&plan, "{kind: Backup, metadata: {name: p}, spec: {includedNamespaces: ['*', shop]}}").expect("written");
    let plan = plan.display().to_string();
    for (what, args) in [("its schedules", &[][..]), ("everything", &["--all"]), ("a backup that does not exist yet", &["--backup", &plan])] {
        let form = |form: &'static str| world.run(&[&["coverage", "-o", form], args].concat()).ended(0).out;
        let json: Value = serde_json::from_str(&form("json")).expect("JSON");
        assert!(json["plans"].as_array().is_some_and(|p| !p.is_empty()) && json["rows"].as_array().is_some_and(|r| !r.is_empty()), "{what}: {json}");
        schema.fits(what, &json);
        schema.fits(what, &serde_yaml::from_str(&form("yaml")).expect("YAML"));
        for (key, spoilt) in [("plans", Value::from("many")), ("objects", Value::Null), ("schema", Value::from(1)), ("now", Value::from(3))] {
            let mut other = json.clone();
            other[key] = spoilt;
            schema.refuses(&format!("{what} with another {key}"), &other);
        }
    }
}

#[test]
fn what_the_daemon_serves_fits_the_schema_that_it_serves() {
    let folder = Folder::new("snapgap-documents-");
    let daemon = Daemon::start(&demo(&folder.path().join("world")));
    let served = daemon.json("/api/v1/schema");
    let printed = snapgap(folder.path(), &["schema", "report"]).ended(0).json();
    assert_eq!(served, printed);
    let schema = Schema::new(served);
    for path in ["/api/v1/report", "/api/v1/report?all=true"] {
        schema.fits(path, &daemon.json(path));
    }
}

#[test]
fn the_schema_of_the_configuration_accepts_what_the_program_accepts() {
    let world = World::new();
    let schema = Schema::of(&world, "config");
    let read = |text: &str| -> Value { serde_yaml::from_str(text).expect("YAML") };
    schema.fits("the demo's", &read(&std::fs::read_to_string(world.config()).expect("readable")));
    let file = world.home().join("other.yaml");
    for (text, good) in [
        ("sources: [{url: /a, ref: main, interval: 5s}]", true),
        ("apps: [{name: a, path: x, value_files: [v.yaml]}]\nsources: [{url: /a}]", true),
        ("sourcess: []", false),
        ("apps: 3", false),
        ("sources: [{url: /a, auth: {password: x}}]", false),
        ("cluster: {secrets: perhaps}", false),
    ] {
        std::fs::write(&file, text).expect("written");
        let told = snapgap(world.home(), &["config", "check", "-f", "other.yaml"]);
        assert_eq!(told.code, Some(if good { 0 } else { 3 }), "{text}: {told:?}");
        if good { schema.fits(text, &read(text)) } else { schema.refuses(text, &read(text)) }
    }
}
