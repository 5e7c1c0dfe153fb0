//! What the backups say of one object: the newest usable one whose scope covers it speaks. pure
//!
//! Content decides over prediction: a copy in the archive is there whatever the filters say, and where the filters cannot be decided
//! and the archive holds no copy, both answers stay open until a verdict needs one of them.

use std::{cell::RefCell, collections::HashSet, rc::Rc, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    recovery::{Candidate, Held, Options},
    sides::staleness,
    words,
};
use crate::{
    object::{Object, ObjectId, Text},
    report::model::Presence,
    velero::{
        Coverage, Scope, Subject,
        scope::Why,
        select::{Plan, View},
    },
    witness::{Archive, BackedUp, Backup, BackupState, Failure, MissingObject, Schedule},
};

/// Labels of an object, as Velero's selectors see them; `None` if they are not known.
pub(super) type Labels = Option<Arc<Map<String, Value>>>;

/// One answer that the backups may give.
#[derive(Clone, Debug)]
pub(super) enum Copy<'a> {
    /// This backup speaks and holds it.
    Held(&'a Backup, &'a Object),
    /// This backup speaks and does not hold it.
    Missing(&'a Backup),
    /// No usable backup covers it, but a schedule or an unfinished or failed backup was to. The text says which.
    Wanted(Rc<str>),
    /// No usable backup covers it, and none was to.
    Outside,
    /// It cannot be said.
    Unread(Option<&'a Backup>, Rc<Failure>),
}

/// What the backups say of one object: usually one answer, several where a scope cannot be decided.
#[derive(Clone, Debug)]
pub(super) struct Copies<'a> {
    pub answers: Vec<Copy<'a>>,
    /// Why there are several.
    pub undecided: Option<Rc<str>>,
}

impl<'a> Copies<'a> {
    pub(super) fn presence(&self) -> Presence {
        let of = |c: &Copy<'_>| match c {
            Copy::Held(..) => Presence::Present,
            Copy::Missing(_) | Copy::Wanted(_) | Copy::Outside => Presence::Absent,
            Copy::Unread(..) => Presence::Unknown,
        };
        let mut all = self.answers.iter().map(of);
        let first = all.next().unwrap_or(Presence::Absent);
        if all.all(|p| p == first) { first } else { Presence::Unknown }
    }

    /// The copy, if it is known which one speaks.
    pub(super) fn held(&self) -> Option<(&'a Backup, &'a Object)> {
        match self.answers[..] {
            [Copy::Held(backup, object)] => Some((backup, object)),
            _ => None,
        }
    }

    /// Any copy at all, also one that may not be the one that speaks.
    pub(super) fn any(&self) -> Option<&'a Object> {
        self.answers.iter().find_map(|c| if let Copy::Held(_, object) = c { Some(*object) } else { None })
    }

    /// The backup that speaks, if it is known which one does.
    pub(super) fn speaker(&self) -> Option<&'a Backup> {
        match self.answers[..] {
            [Copy::Held(b, _) | Copy::Missing(b) | Copy::Unread(Some(b), _)] => Some(b),
            _ => None,
        }
    }

    /// Why the side is unknown, if it is.
    pub(super) fn failure(&self) -> Option<Failure> {
        let unread = self.answers.iter().find_map(|c| if let Copy::Unread(_, f) = c { Some((**f).clone()) } else { None });
        unread.or_else(|| self.undecided.as_ref().map(|why| Failure::new("scope_unknown", &**why)))
    }

    /// The answers as the recovery table takes them. `same_as_git` and `same_as_live` are the comparisons, where they were made.
    pub(super) fn candidates(&self, same_as_git: Option<bool>, same_as_live: Option<bool>) -> impl Iterator<Item = Candidate> + Clone {
        let known = move |same: Option<bool>| match same {
            Some(true) => Options::one(Held::Same),
            Some(false) => Options::one(Held::Differs),
            None => Options::PRESENT,
        };
        let only = self.answers.len() == 1;
        let of = move |c: &Copy<'_>| match c {
            Copy::Held(..) if only => Candidate { against_git: known(same_as_git), against_live: known(same_as_live) },
            Copy::Held(..) => Candidate::plain(Options::PRESENT),
            Copy::Missing(_) | Copy::Wanted(_) => Candidate::plain(Options::one(Held::Absent)),
            Copy::Outside => Candidate::plain(Options::one(Held::Outside)),
            Copy::Unread(..) => Candidate::plain(Options::ANY),
        };
        self.answers.iter().map(of)
    }
}

