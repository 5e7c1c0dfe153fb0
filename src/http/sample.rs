//! A report with every state in it, and with names that mean harm: what page, API and metrics are tested on. pure
//!
//! tests/data/http/report.json is this report as a document, for the tests that drive the listener from outside
//! (`UPDATE=1 cargo test --lib sample_report` writes it).

mod objects;
mod protection;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{AppName, Layer, SourceName},
    object::{ObjectId, Text},
    report::{
        Report,
        evidence::{Diff, Evidence, Fact},
        model::*,
    },
    witness::{BackupState, Commit, Diagnostic, Failure, RenderEvidence},
};

/// A name as a repository could hold it to attack the page.
pub const SCRIPT: &str = "<script>alert(1)</script>";
/// A name that would turn the text around it.
pub const RIGHT_TO_LEFT: &str = "invoice-\u{202e}gnp.exe";

/// The moment of the report.
pub fn now() -> Timestamp {
    "2026-11-23T14:12:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn ahead(minutes: i64) -> Timestamp {
    ago(-minutes)
}

fn commit(sha: &str, author: &str, subject: &str, minutes: i64, merge: bool) -> Commit {
    Commit { sha: sha.repeat(40 / sha.len()).into(), author: author.into(), subject: subject.into(), time: ago(minutes), merge }
}

fn start(minutes: i64, basis: Basis) -> Start {
    Start { not_before: ago(minutes + 6), not_after: ago(minutes), basis }
}

fn text(t: &str) -> Option<Text> {
    Some(t.into())
}

fn app(name: &str) -> Option<AppName> {
    Some(AppName(name.into()))
}

fn tally<K: Ord + Copy>(all: &[K], of: impl Iterator<Item = K>) -> BTreeMap<K, u64> {
    let mut counts: BTreeMap<K, u64> = all.iter().map(|k| (*k, 0)).collect();
    of.for_each(|k| *counts.entry(k).or_default() += 1);
    counts
}

fn summary(objects: &[ObjectReport]) -> Summary {
    let mut unknown: BTreeMap<(Side, Text), u64> = BTreeMap::new();
    let mut cells: BTreeMap<(Text, CoverageScope, [bool; 3]), u64> = BTreeMap::new();
    for o in objects {
        for u in &o.unknown {
            *unknown.entry((u.side, u.reason.clone())).or_default() += 1;
        }
        let scope = match (&o.id.namespace, &*o.id.gk.kind) {
            (_, "PersistentVolumeClaim") => CoverageScope::Volume,
            (None, _) => CoverageScope::Cluster,
            _ => CoverageScope::Namespaced,
        };
        let on = |p: Presence| p == Presence::Present;
        let sides = [on(o.sides.git), on(o.sides.cluster), on(o.sides.backup)];
        *cells.entry((o.id.namespace.clone().unwrap_or_default(), scope, sides)).or_default() += 1;
    }
    Summary {
        objects: objects.len() as u64,
        drift: tally(&Drift::ALL, objects.iter().map(|o| o.drift)),
        recovery: tally(&Recovery::ALL, objects.iter().map(|o| o.recovery)),
        recovery_by_layer: Layer::ALL
            .iter()
            .map(|l| (*l, tally(&Recovery::ALL, objects.iter().filter(|o| o.layer == *l).map(|o| o.recovery))))
            .collect(),
        unknown: unknown.into_iter().map(|((side, reason), objects)| UnknownCount { side, reason, objects }).collect(),
        operational: 0,
        unknown_fields: 0,
        coverage: cells
            .into_iter()
            .map(|((namespace, scope, [in_git, in_cluster, in_backup]), objects)| CoverageCell {
                namespace,
                scope,
                in_git,
                in_cluster,
                in_backup,
                objects,
            })
            .collect(),
        window: WindowState::Open,
    }
}

fn rollup(of: WindowScope, state: WindowState, start: Option<Start>, counts: [u64; 4], objective_hours: u64, commits: Vec<Commit>) -> WindowRollup {
    let [pending, unsnapshotted, resurrected, unknown] = counts;
    let objects = pending + unsnapshotted;
    let age = start.map_or(0, |s| (now().as_second() - s.not_after.as_second()).unsigned_abs());
    WindowRollup {
        of,
        state,
        start,
        objects,
        pending,
        unsnapshotted,
        resurrected,
        unknown,
        commits,
        objective_seconds: objective_hours * 3600,
        over_objective: age > objective_hours * 3600,
        closes_at: (state == WindowState::Open).then(|| ahead(708)),
    }
}

