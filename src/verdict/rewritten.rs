//! Whether a value that the deployer owns is its own doing, or was made of it by admission: when it wrote, and what Git has ever said. pure
//!
//! The server notes who asked for a field before admission changes it, so what a webhook or a policy writes stays under the deployer's
//! name. With the copy of what was last applied the engine tells the two apart by itself; server-side apply leaves no such copy. There it
//! is told by three facts together: the deployer wrote after Git's value had landed, nobody else owns the field, and what runs is nothing
//! that Git ever said there. A deployer that lags behind fails one of the first two, one that runs an older state the third.

use std::cell::OnceCell;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    compared::Field,
    join::{Case, Join},
    window::start_of,
};
use crate::{
    drift::{LeafClass, Writer},
    object::Lookup,
};

/// What runs, what Git declares, and its states, newest first.
type Values = (Value, Value, Vec<Option<Value>>);

/// What history says of the fields of one object. What it needs is parsed once, when a field asks for it.
pub(super) struct Rewritten<'j, 'a> {
    join: &'j Join<'a>,
    case: &'j Case<'a>,
    values: OnceCell<Option<Values>>,
    lookup: Lookup,
}

impl<'j, 'a> Rewritten<'j, 'a> {
    pub(super) fn new(join: &'j Join<'a>, case: &'j Case<'a>) -> Self {
        Self { join, case, values: OnceCell::new(), lookup: Lookup::default() }
    }

    /// The class of a differing field, with what history says of it.
    pub(super) fn class(&self, field: &Field) -> Option<LeafClass> {
        let class = field.report.class;
        let asked = class == Some(LeafClass::Changed) && field.report.writer == Some(Writer::Deployer);
        if asked && self.rewritten(field) == Some(true) { Some(LeafClass::Policy) } else { class }
    }

    fn values(&self) -> Option<&Values> {
        let read = || {
            let claim = self.case.claim?;
            let states = claim.states().iter().map(|s| s.object.as_ref().map(|o| o.content.value())).collect();
            Some((self.case.live.body()?.content.value(), claim.desired.object.content.value(), states))
        };
        self.values.get_or_init(read).as_ref()
    }

    fn rewritten(&self, field: &Field) -> Option<bool> {
        let (written, claim) = (field.report.time?, self.case.claim?);
        let states = claim.states();
        if states.is_empty() {
            return None;
        }
        let (live, desired, past) = self.values()?;
        let at = |value| self.lookup.at(value, &field.path);
        let (runs, wanted) = (at(live)?, at(desired)?);
        let said = |n: usize| past[n].as_ref().and_then(at);
        if (0..past.len()).any(|n| said(n) == Some(runs)) {
            return Some(false);
        }
        let unbroken = (0..past.len()).take_while(|n| said(*n) == Some(wanted)).count();
        Some(self.landed(unbroken.checked_sub(1)?)? <= written)
    }

    /// The latest moment at which the state at this position can be said to have landed.
    fn landed(&self, n: usize) -> Option<Timestamp> {
        let (claim, inputs) = (self.case.claim?, self.join.inputs);
        let source = &claim.state.app.source;
        match &claim.states()[n].since {
            Some(commit) => {
                let start = start_of(commit, source, inputs.declared.sources.get(source), inputs.onsets, inputs.now);
                Some(commit.time.max(start.not_before))
            }
            // It was there before anything that was searched.
            None => Some(claim.state.history.reaches.as_ref()?.time),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{drift::LeafClass, verdict::world::World};

    fn runs(image: &str, manager: &str, clock: &str) -> Value {
        let mut v = World::deployment("cart", 3);
        v["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        let container = json!({"k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {}}});
        let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": container}}}});
        let time = format!("2026-03-02T{clock}:00Z");
        v["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields}]);
        v
    }

    /// Git declares `example/app:v1` since c3 (10:00) or c2 (00:30); c3 changes replicas only.
    fn world(live: Value) -> World {
        World::new().declares("shop", vec![World::deployment("cart", 3)]).runs(vec![live])
    }

    #[test]
    fn what_the_deployer_wrote_after_it_landed_and_git_never_said_is_the_work_of_admission() {
        let states: &[(Option<u32>, &str, &str)] = &[(Some(3), "c3", "10:00"), (Some(2), "c2", "00:30")];
        for (what, image, manager, clock, known, class) in [
            ("applied after the last change", "mirror/app:v1", "argocd-controller", "10:05", true, LeafClass::Policy),
            ("applied before the last change, which left the field alone", "mirror/app:v1", "argocd-controller", "09:00", true, LeafClass::Policy),
            ("applied before Git said so", "mirror/app:v1", "argocd-controller", "00:10", true, LeafClass::Changed),
            ("nothing is known of history", "mirror/app:v1", "argocd-controller", "10:05", false, LeafClass::Changed),
            ("a person's", "mirror/app:v1", "kubectl-edit", "10:05", true, LeafClass::Changed),
        ] {
            let world = world(runs(image, manager, clock));
            let world = if known { world.history("shop", World::deployment("cart", 3), states).complete("shop") } else { world };
            let said = world.verdict("Deployment", "cart");
            assert_eq!(said.fields[0].class, Some(class), "{what}: {}", said.why);
            assert_eq!(said.why.contains("a sync does not heal that"), class == LeafClass::Policy, "{what}: {}", said.why);
        }
    }

    #[test]
    fn an_older_state_of_git_is_a_deploy_that_is_not_done() {
        let mut live = runs("example/app:v1", "argocd-controller", "10:05");
        live["spec"]["replicas"] = json!(2);
        live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"] = json!({});
        let states: &[(Option<u32>, &str, &str)] = &[(Some(3), "c3", "10:00"), (Some(2), "c2", "00:30")];
        let said = world(live).history("shop", World::deployment("cart", 3), states).complete("shop").verdict("Deployment", "cart");
        assert_eq!(said.fields[0].class, Some(LeafClass::Changed), "{}", said.why);
    }
}
