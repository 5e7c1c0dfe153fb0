//! What the list of a restore says: which namespaces it made as a whole. pure
//!
//! A Restore object says what was asked for, so its list is taken at its word. Of a restore that only the bucket knows nobody says which filters and
//! which names it was given: its list is held against what the backup holds.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Outcome, Proven, mapped_back};
use crate::{
    object::{GroupKind, Gvk, Object, ObjectId, Text, renamed::today},
    verdict::{never, words},
    witness::{Archive, Restore, RestoreAction, RestoredItem},
};

/// What a new namespace gets by itself, so that a restore finds it there: kind and name; no name means any.
const SELF_MADE: [(&str, &str); 5] = [
    ("v1/ConfigMap", "kube-root-ca.crt"),
    ("v1/ConfigMap", "openshift-service-ca.crt"),
    ("v1/ServiceAccount", "default"),
    ("v1/Endpoints", ""),
    ("discovery.k8s.io/v1/EndpointSlice", ""),
];

fn self_made(item: &RestoredItem) -> bool {
    SELF_MADE.iter().any(|(kind, name)| *kind == &*item.kind && (name.is_empty() || *name == &*item.name))
}

/// The same of an object in a backup, of whatever version.
fn is_self_made(id: &ObjectId) -> bool {
    let kind = |listed: &str| identity(listed, None, "").is_some_and(|of| of.gk == id.gk);
    SELF_MADE.iter().any(|(listed, name)| kind(listed) && (name.is_empty() || *name == &*id.name))
}

/// The identity that a line of a list names, in another namespace: `apps/v1/Deployment`.
fn identity(kind: &str, namespace: Option<&str>, name: &str) -> Option<ObjectId> {
    let (version, kind) = kind.rsplit_once('/')?;
    let gvk = Gvk::parse(version, kind);
    Some(ObjectId::new(today(&gvk.gk.group, kind), kind, namespace, name))
}

#[derive(Default)]
struct Tally<'i> {
    created: Vec<&'i RestoredItem>,
    updated: u64,
    skipped: u64,
    failed: u64,
}

impl Tally<'_> {
    fn is_whole(&self) -> bool {
        !self.created.is_empty() && self.in_the_way() == 0
    }

    fn in_the_way(&self) -> u64 {
        self.updated + self.skipped + self.failed
    }
}

/// The objects of each namespace of an archive.
type Held<'a> = BTreeMap<&'a Text, Vec<&'a ObjectId>>;

/// Reads lists; what archives hold is sorted once.
#[derive(Default)]
pub(super) struct Lists<'a> {
    held: RefCell<BTreeMap<*const Archive, std::rc::Rc<Held<'a>>>>,
}

impl<'a> Lists<'a> {
    /// By namespace what a list says, less what does not count.
    fn tally<'i>(restore: &Restore, items: &'i [RestoredItem], archive: Option<&Archive>) -> BTreeMap<&'i Text, Tally<'i>> {
        let mut found: BTreeMap<&Text, Tally<'_>> = BTreeMap::new();
        for item in items.iter().filter(|i| !self_made(i)) {
            let Some(namespace) = &item.namespace else { continue };
            // What Velero never restores it passes over as skipped, whether it is there or not.
            if item.action == RestoreAction::Skipped && is_never(archive, item, &mapped_back(restore, namespace)) {
                continue;
            }
            let tally = found.entry(namespace).or_default();
            match item.action {
                RestoreAction::Created => tally.created.push(item),
                RestoreAction::Updated => tally.updated += 1,
                RestoreAction::Skipped => tally.skipped += 1,
                RestoreAction::Failed => tally.failed += 1,
            }
        }
        found
    }

    /// Of a restore of which it is known what it was asked for.
    pub fn made(&self, restore: &Restore, items: &[RestoredItem], archive: Option<&Archive>) -> Outcome {
        let found = Self::tally(restore, items, archive);
        proven(&found, |target, _| Some(Proven { source: mapped_back(restore, target), target: target.clone() }))
    }

    /// Of a restore that only the bucket knows: a namespace is proven if the list has all that the backup holds of it, or of one namespace that
    /// was given this name.
    pub fn held(&self, restore: &Restore, items: &[RestoredItem], archive: Option<&'a Archive>) -> Outcome {
        let Some(archive) = archive else {
            return Err("only the bucket knows of it, so what it was asked for is not known, nor what its backup holds".to_owned());
        };
        let known = self.held.borrow().get(&(archive as *const Archive)).cloned();
        let held = known.unwrap_or_else(|| {
            let sorted = std::rc::Rc::new(sorted(archive));
            self.held.borrow_mut().insert(archive, sorted.clone());
            sorted
        });
        let mut part = None;
        let outcome = proven(&Self::tally(restore, items, Some(archive)), |target, tally| {
            let made: HashSet<(GroupKind, Text)> =
                tally.created.iter().filter_map(|i| Some((identity(&i.kind, None, "")?.gk, i.name.clone()))).collect();
            let lacking = |id: &&&ObjectId| !made.contains(&(id.gk.clone(), id.name.clone())) && !is_never_of(archive, id);
            let lacks = |ids: &[&ObjectId]| ids.iter().filter(lacking).count();
            if let Some(own) = held.get(target) {
                let lacking = lacks(own);
                if lacking > 0 {
                    part = Some(format!("of the {} that its backup holds of {target} it made {}", own.len(), own.len() - lacking));
                }
                return (lacking == 0).then(|| Proven { source: target.clone(), target: target.clone() });
            }
            let fits: Vec<(&&Text, usize)> = held.iter().filter(|(_, ids)| lacks(ids) == 0).map(|(name, ids)| (name, ids.len())).collect();
            let most = fits.iter().map(|(_, n)| *n).max()?;
            let best: Vec<_> = fits.iter().filter(|(_, n)| *n == most).collect();
            match best[..] {
                [(source, _)] => Some(Proven { source: (**source).clone(), target: target.clone() }),
                _ => None,
            }
        });
        match (outcome, part) {
            (Err(_), Some(part)) => Err(format!("only the bucket knows of it, and {part}")),
            (outcome, _) => outcome,
        }
    }
}

