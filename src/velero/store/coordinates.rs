//! Where a store is: what the configuration says, completed by the BackupStorageLocation in the cluster. pure
//!
//! Sources: pkg/apis/velero/v1/backupstoragelocation_types.go and pkg/util/azure of Velero; `config` keys in backupstoragelocation.md and
//! object_store.go of velero-plugin-for-aws, -gcp and -microsoft-azure. Not followed, for they are about writing or about resources that
//! need not be asked: `kmsKeyId`, `kmsKeyName`, `serverSideEncryption`, `tagging`, `checksumAlgorithm`, `blockSizeInBytes`, `resourceGroup`,
//! `subscriptionId`, `useAAD` and `serviceAccount`. Nor `insecureSkipTLSVerify`: certificates are always checked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use url::{Host, Url};

use super::error::{Fault, StoreError};
use crate::config::{Provider, Store};

/// Everything that is needed to reach a store, but credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// What kind of store.
    pub provider: Provider,
    /// Bucket or container; empty for a folder.
    pub bucket: String,
    /// Folder inside, without slashes around it; empty for none.
    pub prefix: String,
    /// The folder on this machine.
    pub path: Option<std::path::PathBuf>,
    /// Region of S3.
    pub region: Option<String>,
    /// Endpoint.
    pub url: Option<String>,
    /// Whether the bucket stands in the path of a URL.
    pub path_style: bool,
    /// PEM bundle that the location names.
    pub ca: Option<Vec<u8>>,
    /// Storage account of Azure.
    pub account: Option<String>,
    /// The variable of Azure's credentials that holds the storage account's key.
    pub key_variable: Option<String>,
    /// Where Azure's tokens come from, if not from where its cloud has them.
    pub authority: Option<String>,
    /// Profile of an ini file.
    pub profile: String,
}

/// What a location says, asked by pointer.
struct Told<'l> {
    location: Option<&'l Value>,
    name: &'l str,
}

impl Told<'_> {
    fn text(&self, pointer: &str) -> Option<String> {
        self.location.and_then(|l| l.pointer(pointer)).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
    }

    fn config(&self, key: &str) -> Option<String> {
        self.text(&format!("/spec/config/{key}"))
    }

    /// An address, which must be one of HTTP.
    fn address(&self, key: &str) -> Result<Option<String>, String> {
        let told = self.config(key);
        match &told {
            Some(address) if parsed(address).is_none() => {
                Err(format!("the {key} of BackupStorageLocation {} is no address that begins with https:// or http://", self.name))
            }
            _ => Ok(told),
        }
    }

    /// Where the API of Google's storage is, without the paths below it: `storeEndpoint` may be a host alone, and a universe has its own.
    fn google(&self) -> Result<Option<String>, String> {
        let wrong = |key: &str| format!("the {key} of BackupStorageLocation {} is neither a host nor an address of one", self.name);
        if let Some(endpoint) = self.config("storeEndpoint") {
            let address = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
            let url = parsed(&address).ok_or_else(|| wrong("storeEndpoint"))?;
            return Ok(Some(url.origin().ascii_serialization()));
        }
        let Some(universe) = self.config("universeDomain") else { return Ok(None) };
        let url = parsed(&format!("https://storage.{universe}")).filter(|u| u.path() == "/" && u.port().is_none() && u.query().is_none());
        Ok(Some(url.ok_or_else(|| wrong("universeDomain"))?.origin().ascii_serialization()))
    }
}

/// An address of HTTP with a host.
fn parsed(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
}

/// Whether what is sent to an address could be read on its way: it is plain HTTP and leaves this machine.
pub fn is_readable_by_others(address: &str) -> bool {
    let at_home = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    parsed(address).is_some_and(|url| url.scheme() == "http" && !at_home(&url))
}

