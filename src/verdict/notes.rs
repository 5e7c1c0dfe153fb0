//! What belongs to no single object: blind spots, objects that two apps declare, kinds nobody serves, clocks that disagree. pure

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{
    join::{Git, Join},
    sides::Gate,
    words,
};
use crate::{
    drift::LeafClass,
    object::{GroupKind, Gvk, ObjectId, Text, renamed},
    report::model::{BlindSpot, Drift, Note, ObjectReport, Presence},
    witness::{Commit, Listing},
};

/// How far clocks may differ before a person should know.
const SKEW: SignedDuration = SignedDuration::from_secs(120);

/// Names that one note spells out; the rest is counted.
const MOST_NAMES: usize = 5;

fn names(all: &[String]) -> String {
    let shown = all.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > MOST_NAMES { format!("{shown} and {} more", all.len() - MOST_NAMES) } else { shown }
}

/// Kinds and groups that could not be read.
pub(super) fn blind_spots(join: &Join<'_>, objects: &[ObjectReport]) -> Vec<BlindSpot> {
    let live = join.inputs.live;
    // A kind matters if something of it is known from Git or a backup, or was known from the cluster before.
    let asked: BTreeSet<&GroupKind> = objects.iter().map(|o| &o.id.gk).collect();
    let mut out = Vec::new();
    for (gk, kind) in &live.kinds {
        let (Listing::Skipped(failure) | Listing::Failed(failure)) = &kind.listing else { continue };
        let what = if gk.group.is_empty() { kind.plural.to_string() } else { format!("{}.{}", kind.plural, gk.group) };
        let matters = asked.contains(gk);
        out.push(BlindSpot { what: what.into(), reason: failure.reason.clone(), message: failure.message.clone(), matters });
    }
    for (group, failure) in &live.broken_groups {
        let matters = asked.iter().any(|gk| gk.group == *group && !live.kinds.contains_key(gk));
        out.push(BlindSpot { what: format!("*.{group}").into(), reason: failure.reason.clone(), message: failure.message.clone(), matters });
    }
    out.sort_by(|a, b| (&a.what, &a.reason).cmp(&(&b.what, &b.reason)));
    out
}

/// Everything else that a person should know.
pub(super) fn notes(join: &Join<'_>, objects: &[ObjectReport]) -> Vec<Note> {
    let mut out = Vec::new();
    shared(join, &mut out);
    not_served(join, objects, &mut out);
    unread_apps(join, &mut out);
    histories(join, objects, &mut out);
    clocks(join, &mut out);
    unknown_fields(objects, &mut out);
    schemas(join, &mut out);
    rules(join, &mut out);
    ending(join, objects, &mut out);
    unserved_versions(join, &mut out);
    nameless(join, &mut out);
    restored(join, &mut out);
    strangers(join, &mut out);
    entries(join, &mut out);
    confirmation(join, objects, &mut out);
    out.sort_by(|a, b| (&a.reason, &a.message).cmp(&(&b.reason, &b.message)));
    out
}

fn note(reason: &str, message: String) -> Note {
    Note { reason: reason.into(), message }
}

fn shared(join: &Join<'_>, out: &mut Vec<Note>) {
    for (id, apps) in &join.git.shared {
        let all: Vec<String> = apps.iter().map(ToString::to_string).collect();
        let message = format!("{id} is declared by the apps {}: the first one is judged; leave it to one of them", all.join(" and "));
        out.push(note("shared_object", message));
    }
    for (id, app) in &join.git.repeated {
        let message = format!("app {app} declares {id} more than once: the last one is judged, as it would win when applied");
        out.push(note("repeated_object", message));
    }
}

