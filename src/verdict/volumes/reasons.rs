//! Why the bytes of a claim are in no backup, in one word and with what to do. pure
//!
//! Velero's own words for a volume that it left out are `approach: reason;...` (pkg/backup/pv_skip_tracker.go, item_backupper.go,
//! pkg/podvolume/backupper.go). Where it says nothing, the pod templates that mount the claim tell whether it was opted in.

use serde_json::Value;

use crate::{
    object::{ObjectId, Text},
    velero::Coverage,
    witness::{Backup, Live, MissingObject, VolumeCopy, VolumeOutcome},
};

/// Annotation by which a pod opts volumes in (pkg/apis/velero/v1/labels_annotations.go).
const OPT_IN: &str = "backup.velero.io/backup-volumes";

/// Annotation by which a pod opts volumes out.
const OPT_OUT: &str = "backup.velero.io/backup-volumes-excludes";

/// Whether a claim is the one that a backup could see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It was there when the backup began, as far as is known.
    Same,
    /// It was made after that.
    Newer,
    /// What the backup has is of an earlier claim of the same name.
    Anew,
}

/// Why not.
pub(super) struct Reason {
    /// Stable word.
    pub word: Text,
    /// Whether somebody decided that.
    pub skipped: bool,
    /// The rest of the sentence.
    pub why: String,
}

impl Reason {
    pub(super) fn word(word: &str) -> Text {
        word.into()
    }

    fn absent(word: &str, why: impl Into<String>) -> Self {
        Self { word: word.into(), skipped: false, why: why.into() }
    }

    fn skipped(word: &str, why: impl Into<String>) -> Self {
        Self { word: word.into(), skipped: true, why: why.into() }
    }
}

/// One use of a claim by the pods of a workload.
pub(super) struct Mount {
    namespace: Text,
    /// What the names of its pods begin with; the whole name for a pod by itself.
    pods: String,
    exact: bool,
    /// Name of the volume in the pod.
    volume: Text,
    claim: Text,
    opted_in: bool,
    opted_out: bool,
}

/// Who mounts which claims, from the templates of workloads and from pods that nothing controls.
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    pub(super) fn of(live: &Live) -> Self {
        let mut all = Vec::new();
        for (id, object) in live.objects.iter() {
            let pod = id.gk.is("", "Pod");
            let template = match &*id.gk.kind {
                _ if pod && !object.meta.partial => "",
                "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "ReplicationController" if !object.meta.partial => {
                    "/spec/template"
                }
                "CronJob" => "/spec/jobTemplate/spec/template",
                _ => continue,
            };
            let (Some(namespace), value) = (&id.namespace, object.content.value()) else { continue };
            let listed = |annotation: &str| -> Vec<String> {
                let text = value.pointer(&format!("{template}/metadata/annotations")).and_then(|a| a.get(annotation)).and_then(Value::as_str);
                text.unwrap_or_default().split(',').map(|v| v.trim().to_owned()).collect()
            };
            let (opt_in, opt_out) = (listed(OPT_IN), listed(OPT_OUT));
            let mut add = |volume: &str, claim: String, pods: String, exact| {
                let (opted_in, opted_out) = (opt_in.iter().any(|v| v == volume), opt_out.iter().any(|v| v == volume));
                all.push(Mount { namespace: namespace.clone(), pods, exact, volume: volume.into(), claim: claim.into(), opted_in, opted_out });
            };
            for volume in value.pointer(&format!("{template}/spec/volumes")).and_then(Value::as_array).into_iter().flatten() {
                let name = volume.get("name").and_then(Value::as_str);
                if let (Some(name), Some(claim)) = (name, volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str)) {
                    let pods = if pod { id.name.to_string() } else { format!("{}-", id.name) };
                    add(name, claim.to_owned(), pods, pod);
                }
            }
            for claim in value.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten() {
                if let Some(name) = claim.pointer("/metadata/name").and_then(Value::as_str) {
                    // Claims are <template>-<set>-<ordinal>, pods <set>-<ordinal>.
                    add(name, format!("{name}-{}-", id.name), format!("{}-", id.name), false);
                }
            }
        }
        all.sort_by(|a, b| (&a.namespace, &a.claim, &a.pods, &a.volume).cmp(&(&b.namespace, &b.claim, &b.pods, &b.volume)));
        Self(all)
    }

    fn of_claim<'s>(&'s self, namespace: &'s str, claim: &'s str) -> impl Iterator<Item = &'s Mount> {
        let same = move |m: &Mount| match claim.strip_prefix(&*m.claim) {
            Some("") => true,
            Some(ordinal) => m.claim.ends_with('-') && ordinal.bytes().all(|b| b.is_ascii_digit()),
            None => false,
        };
        self.0.iter().filter(move |m| &*m.namespace == namespace && same(m))
    }

    /// Whether a volume of a pod is this claim.
    pub(super) fn mounts(&self, namespace: &str, pod: &str, volume: &str, claim: &str) -> bool {
        self.of_claim(namespace, claim).any(|m| &*m.volume == volume && m.is_pod(pod))
    }
}

impl Mount {
    fn is_pod(&self, pod: &str) -> bool {
        if self.exact { self.pods == pod } else { pod.starts_with(&self.pods) }
    }
}

