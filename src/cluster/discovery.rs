//! What kinds a server serves, and which groups it cannot speak for. I/O: the Kubernetes API.
//!
//! Aggregated discovery is two calls, and it hides a broken aggregated API behind `freshness: Stale` and an empty list of kinds; that is
//! read here, because a kind that a broken group does not name is unknown and not absent.

mod parse;

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
pub use parse::Served;
use parse::{GroupList, Groups, ResourceList};

use super::{call::CallError, wire::Wire};
use crate::{
    object::{GroupKind, Text},
    witness::Failure,
};

/// Content types for aggregated discovery, newest first, then the plain form for older servers.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The plain form.
const PLAIN: &str = "application/json";

/// Plain discovery documents that are asked for at the same time.
const AT_ONCE: usize = 6;

/// What a server serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Kinds by identity, each in the version that the server prefers.
    pub kinds: BTreeMap<GroupKind, Served>,
    /// Groups of which some version could not be read.
    pub broken: BTreeMap<Text, Failure>,
    /// Server version, for example `v1.36.3`.
    pub version: Option<Text>,
}

/// Asks the server what it serves.
///
/// # Errors
/// When the server cannot be asked at all. A single group that fails stands in `broken`.
pub async fn discover(wire: &Wire) -> Result<Catalogue, CallError> {
    let (core, groups, version) = futures::try_join!(wire.json::<Groups>("/api", AGGREGATED), wire.json::<Groups>("/apis", AGGREGATED), async {
        Ok(wire.json::<parse::Version>("/version", PLAIN).await.ok().and_then(|v| v.git_version))
    })?;
    let mut catalogue = if core.is_aggregated() && groups.is_aggregated() { parse::aggregated([core, groups]) } else { plain(wire).await? };
    catalogue.version = version.map(Text::from);
    Ok(catalogue)
}

/// Plain discovery: one call for each version of each group.
///
/// # Errors
/// When the list of groups itself cannot be read.
pub async fn plain(wire: &Wire) -> Result<Catalogue, CallError> {
    let (core, groups) = futures::try_join!(wire.json::<parse::CoreVersions>("/api", PLAIN), wire.json::<GroupList>("/apis", PLAIN))?;
    let wanted: Vec<(String, String, String)> = parse::documents(&core, &groups);
    // Groups stand in the server's order, as the aggregated document has them.
    let mut groups_in_order: Vec<&str> = wanted.iter().map(|(group, ..)| group.as_str()).collect();
    groups_in_order.dedup();
    let rank = |group: &str| groups_in_order.iter().position(|g| *g == group).unwrap_or_default();
    let mut read: Vec<(usize, Result<ResourceList, CallError>)> = stream::iter(wanted.clone().into_iter().enumerate())
        .map(|(n, (_, _, path))| async move { (n, wire.json::<ResourceList>(&path, PLAIN).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    read.sort_by_key(|(n, _)| *n);
    let mut catalogue = Catalogue::default();
    for ((group, version, _), (_, outcome)) in wanted.iter().zip(read) {
        match outcome {
            Ok(list) => parse::add_plain(&mut catalogue.kinds, (group, version, rank(group)), list),
            Err(e) => {
                let message = format!("{} ({e})", parse::broken_words(group, version));
                catalogue.broken.insert(group.as_str().into(), Failure::new(parse::STALE, message));
            }
        }
    }
    Ok(catalogue)
}
