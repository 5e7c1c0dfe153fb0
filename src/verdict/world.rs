//! A small language to build worlds for tests: what Git declares, what runs, what is backed up. pure

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Inputs, Memo, Onsets, judge};
use crate::{
    config::{App, AppName, ArchiveLimits, Cluster, Config, History, LayerRules, Metrics, Render, Renderer, Sandbox, SourceName, Velero, Web},
    object::{GroupKind, Object, Redactor, admit, builtin::builtin},
    report::model::{ObjectReport, Report},
    velero::Scope,
    witness::{
        Answers, AppHistory, AppState, Archive, BackedUp, Backup, BackupContent, BackupState, Commit, Declared, Desired, Failure, KindState, Listing,
        Live, MissingObject, Observed, Origin, PastState, RenderEvidence, Rendered, Schedule, Side, SideFiles, SourceState, Tip, VolumeCopy,
    },
};

/// A moment of the day on which every test plays.
pub(crate) fn at(clock: &str) -> Timestamp {
    format!("2026-03-02T{clock}:00Z").parse().expect("a time of day")
}

/// An object as it comes out of the one door.
pub(crate) fn take(value: Value) -> Object {
    admit(value, &Redactor::new([7; 32])).expect("an object")
}

/// A CustomResourceDefinition.
pub(crate) fn crd(plural: &str, group: &str, kind: &str, scope: &str) -> Value {
    json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":format!("{plural}.{group}")},
        "spec":{"group":group,"names":{"plural":plural,"kind":kind},"scope":scope}})
}

/// An app of the only source.
pub(crate) fn app(name: &str, namespace: Option<&str>) -> App {
    App {
        name: AppName(name.into()),
        source: SourceName("main".into()),
        path: format!("apps/{name}"),
        namespace: namespace.map(Into::into),
        layer: None,
        renderer: Renderer::Directory(Default::default()),
    }
}

/// A commit by Ada.
pub(crate) fn commit(sha: &str, clock: &str) -> Commit {
    Commit { sha: sha.into(), author: "Ada".into(), subject: format!("change {sha}").into(), time: at(clock), merge: false }
}

/// Filters that hold these namespaces and resources; empty means all.
pub(crate) fn scope_of(namespaces: &[&str], resources: &[&str]) -> Scope {
    let or_all = |t: &[&str]| if t.is_empty() { json!(["*"]) } else { json!(t) };
    let spec = json!({"includedNamespaces":or_all(namespaces),"includedResources":or_all(resources),"includeClusterResources":namespaces.is_empty()});
    Scope::of_backup(&spec, true)
}

/// Filters of which nothing can be said.
pub(crate) fn scope_unknown() -> Scope {
    Scope::of_backup(&json!({"includedClusterScopedResources":["*"],"resourcePolicy":{"kind":"configmap","name":"gone"}}), true)
}

/// One backup.
pub(crate) struct Snapshot(Backup);

impl Snapshot {
    pub(crate) fn new(name: &str, clock: &str) -> Self {
        Self(Backup {
            name: name.into(),
            schedule: None,
            location: None,
            phase: "Completed".into(),
            state: BackupState::Restorable,
            reason: "completed".into(),
            why: "completed".into(),
            remarks: Vec::new(),
            missing: Vec::new(),
            created: Some(at(clock)),
            start: Some(at(clock)),
            completed: Some(at(clock)),
            expires: None,
            errors: 0,
            warnings: 0,
            scope: Arc::new(scope_of(&[], &[])),
            content: BackupContent::Read(Arc::default()),
            side: Arc::default(),
            volumes: Default::default(),
        })
    }

