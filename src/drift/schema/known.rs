//! The schemas that the cluster itself serves, as far as they were read. pure

use std::{collections::BTreeMap, sync::Arc};

use super::{
    bundled::{self, MINOR},
    index::Index,
    shape::{Origin, Shape},
};
use crate::{
    object::{Gvk, Text},
    witness::Failure,
};

/// The server's OpenAPI documents, indexed. Cloning costs a counter a document.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    /// By group and version.
    documents: BTreeMap<(Text, Text), Arc<Index>>,
    /// Why documents are missing, if some are: the bundled table serves in their place.
    pub failure: Option<Failure>,
    /// Minor version of the server, if it is known.
    minor: Option<u32>,
}

impl Schemas {
    /// The documents of a server of this version.
    pub fn new(documents: BTreeMap<(Text, Text), Arc<Index>>, version: Option<&str>, failure: Option<Failure>) -> Self {
        Self { documents, failure, minor: version.and_then(minor_of) }
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Bytes that the indexes hold.
    pub fn size(&self) -> usize {
        self.documents.values().map(|d| d.size()).sum()
    }

    /// The shape that the server itself describes.
    pub fn served(&self, gvk: &Gvk) -> Option<Shape> {
        let index = self.documents.get(&(gvk.gk.group.clone(), gvk.version.clone()))?;
        Shape::of(index, gvk, Origin::Server, true)
    }

    /// All that the server describes of a kind, as text.
    pub fn describe(&self, gvk: &Gvk) -> Option<String> {
        let index = self.documents.get(&(gvk.gk.group.clone(), gvk.version.clone()))?;
        Some(index.describe(index.root(&gvk.gk, &gvk.version)?.of))
    }

    /// The shape of the bundled table. A field that the table does not have is one that the server does not have only if the server is not
    /// newer than the table.
    pub fn bundled(&self, gvk: &Gvk) -> Option<Shape> {
        Shape::of(bundled::index(), gvk, Origin::Bundled, self.minor.is_some_and(|m| m <= MINOR))
    }
}

/// The minor version in `v1.36.3`, also of providers' versions (`v1.34.1-eks-d1`).
fn minor_of(version: &str) -> Option<u32> {
    let rest = version.trim_start_matches('v').strip_prefix("1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Schema;

    #[test]
    fn the_table_is_complete_only_for_servers_that_are_not_newer() {
        let gvk = Gvk::parse("apps/v1", "Deployment");
        for (version, complete) in [
            (Some("v1.36.3"), true),
            (Some("v1.31.0-eks-a1"), true),
            (Some("1.36+"), true),
            (Some("v1.37.0"), false),
            (Some("whatever"), false),
            (None, false),
        ] {
            let shape = Schemas::new(BTreeMap::new(), version, None).bundled(&gvk).expect("known");
            assert_eq!(shape.drops(&gvk, &["spec", "replicasTypo"]), complete, "{version:?}");
        }
    }
}
