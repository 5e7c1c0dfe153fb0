//! The HTTP client of a source: certificates, proxy, credentials. I/O: credential and certificate files, proxy variables.

use std::{sync::PoisonError, time::Duration};

use base64::Engine as _;
use reqwest::{Url, header::HeaderValue};

use super::{
    super::{Memory, read_secret},
    link::chain,
};
use crate::{
    config::{GitAuth, Source},
    git::{
        budget::Budget,
        error::{Fault, GitErrorKind},
        location::is_loopback,
    },
};

/// What a client depends on: the content of `ca_file`, and the proxy with whether the environment names it.
pub(super) type Shape = (Option<Vec<u8>>, Option<(String, bool)>);

/// The credentials of a source as a header, read now.
pub(super) fn authorization(auth: &GitAuth, budget: &Budget) -> Result<Option<HeaderValue>, Fault> {
    let text = match auth {
        GitAuth::Basic { username, password } => {
            let pair = format!("{username}:{}", read_secret(password, budget)?);
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            budget.keep_secret(&encoded);
            format!("Basic {encoded}")
        }
        GitAuth::Bearer(token) => format!("Bearer {}", read_secret(token, budget)?),
        GitAuth::None | GitAuth::Ssh { .. } => return Ok(None),
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| Fault::new(GitErrorKind::Auth, "the credential holds characters that HTTP cannot carry"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The client of this source: made once, since loading the system's certificates costs more than a request, and made anew when `ca_file`
/// or the proxy is another. Changed certificates of the system itself are seen after a reload.
pub(super) fn client(source: &Source, url: &url::Url, memory: &Memory) -> Result<reqwest::Client, Fault> {
    let refused = |what: String| Fault::new(GitErrorKind::Refused, what);
    let pem = match &source.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|e| Fault::io("read ca_file", path, &e))?),
        None => None,
    };
    let proxy = proxy(source, url)?;
    let shape = (pem, proxy);
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = memory.client.as_ref().filter(|(known, _)| *known == shape) {
        return Ok(client.clone());
    }
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(20))
        .user_agent(concat!("git/snapgap-", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    if let (Some(pem), Some(path)) = (&shape.0, &source.ca_file) {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(refused(format!("ca_file {} holds no PEM certificate", path.display())));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some((address, from_environment)) = &shape.1 {
        let place = if *from_environment { "the proxy variable of the environment" } else { "`proxy`" };
        let proxy = reqwest::Proxy::all(address.as_str())
            .map_err(|_| refused(format!("{place} is no proxy address; write for example http://proxy.example.com:3128")))?;
        builder = builder.proxy(if *from_environment { proxy.no_proxy(reqwest::NoProxy::from_env()) } else { proxy });
    }
    let client = builder.build().map_err(|e| Fault::new(GitErrorKind::Verify, format!("cannot set up TLS: {}", chain(&e))))?;
    memory.client = Some((shape, client.clone()));
    Ok(client)
}

/// The configured proxy, or the one that the environment names for https (`HTTPS_PROXY`, `ALL_PROXY`, less `NO_PROXY`). Loopback is
/// reached through a proxy only if the configuration says so.
fn proxy(source: &Source, url: &url::Url) -> Result<Option<(String, bool)>, Fault> {
    if let Some(text) = &source.proxy {
        // The parser's own message could repeat a password, so it is not passed on.
        let parsed =
            Url::parse(text).map_err(|_| Fault::new(GitErrorKind::Refused, "`proxy` is no URL; write for example http://proxy.example.com:3128"))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Fault::new(GitErrorKind::Refused, "`proxy` holds credentials; only the environment variable HTTPS_PROXY may"));
        }
        return Ok(Some((text.clone(), false)));
    }
    let variable = |names: &[&str]| names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let found = match url.scheme() {
        _ if is_loopback(url) => None,
        "https" => variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
        // Upper case could be set by a CGI request header, so only lower case counts, as everywhere.
        _ => variable(&["http_proxy", "ALL_PROXY", "all_proxy"]),
    };
    Ok(found.map(|text| (text, true)))
}
