//! `config check`: reads and checks the configuration, and says what it comes to. I/O: the configuration file.

use std::{
    fmt::Write as _,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{
    Bad, Outcome,
    args::{ServeArgs, WitnessArgs},
    print,
};
use crate::config::{
    Config, Renderer,
    file::{File, Surroundings},
};

/// Bytes of a configuration file. Thousands of apps fit in.
const MAX_FILE: u64 = 4 << 20;

/// Reads the file (if any), lays the flags over it and validates.
pub fn load(args: &WitnessArgs) -> Result<Config, Bad> {
    validate(args, read(args)?)
}

/// The same for the daemon, whose own flags win too.
pub fn load_for_serve(args: &ServeArgs) -> Result<Config, Bad> {
    let mut file = read(&args.witness)?;
    if let Some(listen) = &args.listen {
        file.web.listen = Some(listen.clone());
    }
    file.web.enable_lifecycle |= args.enable_lifecycle;
    if args.state_file.is_some() {
        file.state_file.clone_from(&args.state_file);
    }
    validate(&args.witness, file)
}

fn read(args: &WitnessArgs) -> Result<File, Bad> {
    let Some(path) = &args.config else { return Ok(File::default()) };
    let wrong = |what: String| Bad::Usage(anyhow::anyhow!("configuration {}: {what}", path.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    if opened.map_err(|e| wrong(e.to_string()))? as u64 > MAX_FILE {
        return Err(wrong(format!("it has more than {MAX_FILE} bytes, which no configuration has")));
    }
    File::parse(&text).map_err(|e| in_file(path, e))
}

fn validate(args: &WitnessArgs, file: File) -> Result<Config, Bad> {
    let file = args.over(file)?;
    let config = file.validate(&Surroundings { cache_dir: default_cache() });
    config.map_err(|e| match &args.config {
        Some(path) => in_file(path, e),
        None => e.into(),
    })
}

fn in_file(path: &Path, error: crate::config::file::ConfigError) -> Bad {
    Bad::Usage(anyhow::anyhow!("configuration {}: {error}", path.display()))
}

fn default_cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache"));
    base.or_else(home).unwrap_or_else(std::env::temp_dir).join("snapgap")
}

/// `snapgap config check`.
pub fn check(args: &WitnessArgs) -> Outcome {
    let config = load(args)?;
    let mut text = String::from("The configuration is good.\n");
    for s in config.sources.values() {
        let _ = writeln!(text, "source {}: {} at {}", s.name, s.location, s.reference.as_deref().unwrap_or("HEAD"));
    }
    for a in config.apps.values() {
        let path = if a.path.is_empty() { "." } else { &a.path };
        let renderer = match &a.renderer {
            Renderer::Auto => "found out by what lies there",
            other => other.name(),
        };
        let _ = writeln!(text, "app {}: {path} in source {}, renderer {renderer}", a.name, a.source);
    }
    let cluster = match (&config.cluster.dump, &config.cluster.context) {
        (Some(dump), _) => format!("dump {}", dump.display()),
        (None, Some(context)) => format!("context {context}"),
        (None, None) => "the current context".into(),
    };
    let secrets = if config.cluster.secrets { "compared by keyed hash" } else { "not read" };
    let confirm = match config.cluster.confirm {
        Some(c) => format!("; what drifts is put to the server's dry run, {} questions a second at most", c.per_second),
        None => String::new(),
    };
    let _ = writeln!(text, "cluster: {cluster}; Secrets are {secrets}{confirm}");
    let _ = writeln!(text, "Velero: namespace {}, archives given: {}", config.velero.namespace, config.velero.backups.len());
    print(&text)
}
