//! Whether a value that the deployer owns is its own doing, or was made of it by admission: when it wrote, and what Git has ever said. pure
//!
//! The server notes who asked for a field before admission changes it, so what a webhook or a policy writes stays under the deployer's
//! name. With the copy of what was last applied the engine tells the two apart by itself; server-side apply leaves no such copy. There it
//! is told by three facts together: the deployer wrote after Git's value had landed, nobody else owns the field, and what runs is nothing
//! that Git ever said there. A deployer that lags behind fails one of the first two, one that runs an older state the third.

use super::{
    compared::{Field, at},
    join::{Case, Join},
    window::start_of,
};
use crate::drift::{LeafClass, Writer};

/// The class of a differing field, with what history says of it.
pub(super) fn class(join: &Join<'_>, case: &Case<'_>, field: &Field) -> Option<LeafClass> {
    let class = field.report.class;
    let asked = class == Some(LeafClass::Changed) && field.report.writer == Some(Writer::Deployer);
    if asked && rewritten(join, case, field) == Some(true) { Some(LeafClass::Policy) } else { class }
}

fn rewritten(join: &Join<'_>, case: &Case<'_>, field: &Field) -> Option<bool> {
    let (written, claim) = (field.report.time?, case.claim?);
    let live = case.live.body()?.content.value();
    let runs = at(&live, &field.path)?;
    let desired = claim.desired.object.content.value();
    let wanted = at(&desired, &field.path)?;
    let (mut landed, mut unbroken) = (None, true);
    for state in claim.states() {
        let value = state.object.as_ref().map(|o| o.content.value());
        let said = value.as_ref().and_then(|v| at(v, &field.path));
        if said == Some(runs) {
            return Some(false);
        }
        unbroken &= said == Some(wanted);
        if unbroken {
            landed = Some(state.since.as_ref());
        }
    }
    let inputs = join.inputs;
    let landed = match landed? {
        Some(commit) => {
            let start = start_of(commit, &claim.state.app.source, inputs.declared.sources.get(&claim.state.app.source), inputs.onsets, inputs.now);
            commit.time.max(start.not_before)
        }
        // It was there before anything that was searched.
        None => claim.state.history.reaches.as_ref()?.time,
    };
    Some(landed <= written)
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
