//! A cluster as far as Velero's selection looks at it: kinds, namespaces, labels, and which objects lead to which. pure

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{BTreeMap, HashMap, HashSet},
};

use serde::Deserialize;
use serde_json::Value;

use super::Moment;
use crate::{
    object::{BodyError, GroupKind, Object, ObjectId, Text},
    velero::{Names, selector::Labels},
    witness::{Archive, KindState, Listing, Live},
};

/// Labels that a restore leaves behind and that are taken off every object when it is read.
pub(super) const UNSEEN_LABELS: [&str; 2] = ["velero.io/backup-name", "velero.io/restore-name"];

/// Bytes that labels and links of a captured view may take in any case, and more for each object. What is usual is below one kilobyte an object.
const FREE: usize = 64 << 20;
const AN_OBJECT: usize = 4 << 10;

/// What a text or a pair of texts takes besides its bytes.
const OVERHEAD: usize = 64;

/// One live object.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub id: &'a ObjectId,
    pub object: &'a Object,
    /// Index among the kinds.
    pub kind: usize,
    /// Index among the namespaces; `None` for cluster-scoped objects and those of a namespace that is not there.
    pub namespace: Option<usize>,
    pub links: Links,
    /// Read out of the body when they are first asked for: most backups select by none.
    labels: OnceCell<Labels<'static>>,
}

impl Item<'_> {
    /// Its labels.
    pub fn labels(&self) -> &Labels<'static> {
        self.labels.get_or_init(|| labels_in(self.object))
    }
}

fn labels_in(object: &Object) -> Labels<'static> {
    let json = object.content.json();
    let labels = serde_json::from_str::<Labelled<'_>>(&json).unwrap_or_default().metadata.labels.unwrap_or_default();
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    labels.into_iter().map(|(k, v)| (own(k), own(v.unwrap_or_default()))).collect()
}

/// What an object leads to.
#[derive(Debug, Default)]
pub(super) enum Links {
    #[default]
    None,
    Pod {
        claims: Vec<String>,
        class: Option<String>,
        running: bool,
        /// Its body was not read, so what it leads to is not known.
        unread: bool,
    },
    Claim {
        volume: Option<String>,
        bound: bool,
    },
    Binding {
        role: String,
        accounts: Vec<(String, String)>,
    },
}

impl Links {
    /// Bytes that they take in memory.
    fn size(&self) -> usize {
        let text = |t: &String| t.len() + OVERHEAD;
        let own = |t: &Option<String>| t.as_ref().map_or(0, text);
        match self {
            Self::None => 0,
            // A claim and an account stand in an index too.
            Self::Pod { claims, class, .. } => 2 * claims.iter().map(text).sum::<usize>() + own(class),
            Self::Claim { volume, .. } => own(volume),
            Self::Binding { role, accounts } => text(role) + 2 * accounts.iter().map(|(namespace, name)| text(namespace) + text(name)).sum::<usize>(),
        }
    }
}

/// One kind.
#[derive(Debug)]
pub(super) struct Kind<'a> {
    pub gk: &'a GroupKind,
    pub state: &'a KindState,
    pub resource: Text,
    pub storable: bool,
    /// Whether all its objects are in the view.
    pub complete: bool,
    pub items: Vec<usize>,
}

/// One namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    pub name: Text,
    pub item: usize,
    pub active: bool,
}

/// The view.
#[derive(Debug)]
pub struct View<'a> {
    pub(super) live: &'a Live,
    pub(super) names: Names,
    pub(super) velero: Text,
    pub(super) kinds: Vec<Kind<'a>>,
    pub(super) items: Vec<Item<'a>>,
    /// Sorted by name.
    pub(super) namespaces: Vec<Namespace>,
    pub(super) namespace_names: Vec<Text>,
    /// Namespaces that are labelled to be left out.
    pub(super) labelled: Vec<Text>,
    index: HashMap<&'a ObjectId, usize>,
    by_resource: HashMap<Text, usize>,
    pub(super) pods_by_claim: HashMap<(&'a str, String), Vec<usize>>,
    pub(super) bindings: HashMap<(String, String), Vec<usize>>,
    captured: Option<Captured>,
}

