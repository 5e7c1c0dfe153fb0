//! The roles that snapgap needs on this very cluster, by tier. pure

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    object::GroupKind,
    witness::{KindState, Listing},
};

/// Which roles to print. Each tier is a role of its own, so that taking it away takes nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tiers {
    /// Read Secrets (as keyed hashes).
    pub secrets: bool,
    /// Create DownloadRequests in Velero's namespace: reads the content of backups through Velero. Equal to reading every Secret in them.
    pub download_requests: bool,
    /// Confirm suspects by server-side dry-run.
    pub dry_run: bool,
}

impl Tiers {
    /// All of them.
    pub const ALL: Self = Self { secrets: true, download_requests: true, dry_run: true };
}

/// API group to plural resource names.
type Rules = BTreeMap<String, BTreeSet<String>>;

/// Whether a kind is read, or would be if it were allowed.
fn wanted(kind: &KindState) -> bool {
    !matches!(&kind.listing, Listing::Skipped(_))
}

fn rules<'a>(kinds: impl Iterator<Item = (&'a GroupKind, &'a KindState)>) -> Rules {
    let mut rules = Rules::new();
    for (gk, kind) in kinds {
        rules.entry(gk.group.to_string()).or_default().insert(kind.plural.to_string());
    }
    rules
}

/// A YAML scalar: JSON text is YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn role(out: &mut String, comment: &str, kind: &str, name: &str, namespace: Option<&str>, rules: &[(Rules, &[&str])]) {
    let write = |out: &mut String| -> std::fmt::Result {
        if !out.is_empty() {
            writeln!(out, "---")?;
        }
        for line in comment.lines() {
            writeln!(out, "# {line}")?;
        }
        writeln!(out, "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}")?;
        if let Some(namespace) = namespace {
            writeln!(out, "  namespace: {}", quoted(namespace))?;
        }
        writeln!(out, "rules:{}", if rules.iter().all(|(r, _)| r.is_empty()) { " []" } else { "" })?;
        for (rules, verbs) in rules {
            for (group, resources) in rules {
                writeln!(out, "- apiGroups: [{}]\n  resources:", quoted(group))?;
                for resource in resources {
                    writeln!(out, "  - {}", quoted(resource))?;
                }
                writeln!(out, "  verbs: [{}]", verbs.join(", "))?;
            }
        }
        Ok(())
    };
    // Writing to a String cannot fail.
    let _ = write(out);
}

/// Prints the roles for the kinds that a cluster serves (`Live::kinds`), as YAML documents.
pub fn roles(kinds: &BTreeMap<GroupKind, KindState>, velero_namespace: &str, tiers: Tiers) -> String {
    let mut out = String::new();
    let readable = rules(kinds.iter().filter(|(gk, k)| wanted(k) && !gk.is("", "Secret")));
    let about = "What snapgap reads by default: every kind that this cluster serves and that can be listed, but Secrets.\nBind it to snapgap's service account with a ClusterRoleBinding.";
    role(&mut out, about, "ClusterRole", "snapgap", None, &[(readable.clone(), &["get", "list", "watch"])]);
    if tiers.secrets {
        let secrets = Rules::from([(String::new(), BTreeSet::from(["secrets".to_owned()]))]);
        let about = "Opt-in (`cluster.secrets: true`): Secrets are compared by keyed hash. Without it drift and loss of Secrets stay unknown.";
        role(&mut out, about, "ClusterRole", "snapgap-secrets", None, &[(secrets, &["get", "list", "watch"])]);
    }
    if tiers.download_requests {
        let requests = Rules::from([("velero.io".to_owned(), BTreeSet::from(["downloadrequests".to_owned()]))]);
        let about =
            "Opt-in: the content of backups is read through Velero. Whoever may create a DownloadRequest may read every Secret in every backup.";
        let verbs = ["create", "get", "delete"];
        role(&mut out, about, "Role", "snapgap-download-requests", Some(velero_namespace), &[(requests, &verbs)]);
    }
    if tiers.dry_run {
        let about =
            "Opt-in: suspects are confirmed by server-side dry-run. The API server asks for the permission to patch although nothing is written.";
        role(&mut out, about, "ClusterRole", "snapgap-dry-run", None, &[(readable, &["patch"])]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::Failure;

    fn kinds() -> BTreeMap<GroupKind, KindState> {
        let kind = |plural: &str, listing| KindState {
            plural: plural.into(),
            version: "v1".into(),
            versions: vec![],
            namespaced: true,
            listing,
            told: None,
        };
        let failure = |reason| Failure::new(reason, "");
        [
            (GroupKind::new("", "ConfigMap"), kind("configmaps", Listing::Complete)),
            (GroupKind::new("", "Secret"), kind("secrets", Listing::Complete)),
            (GroupKind::new("", "Event"), kind("events", Listing::Skipped(failure("ephemeral")))),
            (GroupKind::new("apps", "Deployment"), kind("deployments", Listing::Failed(failure("forbidden")))),
            (GroupKind::new("apps", "StatefulSet"), kind("statefulsets", Listing::Complete)),
        ]
        .into()
    }

    #[test]
    fn the_roles_name_what_this_cluster_serves_and_nothing_else() {
        insta::assert_snapshot!(roles(&kinds(), "velero", Tiers::ALL));
    }

    #[test]
    fn without_a_tier_its_words_are_not_there() {
        let text = roles(&kinds(), "velero", Tiers::default());
        assert!(!text.contains("secrets\"") && !text.contains("downloadrequests") && !text.contains("patch"), "{text}");
        assert_eq!(text.matches("kind: ").count(), 1);
    }
}
