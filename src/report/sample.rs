//! Reports made by hand, for the tests of everything that renders one. pure

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::model::*;
use crate::{
    config::{AppName, Layer, SourceName},
    drift::LeafClass,
    object::{ObjectId, Text},
    witness::{BackupState, Commit, Failure, RenderEvidence},
};

/// The moment all samples speak of.
pub fn now() -> Timestamp {
    time("2026-03-01T12:00:00Z")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn app(name: &str) -> AppName {
    AppName(name.into())
}

fn infra() -> SourceName {
    SourceName("infra".into())
}

fn commit(sha: &str, subject: &str, at: &str) -> Commit {
    Commit { sha: sha.repeat(10).into(), author: "Ada".into(), subject: subject.into(), time: time(at), merge: true }
}

fn start(not_before: &str, not_after: &str, basis: Basis) -> Option<Start> {
    Some(Start { not_before: time(not_before), not_after: time(not_after), basis })
}

/// A clean object of the app `shop`.
pub fn object(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectReport {
    ObjectReport {
        id: ObjectId::new(group, kind, Some(namespace), name),
        version: "v1".into(),
        app: Some(app("shop")),
        source: Some(infra()),
        layer: Layer::Apps,
        sides: Sides { git: Presence::Present, cluster: Presence::Present, backup: Presence::Present },
        drift: Drift::InSync,
        drift_since: None,
        recovery: Recovery::Either,
        why: "Git and the backup nightly-20260301 both hold it.".into(),
        window: None,
        backup: Some("nightly-20260301".into()),
        unknown: Vec::new(),
        fields: Vec::new(),
        confirmed: None,
        operational: false,
        terminating: false,
        suppressed: 0,
        file: Some(format!("shop/{name}.yaml").into()),
        line: Some(1),
    }
}

fn field(path: &str, class: LeafClass, desired: Option<&str>, live: Option<&str>, owner: Option<&str>) -> FieldReport {
    FieldReport {
        path: path.into(),
        class: Some(class),
        desired: desired.map(str::to_owned),
        live: live.map(str::to_owned),
        backed_up: None,
        owner: owner.map(Text::from),
        writer: None,
        time: owner.map(|_| time("2026-03-01T09:15:00Z")),
        file: desired.map(|_| "shop/cart.yaml".into()),
        line: desired.map(|_| 12),
    }
}

/// Fills the counts from the objects, as the join does.
pub fn counted(mut report: Report) -> Report {
    let mut summary = Summary { objects: report.objects.len() as u64, window: report.summary.window, ..Summary::default() };
    summary.drift = Drift::ALL.into_iter().map(|d| (d, report.objects.iter().filter(|o| o.drift == d).count() as u64)).collect();
    summary.recovery = Recovery::ALL.into_iter().map(|r| (r, report.objects.iter().filter(|o| o.recovery == r).count() as u64)).collect();
    for layer in Layer::ALL {
        let of = |r: Recovery| report.objects.iter().filter(|o| o.layer == layer && o.recovery == r).count() as u64;
        summary.recovery_by_layer.insert(layer, Recovery::ALL.into_iter().map(|r| (r, of(r))).collect());
    }
    let mut unknown: BTreeMap<(Side, Text), u64> = BTreeMap::new();
    for u in report.objects.iter().flat_map(|o| &o.unknown) {
        *unknown.entry((u.side, u.reason.clone())).or_default() += 1;
    }
    summary.unknown = unknown.into_iter().map(|((side, reason), objects)| UnknownCount { side, reason, objects }).collect();
    report.summary = summary;
    report
}

fn rollup(of: WindowScope, state: WindowState) -> WindowRollup {
    WindowRollup {
        of,
        state,
        start: None,
        objects: 0,
        pending: 0,
        unsnapshotted: 0,
        resurrected: 0,
        unknown: 0,
        commits: Vec::new(),
        objective_seconds: 86_400,
        over_objective: false,
        closes_at: None,
    }
}

/// A claim of namespace `shop`.
pub fn claim(name: &str, state: VolumeState) -> VolumeReport {
    VolumeReport {
        namespace: "shop".into(),
        name: name.into(),
        layer: Layer::Apps,
        volume: Some("pv-1".into()),
        storage_class: Some("standard".into()),
        requested_bytes: Some(5 << 30),
        state,
        reason: if state == VolumeState::Absent { "not_opted_in" } else { state.name() }.into(),
        why: "nobody has its bytes: in backup nightly-20260301 nothing is set up to copy it: annotate its pod with backup.velero.io/backup-volumes=data".into(),
        backup: None,
        method: None,
        bytes: None,
        at: None,
        elsewhere: Vec::new(),
        evidence: Vec::new(),
    }
}

/// Everything in order: two objects, one backup.
pub fn clean() -> Report {
    let stage = |at: &str| StageAge { at: Some(time(at)), failure: None };
    counted(Report {
        schema: SCHEMA.into(),
        now: now(),
        as_of: AsOf {
            git: [(infra(), stage("2026-03-01T11:58:00Z"))].into(),
            cluster: stage("2026-03-01T11:59:50Z"),
            backups: stage("2026-03-01T11:55:00Z"),
            schemas: SchemaState { documents: 24, definitions: 2, failure: None },
        },
        summary: Summary { window: WindowState::Closed, ..Summary::default() },
        windows: vec![rollup(WindowScope::Cluster, WindowState::Closed), rollup(WindowScope::App(app("shop")), WindowState::Closed)],
        apps: vec![AppReport {
            name: app("shop"),
            source: infra(),
            path: "shop".into(),
            layer: Layer::Apps,
            namespace: Some("shop".into()),
            revision: Some("c0ffee0000".into()),
            rendered_at: Some(time("2026-03-01T11:58:00Z")),
            render: Some(RenderEvidence { renderer: "directory".into(), tool: None, closure: "00".into(), sandbox: None, hooks: 0 }),
            failure: None,
            objects: 2,
            drift: BTreeMap::new(),
            recovery: BTreeMap::new(),
            suppressed: 0,
            diagnostics: Vec::new(),
        }],
        objects: vec![object("", "ConfigMap", "shop", "cart"), object("", "Service", "shop", "cart")],
        volumes: Vec::new(),
        restores: Vec::new(),
        proofs: Vec::new(),
        backups: vec![BackupReport {
            name: "nightly-20260301".into(),
            schedule: Some("nightly".into()),
            location: Some("default".into()),
            state: BackupState::Restorable,
            reason: "completed".into(),
            why: "Completed, 27 d left.".into(),
            evidence: Vec::new(),
            missing: Vec::new(),
            phase: "Completed".into(),
            created: Some(time("2026-03-01T01:00:00Z")),
            start: Some(time("2026-03-01T01:00:00Z")),
            completed: Some(time("2026-03-01T01:04:00Z")),
            expires: Some(time("2026-03-28T01:00:00Z")),
            objects: Some(2),
            unread: None,
            speaks_for: 2,
            agreement: Some(Agreement { predicted: 2, held: 2, ..Agreement::default() }),
            left_out: None,
        }],
        disagreements: Vec::new(),
        schedules: Vec::new(),
        locations: Vec::new(),
        sources: vec![SourceReport {
            name: infra(),
            location: "https://git.example.com/infra.git".into(),
            reference: "main".into(),
            tip: Some(commit("c0ff", "Raise the limits of cart", "2026-03-01T08:40:00Z")),
            observed: None,
            as_of: Some(time("2026-03-01T11:58:00Z")),
            failure: None,
        }],
        blind_spots: vec![BlindSpot {
            what: "nodemetrics.metrics.k8s.io".into(),
            reason: "not_listable".into(),
            message: "The server offers no list of nodemetrics.metrics.k8s.io; nothing asks for them.".into(),
            matters: false,
        }],
        suppressed: vec![Suppressed {
            rule: "default_or_admission".into(),
            reason: "defaults of the API server, and fields that nobody owns because admission added them".into(),
            origin: "built in".into(),
            fields: 37,
            objects: 2,
        }],
        notes: Vec::new(),
    })
}

/// One object of every verdict that people act on, a blind spot and a failed stage.
pub fn busy() -> Report {
    let mut report = clean();
    let landed = commit("c0ff", "Raise the limits of cart", "2026-03-01T08:40:00Z");
    let next = Some(time("2026-03-02T01:00:00Z"));
    let split = |name: &str, stage: Stage, cause: Cause, why: &str| ObjectReport {
        recovery: Recovery::Split,
        why: why.into(),
        window: Some(Box::new(Window {
            stage,
            start: start("2026-03-01T08:40:00Z", "2026-03-01T08:40:00Z", Basis::Merge),
            cause,
            commits: vec![landed.clone()],
            closes_at: next,
        })),
        ..object("apps", "Deployment", "shop", name)
    };
    let mut cart = split(
        "cart",
        Stage::Unsnapshotted,
        Cause::Behind { holds: None },
        "The backup holds the state before c0ffc0ff; a restore would bring it back. Git wins: sync after a restore, or take a backup now.",
    );
    cart.fields = vec![FieldReport {
        backed_up: Some("\"256Mi\"".into()),
        class: None,
        ..field("spec.template.spec.containers[name=cart].resources.limits.memory", LeafClass::Changed, Some("\"512Mi\""), Some("\"512Mi\""), None)
    }];
    let mut web = split("web", Stage::Pending, Cause::Unknown, "It landed in Git and is not applied yet. Sync the app shop, then take a backup.");
    web.drift = Drift::Changed;
    web.drift_since = Some(time("2026-03-01T09:15:00Z"));
    web.confirmed = Some(Confirmed {
        answer: Answer::Agrees,
        manager: Some("argocd-controller".into()),
        at: Some(time("2026-03-01T11:59:00Z")),
        reason: None,
        message: None,
        fields: Vec::new(),
    });
    web.fields = vec![
        field("spec.replicas", LeafClass::Changed, Some("2"), Some("7"), Some("kubectl (scale)")),
        field(
            "spec.template.spec.containers[name=web].env[name=DEBUG]",
            LeafClass::Added,
            None,
            Some("{\"name\":\"DEBUG\",\"value\":\"1\"}"),
            Some("kubectl-edit"),
        ),
    ];
    let missing = ObjectReport {
        drift: Drift::Missing,
        sides: Sides { git: Presence::Present, cluster: Presence::Absent, backup: Presence::Present },
        why: "Git declares it and the cluster does not have it. Sync the app shop.".into(),
        ..object("batch", "CronJob", "shop", "report")
    };
    let unmanaged = |recovery: Recovery, kind: &str, name: &str, why: &str| ObjectReport {
        app: None,
        source: None,
        drift: Drift::Unmanaged,
        recovery,
        sides: Sides { git: Presence::Absent, cluster: Presence::Present, backup: Presence::Absent },
        why: why.into(),
        file: None,
        line: None,
        ..object("", kind, "payments", name)
    };
    let lost = unmanaged(Recovery::Lost, "Secret", "stripe", "Neither Git nor a backup has it. Include namespace payments in a schedule.");
    let stale =
        unmanaged(Recovery::BackupStale, "ConfigMap", "rates", "Only the backup nightly-20260301 has it, and it has changed since. Take a backup.");
    let back = ObjectReport {
        drift: Drift::Gone,
        recovery: Recovery::Resurrected,
        sides: Sides { git: Presence::Absent, cluster: Presence::Absent, backup: Presence::Present },
        why: "Git removed it with deadbeef; a restore of nightly-20260301 brings it back. Delete it again after a restore.".into(),
        ..object("", "Service", "shop", "legacy")
    };
    let dark = |name: &str| ObjectReport {
        drift: Drift::Unknown,
        recovery: Recovery::Unknown,
        sides: Sides { git: Presence::Present, cluster: Presence::Unknown, backup: Presence::Present },
        why: "It could not be read from the cluster.".into(),
        unknown: vec![UnknownSide { side: Side::Cluster, reason: "forbidden".into(), message: "secrets cannot be listed.".into() }],
        ..object("", "Secret", "shop", name)
    };
    report.volumes.push(claim("orders", VolumeState::Absent));
    report.objects.extend([cart, web, missing, lost, stale, back, dark("db"), dark("tls")]);
    let open = |of: WindowScope, over: bool| WindowRollup {
        start: start("2026-03-01T08:40:00Z", "2026-03-01T08:40:00Z", Basis::Merge),
        objects: 2,
        pending: 1,
        unsnapshotted: 1,
        resurrected: 1,
        unknown: 2,
        commits: vec![landed.clone()],
        objective_seconds: 7_200,
        over_objective: over,
        closes_at: next,
        ..rollup(of, WindowState::Open)
    };
    report.windows = vec![
        open(WindowScope::Cluster, true),
        open(WindowScope::Layer(Layer::Apps), true),
        rollup(WindowScope::Layer(Layer::Platform), WindowState::Closed),
        open(WindowScope::App(app("shop")), true),
        WindowRollup { unknown: 3, ..rollup(WindowScope::App(app("ingress")), WindowState::Unknown) },
    ];
    report.blind_spots.push(BlindSpot {
        what: "secrets".into(),
        reason: "forbidden".into(),
        message: "Secrets cannot be listed: bind the ClusterRole snapgap-secrets, or leave them out with cluster.exclude.".into(),
        matters: true,
    });
    report.as_of.backups.failure = Some(Failure::new("unreachable", "the API server did not answer within 30 s; the last good list is in use"));
    report.notes.push(Note { reason: "schedule_paused".into(), message: "The schedule weekly is paused: nothing is due from it.".into() });
    report.suppressed.push(Suppressed {
        rule: "ignore: scaled elsewhere".into(),
        reason: "scaled elsewhere".into(),
        origin: "configuration".into(),
        fields: 3,
        objects: 1,
    });
    report.summary.window = WindowState::Open;
    counted(report)
}

/// Names and texts that try to take over the terminal or the page.
pub fn hostile() -> Report {
    let mut report = clean();
    let evil = "a\u{1b}[2J\u{1b}[1;31m\nLOST\r\u{202e}| <b>x</b> `c`";
    let mut object = object("", "ConfigMap\u{7}", "shop\n", evil);
    object.recovery = Recovery::Lost;
    object.drift = Drift::Changed;
    object.why = evil.into();
    object.app = Some(app(evil));
    object.fields = vec![field(evil, LeafClass::Changed, Some(evil), Some(evil), Some(evil))];
    report.objects.push(object);
    report.notes.push(Note { reason: "note".into(), message: evil.into() });
    report.blind_spots.push(BlindSpot { what: evil.into(), reason: "forbidden".into(), message: evil.into(), matters: true });
    report.as_of.cluster.failure = Some(Failure::new("unreachable", evil));
    counted(report)
}

/// Many objects of each verdict, to see that a screen is not overrun.
pub fn crowded(each: usize) -> Report {
    let mut report = busy();
    let findings: Vec<ObjectReport> = report.objects.iter().filter(|o| o.is_finding()).cloned().collect();
    for n in 0..each {
        for finding in &findings {
            let mut copy = finding.clone();
            copy.id.name = format!("{}-{n}", copy.id.name).into();
            report.objects.push(copy);
        }
    }
    counted(report)
}