/// What a view of an archive knows besides.
#[derive(Debug)]
struct Captured {
    moment: Moment,
    /// Namespaces that there were, as far as anybody knows; sorted.
    namespaces: Vec<Text>,
    /// Whether labels are asked for.
    labels: bool,
    /// Bytes of labels and links so far, and how many there may be.
    bytes: usize,
    most: usize,
}

impl Captured {
    fn is_full(&self) -> bool {
        self.bytes > self.most
    }
}

#[derive(Default, Deserialize)]
struct Labelled<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    labels: Option<BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>>,
}

impl<'a> View<'a> {
    /// Of what a cluster runs. `velero` is the namespace that Velero watches.
    pub fn of(live: &'a Live, velero: &str) -> Self {
        let mut view = Self::empty(live, velero, live.objects.len());
        let of_kind = |gk: &GroupKind| live.objects.of_kind(gk).map(|o| &**o).collect::<Vec<_>>();
        view.add_namespaces(of_kind(&GroupKind::new("", "Namespace")));
        for (gk, state) in &live.kinds {
            view.add_kind(gk, state, of_kind(gk), Cow::Borrowed);
        }
        view
    }

    /// Of what a backup captured, as if that were a cluster: what it took must follow from what it holds. Kinds that `live` does not serve are
    /// left out. Bodies that lie on a shelf are read where they matter: those of objects that lead to others, and with `labels` all.
    ///
    /// # Errors
    /// When a body cannot be read, or labels and links take more memory than those of any cluster do.
    pub fn of_archive(archive: &'a Archive, moment: Moment, live: &'a Live, velero: &str, labels: bool) -> Result<Self, BodyError> {
        Self::captured(archive, moment, live, velero, labels, FREE + AN_OBJECT * archive.objects.len())
    }

    /// The same with labels and links of so many bytes at most.
    pub(super) fn captured(archive: &'a Archive, moment: Moment, live: &'a Live, velero: &str, labels: bool, most: usize) -> Result<Self, BodyError> {
        let mut view = Self::empty(live, velero, archive.objects.len());
        let mut own: HashMap<&GroupKind, Vec<&'a Object>> = HashMap::new();
        archive.objects.iter().for_each(|(id, o)| own.entry(&id.gk).or_default().push(o));
        let there = live.objects.keys().filter(|id| id.gk.is("", "Namespace")).map(|id| &id.name);
        let mut namespaces: Vec<Text> = there.chain(archive.objects.keys().filter_map(|id| id.namespace.as_ref())).cloned().collect();
        namespaces.sort();
        namespaces.dedup();
        view.captured = Some(Captured { moment, namespaces, labels, bytes: 0, most });
        view.add_namespaces(own.get(&GroupKind::new("", "Namespace")).cloned().unwrap_or_default());
        let mut failed = None;
        for (gk, state) in &live.kinds {
            let matters = labels || LEADING.iter().any(|(group, kind)| gk.is(group, kind));
            view.add_kind(gk, state, own.remove(gk).unwrap_or_default(), |object| match object.whole() {
                Ok(whole) if matters => whole,
                Err(e) if matters => {
                    failed = Some(e);
                    Cow::Borrowed(object)
                }
                _ => Cow::Borrowed(object),
            });
        }
        if view.is_full() {
            failed.get_or_insert(BodyError("labels and references of its objects are larger than those of any cluster".to_owned()));
        }
        failed.map_or(Ok(view), Err)
    }

    /// Whether it is of what a backup captured.
    pub(super) fn is_captured(&self) -> bool {
        self.captured.is_some()
    }

    /// Whether no more is taken in, because it would take too much memory.
    fn is_full(&self) -> bool {
        self.captured.as_ref().is_some_and(Captured::is_full)
    }

