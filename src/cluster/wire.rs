//! Calls to the API server with deadlines and caps: one document, one list page, one watch. I/O: the Kubernetes API.

use std::{pin::Pin, time::Duration};

use futures::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use kube::core::{
    Request,
    params::{GetParams, ListParams, WatchParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    call::CallError,
    client::Connection,
    discovery::Served,
    limits::Limits,
    page::{PageEnd, read_page},
    tally::Tally,
};
use crate::metrics::Verb;

/// Bytes of a discovery document. A server with thousands of kinds sends a few MiB.
const DOCUMENT_BYTES: usize = 64 << 20;

/// How often a list is started anew because its continuation expired.
const RESTARTS: u32 = 3;

/// Speaks to one API server.
#[derive(Clone, Debug)]
pub struct Wire {
    connection: Connection,
    /// Bounds and periods.
    pub limits: Limits,
    /// Every request that was made.
    pub tally: Tally,
}

type Body = Pin<Box<dyn AsyncBufRead + Send>>;

/// kube's request types are those of the `http` crate; kube builds them, so it need not be named here.
pub(super) fn built<T>(request: Result<T, kube::core::request::Error>) -> Result<T, CallError> {
    request.map_err(|_| CallError::Malformed("a name that cannot stand in a URL".into()))
}

impl Wire {
    /// Over a connection.
    pub fn new(connection: Connection, limits: Limits) -> Self {
        Self { connection, limits, tally: Tally::default() }
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) async fn within<T>(&self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        timeout(self.limits.call, call).await.unwrap_or(Err(CallError::Timeout(self.limits.call)))
    }

    /// Waits for the head of an answer, and counts what came.
    async fn sent<B>(&self, verb: Verb, call: impl Future<Output = Result<B, kube::Error>>) -> Result<Body, CallError>
    where
        B: AsyncBufRead + Send + 'static,
    {
        let mut pending = self.tally.begin(verb);
        match call.await {
            Ok(body) => {
                pending.answered(200);
                Ok(Box::pin(body))
            }
            Err(e) => {
                let error = CallError::of(&e);
                if let CallError::Status { code, .. } = &error {
                    pending.answered(*code);
                }
                Err(error)
            }
        }
    }

    /// A small document at a path.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn json<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<T, CallError> {
        let mut request = built(Request::new(path).list(&ListParams::default()))?;
        if let Ok(accept) = accept.parse() {
            request.headers_mut().insert("accept", accept);
        }
        self.within(async {
            let body = self.sent(Verb::Discover, self.connection.client.request_stream(request)).await?;
            let text = whole(body, DOCUMENT_BYTES).await?;
            serde_json::from_slice(&text).map_err(|e| CallError::malformed(&e))
        })
        .await
    }

    /// The text of a document at a path, with its query as it stands.
    ///
    /// # Errors
    /// When it cannot be had or is larger than `cap` bytes.
    pub async fn document(&self, path: &str, cap: usize) -> Result<Vec<u8>, CallError> {
        let mut request = built(Request::new("/").list(&ListParams::default()))?;
        *request.uri_mut() = path.parse().map_err(|_| CallError::Malformed("a path that cannot stand in a URL".into()))?;
        if let Ok(accept) = "application/json".parse() {
            request.headers_mut().insert("accept", accept);
        }
        self.within(async {
            let body = self.connection.client.request_stream(request).await.map_err(|e| CallError::of(&e))?;
            whole(Box::pin(body), cap).await
        })
        .await
    }

    /// One object.
    ///
    /// # Errors
    /// When it cannot be had or read.
    pub async fn get(&self, kind: &Served, namespace: Option<&str>, name: &str) -> Result<Value, CallError> {
        self.one(&kind.path_in(namespace), name).await
    }

    /// The same, by the path of its collection.
    pub(super) async fn one(&self, collection: &str, name: &str) -> Result<Value, CallError> {
        let request = built(Request::new(collection).get(name, &GetParams::default()))?;
        self.within(async {
            let body = self.sent(Verb::Get, self.connection.client.request_stream(request)).await?;
            let text = whole(body, self.limits.event_bytes).await?;
            serde_json::from_slice(&text).map_err(|e| CallError::malformed(&e))
        })
        .await
    }

    /// All objects of a kind, page by page, each handed to `take`; returns the resource version to watch from. `restart` is called when
    /// the server forgot where we were: everything taken so far must be dropped.
    ///
    /// # Errors
    /// When any page cannot be had or read: what was taken is then not the whole.
    pub async fn list(
        &self,
        kind: &Served,
        metadata: bool,
        take: &mut (dyn FnMut(Value) + Send),
        restart: &mut (dyn FnMut() + Send),
    ) -> Result<String, CallError> {
        let (mut limit, mut next, mut restarts) = (self.limits.page, None, 0);
        loop {
            match self.page(kind, metadata, limit, next.as_deref(), take).await {
                Ok(end) => match end.next.filter(|n| !n.is_empty()) {
                    Some(more) => next = Some(more),
                    None => return Ok(end.resource_version),
                },
                // Nothing of a page that is too large was taken.
                Err(CallError::TooLarge(_)) if limit > 1 => limit = (limit / 5).max(1),
                Err(e) if e.expired() && next.is_some() && restarts < RESTARTS => {
                    (next, restarts) = (None, restarts + 1);
                    restart();
                }
                Err(e) => return Err(e),
            }
        }
    }

    async fn page(
        &self,
        kind: &Served,
        metadata: bool,
        limit: u32,
        next: Option<&str>,
        take: &mut (dyn FnMut(Value) + Send),
    ) -> Result<PageEnd, CallError> {
        let params = ListParams { limit: Some(limit), continue_token: next.map(str::to_owned), ..Default::default() };
        let request = Request::new(kind.path());
        let request = built(if metadata { request.list_metadata(&params) } else { request.list(&params) })?;
        let text = self
            .within(async {
                let body = self.sent(Verb::List, self.connection.client.request_stream(request)).await?;
                whole(body, self.limits.page_bytes).await
            })
            .await?;
        read_page(&text, take)
    }

    /// Watches a kind from a resource version. The server ends the watch after `seconds`.
    ///
    /// # Errors
    /// When the watch is refused or does not begin in time.
    pub async fn watch(&self, kind: &Served, metadata: bool, from: &str, seconds: u32) -> Result<Events, CallError> {
        let params = WatchParams { timeout: Some(seconds), bookmarks: true, ..Default::default() };
        let request = Request::new(kind.path());
        let mut request = built(if metadata { request.watch_metadata(&params, from) } else { request.watch(&params, from) })?;
        // Newer servers compress each event by itself, which the decompression beneath does not follow.
        if let Ok(identity) = "identity".parse() {
            request.headers_mut().insert("accept-encoding", identity);
        }
        let body = self.within(self.sent(Verb::Watch, self.connection.client.request_stream(request))).await?;
        Ok(Events { body, line: Vec::new(), cap: self.limits.event_bytes })
    }
}

