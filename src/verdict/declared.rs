//! What Git says of one object: which app declares it, which once did, and which might without our knowing. pure

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    compared::Wanted,
    fast::FastMap,
    memo::Memo,
    scope::{Kinds, Placed},
    sides::staleness,
};
use crate::{
    config::{App, AppName, Config, Renderer},
    object::{DeployerMark, ObjectId, Text},
    witness::{AppState, Commit, Declared, Desired, Failure, PastState},
};

/// An app's claim on an object.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    pub state: &'a AppState,
    pub desired: &'a Desired,
    pub drops_namespace: bool,
}

impl<'a> Claim<'a> {
    pub(super) fn app(&self) -> &'a AppName {
        &self.state.app.name
    }

    /// What it declares, placed at `id`.
    pub(super) fn wanted<'i>(&self, id: &'i ObjectId) -> Wanted<'i>
    where
        'a: 'i,
    {
        Wanted { id, object: &self.desired.object, drops_namespace: self.drops_namespace }
    }

    /// Its states along the first-parent line, newest first; empty if history says nothing.
    pub(super) fn states(&self) -> &'a [PastState] {
        self.state.history.objects.get(&self.desired.object.id).map_or(&[], Vec::as_slice)
    }
}

/// An object that an app declared once and declares no more.
#[derive(Clone, Copy)]
pub(super) struct Former<'a> {
    pub state: &'a AppState,
    /// Newest first; the first is the one without the object.
    pub states: &'a [PastState],
    pub drops_namespace: bool,
}

impl<'a> Former<'a> {
    /// The commit that removed it.
    pub(super) fn removed(&self) -> Option<&'a Commit> {
        self.states.first().and_then(|s| s.since.as_ref())
    }
}

/// What Git says of an object that no app declares.
#[derive(Clone)]
pub(super) enum Undeclared<'a> {
    /// An app that is judged well declared it once, or its mark is still on it.
    Removed { app: Option<&'a AppName>, former: Option<Former<'a>> },
    /// The mark of a deployer is on it whose app could not be read or is no app of the configuration.
    Marked(Rc<Failure>),
    /// An app that could not be read has declared it before and may still do so.
    Claimed(Rc<Failure>),
    /// An app that was never read may declare it; only its place says so.
    Suspected(Rc<Failure>),
    /// No app has anything to do with it.
    Never,
}

struct Blind<'a> {
    app: &'a App,
    failure: Rc<Failure>,
}

/// Answers for Git.
pub(super) struct GitSide<'a> {
    claims: FastMap<ObjectId, Claim<'a>>,
    former: FastMap<ObjectId, Former<'a>>,
    /// Apps that cannot be judged now, and why.
    troubles: BTreeMap<&'a AppName, Rc<Failure>>,
    /// Apps that were never rendered.
    blind: Vec<Blind<'a>>,
    /// What an app that cannot be judged declared at one time or another.
    mentioned: FastMap<ObjectId, &'a AppName>,
    marks: HashMap<DeployerMark, &'a AppName>,
    apps: BTreeMap<&'a AppName, &'a App>,
    /// Objects that several apps declare, and objects that one app declares twice once namespaces are filled in.
    pub shared: BTreeMap<ObjectId, BTreeSet<&'a AppName>>,
    pub repeated: BTreeMap<ObjectId, &'a AppName>,
}

/// Why an app cannot be judged, if so.
fn trouble(declared: &Declared, app: &App, state: Option<&AppState>, now: Timestamp, stale_after: Duration) -> Option<Failure> {
    if let Some(failure) = state.and_then(|s| s.failure.as_ref()) {
        return Some(failure.clone());
    }
    let source = declared.sources.get(&app.source);
    let stale = source.and_then(|s| match (s.as_of, &s.failure) {
        (None, Some(failure)) => Some(failure.clone()),
        (None, None) => None,
        (Some(at), failure) => staleness("source_stale", &format!("source {}", app.source), at, failure.as_ref(), now, stale_after),
    });
    let unread = || Failure::new("source_unread", format!("source {} was not read yet", app.source));
    match source {
        None => Some(unread()),
        Some(s) if s.as_of.is_none() => stale.or_else(|| Some(unread())),
        Some(_) if stale.is_some() => stale,
        Some(_) if state.is_none_or(|s| s.rendered.is_none()) => Some(Failure::new("not_rendered", format!("app {} was not rendered yet", app.name))),
        Some(_) => None,
    }
}