    fn empty(live: &'a Live, velero: &str, objects: usize) -> Self {
        Self {
            live,
            names: Names::of(&live.kinds),
            velero: velero.into(),
            kinds: Vec::with_capacity(live.kinds.len()),
            items: Vec::with_capacity(objects),
            namespaces: Vec::new(),
            namespace_names: Vec::new(),
            labelled: Vec::new(),
            index: HashMap::with_capacity(objects),
            by_resource: HashMap::new(),
            pods_by_claim: HashMap::new(),
            bindings: HashMap::new(),
            captured: None,
        }
    }

    fn add_namespaces(&mut self, mut found: Vec<&'a Object>) {
        found.sort_by(|a, b| a.id.name.cmp(&b.id.name));
        for object in found {
            let phase = object.meta.phase.as_deref();
            // A dump may have lost its status.
            let active = phase.map_or(!object.meta.deleting, |p| p == "Active");
            self.namespace_names.push(object.id.name.clone());
            self.namespaces.push(Namespace { name: object.id.name.clone(), item: usize::MAX, active });
        }
    }

    fn add_kind(&mut self, gk: &'a GroupKind, state: &'a KindState, mut own: Vec<&'a Object>, mut body: impl FnMut(&'a Object) -> Cow<'a, Object>) {
        let at = self.kinds.len();
        let name = self.names.of_kind(gk);
        let resource = name.map_or_else(|| state.plural.clone(), |n| n.resource.clone());
        let storable = name.is_none_or(|n| n.storable);
        let complete = self.is_captured() || state.listing == Listing::Complete;
        self.by_resource.insert(resource.clone(), at);
        own.sort_by(|a, b| a.id.cmp(&b.id));
        let first = self.items.len();
        for object in own {
            if self.is_full() {
                break;
            }
            self.add_item(at, object, &body(object));
        }
        self.kinds.push(Kind { gk, state, resource, storable, complete, items: (first..self.items.len()).collect() });
    }

    fn add_item(&mut self, kind: usize, object: &'a Object, whole: &Object) {
        let at = self.items.len();
        let id = &object.id;
        let links = links(whole, self.is_captured());
        // Of a body that lies on a shelf they are read while it is at hand.
        let mut labels = OnceCell::new();
        if let Some(captured) = &mut self.captured {
            captured.bytes += links.size();
            if captured.labels {
                let own = labels_in(whole);
                captured.bytes += own.iter().map(|(k, v)| k.len() + v.len() + OVERHEAD).sum::<usize>();
                labels = OnceCell::from(own);
            }
        }
        let namespace = id.namespace.as_ref().and_then(|n| self.namespace_names.binary_search(n).ok());
        match &links {
            Links::Pod { claims, running: true, .. } => {
                let own = id.namespace.as_deref().unwrap_or_default();
                for claim in claims {
                    self.pods_by_claim.entry((own, claim.clone())).or_default().push(at);
                }
            }
            Links::Binding { accounts, .. } => {
                let distinct: HashSet<&(String, String)> = accounts.iter().collect();
                for account in distinct {
                    self.bindings.entry(account.clone()).or_default().push(at);
                }
            }
            _ => {}
        }
        if id.gk.is("", "Namespace")
            && let Ok(n) = self.namespace_names.binary_search(&id.name)
        {
            self.namespaces[n].item = at;
            if object.meta.held_back {
                self.labelled.push(id.name.clone());
            }
        }
        self.index.insert(id, at);
        self.items.push(Item { id, object, kind, namespace, links, labels });
    }

    /// Every live object.
    pub fn ids(&self) -> impl Iterator<Item = &'a ObjectId> {
        self.items.iter().map(|i| i.id)
    }

    /// The object that a [`super::Decision::Beside`] names.
    pub(in crate::velero) fn object_at(&self, n: usize) -> (&'a ObjectId, &'a Object) {
        (self.items[n].id, self.items[n].object)
    }

    /// Plural and group of an object's kind, as Velero writes them.
    pub(in crate::velero) fn resource_of(&self, id: &ObjectId) -> Option<&str> {
        self.names.of_kind(&id.gk).map(|n| &*n.resource)
    }

    /// What kinds are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The kind of a resource, as `plural.group`.
    pub(super) fn kind_of(&self, resource: &str) -> Option<usize> {
        self.by_resource.get(resource).copied()
    }

    /// An object by identity.
    pub(super) fn find(&self, id: &ObjectId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// An object by kind and name.
    pub(super) fn find_named(&self, group: &str, kind: &str, namespace: Option<&str>, name: &str) -> Option<usize> {
        self.find(&ObjectId::new(group, kind, namespace, name))
    }

    /// Whether all objects of a kind are in the view.
    pub(super) fn complete(&self, resource: &str) -> bool {
        self.kind_of(resource).is_some_and(|k| self.kinds[k].complete)
    }

    /// The ConfigMap of a resource policy, if it was at a moment what it is.
    pub(super) fn policy(&self, name: &str, moment: Option<&Moment>) -> Option<Cow<'_, Object>> {
        let id = ObjectId::new("", "ConfigMap", Some(&self.velero), name);
        if let Some(n) = self.find(&id) {
            let object = self.items[n].object;
            return moment.is_none_or(|m| m.held(object)).then(|| object.whole().ok()).flatten();
        }
        let captured = self.captured.as_ref()?;
        let object = self.live.objects.get(&id)?;
        captured.moment.held(object).then_some(Cow::Borrowed(&**object))
    }

    /// Names of all namespaces, if all are in the view.
    pub(super) fn all_namespaces(&self) -> Option<&[Text]> {
        match &self.captured {
            Some(captured) => Some(&captured.namespaces),
            None => (self.live.namespaces.is_none() && self.complete("namespaces")).then_some(&*self.namespace_names),
        }
    }
}

