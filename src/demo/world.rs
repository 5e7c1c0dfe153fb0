//! Builds and changes the demo's world on disk. I/O: one folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    cluster::{DemoCluster, seconds},
    files::Decisions,
};
use crate::{
    git::{BuildError, RepoBuilder},
    object::{GroupKind, yaml},
    velero::{
        Names,
        archive::write::{WriteError, write_backup, write_beside},
        beside::SideFile,
    },
};

/// Why the world cannot be built.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] BuildError),
    /// A backup.
    #[error(transparent)]
    Backup(#[from] WriteError),
    /// A file.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest of the demo's own.
    #[error("a manifest of the demo is no YAML: {0}")]
    Manifest(String),
}

/// Where the apps lie, and into which namespace they go.
const APPS: [(&str, &str, &str); 2] = [("shop", "apps/shop", "shop"), ("ingress", "platform/ingress", "ingress")];

/// Kinds of the demo that live in no namespace.
const CLUSTER_SCOPED: [&str; 4] = ["Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume"];

/// The deployer's field manager.
const DEPLOYER: &str = "argocd-controller";

/// A world in a folder.
pub struct World {
    folder: PathBuf,
    repository: RepoBuilder,
    tip: Option<String>,
    decisions: Decisions,
    cluster: DemoCluster,
    written: std::collections::BTreeSet<PathBuf>,
}

fn at_path(path: &Path) -> impl FnOnce(io::Error) -> DemoError {
    let path = path.to_owned();
    move |source| DemoError::Io { path, source }
}

fn ago(now: Timestamp, minutes: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(now)
}

impl World {
    /// Builds the world as it stands at `now`, with three days of past.
    pub fn create(folder: &Path, now: Timestamp) -> Result<Self, DemoError> {
        fs::create_dir_all(folder).map_err(at_path(folder))?;
        let repository = RepoBuilder::create(&folder.join("fleet.git"))?;
        let mut world = Self {
            folder: folder.to_owned(),
            repository,
            tip: None,
            decisions: Decisions::first(),
            cluster: DemoCluster::default(),
            written: Default::default(),
        };
        world.past(now)?;
        world.flush()?;
        world.write_configuration()?;
        Ok(world)
    }