fn not_served(join: &Join<'_>, objects: &[ObjectReport], out: &mut Vec<Note>) {
    let mut kinds: BTreeMap<&GroupKind, Vec<&ObjectId>> = BTreeMap::new();
    for object in objects.iter().filter(|o| o.drift == Drift::Missing && o.sides.cluster == Presence::Absent) {
        if matches!(join.cluster.gate(&object.id.gk), Gate::NotServed) {
            kinds.entry(&object.id.gk).or_default().push(&object.id);
        }
    }
    for (gk, ids) in kinds {
        let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let message = format!("the cluster does not serve {gk}, which Git declares ({}): install its definition or take it out of Git", names(&all));
        out.push(note("kind_not_served", message));
    }
}

/// Deployers that put objects here and that no app of the configuration stands for.
fn unread_apps(join: &Join<'_>, out: &mut Vec<Note>) {
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for case in &join.cases {
        if let Git::Unknown(failure) = &case.git
            && &*failure.reason == "app_unread"
        {
            *found.entry(&failure.message).or_default() += 1;
        }
    }
    for (message, objects) in found {
        out.push(note("app_unread", format!("{}: {message}", words::count(objects, "object", "objects"))));
    }
}

/// Histories that ended early, where an open window has no start for it.
fn histories(join: &Join<'_>, objects: &[ObjectReport], out: &mut Vec<Note>) {
    for (name, state) in &join.inputs.declared.apps {
        let Some(why) = &state.history.note else { continue };
        let open = |o: &&ObjectReport| o.app.as_ref() == Some(name) && o.window.as_ref().is_some_and(|w| w.start.is_none());
        let dateless = objects.iter().filter(open).count() as u64;
        if dateless > 0 {
            let windows = words::count(dateless, "open window has", "open windows have");
            out.push(note("history_short", format!("app {name}: {windows} no start, because history was not searched further: {why}")));
        }
    }
}

/// Fields that the server drops. Whoever wrote them believes that they are in force.
fn unknown_fields(objects: &[ObjectReport], out: &mut Vec<Note>) {
    let mut found: Vec<String> = Vec::new();
    for object in objects {
        for field in object.fields.iter().filter(|f| f.class == Some(LeafClass::UnknownField)) {
            let place = match (&field.file, field.line) {
                (Some(file), Some(line)) => format!(" ({file}:{line})"),
                _ => String::new(),
            };
            found.push(format!("{} {}{place}", object.id, field.path));
        }
    }
    if !found.is_empty() {
        let fields = words::count(found.len() as u64, "field that Git sets is", "fields that Git sets are");
        let message = format!("{fields} unknown to the server, which drops them: {}: correct the name or take it out", names(&found));
        out.push(note("unknown_field", message));
    }
}

/// Namespaces that are being deleted although Git declares things in them.
fn ending(join: &Join<'_>, objects: &[ObjectReport], out: &mut Vec<Note>) {
    for namespace in &join.ending {
        let here = |o: &&ObjectReport| o.sides.git == Presence::Present && o.id.namespace.as_ref() == Some(namespace);
        let declared = objects.iter().filter(here).count() as u64;
        if declared > 0 {
            let what = words::count(declared, "object that Git declares is in it", "objects that Git declares are in it");
            let message = format!(
                "namespace {namespace} is being deleted, and {what}: they go with it, and nothing can be synced there before it is gone; take them out of Git if that is meant"
            );
            out.push(note("namespace_terminating", message));
        }
    }
}

/// Manifests in versions that the server no longer serves: what runs may be the same, but nobody can apply them.
fn unserved_versions(join: &Join<'_>, out: &mut Vec<Note>) {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (id, claim) in join.git.claims() {
        let object = &claim.desired.object;
        let Some(kind) = join.inputs.live.kinds.get(&id.gk).filter(|k| k.told.is_some()) else { continue };
        let moved = renamed::RENAMED.iter().any(|(_, kind, is)| id.gk.is(is, kind));
        let named = moved.then(|| object.content.value()).and_then(|v| v.get("apiVersion")?.as_str().map(str::to_owned));
        let named = named.unwrap_or_else(|| object.gvk().api_version());
        let served = |v: &Text| Gvk { gk: id.gk.clone(), version: v.clone() }.api_version();
        if named != served(&kind.version) && !kind.versions.iter().any(|v| named == served(v)) {
            found.entry((named, served(&kind.version))).or_default().push(id.to_string());
        }
    }
    for ((named, served), mut ids) in found {
        ids.sort();
        let objects = words::count(ids.len() as u64, "object", "objects");
        let message = format!(
            "the server no longer serves {named}, in which Git declares {objects} ({}): no sync can apply them; declare them as {served}",
            names(&ids)
        );
        out.push(note("version_not_served", message));
    }
}