pub(super) async fn whole(body: Body, cap: usize) -> Result<Vec<u8>, CallError> {
    let mut text = Vec::new();
    body.take(cap as u64 + 1).read_to_end(&mut text).await.map_err(|e| CallError::broken(&e))?;
    if text.len() > cap { Err(CallError::TooLarge(cap)) } else { Ok(text) }
}

/// What a watch says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An object is there, in this state.
    Put(Value),
    /// An object is gone; its last state.
    Gone(Value),
    /// Nothing happened up to this resource version.
    Bookmark(String),
}

/// The events of one watch.
pub struct Events {
    body: Body,
    line: Vec<u8>,
    cap: usize,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    what: String,
    #[serde(default)]
    object: Value,
}

impl Events {
    /// The next event; `None` when the server ended the watch.
    ///
    /// # Errors
    /// When nothing at all comes for `silence`, the connection breaks, or the server reports a failure (410: list anew).
    pub async fn next(&mut self, silence: Duration) -> Result<Option<Event>, CallError> {
        loop {
            let available = match timeout(silence, self.body.fill_buf()).await {
                Err(_) => return Err(CallError::Timeout(silence)),
                Ok(Err(e)) => return Err(CallError::broken(&e)),
                Ok(Ok(bytes)) => bytes,
            };
            if available.is_empty() {
                return Ok(None);
            }
            let end = available.iter().position(|b| *b == b'\n');
            let used = end.map_or(available.len(), |at| at + 1);
            self.line.extend_from_slice(&available[..used]);
            Pin::new(&mut self.body).consume(used);
            if self.line.len() > self.cap {
                return Err(CallError::TooLarge(self.cap));
            }
            if end.is_none() {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if !line.trim_ascii().is_empty() {
                return event(&line).map(Some);
            }
        }
    }
}

fn event(line: &[u8]) -> Result<Event, CallError> {
    let Line { what, object } = serde_json::from_slice(line).map_err(|e| CallError::malformed(&e))?;
    match what.as_str() {
        "ADDED" | "MODIFIED" => Ok(Event::Put(object)),
        "DELETED" => Ok(Event::Gone(object)),
        "BOOKMARK" => Ok(Event::Bookmark(version_of(&object).to_owned())),
        "ERROR" => Err(match serde_json::from_value::<kube::core::Status>(object) {
            Ok(status) => CallError::status(&status),
            Err(e) => CallError::malformed(&e),
        }),
        _ => Err(CallError::Malformed("an event of no known type".into())),
    }
}

/// `metadata.resourceVersion`, empty if there is none.
pub fn version_of(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &'static str, cap: usize) -> Events {
        Events { body: Box::pin(futures::io::Cursor::new(text.as_bytes())), line: Vec::new(), cap }
    }

