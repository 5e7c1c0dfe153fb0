//! What was read of the files that Velero wrote beside an archive, and which of them to read next. pure
//!
//! Of an archive that is read all of them matter. Of another one those about volumes do: who has the bytes of a claim is asked of every backup,
//! and these files are small.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::choose::AGAIN;
use crate::{
    velero::beside::{Fetched, SideFile},
    witness::{Failure, Side, SideFiles},
};

/// The files of one backup.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    files: SideFiles,
    seen: BTreeMap<SideFile, Seen>,
}

/// One file as it was read.
#[derive(Clone, Debug)]
struct Seen {
    /// What tells this content from another, where a listing says so.
    tag: Option<String>,
    /// When reading it failed, and how long nobody tries again.
    failed: Option<(Timestamp, SignedDuration)>,
}

impl Sides {
    /// What they say.
    pub fn files(&self) -> &SideFiles {
        &self.files
    }

    /// Whether a file has to be read: it never was, it is another one now, or it failed some time ago.
    fn is_due(&self, file: SideFile, tag: Option<&str>, now: Timestamp) -> bool {
        match self.seen.get(&file) {
            None => true,
            Some(seen) if seen.tag.as_deref() != tag => true,
            Some(seen) => seen.failed.is_some_and(|(at, wait)| now.duration_since(at) >= wait),
        }
    }

    /// Whether anybody tried to read it.
    pub fn tried(&self, file: SideFile) -> bool {
        self.seen.contains_key(&file)
    }

    /// The files to read next. `read` says whether the archive itself was read; `tag` what a listing says of a file, if there is one.
    pub fn due(&self, phase: &str, read: bool, now: Timestamp, tag: impl Fn(SideFile) -> Option<String>) -> Vec<SideFile> {
        // The others say what this one says, in older words.
        let told = self.files.volumes.read().is_some() || tag(SideFile::VolumeInfo).is_some();
        let about_volumes = |f: &SideFile| match f {
            SideFile::VolumeInfo => true,
            SideFile::PodVolumeBackups | SideFile::VolumeSnapshots => !told,
            SideFile::Results | SideFile::ResourceList => false,
        };
        let wanted = SideFile::ALL.into_iter().filter(|f| if read { f.matters(phase) } else { about_volumes(f) });
        wanted.filter(|f| self.is_due(*f, tag(*f).as_deref(), now)).collect()
    }

    /// Takes one file in.
    pub fn take(&mut self, file: SideFile, name: &str, tag: Option<String>, fetched: Fetched<'_>, now: Timestamp) {
        self.files.take(file, name, fetched);
        // A Velero before 1.13 refuses the kind of some files, and each time.
        let wait = |f: &Failure| if &*f.reason == "download_failed" { SignedDuration::from_hours(1) } else { AGAIN };
        let failed = self.failure(file).map(|f| (now, wait(f)));
        self.seen.insert(file, Seen { tag, failed });
    }

    fn failure(&self, file: SideFile) -> Option<&Failure> {
        fn of<T>(side: &Side<T>) -> Option<&Failure> {
            side.failure()
        }
        match file {
            SideFile::Results => of(&self.files.results),
            SideFile::VolumeInfo => of(&self.files.volumes),
            SideFile::PodVolumeBackups => of(&self.files.pod_volumes),
            SideFile::VolumeSnapshots => of(&self.files.snapshots),
            SideFile::ResourceList => of(&self.files.listed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().expect("a time")
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).expect("written");
        out.finish().expect("gzip")
    }

    #[test]
    fn of_an_archive_that_was_not_read_the_files_about_volumes_matter() {
        use SideFile::*;
        let due =
            |phase, read, listed: &'static [SideFile]| Sides::default().due(phase, read, now(), move |f| listed.contains(&f).then(|| "1".to_owned()));
        assert_eq!(due("Completed", true, &[]), [Results, VolumeInfo, PodVolumeBackups, VolumeSnapshots]);
        assert_eq!(due("PartiallyFailed", true, &[]), SideFile::ALL);
        assert_eq!(due("PartiallyFailed", false, &[VolumeInfo]), [VolumeInfo]);
        assert_eq!(due("Completed", false, &[]), [VolumeInfo, PodVolumeBackups, VolumeSnapshots], "an older Velero has no volume info");
    }

    #[test]
    fn a_file_is_read_again_when_it_is_another_one_and_when_it_failed_a_while_ago() {
        let mut sides = Sides::default();
        let due = |sides: &Sides, tag: &str, minutes: i64| {
            let tag = tag.to_owned();
            let later = now() + jiff::SignedDuration::from_mins(minutes);
            sides.due("Completed", false, later, move |f| (f == SideFile::VolumeInfo).then(|| tag.clone())).len()
        };
        sides.take(SideFile::VolumeInfo, "b-volumeinfo.json.gz", Some("1".into()), Ok(Some(b"broken")), now());
        assert_eq!((due(&sides, "1", 1), due(&sides, "1", 6), due(&sides, "2", 1)), (0, 1, 1));
        sides.take(SideFile::VolumeInfo, "b-volumeinfo.json.gz", Some("2".into()), Ok(Some(&gzip("[]"))), now());
        assert_eq!((due(&sides, "2", 60), due(&sides, "3", 0)), (0, 1));
        assert!(sides.files().volumes.read().is_some());
    }
}
