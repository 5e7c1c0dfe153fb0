//! Whether the bytes of each PersistentVolumeClaim are kept by anybody: its manifest is another question. pure
//!
//! A backup that says Completed may hold no volume at all: Velero leaves out what nothing was set up to copy, and says so in its volume info
//! file only. So evidence counts, attempt by attempt; where there is none, the reason is looked for.

mod elsewhere;
mod reasons;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use self::{
    elsewhere::{Claim, Elsewhere},
    reasons::{Mounts, Reason},
};
use super::{
    copies::Asked,
    join::{Case, Join},
    sides::Cluster,
    words,
};
use crate::{
    config::Layer,
    object::{Quantity, Text},
    report::model::{Holder, VolumeEvidence, VolumeReport, VolumeState},
    velero::Coverage,
    witness::{Backup, Failure, VolumeCopy, VolumeMethod, VolumeOutcome},
};

/// Evidence that is listed of each claim: the newest backups.
const MOST_EVIDENCE: usize = 10;

/// Every claim that runs, in the order of their identities.
pub(super) fn volumes(join: &Join<'_>) -> Vec<VolumeReport> {
    let claims = || join.cases.iter().filter(|c| c.id.gk.is("", "PersistentVolumeClaim"));
    if claims().next().is_none() {
        return Vec::new();
    }
    let ground = Ground::of(join);
    let live = |case: &&Case<'_>| matches!(&case.live, Cluster::Present(o) if !o.meta.partial);
    claims().filter(live).map(|case| ground.judge(case)).collect()
}

/// What holds for all claims.
struct Ground<'j, 'a> {
    join: &'j Join<'a>,
    /// All backups, newest start first.
    backups: Vec<&'a Backup>,
    elsewhere: Elsewhere,
    mounts: Mounts,
    drivers: BTreeMap<Text, Text>,
}

/// A claim as backups are asked about it. What is not known of it is `None`.
struct Mine {
    namespace: Text,
    name: Text,
    uid: Option<Text>,
    /// The volume that it is bound to.
    volume: Option<Text>,
    created: Option<Timestamp>,
}

impl Mine {
    /// Whether a copy of a claim of this name may be a copy of this very one: a claim that was made anew has another uid and another volume.
    fn is_of(&self, copy: &VolumeCopy) -> bool {
        let same_claim = self.uid.as_ref().zip(copy.claim_uid.as_ref()).is_none_or(|(mine, its)| mine == its);
        same_claim && copy.volume.as_ref().is_none_or(|its| self.volume.as_ref() == Some(its))
    }
}

/// What one backup says of a claim.
struct Said<'a> {
    backup: &'a Backup,
    /// The attempt that ended best.
    best: Option<&'a VolumeCopy>,
    /// Whether it began before the claim was made, so that what it has is of another one.
    before: bool,
    /// Whether it has bytes of an earlier claim of the same name.
    former: bool,
    /// Why its files about volumes could not be read, if they could not.
    unread: Option<Failure>,
}

impl Said<'_> {
    fn keeps(&self, state: VolumeState) -> bool {
        self.backup.state.usable() && self.best.is_some_and(|c| kept(c) == Some(state))
    }
}

/// The state that an attempt brings, if it was a success.
fn kept(copy: &VolumeCopy) -> Option<VolumeState> {
    let state = if copy.method == Some(VolumeMethod::CsiSnapshot) { VolumeState::Snapshot } else { VolumeState::Present };
    (copy.outcome == VolumeOutcome::Succeeded && !found_nothing(copy)).then_some(state)
}

/// Whether an attempt ended well and copied nothing.
fn found_nothing(copy: &VolumeCopy) -> bool {
    copy.outcome == VolumeOutcome::Succeeded && copy.bytes == Some(0)
}

fn rank(copy: &VolumeCopy) -> u8 {
    match (copy.outcome, kept(copy)) {
        (_, Some(VolumeState::Present)) => 6,
        (_, Some(_)) => 5,
        (VolumeOutcome::Failed, _) => 4,
        (VolumeOutcome::Succeeded, None) => 3,
        (VolumeOutcome::Running, _) => 2,
        _ => 1,
    }
}