    #[tokio::test]
    async fn a_watch_is_read_line_by_line() {
        let text = "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n\n{\"type\":\"DELETED\",\"object\":{}}\n\
            {\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n\
            {\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}}\n{\"type\":\"ADD";
        let mut events = events(text, 1 << 10);
        let second = Duration::from_secs(1);
        assert_eq!(events.next(second).await, Ok(Some(Event::Put(serde_json::json!({"a": 1})))));
        assert_eq!(events.next(second).await, Ok(Some(Event::Gone(serde_json::json!({})))));
        assert_eq!(events.next(second).await, Ok(Some(Event::Bookmark("9".into()))));
        assert!(events.next(second).await.is_err_and(|e| e.expired()));
        assert_eq!(events.next(second).await, Ok(None), "a torn last line is no event");
    }

    #[tokio::test]
    async fn an_event_larger_than_the_cap_and_one_that_is_none_are_failures() {
        let second = Duration::from_secs(1);
        let long = events("{\"type\":\"ADDED\",\"object\":{\"a\":\"xxxxxxxxxxxxxxxxxxxxx\"}}\n", 20).next(second).await;
        assert_eq!(long, Err(CallError::TooLarge(20)));
        for text in ["canary\n", "{\"type\":\"WHAT\",\"object\":{}}\n", "{\"object\":{}}\n"] {
            let told = events(text, 99).next(second).await.expect_err(text).to_string();
            assert!(!told.contains("canary"), "{told}");
        }
    }

    #[tokio::test]
    async fn a_document_larger_than_the_cap_is_refused() {
        let body = || -> Body { Box::pin(futures::io::Cursor::new(vec![b'x'; 100])) };
        assert_eq!(whole(body(), 99).await, Err(CallError::TooLarge(99)));
        assert_eq!(whole(body(), 100).await.map(|t| t.len()), Ok(100));
    }
}
