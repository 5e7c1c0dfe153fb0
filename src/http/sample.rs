//! A report with every state in it, and with names that mean harm: what page, API and metrics are tested on. pure
//!
//! tests/data/http/report.json is this report as a document, for the tests that drive the listener from outside
//! (`UPDATE=1 cargo test --lib sample_report` writes it).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{AppName, Layer, SourceName},
    drift::LeafClass,
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

struct Seed(ObjectReport);

fn object(group: &str, kind: &str, namespace: Option<&str>, name: &str, drift: Drift, recovery: Recovery, why: &str) -> Seed {
    let on = |yes: bool| if yes { Presence::Present } else { Presence::Absent };
    let git = !matches!(drift, Drift::Unmanaged | Drift::Derived | Drift::Gone | Drift::Removed);
    let live = !matches!(drift, Drift::Missing | Drift::Gone);
    let backup = matches!(recovery, Recovery::Either | Recovery::Backup | Recovery::BackupStale | Recovery::Resurrected);
    let layer = if namespace == Some("cert-manager") { Layer::Platform } else { Layer::Apps };
    Seed(ObjectReport {
        id: ObjectId::new(group, kind, namespace, name),
        version: "v1".into(),
        app: None,
        source: None,
        layer,
        sides: Sides { git: on(git), cluster: on(live), backup: on(backup) },
        drift,
        drift_since: None,
        recovery,
        why: why.into(),
        window: None,
        backup: text("daily-20261123020000"),
        unknown: vec![],
        fields: vec![],
        suppressed: 0,
        file: None,
        line: None,
    })
}

impl Seed {
    fn app(mut self, name: &str, source: &str) -> Self {
        self.0.app = app(name);
        self.0.source = Some(SourceName(source.into()));
        self
    }

    fn layer(mut self, layer: Layer) -> Self {
        self.0.layer = layer;
        self
    }

    fn since(mut self, minutes: i64) -> Self {
        self.0.drift_since = Some(ago(minutes));
        self
    }

    fn at(mut self, file: &str, line: u32) -> Self {
        self.0.file = text(file);
        self.0.line = Some(line);
        self
    }

    fn window(mut self, stage: Stage, start: Option<Start>, cause: Cause, commits: Vec<Commit>) -> Self {
        if cause != Cause::Unknown {
            self.0.sides.backup = Presence::Present;
        }
        self.0.window = Some(Window { stage, start, cause, commits, closes_at: Some(ahead(708)) });
        self
    }

    fn field(mut self, path: &str, class: LeafClass, sides: [Option<&str>; 3], owner: &str, minutes: i64, line: Option<u32>) -> Self {
        let own = |v: Option<&str>| v.map(str::to_owned);
        let [desired, live, backed_up] = sides;
        self.0.fields.push(FieldReport {
            path: path.into(),
            class: Some(class),
            desired: own(desired),
            live: own(live),
            backed_up: own(backed_up),
            owner: text(owner),
            time: Some(ago(minutes)),
            file: line.and(self.0.file.clone()),
            line,
        });
        self
    }

    fn unknown(mut self, side: Side, reason: &str, message: &str) -> Self {
        self.0.unknown.push(UnknownSide { side, reason: reason.into(), message: message.into() });
        match side {
            Side::Git => self.0.sides.git = Presence::Unknown,
            Side::Cluster => self.0.sides.cluster = Presence::Unknown,
            Side::Backup => self.0.sides.backup = Presence::Unknown,
        }
        self
    }
}