impl<'j, 'a> Ground<'j, 'a> {
    fn of(join: &'j Join<'a>) -> Self {
        let mut backups: Vec<&Backup> = join.inputs.backed_up.backups.iter().collect();
        backups.sort_by(|a, b| (b.start, &b.name).cmp(&(a.start, &a.name)));
        let live = join.inputs.live;
        let driver = |o: &crate::object::Object| o.content.value().pointer("/spec/csi/driver").and_then(Value::as_str).map(Text::from);
        let volumes = live.objects.iter().filter(|(id, _)| id.gk.is("", "PersistentVolume"));
        Self {
            join,
            backups,
            elsewhere: Elsewhere::of(live),
            mounts: Mounts::of(live),
            drivers: volumes.filter_map(|(id, o)| Some((id.name.clone(), driver(o)?))).collect(),
        }
    }

    fn judge(&self, case: &Case<'a>) -> VolumeReport {
        let content = case.live.body().map(|o| o.content.value()).unwrap_or_default();
        let text = |pointer: &str| content.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty()).map(Text::from);
        let namespace = case.id.namespace.clone().unwrap_or_else(|| "".into());
        let volume = text("/spec/volumeName");
        let driver = volume.as_ref().and_then(|v| self.drivers.get(v)).map(|d| &**d);
        let holders = self.elsewhere.holders(&Claim { namespace: &namespace, name: &case.id.name, content: &content, driver });
        let known = case.live.known().map(|o| &o.meta);
        let mine = Mine {
            namespace: namespace.clone(),
            name: case.id.name.clone(),
            uid: known.and_then(|m| m.uid.clone()),
            volume: volume.clone(),
            created: known.and_then(|m| m.created),
        };
        let said: Vec<Said<'a>> = self.backups.iter().map(|b| self.asked(b, &mine)).collect();
        let keeper = |state| said.iter().find(|s| s.keeps(state));
        let keeps = keeper(VolumeState::Present).map(|s| (VolumeState::Present, s));
        let snapshot = || keeper(VolumeState::Snapshot).map(|s| (VolumeState::Snapshot, s));
        let (state, reason, why, by) = match (keeps, volume.is_some()) {
            (Some((state, s)), _) => {
                let (word, why) = self.kept(case, s, &said);
                (state, word, why, Some(s))
            }
            (None, false) => (VolumeState::Unbound, Reason::word("unbound"), "it is bound to no volume, so there are no bytes yet".to_owned(), None),
            (None, true) if !holders.is_empty() => (VolumeState::Elsewhere, Reason::word("held_elsewhere"), held(&holders), None),
            (None, true) => match snapshot() {
                Some((state, s)) => (state, Reason::word("snapshot_in_cluster"), self.snapshot(s), Some(s)),
                None => self.nobody(case, &said),
            },
        };
        let best = by.and_then(|s| s.best);
        VolumeReport {
            layer: self.layer(case),
            requested_bytes: content.pointer("/spec/resources/requests/storage").and_then(Quantity::from_json).and_then(Quantity::bytes),
            storage_class: text("/spec/storageClassName"),
            name: case.id.name.clone(),
            volume,
            state,
            reason,
            why,
            backup: by.map(|s| s.backup.name.clone()),
            method: best.and_then(|c| c.method),
            bytes: best.and_then(|c| c.bytes),
            at: by.and_then(|s| s.best.and_then(|c| c.at).or(s.backup.start)),
            elsewhere: holders,
            evidence: said.iter().take(MOST_EVIDENCE).map(evidence).collect(),
            namespace,
        }
    }

    fn layer(&self, case: &Case<'_>) -> Layer {
        let app = case.claim.map(|c| c.app());
        self.join.inputs.config.layers.layer_of(&case.id, app)
    }

    /// What a backup says of a claim.
    fn asked(&self, backup: &'a Backup, mine: &Mine) -> Said<'a> {
        let Mine { namespace, name, volume, .. } = mine;
        let side = &*backup.side;
        let about = |c: &&VolumeCopy| match (&c.claim, &c.volume) {
            (Some(claim), _) => claim == name && c.namespace == *namespace,
            // A pod's volume whose claim nobody tells.
            (None, None) => c.namespace == *namespace && c.pod.as_ref().is_some_and(|(pod, v)| self.mounts.mounts(namespace, pod, v, name)),
            (None, Some(v)) => volume.as_ref() == Some(v),
        };
        let files = [&side.volumes, &side.pod_volumes, &side.snapshots];
        let told = files.into_iter().filter_map(|f| f.read()).flatten();
        let objects = self.join.inputs.backed_up.copies.iter().filter(|(of, _)| *of == backup.name).map(|(_, c)| c);
        let before = mine.created.zip(backup.start).is_some_and(|(created, start)| created > start);
        let (own, others): (Vec<&VolumeCopy>, Vec<&VolumeCopy>) = told.chain(objects).filter(about).partition(|c| !before && mine.is_of(c));
        let best = own.into_iter().max_by_key(|c| rank(c));
        let former = others.into_iter().any(|c| kept(c).is_some());
        let unread = if side.volumes.read().is_some() {
            None
        } else {
            let failure = files.into_iter().find_map(|f| f.failure().cloned());
            let never = || format!("what became of volumes in backup {} was not read", backup.name);
            Some(failure.unwrap_or_else(|| Failure::new("volume_info_unread", never())))
        };
        Said { backup, best, before, former, unread }
    }

    fn named(&self, backup: &Backup) -> String {
        let start = backup.start.map(|s| format!(" ({})", words::clock(s, self.join.inputs.now))).unwrap_or_default();
        format!("{}{start}", backup.name)
    }

    /// Who has the bytes; a backup since then that found none, or that was to have them and has not, is worth a look.
    fn kept(&self, case: &Case<'a>, keeper: &Said<'_>, all: &[Said<'_>]) -> (Text, String) {
        let how = keeper.best.and_then(|c| c.method).map_or("", VolumeMethod::words);
        let newer = || all.iter().take_while(|s| !std::ptr::eq(*s, keeper)).filter(|s| s.backup.state.usable());
        let empty = newer().filter(|s| s.best.is_some_and(found_nothing)).last();
        let mut why = format!("backup {} has its bytes by {how}", self.named(keeper.backup));
        if let Some(s) = empty {
            why.push_str(&format!("; backup {} found nothing in it any more", self.named(s.backup)));
        }
        let Some((behind, coverage)) = self.behind(case, keeper, newer()) else { return (Reason::word("kept"), why) };
        let not = if behind.keeps(VolumeState::Snapshot) {
            "there is a CSI snapshot only, which stays in the storage system".to_owned()
        } else {
            reasons::why_not(behind.backup, behind.best, &coverage, reasons::Age::Same, &self.mounts, &case.id).why
        };
        why.push_str(&format!(", and no newer one has: in backup {} {not}", self.named(behind.backup)));
        (Reason::word("kept_in_older"), why)
    }

    /// The newest backup that was to have the bytes as well as their keeper, and has not: one of the same schedule, or where no schedule made
    /// the keeper, any that takes the claim. A schedule that never copies volumes says nothing against one that does.
    fn behind<'s>(&self, case: &Case<'a>, keeper: &Said<'_>, newer: impl Iterator<Item = &'s Said<'s>>) -> Option<(&'s Said<'s>, Coverage)>
    where
        'a: 's,
    {
        let Case { id, plural_group, namespaced, .. } = case;
        let labels = || self.join.labels_of(case.any());
        let asked = Asked { id, plural_group, namespaced: *namespaced, labels: &labels, created: None };
        let alike = |s: &&Said<'_>| keeper.backup.schedule.is_none() || keeper.backup.schedule == s.backup.schedule;
        let lacks = |s: &&Said<'_>| s.unread.is_none() && !s.best.is_some_and(found_nothing);
        let covered = newer.filter(alike).filter(lacks).map(|s| (s, self.join.backups.coverage(s.backup, &asked)));
        covered.into_iter().find(|(_, coverage)| *coverage == Coverage::In)
    }

    fn snapshot(&self, said: &Said<'_>) -> String {
        format!(
            "backup {} made a CSI snapshot that stays in the storage system and is gone with it: set snapshotMoveData to have the bytes in the bucket",
            self.named(said.backup)
        )
    }

    /// Nobody is known to keep the bytes: why, from the newest usable backup that was to take the claim.
    fn nobody<'s>(&self, case: &Case<'a>, said: &'s [Said<'a>]) -> (VolumeState, Text, String, Option<&'s Said<'a>>) {
        if let Some(failure) = self.join.backups.trouble() {
            return (VolumeState::Unknown, failure.reason.clone(), format!("it cannot be said: {}", failure.message), None);
        }
        let Case { id, plural_group, namespaced, .. } = case;
        let labels = || self.join.labels_of(case.any());
        let asked = Asked { id, plural_group, namespaced: *namespaced, labels: &labels, created: None };
        let usable = || said.iter().filter(|s| s.backup.state.usable());
        let takes = |s: &&Said<'_>| !matches!(self.join.backups.coverage(s.backup, &asked), Coverage::Out(_));
        let Some(newest) = usable().find(takes).or_else(|| usable().next()) else {
            let pending = said.iter().any(|s| s.best.is_some_and(|c| c.outcome == VolumeOutcome::Running));
            let why = if pending { "the first backup that takes it is not done yet" } else { "there is no usable backup at all: back it up" };
            return (VolumeState::Absent, Reason::word("no_usable_backup"), why.to_owned(), None);
        };
        // An older backup may have what the newest has not, if nobody could look.
        let blind = usable().find(|s| s.best.is_none() && s.unread.is_some() && !s.before);
        if let Some(failure) = blind.and_then(|s| s.unread.as_ref()) {
            return (VolumeState::Unknown, failure.reason.clone(), format!("it cannot be said: {}", failure.message), None);
        }
        if newest.best.is_some_and(found_nothing) {
            let backup = self.named(newest.backup);
            let why =
                format!("it cannot be said: backup {backup} copied it and found nothing in it: it is empty, or was not mounted when Velero looked");
            return (VolumeState::Unknown, Reason::word("nothing_copied"), why, None);
        }
        let age = match (newest.former, newest.before) {
            (true, _) => reasons::Age::Anew,
            (false, true) => reasons::Age::Newer,
            (false, false) => reasons::Age::Same,
        };
        let coverage = self.join.backups.coverage(newest.backup, &asked);
        let Reason { word, skipped, why } = reasons::why_not(newest.backup, newest.best, &coverage, age, &self.mounts, id);
        let state = if skipped { VolumeState::Skipped } else { VolumeState::Absent };
        let unread = self.elsewhere.unread();
        let but = if unread.is_empty() { String::new() } else { format!("; whether {unread} keep it could not be read") };
        (state, word, format!("nobody has its bytes: in backup {} {why}{but}", self.named(newest.backup)), None)
    }
}

fn held(holders: &[Holder]) -> String {
    let all: Vec<&str> = holders.iter().map(|h| &*h.detail).collect();
    format!("{} is set up to keep its bytes; whether it does is not judged here", all.join(" and "))
}

fn evidence(said: &Said<'_>) -> VolumeEvidence {
    VolumeEvidence {
        backup: said.backup.name.clone(),
        state: said.backup.state,
        method: said.best.and_then(|c| c.method),
        outcome: said.best.map(|c| c.outcome),
        bytes: said.best.and_then(|c| c.bytes),
        at: said.best.and_then(|c| c.at),
        message: said
            .best
            .and_then(|c| c.message.clone())
            .or_else(|| said.unread.as_ref().filter(|_| said.best.is_none()).map(|f| f.message.clone())),
    }
}
