//! The page for people: view models over the report, and the templates that show them. pure
//!
//! No script, one inline stylesheet whose hash stands in the content security policy. Every text that comes from a repository, a cluster or
//! a backup goes through [`text::shown`] and the templates' own escaping.

pub mod headline;
pub mod home;
pub mod object;
pub mod text;

use askama::Template;

/// The one stylesheet.
pub const STYLE: &str = include_str!("../../templates/style.css");

/// The icon, as SVG.
pub const ICON: &str = include_str!("../../templates/icon.svg");

/// A page that says one thing: an error, or that there is no report yet.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// Heading.
    pub title: &'a str,
    /// What is the matter and what to do.
    pub text: &'a str,
    /// Stages and how they are doing, where that is of use.
    pub stages: Vec<StageRow>,
}

impl Message<'_> {
    fn style(&self) -> &'static str {
        STYLE
    }
}

/// How one stage is doing, for people.
pub struct StageRow {
    /// The stage.
    pub name: String,
    /// Chip with its state.
    pub chip: text::Chip,
    /// Why it fails.
    pub error: String,
}

impl StageRow {
    /// Rows of a board.
    pub fn of(stages: &[crate::daemon::board::Status]) -> Vec<Self> {
        let row = |status: &crate::daemon::board::Status| Self {
            name: status.subject.as_ref().map_or_else(|| status.stage.to_owned(), |subject| format!("{} {}", status.stage, text::shown(subject))),
            chip: match (&status.error, status.last_success, status.running) {
                (Some(_), ..) => text::Chip::bad("failing"),
                (None, Some(_), _) => text::Chip::good("done"),
                (None, None, true) => text::Chip::plain("at work"),
                (None, None, false) => text::Chip::plain("waiting"),
            },
            error: status.error.as_ref().map(|failure| text::shown(&failure.message)).unwrap_or_default(),
        };
        stages.iter().map(row).collect()
    }
}
