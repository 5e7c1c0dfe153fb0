//! The configuration file as it is written. pure
//!
//! Every struct refuses unknown keys, so a typo is an error that names the key, the place and what is allowed there.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

use super::{DirectoryRules, Layer, Sandbox};

/// Why a configuration is refused. The message names the key and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// The file `snapgap.yaml`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Git repositories.
    pub sources: Vec<SourceEntry>,
    /// Apps: roots in the sources.
    pub apps: Vec<AppEntry>,
    /// Where the cluster is read from.
    pub cluster: ClusterEntry,
    /// Where Velero's objects and archives are read from.
    pub velero: VeleroEntry,
    /// Rules that assign layers; the first that matches decides, the built-in ones come last.
    pub layers: Vec<LayerEntry>,
    /// Longest window that each layer is allowed.
    pub objectives: ObjectivesEntry,
    /// Differences to leave out.
    pub ignore: Vec<IgnoreEntry>,
    /// What kind of writer a field manager is, where the built-in table does not know or is wrong.
    pub managers: ManagersEntry,
    /// How exec renderers are confined.
    pub render: RenderEntry,
    /// How far back windows are searched in history.
    pub history: HistoryEntry,
    /// The daemon's listener.
    pub web: WebEntry,
    /// Bounds of the metrics.
    pub metrics: MetricsEntry,
    /// How old a stage's last good value may be before what depends on it is unknown. Default `1h`.
    pub stale_after: Option<String>,
    /// Where bare mirrors are kept. Default: `snapgap` in the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// Where the daemon keeps onset times and what restores proved. Without it they are kept in memory only.
    pub state_file: Option<PathBuf>,
}

/// One entry of `sources`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Name, unique. Default `main`.
    pub name: Option<String>,
    /// `https://`, `ssh://`, `user@host:path`, `file://` or a path on this machine; never with credentials in it.
    pub url: String,
    /// Branch, tag or commit. Default: the remote's HEAD.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// How to authenticate.
    #[serde(default)]
    pub auth: AuthEntry,
    /// PEM bundle to trust besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Proxy for https.
    pub proxy: Option<String>,
    /// Deadline over one whole fetch. Default `2m`.
    pub timeout: Option<String>,
    /// Bytes that one fetch may bring. Default `1Gi`.
    pub max_fetch: Option<String>,
    /// How often the daemon asks for the tip. Default `1m`.
    pub interval: Option<String>,
}

/// `auth` of a source. Credentials are named by file or environment variable, never written here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthEntry {
    /// User name for HTTP basic.
    pub username: Option<String>,
    /// File with the password or token for HTTP basic.
    pub password_file: Option<PathBuf>,
    /// Environment variable with the password or token for HTTP basic.
    pub password_env: Option<String>,
    /// File with a bearer token.
    pub token_file: Option<PathBuf>,
    /// Environment variable with a bearer token.
    pub token_env: Option<String>,
    /// Private key for ssh.
    pub ssh_key_file: Option<PathBuf>,
    /// known_hosts for ssh; host keys are checked strictly.
    pub known_hosts_file: Option<PathBuf>,
}

/// One entry of `apps`. The same keys are taken by `--app NAME=PATH[:RENDERER][,KEY=VALUE ...]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppEntry {
    /// Name, unique.
    pub name: String,
    /// Folder or single file inside the source; empty or `.` for the root.
    #[serde(default)]
    pub path: String,
    /// Source; may be left out if there is only one.
    pub source: Option<String>,
    /// `auto` (default), `directory`, `kustomize` or `helm`.
    pub renderer: Option<String>,
    /// Destination namespace: filled into namespaced objects that name none.
    pub namespace: Option<String>,
    /// Layer; left out, the layer rules decide.
    pub layer: Option<Layer>,
    /// `directory`: descend into subfolders.
    pub recurse: Option<bool>,
    /// `directory`: glob on the path relative to the app; only matching files are read.
    pub include: Option<String>,
    /// `directory`: glob on the path relative to the app; matching files are not read.
    pub exclude: Option<String>,
    /// `directory`: whose rules decide on files that do not parse.
    pub rules: Option<DirectoryRules>,
    /// `helm`: release name; default the app's name.
    pub release_name: Option<String>,
    /// `helm`: value files relative to the app's folder, in order.
    pub value_files: Option<Vec<String>>,
    /// `helm`: inline values as YAML text; they win over the files.
    pub values: Option<String>,
    /// `helm`: Kubernetes version to render for; default the cluster's.
    pub kube_version: Option<String>,
    /// `helm`: leave out the chart's `crds/` folder.
    pub skip_crds: Option<bool>,
}

