//! Restores that were made, as evidence that a backup can be brought back. pure

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{RestoreFiles, RestoredVolume};
use crate::object::Text;

/// Who tells of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// A Restore object in this cluster.
    Velero,
    /// The bucket alone: another cluster made it, or its object is gone. What it was asked for is not known.
    Bucket,
    /// A report of Kymaros, which restores into a sandbox and looks whether it works.
    Kymaros,
}

/// One restore.
#[derive(Clone, Debug)]
pub struct Restore {
    /// Its name.
    pub name: Text,
    /// Who tells of it.
    pub by: ToldBy,
    /// The backup that was restored, if that is known.
    pub backup: Option<Text>,
    /// Velero's phase, or the report's result.
    pub phase: Option<Text>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it was done.
    pub completed: Option<Timestamp>,
    /// Counts from the status, or from the file of results.
    pub errors: u64,
    /// Counts from the status.
    pub warnings: u64,
    /// Namespaces that it gave another name: from, to.
    pub mapping: BTreeMap<Text, Text>,
    /// Why it brought back a part only, if it was asked for one: a filter other than by namespace.
    pub part: Option<String>,
    /// Volumes whose bytes it brought back, as PodVolumeRestores and DataDownloads in the cluster tell.
    pub volumes: Vec<RestoredVolume>,
    /// Namespaces that were tested; Kymaros only.
    pub tested: Vec<Text>,
    /// What Velero wrote in the bucket.
    pub files: RestoreFiles,
}
