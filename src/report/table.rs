//! The report for a terminal: what is wrong, where, since when, what to do. Worst first, at most a screen. pure

use super::{
    groups::{self, Cause, Group, Row},
    model::Report,
    text::{clean, counted, shorten},
};

/// How the table is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal; lines are cut there unless `all`. At least 40 are used.
    pub width: usize,
    /// Lines of the terminal; what does not fit is counted instead, unless `all`.
    pub height: usize,
    /// Everything: no cut, every row and every field.
    pub all: bool,
    /// ANSI colours.
    pub color: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 120, height: 40, all: false, color: false }
    }
}

/// Rows of a group that are shown even if a screen is full.
const LEAST: usize = 2;

const RED: &str = "31;1";
const YELLOW: &str = "33;1";
const GREEN: &str = "32;1";
const DIM: &str = "2";

/// The report as lines for a terminal.
pub fn render(report: &Report, options: &Options) -> String {
    let width = options.width.max(40);
    let groups = groups::of(report);
    let mut foot = vec![groups::counts(report)];
    foot.extend(groups::blind(report, options.all).into_iter().map(|b| format!("Blind: {b}")));
    foot.extend(report.notes.iter().map(|n| format!("Note: {}", n.message)));
    foot.push(groups::as_of(report));
    let foot: Vec<String> = foot.iter().flat_map(|line| wrap(line, width)).collect();
    // A headline, and for each group a heading, column names and an empty line.
    let fixed = 2 + foot.len() + groups.len() * 3;
    let shares = shares(&groups, if options.all { usize::MAX } else { options.height.saturating_sub(fixed) });

    let mut out = String::new();
    let paint = |code: &str, text: &str| if options.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let quiet = groups.is_empty();
    let mut headline = groups::headline(report);
    if quiet {
        headline.push_str(" Nothing to act on.");
    }
    let tone = if quiet { GREEN } else { RED };
    for line in wrap(&headline, width) {
        out.push_str(&paint(tone, &line));
        out.push('\n');
    }
    out.push('\n');
    for (group, share) in groups.iter().zip(shares) {
        let heading = format!("{} ({})  ", group.title, group.rows.len());
        let meaning = shorten(group.meaning, width.saturating_sub(heading.len()));
        out.push_str(&format!("{}{}\n", paint(if urgent(group.cause) { RED } else { YELLOW }, &heading), paint(DIM, &meaning)));
        rows(&mut out, group, share, options, width);
        out.push('\n');
    }
    for line in foot {
        out.push_str(&paint(DIM, &line));
        out.push('\n');
    }
    out
}

fn urgent(cause: Cause) -> bool {
    matches!(cause, Cause::Windows | Cause::Lost | Cause::BackupStale)
}

/// How many lines each group gets: all get a few, the rest goes to the worst ones first.
fn shares(groups: &[Group], lines: usize) -> Vec<usize> {
    let wanted = |g: &Group| g.rows.iter().map(|r| 1 + r.details.len()).sum::<usize>();
    let mut shares: Vec<usize> = groups.iter().map(|g| wanted(g).min(LEAST)).collect();
    let mut left = lines.saturating_sub(shares.iter().sum());
    for (share, group) in shares.iter_mut().zip(groups) {
        let more = (wanted(group) - *share).min(left);
        *share += more;
        left -= more;
    }
    shares
}

