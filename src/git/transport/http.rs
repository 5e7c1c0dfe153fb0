//! Smart HTTP over reqwest. I/O: network, credential and certificate files.
//!
//! Redirects are followed for the first request only (as git does), never to a weaker scheme, and credentials go to the configured
//! host alone. No user or system Git configuration, credential helper or prompt is ever consulted.

use std::{
    io::{self, BufRead, Cursor, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::Engine as _;
use gix::protocol::transport::{
    Protocol,
    client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse, Transport},
};
use reqwest::{
    StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};

use super::{Memory, Wire, read_secret};
use crate::{
    config::{GitAuth, Source},
    git::{
        budget::Budget,
        error::{Fault, GitErrorKind},
        location::is_loopback,
    },
};

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const REDIRECTS: usize = 5;
/// A v2 greeting is a few hundred bytes; a list of refs is no greeting and is not kept.
const GREETING_CAP: usize = 16 * 1024;

/// A server's greeting (protocol v2: capabilities only, no refs) and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Advert {
    asked: String,
    base: Option<String>,
    body: Vec<u8>,
}

/// Opens the wire; sends nothing yet.
pub(super) fn open(source: &Source, url: &url::Url, budget: &Arc<Budget>, memory: &Memory) -> Result<Wire, Fault> {
    crate::tls::install();
    let authorization = authorization(&source.auth, budget)?;
    let client = client(source, url, budget)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::new(GitErrorKind::Io, format!("cannot start the network runtime: {e}")))?;
    let link = Link { runtime, client, budget: budget.clone(), origin: url.clone(), authorization, proxied: source.proxy.is_some() };
    let http = Wired { link: Arc::new(link), memory: memory.clone(), base: None };
    let url = gix::url::parse(url.as_str()).map_err(|e| Fault::new(GitErrorKind::Refused, format!("not a URL for Git: {e}")))?;
    Ok(Box::new(Transport::new_http(http, url, Protocol::V2, false)))
}

fn authorization(auth: &GitAuth, budget: &Budget) -> Result<Option<HeaderValue>, Fault> {
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

fn client(source: &Source, url: &url::Url, budget: &Budget) -> Result<reqwest::Client, Fault> {
    let refused = |what: String| Fault::new(GitErrorKind::Refused, what);
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(20).min(budget.remaining()))
        .user_agent(concat!("git/snapgap-", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    if let Some(path) = &source.ca_file {
        let pem = std::fs::read(path).map_err(|e| Fault::io("read ca_file", path, &e))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(refused(format!("ca_file {} holds no PEM certificate", path.display())));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(proxy) = proxy(source, url)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| Fault::new(GitErrorKind::Verify, format!("cannot set up TLS: {}", chain(&e))))
}

/// The configured proxy, or the one that the environment names for https (`HTTPS_PROXY`, `ALL_PROXY`, less `NO_PROXY`). Loopback is
/// reached through a proxy only if the configuration says so.
fn proxy(source: &Source, url: &url::Url) -> Result<Option<reqwest::Proxy>, Fault> {
    let bad =
        |place: &str| Fault::new(GitErrorKind::Refused, format!("{place} is no proxy address; write for example http://proxy.example.com:3128"));
    if let Some(text) = &source.proxy {
        let parsed = Url::parse(text).map_err(|_| bad("`proxy`"))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Fault::new(GitErrorKind::Refused, "`proxy` holds credentials; only the environment variable HTTPS_PROXY may"));
        }
        return reqwest::Proxy::all(parsed).map(Some).map_err(|_| bad("`proxy`"));
    }
    let variable = |names: &[&str]| names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let found = match url.scheme() {
        _ if is_loopback(url) => None,
        "https" => variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
        // Upper case could be set by a CGI request header, so only lower case counts, as everywhere.
        _ => variable(&["http_proxy", "ALL_PROXY", "all_proxy"]),
    };
    let Some(text) = found else { return Ok(None) };
    let proxy = reqwest::Proxy::all(text).map_err(|_| bad("the proxy variable of the environment"))?;
    Ok(Some(proxy.no_proxy(reqwest::NoProxy::from_env())))
}