impl<'a> GitSide<'a> {
    /// `seen` says whether cluster or backups know an identity.
    pub(super) fn of(
        declared: &'a Declared,
        config: &'a Config,
        now: Timestamp,
        kinds: &Kinds<'a>,
        memo: &Memo,
        seen: &dyn Fn(&ObjectId) -> bool,
    ) -> Self {
        let mut out = Self {
            claims: FastMap::default(),
            former: FastMap::default(),
            troubles: BTreeMap::new(),
            blind: Vec::new(),
            mentioned: FastMap::default(),
            marks: HashMap::new(),
            apps: config.apps.iter().chain(declared.apps.iter().map(|(n, s)| (n, &s.app))).collect(),
            shared: BTreeMap::new(),
            repeated: BTreeMap::new(),
        };
        for (name, app) in out.apps.clone() {
            let state = declared.apps.get(name);
            if let Some(failure) = trouble(declared, app, state, now, config.stale_after) {
                let failure = Rc::new(failure);
                if state.is_none_or(|s| s.rendered.is_none()) {
                    out.blind.push(Blind { app, failure: failure.clone() });
                }
                out.troubles.insert(name, failure);
            }
        }
        // In the order of app names: the first that declares an object decides.
        for state in declared.apps.values() {
            let place = |raw: &ObjectId| kinds.place(raw, state.app.namespace.as_ref(), memo, seen);
            for desired in state.rendered.iter().flat_map(|r| &r.objects) {
                let Placed { id, drops_namespace } = place(&desired.object.id);
                out.claim(id, Claim { state, desired, drops_namespace });
            }
        }
        for state in declared.apps.values() {
            out.remember(state, |raw| kinds.place(raw, state.app.namespace.as_ref(), memo, seen));
        }
        out
    }

    /// Learns which app a mark means from a live object that carries it and that the app declares. Of several apps the first by name
    /// has it, whatever the order of the input.
    pub(super) fn learn(&mut self, mark: &DeployerMark, app: &'a AppName) {
        match self.marks.get_mut(mark) {
            Some(known) => *known = app.min(*known),
            None => drop(self.marks.insert(mark.clone(), app)),
        }
    }

    fn claim(&mut self, id: ObjectId, claim: Claim<'a>) {
        match self.claims.get_mut(&id) {
            None => drop(self.claims.insert(id, claim)),
            // Within one app the last wins, as it would when applied.
            Some(first) if first.app() == claim.app() => {
                *first = claim;
                self.repeated.insert(id, claim.app());
            }
            Some(first) => {
                let first = first.app();
                self.shared.entry(id).or_default().extend([first, claim.app()]);
            }
        }
    }

    fn remember(&mut self, state: &'a AppState, place: impl Fn(&ObjectId) -> Placed) {
        let name = &state.app.name;
        let troubled = self.troubles.contains_key(name);
        for (raw, states) in &state.history.objects {
            let removed = states.first().is_some_and(|s| s.object.is_none()) && states.iter().any(|s| s.object.is_some());
            if !removed && !troubled {
                continue;
            }
            let Placed { id, drops_namespace } = place(raw);
            if self.claims.contains_key(&id) {
                continue;
            }
            if troubled {
                self.mentioned.entry(id).or_insert(name);
            } else {
                self.former.entry(id).or_insert(Former { state, states, drops_namespace });
            }
        }
    }

    /// What apps declare.
    pub(super) fn claims(&self) -> impl Iterator<Item = (&ObjectId, Claim<'a>)> {
        self.claims.iter().map(|(id, claim)| (id, *claim))
    }

