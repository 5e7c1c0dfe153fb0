//! Smart HTTP over reqwest. I/O: network, credential and certificate files.
//!
//! Redirects are followed for the first request only (as git does), never to a weaker scheme, and credentials go to the configured
//! host alone. No user or system Git configuration, credential helper or prompt is ever consulted.

mod client;
mod link;

use std::{
    io::{self, BufRead, Cursor, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gix::protocol::transport::{
    Protocol,
    client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse, Transport},
};
use reqwest::{
    StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{Memory, Wire};
use crate::{
    config::Source,
    git::{
        budget::Budget,
        error::{Fault, GitErrorKind},
    },
};
use client::{Shape, authorization, client};
use link::Link;

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
/// A v2 greeting is a few hundred bytes; a list of refs is no greeting and is not kept.
const GREETING_CAP: usize = 16 * 1024;

/// A server's greeting (protocol v2: capabilities only, no refs) and where it came from.
#[derive(Clone)]
struct Advert {
    asked: String,
    base: Option<String>,
    body: Vec<u8>,
}

/// What a source keeps from one operation to the next. Lost with the process, and no harm in that.
#[derive(Default)]
pub(crate) struct Remembered {
    greeting: Option<Advert>,
    client: Option<(Shape, reqwest::Client)>,
    /// A tip whose fetch was more than allowed, and what was said then: it would be more the next time as well.
    pub too_large: Option<(String, Fault)>,
}

impl Remembered {
    /// Forgets the greeting.
    pub fn forget_greeting(&mut self) {
        self.greeting = None;
    }

    /// Whether a greeting is remembered.
    pub fn has_greeting(&self) -> bool {
        self.greeting.is_some()
    }
}

impl std::fmt::Debug for Remembered {
    /// Shows nothing of what is kept: a proxy of the environment may hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered")
    }
}

/// Opens the wire; sends nothing yet.
pub(super) fn open(source: &Source, url: &url::Url, budget: &Arc<Budget>, memory: &Memory) -> Result<Wire, Fault> {
    crate::tls::install();
    let authorization = authorization(&source.auth, budget)?;
    let client = client(source, url, memory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::new(GitErrorKind::Io, format!("cannot start the network runtime: {e}")))?;
    let link = Link { runtime, client, budget: budget.clone(), origin: url.clone(), authorization, proxied: source.proxy.is_some() };
    let http = Wired { link: Arc::new(link), memory: memory.clone(), base: None };
    let url = gix::url::parse(url.as_str()).map_err(|e| Fault::new(GitErrorKind::Refused, format!("not a URL for Git: {e}")))?;
    Ok(Box::new(Transport::new_http(http, url, Protocol::V2, false)))
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
        memory.greeting.as_ref().filter(|a| a.asked == url).cloned()
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
                    self.memory.lock().unwrap_or_else(PoisonError::into_inner).greeting = Some(advert);
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

/// What a server says instead of an answer: a packet line that begins with `ERR`. gix knows it in some answers only.
fn complaint(chunk: &[u8]) -> Option<String> {
    let length = usize::from_str_radix(std::str::from_utf8(chunk.get(..4)?).ok()?, 16).ok()?;
    let said = chunk.get(4..length.min(chunk.len()))?.strip_prefix(b"ERR ")?;
    Some(String::from_utf8_lossy(said).into_owned())
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
                    if let Some(said) = complaint(&next) {
                        return Err(shared.link.budget.note(shared.link.refused_in_words(&said)));
                    }
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
