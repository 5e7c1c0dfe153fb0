//! What the user asked for: one YAML file, overridden by environment and flags, validated into one [`Config`]. pure
//!
//! Reading the file is `cli`'s job; this room parses and checks text. Unknown keys are refused everywhere.

mod check;
pub mod docs;
pub mod duration;
pub mod file;
pub mod layers;
mod stores;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use file::{ConfirmBy, Provider, ReadBackups};
pub use layers::{Layer, LayerRules};

use crate::object::Text;

/// The name of a source, unique in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SourceName(pub Text);

/// The name of an app, unique in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AppName(pub Text);

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything snapgap was asked to do, checked. The only input of the stages besides the witnesses themselves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Git repositories by name.
    pub sources: BTreeMap<SourceName, Source>,
    /// Apps by name.
    pub apps: BTreeMap<AppName, App>,
    /// Where the cluster is read from.
    pub cluster: Cluster,
    /// Where Velero's objects and archives are read from.
    pub velero: Velero,
    /// Which layer an object belongs to, and what each layer is held against.
    pub layers: LayerRules,
    /// Differences to leave out, by the user's own rules.
    pub ignore: Vec<IgnoreRule>,
    /// What kind of writer a field manager is.
    pub managers: crate::drift::Managers,
    /// How exec renderers are confined.
    pub render: Render,
    /// How old a stage's last good value may be before what depends on it becomes unknown.
    pub stale_after: Duration,
    /// How far back windows are searched in history.
    pub history: History,
    /// The web listener of the daemon.
    pub web: Web,
    /// Bounds of the metrics.
    pub metrics: Metrics,
    /// Where bare mirrors are kept. Safe to delete at any time.
    pub cache_dir: PathBuf,
    /// Where onset times are kept; `None` keeps them in memory only.
    pub state_file: Option<PathBuf>,
}

/// A Git repository and ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// `https://`, `ssh://`, `user@host:path`, `file://` or a path on this machine. Never holds credentials: those are refused.
    pub location: String,
    /// Branch, tag or commit; `None` follows the remote's HEAD.
    pub reference: Option<String>,
    /// How to authenticate.
    pub auth: GitAuth,
    /// PEM bundle to trust besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Proxy for https, for example `http://proxy.example.com:3128`.
    pub proxy: Option<String>,
    /// Deadline over one whole fetch.
    pub timeout: Duration,
    /// How many bytes one fetch may bring.
    pub max_fetch_bytes: u64,
    /// How often the daemon asks for the tip.
    pub interval: Duration,
}

/// Where a credential is read from: never the configuration itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file; its content is read at each use, so rotation needs no restart. A trailing newline is dropped.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Git credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GitAuth {
    /// None; a repository that asks for some is an error.
    #[default]
    None,
    /// HTTP basic. A token is a password with whatever user name the forge wants.
    Basic {
        /// User name.
        username: String,
        /// Password or token.
        password: SecretSource,
    },
    /// HTTP bearer token.
    Bearer(SecretSource),
    /// ssh through the ssh program, strict about host keys.
    Ssh {
        /// Private key file.
        key_file: PathBuf,
        /// known_hosts file.
        known_hosts_file: PathBuf,
    },
}

/// One root in a source, rendered by one renderer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// The source it lies in.
    pub source: SourceName,
    /// Folder (or single file) inside the source, without leading or trailing slash; empty for the root.
    pub path: String,
    /// Destination namespace: filled into namespaced objects that name none.
    pub namespace: Option<Text>,
    /// Layer; `None` leaves it to the layer rules.
    pub layer: Option<Layer>,
    /// The renderer and its settings.
    pub renderer: Renderer,
}

/// What turns files into objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renderer {
    /// Decided by what lies in the folder, as Argo CD does: `Chart.yaml` is Helm, a kustomization file is kustomize, else directory.
    Auto,
    /// Plain YAML and JSON.
    Directory(DirectoryOptions),
    /// `kustomize build`.
    Kustomize,
    /// `helm template`.
    Helm(HelmOptions),
}

impl Renderer {
    /// The stable name: metric label, report field and configuration value.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Directory(_) => "directory",
            Self::Kustomize => "kustomize",
            Self::Helm(_) => "helm",
        }
    }
}

/// Settings of the directory renderer, with the meaning that Argo CD's `spec.source.directory` gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryOptions {
    /// Descend into subfolders.
    pub recurse: bool,
    /// Glob on the path relative to the app; only matching files are read.
    pub include: Option<String>,
    /// Glob on the path relative to the app; matching files are not read. Wins over `include`.
    pub exclude: Option<String>,
    /// Whose rules decide on files that do not parse and on nested kustomizations.
    pub rules: DirectoryRules,
}

/// Whose directory rules apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DirectoryRules {
    /// Argo CD: a file that does not parse is passed over unless it looks like a manifest.
    #[default]
    Argocd,
    /// Flux: always into subfolders; a file that does not parse fails the app; `.sourceignore` and the default exclusions hold.
    Flux,
}

/// Settings of `helm template`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelmOptions {
    /// Release name; the app's name if absent.
    pub release_name: Option<String>,
    /// Value files, relative to the app's folder, in order.
    pub value_files: Vec<String>,
    /// Inline values (YAML text); they win over the files.
    pub values: Option<String>,
    /// `--kube-version`; the cluster's if absent.
    pub kube_version: Option<String>,
    /// Leave out the chart's `crds/` folder.
    pub skip_crds: bool,
}

