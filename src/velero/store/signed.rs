//! A file behind a signed address, as Velero answers a DownloadRequest. The address is a secret for as long as it holds: it is shown nowhere. I/O: the network.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use reqwest::{StatusCode, header};

use super::{
    error::{Fault, StoreError},
    feed::{Chunks, Open},
};

/// Longest time to connect, and longest silence.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// A signed address.
#[derive(Clone)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// Takes an address in.
    pub fn new(address: String) -> Self {
        Self(address)
    }

    /// The server in it, for people.
    pub fn host(&self) -> String {
        let parsed = url::Url::parse(&self.0).ok();
        let port = |u: &url::Url| u.port().map(|p| format!(":{p}")).unwrap_or_default();
        parsed.and_then(|u| Some(format!("{}{}", u.host_str()?, port(&u)))).unwrap_or_else(|| "an address that is no URL".to_owned())
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedUrl({})", self.host())
    }
}

/// What is known of the file once it was opened.
#[derive(Default)]
struct Known {
    size: Option<u64>,
    etag: Option<header::HeaderValue>,
}

struct Signed {
    client: reqwest::Client,
    url: SignedUrl,
    place: String,
    what: String,
    known: Mutex<Known>,
}

/// The file behind a signed address. `ca` are bundles to trust besides the system's roots.
pub fn file(url: SignedUrl, what: &str, ca: &[&[u8]]) -> Result<Arc<dyn Open>, StoreError> {
    crate::tls::install();
    let place = url.host();
    let mut certificates = Vec::new();
    for pem in ca {
        let found = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
        if found.is_empty() {
            return Err(StoreError::new(&place, Fault::Setup("its CA bundle holds no PEM certificate".to_owned())));
        }
        certificates.extend(found);
    }
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .user_agent(concat!("snapgap/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(certificates)
        .build()
        .map_err(|_| StoreError::new(&place, Fault::Setup("TLS cannot be set up".to_owned())))?;
    Ok(Arc::new(Signed { client, url, place, what: what.to_owned(), known: Mutex::default() }))
}

impl Signed {
    fn refused(&self, status: StatusCode, body: &str) -> Fault {
        let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
        let code = code.filter(|c| c.len() <= 64 && c.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
        let velero = |reason, message: String| Fault::Velero { reason, message };
        // S3 and MinIO say it by a word or a sentence, Google with status 400, Azure only in the detail of a failed signature.
        let sentences = ["Request has expired", "token expired", "Signature not valid in the specified time frame"];
        let expired = code.is_some_and(|c| c.contains("Expired")) || sentences.iter().any(|said| body.contains(said));
        match status {
            StatusCode::NOT_FOUND => velero("download_missing", format!("Velero signed an address for {}, and nothing is there", self.what)),
            StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST if expired => {
                velero("download_expired", format!("the signed address for {} has expired", self.what))
            }
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                let code = code.map_or_else(String::new, |c| format!(" ({c})"));
                let message = format!(
                    "the store refuses the signed address for {}{code}; its policy may forbid signed addresses; give credentials by `velero.stores`",
                    self.what
                );
                velero("download_refused", message)
            }
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => Fault::Replaced(self.what.clone()),
            other => Fault::Server(Some(code.map_or_else(|| other.as_str().to_owned(), str::to_owned))),
        }
    }

    async fn get(&self, from: u64) -> Result<Chunks, Fault> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = self.client.get(&self.url.0);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
            let etag = known().etag.clone();
            request = if let Some(etag) = etag { request.header(header::IF_MATCH, etag) } else { request };
        }
        let mut answer = request.send().await.map_err(|e| Fault::of_any(&e))?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.chunk().await.ok().flatten().map(|b| String::from_utf8_lossy(&b[..b.len().min(4096)]).into_owned());
            return Err(self.refused(status, &body.unwrap_or_default()));
        }
        let etag = answer.headers().get(header::ETAG).cloned();
        if from == 0 {
            *known() = Known { size: answer.content_length(), etag };
        } else {
            let began =
                answer.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
            if status != StatusCode::PARTIAL_CONTENT || began != Some(from) || known().etag != etag {
                return Err(Fault::Replaced(self.what.clone()));
            }
        }
        let pieces = futures::stream::unfold(Some(answer), |answer| async move {
            let mut answer = answer?;
            match answer.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk.to_vec()), Some(answer))),
                Ok(None) => None,
                Err(e) => Some((Err(Fault::of_any(&e)), None)),
            }
        });
        Ok(Box::pin(pieces))
    }
}

impl Open for Signed {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn size(&self) -> Option<u64> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).size
    }

    fn open(&self, from: u64) -> BoxFuture<'_, Result<Chunks, Fault>> {
        self.get(from).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_address_shows_its_host_alone() {
        let url = SignedUrl::new("https://s3.example.com:9000/b/x?X-Amz-Signature=canary".to_owned());
        assert_eq!(format!("{url:?}"), "SignedUrl(s3.example.com:9000)");
        assert_eq!(SignedUrl::new("canary".to_owned()).host(), "an address that is no URL");
    }

    #[test]
    fn an_address_that_expired_is_told_by_every_store_in_its_own_way() {
        let client = reqwest::Client::builder();
        crate::tls::install();
        let known = Mutex::default();
        let url = SignedUrl::new("https://x.example.com/".to_owned());
        let signed = Signed { client: client.build().expect("a client"), url, place: "x".into(), what: "b.tar.gz".into(), known };
        for (status, body, kind) in [
            (403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "download_expired"),
            (400, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>", "download_expired"),
            (
                403,
                "<Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Signature not valid in the specified time frame: canary</AuthenticationErrorDetail></Error>",
                "download_expired",
            ),
            (403, "<Error><Code>AuthenticationFailed</Code><Message>canary</Message></Error>", "download_refused"),
            (404, "<Error><Code>BlobNotFound</Code></Error>", "download_missing"),
            (400, "<Error><Code>InvalidUri</Code></Error>", "store_failed"),
        ] {
            let fault = signed.refused(StatusCode::from_u16(status).expect("a status"), body);
            let error = StoreError::new("x", fault);
            assert!(error.kind() == kind && !error.to_string().contains("canary"), "{body}: {error}");
        }
    }
}
