//! One store through object_store: listing, small files, archives. Nothing in it can write. I/O: the network or a folder.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture};
use object_store::{
    BackoffConfig, Certificate, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, local::LocalFileSystem, path::Path,
};

use super::{
    coordinates::Coordinates,
    credentials,
    error::{Fault, StoreError},
    feed::{Chunks, Open},
    listing::{Listed, StoredFile, group},
};
use crate::{config::Provider, object::Text};

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(30);

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

fn client(http: bool, ca: &[&[u8]]) -> Result<ClientOptions, Fault> {
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        // An archive takes as long as it takes; silence and the archive's own limit end it.
        .with_timeout_disabled()
        .with_allow_http(http);
    if let Ok(agent) = concat!("snapgap/", env!("CARGO_PKG_VERSION")).parse() {
        options = options.with_user_agent(agent);
    }
    for pem in ca {
        let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(Fault::Setup("its CA bundle holds no PEM certificate".to_owned()));
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

impl Bucket {
    /// Prepares a store. `secret` are credentials in Velero's form, `ca` a bundle besides the location's own; opening sends nothing yet.
    pub fn open(at: &Coordinates, secret: Option<&str>, ca: Option<&[u8]>) -> Result<Self, StoreError> {
        crate::tls::install();
        let place = at.shown();
        let store = build(at, secret, ca).map_err(|fault| StoreError::new(&place, fault))?;
        Ok(Self { store, prefix: at.prefix.clone(), place, provider: at.provider })
    }

    /// The store, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    fn permission(&self, list: bool) -> &'static str {
        match (self.provider, list) {
            (Provider::Aws, true) => "s3:ListBucket on the bucket",
            (Provider::Aws, false) => "s3:GetObject on its objects",
            (Provider::Gcp, true) => "storage.objects.list on the bucket",
            (Provider::Gcp, false) => "storage.objects.get on the bucket",
            (Provider::Azure, _) => "the role Storage Blob Data Reader on the container",
            (Provider::Folder, _) => "reading the folder to this user",
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
            while let Some(meta) = found.try_next().await.map_err(|e| Fault::of(&e, what, self.permission(true)))? {
                let Some(below) = meta.location.as_ref().strip_prefix(root.as_ref()).and_then(|p| p.strip_prefix('/')) else { continue };
                if files.len() == MAX_FILES {
                    return Err(Fault::TooLarge { what: "the listing".to_owned(), cap: MAX_FILES as u64 });
                }
                let tag = meta.e_tag.clone().unwrap_or_else(|| format!("{} {}", meta.size, meta.last_modified.timestamp_micros()));
                files.push((below.to_owned(), StoredFile { size: meta.size, tag, etag: meta.e_tag }));
            }
            Ok(files)
        };
        let files = tokio::time::timeout(LISTING, work).await.unwrap_or(Err(Fault::Timeout(LISTING))).map_err(|f| self.fail(f))?;
        // A folder that is not there lists as empty, and an empty bucket as well: only of the first nothing is known.
        if files.is_empty() && self.provider == Provider::Folder {
            self.store.list_with_delimiter(None).await.map_err(|e| self.fail(Fault::of(&e, what, self.permission(true))))?;
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
            let refused = |e: object_store::Error| Fault::of(&e, &what, self.permission(false));
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
            let options = GetOptions { if_match: self.etag.clone(), range: (from > 0).then_some(GetRange::Offset(from)), ..GetOptions::default() };
            let permission = self.bucket.permission(false);
            let what = self.what.clone();
            let answer = self.bucket.store.get_opts(&self.path, options).await.map_err(|e| Fault::of(&e, &what, permission))?;
            if answer.meta.size != self.size {
                return Err(Fault::Replaced(what));
            }
            let chunks = answer.into_stream().map(move |chunk| chunk.map(|c| c.to_vec()).map_err(|e| Fault::of(&e, &what, permission)));
            Ok(chunks.boxed())
        }
        .boxed()
    }
}

fn build(at: &Coordinates, secret: Option<&str>, ca: Option<&[u8]>) -> Result<Arc<dyn ObjectStore>, Fault> {
    let http = at.url.as_deref().is_some_and(|url| url.starts_with("http://"));
    let bundles: Vec<&[u8]> = at.ca.as_deref().into_iter().chain(ca).collect();
    let options = client(http, &bundles)?;
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(3), base: 2.0 },
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
    };
    // What a builder says may repeat what it was given.
    let refused = |_| Fault::Setup("it cannot be opened with these coordinates and credentials".to_owned());
    match at.provider {
        Provider::Aws => {
            let mut builder = if secret.is_some() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
            if let Some(text) = secret {
                let keys = credentials::aws(text, &at.profile).map_err(Fault::Credentials)?;
                builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
                builder = if let Some(token) = keys.token { builder.with_token(token) } else { builder };
            }
            builder = builder
                .with_bucket_name(&at.bucket)
                .with_region(at.region.as_deref().unwrap_or("us-east-1"))
                .with_virtual_hosted_style_request(!at.path_style && at.url.is_none())
                .with_client_options(options)
                .with_retry(retry)
                .with_allow_http(http);
            if let Some(url) = &at.url {
                builder = builder.with_endpoint(url.trim_end_matches('/'));
            }
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        Provider::Gcp => {
            let mut builder = if secret.is_some() { GoogleCloudStorageBuilder::new() } else { GoogleCloudStorageBuilder::from_env() };
            builder = builder.with_bucket_name(&at.bucket).with_client_options(options).with_retry(retry);
            builder = if let Some(key) = secret { builder.with_service_account_key(key) } else { builder };
            builder = if let Some(url) = &at.url { builder.with_base_url(url.trim_end_matches('/')) } else { builder };
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        Provider::Azure => {
            let mut builder = if secret.is_some() { MicrosoftAzureBuilder::new() } else { MicrosoftAzureBuilder::from_env() };
            builder = builder
                .with_container_name(&at.bucket)
                .with_account(at.account.as_deref().unwrap_or_default())
                .with_client_options(options)
                .with_retry(retry)
                .with_allow_http(http);
            builder = if let Some(url) = &at.url { builder.with_endpoint(url.trim_end_matches('/').to_owned()) } else { builder };
            if let Some(text) = secret {
                builder = azure(builder, text)?;
            }
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        Provider::Folder => {
            let path = at.path.as_deref().unwrap_or(std::path::Path::new(""));
            if !path.is_dir() {
                return Err(Fault::Missing("the folder".to_owned()));
            }
            Ok(Arc::new(LocalFileSystem::new_with_prefix(path).map_err(refused)?))
        }
    }
}

/// The variables that Velero's plugin for Azure takes: a storage key, or a service principal with its secret.
fn azure(builder: MicrosoftAzureBuilder, text: &str) -> Result<MicrosoftAzureBuilder, Fault> {
    let own = credentials::variables(text).map_err(Fault::Credentials)?;
    let get = |key: &str| own.get(key).filter(|v| !v.is_empty());
    if let Some(key) = get("AZURE_STORAGE_ACCOUNT_ACCESS_KEY") {
        return Ok(builder.with_access_key(key));
    }
    match (get("AZURE_TENANT_ID"), get("AZURE_CLIENT_ID"), get("AZURE_CLIENT_SECRET"), get("AZURE_FEDERATED_TOKEN_FILE")) {
        (Some(tenant), Some(id), Some(secret), _) => Ok(builder.with_client_secret_authorization(id, secret, tenant)),
        (Some(tenant), Some(id), None, Some(file)) => Ok(builder.with_tenant_id(tenant).with_client_id(id).with_federated_token_file(file)),
        _ => Err(Fault::Credentials(
            "the credentials hold neither AZURE_STORAGE_ACCOUNT_ACCESS_KEY nor AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET".to_owned(),
        )),
    }
}