/// What all requests of one operation share.
struct Link {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    budget: Arc<Budget>,
    origin: Url,
    authorization: Option<HeaderValue>,
    proxied: bool,
}

impl Link {
    /// Runs a future until it is done, the deadline passes, or the caller wants to stop.
    fn run<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        self.runtime.block_on(async {
            tokio::pin!(future);
            loop {
                let pause = self.budget.remaining().clamp(Duration::from_millis(1), Duration::from_millis(50));
                match tokio::time::timeout(pause, &mut future).await {
                    Ok(done) => return Ok(done),
                    Err(_) => self.budget.check()?,
                }
            }
        })
    }

    fn send(&self, url: &Url, headers: &HeaderMap, body: Option<Vec<u8>>) -> io::Result<reqwest::Response> {
        self.budget.check()?;
        self.budget.count_request();
        let mut request = match body {
            Some(body) => self.client.post(url.clone()).body(body),
            None => self.client.get(url.clone()),
        };
        request = request.headers(headers.clone());
        if let Some(value) = self.authorization.as_ref().filter(|_| same_host(url, &self.origin)) {
            request = request.header(AUTHORIZATION, value.clone());
        }
        match self.run(request.send())? {
            Ok(response) => Ok(response),
            Err(error) => Err(self.budget.note(self.broken(&error))),
        }
    }

    /// The next piece of a body, counted; `None` at its end.
    fn chunk(&self, response: &mut Option<reqwest::Response>) -> io::Result<Option<Vec<u8>>> {
        let Some(open) = response else { return Ok(None) };
        match self.run(open.chunk())? {
            Ok(Some(chunk)) => {
                self.budget.spend(chunk.len())?;
                Ok(Some(chunk.to_vec()))
            }
            Ok(None) => {
                *response = None;
                Ok(None)
            }
            Err(error) => Err(self.budget.note(self.broken(&error))),
        }
    }

    /// A connection that could not be made or broke.
    fn broken(&self, error: &reqwest::Error) -> Fault {
        if is_tls(error) {
            let what = format!("TLS: {}; if the server has its own certificate authority, set `ca_file`", self.budget.safe(&root(error)));
            return Fault::new(GitErrorKind::Verify, what);
        }
        let via = if self.proxied { " through the proxy" } else { "" };
        let doing = if error.is_connect() { "cannot connect" } else { "the connection broke" };
        let what =
            format!("{doing}{via} ({}) after {} bytes; check the location and the network", self.budget.safe(&chain(error)), self.budget.bytes());
        Fault::new(GitErrorKind::Network, what)
    }

    fn refused_status(&self, status: StatusCode, url: &Url) -> Fault {
        let elsewhere = !same_host(url, &self.origin);
        let with = match &self.authorization {
            Some(_) if elsewhere => {
                let host = url.host_str().unwrap_or_default();
                return Fault::new(
                    GitErrorKind::Auth,
                    format!("redirects to {host}, which answers {status}; credentials are not sent to another host, so write that one as location"),
                );
            }
            Some(_) => true,
            None => false,
        };
        let (kind, what) = match (status.as_u16(), with) {
            (401, false) => (GitErrorKind::Auth, "asks for a password; set auth.password_file (or auth.token_file)".to_owned()),
            (401, true) => (GitErrorKind::Auth, "refuses the credentials; check the user name and the password or token file".to_owned()),
            (403, _) => (GitErrorKind::Auth, "forbids reading (403); check what the user or token may read".to_owned()),
            (404 | 410, false) => {
                (GitErrorKind::NotFound, "no such repository (404), or it is private; check the location, or set auth.password_file".to_owned())
            }
            (404 | 410, true) => {
                (GitErrorKind::NotFound, "no such repository (404), or these credentials may not see it; check the location".to_owned())
            }
            (407, _) => (GitErrorKind::Network, "the proxy asks for credentials (407)".to_owned()),
            (429, _) => (GitErrorKind::Network, "asks to come back later (429); raise `interval`".to_owned()),
            (300..=399, _) => (GitErrorKind::Protocol, format!("answers {status} where Git allows no redirect; check the location")),
            _ => (GitErrorKind::Network, format!("answers {status}; try again later")),
        };
        Fault::new(kind, what)
    }

    /// The first request: follows redirects and gives the whole body.
    fn greet(&self, url: &str, base: &str, headers: &HeaderMap) -> io::Result<(Option<String>, Vec<u8>)> {
        let tail = url.strip_prefix(base).unwrap_or_default().trim_start_matches('/').to_owned();
        let mut at = self.parse(url)?;
        for _ in 0..=REDIRECTS {
            let response = self.send(&at, headers, None)?;
            let status = response.status();
            if !status.is_redirection() {
                if status != StatusCode::OK {
                    return Err(self.budget.note(self.refused_status(status, &at)));
                }
                self.expect_type(&response, ADVERTISEMENT)?;
                let mut body = Vec::new();
                let mut response = Some(response);
                while let Some(chunk) = self.chunk(&mut response)? {
                    body.extend_from_slice(&chunk);
                }
                let base = (at.as_str() != url).then(|| at.as_str().trim_end_matches(tail.as_str()).to_owned());
                return Ok((base, body));
            }
            at = self.redirected(&at, &response, &tail)?;
        }
        Err(self.budget.note(Fault::new(GitErrorKind::Protocol, "redirects without end; write the last address as location")))
    }

    fn redirected(&self, from: &Url, response: &reqwest::Response, tail: &str) -> io::Result<Url> {
        let bad = |what: String| self.budget.note(Fault::new(GitErrorKind::Protocol, what));
        let target = response.headers().get(LOCATION).and_then(|l| l.to_str().ok()).and_then(|l| from.join(l).ok());
        let Some(target) = target else { return Err(bad(format!("answers {} without a usable address", response.status()))) };
        if !target.username().is_empty() || target.password().is_some() {
            return Err(bad("redirects to an address with a user name; that is not followed".to_owned()));
        }
        let shown = self.budget.safe(&format!("{}://{}{}", target.scheme(), target.authority(), target.path()));
        let kept = target.scheme() == from.scheme() || (from.scheme(), target.scheme()) == ("http", "https");
        if !kept {
            return Err(self.budget.note(Fault::new(GitErrorKind::Refused, format!("redirects to {shown}, a weaker scheme; that is not followed"))));
        }
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        if !target.path().ends_with(&format!("/{path}")) || target.query().unwrap_or_default() != query {
            return Err(bad(format!("redirects to {shown}, which is no Git address (a login page?); check the location")));
        }
        Ok(target)
    }

    fn expect_type(&self, response: &reqwest::Response, wanted: &str) -> io::Result<()> {
        let found = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if found == wanted {
            return Ok(());
        }
        let what = format!("answers with `{}` instead of Git's smart HTTP; check the location", self.budget.safe(found));
        Err(self.budget.note(Fault::new(GitErrorKind::Protocol, what)))
    }

    fn parse(&self, url: &str) -> io::Result<Url> {
        Url::parse(url).map_err(|_| self.budget.note(Fault::new(GitErrorKind::Protocol, "leads to an address that cannot be read")))
    }
}

