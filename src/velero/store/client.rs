//! Makes a client of object_store from coordinates and credentials. Nothing is sent yet. I/O: the environment, files with credentials that it names.
//!
//! A store is always where its coordinates say: neither the environment nor a file with credentials may lead elsewhere.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
};

use super::{
    coordinates::{Coordinates, is_readable_by_others},
    credentials::{self, AzureCloud, AzureKeys, GoogleKeys},
    error::Fault,
    federation::{Federation, Tokens},
};
use crate::config::Provider;

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// Where Google's storage is.
const GOOGLE: &str = "https://storage.googleapis.com";

fn options(http: bool, ca: &[&[u8]]) -> Result<ClientOptions, Fault> {
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

/// What a builder says may repeat what it was given.
fn refused(_: object_store::Error) -> Fault {
    Fault::Setup("it cannot be opened with these coordinates and credentials".to_owned())
}

/// A client for a store. `secret` are credentials in Velero's form, `ca` a bundle besides the location's own.
pub(super) fn build(at: &Coordinates, secret: Option<&str>, ca: Option<&[u8]>) -> Result<Arc<dyn ObjectStore>, Fault> {
    let http = at.url.as_deref().is_some_and(|url| url.starts_with("http://"));
    let bundles: Vec<&[u8]> = at.ca.as_deref().into_iter().chain(ca).collect();
    let options = options(http, &bundles)?;
    match at.provider {
        Provider::Aws => aws(at, secret, options),
        Provider::Gcp => gcp(at, secret, options, &bundles),
        Provider::Azure => azure(at, secret, options),
        Provider::Folder => {
            let path = at.path.as_deref().unwrap_or(std::path::Path::new(""));
            if !path.is_dir() {
                return Err(Fault::Missing("the folder".to_owned()));
            }
            Ok(Arc::new(LocalFileSystem::new_with_prefix(path).map_err(refused)?))
        }
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(3), base: 2.0 },
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
    }
}

/// The region to ask: the one that is told, else that of the surroundings: a web identity tells a Pod the region that it is in.
fn region(told: Option<&str>, around: impl Fn(&str) -> Option<String>) -> String {
    let around = || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| around(name).filter(|r| !r.is_empty()));
    told.map(str::to_owned).or_else(around).unwrap_or_else(|| "us-east-1".to_owned())
}

