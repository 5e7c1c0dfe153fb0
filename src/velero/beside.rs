//! Readers for what Velero writes beside an archive: results, volumes, restored items. pure
//!
//! Sources: pkg/persistence/object_store_layout.go (names), pkg/util/results and pkg/util/logging/log_counter_hook.go (results),
//! internal/volume/volumes_information.go (volumes of both), pkg/restore/request.go (restored items). What is odd is passed over, never an error:
//! only a file that is no gzip or no JSON of the right shape counts as unreadable.

mod items;
mod results;
mod returned;
#[cfg(test)]
mod tests;
mod volumes;

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

pub use returned::{of_data_download, of_pod_volume_restore};
pub use volumes::{of_data_upload, of_pod_volume_backup};

use super::archive::weight;
use crate::witness::{Failure, RestoreFiles, Side, SideFiles};

/// Bytes of one file after inflation. The largest grows with the volumes or errors of one backup.
pub const MAX_BYTES: u64 = 64 << 20;

/// The files beside an archive that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SideFile {
    /// Errors and warnings.
    Results,
    /// What became of each volume.
    VolumeInfo,
    /// File-system backups of pods' volumes.
    PodVolumeBackups,
    /// Snapshots by a provider's plugin.
    VolumeSnapshots,
    /// What Velero set out to write; worth reading for a partially failed backup only.
    ResourceList,
}

impl SideFile {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Results, Self::VolumeInfo, Self::PodVolumeBackups, Self::VolumeSnapshots, Self::ResourceList];

    /// Whether it says anything of a backup that ended in this phase.
    pub fn matters(self, phase: &str) -> bool {
        self != Self::ResourceList || phase == "PartiallyFailed"
    }

    /// The file's name in the folder of its backup.
    pub fn name(self, backup: &str) -> String {
        let ending = match self {
            Self::Results => "results.gz",
            Self::VolumeInfo => "volumeinfo.json.gz",
            Self::PodVolumeBackups => "podvolumebackups.json.gz",
            Self::VolumeSnapshots => "volumesnapshots.json.gz",
            Self::ResourceList => "resource-list.json.gz",
        };
        format!("{backup}-{ending}")
    }

    /// The kind that a DownloadRequest asks for (pkg/apis/velero/v1/download_request_types.go); `None` if there is no such kind.
    pub fn download_kind(self) -> Option<&'static str> {
        match self {
            Self::Results => Some("BackupResults"),
            Self::VolumeInfo => Some("BackupVolumeInfos"),
            Self::PodVolumeBackups => None,
            Self::VolumeSnapshots => Some("BackupVolumeSnapshots"),
            Self::ResourceList => Some("BackupResourceList"),
        }
    }
}

/// The files of a restore that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RestoreFile {
    /// Errors and warnings.
    Results,
    /// What was done to each object.
    ResourceList,
    /// Whose bytes were brought back.
    VolumeInfo,
}

impl RestoreFile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Results, Self::ResourceList, Self::VolumeInfo];

    /// The file's name in the folder of its restore.
    pub fn name(self, restore: &str) -> String {
        match self {
            Self::Results => format!("restore-{restore}-results.gz"),
            Self::ResourceList => format!("restore-{restore}-resource-list.json.gz"),
            Self::VolumeInfo => format!("{restore}-volumeinfo.json.gz"),
        }
    }

    /// The kind that a DownloadRequest asks for.
    pub fn download_kind(self) -> &'static str {
        match self {
            Self::Results => "RestoreResults",
            Self::ResourceList => "RestoreResourceList",
            Self::VolumeInfo => "RestoreVolumeInfo",
        }
    }
}

/// A file as it was fetched: its bytes, still compressed; `None` if it is known not to be there.
pub type Fetched<'a> = Result<Option<&'a [u8]>, Failure>;

impl SideFiles {
    /// Takes one file in.
    pub fn take(&mut self, file: SideFile, name: &str, fetched: Fetched<'_>) {
        match file {
            SideFile::Results => self.results = read(name, fetched, results::results),
            SideFile::VolumeInfo => self.volumes = read(name, fetched, volumes::infos),
            SideFile::PodVolumeBackups => self.pod_volumes = read(name, fetched, volumes::pod_volume_backups),
            SideFile::VolumeSnapshots => self.snapshots = read(name, fetched, volumes::native_snapshots),
            SideFile::ResourceList => self.listed = read(name, fetched, items::listed),
        }
    }
}

impl RestoreFiles {
    /// The files of a restore, none of them read yet.
    pub fn of(name: &str) -> Self {
        Self { name: name.into(), results: Side::Unread, items: Side::Unread, volumes: Side::Unread }
    }

    /// Takes one file in.
    pub fn take(&mut self, file: RestoreFile, name: &str, fetched: Fetched<'_>) {
        match file {
            RestoreFile::Results => self.results = read(name, fetched, results::results),
            RestoreFile::ResourceList => self.items = read(name, fetched, items::items),
            RestoreFile::VolumeInfo => self.volumes = read(name, fetched, returned::infos),
        }
    }
}

/// Inflates and parses a file under the cap. Messages quote nothing of its content.
fn read<T>(name: &str, fetched: Fetched<'_>, of: impl Fn(&Value) -> Option<T>) -> Side<T> {
    let bytes = match fetched {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Side::Absent,
        Err(failure) => return Side::Failed(failure),
    };
    let bad = |message: String| Side::Failed(Failure::new("side_file_unreadable", format!("{name} cannot be read: {message}")));
    let mut json = Vec::new();
    match MultiGzDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut json) {
        Err(e) => return bad(format!("it is no whole gzip stream ({e})")),
        Ok(_) if json.len() as u64 > MAX_BYTES => return bad(format!("it inflates to more than {MAX_BYTES} bytes")),
        Ok(_) => {}
    }
    if weight::of(&json) > weight::MOST {
        return bad("it is made of more small parts than Velero writes".to_owned());
    }
    match serde_json::from_slice::<Value>(&json) {
        Err(e) => bad(format!("it is not JSON at line {}, column {}", e.line(), e.column())),
        Ok(value) => of(&value).map_or_else(|| bad("it has another shape than Velero gives it".to_owned()), Side::Read),
    }
}

/// The longest piece of somebody else's text that is kept.
const LONGEST: usize = 512;

/// A text within bounds.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