/// `cluster`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterEntry {
    /// A dump instead of a live cluster: folder, file or Velero tarball.
    pub dump: Option<PathBuf>,
    /// Kubeconfig; default the usual places, then in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Kinds not to read, as globs on `plural.group`.
    pub exclude: Vec<String>,
    /// Read Secrets (reduced to keyed hashes at once). Needs the Secrets tier of RBAC. Default: false.
    pub secrets: bool,
    /// Who confirms what drifts: `none` (default), or `server`: the API server is asked by a dry run of the deployer's next apply. Needs the
    /// dry-run tier of RBAC.
    pub confirm: ConfirmBy,
    /// `confirm: server`: questions in a second at most. Default 5.
    pub confirm_per_second: Option<u32>,
    /// `confirm: server`: how long an answer holds if nothing changed. Default `1h`.
    pub confirm_again: Option<String>,
}

/// Who confirms what drifts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfirmBy {
    /// Nobody: drift is judged locally, and no request with a write verb is sent.
    #[default]
    None,
    /// The API server, by dry runs.
    Server,
}

/// `velero`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VeleroEntry {
    /// The namespace that Velero watches. Default `velero`.
    pub namespace: Option<String>,
    /// The zone that schedules without `TZ=` are meant in, such as `Europe/Berlin`: that of Velero's server. Default: `TZ` of the Deployment that runs
    /// `velero server` in that namespace, where it stands as a plain value; else `UTC`.
    pub time_zone: Option<String>,
    /// Archives on this machine.
    pub backups: Vec<BackupEntry>,
    /// Buckets that hold backups, read-only.
    pub stores: Vec<StoreEntry>,
    /// Reading the content of backups through Velero. Off unless it is here.
    pub download_requests: Option<DownloadEntry>,
    /// Which archives of a bucket or through Velero are read: `newest` (default) of each set of filters, or `all` that ended well.
    pub read: ReadBackups,
    /// How often buckets are listed. Default `1m`.
    pub interval: Option<String>,
    /// Bytes that read archives may take in the cache folder; what of one does not fit, and everything with `0`, stays in memory. Default `1Gi`.
    pub max_cache: Option<String>,
    /// Entries that one archive may have. Default 2,000,000.
    pub max_entries: Option<u64>,
    /// Size of one object. Default `16Mi`.
    pub max_object: Option<String>,
    /// Size of one archive, inflated. Default `16Gi`.
    pub max_total: Option<String>,
    /// Time for one archive. Default `10m`.
    pub timeout: Option<String>,
}

/// One entry of `velero.backups`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupEntry {
    /// `<name>.tar.gz`, with `velero-backup.json` beside it; or a folder of backups as in a bucket.
    pub file: PathBuf,
    /// Its name, if the file does not tell.
    pub name: Option<String>,
    /// When it started (RFC 3339), if there is no `velero-backup.json`.
    pub start: Option<String>,
}

/// One entry of `velero.stores`. With `location` the cluster's BackupStorageLocation tells what is left out here; without it everything stands
/// here, and works without a cluster. Credentials are named by file or environment variable, never written here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreEntry {
    /// The BackupStorageLocation that this is.
    pub location: Option<String>,
    /// `aws` (S3 and what is compatible), `gcp`, `azure` or `folder`.
    pub provider: Option<Provider>,
    /// Bucket, or container of Azure.
    pub bucket: Option<String>,
    /// Folder inside the bucket in which `backups/` lies.
    pub prefix: Option<String>,
    /// `folder`: where it lies on this machine; `backups/` is in it.
    pub path: Option<PathBuf>,
    /// Region of S3.
    pub region: Option<String>,
    /// Endpoint, if it is not the provider's public one: of S3 (`https://minio.example.com:9000`), of GCS without a path
    /// (`https://storage-backups.p.googleapis.com`), of Azure that of the storage account (`https://backups.blob.core.usgovcloudapi.net`).
    pub url: Option<String>,
    /// S3: the bucket stands in the path of the URL, not in its host. Default: as the location says; `true` with a `url` that stands here.
    pub path_style: Option<bool>,
    /// PEM bundle to trust besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Storage account of Azure.
    pub account: Option<String>,
    /// File with credentials as Velero has them: an ini file for S3, variables for Azure, a service account's key in JSON for GCP. Without it
    /// the environment is asked, and the machine for its own identity.
    pub credentials_file: Option<PathBuf>,
    /// Environment variable with the same.
    pub credentials_env: Option<String>,
    /// Profile of the ini file. Default `default`.
    pub profile: Option<String>,
}

/// What kind of store a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// S3 and what is compatible with it.
    Aws,
    /// Google Cloud Storage.
    Gcp,
    /// Azure Blob Storage.
    Azure,
    /// A folder on this machine.
    Folder,
}