fn aws(at: &Coordinates, secret: Option<&str>, options: ClientOptions) -> Result<Arc<dyn ObjectStore>, Fault> {
    let mut builder = if secret.is_some() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
    if let Some(text) = secret {
        let keys = credentials::aws(text, &at.profile).map_err(Fault::Credentials)?;
        builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
        builder = if let Some(token) = keys.token { builder.with_token(token) } else { builder };
    }
    let region = region(at.region.as_deref(), |name| std::env::var(name).ok().filter(|_| secret.is_none()));
    let (endpoint, hosted) = at.s3_endpoint(&region);
    builder = builder
        .with_bucket_name(&at.bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(hosted)
        .with_client_options(options)
        .with_retry(retry())
        // Over both names that the environment has for it.
        .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    Ok(Arc::new(builder.build().map_err(refused)?))
}

/// Tokens and secrets go with requests: not where others could read them.
fn must_be_private(url: &str) -> Result<(), Fault> {
    if is_readable_by_others(url) {
        return Err(Fault::Setup("its endpoint is plain HTTP, on which others could read its token; give one that begins with https://".to_owned()));
    }
    Ok(())
}

fn gcp(at: &Coordinates, secret: Option<&str>, options: ClientOptions, ca: &[&[u8]]) -> Result<Arc<dyn ObjectStore>, Fault> {
    let url = at.url.as_deref().unwrap_or(GOOGLE);
    must_be_private(url)?;
    // As every tool of Google's has it.
    let named = std::env::var("GOOGLE_APPLICATION_CREDENTIALS").ok().filter(|path| secret.is_none() && !path.is_empty());
    let unreadable = |e| Fault::Credentials(format!("cannot read the file that GOOGLE_APPLICATION_CREDENTIALS names: {e}"));
    let around = named.map(|path| std::fs::read_to_string(path).map_err(unreadable)).transpose()?;
    let key = secret.or(around.as_deref());
    let mut builder = match key.map(|key| Ok((key, credentials::gcp(key)?))).transpose().map_err(Fault::Credentials)? {
        None => GoogleCloudStorageBuilder::from_env(),
        Some((key, GoogleKeys::ServiceAccount)) => GoogleCloudStorageBuilder::new().with_service_account_key(key),
        Some((key, GoogleKeys::External)) => {
            let tokens = Tokens::new(Federation::read(key)?, ca)?;
            GoogleCloudStorageBuilder::new().with_credentials(Arc::new(tokens))
        }
    };
    builder = builder.with_bucket_name(&at.bucket).with_client_options(options).with_retry(retry()).with_base_url(url.trim_end_matches('/'));
    let unusable = |e| match key {
        Some(_) => Fault::Credentials("the private_key in the credentials is no RSA key in PEM".to_owned()),
        None => refused(e),
    };
    Ok(Arc::new(builder.build().map_err(unusable)?))
}

fn azure(at: &Coordinates, secret: Option<&str>, options: ClientOptions) -> Result<Arc<dyn ObjectStore>, Fault> {
    let around = |name: &str| std::env::var(name).ok();
    let told = secret.map(|text| credentials::azure(text, at.key_variable.as_deref(), &around)).transpose().map_err(Fault::Credentials)?;
    let mut builder = if secret.is_some() { MicrosoftAzureBuilder::new() } else { MicrosoftAzureBuilder::from_env() };
    let account = at.account.as_deref().unwrap_or_default();
    let cloud = match &told {
        Some((_, cloud)) => *cloud,
        None => AzureCloud::named(&around("AZURE_CLOUD_NAME").unwrap_or_default()).map_err(Fault::Credentials)?,
    };
    let url = at.url.clone().unwrap_or_else(|| cloud.endpoint(account));
    // A key only signs, and may go anywhere.
    let token = !matches!(told, Some((AzureKeys::Account(_), _)));
    if token {
        must_be_private(&url)?;
    }
    builder = builder
        .with_container_name(&at.bucket)
        .with_account(account)
        .with_client_options(options)
        .with_retry(retry())
        .with_use_emulator(false)
        .with_endpoint(url.trim_end_matches('/').to_owned());
    // Workload identity's webhook tells a Pod by the environment where its tokens come from.
    let authority = at.authority.clone().or_else(|| around("AZURE_AUTHORITY_HOST").filter(|host| token && !host.is_empty()));
    let authority = authority.as_deref().unwrap_or_else(|| cloud.authority());
    must_be_private(authority)?;
    builder = builder.with_authority_host(authority.trim_end_matches('/'));
    builder = match told.map(|(keys, _)| keys) {
        None => builder,
        Some(AzureKeys::Account(key)) => builder.with_access_key(key),
        Some(AzureKeys::Principal { tenant, id, secret }) => builder.with_client_secret_authorization(id, secret, tenant),
        Some(AzureKeys::Federated { tenant, id, file }) => builder.with_tenant_id(tenant).with_client_id(id).with_federated_token_file(file),
        Some(AzureKeys::Machine { id: Some(id) }) => builder.with_client_id(id),
        Some(AzureKeys::Machine { id: None }) => builder,
    };
    Ok(Arc::new(builder.build().map_err(refused)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_one_that_is_told_then_that_of_the_surroundings() {
        let around = |set: &'static [(&str, &str)]| move |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(region(Some("eu-1"), around(&[("AWS_REGION", "eu-2")])), "eu-1");
        assert_eq!(region(None, around(&[("AWS_REGION", "eu-2"), ("AWS_DEFAULT_REGION", "eu-3")])), "eu-2");
        assert_eq!(region(None, around(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-3")])), "eu-3");
        assert_eq!(region(None, around(&[])), "us-east-1");
    }
}
