//! The objects of the sample: every verdict on both axes, and hostile names. pure

use super::{RIGHT_TO_LEFT, SCRIPT, ago, ahead, app, commit, start, text};
use crate::{
    config::{Layer, SourceName},
    drift::LeafClass,
    object::ObjectId,
    report::model::*,
    witness::Commit,
};

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
        confirmed: None,
        operational: false,
        terminating: false,
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

    /// What the server's dry run said.
    fn confirmed(mut self, answer: Answer, fields: Vec<ConfirmedField>) -> Self {
        self.0.confirmed = Some(Confirmed { answer, manager: text("argocd-controller"), at: Some(ago(2)), reason: None, message: None, fields });
        self
    }

    fn window(mut self, stage: Stage, start: Option<Start>, cause: Cause, commits: Vec<Commit>) -> Self {
        if cause != Cause::Unknown {
            self.0.sides.backup = Presence::Present;
        }
        self.0.window = Some(Box::new(Window { stage, start, cause, commits, closes_at: Some(ahead(708)) }));
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
            writer: None,
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

pub(super) fn objects() -> Vec<ObjectReport> {
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
        .confirmed(Answer::Agrees, vec![])
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
        .confirmed(
            Answer::Differs,
            vec![ConfirmedField {
                path: "spec.template.spec.containers[name=api].image".into(),
                deed: Deed::Alters,
                then: Some("\"mirror.example.com/ledger/api:1.8.2\"".into()),
            }],
        )
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
        object("", "PersistentVolumeClaim", Some("shop"), "orders", Drift::Unmanaged, Recovery::Backup, "Only the backup has it."),
        object("", "PersistentVolumeClaim", Some("shop"), "uploads", Drift::Unmanaged, Recovery::Backup, "Only the backup has it."),
        object("", "ConfigMap", Some("kube-system"), "cluster-info", Drift::Unmanaged, Recovery::Backup, "Only the backup has it.")
            .layer(Layer::Cluster),
    ];
    let mut objects: Vec<_> = seeds.into_iter().map(|seed| seed.0).collect();
    if let Some(web) = objects.iter_mut().find(|o| &*o.id.name == "web") {
        web.suppressed = 3;
    }
    objects
}