fn windows(objects: &[ObjectReport]) -> Vec<WindowRollup> {
    use WindowState::{Closed, None as NoBackup, Open, Unknown};
    let mut commits: Vec<Commit> = Vec::new();
    for commit in objects.iter().filter(|o| o.recovery == Recovery::Split).flat_map(|o| &o.window).flat_map(|w| &w.commits) {
        if !commits.contains(commit) {
            commits.push(commit.clone());
        }
    }
    let of = |name: &str| WindowScope::App(AppName(name.into()));
    let oldest = Some(start(1420, Basis::Commit));
    vec![
        rollup(WindowScope::Cluster, Open, oldest, [3, 1, 1, 4], 8, commits.clone()),
        rollup(WindowScope::Layer(Layer::Cluster), Closed, None, [0; 4], 24, vec![]),
        rollup(WindowScope::Layer(Layer::Platform), Unknown, None, [0, 0, 0, 2], 24, vec![]),
        rollup(WindowScope::Layer(Layer::Apps), Open, oldest, [3, 1, 1, 2], 8, commits.clone()),
        rollup(of(SCRIPT), NoBackup, None, [0; 4], 8, vec![]),
        rollup(of("billing"), Unknown, None, [0, 0, 0, 2], 8, vec![]),
        rollup(of("cert-manager"), Unknown, None, [0, 0, 0, 1], 24, vec![]),
        rollup(of("ledger"), Open, oldest, [2, 0, 0, 0], 8, commits[2..].to_vec()),
        rollup(of("monitoring"), Closed, None, [0; 4], 24, vec![]),
        rollup(of("shop"), Open, Some(start(192, Basis::Observed)), [1, 1, 1, 0], 8, commits[..2].to_vec()),
    ]
}

fn apps(objects: &[ObjectReport]) -> Vec<AppReport> {
    let one = |name: &str, source: &str, path: &str, layer: Layer, renderer: &str, tool: Option<&str>, failure: Option<Failure>| {
        let own = || objects.iter().filter(|o| o.app.as_ref().is_some_and(|a| &*a.0 == name));
        AppReport {
            name: AppName(name.into()),
            source: SourceName(source.into()),
            path: path.into(),
            layer,
            namespace: text(name),
            revision: text(&"9be0".repeat(10)),
            rendered_at: Some(ago(if failure.is_some() { 3000 } else { 131 })),
            render: Some(RenderEvidence {
                renderer: renderer.into(),
                tool: tool.map(Text::from),
                closure: "0f".repeat(16).into(),
                sandbox: tool.map(|_| "namespace".into()),
                hooks: 0,
            }),
            failure,
            objects: own().filter(|o| o.sides.git != Presence::Absent).count() as u64,
            drift: tally(&Drift::ALL, own().map(|o| o.drift)),
            recovery: tally(&Recovery::ALL, own().map(|o| o.recovery)),
            suppressed: own().map(|o| u64::from(o.suppressed)).sum(),
            diagnostics: if name == "shop" {
                vec![Diagnostic {
                    file: "apps/shop/old.yaml".into(),
                    line: Some(7),
                    reason: "duplicate_key".into(),
                    message: "the key `image` stands twice; the last one holds".into(),
                }]
            } else {
                vec![]
            },
        }
    };
    let broken = Failure::new("render_failed", "kustomize build failed: accumulating resources: open ../base: no such file");
    vec![
        one(SCRIPT, "fleet", "apps/odd", Layer::Apps, "directory", None, None),
        one("billing", "fleet", "apps/billing", Layer::Apps, "kustomize", Some("kustomize v5.8.1"), Some(broken)),
        one("cert-manager", "fleet", "platform/cert-manager", Layer::Platform, "kustomize", Some("kustomize v5.8.1"), None),
        one("ledger", "ledger", "deploy", Layer::Apps, "directory", None, None),
        one("monitoring", "fleet", "platform/monitoring", Layer::Platform, "helm", Some("helm v4.3.1"), None),
        one("shop", "fleet", "apps/shop", Layer::Apps, "directory", None, None),
    ]
}