    pub(crate) fn holding(mut self, objects: Vec<Value>) -> Self {
        let objects = objects.into_iter().map(take).map(Arc::new).collect();
        self.0.content = BackupContent::Read(Arc::new(Archive { objects, ..Archive::default() }));
        self
    }

    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.0.scope = Arc::new(scope);
        self
    }

    pub(crate) fn state(mut self, state: BackupState) -> Self {
        self.0.state = state;
        self
    }

    /// It ended as PartiallyFailed and does not hold this.
    pub(crate) fn failed_on(mut self, resource: &str, namespace: &str, name: &str) -> Self {
        self.0.state = BackupState::Degraded;
        self.0.missing.push(MissingObject {
            resource: Some(resource.into()),
            namespace: Some(namespace.into()),
            name: name.into(),
            held: Some(false),
            message: "Error backing up item: pre hook failed".into(),
        });
        self
    }

    /// Its files about volumes were read, and say this.
    pub(crate) fn volumes(mut self, copies: Vec<VolumeCopy>) -> Self {
        let side = SideFiles { volumes: Side::Read(copies), ..SideFiles::default() };
        self.0.side = Arc::new(side);
        self
    }

    /// Changes whatever else a test needs.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Backup)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn of(mut self, schedule: &str) -> Self {
        self.0.schedule = Some(schedule.into());
        self
    }

    pub(crate) fn unread(mut self) -> Self {
        self.0.content = BackupContent::Unread(Failure::new("content_unread", "its content was not read"));
        self
    }

    pub(crate) fn ended(mut self, clock: &str) -> Self {
        self.0.completed = Some(at(clock));
        self
    }

    pub(crate) fn broken(mut self) -> Self {
        self.0.content = BackupContent::Damaged(Failure::new("archive_truncated", "the archive ends too early"));
        self
    }

    pub(crate) fn damaged(mut self, file: &str) -> Self {
        self.0.content = BackupContent::Read(Arc::new(Archive { unreadable: [file.into()].into(), ..Archive::default() }));
        self
    }
}

/// A whole world.
#[derive(Clone)]
pub(crate) struct World {
    pub declared: Declared,
    pub live: Live,
    pub backed_up: BackedUp,
    pub config: Config,
    pub onsets: Onsets,
    pub answers: Answers,
    pub now: Timestamp,
}

fn config() -> Config {
    Config {
        sources: Default::default(),
        apps: Default::default(),
        cluster: Cluster::default(),
        velero: Velero {
            namespace: "velero".into(),
            backups: Vec::new(),
            limits: ArchiveLimits { entries: 1, object_bytes: 1, total_bytes: 1, time: Duration::from_secs(1) },
            stores: Vec::new(),
            downloads: None,
            read: Default::default(),
            interval: Duration::from_secs(60),
            max_cache: 0,
            time_zone: None,
        },
        layers: LayerRules::default(),
        ignore: Vec::new(),
        managers: Default::default(),
        render: Render {
            sandbox: Sandbox::Strict,
            kustomize: "kustomize".into(),
            helm: "helm".into(),
            timeout: Duration::from_secs(1),
            memory_bytes: 1,
            output_bytes: 1,
        },
        stale_after: Duration::from_secs(900),
        history: History { commits: 1, renders: 1 },
        web: Web { listen: ([127, 0, 0, 1], 0).into(), token_file: None, tls: None, enable_lifecycle: false },
        metrics: Metrics { max_object_series: 1, max_namespaces: 1, max_schedules: 1 },
        cache_dir: "cache".into(),
        state_file: None,
    }
}

impl World {
    /// Nothing declared, nothing running, nothing backed up; every witness read at noon.
    pub(crate) fn new() -> Self {
        let now = at("12:00");
        let source = SourceState {
            location: "https://git.example.com/fleet.git".into(),
            reference: "main".into(),
            tip: Some(Tip { commit: commit("t1p", "11:00"), observed: None }),
            as_of: Some(now),
            failure: None,
        };
        let mut world = Self {
            declared: Declared { sources: [(SourceName("main".into()), source)].into(), apps: Default::default() },
            live: Live { discovered: true, as_of: Some(now), ..Live::default() },
            backed_up: BackedUp { as_of: Some(now), ..BackedUp::default() },
            config: config(),
            onsets: Onsets::default(),
            answers: Answers::default(),
            now,
        };
        for (group, kind) in
            [("", "ConfigMap"), ("", "Secret"), ("", "Namespace"), ("apps", "Deployment"), ("rbac.authorization.k8s.io", "ClusterRole")]
        {
            let scope = builtin(group, kind).expect("a built-in kind").namespaced;
            world.serve(GroupKind::new(group, kind), scope);
        }
        world
    }

