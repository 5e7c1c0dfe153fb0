//! The command line as clap sees it, and how flags override the configuration file. pure but for looking whether a path exists
//!
//! I/O: `Path::exists`, to tell `PATH@REF` from a path with an `@` in it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::file::{AppEntry, BackupEntry, ConfigError, File, SourceEntry},
    report::FailOn,
};

/// Joins what Git declares, what the cluster runs and what its Velero backups would restore.
///
/// Says what has drifted, what a restore would roll back, what would be lost for good, which source to recover each object from, and how
/// long Git has been newer than the newest usable backup.
#[derive(Debug, Parser)]
#[command(name = "snapgap", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// What to log: error, warn, info, debug, trace, or a filter such as `snapgap=debug,kube=info`.
    #[arg(long, global = true, env = "SNAPGAP_LOG_LEVEL", default_value = "warn", value_name = "LEVEL")]
    pub log_level: String,
    /// How to log (always to standard error).
    #[arg(long, global = true, env = "SNAPGAP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Colours on a terminal: `auto` also obeys NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// No progress on standard error.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what has drifted, what a restore would roll back and what would be lost.
    Report(ReportArgs),
    /// Run as a daemon: metrics, API and page.
    Serve(ServeArgs),
    /// Show every piece of evidence for one object, with three diffs.
    Explain(ExplainArgs),
    /// Say for each object which schedule takes it, or which rule leaves it out.
    Coverage(CoverageArgs),
    /// Print what Git declares for one app, as snapgap reads it.
    Render(RenderArgs),
    /// Play a small world: a repository, a cluster and backups that change while you watch.
    Demo(DemoArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the ClusterRole for the kinds that this cluster really serves.
    Rbac(RbacArgs),
    /// Print the JSON Schema of a document.
    Schema(SchemaArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the version and what it was built from.
    Version,
}

/// `config` commands.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and print what it comes to. Reads no repository and no cluster.
    Check(WitnessArgs),
}

/// Where the three witnesses are found. Flags win over the file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Where to look")]
pub struct WitnessArgs {
    /// Configuration file.
    #[arg(long, short = 'f', env = "SNAPGAP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Git repository: a path or a URL, with `@REF` for a branch, tag or commit. Takes the place of the file's sources.
    #[arg(long, value_name = "PATH_OR_URL[@REF]")]
    pub git: Option<String>,
    /// An app: `NAME=PATH[:RENDERER][,KEY=VALUE ...]`, with the keys of the file's app entry. Takes the place of the file's apps.
    #[arg(long = "app", value_name = "NAME=PATH[:RENDERER][,KEY=VALUE...]")]
    pub apps: Vec<String>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "CTX")]
    pub context: Option<String>,
    /// Kubeconfig file.
    #[arg(long, value_name = "FILE", conflicts_with = "cluster_dump")]
    pub kubeconfig: Option<PathBuf>,
    /// A dump instead of a live cluster: a folder or file of objects, or a Velero tarball.
    #[arg(long, value_name = "DIR_OR_FILE", conflicts_with = "context")]
    pub cluster_dump: Option<PathBuf>,
    /// Read Secrets of the cluster (reduced to keyed hashes at once).
    #[arg(long)]
    pub secrets: bool,
    /// A Velero archive: `FILE` with velero-backup.json beside it, `NAME=FILE,start=TIME`, or a folder of backups. Takes the place of the file's.
    #[arg(long = "backup", value_name = "FILE")]
    pub backups: Vec<String>,
    /// The namespace that Velero watches.
    #[arg(long, value_name = "NAMESPACE")]
    pub velero_namespace: Option<String>,
    /// Folder for bare mirrors of repositories that are reached over the network.
    #[arg(long, env = "SNAPGAP_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Where to look.
    #[command(flatten)]
    pub witness: WitnessArgs,
    /// Output form.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Everything: objects with nothing to report too.
    #[arg(long)]
    pub all: bool,
    /// The moment to speak of, instead of now: ages, expiry, and which backups had ended. Git and the cluster are read as they are.
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<jiff::Timestamp>,
    /// Exit with 1 if any of these is found.
    #[arg(long, value_delimiter = ',', value_name = "WHAT,...")]
    pub fail_on: Vec<FailOn>,
}

/// Output forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a terminal.
    Table,
    /// JSON, by the published schema.
    Json,
    /// The same document as YAML.
    Yaml,
    /// For a ticket or a pull request.
    Markdown,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to look.
    #[command(flatten)]
    pub witness: WitnessArgs,
    /// Address and port to listen on.
    #[arg(long = "web.listen", env = "SNAPGAP_WEB_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Allow `POST /-/reload`.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,
    /// Where onset times are kept.
    #[arg(long, env = "SNAPGAP_STATE_FILE", value_name = "FILE")]
    pub state_file: Option<PathBuf>,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The object: `KIND/NAME`; the kind may carry its group (`Deployment.apps/cart`).
    #[arg(value_name = "KIND/NAME")]
    pub object: String,
    /// Its namespace.
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub witness: WitnessArgs,
    /// Output form.
    #[arg(long, short, value_enum, default_value_t = ExplainOutput::Text)]
    pub output: ExplainOutput,
    /// The moment to speak of, instead of now: ages, expiry, and which backups had ended. Git and the cluster are read as they are.
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<jiff::Timestamp>,
}

