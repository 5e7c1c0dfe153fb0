//! The report as Markdown, for merge requests and tickets. pure

use super::{
    groups::{self, Cause},
    model::Report,
    text::{clean, count},
};

/// Rows of one group at most, unless everything is asked for: forges cut long comments.
const MOST: usize = 50;

/// The report as Markdown. Nothing in it is taken for markup that was not written here.
pub fn render(report: &Report, all: bool) -> String {
    let groups = groups::of(report, all);
    let mut out = format!("# snapgap\n\n**{}**\n", escape(&groups::headline(report)));
    if groups.is_empty() {
        out.push_str(&format!("\n{}\n", groups::nothing(report)));
    }
    for group in &groups {
        out.push_str(&format!("\n## {} ({})\n\n{}\n\n", title(group.title), count(group.count), group.meaning));
        let windows = group.cause == Cause::Windows;
        let names = if windows { ["Scope", "State", "Open for", "What"] } else { ["Object", "App", "Since", "Why and what to do"] };
        out.push_str(&format!("| {} |\n|---|---|---|---|\n", names.join(" | ")));
        let most = if all { usize::MAX } else { MOST };
        for row in group.rows.iter().take(most) {
            let what = if row.namespace.is_empty() { row.what.clone() } else { format!("{} in {}", row.what, row.namespace) };
            let mut why = escape(&row.why);
            for detail in &row.details {
                why.push_str(&format!("<br>{}", escape(detail)));
            }
            out.push_str(&format!("| {} | {} | {} | {why} |\n", escape(&what), escape(&row.app), escape(&row.since)));
        }
        if group.rows.len() > most {
            out.push_str(&format!("\n… and {} more.\n", group.rows.len() - most));
        }
    }
    out.push_str(&format!("\n---\n\n{}\n", escape(&groups::counts(report))));
    for line in groups::blind(report, all) {
        out.push_str(&format!("\n- Blind: {}", escape(&line)));
    }
    for backup in groups::unreadable(report, all) {
        out.push_str(&format!("\n- Backup {}", escape(&backup)));
    }
    for note in &report.notes {
        out.push_str(&format!("\n- Note: {}", escape(&note.message)));
    }
    if !report.suppressed.is_empty() {
        out.push_str("\n\n<details><summary>Left out by rules</summary>\n\n| Rule | Fields | Objects | Why |\n|---|---|---|---|\n");
        for s in &report.suppressed {
            out.push_str(&format!("| {} | {} | {} | {} |\n", escape(&s.rule), count(s.fields), count(s.objects), escape(&s.reason)));
        }
        out.push_str("\n</details>\n");
    }
    out.push_str(&format!("\n{}\n", escape(&groups::as_of(report))));
    out
}

/// `STALE BACKUP` as `Stale backup`.
fn title(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut chars = lower.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A text that shows as itself: no markup, no HTML, no end of a table cell, no mention of a person.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_report_reads_as_markdown() {
        insta::assert_snapshot!("markdown_busy", render(&sample::busy(), false));
        insta::assert_snapshot!("markdown_clean", render(&sample::clean(), false));
    }

    #[test]
    fn a_group_is_cut_unless_everything_is_asked_for() {
        let report = sample::crowded(60);
        assert!(render(&report, false).contains("… and 11 more."));
        assert!(!render(&report, true).contains("more."));
    }

    #[test]
    fn hostile_names_are_shown_and_not_obeyed() {
        let text = render(&sample::hostile(), true);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        assert!(!text.contains("<b>") && text.contains("&lt;b&gt;"));
        for row in text.lines().filter(|l| l.starts_with('|')) {
            let bars = row.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 5, "{row}");
        }
    }
}
