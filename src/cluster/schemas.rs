//! The server's OpenAPI v3 documents, read one at a time and kept as indexes. I/O: the Kubernetes API.
//!
//! `/openapi/v3` names every document with a hash of its content; a document whose hash did not change is not asked for again. Groups that
//! CustomResourceDefinitions make are left out when the definitions are read anyway: they say the same, and come by watch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

use super::{call::CallError, wire::Wire};
use crate::{
    drift::schema::{Index, Schemas, openapi},
    object::Text,
    witness::Failure,
};

/// Where the server lists its documents.
const INDEX: &str = "/openapi/v3";

/// Bytes of one document, inflated. The largest of Kubernetes' own has 3 MiB; a group of many definitions can have ten.
const DOCUMENT_BYTES: usize = 64 << 20;

/// Bytes that all indexes may hold together.
const MOST_BYTES: usize = 32 << 20;

/// Kinds whose objects are never compared: their documents are not worth a request.
const UNSTORED: [&str; 5] = ["authentication.k8s.io", "authorization.k8s.io", "events.k8s.io", "metrics.k8s.io", "internal.apiserver.k8s.io"];

#[derive(Deserialize)]
struct Paths {
    paths: BTreeMap<String, Path>,
}

#[derive(Deserialize)]
struct Path {
    #[serde(rename = "serverRelativeURL")]
    url: String,
}

/// Documents that were read, by group and version.
#[derive(Debug, Default)]
pub struct Library {
    held: BTreeMap<(Text, Text), Held>,
}

#[derive(Debug)]
struct Held {
    /// The URL, which holds the server's hash of the content.
    url: String,
    index: Arc<Index>,
}

/// What one refresh came to.
#[derive(Debug)]
pub struct Refreshed {
    /// The schemas to use from now on.
    pub schemas: Schemas,
    /// Documents that were asked for.
    pub asked: usize,
    /// Why the refresh should be made again, if so.
    pub error: Option<CallError>,
}

impl Library {
    /// Reads what changed. `defined` are groups whose kinds come from definitions that were read. What cannot be read is left to the
    /// bundled table, and the schemas say so.
    pub async fn refresh(&mut self, wire: &Wire, version: Option<&str>, defined: &BTreeSet<Text>) -> Refreshed {
        let paths = match wire.json::<Paths>(INDEX, "application/json").await {
            Ok(paths) => paths.paths,
            Err(error) => {
                let failure = Failure::new(error.kind(), format!("{INDEX} cannot be read ({error}), so the schemas that are compiled in serve"));
                return Refreshed { schemas: self.schemas(version, Some(failure)), asked: 0, error: Some(error) };
            }
        };
        let wanted: BTreeMap<(Text, Text), String> = paths
            .into_iter()
            .filter_map(|(path, at)| Some((group_version(&path)?, at.url)))
            .filter(|((group, _), url)| url.starts_with(INDEX) && !UNSTORED.contains(&&**group) && !defined.contains(group))
            .collect();
        self.held.retain(|gv, _| wanted.contains_key(gv));
        let (mut asked, mut missing, mut error) = (0, Vec::new(), None);
        for (gv, url) in wanted {
            if self.held.get(&gv).is_some_and(|h| h.url == url) {
                continue;
            }
            asked += 1;
            let read = match wire.document(&url, DOCUMENT_BYTES).await {
                Ok(text) => openapi::read(&text).map(Some).or_else(|e| match e {
                    openapi::DocumentError::Empty => Ok(None),
                    e => Err(CallError::Malformed(e.to_string())),
                }),
                Err(e) => Err(e),
            };
            match read {
                Ok(index) => {
                    let index = index.unwrap_or_default();
                    let others: usize = self.held.iter().filter(|(other, _)| **other != gv).map(|(_, h)| h.index.size()).sum();
                    if others + index.size() > MOST_BYTES {
                        missing.push(format!("{}/{} (too large)", gv.0, gv.1));
                        self.held.remove(&gv);
                    } else {
                        self.held.insert(gv, Held { url, index: Arc::new(index) });
                    }
                }
                Err(e) => {
                    missing.push(format!("{}/{} ({e})", gv.0, gv.1));
                    // A document of another hash says what the server no longer does.
                    self.held.remove(&gv);
                    error.get_or_insert(e);
                }
            }
        }
        let failure = (!missing.is_empty()).then(|| {
            let reason = error.as_ref().map_or("too_large", CallError::kind);
            Failure::new(reason, format!("the OpenAPI documents of {} cannot be read, so the schemas that are compiled in serve", few(&missing)))
        });
        Refreshed { schemas: self.schemas(version, failure), asked, error }
    }

    fn schemas(&self, version: Option<&str>, failure: Option<Failure>) -> Schemas {
        let documents = self.held.iter().map(|(gv, held)| (gv.clone(), held.index.clone())).collect();
        Schemas::new(documents, version, failure)
    }
}

fn few(names: &[String]) -> String {
    let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 3 { format!("{shown} and {} more", names.len() - 3) } else { shown }
}

/// Group and version of `api/v1` and `apis/apps/v1`; `None` for documents of no version.
fn group_version(path: &str) -> Option<(Text, Text)> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["api", version] => Some(("".into(), version.into())),
        ["apis", group, version] => Some((group.into(), version.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_named_by_group_and_version() {
        for (path, gv) in [
            ("api/v1", Some(("", "v1"))),
            ("apis/apps/v1", Some(("apps", "v1"))),
            ("apis/apps", None),
            ("api", None),
            ("version", None),
            (".well-known/openid-configuration", None),
        ] {
            assert_eq!(group_version(path), gv.map(|(g, v)| (g.into(), v.into())), "{path}");
        }
    }
}
