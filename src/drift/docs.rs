//! The tables of docs/drift.md, from the data that the engine runs on. pure

use std::fmt::Write as _;

use super::{judge::SILENT, owners::manager_rows, rules::RULES, switches::SWITCHES};

/// The generated part of the document.
pub fn markdown() -> String {
    let mut out =
        String::from("## Rules that keep differences silent\n\n| rule | kinds | places | when | why | source |\n|---|---|---|---|---|---|\n");
    let cell = |t: &str| t.replace('|', "\\|").replace('\n', " ");
    for rule in RULES {
        let places = rule.places().iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(" ");
        let cells = [rule.name, &rule.kinds(), &places, &rule.condition(), rule.reason, rule.source].map(cell);
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out.push_str("\n## Silences by owner\n\n| rule | what is left out |\n|---|---|\n");
    for (name, reason) in SILENT {
        let _ = writeln!(out, "| {name} | {} |", cell(reason));
    }
    out.push_str("\n## Marks on an object that silence it as a whole\n\n| label or annotation | value | rule | why |\n|---|---|---|---|\n");
    for (key, values, rule, reason) in SWITCHES {
        let _ = writeln!(out, "| `{key}` | {} | {rule} | {reason} |", values.join(", "));
    }
    out.push_str("\n## Field managers\n\n| class | name | source |\n|---|---|---|\n");
    for (class, name, source) in manager_rows() {
        let _ = writeln!(out, "| {class} | `{name}` | {} |", cell(source));
    }
    out
}