impl Coordinates {
    /// Puts configuration and location together; the configuration wins.
    ///
    /// # Errors
    /// When something that is needed is told by neither, or what the location says cannot be followed.
    pub fn of(store: &Store, location: Option<&Value>) -> Result<Self, StoreError> {
        let name = store.location.as_deref().unwrap_or_default();
        let told = Told { location, name };
        let fail = |what: String| StoreError::new(&shown(store), Fault::Setup(what));
        let provider = match (store.provider, told.text("/spec/provider").as_deref()) {
            (Some(provider), _) => provider,
            (None, Some("aws" | "velero.io/aws")) => Provider::Aws,
            (None, Some("gcp" | "velero.io/gcp")) => Provider::Gcp,
            (None, Some("azure" | "velero.io/azure")) => Provider::Azure,
            (None, Some(other)) => {
                let other: String = other.chars().take(60).collect();
                return Err(fail(format!("its provider {other:?} is not one that can be read here; say which one it is like by `provider`")));
            }
            (None, None) if location.is_none() => {
                return Err(fail(format!("no BackupStorageLocation {name} was found in the cluster; give provider and bucket to do without it")));
            }
            (None, None) => return Err(fail(format!("BackupStorageLocation {name} names no provider"))),
        };
        let bucket = store.bucket.clone().or_else(|| told.text("/spec/objectStorage/bucket")).unwrap_or_default();
        if bucket.is_empty() && provider != Provider::Folder {
            return Err(fail(format!("BackupStorageLocation {name} names no bucket")));
        }
        let account = store.account.clone().or_else(|| told.config("storageAccount"));
        if provider == Provider::Azure && account.is_none() {
            return Err(fail(format!("BackupStorageLocation {name} names no storageAccount; give `account`")));
        }
        let own_key = |key: &&str| provider == Provider::Aws && told.config(key).is_some();
        if let Some(key) = ["customerKeyEncryptionFile", "customerKeyEncryptionSecret"].iter().find(|key| own_key(key)) {
            return Err(fail(format!(
                "its backups are encrypted by a key of one's own ({key}), without which S3 gives nothing out; they cannot be read here"
            )));
        }
        if let Some(secret) = told.text("/spec/objectStorage/caCertRef/name").filter(|_| store.ca_file.is_none()) {
            return Err(fail(format!(
                "the CA certificate of BackupStorageLocation {name} stands in the Secret {secret} (caCertRef), and Secrets are not read here; mount it and name the file in `ca_file`"
            )));
        }
        let ca = match told.text("/spec/objectStorage/caCert") {
            None => None,
            Some(encoded) => {
                Some(STANDARD.decode(encoded.trim()).map_err(|_| fail(format!("the caCert of BackupStorageLocation {name} is not base64")))?)
            }
        };
        let url = match (&store.url, provider) {
            (Some(url), _) => Some(url.clone()),
            (None, Provider::Aws) => told.address("s3Url").map_err(fail)?,
            (None, Provider::Azure) => told.address("storageAccountURI").map_err(fail)?,
            (None, Provider::Gcp) => told.google().map_err(fail)?,
            (None, Provider::Folder) => None,
        };
        let prefix = store.prefix.clone().or_else(|| told.text("/spec/objectStorage/prefix")).unwrap_or_default();
        let is_true = |t: String| matches!(&*t, "true" | "1" | "t" | "T" | "TRUE" | "True");
        // As Velero has it: in the host unless told otherwise. An endpoint that only the configuration names is most often one without such hosts.
        let path_style = store.path_style.or_else(|| told.config("s3ForcePathStyle").map(is_true)).unwrap_or(store.url.is_some());
        Ok(Self {
            provider,
            bucket,
            prefix: prefix.trim_matches('/').to_owned(),
            path: store.path.clone(),
            region: store.region.clone().or_else(|| told.config("region")),
            url,
            path_style,
            ca,
            account,
            key_variable: told.config("storageAccountKeyEnvVar"),
            authority: told.address("activeDirectoryAuthorityURI").map_err(fail)?,
            profile: store.profile.clone().or_else(|| told.config("profile")).unwrap_or_else(|| "default".to_owned()),
        })
    }

    /// The endpoint of S3 in a region, and whether the bucket stands in its host: not in front of an IP address, and not if the bucket's name has
    /// a dot, for which no certificate stands.
    pub fn s3_endpoint(&self, region: &str) -> (String, bool) {
        let hosted = !self.path_style && !self.bucket.contains('.');
        let Some(address) = &self.url else {
            let partition = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            let bucket = if hosted { format!("{}.", self.bucket) } else { String::new() };
            return (format!("https://{bucket}s3.{region}.{partition}"), hosted);
        };
        let url = parsed(address).filter(|_| hosted);
        match url.as_ref().and_then(|url| Some((url, url.host()?))) {
            Some((url, Host::Domain(host))) => {
                let port = url.port().map_or_else(String::new, |p| format!(":{p}"));
                (format!("{}://{}.{host}{port}{}", url.scheme(), self.bucket, url.path().trim_end_matches('/')), true)
            }
            _ => (address.trim_end_matches('/').to_owned(), false),
        }
    }

