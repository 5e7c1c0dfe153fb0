//! The private folder of one render, and the removal of those that a crash left behind. I/O: creates and removes folders.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tempfile::TempDir;

use super::SandboxError;

/// What every render folder's name begins with.
const PREFIX: &str = "snapgap-render-";

/// Leftovers older than this are removed: no render may run for that long.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// A fresh folder with an unpredictable name that only we can enter. Removed when dropped.
///
/// `tree` holds what was exported, `input` what we add (inline values), `home` is the only place the program may write to, `root` is
/// where a mount namespace builds its root.
#[derive(Debug)]
pub struct Folder {
    /// Removes the folder when dropped.
    _dir: TempDir,
    path: PathBuf,
}

impl Folder {
    /// Makes a folder under `root`, which is made too if it is not there.
    pub fn new(root: &Path) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Folder { what: format!("a folder for the render under {}", root.display()), source };
        fs::create_dir_all(root).map_err(failed)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(root).map_err(failed)?;
        let path = dir.path().canonicalize().map_err(failed)?;
        let folder = Self { _dir: dir, path };
        for sub in [folder.tree(), folder.input(), folder.home(), folder.root()] {
            fs::create_dir(&sub).map_err(failed)?;
        }
        Ok(folder)
    }

    /// The folder itself, without links in its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where files are exported to.
    pub fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// Where files lie that we write ourselves.
    pub fn input(&self) -> PathBuf {
        self.path.join("input")
    }

    /// The program's home, the only folder that it may write to.
    pub fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    pub(super) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// The whole environment of the program: homes inside the folder, no PATH (so that no git, no credential helper and no plugin is found),
    /// and a Go runtime that keeps within its limits and prints no stacks.
    pub fn environment(&self, memory_bytes: u64) -> Vec<(String, String)> {
        let home = self.home();
        let at = |sub: &str| home.join(sub).display().to_string();
        let pairs = [
            ("HOME", home.display().to_string()),
            ("TMPDIR", at("tmp")),
            ("XDG_CACHE_HOME", at("cache")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_DATA_HOME", at("data")),
            ("HELM_CACHE_HOME", at("cache/helm")),
            ("HELM_CONFIG_HOME", at("config/helm")),
            ("HELM_DATA_HOME", at("data/helm")),
            ("TZ", "UTC".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("GOMAXPROCS", "2".to_owned()),
            ("GOTRACEBACK", "none".to_owned()),
            ("GOMEMLIMIT", format!("{}B", memory_bytes / 5 * 4)),
        ];
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
    }
}

/// Removes render folders under `root` that are more than an hour old: a run that crashed left them behind. Returns how many went.
/// What cannot be read or removed is left for the next time.
pub fn sweep(root: &Path, now: Timestamp) -> usize {
    let Ok(entries) = fs::read_dir(root) else { return 0 };
    let old = |path: &Path| -> Option<bool> {
        let meta = fs::symlink_metadata(path).ok()?;
        let modified = Timestamp::try_from(meta.modified().ok()?).ok()?;
        Some(meta.is_dir() && now.duration_since(modified).unsigned_abs() > LEFTOVER_AGE && modified < now)
    };
    entries
        .flatten()
        .filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with(PREFIX)))
        .filter(|e| old(&e.path()) == Some(true) && fs::remove_dir_all(e.path()).is_ok())
        .count()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::SystemTime};

    use super::*;

    #[test]
    fn a_folder_is_private_and_gone_when_dropped() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(&root.path().join("not/yet")).expect("made");
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
        let names: Vec<String> = folder.environment(100).into_iter().map(|(k, _)| k).collect();
        assert!(!names.iter().any(|n| n == "PATH" || n == "KUBECONFIG"), "{names:?}");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn only_old_render_folders_are_swept() {
        let root = tempfile::tempdir().expect("a folder");
        let make = |name: &str| fs::create_dir_all(root.path().join(name).join("tree")).expect("made");
        make("snapgap-render-old");
        make("something-else");
        fs::write(root.path().join("snapgap-render-file"), "").expect("written");
        let later = Timestamp::try_from(SystemTime::now() + Duration::from_secs(3601)).expect("a time");
        assert_eq!(sweep(root.path(), Timestamp::now()), 0, "young ones may be in use");
        assert_eq!(sweep(root.path(), later), 1);
        let left: BTreeSet<_> = fs::read_dir(root.path()).expect("read").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["snapgap-render-file", "something-else"].into_iter().map(Into::into).collect());
        assert_eq!(sweep(&root.path().join("nowhere"), later), 0);
    }
}
