//! Documents that the code writes: `UPDATE=1 cargo test --test it generated` writes them, without `UPDATE` the same tests compare.

use std::{fmt::Write as _, path::Path};

use clap::CommandFactory as _;
use snapgap::report::schema;

/// What stands before the generated part of a document; what stands above it is written by hand.
const BEGIN: &str = "<!-- from here on written by `UPDATE=1 cargo test --test it generated`, do not edit -->";

/// Compares (or writes) a document with what is made of the one that is there.
fn hold_whole(document: &str, wanted: impl FnOnce(&str) -> Option<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    let file = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("docs/{document}: {e}"));
    let wanted = wanted(&file).unwrap_or_else(|| panic!("docs/{document} has lost the lines that its generated part stands between"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).expect("written");
    } else {
        assert!(file == wanted, "docs/{document} is older than the code: run UPDATE=1 cargo test --test it generated");
    }
}

/// Compares (or writes) the generated part of a document.
fn hold(document: &str, generated: &str) {
    hold_whole(document, |file| {
        let (head, _) = file.split_once(BEGIN)?;
        Some(format!("{head}{BEGIN}\n\n{}\n", generated.trim()))
    });
}

#[test]
fn the_table_of_the_metrics_is_up_to_date() {
    hold_whole("metrics.md", snapgap::metrics::docs::replace);
}

#[test]
fn the_published_schemas_are_up_to_date() {
    for (file, schema) in [("report.schema.json", schema::report()), ("coverage.schema.json", schema::coverage())] {
        hold_whole(file, |_| Some(schema::text(&schema)));
    }
}

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    hold("configuration.md", &snapgap::config::docs::markdown());
}

/// The long help of a command and of all below it.
fn help(command: &mut clap::Command, path: &str, depth: usize, text: &mut String) {
    // What is set where the tests run is no part of the document.
    *command = std::mem::take(command).mut_args(|a| a.hide_env_values(true));
    let long = command.render_long_help().to_string();
    let lines: Vec<_> = long.lines().map(str::trim_end).collect();
    let _ = write!(text, "{} `{path}`\n\n```text\n{}\n```\n\n", "#".repeat(depth), lines.join("\n").trim());
    for inner in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
        let path = format!("{path} {}", inner.get_name());
        help(inner, &path, (depth + 1).min(4), text);
    }
}

#[test]
fn the_reference_of_the_command_line_is_up_to_date() {
    let mut command = snapgap::cli::args::Cli::command().term_width(100);
    command.build();
    let mut text = String::new();
    help(&mut command, "snapgap", 2, &mut text);
    hold("cli.md", &text);
}

/// One line of a table: what would end a cell is written out.
fn cell(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().replace('|', "\\|")
}

#[test]
fn the_table_of_the_causes_of_wrong_answers_is_up_to_date() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/drift");
    let read = |folder: &str| -> Vec<serde_json::Value> {
        let mut files: Vec<_> = std::fs::read_dir(data.join(folder)).expect("readable").map(|e| e.expect("an entry").path()).collect();
        files.sort();
        let parse = |path| serde_yaml::from_str::<Vec<serde_json::Value>>(&std::fs::read_to_string(path).expect("readable")).expect("a list");
        files.into_iter().flat_map(parse).collect()
    };
    let (causes, cases) = (read("causes"), read("cases"));
    let mut text = "| # | cause | where it comes from | what others do | what snapgap does | cases |\n|---|---|---|---|---|---|\n".to_owned();
    for cause in &causes {
        let given = |word: &str| cause[word].as_array().map_or(0, Vec::len);
        let own = given("cases") + given("worlds") + cases.iter().filter(|c| c["row"] == cause["row"]).count();
        let tests = given("tests");
        let held = match (own, tests) {
            (own, 0) => own.to_string(),
            (own, 1) => format!("{own} and a test"),
            (own, tests) => format!("{own} and {tests} tests"),
        };
        let [what, source, others, ours] = ["cause", "source", "others", "snapgap"].map(|word| cell(&cause[word]));
        let _ = writeln!(text, "| {} | {what} | {source} | {others} | {ours} | {held} |", cause["row"]);
    }
    hold("drift-causes.md", &text);
}

#[test]
fn the_tables_of_rules_and_managers_are_up_to_date() {
    hold("drift.md", &format!("{}\n{}", snapgap::drift::docs::markdown(), snapgap::verdict::derived::markdown()));
}

#[test]
fn the_example_of_the_configuration_is_accepted() {
    for document in ["docs/configuration.md", "README.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).expect("a document");
        let example = text.split("```yaml\n").nth(1).and_then(|t| t.split("```").next()).unwrap_or_else(|| panic!("{document} has an example"));
        let file = snapgap::config::file::File::parse(example).unwrap_or_else(|e| panic!("{document}: {e}"));
        file.validate(&snapgap::config::file::Surroundings { cache_dir: "/var/cache/snapgap".into() }).unwrap_or_else(|e| panic!("{document}: {e}"));
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in [
        "README.md",
        "docs/configuration.md",
        "docs/cli.md",
        "docs/permissions.md",
        "docs/report.md",
        "docs/drift-causes.md",
        "docs/drift.md",
        "docs/backups.md",
        "docs/reasons.md",
    ] {
        let text = std::fs::read_to_string(root.join(document)).expect("a document");
        for target in text.split("](").skip(1).filter_map(|t| t.split(')').next()).filter(|t| !t.starts_with("http") && !t.starts_with('#')) {
            let file = root.join(document).with_file_name(target.split('#').next().unwrap_or_default());
            assert!(file.exists(), "{document} links to {target}, which is not there");
        }
    }
}