/// Where the cluster is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// A dump instead of a live cluster: folder, file or Velero tarball.
    pub dump: Option<PathBuf>,
    /// Kubeconfig; the usual places if absent (`KUBECONFIG`, `~/.kube/config`, in-cluster).
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Kinds not to read at all, as globs on `plural.group` (for example `*.metrics.k8s.io`, `events`).
    pub exclude: Vec<String>,
    /// Read Secrets. They are reduced to keyed hashes, and the right to read them is asked of RBAC only if this is on.
    pub secrets: bool,
    /// Ask the API server about what drifts, if that was asked for.
    pub confirm: Option<Confirm>,
}

/// Asking the API server about what drifts, by dry runs. The only requests with a write verb that are ever sent to a cluster, and opt-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Questions in a second at most.
    pub per_second: u32,
    /// How long an answer holds although nothing changed that snapgap can see: webhooks are programs of their own.
    pub again: Duration,
}

/// Where Velero's objects and archives are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Velero {
    /// The namespace that Velero watches.
    pub namespace: Text,
    /// The zone of Velero's server, if it was told.
    pub time_zone: Option<jiff::tz::TimeZone>,
    /// Archives given as files.
    pub backups: Vec<BackupFile>,
    /// Caps on reading one archive.
    pub limits: ArchiveLimits,
    /// Buckets that hold backups.
    pub stores: Vec<Store>,
    /// Reading content through Velero, if that was asked for.
    pub downloads: Option<Downloads>,
    /// Which archives of stores and of Velero are read.
    pub read: ReadBackups,
    /// How often stores are listed.
    pub interval: Duration,
    /// Bytes that read archives may take in the cache folder; 0 keeps them in memory.
    pub max_cache: u64,
}

impl Velero {
    /// Whether the content of any backup is read.
    pub fn reads_content(&self) -> bool {
        !self.backups.is_empty() || !self.stores.is_empty() || self.downloads.is_some()
    }
}

/// A bucket with backups. What is left open, its BackupStorageLocation in the cluster tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// The BackupStorageLocation.
    pub location: Option<Text>,
    /// What kind of store it is.
    pub provider: Option<Provider>,
    /// Bucket or container.
    pub bucket: Option<String>,
    /// Folder inside the bucket.
    pub prefix: Option<String>,
    /// The folder, if it is one on this machine.
    pub path: Option<PathBuf>,
    /// Region of S3.
    pub region: Option<String>,
    /// Endpoint.
    pub url: Option<String>,
    /// Whether the bucket stands in the path of a URL.
    pub path_style: Option<bool>,
    /// PEM bundle to trust besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Storage account of Azure.
    pub account: Option<String>,
    /// Credentials in Velero's form.
    pub credentials: Option<SecretSource>,
    /// Profile of an ini file.
    pub profile: Option<String>,
}

/// Reading content through Velero's DownloadRequests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloads {
    /// How long Velero may take to answer one.
    pub timeout: Duration,
    /// PEM bundle to trust besides the system's roots and the location's own.
    pub ca_file: Option<PathBuf>,
}

/// An archive on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// `<name>.tar.gz`; `velero-backup.json` beside it is read if there.
    pub path: PathBuf,
    /// Its name, if not told by the file.
    pub name: Option<String>,
    /// When it started, if there is no `velero-backup.json`.
    pub start: Option<jiff::Timestamp>,
}

/// Caps on reading one archive. Every cap that is hit makes the backup unreadable with a reason, never half-read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes of one object.
    pub object_bytes: u64,
    /// Bytes in all, inflated.
    pub total_bytes: u64,
    /// Seconds for one archive.
    pub time: Duration,
}

/// A difference to leave out, by the user's own rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    /// Why; shown beside every suppression.
    pub reason: String,
    /// Globs on group, kind, namespace and name; empty means any.
    pub group: Option<String>,
    /// Glob on the kind.
    pub kind: Option<String>,
    /// Glob on the namespace.
    pub namespace: Option<String>,
    /// Glob on the name.
    pub name: Option<String>,
    /// JSON pointers (RFC 6901; `*` stands for any one step). Empty means the whole object.
    pub pointers: Vec<String>,
    /// jq expressions that choose fields, as Argo CD's `jqPathExpressions`.
    pub jq: Vec<String>,
    /// Field managers whose fields are left out.
    pub managers: Vec<String>,
    /// After this moment the rule no longer holds.
    pub expires: Option<jiff::Timestamp>,
}

/// How exec renderers are confined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Render {
    /// What to do when the kernel offers no way to cut the network.
    pub sandbox: Sandbox,
    /// The kustomize program.
    pub kustomize: PathBuf,
    /// The helm program.
    pub helm: PathBuf,
    /// Wall clock for one render.
    pub timeout: Duration,
    /// Address space of one render.
    pub memory_bytes: u64,
    /// Bytes that one render may print, and the directory renderer may read.
    pub output_bytes: u64,
}

/// What to do when the kernel cannot confine a renderer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// Refuse: the app is unknown, with the reason.
    #[default]
    Strict,
    /// Run with what there is, and say so in the report.
    BestEffort,
}

/// How far back windows are searched in history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// First-parent commits to look at.
    pub commits: usize,
    /// Renders of older states per app.
    pub renders: usize,
}

/// The web listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Address and port; loopback by default.
    pub listen: std::net::SocketAddr,
    /// Bearer token that every request but the probes must carry.
    pub token_file: Option<PathBuf>,
    /// Certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Allow `POST /-/reload`.
    pub enable_lifecycle: bool,
}

/// Bounds of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Per-object series at most; 0 switches them off.
    pub max_object_series: usize,
    /// Namespaces with series of their own; the rest is folded into `__other__`.
    pub max_namespaces: usize,
    /// Velero schedules with series of their own; the rest is folded into `__other__`.
    pub max_schedules: usize,
}