fn rows(out: &mut String, group: &Group, share: usize, options: &Options, width: usize) {
    let names = match group.cause {
        Cause::Windows => ["SCOPE", "", "STATE", "OPEN FOR", "WHAT"],
        _ => ["OBJECT", "NAMESPACE", "APP", "SINCE", "WHY AND WHAT TO DO"],
    };
    let needed: usize = group.rows.iter().map(|r| 1 + r.details.len()).sum();
    // The line that counts what is left out takes a line itself.
    let mut lines = if needed > share { share.saturating_sub(1).max(1) } else { share };
    let mut shown: Vec<(&Row, usize)> = Vec::new();
    for row in &group.rows {
        if lines == 0 {
            break;
        }
        lines -= 1;
        let details = row.details.len().min(lines);
        lines -= details;
        shown.push((row, details));
    }
    let cells = |row: &Row| [&row.what, &row.namespace, &row.app, &row.since].map(|c| clean(c).into_owned());
    // The first columns may take two thirds of the line; names longer than their part are cut, unless everything is asked for.
    let cap = if options.all { usize::MAX } else { width / 3 };
    let mut widths: [usize; 4] = [0; 4];
    for (n, name) in names.iter().take(4).enumerate() {
        let longest = shown.iter().map(|(r, _)| cells(r)[n].chars().count()).max().unwrap_or(0);
        widths[n] = if longest == 0 { 0 } else { longest.max(name.len()).min(cap) };
    }
    let line = |cells: [&str; 4], last: &str| {
        let mut text = String::from(" ");
        for (cell, w) in cells.iter().zip(widths).filter(|(_, w)| *w > 0) {
            let cell = shorten(cell, w);
            text.push_str(&format!(" {cell}{} ", " ".repeat(w - cell.chars().count())));
        }
        text.push(' ');
        let room = if options.all { usize::MAX } else { width.saturating_sub(text.chars().count()).max(10) };
        text.push_str(&shorten(last, room));
        text.trim_end().to_owned() + "\n"
    };
    out.push_str(&line([names[0], names[1], names[2], names[3]], names[4]));
    for (row, details) in &shown {
        let [what, namespace, app, since] = cells(row);
        out.push_str(&line([&what, &namespace, &app, &since], &row.why));
        for detail in row.details.iter().take(*details) {
            out.push_str(&format!("      {}\n", shorten(detail, if options.all { usize::MAX } else { width - 6 })));
        }
    }
    let hidden = group.rows.len() - shown.len();
    if hidden > 0 {
        out.push_str(&format!(
            "  … and {} (--all shows them)\n",
            counted(hidden as u64, "more row").replace("more rows", "more").replace("more row", "more")
        ));
    } else if shown.iter().any(|(row, details)| row.details.len() > *details) {
        out.push_str("  … and more fields (--all shows them)\n");
    }
}

/// Breaks a cleaned text at blanks into lines of at most `width` characters, continued under an indent.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut current) = (Vec::new(), String::new());
    for word in clean(text).split(' ') {
        let room = current.chars().count() + 1 + word.chars().count();
        if !current.is_empty() && room > width {
            lines.push(std::mem::take(&mut current));
            current.push(' ');
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_busy_report_reads_from_the_worst_down() {
        insta::assert_snapshot!("table_busy", render(&sample::busy(), &Options::default()));
        insta::assert_snapshot!("table_busy_narrow", render(&sample::busy(), &Options { width: 72, ..Options::default() }));
        insta::assert_snapshot!("table_busy_all", render(&sample::busy(), &Options { all: true, ..Options::default() }));
    }

    #[test]
    fn a_clean_report_says_so_in_a_few_lines() {
        insta::assert_snapshot!("table_clean", render(&sample::clean(), &Options::default()));
    }

    #[test]
    fn a_crowd_of_findings_stays_within_a_screen_and_within_its_width() {
        for (width, height) in [(80, 40), (120, 40), (200, 60)] {
            let text = render(&sample::crowded(40), &Options { width, height, all: false, color: false });
            assert!(text.lines().count() <= height, "{} lines of {height}\n{text}", text.lines().count());
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{} > {width}: {line}", line.chars().count());
            }
            for title in ["WINDOWS", "LOST (41)", "STALE BACKUP", "SPLIT (82)", "DRIFT", "RESURRECTED", "UNKNOWN"] {
                assert!(text.contains(title), "{title} is not on the screen\n{text}");
            }
        }
        let all = render(&sample::crowded(40), &Options { all: true, ..Options::default() });
        assert!(all.contains("stripe-39") && !all.contains("--all"));
    }

    #[test]
    fn colours_are_the_only_escape_sequences_and_only_if_asked_for() {
        for report in [sample::busy(), sample::hostile()] {
            let plain = render(&report, &Options::default());
            assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
            let colored = render(&report, &Options { color: true, ..Options::default() });
            let stripped = [RED, YELLOW, GREEN, DIM, "0"].iter().fold(colored, |t, code| t.replace(&format!("\u{1b}[{code}m"), ""));
            assert_eq!(stripped, plain);
        }
    }

    #[test]
    fn long_lines_break_at_blanks() {
        assert_eq!(wrap("one two three four", 9), ["one two", "  three", "  four"]);
        assert_eq!(wrap("", 9), [""]);
        assert_eq!(wrap("unbreakable", 5), ["unbreakable"]);
    }
}