/// Manifests without a name: each apply makes another object of them, so there is nothing to compare and nothing to back up by name.
fn nameless(join: &Join<'_>, out: &mut Vec<Note>) {
    for (name, state) in &join.inputs.declared.apps {
        let rendered = state.rendered.iter().flat_map(|r| &r.diagnostics).filter(|d| &*d.reason == "generate_name");
        let places: Vec<String> = rendered.map(|d| d.line.map_or_else(|| d.file.to_string(), |l| format!("{}:{l}", d.file))).collect();
        if !places.is_empty() {
            let what = words::count(places.len() as u64, "manifest has", "manifests have");
            let message = format!(
                "app {name}: {what} no name but a generateName ({}), so each sync makes another object: they have no identity and are not compared",
                names(&places)
            );
            out.push(note("generate_name", message));
        }
    }
}

/// Entries of archives that could not be read: what they hold may be known to nobody else.
fn entries(join: &Join<'_>, out: &mut Vec<Note>) {
    for backup in &join.inputs.backed_up.backups {
        let Ok(archive) = backup.content.archive() else { continue };
        if archive.unreadable.is_empty() {
            continue;
        }
        let mut all: Vec<String> = archive.unreadable.iter().map(ToString::to_string).collect();
        all.sort();
        let entries = words::count(all.len() as u64, "entry", "entries");
        let message = format!("backup {}: {entries} of its archive could not be read, and what they hold is unknown: {}", backup.name, names(&all));
        out.push(note("entry_unreadable", message));
    }
}

/// Rules of users and deployers that are broken, expired or of no use.
fn rules(join: &Join<'_>, out: &mut Vec<Note>) {
    let mut used: BTreeMap<usize, BTreeSet<Option<usize>>> = BTreeMap::new();
    let mut broken: BTreeMap<(usize, usize), (&str, u64)> = BTreeMap::new();
    for found in join.cases.iter().filter_map(|c| c.trio.as_ref()).flat_map(|t| &t.uses) {
        used.entry(found.rule).or_default().insert(found.part);
        if let (Some(part), Some(why)) = (found.part, &found.broken) {
            broken.entry((found.rule, part)).or_insert((why, 0)).1 += 1;
        }
    }
    for (n, (rule, parts)) in join.engine.exempt.listed().enumerate() {
        let which = format!("the rule `{}` ({})", rule.reason, rule.origin);
        let configured = &*rule.origin == "configuration";
        let Some(used) = used.get(&n) else {
            // What a deployer is told of objects that no app here declares is none of our business.
            if configured {
                out.push(note("rule_unused", format!("{which} speaks of no object that is compared: take it out, or correct what it names")));
            }
            continue;
        };
        for (p, part) in parts.iter().enumerate() {
            if let Some((why, objects)) = broken.get(&(n, p)) {
                let objects = words::count(*objects, "object", "objects");
                out.push(note("rule_broken", format!("{which}: `{part}` is broken, so what it would leave out of {objects} is told: {why}")));
            } else if !used.contains(&Some(p)) {
                out.push(note("rule_unused", format!("{which}: `{part}` matches nothing in any object that the rule speaks of")));
            }
        }
    }
    for rule in join.inputs.config.ignore.iter().filter(|r| r.expires.is_some_and(|e| e <= join.inputs.now)) {
        out.push(note("rule_expired", format!("the rule `{}` (configuration) has expired, so what it left out is told again", rule.reason)));
    }
}

