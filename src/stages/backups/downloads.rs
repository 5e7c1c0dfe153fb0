//! The content of backups by DownloadRequests, one archive at a time. I/O: through cluster and velero's store and library.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    choose::{self, Outcome, Wanted, why_unread},
    stores::{Read, take},
};
use crate::{
    cluster::{Connection, download},
    config::{Cluster, Downloads},
    object::Text,
    velero::{
        FileBackup, Library,
        beside::{MAX_BYTES, SideFile},
        custom,
        store::{StoreError, error::Fault, feed, signed},
    },
    witness::{Failure, Live, SideFiles},
};

/// A backup as Velero knows it: its name, and what tells it from another one of that name.
type Key = (Text, Option<Text>, Option<Timestamp>);

/// Reads content through Velero.
pub(super) struct DownloadStage {
    settings: Downloads,
    cluster: Cluster,
    namespace: Text,
    connection: Option<Connection>,
    outcomes: BTreeMap<Key, (Outcome, SideFiles)>,
}

fn key(backup: &custom::Backup) -> Key {
    (backup.head.name.clone(), backup.head.uid.clone(), backup.start)
}

impl DownloadStage {
    pub fn new(settings: Downloads, cluster: Cluster, namespace: Text) -> Self {
        Self { settings, cluster, namespace, connection: None, outcomes: BTreeMap::new() }
    }

