//! What kind of writer a field manager is: a table of names, and the configuration's own classes before it. pure

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of writer a field manager is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Writer {
    /// Applies what Git declares.
    Deployer,
    /// A person with a tool in hand.
    Person,
    /// A program that writes by itself.
    Controller,
    /// It cannot be said: a name that no table has, folded entries, no name.
    Unknown,
}

impl Writer {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Deployer, Self::Person, Self::Controller, Self::Unknown];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployer => "deployer",
            Self::Person => "person",
            Self::Controller => "controller",
            Self::Unknown => "unknown",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    class: Writer,
    /// Only for server-side apply.
    apply: bool,
    name: String,
}

impl Line {
    fn read(class: Writer, text: &str) -> Self {
        let (apply, name) = text.strip_prefix("Apply:").map_or((false, text), |rest| (true, rest));
        Self { class, apply, name: name.to_owned() }
    }

    fn matches(&self, manager: &str, applied: bool) -> bool {
        if self.apply && !applied {
            return false;
        }
        match (self.name.strip_prefix('*'), self.name.strip_suffix('*')) {
            (Some(end), None) => manager.ends_with(end),
            (None, Some(start)) => manager.starts_with(start),
            (Some(_), Some(_)) => manager.contains(self.name.trim_matches('*')),
            (None, None) => manager == self.name,
        }
    }

    /// Exact names before others, restricted ones before general ones, the longer before the shorter.
    fn rank(&self) -> (bool, bool, usize) {
        (!self.name.contains('*'), self.apply, self.name.len())
    }
}

/// Classes of field managers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managers {
    own: Vec<Line>,
}

static TABLE: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let mut lines: Vec<Line> = rows().filter_map(|(class, name, _)| Some(Line::read(class_named(class)?, name))).collect();
    lines.sort_by_key(|l| std::cmp::Reverse(l.rank()));
    lines
});

fn class_named(name: &str) -> Option<Writer> {
    Writer::ALL.into_iter().find(|w| w.name() == name)
}

/// The lines of the table as written: class, name, source.
pub fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let parts = |l: &'static str| {
        let mut parts = l.split('\t');
        Some((parts.next()?, parts.next()?, parts.next()?))
    };
    include_str!("managers.txt").lines().filter(|l| !l.starts_with('#') && !l.is_empty()).filter_map(parts)
}

impl Managers {
    /// The table with names of one's own, which win over it.
    pub fn with(own: impl IntoIterator<Item = (Writer, String)>) -> Self {
        let mut own: Vec<Line> = own.into_iter().map(|(class, name)| Line::read(class, &name)).collect();
        own.sort_by_key(|l| std::cmp::Reverse(l.rank()));
        Self { own }
    }

    /// What kind of writer this manager is; `applied` says that it wrote by server-side apply.
    pub fn class(&self, manager: &str, applied: bool) -> Writer {
        self.own.iter().chain(TABLE.iter()).find(|l| l.matches(manager, applied)).map_or(Writer::Unknown, |l| l.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read_and_names_its_source() {
        let lines = include_str!("managers.txt").lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        assert_eq!(TABLE.len(), lines.count());
        for (class, name, source) in rows() {
            assert!(class_named(class).is_some() && !name.is_empty() && source.len() > 2, "{class} {name}");
        }
    }

    #[test]
    fn managers_are_told_apart_and_the_configuration_wins() {
        use Writer::{Controller, Deployer, Person, Unknown};
        let managers = Managers::with([(Deployer, "my-pipeline".to_owned()), (Person, "team-*".into()), (Controller, "kubectl-edit".into())]);
        for (manager, applied, class) in [
            ("argocd-controller", true, Deployer),
            ("kustomize-controller", true, Deployer),
            ("helm", false, Deployer),
            ("kubectl-client-side-apply", false, Deployer),
            ("kubectl", true, Deployer),
            ("kubectl", false, Person),
            ("my-pipeline", false, Deployer),
            ("team-controller", false, Person),
            ("kubectl-edit", false, Controller),
            ("kubectl-rollout", false, Person),
            ("k9s", false, Person),
            ("kube-controller-manager", false, Controller),
            ("cainjector", false, Controller),
            ("octavia-ingress-controller", false, Controller),
            ("something-operator", false, Controller),
            ("bob", false, Unknown),
            ("before-first-apply", false, Unknown),
            ("ancient-changes", false, Unknown),
            ("", false, Unknown),
        ] {
            assert_eq!(managers.class(manager, applied), class, "{manager}");
        }
    }
}
