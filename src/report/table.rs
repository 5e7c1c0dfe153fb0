//! The report for a terminal: what is wrong, where, since when, what to do. Worst first, at most a screen. pure

use super::{
    groups::{self, Cause, Group, Row},
    model::Report,
    text::{clean, count, shorten},
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

const RED: &str = "31;1";
const YELLOW: &str = "33;1";
const GREEN: &str = "32;1";
const DIM: &str = "2";

/// Lines of one row's text at most, unless everything is asked for.
const TEXT_LINES: usize = 2;

/// The report as lines for a terminal.
pub fn render(report: &Report, options: &Options) -> String {
    let width = options.width.max(40);
    let groups = groups::of(report, options.all);
    let mut headline = groups::headline(report);
    if groups.is_empty() {
        headline.push(' ');
        headline.push_str(groups::nothing(report));
    }
    let headline = wrap(&headline, width, 2);
    let mut foot = vec![groups::counts(report)];
    foot.extend(groups::blind(report, options.all).into_iter().map(|b| format!("Blind: {b}")));
    foot.extend(groups::unreadable(report, options.all).into_iter().map(|b| format!("Backup {b}")));
    foot.extend(report.notes.iter().map(|n| format!("Note: {}", n.message)));
    foot.push(groups::as_of(report));
    let foot: Vec<String> = foot.iter().flat_map(|line| wrap(line, width, 2)).collect();

    let widths = widths(&groups, options.all, width);
    // Each group has a heading and an empty line after it; the columns are named once.
    let named = groups.iter().position(|g| g.cause != Cause::Windows);
    let fixed = headline.len() + 1 + foot.len() + groups.len() * 2 + usize::from(named.is_some());
    let lines = if options.all { usize::MAX } else { options.height.saturating_sub(fixed) };
    let lay_all = |text_lines: usize| -> Vec<Vec<Laid>> {
        let columns = |g: &Group| (g.cause != Cause::Windows).then_some(widths);
        groups.iter().map(|g| g.rows.iter().map(|r| lay(r, columns(g), text_lines, width)).collect()).collect()
    };
    let mut laid = lay_all(if options.all { usize::MAX } else { TEXT_LINES });
    if laid.iter().flatten().map(Laid::len).sum::<usize>() > lines {
        laid = lay_all(1);
    }
    let shares = shares(&laid, lines);

    let mut out = String::new();
    let paint = |code: &str, text: &str| if options.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    for line in &headline {
        out.push_str(&paint(if groups.is_empty() { GREEN } else { RED }, line));
        out.push('\n');
    }
    out.push('\n');
    for (n, (group, rows)) in groups.iter().zip(&laid).enumerate() {
        let heading = format!("{} ({})  ", group.title, count(group.count));
        let meaning = shorten(group.meaning, width.saturating_sub(heading.len()));
        out.push_str(&format!("{}{}\n", paint(if urgent(group.cause) { RED } else { YELLOW }, &heading), paint(DIM, &meaning)));
        if named == Some(n) {
            let names = ["OBJECT", "NAMESPACE", "APP", "SINCE"].map(str::to_owned);
            out.push_str(&paint(DIM, &shorten(&format!("{}WHY AND WHAT TO DO", columns(&names, widths)), width)));
            out.push('\n');
        }
        rows_of(&mut out, rows, shares[n]);
        out.push('\n');
    }
    for line in foot {
        out.push_str(&paint(DIM, &line));
        out.push('\n');
    }
    out
}

fn urgent(cause: Cause) -> bool {
    matches!(cause, Cause::Volumes | Cause::Schedules | Cause::Windows | Cause::Lost | Cause::BackupStale)
}

/// One row as lines.
struct Laid {
    /// The row itself.
    head: Vec<String>,
    /// Details, which may be left out one by one.
    details: Vec<String>,
}

impl Laid {
    fn len(&self) -> usize {
        self.head.len() + self.details.len()
    }
}

/// How many lines each group gets: the worst first get enough for a row and for the count of the rest, then the worst first get more. A
/// group that gets none is still there with its heading and its count.
fn shares(laid: &[Vec<Laid>], lines: usize) -> Vec<usize> {
    let wanted = |rows: &[Laid]| rows.iter().map(Laid::len).sum::<usize>();
    let mut left = lines;
    let mut shares = Vec::with_capacity(laid.len());
    for rows in laid {
        let least = wanted(rows).min(rows.first().map_or(0, |r| r.head.len()) + 1);
        let share = if least <= left { least } else { 0 };
        left -= share;
        shares.push(share);
    }
    for (share, rows) in shares.iter_mut().zip(laid).filter(|(share, _)| **share > 0) {
        let more = (wanted(rows) - *share).min(left);
        *share += more;
        left -= more;
    }
    shares
}

/// The widths of the four columns before the text, over all groups of objects. A column that is empty everywhere takes no room.
fn widths(groups: &[Group], all: bool, width: usize) -> [usize; 4] {
    let rows = || groups.iter().filter(|g| g.cause != Cause::Windows).flat_map(|g| &g.rows);
    let mut widths = [0; 4];
    for (n, name) in ["OBJECT", "NAMESPACE", "APP", "SINCE"].iter().enumerate() {
        let longest = rows().map(|r| cells(r)[n].chars().count()).max().unwrap_or(0);
        // Long names may not squeeze out the text that says what to do.
        let cap = if all { usize::MAX } else { [width / 4, width / 6, width / 8, 14][n] };
        widths[n] = if longest == 0 { 0 } else { longest.max(name.len()).min(cap) };
    }
    widths
}

fn cells(row: &Row) -> [String; 4] {
    [&row.what, &row.namespace, &row.app, &row.since].map(|c| clean(c).into_owned())
}

fn columns(cells: &[String; 4], widths: [usize; 4]) -> String {
    let mut text = String::from("  ");
    for (cell, w) in cells.iter().zip(widths).filter(|(_, w)| *w > 0) {
        let cell = shorten(cell, w);
        text.push_str(&cell);
        text.push_str(&" ".repeat(w - cell.chars().count() + 2));
    }
    text
}

/// Lays out one row. A window has no columns: it is one sentence.
fn lay(row: &Row, widths: Option<[usize; 4]>, text_lines: usize, width: usize) -> Laid {
    let (lead, text) = match widths {
        Some(widths) => (columns(&cells(row), widths), row.why.clone()),
        None => {
            let since = if row.since.is_empty() { String::new() } else { format!(" for {}", row.since) };
            (format!("  {}  ", clean(&row.what)), format!("{}{since}: {}", row.app, row.why))
        }
    };
    // Where the columns leave the text too little room, it goes below them.
    let below = lead.chars().count() > width / 2;
    let indent = if below { 6 } else { lead.chars().count() };
    let room = width.saturating_sub(indent);
    let mut lines = if text.is_empty() { Vec::new() } else { wrap(&text, room, 0) };
    if lines.len() > text_lines {
        let rest = lines.split_off(text_lines - 1).join(" ");
        lines.push(shorten(&rest, room));
    }
    let mut lines = lines.into_iter();
    let first = if below { String::new() } else { lines.next().unwrap_or_default() };
    let mut head = vec![format!("{lead}{first}").trim_end().to_owned()];
    head.extend(lines.map(|line| format!("{}{line}", " ".repeat(indent))));
    let detail = |d: &String| format!("      {}", shorten(d, if text_lines == usize::MAX { usize::MAX } else { width - 6 }));
    Laid { head, details: row.details.iter().map(detail).collect() }
}

/// Writes as many rows as fit, and counts the rest.
fn rows_of(out: &mut String, rows: &[Laid], share: usize) {
    let needed: usize = rows.iter().map(Laid::len).sum();
    // The line that counts what is left out takes a line itself.
    let mut left = if needed > share { share.saturating_sub(1) } else { share };
    let (mut shown, mut cut) = (0, false);
    for row in rows {
        if row.head.len() > left {
            break;
        }
        left -= row.head.len();
        let details = row.details.len().min(left);
        left -= details;
        cut |= details < row.details.len();
        shown += 1;
        for line in row.head.iter().chain(row.details.iter().take(details)) {
            out.push_str(line);
            out.push('\n');
        }
    }
    if share > 0 && (shown < rows.len() || cut) {
        let more = rows.len() - shown;
        let what = if more > 0 { format!("{} more", count(more as u64)) } else { "more fields".to_owned() };
        out.push_str(&format!("  … and {what} (--all shows them)\n"));
    }
}

/// Breaks a cleaned text at blanks into lines of at most `width` characters, all but the first with an indent. Only a single word that is
/// longer than a line stands out.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let (mut lines, mut current) = (Vec::new(), String::new());
    for word in clean(text).split(' ') {
        let room = current.chars().count() + 1 + word.chars().count();
        if !current.trim_start().is_empty() && room > width {
            lines.push(std::mem::replace(&mut current, " ".repeat(indent)));
        } else if !current.trim_start().is_empty() {
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
        for (width, height) in [(80, 40), (120, 40), (200, 60), (60, 40)] {
            let text = render(&sample::crowded(40), &Options { width, height, all: false, color: false });
            assert!(text.lines().count() <= height, "{} lines of {height}\n{text}", text.lines().count());
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{} > {width}: {line}", line.chars().count());
            }
            for title in ["VOLUMES (1)", "WINDOWS", "LOST (41)", "UNKNOWN (82)", "STALE BACKUP", "SPLIT (82)", "DRIFT", "RESURRECTED"] {
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
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "  three", "  four"]);
        assert_eq!(wrap("one two three four", 9, 0), ["one two", "three", "four"]);
        assert_eq!(wrap("", 9, 2), [""]);
        assert_eq!(wrap("unbreakable", 5, 2), ["unbreakable"]);
    }
}