fn backups() -> Vec<BackupReport> {
    let one = |name: &str, schedule: Option<&str>, state: BackupState, phase: &str, minutes: i64, objects: Option<u64>, why: &str| BackupReport {
        name: name.into(),
        schedule: schedule.map(Text::from),
        location: text(if state == BackupState::Unavailable { "offsite" } else { "default" }),
        state,
        reason: state.name().into(),
        why: why.into(),
        evidence: Vec::new(),
        missing: Vec::new(),
        phase: phase.into(),
        created: Some(ago(minutes)),
        start: Some(ago(minutes)),
        completed: (state != BackupState::Pending && state != BackupState::Stuck).then(|| ago(minutes - 4)),
        expires: Some(if state == BackupState::Expired { ago(60) } else { ahead(30 * 1440 - minutes) }),
        objects,
        unread: None,
        agreement: objects.map(|n| Agreement { predicted: n, held: n, ..Agreement::default() }),
        left_out: None,
        speaks_for: if state.usable() { objects.map_or(0, |n| n / 20) } else { 0 },
    };
    let mut weekly =
        one("weekly-20261122030000", Some("weekly"), BackupState::Restorable, "Completed", 2112, None, "Completed, and its location is available.");
    weekly.unread = Some(Failure::new("content_unread", "its content is out of reach; give it as --backup FILE"));
    weekly.speaks_for = 1;
    vec![
        one("before-upgrade", None, BackupState::Pending, "InProgress", 6, None, "Still being made."),
        one("daily-20261123020000", Some("daily"), BackupState::Restorable, "Completed", 732, Some(412), "Completed, and its location is available."),
        weekly,
        one(
            "daily-20261122020000",
            Some("daily"),
            BackupState::Degraded,
            "PartiallyFailed",
            2172,
            Some(398),
            "2 of 400 objects failed: usable, less what it misses.",
        ),
        one(
            "daily-20261121020000",
            Some("daily"),
            BackupState::Invalid,
            "FailedValidation",
            3612,
            None,
            "Velero refused it: the location did not exist.",
        ),
        one("hourly-20261120110000", Some("hourly"), BackupState::Unavailable, "Completed", 4500, None, "Its location offsite is not available."),
        one("stuck-20261120020000", None, BackupState::Stuck, "InProgress", 5052, None, "Running for 3 d 12 h, longer than it ever should."),
        one("other-cluster", None, BackupState::Foreign, "Completed", 6000, Some(90), "Taken from another cluster."),
        one(
            "daily-20261020020000",
            Some("daily"),
            BackupState::Expired,
            "Completed",
            50_000,
            None,
            "Past its expiration: it may vanish at any minute.",
        ),
    ]
}

fn disagreements() -> Vec<DisagreementReport> {
    let row = |id: ObjectId, mismatch: Mismatch, reason: &str, why: &str| Disagreement { id, mismatch, reason: reason.into(), why: why.into() };
    vec![DisagreementReport {
        backup: "daily-20261123020000".into(),
        schedule: text("daily"),
        start: Some(ago(732)),
        newest: true,
        counts: BTreeMap::from([(Mismatch::MissingFromBackup, 1), (Mismatch::UnexpectedInBackup, 1)]),
        objects: vec![
            row(
                ObjectId::new("apps", "Deployment", Some("shop"), "cart"),
                Mismatch::MissingFromBackup,
                "hook_failed",
                "its spec takes it (the backup lists its kind, and it fits the filters) and its archive does not hold it: Velero failed on it: pre hook failed",
            ),
            row(
                ObjectId::new("", "ConfigMap", Some("shop"), SCRIPT),
                Mismatch::UnexpectedInBackup,
                "plugin",
                "its archive holds it, and neither its spec nor anything else that it holds leads to it: most likely a plugin added it",
            ),
        ],
    }]
}