    /// The last app that declared an object which none declares now.
    pub(super) fn former(&self, id: &ObjectId) -> Option<Former<'a>> {
        self.former.get(id).copied()
    }

    /// The app that cannot be judged now and has declared an object before.
    pub(super) fn mentioned(&self, id: &ObjectId) -> Option<&'a AppName> {
        self.mentioned.get(id).copied()
    }

    /// Why an app cannot be judged now, if so.
    pub(super) fn trouble_of(&self, app: &AppName) -> Option<&Rc<Failure>> {
        self.troubles.get(app)
    }

    /// Every app, configured or rendered.
    pub(super) fn apps(&self) -> &BTreeMap<&'a AppName, &'a App> {
        &self.apps
    }

    /// The app that a mark names: learned from what the app declares, else by its name.
    fn app_of(&self, mark: &DeployerMark) -> Option<&'a AppName> {
        if let Some(app) = self.marks.get(mark) {
            return Some(app);
        }
        let last = |text: &Text, by: char| text.rsplit(by).next().unwrap_or_default().to_owned();
        let (whole, name) = match mark {
            // Argo CD writes `<namespace>_<name>` for Applications outside its own namespace.
            DeployerMark::ArgoCd(name) => (name, last(name, '_')),
            DeployerMark::FluxKustomization(name) | DeployerMark::FluxHelmRelease(name) | DeployerMark::Helm(name) => (name, last(name, '/')),
            DeployerMark::ApplySet(_) => return None,
        };
        let release = |app: &App| match &app.renderer {
            Renderer::Helm(options) => options.release_name.as_deref() == Some(&name),
            _ => false,
        };
        let hit = |(n, app): &(&&AppName, &&App)| *n.0 == **whole || *n.0 == *name || release(app);
        self.apps.iter().find(hit).map(|(n, _)| *n)
    }

    /// What Git says of an object that no app declares, by the mark that it carries and the place where it lies.
    pub(super) fn undeclared(&self, id: &ObjectId, mark: Option<&DeployerMark>) -> Undeclared<'a> {
        let marked = mark.and_then(|m| self.app_of(m));
        let trouble = |app: Option<&AppName>| app.and_then(|a| self.troubles.get(a)).cloned();
        if let Some(failure) = trouble(self.mentioned.get(id).copied()) {
            return Undeclared::Claimed(failure);
        }
        if let Some(failure) = trouble(marked) {
            return Undeclared::Marked(failure);
        }
        let former = self.former(id);
        if former.is_some() || marked.is_some() {
            return Undeclared::Removed { app: former.map(|f| &f.state.app.name).or(marked), former };
        }
        let foreign = |what: &str, name: &Text| {
            let message = format!("{what} {name} put it there, and no app of the configuration reads what that declares: add one");
            Undeclared::Marked(Rc::new(Failure::new("app_unread", message)))
        };
        match mark {
            Some(DeployerMark::ArgoCd(name)) => return foreign("the Argo CD application", name),
            Some(DeployerMark::FluxKustomization(name)) => return foreign("the Flux Kustomization", name),
            Some(DeployerMark::FluxHelmRelease(name)) => return foreign("the Flux HelmRelease", name),
            // Helm and kubectl are as often run by hand as from Git: their marks alone say nothing of Git.
            Some(DeployerMark::Helm(_) | DeployerMark::ApplySet(_)) | None => {}
        }
        self.blind.iter().find(|b| within(b.app, id)).map_or(Undeclared::Never, |b| Undeclared::Suspected(b.failure.clone()))
    }
}

