//! The command line as clap sees it, and how flags override the configuration file. pure but for looking whether a path exists
//!
//! I/O: `Path::exists`, to tell `PATH@REF` from a path with an `@` in it.

mod parse;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use parse::{parse_app, parse_backup, split_ref};

use crate::{
    config::file::{ConfigError, ConfirmBy, File, SourceEntry},
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
    /// Who confirms what drifts: the API server is asked by dry runs of the deployers' next applies. Needs the right to patch; writes nothing.
    #[arg(long, value_enum, value_name = "BY", conflicts_with = "cluster_dump")]
    pub confirm: Option<Confirm>,
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

/// Who confirms what drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Confirm {
    /// The API server.
    Server,
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
    /// What `coverage -o json` prints.
    Coverage,
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
            // A dump cannot be asked anything.
            (file.cluster.confirm, file.cluster.confirm_per_second, file.cluster.confirm_again) = (ConfirmBy::None, None, None);
        }
        if self.kubeconfig.is_some() || self.context.is_some() {
            file.cluster.dump = None;
            file.cluster.kubeconfig = self.kubeconfig.clone().or(file.cluster.kubeconfig);
            file.cluster.context = self.context.clone().or(file.cluster.context);
        }
        file.cluster.secrets |= self.secrets;
        if self.confirm == Some(Confirm::Server) {
            file.cluster.confirm = ConfirmBy::Server;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
