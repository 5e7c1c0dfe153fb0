//! Where a store is: what the configuration says, completed by the BackupStorageLocation in the cluster. pure
//!
//! Sources: pkg/apis/velero/v1/backupstoragelocation_types.go; `config` keys in backupstoragelocation.md of velero-plugin-for-aws, -gcp and
//! -microsoft-azure. `insecureSkipTLSVerify` is not followed: certificates are always checked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

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
    /// Profile of an ini file.
    pub profile: String,
}

impl Coordinates {
    /// Puts configuration and location together; the configuration wins.
    pub fn of(store: &Store, location: Option<&Value>) -> Result<Self, StoreError> {
        let name = store.location.as_deref().unwrap_or_default();
        let fail = |what: String| StoreError::new(&shown(store), Fault::Setup(what));
        let text = |pointer: &str| location.and_then(|l| l.pointer(pointer)).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
        let told = |key: &str| text(&format!("/spec/config/{key}"));
        let provider = match (store.provider, text("/spec/provider").as_deref()) {
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
        let bucket = store.bucket.clone().or_else(|| text("/spec/objectStorage/bucket")).unwrap_or_default();
        if bucket.is_empty() && provider != Provider::Folder {
            return Err(fail(format!("BackupStorageLocation {name} names no bucket")));
        }
        let account = store.account.clone().or_else(|| told("storageAccount"));
        if provider == Provider::Azure && account.is_none() {
            return Err(fail(format!("BackupStorageLocation {name} names no storageAccount; give `account`")));
        }
        let ca = match text("/spec/objectStorage/caCert") {
            None => None,
            Some(encoded) => {
                Some(STANDARD.decode(encoded.trim()).map_err(|_| fail(format!("the caCert of BackupStorageLocation {name} is not base64")))?)
            }
        };
        let url = match provider {
            Provider::Aws => told("s3Url"),
            Provider::Azure => told("storageAccountURI"),
            Provider::Gcp | Provider::Folder => None,
        };
        let prefix = store.prefix.clone().or_else(|| text("/spec/objectStorage/prefix")).unwrap_or_default();
        let path_style = store.path_style.or_else(|| told("s3ForcePathStyle").map(|t| matches!(&*t, "true" | "1" | "t" | "T" | "TRUE" | "True")));
        Ok(Self {
            provider,
            bucket,
            prefix: prefix.trim_matches('/').to_owned(),
            path: store.path.clone(),
            region: store.region.clone().or_else(|| told("region")),
            url: store.url.clone().or(url),
            path_style: path_style.unwrap_or(false),
            ca,
            account,
            profile: store.profile.clone().or_else(|| told("profile")).unwrap_or_else(|| "default".to_owned()),
        })
    }

    /// The store, for people: `s3://velero/cluster-a`.
    pub fn shown(&self) -> String {
        let scheme = match self.provider {
            Provider::Aws => "s3",
            Provider::Gcp => "gs",
            Provider::Azure => "az",
            Provider::Folder => return self.path.as_ref().map_or_else(String::new, |p| p.display().to_string()),
        };
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{scheme}://{}{slash}{}", self.bucket, self.prefix)
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
        let other = Store { bucket: Some("c".into()), prefix: Some("x".into()), path_style: Some(false), ..store() };
        let read = Coordinates::of(&other, Some(&location)).expect("complete");
        assert_eq!((read.shown().as_str(), read.path_style), ("s3://c/x", false));
        let azure = json!({"spec":{"provider":"azure","objectStorage":{"bucket":"c"},"config":{"storageAccount":"acc","storageAccountURI":"https://acc.example.com"}}});
        let read = Coordinates::of(&store(), Some(&azure)).expect("complete");
        assert_eq!((read.account.as_deref(), read.url.as_deref(), read.shown().as_str()), (Some("acc"), Some("https://acc.example.com"), "az://c"));
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
        ] {
            let error = Coordinates::of(&store(), location.as_ref()).expect_err(says);
            assert!(error.to_string().contains(says) && error.kind() == "store_setup", "{error}");
        }
    }
}