/// What a Velero restore wrote. The labels that it leaves are no drift; that it happened is worth knowing, once.
fn restored(join: &Join<'_>, out: &mut Vec<Note>) {
    let mut by: BTreeMap<&Text, u64> = BTreeMap::new();
    for object in join.cases.iter().filter_map(|c| c.live.known()) {
        if let Some(backup) = &object.meta.restored_from {
            *by.entry(backup).or_default() += 1;
        }
    }
    for (backup, objects) in by {
        out.push(note("restored", format!("{} restored by Velero from backup {backup}", words::count(objects, "object was", "objects were"))));
    }
}

/// Objects whose bookkeeping of writers is gone: of them less can be told.
fn strangers(join: &Join<'_>, out: &mut Vec<Note>) {
    let bare = |c: &&super::join::Case<'_>| c.trio.is_some() && c.live.body().is_some_and(|o| o.meta.managers.is_none());
    let all: Vec<String> = join.cases.iter().filter(bare).map(|c| c.id.to_string()).collect();
    if !all.is_empty() {
        let objects = words::count(all.len() as u64, "object is", "objects are");
        let message = format!(
            "{objects} without managedFields ({}): who changed a field, and whether a person added one, cannot be told of them. A dump keeps them with kubectl get --show-managed-fields",
            names(&all)
        );
        out.push(note("owners_unknown", message));
    }
}

/// Definitions whose kinds are compared with less than a whole schema.
fn schemas(join: &Join<'_>, out: &mut Vec<Note>) {
    for (gk, why) in join.engine.schemas.problems() {
        out.push(note(
            "schema_unread",
            format!("the definition of {gk} cannot be read in full, so its objects are compared with less knowledge: {why}"),
        ));
    }
}

fn clocks(join: &Join<'_>, out: &mut Vec<Note>) {
    let now = join.inputs.now;
    let mut commits: BTreeMap<&Text, &Commit> = BTreeMap::new();
    let declared = join.inputs.declared;
    let tips = declared.sources.values().filter_map(|s| s.tip.as_ref()).map(|t| &t.commit);
    let past = declared.apps.values().flat_map(|a| a.history.objects.values().flatten()).filter_map(|s| s.since.as_ref());
    commits.extend(tips.chain(past).filter(|c| c.time.duration_since(now) > SKEW).map(|c| (&c.sha, c)));
    if !commits.is_empty() {
        let all: Vec<String> = commits.values().map(|c| words::commit(c)).collect();
        let message = format!("commits dated in the future ({}): the windows that they begin are dated by now instead", names(&all));
        out.push(note("clock_skew", message));
    }
    let mut backups: Vec<String> = Vec::new();
    let ahead = |b: &&crate::witness::Backup| b.start.is_some_and(|s| s.duration_since(now) > SKEW);
    backups.extend(join.inputs.backed_up.backups.iter().filter(ahead).map(|b| b.name.to_string()));
    backups.sort();
    if !backups.is_empty() {
        let message = format!("backups that begin in the future ({}): the clock of Velero or of this machine is wrong", names(&backups));
        out.push(note("clock_skew", message));
    }
}

/// Kinds that the server may not be asked about: said once, with the permission that heals it.
fn confirmation(join: &Join<'_>, objects: &[ObjectReport], out: &mut Vec<Note>) {
    let refused: BTreeSet<String> = join.inputs.answers.forbidden.values().map(|f| f.message.clone()).collect();
    if refused.is_empty() {
        return;
    }
    let waiting = objects.iter().filter(|o| o.confirmed.as_ref().is_some_and(|c| c.reason.as_deref() == Some("forbidden"))).count() as u64;
    let refused: Vec<String> = refused.into_iter().collect();
    let message = format!(
        "{} not confirmed: may not patch {}, which the API server asks for even of a dry run; grant it (`snapgap rbac --with dry-run` prints the role) or take \
         cluster.confirm away",
        words::count(waiting, "drifting object is", "drifting objects are"),
        names(&refused)
    );
    out.push(note("confirm_forbidden", message));
}