/// Output forms of `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainOutput {
    /// For a terminal.
    Text,
    /// JSON.
    Json,
}

/// `coverage`.
#[derive(Debug, Args)]
pub struct CoverageArgs {
    /// Where to look. `--backup FILE.yaml` asks for a Backup or Schedule that does not exist yet, instead of the schedules.
    #[command(flatten)]
    pub witness: WitnessArgs,
    /// Output form.
    #[arg(long, short, value_enum, default_value_t = CoverageOutput::Table)]
    pub output: CoverageOutput,
    /// Name every object, also those that are taken.
    #[arg(long)]
    pub all: bool,
    /// The moment to speak of, instead of now.
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<jiff::Timestamp>,
    /// Exit with 1 if any of these is found.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT,...")]
    pub fail_on: Vec<CoverageFail>,
}

/// Output forms of `coverage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CoverageOutput {
    /// For a terminal.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What makes `coverage` exit with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CoverageFail {
    /// Objects that nothing takes.
    Left,
    /// Objects of which it cannot be said.
    Unsure,
    /// Filters that Velero refuses.
    Refused,
}

/// `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The app's name.
    #[arg(value_name = "APP")]
    pub app: String,
    /// Render another commit than the tip; the first digits of its id are enough.
    #[arg(long, value_name = "SHA")]
    pub commit: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub witness: WitnessArgs,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Print the report and exit.
    #[arg(long)]
    pub once: bool,
    /// Build the world in this folder and leave it there.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// How fast the story runs: seconds between two of its steps.
    #[arg(long, default_value_t = 12, value_name = "SECONDS")]
    pub pace: u64,
    /// Stop after the story's last step instead of serving on.
    #[arg(long)]
    pub exit: bool,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long = "web.listen", default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub listen: String,
}

/// `rbac`.
#[derive(Debug, Args)]
pub struct RbacArgs {
    /// Where to look.
    #[command(flatten)]
    pub witness: WitnessArgs,
    /// Tiers beyond reading everything but Secrets.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub with: Vec<Tier>,
}

/// Tiers of permission, each of which buys a named feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Read Secrets: they are compared by keyed hash.
    Secrets,
    /// Create DownloadRequests: the content of backups through Velero. Equal to reading every Secret in every backup.
    DownloadRequests,
    /// Server-side dry-run: confirm suspected drift by asking the API server.
    DryRun,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The document.
    #[arg(value_enum)]
    pub document: Document,
}

/// Documents with a published schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// What `report -o json` and `/api/v1/report` print.
    Report,
    /// The configuration file.
    Config,
}

impl WitnessArgs {
    /// Lays the flags over a configuration file.
    pub fn over(&self, mut file: File) -> Result<File, ConfigError> {
        if let Some(git) = &self.git {
            let (url, reference) = split_ref(git, |p| std::path::Path::new(p).exists());
            file.sources = vec![SourceEntry { url, reference, ..SourceEntry::default() }];
        }
        if !self.apps.is_empty() {
            file.apps = self.apps.iter().map(|a| parse_app(a)).collect::<Result<_, _>>()?;
        }
        if let Some(dump) = &self.cluster_dump {
            file.cluster.dump = Some(dump.clone());
            (file.cluster.kubeconfig, file.cluster.context) = (None, None);
        }
        if self.kubeconfig.is_some() || self.context.is_some() {
            file.cluster.dump = None;
            file.cluster.kubeconfig = self.kubeconfig.clone().or(file.cluster.kubeconfig);
            file.cluster.context = self.context.clone().or(file.cluster.context);
        }
        file.cluster.secrets |= self.secrets;
        if !self.backups.is_empty() {
            file.velero.backups = self.backups.iter().map(|b| parse_backup(b)).collect::<Result<_, _>>()?;
        }
        if let Some(ns) = &self.velero_namespace {
            file.velero.namespace = Some(ns.clone());
        }
        if let Some(dir) = &self.cache_dir {
            file.cache_dir = Some(dir.clone());
        }
        Ok(file)
    }
}

/// Splits `PATH_OR_URL[@REF]`. An `@` before the host (`git@host:path`, `ssh://git@host/x`) is no ref, nor is one in a path that exists.
fn split_ref(text: &str, exists: impl Fn(&str) -> bool) -> (String, Option<String>) {
    let whole = || (text.to_owned(), None);
    if exists(text) {
        return whole();
    }
    let Some((location, reference)) = text.rsplit_once('@') else { return whole() };
    let after_host = match location.split_once("://") {
        Some((scheme, rest)) => rest.contains('/') || scheme == "file",
        None => !reference.contains(':'),
    };
    if location.is_empty() || reference.is_empty() || !after_host { whole() } else { (location.to_owned(), Some(reference.to_owned())) }
}

