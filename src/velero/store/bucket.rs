//! One store through object_store: listing, small files, archives. Nothing in it can write. I/O: the network or a folder.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, path::Path};

use super::{
    client,
    coordinates::Coordinates,
    error::{Fault, StoreError},
    feed::{Chunks, Open},
    listing::{Listed, StoredFile, group},
};
use crate::{config::Provider, object::Text};

/// Longest time for one listing.
const LISTING: Duration = Duration::from_secs(120);

/// Files that one listing may hold: a hundred thousand backups.
const MAX_FILES: usize = 2_000_000;

/// A store that can be read.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    place: String,
    provider: Provider,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bucket({})", self.place)
    }
}

/// A store's time; one beyond every calendar counts as the beginning of time.
fn moment(millis: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
}

impl Bucket {
    /// Prepares a store. `secret` are credentials in Velero's form, `ca` a bundle besides the location's own; opening sends nothing yet.
    pub fn open(at: &Coordinates, secret: Option<&str>, ca: Option<&[u8]>) -> Result<Self, StoreError> {
        crate::tls::install();
        let place = at.shown();
        let store = client::build(at, secret, ca).map_err(|fault| StoreError::new(&place, fault))?;
        Ok(Self { store, prefix: at.prefix.clone(), place, provider: at.provider })
    }

    /// The store, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What heals a refusal.
    fn heal(&self, list: bool) -> &'static str {
        match (self.provider, list) {
            (Provider::Aws, true) => "grant s3:ListBucket on the bucket",
            (Provider::Aws, false) => "grant s3:GetObject on its objects",
            (Provider::Gcp, true) => "grant storage.objects.list on the bucket",
            (Provider::Gcp, false) => "grant storage.objects.get on the bucket",
            (Provider::Azure, _) => "grant the role Storage Blob Data Reader on the container",
            (Provider::Folder, _) => "let this user read the folder",
        }
    }

    fn fail(&self, fault: Fault) -> StoreError {
        StoreError::new(&self.place, fault)
    }

    fn path(&self, below: &str) -> Result<Path, StoreError> {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        Path::parse(format!("{}{slash}{below}", self.prefix))
            .map_err(|_| self.fail(Fault::Setup(format!("{below} is no name that a store can have"))))
    }

    /// Every backup that lies there, with its files.
    pub async fn list(&self) -> Result<BTreeMap<Text, Listed>, StoreError> {
        self.list_below("backups").await
    }

    /// Every restore that lies there, with its files.
    pub async fn restores(&self) -> Result<BTreeMap<Text, Listed>, StoreError> {
        self.list_below("restores").await
    }

    async fn list_below(&self, folder: &str) -> Result<BTreeMap<Text, Listed>, StoreError> {
        let root = self.path(folder)?;
        let what = &*format!("listing {folder}/");
        let work = async {
            let mut files = Vec::new();
            let mut found = self.store.list(Some(&root));
            while let Some(meta) = found.try_next().await.map_err(|e| Fault::of(&e, what, self.heal(true)))? {
                let Some(below) = meta.location.as_ref().strip_prefix(root.as_ref()).and_then(|p| p.strip_prefix('/')) else { continue };
                if files.len() == MAX_FILES {
                    return Err(Fault::TooLarge { what: "the listing".to_owned(), cap: MAX_FILES as u64 });
                }
                let tag = meta.e_tag.clone().unwrap_or_else(|| format!("{} {}", meta.size, meta.last_modified.timestamp_micros()));
                files.push((
                    below.to_owned(),
                    StoredFile { size: meta.size, tag, etag: meta.e_tag, modified: moment(meta.last_modified.timestamp_millis()) },
                ));
            }
            Ok(files)
        };
        let files = tokio::time::timeout(LISTING, work).await.unwrap_or(Err(Fault::Timeout(LISTING))).map_err(|f| self.fail(f))?;
        // A folder that is not there lists as empty, and an empty bucket as well: only of the first nothing is known.
        if files.is_empty() && self.provider == Provider::Folder {
            self.store.list_with_delimiter(None).await.map_err(|e| self.fail(Fault::of(&e, what, self.heal(true))))?;
        }
        Ok(group(files))
    }

    /// A small file of a backup, whole.
    pub async fn small(&self, backup: &str, name: &str, cap: u64) -> Result<Vec<u8>, StoreError> {
        self.small_of("backups", backup, name, cap).await
    }

    /// A small file of one backup or restore in a folder, whole.
    pub async fn small_of(&self, folder: &str, of: &str, name: &str, cap: u64) -> Result<Vec<u8>, StoreError> {
        let what = format!("{folder}/{of}/{name}");
        let path = self.path(&what)?;
        let work = async {
            let refused = |e: object_store::Error| Fault::of(&e, &what, self.heal(false));
            let answer = self.store.get(&path).await.map_err(refused)?;
            if answer.meta.size > cap {
                return Err(Fault::TooLarge { what: what.clone(), cap });
            }
            let mut all = Vec::new();
            let mut chunks = answer.into_stream();
            while let Some(chunk) = chunks.try_next().await.map_err(refused)? {
                all.extend_from_slice(&chunk);
                if all.len() as u64 > cap {
                    return Err(Fault::TooLarge { what: what.clone(), cap });
                }
            }
            Ok(all)
        };
        tokio::time::timeout(LISTING, work).await.unwrap_or(Err(Fault::Timeout(LISTING))).map_err(|f| self.fail(f))
    }

    /// The archive of a backup, as a file that can be opened again after a break.
    pub fn archive(&self, backup: &str, file: &StoredFile) -> Result<Arc<dyn Open>, StoreError> {
        let what = format!("backups/{backup}/{backup}.tar.gz");
        let path = self.path(&what)?;
        Ok(Arc::new(Stored { bucket: self.clone(), path, what, size: file.size, etag: file.etag.clone() }))
    }
}

struct Stored {
    bucket: Bucket,
    path: Path,
    what: String,
    size: u64,
    etag: Option<String>,
}

impl Open for Stored {
    fn place(&self) -> String {
        self.bucket.place.clone()
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn open(&self, from: u64) -> BoxFuture<'_, Result<Chunks, Fault>> {
        async move {
            let options = GetOptions {
                if_match: self.etag.as_deref().map(quoted),
                range: (from > 0).then_some(GetRange::Offset(from)),
                ..GetOptions::default()
            };
            let heal = self.bucket.heal(false);
            let what = self.what.clone();
            let answer = self.bucket.store.get_opts(&self.path, options).await.map_err(|e| Fault::of(&e, &what, heal))?;
            // Not every store looks at what must match.
            let other = |now: &str| self.etag.as_deref().is_some_and(|listed| bare(listed) != bare(now));
            if answer.meta.size != self.size || answer.meta.e_tag.as_deref().is_some_and(other) {
                return Err(Fault::Replaced(what));
            }
            let chunks = answer.into_stream().map(move |chunk| chunk.map(|c| c.to_vec()).map_err(|e| Fault::of(&e, &what, heal)));
            Ok(chunks.boxed())
        }
        .boxed()
    }
}

/// An etag without what servers put around it: Azure quotes it in a header and not in a listing.
fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// An etag as a header has it.
fn quoted(etag: &str) -> String {
    if etag.contains('"') { etag.to_owned() } else { format!("\"{etag}\"") }
}
