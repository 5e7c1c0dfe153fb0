//! The small state file: onset times that neither Git nor the cluster can tell. I/O: one file, replaced atomically.
//!
//! It is never the only copy of anything that matters: lost or corrupt, the daemon starts without it and says so. A file of a newer
//! version is never overwritten; a corrupt one is kept aside, never deleted.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The version that this program writes and the newest it reads.
pub const VERSION: u32 = 1;

/// Why the state file cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// Written by a newer program.
    #[error(
        "state file {path} has version {found}, this program knows up to {VERSION}: use the newer snapgap, or point --state-file at another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Reading or writing failed.
    #[error("state file {path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StateError {
    /// Stable word for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "newer_version",
            Self::Io { .. } => "io",
        }
    }
}

/// What loading found.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded<T> {
    /// There was none.
    Fresh,
    /// A good one.
    Good(T),
    /// It could not be understood; it lies now at this path.
    SetAside(PathBuf),
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    #[serde(flatten)]
    state: T,
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { path, action, source }
}

/// Loads the state. A corrupt file is moved to `<file>.corrupt-<n>` and reported.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Loaded<T>, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Fresh),
        Err(e) => return Err(io_error(path, "read it")(e)),
    };
    // The version is looked at on its own, so that a newer layout is refused as newer and not as corrupt.
    if let Ok(raw) = serde_json::from_slice::<serde_json::Value>(&bytes)
        && let Some(found) = raw.get("version").and_then(serde_json::Value::as_u64)
        && found > u64::from(VERSION)
    {
        return Err(StateError::Newer { path: path.to_owned(), found });
    }
    match serde_json::from_slice::<Envelope<T>>(&bytes) {
        Ok(envelope) => Ok(Loaded::Good(envelope.state)),
        Err(_) => {
            let aside = (0..).map(|n| suffixed(path, &format!(".corrupt-{n}"))).find(|p| !p.exists()).unwrap_or_else(|| suffixed(path, ".corrupt"));
            fs::rename(path, &aside).map_err(io_error(path, "set the corrupt file aside"))?;
            Ok(Loaded::SetAside(aside))
        }
    }
}

/// Replaces the file atomically: a crash leaves the old state or the new one, never half of one.
pub fn save<T: Serialize>(path: &Path, state: &T) -> Result<(), StateError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bytes = serde_json::to_vec(&Envelope { version: VERSION, state }).map_err(|e| io_error(path, "write it")(io::Error::other(e)))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io_error(path, "write beside it"))?;
    file.write_all(&bytes).map_err(io_error(path, "write it"))?;
    file.as_file().sync_all().map_err(io_error(path, "write it"))?;
    file.persist(path).map_err(|e| io_error(path, "replace it")(e.error))?;
    Ok(())
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct State {
        onsets: BTreeMap<String, u64>,
    }

    fn state() -> State {
        State { onsets: BTreeMap::from([("a".into(), 7)]) }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("state.json");
        assert_eq!(load::<State>(&path).expect("load"), Loaded::Fresh);
        save(&path, &state()).expect("save");
        assert_eq!(load(&path).expect("load"), Loaded::Good(state()));
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_corrupt_file_is_set_aside_and_never_deleted() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("state.json");
        for n in 0..2 {
            fs::write(&path, format!("{{half {n}")).expect("write");
            let aside = suffixed(&path, &format!(".corrupt-{n}"));
            assert_eq!(load::<State>(&path).expect("load"), Loaded::SetAside(aside.clone()));
            assert_eq!(fs::read_to_string(aside).expect("kept"), format!("{{half {n}"));
        }
    }

    #[test]
    fn a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("state.json");
        fs::write(&path, r#"{"version":9,"onsets":"of another shape"}"#).expect("write");
        let error = load::<State>(&path).expect_err("refused");
        assert_eq!(error.kind(), "newer_version");
        assert!(fs::read_to_string(&path).expect("kept").contains("another shape"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
        let error = save(Path::new("/proc/nope/state.json"), &state()).expect_err("refused");
        assert!(error.to_string().contains("/proc/nope/state.json"), "{error}");
    }
}