/// Which archives are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadBackups {
    /// The newest of each set of filters, and older ones if that one is damaged or from another cluster.
    #[default]
    Newest,
    /// Every backup that ended well.
    All,
}

/// `velero.download_requests`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DownloadEntry {
    /// Must be the words `reads every secret in every backup`: whoever may create a DownloadRequest can do just that.
    pub acknowledge: Option<String>,
    /// How long Velero may take to answer one. Default `30s`.
    pub timeout: Option<String>,
    /// PEM bundle to trust besides the system's roots and the location's own.
    pub ca_file: Option<PathBuf>,
}

/// One entry of `layers`: everything that is named must match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerEntry {
    /// The layer that is assigned.
    pub layer: Layer,
    /// Globs on app names.
    pub apps: Option<Vec<String>>,
    /// Globs on namespaces.
    pub namespaces: Option<Vec<String>>,
    /// Globs on `Kind` or `Kind.group`.
    pub kinds: Option<Vec<String>>,
}

/// `objectives`: the longest window that each layer is allowed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectivesEntry {
    /// Default `24h`.
    pub cluster: Option<String>,
    /// Default `24h`.
    pub platform: Option<String>,
    /// Default `8h`.
    pub apps: Option<String>,
}

/// One entry of `ignore`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IgnoreEntry {
    /// Why; shown beside every suppression.
    pub reason: String,
    /// Glob on the group; the core group is the empty text.
    pub group: Option<String>,
    /// Glob on the kind.
    pub kind: Option<String>,
    /// Glob on the namespace.
    pub namespace: Option<String>,
    /// Glob on the name.
    pub name: Option<String>,
    /// JSON pointers; `*` stands for any one step. Without pointers, jq and managers the whole object is left out.
    #[serde(default)]
    pub pointers: Vec<String>,
    /// jq expressions that choose fields, as Argo CD's `jqPathExpressions`; a part of the language, see docs/drift.md.
    #[serde(default)]
    pub jq: Vec<String>,
    /// Field managers whose fields are left out.
    #[serde(default)]
    pub managers: Vec<String>,
    /// RFC 3339; after this moment the rule no longer holds.
    pub expires: Option<String>,
}

/// `managers`: names of field managers, with `*` at the beginning or the end for anything. They win over the built-in table.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ManagersEntry {
    /// Apply what Git declares: what they own and Git does not set was dropped from Git.
    pub deployer: Vec<String>,
    /// Tools in people's hands: what they own and Git does not set was added by a person.
    pub person: Vec<String>,
    /// Programs that write by themselves: what they own and Git does not set is theirs.
    pub controller: Vec<String>,
    /// Names that say nothing.
    pub unknown: Vec<String>,
}

/// `render`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RenderEntry {
    /// `strict` (default): refuse to render when the kernel cannot cut the network. `best-effort`: render and say so.
    pub sandbox: Sandbox,
    /// The kustomize program. Default `kustomize` on PATH.
    pub kustomize: Option<PathBuf>,
    /// The helm program. Default `helm` on PATH.
    pub helm: Option<PathBuf>,
    /// Wall clock for one render. Default `60s`.
    pub timeout: Option<String>,
    /// Address space of one render. Default `2Gi`.
    pub max_memory: Option<String>,
    /// Bytes that one render may print. Default `64Mi`.
    pub max_output: Option<String>,
}

/// `history`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryEntry {
    /// First-parent commits to look at. Default 500.
    pub commits: Option<usize>,
    /// Renders of older states per app. Default 50.
    pub renders: Option<usize>,
}

/// `web`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebEntry {
    /// Address and port. Default `127.0.0.1:9645`.
    pub listen: Option<String>,
    /// File with the bearer token that every request but the probes must carry.
    pub token_file: Option<PathBuf>,
    /// Certificate chain (PEM).
    pub tls_cert_file: Option<PathBuf>,
    /// Private key (PEM).
    pub tls_key_file: Option<PathBuf>,
    /// Allow `POST /-/reload`. Default false.
    pub enable_lifecycle: bool,
}

/// `metrics`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsEntry {
    /// Per-object series at most; 0 switches them off. Default 500.
    pub max_object_series: Option<usize>,
    /// Namespaces with series of their own: those with most objects. Default 200.
    pub max_namespaces: Option<usize>,
    /// Velero schedules with series of their own: those in trouble first. Default 100.
    pub max_schedules: Option<usize>,
}

/// What is not written in the file but known where the program runs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Default cache folder.
    pub cache_dir: PathBuf,
}

impl File {
    /// Reads a file's text. An empty text is an empty configuration.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#') || l.trim() == "---") {
            return Ok(Self::default());
        }
        serde_yaml::from_str(text).map_err(|e| ConfigError(e.to_string()))
    }
}
