//! Families about the bytes of claims and about proven restores. pure

use std::collections::BTreeMap;

use super::{super::table, Sheet};
use crate::{
    config,
    report::{
        Report,
        model::{ProofOf, ProofReport, VolumeState},
    },
};

/// Where namespaces beyond the cap are counted.
const OTHER: &str = "__other__";

pub(super) fn put(sheet: &mut Sheet, report: &Report, limits: &config::Metrics) {
    claims(sheet, report, limits);
    proofs(sheet, report, limits);
}

fn claims(sheet: &mut Sheet, report: &Report, limits: &config::Metrics) {
    let mut counts: BTreeMap<&str, BTreeMap<VolumeState, u64>> = BTreeMap::new();
    for volume in &report.volumes {
        let room = counts.len() < limits.max_namespaces || counts.contains_key(&*volume.namespace);
        let namespace = if room { &*volume.namespace } else { OTHER };
        let states = counts.entry(namespace).or_insert_with(|| VolumeState::ALL.into_iter().map(|s| (s, 0)).collect());
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
    for volume in report.volumes.iter().filter(|v| v.is_unprotected()).take(limits.max_object_series) {
        sheet.put(&table::CLAIM_UNPROTECTED, &[&volume.namespace, &volume.name, &volume.reason], 1.0);
    }
}

fn proofs(sheet: &mut Sheet, report: &Report, limits: &config::Metrics) {
    let mut kept = 0;
    for ProofReport { of, at, proven, namespaces, .. } in &report.proofs {
        match of {
            ProofOf::Layer(layer) => {
                sheet.time(&table::LAYER_PROVEN, &[layer.name()], *at);
                for (word, count) in [("true", *proven), ("false", namespaces.saturating_sub(*proven))] {
                    sheet.put(&table::PROVEN_NAMESPACES, &[layer.name(), word], count as f64);
                }
            }
            ProofOf::Namespace(namespace) if at.is_some() && kept < limits.max_namespaces => {
                kept += 1;
                sheet.time(&table::NAMESPACE_PROVEN, &[namespace], *at);
            }
            ProofOf::Namespace(_) | ProofOf::Backup(_) => {}
        }
    }
}
