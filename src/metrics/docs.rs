//! The table of metric families as Markdown, for docs/metrics.md. pure
//!
//! `UPDATE=1 cargo test --test it generated` writes the table into the file; without `UPDATE` the same test compares.

use std::fmt::Write as _;

use super::table::{Origin, Stability, TABLE};

/// What stands before the table in the file.
pub const BEGIN: &str = "<!-- families: written by `UPDATE=1 cargo test --test it generated`, do not edit -->";
/// What stands after it.
pub const END: &str = "<!-- families: end -->";

/// The table, grouped under headings.
pub fn markdown() -> String {
    let mut text = String::new();
    let mut group = "";
    for family in TABLE {
        if family.group != group {
            group = family.group;
            // Writing to a String cannot fail.
            let _ =
                write!(text, "\n### {group}\n\n| family | kind | labels | unit | series | what it says | absent |\n|---|---|---|---|---|---|---|\n");
        }
        let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let mark = match (family.stability, family.origin) {
            (Stability::Experimental, _) => " *Experimental.*",
            (Stability::Stable, Origin::Counter) => " Starts at 0 with the process.",
            (Stability::Stable, _) => "",
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {}{mark} | {} |",
            family.name,
            family.kind.name(),
            if labels.is_empty() { "–" } else { &labels },
            if family.unit.is_empty() { "–" } else { family.unit },
            family.bound,
            family.says.replace('|', "\\|"),
            if family.absent.is_empty() { "never" } else { family.absent },
        );
    }
    text
}

/// The file with its table replaced; `None` if it lacks the marks.
pub fn replace(file: &str) -> Option<String> {
    let (head, rest) = file.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n{}\n{END}{tail}", markdown()))
}
