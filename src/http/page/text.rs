//! How names, moments and spans are written for people. pure

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;

use crate::{
    config::{AppName, Layer},
    object::ObjectId,
    report::model::{Drift, ObjectReport, Recovery, VolumeState, WindowState},
    witness::{BackupState, Commit},
    words::{self, span},
};

/// Text from outside in a form that cannot turn or hide what stands around it: control and direction characters become visible escapes.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let direction = matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || direction {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// [`shown`], cut to so many characters.
pub fn cut(text: &str, longest: usize) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(longest).collect();
    if chars.next().is_some() { format!("{}…", shown(&head)) } else { shown(&head) }
}

/// Seconds from `at` to `now`; negative if `at` lies ahead.
pub fn age(now: Timestamp, at: Timestamp) -> i64 {
    now.as_second().saturating_sub(at.as_second())
}

/// A moment, absolute and relative, as markup; its text is made here, so it is safe as it stands.
pub struct When {
    at: Option<Timestamp>,
    now: Timestamp,
    none: &'static str,
}

impl When {
    /// A moment as seen from `now`; `none` is written where there is no moment.
    pub fn new(now: Timestamp, at: Option<Timestamp>, none: &'static str) -> Self {
        Self { at, now, none }
    }
}

/// `3 h 12 min ago`, `in 45 s`, `just now`.
pub fn relative(now: Timestamp, at: Timestamp) -> String {
    match age(now, at) {
        0..=4 => "just now".into(),
        seconds @ 5.. => format!("{} ago", span(seconds.unsigned_abs())),
        seconds => format!("in {}", span(seconds.unsigned_abs())),
    }
}

/// `2026-11-23 14:12 UTC`.
pub fn absolute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.at else { return write!(f, "<span class=\"muted\">{}</span>", self.none) };
        let iso = at.strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(
            f,
            "<span class=\"when\"><span class=\"rel\">{}</span> <time datetime=\"{iso}\">{}</time></span>",
            relative(self.now, at),
            absolute(at)
        )
    }
}

impl HtmlSafe for When {}

/// A state as a small label: always a word, the colour only underlines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    class: &'static str,
    text: &'static str,
}

impl Chip {
    /// All is well.
    pub fn good(text: &'static str) -> Self {
        Self { class: "good", text }
    }

    /// To be looked at.
    pub fn warn(text: &'static str) -> Self {
        Self { class: "warn", text }
    }

    /// To be acted on.
    pub fn bad(text: &'static str) -> Self {
        Self { class: "bad", text }
    }

    /// Could not be judged. Never looks like [`Chip::good`].
    pub fn unknown(text: &'static str) -> Self {
        Self { class: "unknown", text }
    }

    /// Neither good nor bad.
    pub fn plain(text: &'static str) -> Self {
        Self { class: "plain", text }
    }

    /// The chip's class, for what surrounds it.
    pub fn class(&self) -> &'static str {
        self.class
    }

    /// A drift verdict.
    pub fn drift(drift: Drift) -> Self {
        match drift {
            Drift::InSync => Self::good("in sync"),
            Drift::Changed => Self::warn("changed"),
            Drift::Missing => Self::bad("missing"),
            Drift::Removed => Self::warn("removed from Git"),
            Drift::Added => Self::warn("has additions"),
            Drift::Unmanaged => Self::plain("not in Git"),
            Drift::Derived => Self::plain("derived"),
            Drift::Gone => Self::plain("gone"),
            Drift::Unknown => Self::unknown("drift unknown"),
        }
    }

    /// The drift of an object, with what softens it.
    pub fn drift_of(object: &ObjectReport) -> Self {
        match object.drift {
            d if d.is_drift() && object.operational => Self::plain("by hand for now"),
            d if d.is_drift() && object.terminating => Self::warn("being deleted"),
            d => Self::drift(d),
        }
    }

    /// A recovery verdict.
    pub fn recovery(recovery: Recovery) -> Self {
        match recovery {
            Recovery::Either => Self::good("Git or backup"),
            Recovery::Split => Self::warn("split: Git wins"),
            Recovery::Git => Self::good("Git"),
            Recovery::Backup => Self::good("backup"),
            Recovery::BackupStale => Self::warn("stale backup only"),
            Recovery::Lost => Self::bad("nobody has it"),
            Recovery::Derived => Self::plain("made again"),
            Recovery::Resurrected => Self::warn("would come back"),
            Recovery::Unknown => Self::unknown("recovery unknown"),
        }
    }

    /// The state of a window.
    pub fn window(state: WindowState, over: bool) -> Self {
        match state {
            WindowState::Closed => Self::good("closed"),
            WindowState::Open if over => Self::bad("open, over objective"),
            WindowState::Open => Self::warn("open"),
            WindowState::Unknown => Self::unknown("unknown"),
            WindowState::None => Self::bad("no usable backup"),
        }
    }

    /// Who keeps the bytes of a claim.
    pub fn volume(state: VolumeState) -> Self {
        match state {
            VolumeState::Present => Self::good("kept"),
            VolumeState::Snapshot => Self::warn("snapshot only"),
            VolumeState::Elsewhere => Self::plain("by another tool"),
            VolumeState::Skipped => Self::warn("left out on purpose"),
            VolumeState::Absent => Self::bad("nobody keeps it"),
            VolumeState::Unbound => Self::plain("no bytes yet"),
            VolumeState::Unknown => Self::unknown("unknown"),
        }
    }

    /// The state of a backup.
    pub fn backup(state: BackupState) -> Self {
        match state {
            BackupState::Restorable => Self::good("restorable"),
            BackupState::Degraded => Self::warn("degraded"),
            BackupState::Pending => Self::plain("pending"),
            BackupState::Invalid => Self::bad("invalid"),
            BackupState::Expired => Self::plain("expired"),
            BackupState::Stuck => Self::bad("stuck"),
            BackupState::Foreign => Self::plain("foreign"),
            BackupState::Unavailable => Self::bad("unavailable"),
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"chip {}\">{}</span>", self.class, self.text)
    }
}

