//! The content of backups by DownloadRequests, one archive at a time. I/O: through cluster and velero's store and library.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    choose::{AGAIN, Outcome, ended, why_unread},
    sides::Sides,
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
    witness::{Failure, Live},
};

/// Files beside archives that are asked for in one run: each costs Velero an object and a round of its controller.
const SIDES_A_RUN: usize = 8;

/// How to have an older archive read.
const ALL: &str = "`velero.read: all` has every one read";

/// A backup as Velero knows it: its name, and what tells it from another one of that name.
type Key = (Text, Option<Text>, Option<Timestamp>);

/// Reads content through Velero.
pub(super) struct DownloadStage {
    settings: Downloads,
    cluster: Cluster,
    namespace: Text,
    connection: Option<Connection>,
    known: BTreeMap<Key, Known>,
    /// When Velero last did not answer, and why: it is left alone for a while.
    silent: Option<(Timestamp, Failure)>,
}

/// What is known of one backup.
#[derive(Default)]
struct Known {
    outcome: Outcome,
    sides: Sides,
}

fn key(backup: &custom::Backup) -> Key {
    (backup.head.name.clone(), backup.head.uid.clone(), backup.start)
}

impl DownloadStage {
    pub fn new(settings: Downloads, cluster: Cluster, namespace: Text) -> Self {
        Self { settings, cluster, namespace, connection: None, known: BTreeMap::new(), silent: None }
    }

    /// Forgets the backups that are not `open`: those of the cluster that no store and no file tells of.
    pub fn keep(&mut self, open: &[custom::Backup]) {
        self.known.retain(|known, _| open.iter().any(|b| key(b) == *known));
    }

    /// What came of reading an archive.
    pub fn readable(&self, backup: &custom::Backup) -> &Outcome {
        self.known.get(&key(backup)).map_or(&Outcome::Unread, |k| &k.outcome)
    }