fn same_host(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// The innermost words of an error: reqwest's outer ones repeat the URL.
fn root(error: &reqwest::Error) -> String {
    chain_of(error).pop().unwrap_or_default()
}

fn chain(error: &reqwest::Error) -> String {
    let mut words = chain_of(error);
    words.dedup();
    match words.len() {
        0 => "no reason given".to_owned(),
        n => words.split_off(n.saturating_sub(2)).join(": "),
    }
}

fn chain_of(error: &reqwest::Error) -> Vec<String> {
    let mut words = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        words.push(error.to_string());
        next = error.source();
    }
    words
}

/// Whether TLS is what failed. An I/O error hides what it wraps from `source`, so that is looked into as well.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|e| is_tls(e)) || error.source().is_some_and(is_tls)
}

/// Our side of gix's HTTP transport.
struct Wired {
    link: Arc<Link>,
    memory: Memory,
    base: Option<String>,
}

impl Wired {
    fn remembered(&self, url: &str) -> Option<Advert> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.as_ref().filter(|a| a.asked == url).cloned()
    }
}

fn header_map(headers: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in headers {
        let Some((name, value)) = line.as_ref().split_once(':') else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.trim())) {
            // Our own name is better than gix's: administrators look for it in their logs.
            if name != reqwest::header::USER_AGENT {
                map.append(name, value);
            }
        }
    }
    map
}