/// Whether an app of which nothing is known may declare an object: whatever lies in its destination namespace, or in none. Without a
/// destination it may declare anything.
fn within(app: &App, id: &ObjectId) -> bool {
    match (&app.namespace, &id.namespace) {
        (Some(destination), Some(namespace)) => destination == namespace,
        (_, None) | (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::world::{World, app};

    fn says(world: &World, id: &ObjectId, mark: Option<&DeployerMark>) -> String {
        let kinds = Kinds::of(&world.declared, &world.live, &world.backed_up);
        let memo = Memo::default();
        let mut side = GitSide::of(&world.declared, &world.config, world.now, &kinds, &memo, &|_| false);
        let claims: Vec<(ObjectId, &AppName)> = side.claims().map(|(id, c)| (id.clone(), c.app())).collect();
        for (id, app) in claims {
            if let Some(mark) = world.live.objects.get(&id).and_then(|o| o.meta.mark.as_ref()) {
                side.learn(mark, app);
            }
        }
        match side.claims.get(id) {
            Some(claim) => match side.trouble_of(claim.app()) {
                Some(f) => format!("declared by {}, but {}", claim.app(), f.reason),
                None => format!("declared by {}", claim.app()),
            },
            None => match side.undeclared(id, mark) {
                Undeclared::Removed { app, former } => {
                    format!("removed from {} by {}", app.map_or("-", |a| &a.0), former.and_then(|f| f.removed()).map_or("-", |c| &c.sha))
                }
                Undeclared::Marked(f) | Undeclared::Claimed(f) | Undeclared::Suspected(f) => f.reason.to_string(),
                Undeclared::Never => "never".into(),
            },
        }
    }

    #[test]
    fn who_may_declare_an_object_is_told_from_who_does() {
        let cart = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
        let other = ObjectId::new("apps", "Deployment", Some("elsewhere"), "x");
        let argo = |n: &str| DeployerMark::ArgoCd(n.into());
        let flux = DeployerMark::FluxKustomization("flux-system/shop".into());
        let helm = DeployerMark::Helm("shop/by-hand".into());
        let world = || World::new().declares("shop", vec![World::deployment("cart", 2)]);
        let empty = || World::new().declares("shop", vec![]);
        let failing = || World::new().app(app("shop", Some("shop"))).fails("shop", "render_failed");
        let anywhere = || World::new().app(app("free", None)).fails("free", "render_failed");
        let removed = || empty().removed("shop", World::deployment("cart", 2), "c0ffee1", "10:00");
        let rows = [
            (world(), &cart, None, "declared by shop"),
            (world().fails("shop", "render_failed"), &cart, None, "declared by shop, but render_failed"),
            (world().source_as_of(None), &cart, None, "declared by shop, but source_unread"),
            (world().source_as_of(Some("11:00")), &cart, None, "declared by shop, but source_stale"),
            (empty(), &cart, None, "never"),
            (empty(), &cart, Some(argo("shop")), "removed from shop by -"),
            (empty(), &cart, Some(argo("team_shop")), "removed from shop by -"),
            (empty(), &cart, Some(flux), "removed from shop by -"),
            (empty(), &cart, Some(argo("stranger")), "app_unread"),
            (empty(), &cart, Some(helm), "never"),
            (empty().fails("shop", "render_failed"), &cart, Some(argo("shop")), "render_failed"),
            (removed(), &cart, None, "removed from shop by c0ffee1"),
            (removed().fails("shop", "render_failed"), &cart, None, "render_failed"),
            (failing(), &cart, None, "render_failed"),
            (failing(), &other, None, "never"),
            (anywhere(), &other, None, "render_failed"),
            (World::new().app(app("shop", Some("shop"))), &cart, None, "not_rendered"),
        ];
        for (n, (world, id, mark, want)) in rows.iter().enumerate() {
            assert_eq!(says(world, id, mark.as_ref()), *want, "row {n}");
        }
    }

    #[test]
    fn a_mark_is_learned_from_what_the_app_declares() {
        let mut cart = World::deployment("cart", 2);
        cart["metadata"]["annotations"] = serde_json::json!({"argocd.argoproj.io/tracking-id": "web-prod:apps/Deployment:shop/cart"});
        let world = World::new().declares("shop", vec![World::deployment("cart", 2)]).runs(vec![cart]);
        let old = ObjectId::new("apps", "Deployment", Some("shop"), "old");
        assert_eq!(says(&world, &old, Some(&DeployerMark::ArgoCd("web-prod".into()))), "removed from shop by -");
    }

    #[test]
    fn two_apps_that_declare_one_object_are_both_named_and_the_first_decides() {
        let world = World::new().declares("b", vec![World::deployment("cart", 3)]).declares("a", vec![World::deployment("cart", 2)]);
        let cart = ObjectId::new("apps", "Deployment", Some("shop"), "cart");
        assert_eq!(says(&world, &cart, None), "declared by a");
    }
}