fn objects() -> Vec<ObjectReport> {
    let raise = commit("4f1c", "Mara Lindt", "cart: raise the memory limit for the sale", 192, false);
    let merge = commit("9be0", "Jonas Weber", "Merge branch 'flags' into main", 131, true);
    let limits = || vec![merge.clone(), raise.clone()];
    let behind = || Cause::Behind { holds: Some(commit("77ad", "Mara Lindt", "cart: 2.3.0", 2890, false)) };
    let render = "kustomize build failed: accumulating resources: open ../base: no such file";
    let seeds = vec![
        object(
            "apps",
            "Deployment",
            Some("shop"),
            "cart",
            Drift::InSync,
            Recovery::Split,
            "Applied, but the newest backup holds the state of 77ad77a. A restore brings back the old limit; Git wins.",
        )
        .app("shop", "fleet")
        .at("apps/shop/cart.yaml", 12)
        .window(Stage::Unsnapshotted, Some(start(192, Basis::Observed)), behind(), limits()),
        object(
            "",
            "ConfigMap",
            Some("shop"),
            "cart-flags",
            Drift::Changed,
            Recovery::Split,
            "Not applied yet: Git has it, cluster and backup are older.",
        )
        .app("shop", "fleet")
        .since(131)
        .at("apps/shop/flags.yaml", 3)
        .window(Stage::Pending, Some(start(131, Basis::Merge)), behind(), vec![merge.clone()])
        .field(
            "data.checkout-v2",
            LeafClass::Changed,
            [Some("\"on\""), Some("\"off\""), Some("\"off\"")],
            "argocd-controller",
            4000,
            Some(9),
        ),
        object(
            "apps",
            "Deployment",
            Some("ledger"),
            "ledger-api",
            Drift::Changed,
            Recovery::Split,
            "Changed by hand, and the backup captured the hand-made state. Revert it, or commit it.",
        )
        .app("ledger", "ledger")
        .since(1460)
        .at("deploy/api.yaml", 1)
        .window(
            Stage::Pending,
            Some(start(1420, Basis::Commit)),
            Cause::CapturedDrift { owner: text("kubectl-edit"), time: Some(ago(1460)) },
            vec![commit("c0de", "Ravi Shah", "ledger-api: back to 1.8.2", 1420, false)],
        )
        .field(
            "spec.template.spec.containers[name=api].image",
            LeafClass::Changed,
            [
                Some("\"registry.example.com/ledger/api:1.8.2\""),
                Some("\"registry.example.com/ledger/api:1.8.3-hotfix\""),
                Some("\"registry.example.com/ledger/api:1.8.3-hotfix\""),
            ],
            "kubectl-edit",
            1460,
            Some(31),
        )
        .field("spec.replicas", LeafClass::Changed, [Some("3"), Some("5"), Some("5")], "kubectl-scale", 1455, Some(8))
        .field(
            "spec.template.spec.containers[name=api].resources.limits.memory",
            LeafClass::Missing,
            [Some("\"512Mi\""), None, None],
            "kubectl-edit",
            1460,
            Some(40),
        )
        .field(
            "spec.template.spec.containers[name=api].env[name=DEBUG]",
            LeafClass::Added,
            [None, Some("{\"name\":\"DEBUG\",\"value\":\"1\"}"), Some("{\"name\":\"DEBUG\",\"value\":\"1\"}")],
            "kubectl-edit",
            1460,
            None,
        ),
        object(
            "",
            "Service",
            Some("ledger"),
            "ledger-metrics",
            Drift::Missing,
            Recovery::Split,
            "Declared, but not in the cluster and in no usable backup.",
        )
        .app("ledger", "ledger")
        .since(95)
        .at("deploy/metrics.yaml", 1)
        .window(Stage::Pending, None, Cause::Unknown, vec![]),
        object(
            "networking.k8s.io",
            "Ingress",
            Some("shop"),
            "cart-legacy",
            Drift::Removed,
            Recovery::Backup,
            "Git dropped it, it still runs. Delete it, or put it back into Git.",
        )
        .app("shop", "fleet")
        .since(5800),
        object(
            "rbac.authorization.k8s.io",
            "ClusterRole",
            None,
            "cert-reader",
            Drift::Added,
            Recovery::Either,
            "In sync, but a person added a rule that Git does not have.",
        )
        .app("cert-manager", "fleet")
        .layer(Layer::Platform)
        .since(320)
        .at("platform/cert-manager/rbac.yaml", 4)
        .field(
            "rules[3]",
            LeafClass::Added,
            [None, Some("{\"apiGroups\":[\"\"],\"resources\":[\"secrets\"],\"verbs\":[\"get\"]}"), None],
            "kubectl-client-side-apply",
            320,
            None,
        ),
        object(
            "",
            "Secret",
            Some("ledger"),
            "db-credentials",
            Drift::Unmanaged,
            Recovery::Lost,
            "Neither Git nor any usable backup has it: the schedules leave out Secrets. Back it up, or declare it.",
        )
        .since(90_000)
        .layer(Layer::Apps),
        object(
            "",
            "PersistentVolumeClaim",
            Some("ledger"),
            "exports",
            Drift::Unmanaged,
            Recovery::Lost,
            "Created after the newest backup started, and not in Git.",
        )
        .since(340),
        object("", "ConfigMap", Some("shop"), SCRIPT, Drift::Unmanaged, Recovery::Lost, "Only the cluster has it; its name is <b>not</b> markup.")
            .since(30),
        object("", "ConfigMap", Some("shop"), RIGHT_TO_LEFT, Drift::Unmanaged, Recovery::Lost, "Only the cluster has it.").since(30),
        object("", "ConfigMap", Some("shop"), "two\nlines", Drift::Unmanaged, Recovery::Lost, "Only the cluster has it.").since(30),
        object(
            "example.com",
            "Widget",
            Some("shop"),
            &"very-long-name-".repeat(17)[..253],
            Drift::Unmanaged,
            Recovery::Lost,
            "Only the cluster has it.",
        )
        .since(30),
        object(
            "",
            "ConfigMap",
            Some("ledger"),
            "exchange-rates",
            Drift::Unmanaged,
            Recovery::BackupStale,
            "Only the backup has it, and 14 fields changed since its start.",
        )
        .since(80_000)
        .field("data.EUR-USD", LeafClass::Changed, [None, Some("\"1.1622\""), Some("\"1.1588\"")], "rates-sync", 12, None),
        object(
            "batch",
            "CronJob",
            Some("shop"),
            "nightly-import",
            Drift::Gone,
            Recovery::Resurrected,
            "Removed from Git and cluster 3 days ago; a restore of the newest backup brings it back, and it would run.",
        )
        .app("shop", "fleet")
        .window(
            Stage::Resurrection,
            Some(start(4320, Basis::Merge)),
            Cause::Behind { holds: None },
            vec![commit("5ca1", "Mara Lindt", "shop: drop the nightly import", 4320, false)],
        ),
        object(
            "batch",
            "Job",
            Some("ledger"),
            "migrate-0042",
            Drift::Gone,
            Recovery::Resurrected,
            "Deleted since the backup started; a restore runs it a second time.",
        ),
        object("apps", "Deployment", Some("billing"), "billing", Drift::Unknown, Recovery::Unknown, "Git could not be rendered for this app.")
            .app("billing", "fleet")
            .unknown(Side::Git, "render_failed", render),
        object("", "Service", Some("billing"), "billing", Drift::Unknown, Recovery::Unknown, "Git could not be rendered for this app.")
            .app("billing", "fleet")
            .unknown(Side::Git, "render_failed", render),
        object(
            "cert-manager.io",
            "Certificate",
            Some("cert-manager"),
            "wildcard",
            Drift::Unknown,
            Recovery::Unknown,
            "The cluster does not let snapgap list certificates.",
        )
        .app("cert-manager", "fleet")
        .layer(Layer::Platform)
        .unknown(
            Side::Cluster,
            "forbidden",
            "certificates.cert-manager.io is forbidden: grant list and watch on it (snapgap rbac prints the role)",
        ),
        object("", "ConfigMap", Some("monitoring"), "alert-rules", Drift::InSync, Recovery::Unknown, "The backup that covers it could not be read.")
            .app("monitoring", "fleet")
            .layer(Layer::Platform)
            .unknown(Side::Backup, "content_unread", "backup weekly-20261122030000: its content is out of reach; give it as --backup FILE"),
        object("apps", "Deployment", Some("shop"), "web", Drift::InSync, Recovery::Either, "Git and backup both hold it.").app("shop", "fleet"),
        object("", "Service", Some("shop"), "web", Drift::InSync, Recovery::Either, "Git and backup both hold it.").app("shop", "fleet"),
        object("apps", "ReplicaSet", Some("shop"), "web-7d9f", Drift::Derived, Recovery::Derived, "Made by Deployment shop/web."),
        object("apps", "Deployment", Some("monitoring"), "grafana", Drift::InSync, Recovery::Git, "By design only Git holds it.")
            .app("monitoring", "fleet")
            .layer(Layer::Platform),
        object("", "ConfigMap", Some("kube-system"), "cluster-info", Drift::Unmanaged, Recovery::Backup, "Only the backup has it.")
            .layer(Layer::Cluster),
    ];
    let mut objects: Vec<_> = seeds.into_iter().map(|seed| seed.0).collect();
    if let Some(web) = objects.iter_mut().find(|o| &*o.id.name == "web") {
        web.suppressed = 3;
    }
    objects
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
        why: why.into(),
        phase: phase.into(),
        start: Some(ago(minutes)),
        completed: (state != BackupState::Pending && state != BackupState::Stuck).then(|| ago(minutes - 4)),
        expires: Some(if state == BackupState::Expired { ago(60) } else { ahead(30 * 1440 - minutes) }),
        objects,
        unread: None,
        speaks_for: objects.map_or(0, |n| n / 20),
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

fn schedules(backups: &[BackupReport]) -> Vec<ScheduleReport> {
    let one = |name: &str, cron: &str, interval: u64, due: Option<Timestamp>, paused: bool, problem: Option<&str>| {
        let own = || backups.iter().filter(|b| b.schedule.as_deref() == Some(name));
        let newest = own().find(|b| b.state.usable());
        ScheduleReport {
            name: name.into(),
            cron: cron.into(),
            paused,
            location: text("default"),
            created: Some(ago(200_000)),
            last_usable_start: newest.and_then(|b| b.start),
            last_usable_expiration: newest.and_then(|b| b.expires),
            last_usable_objects: newest.and_then(|b| b.objects),
            next_due: due,
            interval_seconds: (interval > 0).then_some(interval),
            backups: tally(&BackupState::ALL, own().map(|b| b.state)),
            problem: problem.map(str::to_owned),
        }
    };
    vec![
        one("daily", "0 2 * * *", 86_400, Some(ahead(708)), false, None),
        one("hourly", "0 * * * *", 3_600, None, true, None),
        one("typo", "0 2 * *", 0, None, false, Some("`0 2 * *` has 4 fields, Velero wants 5: it never runs")),
        one("weekly", "0 3 * * 0", 604_800, Some(ahead(7968)), false, None),
    ]
}

/// The report.
pub fn report() -> Report {
    let objects = objects();
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
        },
        summary: summary(&objects),
        windows: windows(&objects),
        apps: apps(&objects),
        schedules: schedules(&backups),
        backups,
        locations: vec![
            LocationReport { name: "default".into(), available: true, default: true, read_only: false, message: None },
            LocationReport {
                name: "offsite".into(),
                available: false,
                default: false,
                read_only: true,
                message: Some("bucket offsite: access denied".into()),
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
            Suppressed { rule: "server-defaults".into(), reason: "The API server fills them in.".into(), fields: 1204, objects: 310 },
            Suppressed { rule: "hpa-replicas".into(), reason: "A HorizontalPodAutoscaler owns the replicas.".into(), fields: 4, objects: 4 },
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