/// Kinds whose bodies say what their objects lead to.
const LEADING: [(&str, &str); 3] = [("", "Pod"), ("", "PersistentVolumeClaim"), ("rbac.authorization.k8s.io", "ClusterRoleBinding")];

/// What an object leads to. Of what was `captured` in a backup, which Pods ran and which claims were bound was decided before their status was.
fn links(object: &Object, captured: bool) -> Links {
    let gk = &object.id.gk;
    let text = |v: &Value, pointer: &str| v.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    if gk.is("", "Pod") {
        let value = object.content.value();
        let spec = value.get("spec");
        let volumes = value.pointer("/spec/volumes").and_then(Value::as_array);
        let claims = volumes.into_iter().flatten().filter_map(|v| text(v, "/persistentVolumeClaim/claimName")).collect();
        // `kube.IsPodRunning`: scheduled, running, not being deleted.
        let running = text(&value, "/spec/nodeName").is_some() && object.meta.phase.as_deref() == Some("Running") && !object.meta.deleting;
        let running = running || captured;
        return Links::Pod { claims, class: text(&value, "/spec/priorityClassName"), running, unread: spec.is_none() };
    }
    if gk.is("", "PersistentVolumeClaim") {
        let bound = captured || object.meta.phase.as_deref() == Some("Bound");
        return Links::Claim { volume: text(&object.content.value(), "/spec/volumeName"), bound };
    }
    if gk.is("rbac.authorization.k8s.io", "ClusterRoleBinding") {
        let value = object.content.value();
        let subjects = value.get("subjects").and_then(Value::as_array);
        let account = |s: &Value| {
            (s.get("kind").and_then(Value::as_str) == Some("ServiceAccount")).then(|| {
                let member = |key: &str| s.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                (member("namespace"), member("name"))
            })
        };
        let accounts = subjects.into_iter().flatten().filter_map(account).collect();
        return Links::Binding { role: text(&value, "/roleRef/name").unwrap_or_default(), accounts };
    }
    Links::None
}