/// Parses `NAME=PATH[:RENDERER][,KEY=VALUE ...]`. A key that may repeat (`value_files`) collects its values.
fn parse_app(text: &str) -> Result<AppEntry, ConfigError> {
    let bad = |m: String| ConfigError(format!("--app {text}: {m}"));
    let mut parts = text.split(',');
    let head = parts.next().unwrap_or_default();
    let (name, path) = head.split_once('=').ok_or_else(|| bad("write NAME=PATH[:RENDERER][,KEY=VALUE ...]".into()))?;
    let (path, renderer) = path.rsplit_once(':').map_or((path, None), |(p, r)| (p, Some(r)));
    let mut map = serde_yaml::Mapping::new();
    let text_of = |t: &str| serde_yaml::Value::String(t.to_owned());
    map.insert(text_of("name"), text_of(name));
    map.insert(text_of("path"), text_of(path));
    if let Some(r) = renderer {
        map.insert(text_of("renderer"), text_of(r));
    }
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| bad(format!("`{part}` is not KEY=VALUE")))?;
        let parsed = match value {
            "true" => serde_yaml::Value::Bool(true),
            "false" => serde_yaml::Value::Bool(false),
            other => text_of(other),
        };
        let key_value = text_of(key);
        if key == "value_files" {
            let list = map.entry(key_value).or_insert_with(|| serde_yaml::Value::Sequence(Vec::new()));
            if let Some(list) = list.as_sequence_mut() {
                list.push(parsed);
            }
        } else if map.insert(key_value, parsed).is_some() {
            return Err(bad(format!("`{key}` is given twice")));
        }
    }
    serde_yaml::from_value(serde_yaml::Value::Mapping(map)).map_err(|e| bad(e.to_string()))
}

/// Parses `FILE`, `NAME=FILE` or `NAME=FILE,start=TIME`.
fn parse_backup(text: &str) -> Result<BackupEntry, ConfigError> {
    let bad = |m: String| ConfigError(format!("--backup {text}: {m}"));
    let (head, start) = match text.split_once(",start=") {
        Some((head, start)) => (head, Some(start.to_owned())),
        None => (text, None),
    };
    let (name, file) = match head.split_once('=') {
        Some((name, file)) if !name.contains('/') => (Some(name.to_owned()), file),
        _ => (None, head),
    };
    if file.is_empty() || file.contains(",") && start.is_none() {
        return Err(bad("write FILE or NAME=FILE,start=TIME".into()));
    }
    Ok(BackupEntry { file: file.into(), name, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_ref_is_told_from_an_address() {
        for (text, location, reference) in [
            ("/srv/repo", "/srv/repo", None),
            ("/srv/repo@main", "/srv/repo", Some("main")),
            ("/srv/repo@feature/x", "/srv/repo", Some("feature/x")),
            ("/srv/a@b", "/srv/a@b", None),
            ("git@git.example.com:x.git", "git@git.example.com:x.git", None),
            ("git@git.example.com:x.git@v1", "git@git.example.com:x.git", Some("v1")),
            ("ssh://git@git.example.com/x", "ssh://git@git.example.com/x", None),
            ("https://git.example.com/x@main", "https://git.example.com/x", Some("main")),
            ("file:///srv/repo@main", "file:///srv/repo", Some("main")),
        ] {
            let got = split_ref(text, |p| p == "/srv/a@b");
            assert_eq!(got, (location.to_owned(), reference.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn an_app_takes_the_keys_of_the_file() {
        let app = parse_app("shop=apps/shop:directory,namespace=shop,recurse=true").expect("good");
        assert_eq!((app.name.as_str(), app.path.as_str(), app.renderer.as_deref()), ("shop", "apps/shop", Some("directory")));
        assert_eq!((app.namespace.as_deref(), app.recurse), (Some("shop"), Some(true)));
        let helm = parse_app("a=chart:helm,value_files=x.yaml,value_files=y.yaml").expect("good");
        assert_eq!(helm.value_files, Some(vec!["x.yaml".to_owned(), "y.yaml".to_owned()]));
        for (text, part) in [
            ("shop", "write NAME=PATH"),
            ("a=b,colour=red", "unknown field `colour`"),
            ("a=b,recurse", "is not KEY=VALUE"),
            ("a=b,namespace=x,namespace=y", "given twice"),
            ("a=b,recurse=perhaps", "invalid type"),
        ] {
            let error = parse_app(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_backup_is_a_file_or_a_named_file_with_a_start() {
        let b = parse_backup("nightly=/b/x.tar.gz,start=2026-01-02T03:04:05Z").expect("good");
        assert_eq!((b.name.as_deref(), b.start.as_deref()), (Some("nightly"), Some("2026-01-02T03:04:05Z")));
        assert_eq!(parse_backup("/b/x.tar.gz").expect("good").file, PathBuf::from("/b/x.tar.gz"));
        assert_eq!(parse_backup("/b=c/x.tar.gz").expect("good").name, None);
        assert!(parse_backup("n=").is_err());
    }
}
