//! Apps and sources as the report shows them. pure

use std::collections::BTreeMap;

use super::{
    join::Join,
    summary::{by_drift, by_recovery},
};
use crate::{
    config::{AppName, Layer},
    report::model::{AppReport, ObjectReport, SourceReport},
};

/// Every app, by name.
pub(super) fn apps(join: &Join<'_>, objects: &[ObjectReport], layers: &BTreeMap<AppName, Layer>) -> Vec<AppReport> {
    let mut own: BTreeMap<&AppName, Vec<&ObjectReport>> = BTreeMap::new();
    objects.iter().filter_map(|o| Some((o.app.as_ref()?, o))).for_each(|(app, o)| own.entry(app).or_default().push(o));
    let none = Vec::new();
    let of = |(name, app): (&&AppName, &&crate::config::App)| {
        let rendered = join.inputs.declared.apps.get(*name).and_then(|s| s.rendered.as_ref());
        let own = own.get(*name).unwrap_or(&none);
        AppReport {
            name: (*name).clone(),
            source: app.source.clone(),
            path: app.path.as_str().into(),
            layer: layers.get(*name).copied().unwrap_or(Layer::Apps),
            namespace: app.namespace.clone(),
            revision: rendered.map(|r| r.revision.clone()),
            rendered_at: rendered.map(|r| r.at),
            render: rendered.map(|r| r.evidence.clone()),
            failure: join.git.trouble_of(name).map(|f| (**f).clone()),
            objects: rendered.map_or(0, |r| r.objects.len() as u64),
            drift: by_drift(own.iter().copied()),
            recovery: by_recovery(own.iter().copied()),
            suppressed: own.iter().map(|o| u64::from(o.suppressed)).sum(),
            diagnostics: rendered.map(|r| r.diagnostics.clone()).unwrap_or_default(),
        }
    };
    join.git.apps().iter().map(of).collect()
}

/// Every source, by name.
pub(super) fn sources(join: &Join<'_>) -> Vec<SourceReport> {
    let of = |(name, s): (&crate::config::SourceName, &crate::witness::SourceState)| SourceReport {
        name: name.clone(),
        location: s.location.clone(),
        reference: s.reference.clone(),
        tip: s.tip.as_ref().map(|t| t.commit.clone()),
        observed: s.tip.as_ref().and_then(|t| t.observed).map(|o| o.not_after),
        as_of: s.as_of,
        failure: s.failure.clone(),
    };
    join.inputs.declared.sources.iter().map(of).collect()
}
