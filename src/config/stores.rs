//! Checks what is said of stores of backups and of DownloadRequests. pure

use std::{collections::BTreeSet, time::Duration};

use super::{
    Downloads, Provider, SecretSource, Store,
    check::{duration, has_credentials, refuse},
    file::{ConfigError, DownloadEntry, StoreEntry},
};
use crate::velero::store::coordinates::is_readable_by_others;

/// What has to be written before DownloadRequests are made.
const ACKNOWLEDGEMENT: &str = "reads every secret in every backup";

pub(super) fn stores(entries: Vec<StoreEntry>) -> Result<Vec<Store>, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (n, entry) in entries.into_iter().enumerate() {
        let store = store(n, entry)?;
        // Buckets of one name stand at several endpoints, containers of one name in several accounts.
        let of = store.clone();
        let place = (of.provider.map(|p| format!("{p:?}")), of.url, of.account, of.bucket, of.prefix, of.path);
        if !seen.insert((of.location, place)) {
            return refuse(format!("velero: stores[{n}]: the same store stands here twice"));
        }
        all.push(store);
    }
    Ok(all)
}

fn store(n: usize, e: StoreEntry) -> Result<Store, ConfigError> {
    let at = |m: &str| ConfigError(format!("velero: stores[{n}]: {m}"));
    let credentials = match (e.credentials_file, e.credentials_env) {
        (Some(_), Some(_)) => return Err(at("credentials_file and credentials_env are both set; keep one")),
        (Some(file), None) => Some(SecretSource::File(file)),
        (None, Some(variable)) => Some(SecretSource::Env(variable)),
        (None, None) => None,
    };
    if e.url.as_deref().is_some_and(has_credentials) {
        return Err(at("url holds a password; name credentials by credentials_file or credentials_env instead"));
    }
    if let Some(url) = &e.url
        && !url.starts_with("https://")
        && !url.starts_with("http://")
    {
        return Err(at("url is no address; it begins with https:// or http://"));
    }
    if e.provider == Some(Provider::Gcp) && e.url.as_deref().is_some_and(is_readable_by_others) {
        return Err(at("url is plain HTTP, on which others could read the token that goes with every request; it begins with https://"));
    }
    match (e.provider, &e.location) {
        (None, None) => return Err(at("names neither a location nor a provider; give the name of a BackupStorageLocation, or provider and bucket")),
        (Some(Provider::Folder), _) if e.path.is_none() => return Err(at("a folder needs `path`")),
        (Some(Provider::Folder), _) if e.bucket.is_some() => return Err(at("a folder has a `path` and no bucket")),
        (Some(Provider::Folder), _) => {}
        (Some(_), None) if e.bucket.is_none() => return Err(at("bucket is missing, and no location could tell it")),
        (Some(Provider::Azure), None) if e.account.is_none() => return Err(at("account is missing, and no location could tell it")),
        _ => {}
    }
    if e.path.is_some() && e.provider != Some(Provider::Folder) {
        return Err(at("path is for provider folder alone"));
    }
    let prefix = e.prefix.map(|p| p.trim_matches('/').to_owned()).filter(|p| !p.is_empty());
    Ok(Store {
        location: e.location.map(Into::into),
        provider: e.provider,
        bucket: e.bucket,
        prefix,
        path: e.path,
        region: e.region,
        url: e.url,
        path_style: e.path_style,
        ca_file: e.ca_file,
        account: e.account,
        credentials,
        profile: e.profile,
    })
}

pub(super) fn downloads(entry: DownloadEntry) -> Result<Downloads, ConfigError> {
    if entry.acknowledge.as_deref() != Some(ACKNOWLEDGEMENT) {
        return refuse(format!(
            "velero: download_requests: whoever may create a DownloadRequest can read every Secret in every backup; if that is what you want, \
             write `acknowledge: {ACKNOWLEDGEMENT}`"
        ));
    }
    Ok(Downloads { timeout: duration("velero: download_requests: timeout", entry.timeout, Duration::from_secs(30))?, ca_file: entry.ca_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_one_name_in_two_places_are_two_stores() {
        let entry = |account: &str, url: &str| StoreEntry {
            provider: Some(Provider::Azure),
            bucket: Some("velero".into()),
            account: Some(account.into()),
            url: Some(url.into()),
            ..StoreEntry::default()
        };
        let (one, other, here) = (entry("a", "https://x.example.com"), entry("b", "https://x.example.com"), entry("a", "https://y.example.com"));
        assert_eq!(stores(vec![one.clone(), other, here]).map(|all| all.len()), Ok(3));
        assert!(stores(vec![one.clone(), one]).is_err_and(|e| e.0.contains("stands here twice")));
    }
}