    /// One app, in sync, with an older backup: `cart` differs in the backup, `pay` does not, `front` is not in it.
    pub(crate) fn sample() -> Self {
        let all = |replicas| vec![Self::deployment("cart", replicas), Self::deployment("pay", 1)];
        let with_front = |replicas| all(replicas).into_iter().chain([Self::deployment("front", 1)]).collect::<Vec<_>>();
        let world = Self::new().declares("shop", with_front(3)).runs(with_front(3)).backup(Snapshot::new("nightly", "01:00").holding(all(2)));
        let world = world.history("shop", Self::deployment("cart", 3), &[(Some(3), "c3", "10:00"), (Some(2), "c2", "00:30")]);
        world.history("shop", Self::deployment("front", 1), &[(Some(1), "c3", "10:00"), (None, "c1", "00:10")]).complete("shop")
    }

    /// A Deployment in namespace `shop`.
    pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
        json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":name,"namespace":"shop"},
            "spec":{"replicas":replicas,"template":{"spec":{"containers":[{"name":"app","image":"example/app:v1"}]}}}})
    }

    /// A ConfigMap in a namespace.
    pub(crate) fn config_map(namespace: &str, name: &str, value: &str) -> Value {
        json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":name,"namespace":namespace},"data":{"k":value}})
    }

    fn serve(&mut self, gk: GroupKind, namespaced: bool) {
        let plural = builtin(&gk.group, &gk.kind).map_or_else(|| format!("{}s", gk.kind.to_lowercase()), |b| b.plural.to_owned());
        let state =
            KindState { plural: plural.into(), version: "v1".into(), versions: Vec::new(), namespaced, listing: Listing::Complete, told: None };
        self.live.kinds.entry(gk).or_insert(state);
    }

    /// Adds an app that was not rendered.
    pub(crate) fn app(mut self, app: App) -> Self {
        self.config.apps.insert(app.name.clone(), app.clone());
        let state = AppState { app: app.clone(), rendered: None, failure: None, history: Arc::default() };
        self.declared.apps.insert(app.name, state);
        self
    }

    fn state(&mut self, app: &str) -> &mut AppState {
        self.declared.apps.get_mut(&AppName(app.into())).expect("an app that was added")
    }

    /// Adds an app with destination `shop`, or replaces what it declares.
    pub(crate) fn declares(mut self, name: &str, objects: Vec<Value>) -> Self {
        if !self.declared.apps.contains_key(&AppName(name.into())) {
            self = self.app(app(name, Some("shop")));
        }
        let origin = |line| Some(Origin { file: format!("apps/{name}/all.yaml").into(), line, lines: Arc::default() });
        let objects = objects.into_iter().enumerate().map(|(n, o)| Desired { object: take(o), origin: origin(n as u32 * 10 + 1) }).collect();
        let evidence = RenderEvidence { renderer: "directory".into(), tool: None, closure: "c".into(), sandbox: None, hooks: 0 };
        let rendered = Rendered { revision: "t1p".into(), at: self.now, objects, evidence, diagnostics: Vec::new() };
        self.state(name).rendered = Some(Arc::new(rendered));
        self
    }

    /// Makes the newest render of an app fail.
    pub(crate) fn fails(mut self, app: &str, reason: &str) -> Self {
        self.state(app).failure = Some(Failure::new(reason, format!("app {app} cannot be rendered")));
        self
    }

    fn amend(&mut self, app: &str, change: impl FnOnce(&mut AppHistory)) {
        let state = self.state(app);
        let mut history = (*state.history).clone();
        change(&mut history);
        state.history = Arc::new(history);
    }

    /// The states of a Deployment, newest first: replicas (`None` = not declared), commit and time.
    pub(crate) fn history(mut self, app: &str, object: Value, states: &[(Option<u32>, &str, &str)]) -> Self {
        let of = |(replicas, sha, clock): &(Option<u32>, &str, &str)| {
            let mut past = object.clone();
            past["spec"]["replicas"] = json!(replicas);
            PastState { since: Some(commit(sha, clock)), object: replicas.map(|_| Arc::new(take(past))) }
        };
        let states = states.iter().map(of).collect();
        let id = take(object.clone()).id;
        self.amend(app, |h| drop(h.objects.insert(id, states)));
        self
    }

    /// An object that an app declared and removed.
    pub(crate) fn removed(mut self, app: &str, object: Value, sha: &str, clock: &str) -> Self {
        let object = take(object);
        let states = vec![
            PastState { since: Some(commit(sha, clock)), object: None },
            PastState { since: Some(commit("older", "00:01")), object: Some(Arc::new(object.clone())) },
        ];
        self.amend(app, |h| drop(h.objects.insert(object.id.clone(), states)));
        self
    }

    /// The search through an app's history went down to the root.
    pub(crate) fn complete(mut self, app: &str) -> Self {
        self.amend(app, |h| h.complete = true);
        self
    }

    /// The tip, and between which polls it was seen.
    pub(crate) fn tip(mut self, commit: Commit, observed: Option<(&str, &str)>) -> Self {
        let observed = observed.map(|(a, b)| Observed { not_before: at(a), not_after: at(b) });
        self.source().tip = Some(Tip { commit, observed });
        self
    }

    fn source(&mut self) -> &mut SourceState {
        self.declared.sources.get_mut(&SourceName("main".into())).expect("the source")
    }

    pub(crate) fn source_as_of(mut self, clock: Option<&str>) -> Self {
        self.source().as_of = clock.map(at);
        self
    }

    /// Adds live objects, or replaces them.
    pub(crate) fn runs(mut self, objects: Vec<Value>) -> Self {
        for object in objects.into_iter().map(take) {
            self.serve(object.id.gk.clone(), object.id.namespace.is_some());
            self.live.objects.insert(object.id.clone(), Arc::new(object));
        }
        self
    }

    /// Forgets what discovery says of kinds.
    pub(crate) fn without_kinds(mut self) -> Self {
        self.live.kinds.clear();
        self
    }

    pub(crate) fn listing(mut self, group: &str, kind: &str, listing: Listing) -> Self {
        self.live.kinds.get_mut(&GroupKind::new(group, kind)).expect("a served kind").listing = listing;
        self
    }

    pub(crate) fn broken_group(mut self, group: &str) -> Self {
        self.live.broken_groups.insert(group.into(), Failure::new("stale_group", "its server does not answer"));
        self
    }

    /// Makes the view one of a single namespace.
    pub(crate) fn only_namespace(mut self, namespace: &str) -> Self {
        self.live.namespaces = Some([namespace.into()].into());
        self
    }

    pub(crate) fn undiscovered(mut self) -> Self {
        self.live.discovered = false;
        self
    }

    pub(crate) fn cluster_as_of(mut self, at: Option<Timestamp>) -> Self {
        self.live.as_of = at;
        self
    }

    pub(crate) fn backup(mut self, snapshot: Snapshot) -> Self {
        self.backed_up.backups.push(snapshot.0);
        self
    }

    pub(crate) fn backups_as_of(mut self, at: Option<Timestamp>) -> Self {
        self.backed_up.as_of = at;
        self
    }

    /// Adds a schedule of everything.
    pub(crate) fn schedule(mut self, name: &str, due: Option<&str>) -> Self {
        self.backed_up.schedules.push(Schedule {
            name: name.into(),
            cron: "0 1 * * *".into(),
            zone: jiff::tz::TimeZone::UTC,
            paused: false,
            created: None,
            last_backup: None,
            counts_from: at("01:00"),
            skip_immediately: None,
            ttl: None,
            next_due: due.map(at),
            interval: Some(Duration::from_secs(86_400)),
            location: None,
            scope: Arc::new(scope_of(&[], &[])),
            problem: None,
        });
        self
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            declared: &self.declared,
            live: &self.live,
            backed_up: &self.backed_up,
            config: &self.config,
            onsets: &self.onsets,
            answers: &self.answers,
            now: self.now,
        }
    }

    /// The report, from cold.
    pub(crate) fn judge(&self) -> Report {
        judge(&self.inputs(), &mut Memo::default())
    }

    /// The only object of this kind and name.
    pub(crate) fn verdict(&self, kind: &str, name: &str) -> ObjectReport {
        let mut all: Vec<ObjectReport> = self.judge().objects.into_iter().filter(|o| &*o.id.gk.kind == kind && &*o.id.name == name).collect();
        assert_eq!(all.len(), 1, "{kind} {name}: {all:?}");
        all.remove(0)
    }
}