fn schedules(backups: &[BackupReport]) -> Vec<ScheduleReport> {
    let one = |name: &str, cron: &str, interval: u64, due: Option<Timestamp>, state: ScheduleState, why: &str| {
        let own = || backups.iter().filter(|b| b.schedule.as_deref() == Some(name));
        let newest = own().find(|b| b.state.usable());
        ScheduleReport {
            name: name.into(),
            cron: cron.into(),
            time_zone: "UTC".into(),
            state,
            why: why.into(),
            paused: state == ScheduleState::Paused,
            skip_immediately: Some(false),
            location: text("default"),
            created: Some(ago(200_000)),
            last_run: own().next().and_then(|b| b.start),
            last_run_state: own().next().map(|b| b.state),
            failed_runs: 0,
            last_usable_start: newest.and_then(|b| b.start),
            last_usable_expiration: newest.and_then(|b| b.expires),
            last_usable_objects: newest.and_then(|b| b.objects),
            next_due: due,
            overdue_runs: 0,
            interval_seconds: (interval > 0).then_some(interval),
            ttl_seconds: Some(30 * 86_400),
            retention_gap_seconds: interval.saturating_sub(30 * 86_400),
            covered_by: Vec::new(),
            left_out: None,
            backups: tally(&BackupState::ALL, own().map(|b| b.state)),
            problem: (state == ScheduleState::Refused).then(|| why.to_owned()),
        }
    };
    let typo = "`0 2 * *` has 4 fields, Velero wants 5: it never runs";
    let mut all = vec![
        one("daily", "0 2 * * *", 86_400, Some(ahead(708)), ScheduleState::OnTime, "the next run is due in 11 h 48 min"),
        one("hourly", "0 * * * *", 3_600, None, ScheduleState::Paused, "it is paused, so nothing is due; when it is resumed, it runs at once"),
        one("monthly", "0 3 1 * *", 31 * 86_400, Some(ahead(9_000)), ScheduleState::OnTime, "the next run is due in 6 d"),
        one("typo", "0 2 * *", 0, None, ScheduleState::Refused, typo),
        one(
            "weekly",
            "0 3 * * 0",
            604_800,
            Some(ago(190)),
            ScheduleState::Overdue,
            "its next run was due 3 h ago, 1 run is overdue: does Velero run?",
        ),
    ];
    all[0].covered_by = vec!["weekly".into()];
    all[0].left_out = Some(LeftOut {
        unfiltered: true,
        objects: 61,
        own: 3,
        lost: 1,
        names: vec!["StorageClass.storage.k8s.io fast".into(), format!("IngressClass.networking.k8s.io {SCRIPT}")],
        heal: "includedClusterScopedResources: [\"*\"]".into(),
    });
    all[4].overdue_runs = 1;
    all[4].failed_runs = 2;
    all
}