struct Usable<'a> {
    backup: &'a Backup,
    /// Name and start, as sentences say them.
    label: String,
    content: Result<&'a Archive, Rc<Failure>>,
    scope: usize,
    /// Entries of the archive that could not be read, as `plural.group|namespace|name`.
    damaged: HashSet<String>,
    /// Objects that it failed on and does not hold, as `plural.group|namespace|name`.
    missed: HashSet<String>,
}

impl Usable<'_> {
    fn is_damaged(&self, plural_group: &str, id: &ObjectId) -> bool {
        !self.damaged.is_empty() && self.damaged.contains(&key(plural_group, id))
    }
}

fn entry_unreadable(backup: &Backup) -> Failure {
    Failure::new("entry_unreadable", format!("backup {} has an entry for it that cannot be read", backup.name))
}

/// Answers for the backups.
pub(super) struct BackupSide<'a> {
    usable: Vec<Usable<'a>>,
    scopes: Vec<&'a Scope>,
    /// Each scope played through over the cluster.
    plans: Vec<Plan<'a, 'a>>,
    /// What was to be backed up besides: scope and for whom.
    design: Vec<(usize, Rc<str>)>,
    schedules: Vec<(usize, &'a Schedule)>,
    trouble: Option<Rc<Failure>>,
    readable: bool,
    view: &'a View<'a>,
}

/// An object as backups are asked about it.
pub(super) struct Asked<'s> {
    pub id: &'s ObjectId,
    pub plural_group: &'s str,
    /// The scope of its kind, if anybody knows.
    pub namespaced: Option<bool>,
    pub labels: &'s dyn Fn() -> Labels,
    /// When the live object was made.
    pub created: Option<Timestamp>,
}

/// Reasons of filters that depend on what is not known: what such a backup takes, its archive tells.
const ARCHIVE_TELLS: [&str; 5] = ["related_only", "namespace_content", "resource_policy", "pods_unread", "kinds_unread"];

/// Decides each distinct scope once for one object.
struct Decider<'s, 'a> {
    side: &'s BackupSide<'a>,
    asked: &'s Asked<'s>,
    decided: RefCell<Vec<Option<Coverage>>>,
}

impl Decider<'_, '_> {
    fn covers(&self, scope: usize) -> Coverage {
        if let Some(known) = &self.decided.borrow()[scope] {
            return known.clone();
        }
        let answer = self.side.ask(scope, self.asked);
        self.decided.borrow_mut()[scope] = Some(answer.clone());
        answer
    }
}