    /// The backup whose content is wanted most.
    fn wanted<'b>(&self, backups: &'b [custom::Backup], asked: Wanted) -> Option<&'b custom::Backup> {
        let unread = Outcome::Unread;
        let alive = |b: &&custom::Backup| b.expires.is_none_or(|e| e > asked.now) && !b.head.deleting;
        let alive: Vec<&custom::Backup> = backups.iter().filter(alive).collect();
        let all: Vec<_> = alive.iter().map(|b| (*b, self.outcomes.get(&key(b)).map_or(&unread, |(o, _)| o))).collect();
        choose::next(&all, asked).map(|n| alive[n])
    }

    /// Whether there is more to read.
    pub fn has_more(&self, backups: &[custom::Backup], asked: Wanted) -> bool {
        self.wanted(backups, asked).is_some()
    }

    /// Reads the archive that is wanted most. `backups` are those of the cluster that no store and no file tells of.
    pub async fn read(&mut self, backups: &[custom::Backup], live: &Live, library: &Library, asked: Wanted) -> Option<Read> {
        self.outcomes.retain(|known, _| backups.iter().any(|b| key(b) == *known));
        let backup = self.wanted(backups, asked)?;
        let cache = format!(
            "velero {} {} {} {}",
            live.cluster_uid.as_deref().unwrap_or_default(),
            backup.head.name,
            backup.head.uid.as_deref().unwrap_or_default(),
            backup.completed.map(|t| t.to_string()).unwrap_or_default()
        );
        let outcome = match library.find(&cache) {
            Some(archive) => Outcome::of(archive, live.cluster_uid.as_deref()),
            None => match self.fetch(backup, live, library, cache, asked.now).await {
                Ok(outcome) => outcome,
                Err(e) => {
                    tracing::warn!(backup = &*backup.head.name, reason = e.kind(), "{e}");
                    Outcome::Failed(Failure::from(&e), asked.now)
                }
            },
        };
        let failed = outcome.content(|| Failure::new("not_needed", "")).err().map(|f| f.reason);
        let side = if failed.is_none() { self.beside(backup, live).await } else { SideFiles::default() };
        self.outcomes.insert(key(backup), (outcome, side));
        Some((backup.location.clone(), failed))
    }

    /// A connection, and the CA bundles to trust.
    async fn reach(&mut self, location: Option<&str>, live: &Live) -> Result<(Connection, Vec<Vec<u8>>), StoreError> {
        let setup = |what: String| StoreError::new("DownloadRequest", Fault::Setup(what));
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let made = Connection::connect(&self.cluster).await.map_err(|e| setup(e.to_string()))?;
                self.connection.insert(made).clone()
            }
        };
        let own = match &self.settings.ca_file {
            Some(path) => Some(std::fs::read(path).map_err(|e| setup(format!("cannot read ca_file {}: {e}", path.display())))?),
            None => None,
        };
        let of_location = authority(live, &self.namespace, location);
        Ok((connection, own.into_iter().chain(of_location).collect()))
    }

    async fn fetch(&mut self, backup: &custom::Backup, live: &Live, library: &Library, cache: String, now: Timestamp) -> Result<Outcome, StoreError> {
        let (connection, bundles) = self.reach(backup.location.as_deref(), live).await?;
        let bundles: Vec<&[u8]> = bundles.iter().map(Vec::as_slice).collect();
        let name = &*backup.head.name;
        let answered = download::ask(&connection, &self.namespace, "BackupContents", name, self.settings.timeout).await?;
        let outcome = match signed::file(answered.url.clone(), &format!("{name}.tar.gz"), &bundles) {
            Ok(file) => {
                let origin = format!("backup {name} through Velero");
                Ok(take(library, cache, origin, file, live.cluster_uid.as_deref(), now).await)
            }
            Err(e) => Err(e),
        };
        answered.end().await;
        outcome
    }

    /// What Velero wrote beside an archive, as far as it gives it out.
    async fn beside(&mut self, backup: &custom::Backup, live: &Live) -> SideFiles {
        let mut side = SideFiles::default();
        for file in SideFile::ALL.into_iter().filter(|f| f.matters(&backup.phase)) {
            let Some(kind) = file.download_kind() else { continue };
            let name = file.name(&backup.head.name);
            match self.small(&backup.head.name, backup.location.as_deref(), live, kind, &name).await {
                Ok(bytes) => side.take(file, &name, Ok(Some(&bytes))),
                Err(e) if e.kind() == "download_missing" => side.take(file, &name, Ok(None)),
                Err(e) => side.take(file, &name, Err(Failure::from(&e))),
            }
        }
        side
    }

    /// A small file of a backup or restore, whole.
    pub async fn small(&mut self, of: &str, location: Option<&str>, live: &Live, kind: &str, name: &str) -> Result<Vec<u8>, StoreError> {
        let (connection, bundles) = self.reach(location, live).await?;
        let bundles: Vec<&[u8]> = bundles.iter().map(Vec::as_slice).collect();
        let answered = download::ask(&connection, &self.namespace, kind, of, self.settings.timeout).await?;
        let read = match signed::file(answered.url.clone(), name, &bundles) {
            Ok(file) => feed::whole(&*file, name, MAX_BYTES).await,
            Err(e) => Err(e),
        };
        answered.end().await;
        read
    }

    /// What was read, for the join with the cluster.
    pub fn tell(&self, backups: &[custom::Backup], asked: Wanted) -> Vec<FileBackup> {
        let next = self.wanted(backups, asked).map(key);
        let of = |backup: &custom::Backup| {
            let (known, side) = self.outcomes.get(&key(backup)).cloned().unwrap_or_default();
            FileBackup {
                name: backup.head.name.clone(),
                object: None,
                start: backup.start,
                content: known.content(|| why_unread(Some(backup), next.as_ref() == Some(&key(backup)))),
                damage: known.damage(),
                cluster_uid: known.cluster_uid(),
                side,
            }
        };
        backups.iter().map(of).collect()
    }
}

/// The CA bundle of a storage location.
fn authority(live: &Live, namespace: &str, location: Option<&str>) -> Option<Vec<u8>> {
    let own = |id: &crate::object::ObjectId| {
        id.gk.is("velero.io", "BackupStorageLocation") && Some(&*id.name) == location && id.namespace.as_deref() == Some(namespace)
    };
    let object: &Value = live.controllers.iter().find(|(id, _)| own(id)).map(|(_, object)| &**object)?;
    STANDARD.decode(object.pointer("/spec/objectStorage/caCert")?.as_str()?.trim()).ok().filter(|pem| !pem.is_empty())
}
