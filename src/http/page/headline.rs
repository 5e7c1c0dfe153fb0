//! The first sentence of the page: how the cluster's window stands, in words. pure

use jiff::Timestamp;

use super::text::{Chip, absolute, age, relative};
use crate::{
    report::{
        Report,
        model::{Basis, Start, WindowRollup, WindowScope, WindowState},
    },
    words::{count, span},
};

/// What stands on top of the page.
pub struct Headline {
    /// The state.
    pub chip: Chip,
    /// One sentence.
    pub sentence: String,
    /// What else is known of the window, a sentence each.
    pub details: Vec<String>,
}

impl Headline {
    /// The headline of a report as read at `now`.
    pub fn new(report: &Report, now: Timestamp) -> Self {
        let Some(cluster) = report.windows.iter().find(|w| w.of == WindowScope::Cluster) else {
            return Self {
                chip: Chip::unknown("unknown"),
                sentence: "Nothing can be said yet: the report holds no windows.".into(),
                details: vec![],
            };
        };
        if report.apps.is_empty() && cluster.state == WindowState::Unknown {
            let sentence = "Cannot be said: no app is configured, so nothing tells what Git declares.".into();
            return Self { chip: Chip::unknown("unknown"), sentence, details: vec![] };
        }
        let apps = report.windows.iter().filter(|w| matches!(w.of, WindowScope::App(_)) && w.state == WindowState::Open).count() as u64;
        Self { chip: Chip::window(cluster.state, cluster.over_objective), sentence: sentence(cluster, apps, now), details: details(cluster, now) }
    }
}

/// How long a window has been open: its latest possible start, so that nothing is overstated.
pub fn open_for(start: Option<Start>, now: Timestamp) -> Option<String> {
    start.map(|start| span(age(now, start.not_after).max(0).unsigned_abs()))
}

fn sentence(cluster: &WindowRollup, apps: u64, now: Timestamp) -> String {
    let unknown = |lead: &str| match cluster.unknown {
        0 => String::new(),
        n => format!("{lead}{} could not be judged", count(n, "object", "objects")),
    };
    match cluster.state {
        WindowState::Open => {
            let verb = if cluster.objects == 1 { "is" } else { "are" };
            let of = if apps > 0 { format!(" of {}", count(apps, "app", "apps")) } else { String::new() };
            let objects = count(cluster.objects, "object", "objects");
            let lead = open_for(cluster.start, now).map_or_else(|| "Open since before known history".to_owned(), |span| format!("Open for {span}"));
            format!("{lead}: {objects}{of} {verb} newer in Git than in any usable backup.")
        }
        WindowState::Closed => "Closed: whatever Git declares, a usable backup holds, or Git alone by design.".into(),
        WindowState::Unknown => match unknown("") {
            why if why.is_empty() => "Cannot be said: something that decides could not be read.".into(),
            why => format!("Cannot be said: {why}."),
        },
        WindowState::None => "There is no usable backup: what Git does not hold would be lost.".into(),
    }
}

fn details(cluster: &WindowRollup, now: Timestamp) -> Vec<String> {
    let mut details = Vec::new();
    if cluster.state == WindowState::Open {
        if let Some(start) = cluster.start {
            let basis = match start.basis {
                Basis::Observed => "seen arriving between two polls",
                Basis::Merge => "by the date of its merge",
                Basis::Commit => "by the commit's own date, so it may have been pushed later",
            };
            details.push(format!("The oldest change landed at {}, {basis}.", absolute(start.not_after)));
        }
        let open = cluster.start.map_or(0, |start| age(now, start.not_after).max(0).unsigned_abs());
        let objective = span(cluster.objective_seconds);
        details.push(match open.checked_sub(cluster.objective_seconds) {
            Some(over) if over > 0 => format!("The objective is {objective}: over it by {}.", span(over)),
            _ => format!("The objective is {objective}."),
        });
        details.push(match cluster.closes_at {
            Some(at) if at > now => format!("It should close {}, when the next backup is due ({}).", relative(now, at), absolute(at)),
            Some(at) => format!("It should have closed {}, when a backup was due ({}).", relative(now, at), absolute(at)),
            None => "No scheduled backup is due that would close it.".into(),
        });
    }
    if cluster.unknown > 0 && cluster.state != WindowState::Unknown {
        details.push(format!("{} could not be judged.", count(cluster.unknown, "further object", "further objects")));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::sample;

    #[test]
    fn each_state_has_its_sentence() {
        let mut report = sample::report();
        let now = sample::now();
        let say = |report: &Report| Headline::new(report, now).sentence;
        assert_eq!(say(&report), "Open for 23 h 40 min: 4 objects of 2 apps are newer in Git than in any usable backup.");
        let details = Headline::new(&report, now).details.join(" ");
        assert!(
            details.contains("over it by 15 h 40 min") && details.contains("in 11 h 48 min") && details.contains("4 further objects"),
            "{details}"
        );
        let blind = Report { apps: vec![], ..report.clone() };
        assert_eq!(say(&blind), say(&report), "what is known to be open stays so");
        let mut blind = blind;
        blind.windows[0].state = WindowState::Unknown;
        assert_eq!(say(&blind), "Cannot be said: no app is configured, so nothing tells what Git declares.");
        report.windows[0].start = None;
        report.windows[0].objects = 1;
        assert_eq!(say(&report), "Open since before known history: 1 object of 2 apps is newer in Git than in any usable backup.");
        report.windows[0].state = WindowState::Unknown;
        assert_eq!(say(&report), "Cannot be said: 4 objects could not be judged.");
        report.windows[0].state = WindowState::None;
        assert!(say(&report).starts_with("There is no usable backup"));
        report.windows[0].state = WindowState::Closed;
        assert!(say(&report).starts_with("Closed"));
        assert_eq!(Headline::new(&report, now).chip, Chip::good("closed"));
        report.windows.clear();
        assert_eq!(Headline::new(&report, now).chip, Chip::unknown("unknown"));
    }
}