impl<'a> BackupSide<'a> {
    pub(super) fn of(backed_up: &'a BackedUp, view: &'a View<'a>, now: Timestamp, stale_after: Duration) -> Self {
        let trouble = match (backed_up.as_of, &backed_up.failure) {
            (None, Some(failure)) => Some(failure.clone()),
            (None, None) => Some(Failure::new("velero_unread", "Velero's objects were not read yet")),
            (Some(at), failure) => staleness("velero_stale", "Velero", at, failure.as_ref(), now, stale_after),
        };
        let mut scopes: Vec<&Scope> = Vec::new();
        let mut scope = |s: &'a Scope| {
            scopes.iter().position(|known| *known == s).unwrap_or_else(|| {
                scopes.push(s);
                scopes.len() - 1
            })
        };
        let mut sorted: Vec<&Backup> = backed_up.backups.iter().filter(|b| b.counts()).collect();
        // Newest start first; a backup that does not say when it began cannot be newer than one that does.
        sorted.sort_by(|a, b| (b.start, &b.name).cmp(&(a.start, &a.name)));
        let label = |b: &Backup| format!("{}{}", b.name, b.start.map(|s| format!(" ({})", words::clock(s, now))).unwrap_or_default());
        let usable = sorted.into_iter().map(|backup| Usable {
            backup,
            label: label(backup),
            content: backup.content.archive().map(|a| &**a).map_err(|f| Rc::new(f.clone())),
            scope: scope(&backup.scope),
            damaged: backup.content.archive().map_or_else(|_| HashSet::new(), |a| a.unreadable.iter().filter_map(damaged).collect()),
            missed: backup.missing.iter().filter(|m| m.held == Some(false)).filter_map(missed).collect(),
        });
        let usable: Vec<Usable<'_>> = usable.collect();
        let mut design: Vec<(usize, Rc<str>)> = Vec::new();
        let mut sorted_schedules: Vec<&Schedule> = backed_up.schedules.iter().collect();
        sorted_schedules.sort_by(|a, b| a.name.cmp(&b.name));
        let schedules: Vec<(usize, &Schedule)> = sorted_schedules.into_iter().map(|s| (scope(&s.scope), s)).collect();
        design.extend(schedules.iter().map(|(n, s)| (*n, format!("schedule {}", s.name).into())));
        // Expired backups were let go, foreign ones were never this cluster's.
        let failed = |b: &&Backup| matches!(b.state, BackupState::Pending | BackupState::Invalid | BackupState::Stuck | BackupState::Unavailable);
        let mut failed: Vec<&Backup> = backed_up.backups.iter().filter(failed).filter(|b| !b.counts()).collect();
        failed.sort_by(|a, b| (b.start, &b.name).cmp(&(a.start, &a.name)));
        design.extend(failed.into_iter().map(|b| (scope(&b.scope), format!("backup {} ({})", b.name, b.state.name()).into())));
        let plans = scopes.iter().map(|s| Plan::of(s, view)).collect();
        Self { usable, scopes, plans, design, schedules, readable: trouble.is_none(), trouble: trouble.map(Rc::new), view }
    }

    /// Name and start of a usable backup, as sentences say them.
    pub(super) fn label<'s>(&'s self, backup: &'s Backup) -> &'s str {
        self.usable.iter().find(|u| std::ptr::eq(u.backup, backup)).map_or(&*backup.name, |u| &u.label)
    }

    /// A scope that counts played through over the cluster.
    pub(super) fn plan_of(&self, scope: &Scope) -> Option<&Plan<'a, 'a>> {
        self.scopes.iter().position(|s| **s == *scope).map(|n| &self.plans[n])
    }

    /// Every schedule, by name, with its template played through over the cluster.
    pub(super) fn schedule_plans(&self) -> impl Iterator<Item = (&'a Schedule, &Plan<'a, 'a>)> {
        self.schedules.iter().map(|(scope, schedule)| (*schedule, &self.plans[*scope]))
    }

    /// Why nothing can be said of backups, if so.
    pub(super) fn trouble(&self) -> Option<&Failure> {
        self.trouble.as_deref()
    }

    /// Whether it is known that no usable backup exists at all.
    pub(super) fn none(&self) -> bool {
        self.readable && self.usable.is_empty()
    }

    /// Identities in archives that may speak: of several archives with the same scope only the newest.
    pub(super) fn identities(&self) -> impl Iterator<Item = &'a ObjectId> {
        let mut seen = HashSet::new();
        let archives = self.usable.iter().filter_map(move |u| u.content.as_ref().ok().filter(|_| seen.insert(u.scope)));
        archives.flat_map(|a| a.objects.keys())
    }

    /// Whether an archive that may speak holds this identity.
    pub(super) fn holds(&self, id: &ObjectId) -> bool {
        self.usable.iter().any(|u| u.content.as_ref().is_ok_and(|a| a.objects.contains_key(id)))
    }

    /// Why it cannot be said what a usable backup holds of an object although its archive was read, if so.
    pub(super) fn unreadable(&self, backup: &Backup, plural_group: &str, id: &ObjectId) -> Option<Failure> {
        let usable = self.usable.iter().find(|u| std::ptr::eq(u.backup, backup))?;
        usable.is_damaged(plural_group, id).then(|| entry_unreadable(backup))
    }

    /// What the backups say of an object.
    pub(super) fn of_object(&self, asked: &Asked<'_>) -> Copies<'a> {
        let Asked { id, plural_group, created, .. } = asked;
        if let Some(failure) = &self.trouble {
            return Copies { answers: vec![Copy::Unread(None, failure.clone())], undecided: None };
        }
        let decided = RefCell::new(vec![None; self.scopes.len()]);
        let decider = Decider { side: self, asked, decided };
        let mut out = Copies { answers: Vec::with_capacity(1), undecided: None };
        let mut failed_on = None;
        for usable in &self.usable {
            // An entry that cannot be read is the last one of its path, so it would be restored, whatever an earlier one held.
            let unreadable = usable.is_damaged(plural_group, id);
            if let Some(object) = usable.content.as_ref().ok().and_then(|a| a.objects.get(id)).filter(|_| !unreadable) {
                out.answers.push(Copy::Held(usable.backup, object));
                return out;
            }
            let unless = |answer: Copy<'a>| match &usable.content {
                Ok(_) if unreadable => Copy::Unread(Some(usable.backup), Rc::new(entry_unreadable(usable.backup))),
                Ok(_) => answer,
                Err(failure) => Copy::Unread(Some(usable.backup), failure.clone()),
            };
            // It failed on this very object, so what an older one holds is what a restore could bring back.
            if usable.content.is_ok() && !usable.missed.is_empty() && usable.missed.contains(&key(plural_group, id)) {
                failed_on.get_or_insert(usable.backup);
                continue;
            }
            match decider.covers(usable.scope) {
                Coverage::In => {
                    out.answers.push(unless(Copy::Missing(usable.backup)));
                    return out;
                }
                Coverage::Out(_) => {}
                // It was there when the backup began, and the backup took everything that it was to take, and did not take it.
                Coverage::Unknown(why) if ARCHIVE_TELLS.contains(&why.reason) && passed_over(usable, *created) => {}
                Coverage::Unknown(why) => {
                    out.answers.push(unless(Copy::Missing(usable.backup)));
                    out.undecided.get_or_insert_with(|| {
                        format!("whether backup {} was to hold it cannot be said: {}", usable.backup.name, why.message).into()
                    });
                }
            }
        }
        if let Some(backup) = failed_on {
            out.answers.push(Copy::Missing(backup));
            return out;
        }
        let mut open = None;
        for (scope, whose) in &self.design {
            match decider.covers(*scope) {
                Coverage::In => {
                    out.answers.push(Copy::Wanted(whose.clone()));
                    return out;
                }
                Coverage::Out(_) => {}
                Coverage::Unknown(why) => drop(open.get_or_insert((whose, why))),
            }
        }
        out.answers.push(Copy::Outside);
        if let Some((whose, why)) = open {
            out.answers.push(Copy::Wanted(whose.clone()));
            out.undecided.get_or_insert_with(|| format!("whether {whose} is to hold it cannot be said: {}", why.message).into());
        }
        out
    }

    /// When the next scheduled backup that covers an object is due.
    pub(super) fn next_due(&self, asked: &Asked<'_>) -> Option<Timestamp> {
        let decided = RefCell::new(vec![None; self.scopes.len()]);
        let decider = Decider { side: self, asked, decided };
        let running = self.schedules.iter().filter(|(_, s)| !s.paused && s.problem.is_none());
        running.filter(|(scope, _)| decider.covers(*scope) == Coverage::In).filter_map(|(_, s)| s.next_due).min()
    }

    /// Every backup's answer for one object, newest start first, unusable ones included; for `explain`.
    pub(super) fn coverage(&self, backup: &Backup, asked: &Asked<'_>) -> Coverage {
        match self.scopes.iter().position(|s| **s == *backup.scope) {
            Some(scope) => self.ask(scope, asked),
            None => self.ask_filters(&backup.scope, asked),
        }
    }

    /// What is live is decided with all that is around it; what is not, by the filters alone.
    fn ask(&self, scope: usize, asked: &Asked<'_>) -> Coverage {
        self.plans[scope].coverage_of(asked.id).unwrap_or_else(|| self.ask_filters(self.scopes[scope], asked))
    }

    fn ask_filters(&self, scope: &Scope, asked: &Asked<'_>) -> Coverage {
        let Asked { id, plural_group, namespaced, .. } = *asked;
        let labels = (asked.labels)();
        let names = self.view.names();
        let complete = names.of_kind(&id.gk).is_some_and(|n| n.complete);
        // Whether it is being deleted now says nothing about what a backup was asked to hold.
        let subject = |namespaced| Subject { id, resource: plural_group, namespaced, complete, labels: labels.as_deref(), terminating: false };
        let ask = |namespaced| scope.covers(&subject(namespaced), names);
        match namespaced {
            Some(namespaced) => ask(namespaced),
            None => match (ask(true), ask(false)) {
                (a, b) if std::mem::discriminant(&a) == std::mem::discriminant(&b) => a,
                _ => Coverage::Unknown(Why { reason: "scope_unknown", message: format!("nobody says whether {} is namespaced", id.gk) }),
            },
        }
    }
}