/// Why a usable backup has not the bytes of a claim.
pub(super) fn why_not(backup: &Backup, best: Option<&VolumeCopy>, coverage: &Coverage, age: Age, mounts: &Mounts, id: &ObjectId) -> Reason {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let mine: Vec<&Mount> = mounts.of_claim(namespace, &id.name).collect();
    let failed_pod = || pod_failed(backup, namespace, &mine);
    if let Some(copy) = best {
        let message = copy.message.as_deref().unwrap_or("Velero does not say why");
        return match copy.outcome {
            VolumeOutcome::Skipped => {
                let says = velero_says(message, backup, &mine);
                // Of a pod that failed before its volumes were looked at, Velero tells only why nothing else took them.
                let looked_at = says.skipped || message.contains("podvolume:");
                failed_pod().filter(|_| !looked_at).unwrap_or(says)
            }
            VolumeOutcome::Running => Reason::absent("not_done", "copying it is not done yet"),
            VolumeOutcome::Failed | VolumeOutcome::Succeeded => Reason::absent("failed", format!("copying it failed: {message}")),
        };
    }
    if let Coverage::Out(why) = coverage {
        return Reason::absent("excluded", format!("it is out of scope ({}): take it into a schedule", why.message));
    }
    match age {
        Age::Same => {}
        Age::Newer => return Reason::absent("too_new", "it is not, because it was made after that began: take a backup"),
        Age::Anew => {
            return Reason::absent("too_new", "there are the bytes of an earlier claim of its name, and it was made anew since: take a backup");
        }
    }
    if let Some(reason) = failed_pod() {
        return reason;
    }
    if mine.is_empty() {
        return Reason::absent("not_mounted", "no workload mounts it, so file-system backup cannot copy it: snapshot it, or mount it");
    }
    opted(backup, &mine).unwrap_or_else(|| Reason::absent("no_evidence", "nothing is said of it"))
}

/// A pod whose hook failed is left out with its volumes (pkg/backup/backup.go `backupItemBlock`).
fn pod_failed(backup: &Backup, namespace: &str, mine: &[&Mount]) -> Option<Reason> {
    let of_pod = |name: &str| mine.iter().any(|m| m.is_pod(name));
    // An error may name neither kind nor namespace.
    let is_pod = |m: &&MissingObject| m.resource.as_deref().is_none_or(|r| r == "pods") && m.namespace.as_deref().is_none_or(|n| n == namespace);
    let missed = backup.missing.iter().filter(is_pod).find(|m| of_pod(&m.name))?;
    let word = if missed.message.contains("hook") { "hook_failed" } else { "pod_failed" };
    Some(Reason::absent(word, format!("its pod {} failed: {}", missed.name, missed.message)))
}

fn opted(backup: &Backup, mine: &[&Mount]) -> Option<Reason> {
    let volume = mine.first().map(|m| &*m.volume).unwrap_or_default();
    match backup.volumes.fs_default {
        true if mine.iter().any(|m| m.opted_out) => {
            Some(Reason::skipped("opted_out", format!("it is opted out by the annotation {OPT_OUT} of its pod")))
        }
        false if !mine.iter().any(|m| m.opted_in) => Some(Reason::absent(
            "not_opted_in",
            format!("nothing is set up to copy it: annotate its pod with {OPT_IN}={volume}, set defaultVolumesToFsBackup, or snapshot it"),
        )),
        _ => None,
    }
}

/// Sorts Velero's own words. They name every approach that was considered; the first that somebody could have meant decides.
pub(super) fn velero_says(message: &str, backup: &Backup, mine: &[&Mount]) -> Reason {
    let has = |part: &str| message.contains(part);
    let quoted = format!("({message})");
    if has("resource policy") || has("resource policies") {
        return Reason::skipped("policy_skip", format!("a resource policy leaves it out {quoted}"));
    }
    if has("exclude-from-backup") {
        return Reason::skipped("excluded_by_label", format!("a label leaves it out {quoted}"));
    }
    if has("daemonset pod not found") {
        return Reason::absent("no_node_agent", format!("no node agent ran on the node of its pod {quoted}: run the node agent there"));
    }
    if has("pod is not scheduled") || has("not in the expected status") || has("being terminated") {
        return Reason::absent("pod_not_running", format!("its pod did not run {quoted}: file-system backup copies from running pods only"));
    }
    if has("block volume") || has("not mounted by any container") {
        return Reason::absent("not_copyable", format!("file-system backup cannot copy it {quoted}: snapshot it"));
    }
    if has("encountered a problem") {
        return Reason::absent("failed", format!("copying it failed {quoted}"));
    }
    if has("opted out") && backup.volumes.fs_default {
        return Reason::skipped("opted_out", format!("it is opted out by its pod {quoted}"));
    }
    if has("opted out") || mine.iter().any(|m| !m.opted_in) {
        // Velero says "opted out" of every volume that nobody opted in.
        let volume = mine.first().map(|m| &*m.volume).unwrap_or("VOLUME");
        let heal = format!("annotate its pod with {OPT_IN}={volume}, set defaultVolumesToFsBackup, or snapshot it");
        return Reason::absent("not_opted_in", format!("nothing is set up to copy it {quoted}: {heal}"));
    }
    if has("no applicable volumesnapshotter") || has("not a CSI volume") {
        return Reason::absent("no_snapshotter", format!("no snapshot plugin can take it, and no pod that mounts it copies it {quoted}"));
    }
    Reason::absent("not_chosen", format!("it was left out {quoted}"))
}