    /// Whether it did not answer a while ago, whatever it was asked.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.silent.as_ref().is_some_and(|(at, _)| now.duration_since(*at) < AGAIN)
    }

    /// Remembers whether Velero answered: any other failure than its silence is an answer.
    fn heard<T>(&mut self, answer: &Result<T, StoreError>, now: Timestamp) {
        let is_silence = |e: &&StoreError| e.is_passing() || matches!(e.kind(), "download_unprocessed" | "download_forbidden" | "download_unserved");
        self.silent = answer.as_ref().err().filter(is_silence).map(|e| (now, Failure::from(e)));
    }

    /// Reads an archive. Says what it read.
    pub async fn read(&mut self, backup: &custom::Backup, live: &Live, library: &Library, now: Timestamp) -> Read {
        let cache = format!(
            "velero {} {} {} {}",
            live.cluster_uid.as_deref().unwrap_or_default(),
            backup.head.name,
            backup.head.uid.as_deref().unwrap_or_default(),
            backup.completed.map(|t| t.to_string()).unwrap_or_default()
        );
        let outcome = match library.find(&cache) {
            Some(archive) => Outcome::of(archive, live.cluster_uid.as_deref()),
            None => match self.fetch(backup, live, library, cache, now).await {
                Ok(outcome) => outcome,
                Err(e) => {
                    tracing::warn!(backup = &*backup.head.name, reason = e.kind(), "{e}");
                    Outcome::Failed(Failure::from(&e), now)
                }
            },
        };
        let failed = outcome.content(|| Failure::new("not_needed", "")).err().map(|f| f.reason);
        self.known.entry(key(backup)).or_default().outcome = outcome;
        (backup.location.clone(), failed)
    }

    /// Files beside archives that are due, of backups in the order in which they are given.
    fn due<'b>(&self, backups: &[&'b custom::Backup], now: Timestamp) -> Vec<(&'b custom::Backup, SideFile)> {
        if self.is_silent(now) {
            return Vec::new();
        }
        let none = Known::default();
        let of = |backup: &&'b custom::Backup| -> Vec<(&'b custom::Backup, SideFile)> {
            let known = self.known.get(&key(backup)).unwrap_or(&none);
            let read = matches!(known.outcome, Outcome::Read(_));
            let due = known.sides.due(&backup.phase, read, now, |_| None);
            // Where volume info was not asked for yet, the files that say the same wait for its answer.
            let first = due.contains(&SideFile::VolumeInfo) && !read;
            let asked = due.into_iter().filter(|f| f.download_kind().is_some() && (!first || *f == SideFile::VolumeInfo));
            asked.map(|file| (*backup, file)).collect()
        };
        let mut due: Vec<(&'b custom::Backup, SideFile)> = backups.iter().filter(|b| ended(&b.phase)).flat_map(of).collect();
        // What was never asked for comes before what was refused, so that one refusal keeps nobody from his turn.
        due.sort_by_key(|(backup, file)| self.known.get(&key(backup)).is_some_and(|k| k.sides.tried(*file)));
        due
    }

    /// Whether files beside archives wait to be read.
    pub fn has_more(&self, backups: &[&custom::Backup], now: Timestamp) -> bool {
        !self.due(backups, now).is_empty()
    }

    /// Reads files beside archives that are due, not more than fit into a run. `backups` are those that count, newest first.
    pub async fn read_beside(&mut self, backups: &[&custom::Backup], live: &Live, now: Timestamp) -> bool {
        let due: Vec<(&custom::Backup, SideFile)> = self.due(backups, now).into_iter().take(SIDES_A_RUN).collect();
        let any = !due.is_empty();
        for (backup, file) in due {
            let Some(kind) = file.download_kind() else { continue };
            let name = file.name(&backup.head.name);
            let fetched = match self.small(&backup.head.name, backup.location.as_deref(), live, (kind, &name), now).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if e.kind() == "download_missing" => Ok(None),
                Err(e) => Err(Failure::from(&e)),
            };
            let fetched = fetched.as_ref().map(Option::as_deref).map_err(Clone::clone);
            self.known.entry(key(backup)).or_default().sides.take(file, &name, None, fetched, now);
            if self.is_silent(now) {
                break;
            }
        }
        any
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
        let own_location = location_of(live, &self.namespace, location);
        let named = own_location.and_then(|l| l.pointer("/spec/objectStorage/caCertRef/name")?.as_str()).filter(|_| own.is_none());
        if let Some(secret) = named {
            return Err(setup(format!(
                "the CA certificate of its storage location stands in the Secret {secret} (caCertRef), and Secrets are not read here; mount it and name the file in `download_requests.ca_file`"
            )));
        }
        let of_location = own_location.and_then(authority);
        Ok((connection, own.into_iter().chain(of_location).collect()))
    }

    async fn fetch(&mut self, backup: &custom::Backup, live: &Live, library: &Library, cache: String, now: Timestamp) -> Result<Outcome, StoreError> {
        let answer = self.ask(backup, live, library, cache, now).await;
        self.heard(&answer, now);
        answer
    }

    async fn ask(&mut self, backup: &custom::Backup, live: &Live, library: &Library, cache: String, now: Timestamp) -> Result<Outcome, StoreError> {
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

    /// A small file of a restore, whole; `None` while Velero does not answer.
    pub async fn small_of_restore(
        &mut self,
        of: &str,
        location: Option<&str>,
        live: &Live,
        file: (&str, &str),
        now: Timestamp,
    ) -> Option<Result<Vec<u8>, StoreError>> {
        if self.is_silent(now) {
            return None;
        }
        Some(self.small(of, location, live, file, now).await)
    }

    /// A small file of a backup or restore, whole: the kind that a DownloadRequest asks for, and its name.
    async fn small(&mut self, of: &str, location: Option<&str>, live: &Live, file: (&str, &str), now: Timestamp) -> Result<Vec<u8>, StoreError> {
        let answer = self.ask_small(of, location, live, file).await;
        self.heard(&answer, now);
        answer
    }

    async fn ask_small(&mut self, of: &str, location: Option<&str>, live: &Live, (kind, name): (&str, &str)) -> Result<Vec<u8>, StoreError> {
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
    pub fn tell(&self, backups: &[custom::Backup]) -> Vec<FileBackup> {
        let none = Known::default();
        let unread = |backup: &custom::Backup| match &self.silent {
            Some((_, failure)) if ended(&backup.phase) => failure.clone(),
            _ => why_unread(&backup.phase, ALL),
        };
        let of = |backup: &custom::Backup| {
            let Known { outcome, sides } = self.known.get(&key(backup)).unwrap_or(&none);
            FileBackup {
                name: backup.head.name.clone(),
                object: None,
                start: backup.start,
                content: outcome.content(|| unread(backup)),
                damage: outcome.damage(),
                cluster_uid: outcome.cluster_uid(),
                side: sides.files().clone(),
            }
        };
        backups.iter().map(of).collect()
    }
}

fn location_of<'l>(live: &'l Live, namespace: &str, name: Option<&str>) -> Option<&'l Value> {
    let own = |id: &crate::object::ObjectId| {
        id.gk.is("velero.io", "BackupStorageLocation") && Some(&*id.name) == name && id.namespace.as_deref() == Some(namespace)
    };
    live.controllers.iter().find(|(id, _)| own(id)).map(|(_, object)| &**object)
}

/// The CA bundle of a storage location.
fn authority(location: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(location.pointer("/spec/objectStorage/caCert")?.as_str()?.trim()).ok().filter(|pem| !pem.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn while_velero_is_silent_that_is_why_nothing_was_read_and_any_answer_ends_it() {
        let settings = Downloads { timeout: std::time::Duration::from_secs(1), ca_file: None };
        let mut stage = DownloadStage::new(settings, Cluster::default(), "velero".into());
        let raw = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "b"}, "status": {"phase": "Completed"}});
        let backups = [custom::read_backup(&raw).expect("a backup")];
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().expect("a time");
        let reason = |stage: &DownloadStage| stage.tell(&backups)[0].content.as_ref().err().map(|f| f.reason.to_string());
        let said = |kind| StoreError::new("x", Fault::Velero { reason: kind, message: String::new() });
        let refused: Result<(), StoreError> = Err(said("download_forbidden"));
        stage.heard(&refused, now);
        assert_eq!((stage.is_silent(now), reason(&stage).as_deref()), (true, Some("download_forbidden")));
        assert!(!stage.is_silent(now + AGAIN), "it is asked again after a while");
        for answer in [Ok(()), Err(said("download_missing"))] {
            stage.heard(&refused, now);
            stage.heard(&answer, now);
            assert_eq!((stage.is_silent(now), reason(&stage).as_deref()), (false, Some("not_needed")), "{answer:?}");
        }
    }
}