/// What an archive holds of each namespace, less what a restore would not make.
fn sorted(archive: &Archive) -> Held<'_> {
    let mut held = Held::new();
    for (id, object) in archive.objects.iter() {
        let Some(namespace) = &id.namespace else { continue };
        if !never::by_kind(id) && !never::completed(object) && !is_self_made(id) {
            held.entry(namespace).or_default().push(id);
        }
    }
    held
}

fn is_never(archive: Option<&Archive>, item: &RestoredItem, source: &Text) -> bool {
    archive.zip(identity(&item.kind, Some(source), &item.name)).is_some_and(|(archive, id)| is_never_of(archive, &id))
}

/// Whether Velero passes over what a backup holds of an object. Bodies may lie on a disk, so only that of one that looks like it is asked.
fn is_never_of(archive: &Archive, id: &ObjectId) -> bool {
    let looks_like = |copy: &&Arc<Object>| match (&*id.gk.group, &*id.gk.kind) {
        ("", "Pod") => copy.meta.owners.iter().any(|o| o.gvk.gk.is("", "Node")),
        ("", "Secret") => id.name.contains("-token-"),
        _ => false,
    };
    let Some(copy) = archive.objects.get(id).filter(looks_like) else { return false };
    copy.whole().is_ok_and(|copy| never::made_by_kubernetes(id, &copy.content.value()))
}

/// The namespaces that a list made as a whole, as far as each is a namespace of the backup.
fn proven(found: &BTreeMap<&Text, Tally<'_>>, mut of: impl FnMut(&Text, &Tally<'_>) -> Option<Proven>) -> Outcome {
    let whole: Vec<(&&Text, &Tally<'_>)> = found.iter().filter(|(_, t)| t.is_whole()).collect();
    let proven: Vec<(Proven, u64)> = whole.iter().filter_map(|(n, t)| Some((of(n, t)?, t.created.len() as u64))).collect();
    if !proven.is_empty() {
        let created: u64 = proven.iter().map(|(_, n)| n).sum();
        let (way, unknown) = (found.len() - whole.len(), whole.len() - proven.len());
        let namespaces = |n: usize| words::count(n as u64, "namespace", "namespaces");
        let mut why = format!("it made {} that were not there", words::count(created, "object", "objects"));
        if way > 0 {
            why = format!("{why}; in {} it was in the way of what was there", namespaces(way));
        }
        if unknown > 0 {
            why = format!("{why}; {} that it made {} not as a whole in the backup", namespaces(unknown), if unknown == 1 { "is" } else { "are" });
        }
        return Ok((proven.into_iter().map(|(p, _)| p).collect(), why));
    }
    if let [(name, _), ..] = whole[..] {
        return Err(format!("what it made in namespace {name} is not what its backup holds of one"));
    }
    let sum = |of: fn(&Tally<'_>) -> u64| -> u64 { found.values().map(of).sum() };
    let (made, updated, skipped, failed) = (sum(|t| t.created.len() as u64), sum(|t| t.updated), sum(|t| t.skipped), sum(|t| t.failed));
    let ways = format!("{updated} patched, {skipped} skipped, {failed} left alone because they differ or failed");
    Err(match (made, updated + skipped + failed) {
        (0, 0) => "it restored no objects in namespaces".to_owned(),
        (0, _) => format!("everything was there already: {ways}"),
        (made, _) => format!("it made {} and was in the way of others: {ways}", words::count(made, "object", "objects")),
    })
}