/// Whether a backup without errors was read completely, began when the object existed, and does not hold it.
fn passed_over(usable: &Usable<'_>, created: Option<Timestamp>) -> bool {
    let existed = created.zip(usable.backup.start).is_some_and(|(created, start)| created < start);
    existed && usable.backup.state == BackupState::Restorable && usable.content.is_ok() && usable.damaged.is_empty()
}

fn key(plural_group: &str, id: &ObjectId) -> String {
    format!("{plural_group}|{}|{}", id.namespace.as_deref().unwrap_or_default(), id.name)
}

fn missed(object: &MissingObject) -> Option<String> {
    Some(format!("{}|{}|{}", object.resource.as_ref()?, object.namespace.as_deref().unwrap_or_default(), object.name))
}

/// The object that an entry of an archive is for, by its path: `resources/<plural.group>/[<version>/]namespaces/<ns>/<name>.json` or
/// `.../cluster/<name>.json` (Velero, output-file-format.md).
fn damaged(file: &Text) -> Option<String> {
    let mut steps = file.strip_suffix(".json")?.rsplit('/');
    let (name, above) = (steps.next()?, steps.next()?);
    let resource = |steps: &mut std::str::RSplit<'_, char>| -> Option<String> {
        let all: Vec<&str> = steps.collect();
        let at = all.iter().position(|s| *s == "resources")?;
        all.get(at.checked_sub(1)?).map(|s| (*s).to_owned())
    };
    if above == "cluster" {
        return Some(format!("{}||{name}", resource(&mut steps)?));
    }
    (steps.next()? == "namespaces").then_some(())?;
    Some(format!("{}|{above}|{name}", resource(&mut steps)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        verdict::world::{Snapshot, World, scope_of, scope_unknown},
        witness::BackupContent,
    };

    fn says(world: &World, name: &str) -> String {
        let view = View::of(&world.live, "velero");
        let side = BackupSide::of(&world.backed_up, &view, world.now, Duration::from_secs(900));
        let id = ObjectId::new("apps", "Deployment", Some("shop"), name);
        let labels = || Some(Arc::default());
        let created = world.live.objects.get(&id).and_then(|o| o.meta.created);
        let copies = side.of_object(&Asked { id: &id, plural_group: "deployments.apps", namespaced: Some(true), labels: &labels, created });
        let of = |c: &Copy<'_>| match c {
            Copy::Held(b, _) => format!("held by {}", b.name),
            Copy::Missing(b) => format!("missing from {}", b.name),
            Copy::Wanted(whose) => format!("wanted by {whose}"),
            Copy::Outside => "outside".into(),
            Copy::Unread(b, f) => format!("{} ({})", f.reason, b.map_or("-", |b| &b.name)),
        };
        copies.answers.iter().map(of).collect::<Vec<_>>().join(" or ")
    }

    fn cart() -> Vec<serde_json::Value> {
        vec![World::deployment("cart", 2)]
    }

    #[test]
    fn the_newest_usable_backup_whose_scope_covers_it_speaks() {
        let old = || Snapshot::new("old", "01:00").holding(cart());
        let new = || Snapshot::new("new", "02:00");
        let elsewhere = || new().scope(scope_of(&["elsewhere"], &[]));
        let made = |clock: &str| {
            let mut v = World::deployment("cart", 2);
            v["metadata"]["creationTimestamp"] = format!("2026-03-02T{clock}:00Z").into();
            World::new().runs(vec![v])
        };
        let spoilt = |b: &mut Backup| {
            let BackupContent::Read(archive) = &mut b.content else { return };
            Arc::make_mut(archive).unreadable = ["resources/deployments.apps/namespaces/shop/cart.json".into()].into();
        };
        let rows = [
            (World::new().backup(old()).backup(new().holding(cart())), "held by new"),
            (World::new().backup(old()).backup(new()), "missing from new"),
            (World::new().backup(old()).backup(new().failed_on("deployments.apps", "shop", "cart")), "held by old"),
            (World::new().backup(new().failed_on("deployments.apps", "shop", "cart")), "missing from new"),
            (World::new().backup(old()).backup(new().failed_on("deployments.apps", "shop", "pay")), "missing from new"),
            (World::new().backup(old()).backup(elsewhere()), "held by old"),
            (World::new().backup(old()).backup(elsewhere().holding(cart())), "held by new"),
            (World::new().backup(old()).backup(new().unread()), "content_unread (new)"),
            (World::new().backup(old()).backup(new().broken()), "archive_truncated (new)"),
            (World::new().backup(old()).backup(new().broken().state(BackupState::Invalid)), "archive_truncated (new)"),
            (World::new().backup(old()).backup(new().unread().state(BackupState::Invalid)), "held by old"),
            (World::new().backup(old()).backup(new().state(BackupState::Expired)), "held by old"),
            (World::new().backup(old()).backup(new().scope(scope_unknown())), "missing from new or held by old"),
            (World::new().backup(new().scope(scope_unknown())), "missing from new or outside"),
            (World::new().backup(new().scope(scope_unknown()).holding(cart())), "held by new"),
            (made("00:30").backup(new().scope(scope_unknown())), "outside"),
            (made("02:30").backup(new().scope(scope_unknown())), "missing from new or outside"),
            (made("00:30").backup(new().scope(scope_unknown()).state(BackupState::Degraded)), "missing from new or outside"),
            (World::new().backup(elsewhere()), "outside"),
            (World::new(), "outside"),
            (World::new().backup(elsewhere()).schedule("nightly", None), "wanted by schedule nightly"),
            (World::new().backup(new().state(BackupState::Invalid)), "wanted by backup new (invalid)"),
            (World::new().backup(new().state(BackupState::Foreign)), "outside"),
            (World::new().backup(old()).backups_as_of(None), "velero_unread (-)"),
            (World::new().backup(new().damaged("resources/deployments.apps/namespaces/shop/cart.json")), "entry_unreadable (new)"),
            (World::new().backup(new().damaged("resources/deployments.apps/namespaces/shop/other.json")), "missing from new"),
            // The entry that cannot be read came after one that can.
            (World::new().backup(old()).backup(new().holding(cart()).with(spoilt)), "entry_unreadable (new)"),
        ];
        for (n, (world, want)) in rows.iter().enumerate() {
            assert_eq!(says(world, "cart"), *want, "row {n}");
        }
    }

    #[test]
    fn entries_of_an_archive_name_their_object() {
        for (file, want) in [
            ("resources/deployments.apps/namespaces/shop/cart.json", Some("deployments.apps|shop|cart")),
            ("resources/deployments.apps/v1-preferredversion/namespaces/shop/cart.json", Some("deployments.apps|shop|cart")),
            ("resources/namespaces/cluster/shop.json", Some("namespaces||shop")),
            ("metadata/version", None),
            ("cart.json", None),
        ] {
            assert_eq!(damaged(&file.into()).as_deref(), want, "{file}");
        }
    }
}
