//! Tools besides Velero that are set up to keep the bytes of a claim: recognised and named, not judged. pure
//!
//! CloudNativePG (label `cnpg.io/cluster`, ScheduledBackup), VolSync (ReplicationSource), K8up (Schedule of the namespace), Longhorn (recurring
//! jobs by labels of the claim), snapscheduler (SnapshotSchedule) and VolumeSnapshots that anybody made.

use serde_json::Value;

use crate::{
    object::{GroupKind, Object, ObjectId},
    report::model::Holder,
    witness::{KindState, Listing, Live},
};

/// The kinds that speak of other tools: group and kind.
const KINDS: [(&str, &str); 6] = [
    ("postgresql.cnpg.io", "ScheduledBackup"),
    ("volsync.backube", "ReplicationSource"),
    ("k8up.io", "Schedule"),
    ("longhorn.io", "RecurringJob"),
    ("snapscheduler.backube", "SnapshotSchedule"),
    ("snapshot.storage.k8s.io", "VolumeSnapshot"),
];

/// A claim as the other tools are asked about it.
pub(super) struct Claim<'c> {
    pub namespace: &'c str,
    pub name: &'c str,
    pub content: &'c Value,
    /// The CSI driver of its volume, if that is known.
    pub driver: Option<&'c str>,
}

/// The objects of other tools.
pub(super) struct Elsewhere {
    tools: Vec<(ObjectId, Value)>,
    /// Kinds that are served and could not be read.
    unread: Vec<String>,
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

impl Elsewhere {
    pub(super) fn of(live: &Live) -> Self {
        let ours = |id: &ObjectId| KINDS.iter().any(|(group, kind)| id.gk.is(group, kind));
        let value = |(id, o): (&ObjectId, &std::sync::Arc<Object>)| (id.clone(), o.content.value());
        let mut tools: Vec<_> = live.objects.iter().filter(|(id, _)| ours(id)).map(value).collect();
        tools.sort_by(|a, b| a.0.cmp(&b.0));
        let served = |(gk, _): &(&GroupKind, &KindState)| KINDS.iter().any(|(group, kind)| gk.is(group, kind));
        let dark = |(_, kind): &(&GroupKind, &KindState)| !matches!(kind.listing, Listing::Complete);
        let unread = live.kinds.iter().filter(served).filter(dark).map(|(gk, kind)| format!("{}.{}", kind.plural, gk.group)).collect();
        Self { tools, unread }
    }

    /// Kinds of other tools that could not be read, so that what they keep is not known.
    pub(super) fn unread(&self) -> String {
        self.unread.join(", ")
    }

    fn in_namespace<'s>(&'s self, group: &'s str, kind: &'s str, namespace: &'s str) -> impl Iterator<Item = (&'s ObjectId, &'s Value)> {
        self.tools.iter().filter(move |(id, _)| id.gk.is(group, kind) && id.namespace.as_deref() == Some(namespace)).map(|(id, v)| (id, v))
    }

