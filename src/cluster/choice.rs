//! Which kinds are read, how, and which are not and why. pure

use globset::GlobSet;

use super::discovery::Served;
use crate::{
    config::{self, layers},
    witness::Failure,
};

/// What is done with a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Whole objects are read.
    Full,
    /// Metadata is read: the bodies are a controller's bookkeeping. An object that no controller owns is read whole.
    Metadata,
    /// Not read, for this reason.
    Skip(Failure),
}

/// Kinds whose objects say what a controller is busy with, not what anybody wants to have back.
const BOOKKEEPING: [(&str, &str); 4] =
    [("apps", "replicasets"), ("apps", "controllerrevisions"), ("discovery.k8s.io", "endpointslices"), ("coordination.k8s.io", "leases")];

/// Kinds that nobody declares or restores: group, plural (`*`: all of the group), why.
const SKIPPED: [(&str, &str, &str); 8] = [
    ("", "events", "events are a log that forgets by itself; nobody declares or restores them"),
    ("events.k8s.io", "events", "events are a log that forgets by itself; nobody declares or restores them"),
    ("", "componentstatuses", "component statuses are computed at each question and not stored"),
    ("extensions", "*", "objects of this group are read in the groups that they moved to"),
    ("metrics.k8s.io", "*", "metrics are computed at each question and not stored"),
    ("custom.metrics.k8s.io", "*", "metrics are computed at each question and not stored"),
    ("external.metrics.k8s.io", "*", "metrics are computed at each question and not stored"),
    ("packages.operators.coreos.com", "packagemanifests", "package manifests are computed from catalogs and not stored"),
];

/// Decides by the configuration and the built-in lists.
#[derive(Clone, Debug)]
pub struct Chooser {
    exclude: GlobSet,
    secrets: bool,
}

/// `plural.group`, or the plural alone for the core group: what the configuration's globs are matched with.
fn resource(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl Chooser {
    /// From the configuration, whose check refuses globs that are none; here they exclude nothing.
    pub fn new(settings: &config::Cluster) -> Self {
        Self { exclude: layers::globs(&settings.exclude).unwrap_or_else(|_| GlobSet::empty()), secrets: settings.secrets }
    }

    /// What is done with a kind.
    pub fn choose(&self, kind: &Served) -> Choice {
        let (group, plural) = (&*kind.gvk.gk.group, &*kind.plural);
        let name = resource(plural, group);
        let hit = |(g, p, _): &&(&str, &str, &str)| *g == group && (*p == "*" || *p == plural);
        if self.exclude.is_match(&name) {
            Choice::Skip(Failure::new("excluded", format!("{name} is excluded by the configuration (cluster.exclude)")))
        } else if let Some((_, _, why)) = SKIPPED.iter().find(hit) {
            Choice::Skip(Failure::new("ephemeral", *why))
        } else if !kind.list {
            Choice::Skip(Failure::new("not_listable", format!("the server has no list of {name}: it cannot be read as a whole")))
        } else if kind.gvk.gk.is("", "Secret") && !self.secrets {
            let message = "Secrets are not read; `cluster.secrets: true` and the permission to read them (`snapgap rbac`) switch it on. \
                           Values are reduced to keyed hashes";
            Choice::Skip(Failure::new("secrets_off", message))
        } else if BOOKKEEPING.contains(&(group, plural)) {
            Choice::Metadata
        } else {
            Choice::Full
        }
    }

    /// Whether nothing of a group would be read whatever kinds it has, so that it does not matter that it is broken.
    pub fn indifferent(&self, group: &str) -> bool {
        SKIPPED.iter().any(|(g, p, _)| *g == group && *p == "*") || self.exclude.is_match(resource("any-plural-at-all", group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{object::Gvk, witness::Told};

    fn served(api_version: &str, kind: &str, plural: &str, list: bool) -> Served {
        Served {
            gvk: Gvk::parse(api_version, kind),
            versions: Vec::new(),
            plural: plural.into(),
            namespaced: true,
            get: list,
            list,
            watch: list,
            told: Told::default(),
        }
    }

    #[test]
    fn each_kind_is_read_in_its_own_way_or_skipped_with_a_reason() {
        let settings =
            config::Cluster { exclude: vec!["widgets.*".into(), "podtemplates".into(), "*.noise.example.com".into()], ..Default::default() };
        let chooser = Chooser::new(&settings);
        let word = |chooser: &Chooser, kind: Served| match chooser.choose(&kind) {
            Choice::Full => "full".to_owned(),
            Choice::Metadata => "metadata".to_owned(),
            Choice::Skip(f) => f.reason.to_string(),
        };
        for (api_version, kind, plural, list, expected) in [
            ("apps/v1", "Deployment", "deployments", true, "full"),
            ("v1", "Pod", "pods", true, "full"),
            ("coordination.k8s.io/v1", "Lease", "leases", true, "metadata"),
            ("v1", "Event", "events", true, "ephemeral"),
            ("events.k8s.io/v1", "Event", "events", true, "ephemeral"),
            ("metrics.k8s.io/v1beta1", "PodMetrics", "pods", true, "ephemeral"),
            ("authentication.k8s.io/v1", "TokenReview", "tokenreviews", false, "not_listable"),
            ("v1", "Secret", "secrets", true, "secrets_off"),
            ("a.example.com/v1", "Widget", "widgets", true, "excluded"),
            ("v1", "PodTemplate", "podtemplates", true, "excluded"),
        ] {
            assert_eq!(word(&chooser, served(api_version, kind, plural, list)), expected, "{kind}");
        }
        let with_secrets = Chooser::new(&config::Cluster { secrets: true, ..Default::default() });
        assert_eq!(word(&with_secrets, served("v1", "Secret", "secrets", true)), "full");
        assert!(chooser.indifferent("noise.example.com") && chooser.indifferent("metrics.k8s.io"));
        assert!(!chooser.indifferent("a.example.com") && !chooser.indifferent("apps"));
    }
}