impl HtmlSafe for Chip {}

/// An object as it stands in a row, with the way to its evidence.
pub struct ObjectCell {
    /// Kind, with group where it is not the core's.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The evidence page.
    pub href: String,
    /// App; empty if none declares it.
    pub app: String,
    /// Layer.
    pub layer: &'static str,
}

impl ObjectCell {
    /// The cell of an object.
    pub fn new(id: &ObjectId, app: Option<&AppName>, layer: Layer) -> Self {
        Self {
            kind: shown(&id.gk.kind),
            namespace: shown(id.namespace.as_deref().unwrap_or_default()),
            name: shown(&id.name),
            href: object_href(id),
            app: app.map(|app| shown(&app.0)).unwrap_or_default(),
            layer: layer.name(),
        }
    }
}

/// The evidence page of an object. The identity stands in the query, because a hostile name could be `..`, which browsers fold in a path.
pub fn object_href(id: &ObjectId) -> String {
    format!("/objects/view?{}", object_query(id))
}

/// The identity of an object as query parameters.
pub fn object_query(id: &ObjectId) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("group", &id.gk.group).append_pair("kind", &id.gk.kind);
    if let Some(namespace) = &id.namespace {
        query.append_pair("namespace", namespace);
    }
    query.append_pair("name", &id.name).finish()
}

/// A commit as it stands in a row.
pub struct CommitCell {
    /// The first digits of its id.
    pub short: String,
    /// First line of the message.
    pub subject: String,
    /// Author.
    pub author: String,
    /// Committer date.
    pub when: When,
}

impl CommitCell {
    /// The cell of a commit.
    pub fn new(commit: &Commit, now: Timestamp) -> Self {
        Self {
            short: short(&commit.sha),
            subject: cut(&commit.subject, 120),
            author: cut(&commit.author, 60),
            when: When::new(now, Some(commit.time), ""),
        }
    }
}

/// The first digits of a commit id.
pub fn short(sha: &str) -> String {
    shown(words::short(sha))
}

/// What marks the row of a backup or schedule, as an identifier and as the end of an address: nothing in it needs to be escaped in either.
pub fn anchor(what: &str, name: &str) -> String {
    format!("{what}-{}", url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>())
}

/// The row of a backup on the first page, among all of them: a list that is cut may not hold it.
pub fn backup_href(name: &str) -> String {
    format!("/?show=backups#{}", anchor("backup", name))
}

/// What the API tells of a backup or schedule.
pub fn api_href(what: &str, name: &str) -> String {
    format!("/api/v1/backups?{}", url::form_urlencoded::Serializer::new(String::new()).append_pair(what, name).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_absolute_and_relative() {
        let now: Timestamp = "2026-11-23T14:12:00Z".parse().unwrap();
        let when = |at: &str| When::new(now, Some(at.parse().unwrap()), "never").to_string();
        assert_eq!(
            when("2026-11-23T11:00:00Z"),
            "<span class=\"when\"><span class=\"rel\">3 h 12 min ago</span> <time datetime=\"2026-11-23T11:00:00Z\">2026-11-23 11:00 UTC</time></span>"
        );
        assert!(when("2026-11-23T15:12:00Z").contains("in 1 h<"));
        assert!(when("2026-11-23T14:12:00Z").contains("just now"));
        assert!(When::new(now, None, "never").to_string().contains("never"));
    }

    #[test]
    fn hostile_text_cannot_turn_or_hide_what_stands_around_it() {
        assert_eq!(shown("a\u{202e}b\nc\u{0}d\u{200b}"), "a\\u{202e}b\\nc\\u{0}d\\u{200b}");
        assert_eq!(shown("größe 名前"), "größe 名前");
        assert_eq!(cut("abcdef", 3), "abc…");
        let id = ObjectId::new("", "ConfigMap", Some("a&b"), "../<x>");
        assert_eq!(object_href(&id), "/objects/view?group=&kind=ConfigMap&namespace=a%26b&name=..%2F%3Cx%3E");
    }
}