fn type_header(kind: &str) -> Cursor<Vec<u8>> {
    Cursor::new(format!("content-type: {kind}\n").into_bytes())
}

impl Http for Wired {
    type Headers = Head;
    type ResponseBody = ResponseBody;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let (base, body) = match self.remembered(url) {
            Some(advert) => (advert.base, advert.body),
            None => {
                let (base, body) = self.link.greet(url, base_url, &header_map(headers)).map_err(gix::Error::from_error)?;
                // Version 2 only: a version 0 greeting is the list of refs itself, and must be asked for each time.
                if body.len() <= GREETING_CAP && body.windows(10).any(|w| w == b"version 2\n") {
                    let advert = Advert { asked: url.to_owned(), base: base.clone(), body: body.clone() };
                    *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(advert);
                }
                (base, body)
            }
        };
        self.base = base;
        Ok(GetResponse { headers: Head::Ready(type_header(ADVERTISEMENT)), body: ResponseBody::Ready(Cursor::new(body)) })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let url = self.link.parse(url).map_err(gix::Error::from_error)?;
        let exchange = Arc::new(Mutex::new(Exchange { url, headers: header_map(headers), body: Vec::new(), answer: None }));
        let shared = Shared { link: self.link.clone(), exchange };
        Ok(PostResponse {
            post_body: PostBody(shared.clone()),
            headers: Head::Pending(shared.clone()),
            body: ResponseBody::Pending(shared, Cursor::default()),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.base.clone()
    }
}

/// One POST. It is sent when gix starts to read, after it has written the whole body.
struct Exchange {
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    answer: Option<reqwest::Response>,
}

#[derive(Clone)]
struct Shared {
    link: Arc<Link>,
    exchange: Arc<Mutex<Exchange>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self) -> io::Result<()> {
        let mut exchange = self.lock();
        let body = std::mem::take(&mut exchange.body);
        let response = self.link.send(&exchange.url, &exchange.headers, Some(body))?;
        if response.status() != StatusCode::OK {
            return Err(self.link.budget.note(self.link.refused_status(response.status(), &exchange.url)));
        }
        self.link.expect_type(&response, "application/x-git-upload-pack-result")?;
        exchange.answer = Some(response);
        Ok(())
    }
}

struct PostBody(Shared);

impl Write for PostBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The header lines that gix looks at.
enum Head {
    Pending(Shared),
    Ready(Cursor<Vec<u8>>),
}

impl BufRead for Head {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Self::Pending(shared) = self {
            shared.send()?;
            *self = Self::Ready(type_header("application/x-git-upload-pack-result"));
        }
        match self {
            Self::Ready(text) => text.fill_buf(),
            Self::Pending(_) => Ok(&[]),
        }
    }

    fn consume(&mut self, amount: usize) {
        if let Self::Ready(text) = self {
            text.consume(amount);
        }
    }
}

impl Read for Head {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_from_buffer(self, buffer)
    }
}

/// A response's body, piece by piece, under the budget.
enum ResponseBody {
    Pending(Shared, Cursor<Vec<u8>>),
    Ready(Cursor<Vec<u8>>),
}

impl BufRead for ResponseBody {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Ready(body) => body.fill_buf(),
            Self::Pending(shared, chunk) => {
                while chunk.fill_buf()?.is_empty() {
                    let next = shared.link.chunk(&mut shared.lock().answer)?;
                    let Some(next) = next else { return Ok(&[]) };
                    *chunk = Cursor::new(next);
                }
                chunk.fill_buf()
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::Ready(body) | Self::Pending(_, body) => body.consume(amount),
        }
    }
}

impl Read for ResponseBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_from_buffer(self, buffer)
    }
}

fn read_from_buffer(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let ready = from.fill_buf()?;
    let n = ready.len().min(buffer.len());
    buffer[..n].copy_from_slice(&ready[..n]);
    from.consume(n);
    Ok(n)
}
