//! Discovery documents, aggregated and plain, into one catalogue. pure

use std::collections::{BTreeMap, btree_map::Entry};

use serde::Deserialize;

use super::Catalogue;
use crate::{
    object::{GroupKind, Gvk, Text},
    witness::{Failure, Told},
};

/// The reason that stands for a group which the server cannot speak for.
pub(super) const STALE: &str = "group_unavailable";

/// A kind that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Kind, in the version that the server prefers among those that can be listed.
    pub gvk: Gvk,
    /// The other served versions, in the server's order.
    pub versions: Vec<Text>,
    /// Plural resource name.
    pub plural: Text,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether single objects can be read.
    pub get: bool,
    /// Whether all objects can be listed.
    pub list: bool,
    /// Whether changes can be watched.
    pub watch: bool,
    /// What else discovery tells of it.
    pub told: Told,
}

impl Served {
    /// The path of the collection across all namespaces.
    pub fn path(&self) -> String {
        self.path_in(None)
    }

    /// The path of the collection, in one namespace if there is one.
    pub fn path_in(&self, namespace: Option<&str>) -> String {
        let Gvk { gk, version } = &self.gvk;
        let root = if gk.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", gk.group) };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

/// `GET /version`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) git_version: Option<String>,
}

/// An aggregated discovery document (`apidiscovery.k8s.io`), or an older server's plain one, of which only the kind is read.
#[derive(Debug, Deserialize)]
pub(super) struct Groups {
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
}

impl Groups {
    pub(super) fn is_aggregated(&self) -> bool {
        self.kind == "APIGroupDiscoveryList"
    }
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMeta,
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Debug, Default, Deserialize)]
struct GroupMeta {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct GroupVersion {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
    freshness: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    short_names: Vec<String>,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// `GET /api`.
#[derive(Debug, Deserialize)]
pub(super) struct CoreVersions {
    #[serde(default)]
    versions: Vec<String>,
}

/// `GET /apis`.
#[derive(Debug, Deserialize)]
pub(super) struct GroupList {
    #[serde(default)]
    groups: Vec<PlainGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainGroup {
    name: String,
    #[serde(default)]
    versions: Vec<PlainVersion>,
    preferred_version: Option<PlainVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct PlainVersion {
    version: String,
}

/// `GET /apis/GROUP/VERSION`.
#[derive(Debug, Deserialize)]
pub(super) struct ResourceList {
    #[serde(default)]
    resources: Vec<PlainResource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainResource {
    name: String,
    #[serde(default)]
    singular_name: String,
    #[serde(default)]
    short_names: Vec<String>,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

pub(super) fn broken_words(group: &str, version: &str) -> String {
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    format!(
        "the API server cannot reach the server behind {name}, so nobody knows which kinds it has or what they hold; see \
         `kubectl get apiservices` for the one that is not available"
    )
}

/// One kind of one version, as any document says it.
struct Said<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    plural: &'a str,
    namespaced: bool,
    verbs: &'a [String],
    singular: &'a str,
    shorts: &'a [String],
    /// Where the group comes in the server's list of groups.
    rank: usize,
}

/// Adds one kind of one version. The first version that can be listed is the one to read; versions come in order of preference.
fn add(kinds: &mut BTreeMap<GroupKind, Served>, said: &Said<'_>) {
    if said.kind.is_empty() || said.plural.is_empty() || said.plural.contains('/') {
        return;
    }
    let can = |verb: &str| said.verbs.iter().any(|v| v == verb);
    let served = Served {
        gvk: Gvk { gk: GroupKind::new(said.group, said.kind), version: said.version.into() },
        versions: Vec::new(),
        plural: said.plural.into(),
        namespaced: said.namespaced,
        get: can("get"),
        list: can("list"),
        watch: can("list") && can("watch"),
        told: Told {
            singular: if said.singular.is_empty() { said.kind.to_lowercase() } else { said.singular.to_owned() }.into(),
            shorts: said.shorts.iter().map(|s| Text::from(s.as_str())).collect(),
            storable: ["list", "create", "get", "delete"].into_iter().all(can),
            rank: said.rank,
        },
    };
    match kinds.entry(served.gvk.gk.clone()) {
        Entry::Vacant(place) => drop(place.insert(served)),
        Entry::Occupied(mut place) => {
            let known = place.get_mut();
            let mut versions = std::mem::take(&mut known.versions);
            let (mut best, other) =
                if served.list && !known.list { (served, known.gvk.version.clone()) } else { (known.clone(), served.gvk.version) };
            if other != best.gvk.version && !versions.contains(&other) {
                versions.push(other);
            }
            best.versions = versions;
            *known = best;
        }
    }
}

/// The catalogue of aggregated documents. Kinds that a stale version still names are taken up: listing them tells the truth.
pub(super) fn aggregated(documents: impl IntoIterator<Item = Groups>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (rank, group) in documents.into_iter().flat_map(|d| d.items).enumerate() {
        let name = &group.metadata.name;
        for version in &group.versions {
            if version.freshness.as_deref() == Some("Stale") {
                catalogue.broken.insert(name.as_str().into(), Failure::new(STALE, broken_words(name, &version.version)));
            }
            for r in &version.resources {
                let kind = r.response_kind.as_ref().map_or("", |k| k.kind.as_str());
                let namespaced = r.scope == "Namespaced";
                let said = Said {
                    group: name,
                    version: &version.version,
                    kind,
                    plural: &r.resource,
                    namespaced,
                    verbs: &r.verbs,
                    singular: &r.singular_resource,
                    shorts: &r.short_names,
                    rank,
                };
                add(&mut catalogue.kinds, &said);
            }
        }
    }
    catalogue
}

/// Group, version and path of every plain document there is, preferred versions first.
pub(super) fn documents(core: &CoreVersions, groups: &GroupList) -> Vec<(String, String, String)> {
    let core = core.versions.iter().map(|v| (String::new(), v.clone(), format!("/api/{v}")));
    let others = groups.groups.iter().flat_map(|g| {
        let rest = g.versions.iter().filter(|v| Some(*v) != g.preferred_version.as_ref());
        g.preferred_version.iter().chain(rest).map(|v| (g.name.clone(), v.version.clone(), format!("/apis/{}/{}", g.name, v.version)))
    });
    core.chain(others).collect()
}

/// Adds the kinds of one plain document.
pub(super) fn add_plain(kinds: &mut BTreeMap<GroupKind, Served>, (group, version, rank): (&str, &str, usize), list: ResourceList) {
    for r in &list.resources {
        let said = Said {
            group,
            version,
            kind: &r.kind,
            plural: &r.name,
            namespaced: r.namespaced,
            verbs: &r.verbs,
            singular: &r.singular_name,
            shorts: &r.short_names,
            rank,
        };
        add(kinds, &said);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn groups(items: serde_json::Value) -> Groups {
        serde_json::from_value(json!({"kind": "APIGroupDiscoveryList", "items": items})).expect("a discovery document")
    }

    fn resource(plural: &str, kind: &str, verbs: &[&str]) -> serde_json::Value {
        json!({"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": "Namespaced", "verbs": verbs,
               "subresources": [{"subresource": "status", "verbs": ["get"]}]})
    }

    #[test]
    fn the_preferred_version_that_can_be_listed_is_read_and_the_others_are_known() {
        let all = ["get", "list", "watch"];
        let catalogue = aggregated([groups(json!([{"metadata": {"name": "a.example.com"}, "versions": [
            {"version": "v2", "freshness": "Current", "resources": [resource("widgets", "Widget", &all), resource("odds", "Odd", &["create"])]},
            {"version": "v1", "freshness": "Current", "resources": [resource("widgets", "Widget", &all), resource("odds", "Odd", &["list"])]},
        ]}]))]);
        let of = |kind: &str| &catalogue.kinds[&GroupKind::new("a.example.com", kind)];
        let texts = |versions: &[Text]| versions.iter().map(|v| v.to_string()).collect::<Vec<_>>();
        assert_eq!((&*of("Widget").gvk.version, texts(&of("Widget").versions)), ("v2", vec!["v1".to_owned()]));
        assert_eq!((&*of("Odd").gvk.version, texts(&of("Odd").versions)), ("v1", vec!["v2".to_owned()]));
        assert_eq!(of("Widget").path(), "/apis/a.example.com/v2/widgets");
        assert_eq!(of("Widget").path_in(Some("n")), "/apis/a.example.com/v2/namespaces/n/widgets");
        assert!(of("Odd").list && !of("Odd").watch && catalogue.broken.is_empty());
    }

    #[test]
    fn a_stale_group_is_broken_and_its_neighbours_are_not() {
        let catalogue = aggregated([groups(json!([
            {"metadata": {"name": "gone.example.com"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
            {"metadata": {"name": "well.example.com"}, "versions": [{"version": "v1", "resources": [resource("xs", "X", &["list"])]}]},
            {"metadata": {}, "versions": [{"version": "v1", "resources": [resource("pods", "Pod", &["list", "watch", "get"])]}]},
        ]))]);
        assert_eq!(catalogue.broken.keys().map(|g| &**g).collect::<Vec<_>>(), ["gone.example.com"]);
        assert!(catalogue.broken["gone.example.com"].message.contains("gone.example.com/v1"));
        assert_eq!(catalogue.kinds.len(), 2);
        assert_eq!(catalogue.kinds[&GroupKind::new("", "Pod")].path(), "/api/v1/pods");
    }

    #[test]
    fn an_older_servers_answer_is_told_apart() {
        let old: Groups = serde_json::from_value(json!({"kind": "APIGroupList", "groups": [{"name": "apps"}]})).expect("readable");
        assert!(!old.is_aggregated());
        let list: GroupList = serde_json::from_value(json!({"groups": [{"name": "g", "versions": [{"version": "v1"}, {"version": "v2"}],
            "preferredVersion": {"version": "v2"}}]}))
        .expect("readable");
        let paths: Vec<String> = documents(&CoreVersions { versions: vec!["v1".into()] }, &list).into_iter().map(|(_, _, p)| p).collect();
        assert_eq!(paths, ["/api/v1", "/apis/g/v2", "/apis/g/v1"]);
        let resources: ResourceList =
            serde_json::from_value(json!({"resources": [{"name": "as", "kind": "A", "namespaced": true, "verbs": ["list"]},
            {"name": "as/status", "kind": "A", "verbs": ["get"]}]}))
            .expect("readable");
        let mut kinds = BTreeMap::new();
        add_plain(&mut kinds, ("g", "v2", 0), resources);
        assert_eq!(kinds.len(), 1);
        assert!(kinds[&GroupKind::new("g", "A")].namespaced);
    }
}
