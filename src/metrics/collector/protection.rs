//! Families about the bytes of claims and about proven restores. pure

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{super::table, Sheet, folding::Kept};
use crate::{
    config,
    report::{
        Report,
        model::{ProofOf, ProofReport, VolumeReport, VolumeState},
    },
};

pub(super) fn put(sheet: &mut Sheet, report: &Report, limits: &config::Metrics, kept: &Kept) {
    claims(sheet, report, limits, kept);
    proofs(sheet, report, kept);
}

fn claims(sheet: &mut Sheet, report: &Report, limits: &config::Metrics, kept: &Kept) {
    let mut counts: BTreeMap<&str, BTreeMap<VolumeState, u64>> = BTreeMap::new();
    for volume in &report.volumes {
        let states = counts.entry(kept.fold(&volume.namespace)).or_insert_with(|| VolumeState::ALL.into_iter().map(|s| (s, 0)).collect());
        *states.entry(volume.state).or_default() += 1;
    }
    // So that no claims can be told from no data.
    if counts.is_empty() {
        counts.insert("", VolumeState::ALL.into_iter().map(|s| (s, 0)).collect());
    }
    for (namespace, states) in counts {
        for (state, count) in states {
            sheet.put(&table::CLAIMS, &[namespace, state.name()], count as f64);
        }
    }
    let mut kept: Vec<(Timestamp, &VolumeReport)> = report.volumes.iter().filter_map(|v| Some((v.at.filter(|_| v.backup.is_some())?, v))).collect();
    kept.sort_by_key(|(at, v)| (*at, &v.namespace, &v.name));
    for (at, volume) in kept.into_iter().take(limits.max_object_series) {
        sheet.time(&table::CLAIM_BYTES, &[&volume.namespace, &volume.name, &volume.reason], Some(at));
    }
    for volume in report.volumes.iter().filter(|v| v.is_unprotected()).take(limits.max_object_series) {
        sheet.put(&table::CLAIM_UNPROTECTED, &[&volume.namespace, &volume.name, &volume.reason], 1.0);
    }
}

fn proofs(sheet: &mut Sheet, report: &Report, kept: &Kept) {
    // As with layers: one that was never proven leaves all that it is folded with without a proof.
    let mut folded: BTreeMap<&str, Option<Timestamp>> = BTreeMap::new();
    for ProofReport { of, at, proven, with_bytes, namespaces, .. } in &report.proofs {
        match of {
            ProofOf::Layer(layer) => {
                sheet.time(&table::LAYER_PROVEN, &[layer.name()], *at);
                let counts =
                    [("true", *with_bytes), ("manifests", proven.saturating_sub(*with_bytes)), ("false", namespaces.saturating_sub(*proven))];
                for (word, count) in counts {
                    sheet.put(&table::PROVEN_NAMESPACES, &[layer.name(), word], count as f64);
                }
            }
            ProofOf::Namespace(namespace) => {
                let oldest = folded.entry(kept.fold(namespace)).or_insert(*at);
                *oldest = (*oldest).min(*at);
            }
            ProofOf::Backup(_) => {}
        }
    }
    for (namespace, at) in folded {
        sheet.time(&table::NAMESPACE_PROVEN, &[namespace], at);
    }
}
