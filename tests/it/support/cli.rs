//! Runs the program itself, over worlds that it made. I/O: temporary folders, child processes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The program that these tests were built with.
pub const SNAPGAP: &str = env!("CARGO_BIN_EXE_snapgap");

/// What one run gave.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Everything that was printed.
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// The standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON: {e}: {self:?}"))
    }

    /// The run, which must have ended with this code and must not have panicked.
    pub fn ended(self, code: i32) -> Self {
        assert!(self.code == Some(code), "wanted exit code {code}: {self:#?}");
        assert!(!self.said().contains("panicked"), "{self:#?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(out: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: out.status.code(), out: text(&out.stdout), err: text(&out.stderr) }
    }
}

/// The program with an environment that holds nothing of the user's: no kubeconfig, no cache, no settings.
pub fn program(home: &Path) -> Command {
    let mut command = Command::new(SNAPGAP);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("XDG_CACHE_HOME", home.join("cache")).current_dir(home);
    command
}

/// Runs the program.
pub fn snapgap(home: &Path, args: &[&str]) -> Ran {
    program(home).args(args).output().expect("the program starts").into()
}

/// A world made by `demo --keep`.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let world = folder.path().join("world").display().to_string();
        snapgap(folder.path(), &["demo", "--once", "--keep", &world]).ended(0);
        Self { folder }
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, inside: &str) -> String {
        self.home().join("world").join(inside).display().to_string()
    }

    pub fn config(&self) -> String {
        self.path("snapgap.yaml")
    }

    /// The newest backup: its name and its archive.
    pub fn newest(&self) -> (String, PathBuf) {
        let mut names: Vec<_> = std::fs::read_dir(self.path("backups"))
            .expect("backups")
            .map(|e| e.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        let name = names.pop().expect("a backup");
        let archive = PathBuf::from(self.path("backups")).join(&name).join(format!("{name}.tar.gz"));
        (name, archive)
    }

    /// Runs a command over this world: its configuration is named at the end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let config = self.config();
        snapgap(self.home(), &[args, &["-f", &config]].concat())
    }

    /// The whole report.
    pub fn report(&self, args: &[&str]) -> Value {
        self.run(&[&["report", "-o", "json", "--all"], args].concat()).json()
    }

    /// Git, the dump and the newest archive by flags alone.
    pub fn by_flags<'a>(&'a self, flags: &'a Flags) -> Vec<&'a str> {
        let mut args = vec!["--git", &flags.git, "--cluster-dump", &flags.dump];
        args.extend(flags.apps.iter().flat_map(|a| ["--app", a.as_str()]));
        args.extend(["--backup", &flags.backup]);
        args
    }

    pub fn flags(&self) -> Flags {
        Flags {
            git: format!("{}@main", self.path("fleet.git")),
            dump: self.path("cluster"),
            apps: vec![
                "shop=apps/shop:directory,namespace=shop,layer=apps".into(),
                "ingress=platform/ingress,namespace=ingress,layer=platform".into(),
            ],
            backup: self.newest().1.display().to_string(),
        }
    }
}

/// Texts of flags that name a world without a configuration file.
pub struct Flags {
    pub git: String,
    pub dump: String,
    pub apps: Vec<String>,
    pub backup: String,
}

/// The objects of a report that have this verdict, as `Kind/name`.
pub fn with(report: &Value, axis: &str, verdict: &str) -> Vec<String> {
    let objects = report["objects"].as_array().expect("objects");
    let named = objects.iter().filter(|o| o[axis] == verdict);
    named.map(|o| format!("{}/{}", o["kind"].as_str().unwrap_or_default(), o["name"].as_str().unwrap_or_default())).collect()
}
