//! Requests of one operation: budget, redirects, and what answers mean. I/O: network.

use std::{io, sync::Arc, time::Duration};

use reqwest::{
    StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
};

use super::ADVERTISEMENT;
use crate::git::{
    budget::Budget,
    error::{Fault, GitErrorKind},
};

const REDIRECTS: usize = 5;

/// What all requests of one operation share.
pub(super) struct Link {
    pub runtime: tokio::runtime::Runtime,
    pub client: reqwest::Client,
    pub budget: Arc<Budget>,
    pub origin: Url,
    pub authorization: Option<HeaderValue>,
    pub proxied: bool,
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

    pub fn send(&self, url: &Url, headers: &HeaderMap, body: Option<Vec<u8>>) -> io::Result<reqwest::Response> {
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
    pub fn chunk(&self, response: &mut Option<reqwest::Response>) -> io::Result<Option<Vec<u8>>> {
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

    pub fn refused_status(&self, status: StatusCode, url: &Url) -> Fault {
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

    /// A refusal in the server's own words.
    pub fn refused_in_words(&self, said: &str) -> Fault {
        let lower = said.to_lowercase();
        let missing = ["not found", "not exported", "access denied", "no such"].iter().any(|w| lower.contains(w));
        let kind = if missing { GitErrorKind::NotFound } else { GitErrorKind::Protocol };
        Fault::new(kind, format!("the server says: {}", self.budget.safe(said)))
    }

    /// The first request: follows redirects and gives the whole body.
    pub fn greet(&self, url: &str, base: &str, headers: &HeaderMap) -> io::Result<(Option<String>, Vec<u8>)> {
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

    pub fn expect_type(&self, response: &reqwest::Response, wanted: &str) -> io::Result<()> {
        let found = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if found == wanted {
            return Ok(());
        }
        let what = format!("answers with `{}` instead of Git's smart HTTP; check the location", self.budget.safe(found));
        Err(self.budget.note(Fault::new(GitErrorKind::Protocol, what)))
    }

    pub fn parse(&self, url: &str) -> io::Result<Url> {
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

pub(super) fn chain(error: &reqwest::Error) -> String {
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
        // rustls adds an address where programmers can read more.
        let text = error.to_string();
        words.push(text.split(": https://").next().unwrap_or_default().to_owned());
        next = error.source();
    }
    words
}

/// Whether TLS is what failed. An I/O error hides what it wraps from `source`, so that is looked into as well.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|e| is_tls(e)) || error.source().is_some_and(is_tls)
}