    /// The configuration that reads this world; it names only what lies in the folder.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("snapgap.yaml")
    }

    fn past(&mut self, now: Timestamp) -> Result<(), DemoError> {
        let hours = |h: i64| ago(now, h * 60);
        self.base(hours(80));
        self.commit("Start with the shop and the ingress controller", "Ada", hours(72), |_| {})?;
        self.deploy_all(hours(72))?;
        self.state_of_the_shop(hours(70));
        self.velero(now);

        // A feature branch that lands by a merge two hours after it was written.
        let main = self.tip.clone();
        let feature = self.commit_on("cart-2.3", "Cart 2.3: remember the basket", "Grace", hours(52), |d| d.cart = "2.3.0")?;
        let parents: Vec<String> = main.into_iter().chain([feature]).collect();
        self.merge("Merge branch 'cart-2.3'", "Ada", hours(50), &parents)?;
        self.deploy_all(hours(50))?;
        self.commit("Try a larger cache", "Linus", hours(36), |d| d.cache_mb = 512)?;
        self.deploy_all(hours(36))?;
        self.backup("nightly", hours(34), None)?;
        self.commit("Revert \"Try a larger cache\"", "Linus", hours(30), |d| d.cache_mb = 256)?;
        self.deploy_all(hours(30))?;
        self.backup("nightly", hours(10), Some(hours(9)))?;

        // Since the newest backup: a change that runs, one that is removed, a README, and one that waits to be applied.
        self.commit("Cart 2.4: the new checkout", "Grace", hours(8), |d| d.cart = "2.4.0")?;
        self.deploy_all(ago(now, 8 * 60 - 4))?;
        self.commit("The summer is over", "Ada", hours(6), |d| d.banner = false)?;
        self.cluster.delete("ConfigMap", "shop", "summer-banner");
        self.commit("Say how to roll back", "Linus", hours(5), |d| {
            d.readme = "# fleet\n\nWhat runs, and nothing else. To roll back, revert the merge.\n";
        })?;
        self.by_hand(now);
        self.commit("Ingress: more worker connections", "Ada", ago(now, 25), |d| d.connections = 8192)?;
        Ok(())
    }

    /// What every cluster has.
    fn base(&mut self, at: Timestamp) {
        for name in ["kube-system", "default", "shop", "ingress", "velero"] {
            let namespace = json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":name}});
            self.cluster.apply(&namespace, if name == "shop" { DEPLOYER } else { "kubectl" }, at);
        }
        let class = json!({"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"fast"},"provisioner":"disk.csi.example.com","reclaimPolicy":"Delete"});
        self.cluster.apply(&class, "kubectl-client-side-apply", at);
    }

    /// What the shop keeps that no Git should hold: a password and a volume.
    fn state_of_the_shop(&mut self, at: Timestamp) {
        let secret = json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"cart-database","namespace":"shop"},"type":"Opaque",
            "data":{"password":"ZGVtby1wYXNzd29yZA=="}});
        self.cluster.apply(&secret, "kubectl-create", at);
        let volume = json!({"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"pvc-5f1c"},
            "spec":{"capacity":{"storage":"20Gi"},"accessModes":["ReadWriteOnce"],"storageClassName":"fast","claimRef":{"namespace":"shop","name":"cart-orders"},
            "csi":{"driver":"disk.csi.example.com","volumeHandle":"vol-5f1c"}}});
        self.cluster.apply(&volume, "csi-provisioner", at);
        let claim = json!({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"cart-orders","namespace":"shop"},
            "spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"20Gi"}},"storageClassName":"fast","volumeName":"pvc-5f1c"},"status":{"phase":"Bound"}});
        self.cluster.apply(&claim, "kubectl-create", at);
    }

    /// What people did by hand since the newest backup.
    fn by_hand(&mut self, now: Timestamp) {
        let rotated = json!({"data":{"password":"cm90YXRlZC1wYXNzd29yZA=="}});
        self.cluster.edit("Secret", "shop", "cart-database", "kubectl-edit", ago(now, 4 * 60), &rotated);
        let debug = json!({"spec":{"template":{"spec":{"containers":[{"name":"cart","env":[{"name":"LOG_LEVEL","value":"debug"}]}]}}}});
        self.cluster.edit("Deployment", "shop", "cart", "kubectl-edit", ago(now, 3 * 60 + 10), &debug);
        let flags = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"feature-flags","namespace":"shop"},"data":{"newCheckout":"on","betaUsers":"ada,grace"}});
        self.cluster.apply(&flags, "kubectl-create", ago(now, 2 * 60));
    }

    /// Velero's schedule and storage location.
    fn velero(&mut self, now: Timestamp) {
        let born = seconds(ago(now, 80 * 60));
        let due = ago(now, 10 * 60).to_zoned(jiff::tz::TimeZone::UTC);
        self.cluster.put(json!({"apiVersion":"velero.io/v1","kind":"Schedule","metadata":{"name":"nightly","namespace":"velero","creationTimestamp":born},
            "spec":{"schedule":format!("{} {} * * *", due.minute(), due.hour()),"template":{"includeClusterResources":true,"ttl":"720h0m0s","storageLocation":"default"}},
            "status":{"phase":"Enabled","lastBackup":seconds(ago(now, 10 * 60))}}));
        self.cluster.put(json!({"apiVersion":"velero.io/v1","kind":"BackupStorageLocation","metadata":{"name":"default","namespace":"velero","creationTimestamp":born},
            "spec":{"provider":"aws","default":true,"objectStorage":{"bucket":"backups"}},"status":{"phase":"Available","lastValidationTime":seconds(now)}}));
    }

    /// Commits a change to the main branch.
    pub fn commit(&mut self, message: &str, author: &str, at: Timestamp, change: impl FnOnce(&mut Decisions)) -> Result<(), DemoError> {
        change(&mut self.decisions);
        let parents: Vec<String> = self.tip.iter().cloned().collect();
        self.merge(message, author, at, &parents)
    }

    fn commit_on(
        &mut self,
        branch: &str,
        message: &str,
        author: &str,
        at: Timestamp,
        change: impl FnOnce(&mut Decisions),
    ) -> Result<String, DemoError> {
        change(&mut self.decisions);
        let parents: Vec<String> = self.tip.iter().cloned().collect();
        Ok(self.repository.commit(branch, &parents, message, author, at, &self.decisions.files())?)
    }

    fn merge(&mut self, message: &str, author: &str, at: Timestamp, parents: &[String]) -> Result<(), DemoError> {
        self.tip = Some(self.repository.commit("main", parents, message, author, at, &self.decisions.files())?);
        Ok(())
    }

    /// The deployer applies every app as it is declared now.
    pub fn deploy_all(&mut self, at: Timestamp) -> Result<(), DemoError> {
        APPS.iter().try_for_each(|(app, _, _)| self.deploy(app, at))
    }

    /// The deployer applies one app.
    pub fn deploy(&mut self, app: &str, at: Timestamp) -> Result<(), DemoError> {
        let files = self.decisions.files();
        for (_, folder, namespace) in APPS.iter().filter(|(name, _, _)| *name == app) {
            for (_, text) in files.iter().filter(|(path, _)| path.starts_with(&format!("{folder}/"))) {
                let parsed = yaml::parse(text.as_bytes(), &yaml::Limits::default()).map_err(|e| DemoError::Manifest(e.to_string()))?;
                for mut document in parsed.documents.into_iter().map(|d| d.value) {
                    let scoped = document["kind"].as_str().is_some_and(|k| CLUSTER_SCOPED.contains(&k));
                    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut).filter(|_| !scoped) {
                        metadata.entry("namespace").or_insert_with(|| (*namespace).into());
                    }
                    self.cluster.apply(&document, DEPLOYER, at);
                }
            }
        }
        Ok(())
    }

    /// Somebody changes an object by hand.
    pub fn edit(&mut self, kind: &str, namespace: &str, name: &str, at: Timestamp, patch: &Value) {
        self.cluster.edit(kind, namespace, name, "kubectl-edit", at, patch);
    }

    /// Velero takes a backup of everything. `completed` is a few seconds after the start unless told.
    pub fn backup(&mut self, schedule: &str, start: Timestamp, completed: Option<Timestamp>) -> Result<(), DemoError> {
        let zoned = start.to_zoned(jiff::tz::TimeZone::UTC);
        let name = format!("{schedule}-{}", zoned.strftime("%Y%m%d%H%M%S"));
        let completed = completed.unwrap_or_else(|| start.checked_add(SignedDuration::from_secs(4)).unwrap_or(start));
        let expires = start.checked_add(SignedDuration::from_hours(720)).unwrap_or(start);
        let objects: Vec<Value> = self.cluster.objects().cloned().collect();
        let count = objects.len();
        let backup = json!({"apiVersion":"velero.io/v1","kind":"Backup",
            "metadata":{"name":name,"namespace":"velero","creationTimestamp":seconds(start),"labels":{"velero.io/schedule-name":schedule,"velero.io/storage-location":"default"}},
            "spec":{"includedNamespaces":["*"],"includeClusterResources":true,"storageLocation":"default","ttl":"720h0m0s"},
            "status":{"phase":"Completed","formatVersion":"1.1.0","version":1,"startTimestamp":seconds(start),"completionTimestamp":seconds(completed),
                "expiration":seconds(expires),"progress":{"totalItems":count,"itemsBackedUp":count}}});
        let velero = [("Backup", "backups"), ("Schedule", "schedules"), ("BackupStorageLocation", "backupstoragelocations")];
        let names = velero.iter().fold(Names::builtin(), |names, (kind, plural)| names.with(GroupKind::new("velero.io", *kind), plural, true));
        let folder = write_backup(&self.folder, &backup, &objects, &names)?;
        let copied = json!([{"pvcName":"cart-orders","pvcNamespace":"shop","pvName":"pvc-5f1c","backupMethod":"CSISnapshot","snapshotDataMoved":true,
            "skipped":false,"startTimestamp":seconds(start),"completionTimestamp":seconds(completed),"result":"succeeded",
            "snapshotDataMovementInfo":{"dataMover":"velero","uploaderType":"kopia","size":3_221_225_472u64,"Phase":"Completed"}}]);
        write_beside(&folder, &name, SideFile::VolumeInfo, &copied)?;
        write_beside(&folder, &name, SideFile::Results, &json!({"errors":{},"warnings":{}}))?;
        self.cluster.put(backup);
        Ok(())
    }

    /// Writes what changed in the cluster into its folder, a file an object, each replaced atomically.
    pub fn flush(&mut self) -> Result<(), DemoError> {
        let root = self.folder.join("cluster");
        let mut present = std::collections::BTreeSet::new();
        for object in self.cluster.objects() {
            let text = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or_default().to_lowercase();
            let namespace = Some(text("/metadata/namespace")).filter(|n| !n.is_empty()).unwrap_or_else(|| "_cluster".into());
            let folder = root.join(namespace);
            let path = folder.join(format!("{}-{}.yaml", text("/kind"), text("/metadata/name")));
            let content = yaml::write(object).map_err(|e| DemoError::Manifest(e.to_string()))?;
            if fs::read_to_string(&path).ok().as_deref() != Some(content.as_str()) {
                fs::create_dir_all(&folder).map_err(at_path(&folder))?;
                let aside = self.folder.join(".writing");
                fs::write(&aside, content).map_err(at_path(&aside))?;
                fs::rename(&aside, &path).map_err(at_path(&path))?;
            }
            present.insert(path);
        }
        for gone in self.written.difference(&present) {
            fs::remove_file(gone).map_err(at_path(gone))?;
        }
        self.written = present;
        Ok(())
    }

    fn write_configuration(&self) -> Result<(), DemoError> {
        let path = self.configuration();
        let folder = |name: &str| Value::from(self.folder.join(name).display().to_string()).to_string();
        let mut text = format!(
            "# Made by `snapgap demo`. Everything that it names lies in this folder.\nsources:\n  - {{url: {}, ref: main, interval: 1s}}\napps:\n",
            folder("fleet.git")
        );
        for (name, path, namespace) in APPS {
            let layer = if name == "shop" { "apps" } else { "platform" };
            text.push_str(&format!("  - {{name: {name}, path: {path}, renderer: directory, namespace: {namespace}, layer: {layer}}}\n"));
        }
        text.push_str(&format!(
            "cluster: {{dump: {}, secrets: true}}\nvelero:\n  backups: [{{file: {}}}]\ncache_dir: {}\n",
            folder("cluster"),
            folder("backups"),
            folder("cache")
        ));
        fs::write(&path, text).map_err(at_path(&path))
    }
}
