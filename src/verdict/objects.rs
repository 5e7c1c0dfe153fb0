//! One object of the report: both verdicts, the evidence for them, and the sentence. pure

use jiff::Timestamp;

use super::{
    fast::FastMap,
    join::{Case, Git, Join},
    rewritten::Rewritten,
    why::why,
    window::{start_of, window},
};
use crate::{
    config::{AppName, Layer, SourceName},
    drift::{LeafClass, Writer},
    object::{GroupKind, ObjectId, Text},
    report::model::{Drift, FieldReport, ObjectReport, Recovery, Sides},
};

/// The app that declares a case, or last did.
fn app_of<'a>(join: &Join<'a>, case: &Case<'a>) -> Option<&'a AppName> {
    match (&case.git, case.claim) {
        (_, Some(claim)) => Some(claim.app()),
        (Git::Removed { app, .. }, None) => *app,
        (Git::Unknown(_), None) => join.git.mentioned(&case.id),
        (Git::Declared | Git::Never, None) => None,
    }
}

/// The field managers of `kubectl apply`, client-side and server-side: a person or a pipeline that applies files from Git.
const APPLIERS: [&str; 2] = ["kubectl-client-side-apply", "kubectl"];

/// Since when a case drifts, if it does and that is known.
fn drift_since(join: &Join<'_>, case: &Case<'_>, source: Option<&SourceName>) -> Option<Timestamp> {
    if !case.drift.is_drift() {
        return None;
    }
    let inputs = join.inputs;
    let seen = || inputs.onsets.drift_since(&case.id, case.drift);
    let landed = |commit: Option<&crate::witness::Commit>| {
        let source = source?;
        commit.map(|c| start_of(c, source, inputs.declared.sources.get(source), inputs.onsets, inputs.now).not_after)
    };
    let changed = || landed(case.claim.and_then(|c| c.states().first()?.since.as_ref()));
    let since = match case.drift {
        Drift::Changed | Drift::Added => {
            let fields = case.trio.iter().flat_map(|t| &t.fields).map(|f| &f.report).filter(|f| f.class.is_some());
            // A person's edit tells when it began. What the deployer wrote was right when it did, so there Git moved on.
            let edits = fields.filter(|f| f.owner.as_ref().is_some_and(|o| f.writer != Some(Writer::Deployer) || APPLIERS.contains(&&**o)));
            // An apply from files was right when Git said so: what it wrote drifts from when Git moved on, if that was later.
            let at = |f: &FieldReport| {
                let applied = f.owner.as_ref().is_some_and(|o| APPLIERS.contains(&&**o));
                f.time.map(|t| if applied { changed().map_or(t, |landed| t.max(landed)) } else { t })
            };
            let times: Vec<Option<Timestamp>> = edits.map(at).collect();
            let edited = times.iter().flatten().min().copied();
            // An edit without a time (the server writes none for `scale`) began when it was seen, not when Git last moved.
            let moved = case.drift == Drift::Changed && times.is_empty();
            edited.or_else(|| if moved { changed() } else { None }).or_else(seen)
        }
        Drift::Missing => seen().or_else(|| if case.recovery == Recovery::Split { changed() } else { None }),
        Drift::Removed => match &case.git {
            Git::Removed { former: Some(f), .. } => landed(f.removed()).or_else(seen),
            _ => seen(),
        },
        _ => None,
    };
    since.map(|t| t.min(inputs.now))
}

/// The differing fields, with the lines on which Git writes them.
fn fields(join: &Join<'_>, case: &Case<'_>) -> Vec<FieldReport> {
    let Some(trio) = case.trio.as_ref().filter(|t| !t.fields.is_empty()) else { return Vec::new() };
    let rewritten = Rewritten::new(join, case);
    let origin = case.claim.and_then(|c| c.desired.origin.as_ref().map(|o| (o, c.desired.object.content.value())));
    let finder = origin.as_ref().map(|(origin, root)| (*origin, origin.lines.finder(root)));
    let of = |field: &super::compared::Field| {
        let mut report = FieldReport { class: rewritten.class(field), ..field.report.clone() };
        if let Some((origin, finder)) = &finder {
            report.file = Some(origin.file.clone());
            report.line = finder.line_of(&field.path);
        }
        report
    };
    trio.fields.iter().map(of).collect()
}

/// Whether all that differs is what people do to running objects for now.
fn by_hand(fields: &[FieldReport]) -> bool {
    let mut classes = fields.iter().filter_map(|f| f.class).filter(|c| *c != LeafClass::UnknownField).peekable();
    classes.peek().is_some() && classes.all(|c| c == LeafClass::Operational)
}

/// Layers by what decides them. Rules are globs over some forty patterns, and thousands of objects share kind, namespace and app.
#[derive(Default)]
pub(super) struct Layers<'a>(FastMap<(GroupKind, Option<Text>, Option<&'a AppName>), Layer>);

impl<'a> Layers<'a> {
    fn of(&mut self, join: &Join<'a>, id: &ObjectId, app: Option<&'a AppName>) -> Layer {
        let rules = &join.inputs.config.layers;
        // A Namespace counts as lying in itself, so there the name decides too.
        if id.namespace.is_none() {
            return rules.layer_of(id, app);
        }
        *self.0.entry((id.gk.clone(), id.namespace.clone(), app)).or_insert_with(|| rules.layer_of(id, app))
    }
}

/// The report on one case.
pub(super) fn object<'a>(join: &Join<'a>, case: &Case<'a>, layers: &mut Layers<'a>) -> ObjectReport {
    let app = app_of(join, case);
    let settings = app.and_then(|a| join.git.apps().get(a));
    let source = settings.map(|a| &a.source);
    let layer = settings.and_then(|a| a.layer).unwrap_or_else(|| layers.of(join, &case.id, app));
    let window = window(join, case);
    let unknown = join.unknown(case);
    let fields = fields(join, case);
    let origin = case.claim.and_then(|c| c.desired.origin.as_ref());
    let version = case.claim.map(|c| &c.desired.object).or_else(|| case.any()).map(|o| o.version.clone());
    ObjectReport {
        version: version.unwrap_or_else(|| "".into()),
        app: app.cloned(),
        source: source.cloned(),
        layer,
        sides: Sides { git: case.git.presence(), cluster: case.live.presence(), backup: case.copies.presence() },
        drift: case.drift,
        drift_since: drift_since(join, case, source),
        recovery: case.recovery,
        why: why(join, case, window.as_ref(), &unknown),
        window: window.map(Box::new),
        backup: case.copies.speaker().map(|b| b.name.clone()),
        unknown,
        confirmed: None,
        operational: case.drift.is_drift() && by_hand(&fields),
        terminating: join.terminating(case),
        fields,
        suppressed: case.trio.iter().flat_map(|t| &t.silenced).map(|s| s.leaves).sum(),
        file: origin.map(|o| o.file.clone()),
        line: origin.map(|o| o.line),
        id: case.id.clone(),
    }
}