    /// The store, for people: `s3://velero/cluster-a`, `az://account/container`.
    pub fn shown(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let inside = format!("{}{slash}{}", self.bucket, self.prefix);
        match self.provider {
            Provider::Aws => format!("s3://{inside}"),
            Provider::Gcp => format!("gs://{inside}"),
            Provider::Azure => format!("az://{}/{inside}", self.account.as_deref().unwrap_or_default()),
            Provider::Folder => self.path.as_ref().map_or_else(String::new, |p| p.display().to_string()),
        }
    }
}

/// A store of which little is known yet, for people.
fn shown(store: &Store) -> String {
    match (&store.location, &store.bucket, &store.path) {
        (Some(location), ..) => format!("storage location {location}"),
        (None, Some(bucket), _) => format!("bucket {bucket}"),
        (None, None, Some(path)) => path.display().to_string(),
        (None, None, None) => "a store".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> Store {
        Store { location: Some("default".into()), ..Store::default() }
    }

    #[test]
    fn a_location_tells_what_the_configuration_leaves_open() {
        let location = json!({"spec":{"provider":"velero.io/aws","objectStorage":{"bucket":"b","prefix":"/a/b/","caCert":"UEVN"},
            "config":{"region":"eu-1","s3Url":"https://s3.example.com","s3ForcePathStyle":"true","profile":"p"}}});
        let read = Coordinates::of(&store(), Some(&location)).expect("complete");
        assert_eq!((read.shown().as_str(), read.provider, read.path_style), ("s3://b/a/b", Provider::Aws, true));
        assert_eq!(
            (read.region.as_deref(), read.url.as_deref(), read.ca.as_deref()),
            (Some("eu-1"), Some("https://s3.example.com"), Some(&b"PEM"[..]))
        );
        assert_eq!(read.profile, "p");
        let referred = json!({"spec":{"provider":"aws","objectStorage":{"bucket":"b","caCertRef":{"name":"ca","key":"c"}}}});
        let own_ca = Store { ca_file: Some("/etc/ca.pem".into()), ..store() };
        assert!(Coordinates::of(&own_ca, Some(&referred)).is_ok_and(|c| c.ca.is_none()), "the file of our own stands for it");
        let other = Store { bucket: Some("c".into()), prefix: Some("x".into()), path_style: Some(false), ..store() };
        let read = Coordinates::of(&other, Some(&location)).expect("complete");
        assert_eq!((read.shown().as_str(), read.path_style), ("s3://c/x", false));
        let azure = json!({"spec":{"provider":"azure","objectStorage":{"bucket":"c"},"config":{"storageAccount":"acc","storageAccountURI":"https://acc.example.com"}}});
        let read = Coordinates::of(&store(), Some(&azure)).expect("complete");
        assert_eq!(
            (read.account.as_deref(), read.url.as_deref(), read.shown().as_str()),
            (Some("acc"), Some("https://acc.example.com"), "az://acc/c")
        );
    }

    fn at(provider: &str, config: Value) -> Result<Coordinates, StoreError> {
        Coordinates::of(&store(), Some(&json!({"spec":{"provider":provider,"objectStorage":{"bucket":"b"},"config":config}})))
    }

    #[test]
    fn where_google_is_follows_endpoint_and_universe() {
        for (config, url) in [
            (json!({"kmsKeyName":"projects/p","serviceAccount":"a@example.com"}), None),
            (json!({"storeEndpoint":"storage-example.p.example.com"}), Some("https://storage-example.p.example.com")),
            (json!({"storeEndpoint":"https://storage.example.com:8443/storage/v1/"}), Some("https://storage.example.com:8443")),
            (json!({"universeDomain":"universe.example.com"}), Some("https://storage.universe.example.com")),
            (json!({"universeDomain":"universe.example.com","storeEndpoint":"here.example.com"}), Some("https://here.example.com")),
        ] {
            let read = at("velero.io/gcp", config.clone()).expect("complete");
            assert_eq!((read.url.as_deref(), read.shown().as_str()), (url, "gs://b"), "{config}");
        }
        let own = Store { url: Some("https://own.example.com".into()), ..store() };
        let location = json!({"spec":{"provider":"gcp","objectStorage":{"bucket":"b"},"config":{"storeEndpoint":"here.example.com"}}});
        assert_eq!(Coordinates::of(&own, Some(&location)).expect("complete").url.as_deref(), Some("https://own.example.com"));
    }

    #[test]
    fn what_azures_plugin_is_told_of_keys_and_tokens_is_followed() {
        let config = json!({"storageAccount":"acc","storageAccountKeyEnvVar":"MY_KEY","activeDirectoryAuthorityURI":"https://login.example.com/",
            "resourceGroup":"g","subscriptionId":"s","useAAD":"true","blockSizeInBytes":"1"});
        let read = at("azure", config).expect("complete");
        assert_eq!((read.key_variable.as_deref(), read.authority.as_deref(), read.url), (Some("MY_KEY"), Some("https://login.example.com/"), None));
    }

    #[test]
    fn the_bucket_stands_in_the_host_where_velero_puts_it() {
        for (config, region, endpoint, hosted) in [
            (json!({"s3Url":"https://s3.example.com"}), "r", "https://b.s3.example.com", true),
            (json!({"s3Url":"http://s3.example.com:9000/","s3ForcePathStyle":"false"}), "r", "http://b.s3.example.com:9000", true),
            (json!({"s3Url":"https://s3.example.com/","s3ForcePathStyle":"true"}), "r", "https://s3.example.com", false),
            (json!({"s3Url":"http://127.0.0.1:9000"}), "r", "http://127.0.0.1:9000", false),
            (json!({}), "eu-central-1", "https://b.s3.eu-central-1.amazonaws.com", true),
            (json!({"s3ForcePathStyle":"true"}), "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn", false),
        ] {
            assert_eq!(at("aws", config.clone()).expect("complete").s3_endpoint(region), (endpoint.to_owned(), hosted), "{config}");
        }
        let alone = Store { provider: Some(Provider::Aws), bucket: Some("b".into()), url: Some("https://s3.example.com".into()), ..Store::default() };
        let hosted = Store { path_style: Some(false), ..alone.clone() };
        let dotted = Store { bucket: Some("b.c".into()), ..hosted.clone() };
        let of = |store: &Store| Coordinates::of(store, None).expect("complete").s3_endpoint("r");
        assert_eq!(of(&alone), ("https://s3.example.com".to_owned(), false));
        assert_eq!(of(&hosted), ("https://b.s3.example.com".to_owned(), true));
        assert_eq!(of(&dotted), ("https://s3.example.com".to_owned(), false));
    }

    #[test]
    fn plain_http_is_readable_by_others_unless_it_stays_here() {
        for (address, readable) in [
            ("http://storage.example.com", true),
            ("http://10.0.0.1:4443", true),
            ("https://storage.example.com", false),
            ("http://127.0.0.1:4443", false),
            ("http://[::1]:4443", false),
            ("http://localhost:4443", false),
            ("http://localhost.example.com", true),
        ] {
            assert_eq!(is_readable_by_others(address), readable, "{address}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (location, says) in [
            (None, "no BackupStorageLocation default was found in the cluster"),
            (Some(json!({"spec":{"objectStorage":{"bucket":"b"}}})), "names no provider"),
            (Some(json!({"spec":{"provider":"example.io/x","objectStorage":{"bucket":"b"}}})), "provider \"example.io/x\" is not one"),
            (Some(json!({"spec":{"provider":"aws"}})), "names no bucket"),
            (Some(json!({"spec":{"provider":"azure","objectStorage":{"bucket":"b"}}})), "names no storageAccount"),
            (Some(json!({"spec":{"provider":"aws","objectStorage":{"bucket":"b","caCert":"%"}}})), "is not base64"),
            (
                Some(json!({"spec":{"provider":"aws","objectStorage":{"bucket":"b","caCertRef":{"name":"ca","key":"c"}}}})),
                "the Secret ca (caCertRef)",
            ),
            (
                Some(json!({"spec":{"provider":"aws","objectStorage":{"bucket":"b"},"config":{"s3Url":"s3.example.com"}}})),
                "the s3Url of BackupStorageLocation default is no address",
            ),
            (
                Some(json!({"spec":{"provider":"aws","objectStorage":{"bucket":"b"},"config":{"customerKeyEncryptionSecret":"s/k"}}})),
                "(customerKeyEncryptionSecret)",
            ),
            (Some(json!({"spec":{"provider":"gcp","objectStorage":{"bucket":"b"},"config":{"storeEndpoint":"ftp://x"}}})), "the storeEndpoint of"),
            (Some(json!({"spec":{"provider":"gcp","objectStorage":{"bucket":"b"},"config":{"universeDomain":"x/y"}}})), "the universeDomain of"),
            (
                Some(
                    json!({"spec":{"provider":"azure","objectStorage":{"bucket":"b"},"config":{"storageAccount":"a","storageAccountURI":"a.example.com"}}}),
                ),
                "the storageAccountURI of",
            ),
        ] {
            let error = Coordinates::of(&store(), location.as_ref()).expect_err(says);
            assert!(error.to_string().contains(says) && error.kind() == "store_setup", "{error}");
        }
    }
}