    /// Who is set up for a claim.
    pub(super) fn holders(&self, claim: &Claim<'_>) -> Vec<Holder> {
        let mut out = Vec::new();
        let mut add = |tool: &str, detail: String| out.push(Holder { tool: tool.into(), detail });
        let label = |key: &str| claim.content.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str);
        if let Some(cluster) = label("cnpg.io/cluster") {
            for (id, v) in self.in_namespace("postgresql.cnpg.io", "ScheduledBackup", claim.namespace) {
                let suspended = v.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
                if text(v, "/spec/cluster/name") == Some(cluster) && !suspended {
                    let cron = text(v, "/spec/schedule").unwrap_or("no schedule");
                    add("cloudnative_pg", format!("ScheduledBackup {} of CloudNativePG cluster {cluster} ({cron})", id.name));
                }
            }
        }
        for (id, v) in self.in_namespace("volsync.backube", "ReplicationSource", claim.namespace) {
            if text(v, "/spec/sourcePVC") == Some(claim.name) && v.pointer("/spec/paused").and_then(Value::as_bool) != Some(true) {
                let mover = ["restic", "rsyncTLS", "rclone", "rsync", "syncthing"]
                    .into_iter()
                    .find(|m| v.pointer("/spec").is_some_and(|s| s.get(m).is_some()));
                add("volsync", format!("ReplicationSource {} of VolSync{}", id.name, mover.map(|m| format!(" ({m})")).unwrap_or_default()));
            }
        }
        if annotation(claim.content, "k8up.io/backup") != Some("false") {
            for (id, v) in self.in_namespace("k8up.io", "Schedule", claim.namespace) {
                if let Some(backup) = v.pointer("/spec/backup").filter(|b| b.is_object()) {
                    add("k8up", format!("Schedule {} of K8up ({})", id.name, text(backup, "/schedule").unwrap_or("no schedule")));
                }
            }
        }
        if claim.driver == Some("driver.longhorn.io") {
            self.longhorn(claim, &mut add);
        }
        for (id, v) in self.in_namespace("snapscheduler.backube", "SnapshotSchedule", claim.namespace) {
            let disabled = v.pointer("/spec/disabled").and_then(Value::as_bool) == Some(true);
            if !disabled && selects(v.pointer("/spec/claimSelector"), claim.content) {
                add("snapscheduler", format!("SnapshotSchedule {} ({})", id.name, text(v, "/spec/schedule").unwrap_or("no schedule")));
            }
        }
        let made = |v: &Value| text(v, "/spec/source/persistentVolumeClaimName") == Some(claim.name);
        let snapshots = self.in_namespace("snapshot.storage.k8s.io", "VolumeSnapshot", claim.namespace).filter(|(_, v)| made(v)).count();
        if snapshots > 0 {
            add("volume_snapshot", format!("{snapshots} VolumeSnapshot{} in the storage system", if snapshots == 1 { "" } else { "s" }));
        }
        out
    }

    /// Recurring jobs apply by label to a claim or, with no such label, by the group `default` (Longhorn, recurring-job docs).
    fn longhorn(&self, claim: &Claim<'_>, add: &mut impl FnMut(&str, String)) {
        let labels = claim.content.pointer("/metadata/labels").and_then(Value::as_object);
        let enabled = |prefix: &str| -> Vec<&str> {
            let of = |(key, value): (&'_ String, &'_ Value)| value.as_str() == Some("enabled") && key.starts_with(prefix);
            labels.into_iter().flatten().filter(|(k, v)| of((k, v))).map(|(k, _)| &k[prefix.len()..]).collect()
        };
        let (jobs, mut groups) = (enabled("recurring-job.longhorn.io/"), enabled("recurring-job-group.longhorn.io/"));
        if jobs.is_empty() && groups.is_empty() {
            groups.push("default");
        }
        for (id, v) in self.tools.iter().filter(|(id, _)| id.gk.is("longhorn.io", "RecurringJob")) {
            let in_group = v.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
            let applies = jobs.contains(&&*id.name) || in_group.filter_map(Value::as_str).any(|g| groups.contains(&g));
            let task = text(v, "/spec/task").unwrap_or_default();
            if applies && (task.starts_with("backup") || task.starts_with("snapshot")) && !task.ends_with("cleanup") && !task.ends_with("delete") {
                add("longhorn", format!("RecurringJob {} of Longhorn ({task}, {})", id.name, text(v, "/spec/cron").unwrap_or("no schedule")));
            }
        }
    }
}

fn annotation<'v>(content: &'v Value, key: &str) -> Option<&'v str> {
    content.pointer("/metadata/annotations").and_then(|a| a.get(key)).and_then(Value::as_str)
}

/// Whether a label selector takes an object; none, and an empty one, take everything (apimachinery `LabelSelectorAsSelector`, as snapscheduler
/// uses it).
fn selects(selector: Option<&Value>, content: &Value) -> bool {
    let Some(selector) = selector else { return true };
    let label = |key: &str| content.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str);
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    labels.into_iter().flatten().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().flatten().all(|e| {
            let held = e.get("key").and_then(Value::as_str).and_then(label);
            let listed = || e.get("values").and_then(Value::as_array).is_some_and(|all| all.iter().any(|v| v.as_str() == held));
            match e.get("operator").and_then(Value::as_str) {
                Some("Exists") => held.is_some(),
                Some("DoesNotExist") => held.is_none(),
                Some("In") => held.is_some() && listed(),
                Some("NotIn") => held.is_none() || !listed(),
                _ => false,
            }
        })
}