/// The report.
pub fn report() -> Report {
    let objects = objects::objects();
    let backups = backups();
    let source = |name: &str, location: &str, tip: Option<Commit>, failure: Option<Failure>| SourceReport {
        name: SourceName(name.into()),
        location: location.into(),
        reference: "main".into(),
        observed: tip.as_ref().map(|_| ago(131)),
        as_of: Some(ago(if failure.is_some() { 95 } else { 1 })),
        tip,
        failure,
    };
    let refused = Failure::new("auth", "ssh://git@git.example.com/ledger.git refused the key; check that the deploy key is still there");
    let aged = |minutes: i64, failure: Option<Failure>| StageAge { at: Some(ago(minutes)), failure };
    Report {
        schema: SCHEMA.into(),
        now: now(),
        as_of: AsOf {
            git: BTreeMap::from([(SourceName("fleet".into()), aged(1, None)), (SourceName("ledger".into()), aged(95, Some(refused.clone())))]),
            cluster: aged(0, None),
            backups: aged(2, None),
            schemas: SchemaState { documents: 24, definitions: 31, failure: None },
        },
        summary: summary(&objects),
        windows: windows(&objects),
        apps: apps(&objects),
        schedules: schedules(&backups),
        backups,
        disagreements: disagreements(),
        volumes: protection::volumes(),
        restores: protection::restores(),
        proofs: protection::proofs(),
        locations: vec![
            LocationReport { name: "default".into(), available: true, default: true, read_only: false, message: None, validated: None, stale: false },
            LocationReport {
                name: "offsite".into(),
                available: false,
                default: false,
                read_only: true,
                message: Some("bucket offsite: access denied".into()),
                validated: None,
                stale: false,
            },
        ],
        sources: vec![
            source(
                "fleet",
                "https://git.example.com/platform/fleet.git",
                Some(commit("9be0", "Jonas Weber", "Merge branch 'flags' into main", 131, true)),
                None,
            ),
            source(
                "ledger",
                "ssh://git@git.example.com/ledger.git",
                Some(commit("c0de", "Ravi Shah", "ledger-api: back to 1.8.2", 1420, false)),
                Some(refused),
            ),
        ],
        blind_spots: vec![
            BlindSpot {
                what: "certificates.cert-manager.io".into(),
                reason: "forbidden".into(),
                message: "403 on list. Grant list and watch on certificates.cert-manager.io; snapgap rbac prints the role.".into(),
                matters: true,
            },
            BlindSpot {
                what: "*.metrics.k8s.io".into(),
                reason: "stale_group".into(),
                message: "The aggregated API does not answer. Repair or remove the APIService v1beta1.metrics.k8s.io.".into(),
                matters: false,
            },
        ],
        suppressed: vec![
            Suppressed {
                rule: "server-defaults".into(),
                reason: "The API server fills them in.".into(),
                origin: "built in".into(),
                fields: 1204,
                objects: 310,
            },
            Suppressed {
                rule: "hpa-replicas".into(),
                reason: "A HorizontalPodAutoscaler owns the replicas.".into(),
                origin: "built in".into(),
                fields: 4,
                objects: 4,
            },
        ],
        notes: vec![Note {
            reason: "sandbox_reduced".into(),
            message: "Renderers run without a network namespace on this kernel; the network is cut by seccomp alone.".into(),
        }],
        objects,
    }
}

/// A report in which nothing is wrong.
pub fn clean() -> Report {
    let mut report = report();
    report.objects.retain(|o| !o.is_finding() && o.recovery != Recovery::Unknown);
    report.summary = summary(&report.objects);
    report.summary.window = WindowState::Closed;
    for rollup in &mut report.windows {
        let objective = rollup.objective_seconds;
        *rollup = self::rollup(rollup.of.clone(), WindowState::Closed, None, [0; 4], objective / 3600, vec![]);
    }
    report.apps = apps(&report.objects);
    report.apps.iter_mut().for_each(|app| app.failure = None);
    report.sources.iter_mut().for_each(|source| source.failure = None);
    report.volumes.clear();
    report.blind_spots.clear();
    report.notes.clear();
    for age in report.as_of.git.values_mut() {
        age.failure = None;
    }
    report
}

/// Evidence of one object.
pub fn evidence(id: &ObjectId) -> Option<Evidence> {
    report().objects.iter().any(|o| o.id == *id).then(|| Evidence {
        facts: vec![
            Fact { label: "Declared in".into(), value: "apps/shop/cart.yaml, line 12, at 9be09be".into() },
            Fact { label: "Live".into(), value: "uid 5f1e…, last written by argocd-controller 3 h 10 min ago".into() },
            Fact { label: "Hostile".into(), value: SCRIPT.into() },
        ],
        diffs: vec![
            Diff {
                title: "Git against cluster".into(),
                text: "--- git\n+++ cluster\n@@ -8,7 +8,7 @@\n spec:\n-  replicas: 3\n+  replicas: 5\n   selector: {}\n-# <script>alert(1)</script>\n".into(),
            },
            Diff { title: "Git against backup".into(), text: "--- git\n+++ backup\n@@ -31 +31 @@\n-  image: registry.example.com/ledger/api:1.8.2\n+  image: registry.example.com/ledger/api:1.8.3-hotfix\n".into() },
            Diff { title: "Cluster against backup".into(), text: String::new() },
        ],
        notes: vec!["Secret values are compared by keyed hash and shown nowhere.".into()],
    })
}

#[test]
fn sample_report_is_the_document_that_the_outer_tests_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/http/report.json");
    let document = serde_json::to_string_pretty(&report()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file == document, "tests/data/http/report.json is older than the code: run UPDATE=1 cargo test --lib sample_report");
    assert_eq!(serde_json::from_str::<Report>(&file).unwrap(), report());
}
