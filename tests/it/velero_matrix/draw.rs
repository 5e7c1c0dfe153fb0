//! Backup specs drawn at random from a seed: combinations that nobody would think of.

use serde_json::{Value, json};

/// A small generator (xorshift), so that the same seed draws the same specs everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    fn some(&mut self, from: &[&str], most: usize) -> Vec<String> {
        let count = 1 + self.roll(most);
        let mut out: Vec<String> = (0..count).map(|_| from[self.roll(from.len())].to_owned()).collect();
        out.dedup();
        out
    }
}

const NAMESPACES: [&str; 12] =
    ["shop", "shop-test", "pay", "pay-test", "team-a", "team-b", "empty", "platform", "monitoring", "x1", "shop*", "team-?"];
const EXCLUDED: [&str; 6] = ["pay-test", "kube-*", "*-test", "monitoring", "velero", "default"];
const NAMESPACED: [&str; 16] = [
    "pods",
    "pvc",
    "cm",
    "secrets",
    "sa",
    "deployments.apps",
    "replicasets",
    "services",
    "ingresses",
    "roles",
    "widgets",
    "wdg",
    "leases",
    "pdb",
    "events",
    "pods.c.example.com",
];
const CLUSTER: [&str; 12] = [
    "nodes",
    "pv",
    "sc",
    "clusterroles",
    "clusterrolebindings",
    "crd",
    "priorityclasses",
    "namespaces",
    "plans",
    "ingressclasses",
    "apiservices",
    "*.rbac.authorization.k8s.io",
];

fn selector(dice: &mut Dice) -> Value {
    match dice.roll(6) {
        0 => json!({"matchLabels": {"app": "cart"}}),
        1 => json!({"matchLabels": {"app": "pay"}}),
        2 => json!({"matchLabels": {"tier": "web"}}),
        3 => json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        4 => json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["cart"]}]}),
        _ => json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}),
    }
}

/// One spec.
pub fn spec(dice: &mut Dice) -> Value {
    let mut spec = json!({});
    if dice.roll(2) == 0 {
        spec["includedNamespaces"] = json!(dice.some(&NAMESPACES, 4));
    }
    if dice.roll(3) == 0 {
        spec["excludedNamespaces"] = json!(dice.some(&EXCLUDED, 2));
    }
    if dice.roll(2) == 0 {
        if dice.roll(2) == 0 {
            spec["includedResources"] = json!(dice.some(&[&NAMESPACED[..], &CLUSTER].concat(), 6));
        }
        if dice.roll(2) == 0 {
            spec["excludedResources"] = json!(dice.some(&[&NAMESPACED[..], &CLUSTER].concat(), 3));
        }
        match dice.roll(3) {
            0 => spec["includeClusterResources"] = json!(true),
            1 => spec["includeClusterResources"] = json!(false),
            _ => {}
        }
    } else {
        for (key, from) in [
            ("includedNamespaceScopedResources", &NAMESPACED[..]),
            ("excludedNamespaceScopedResources", &NAMESPACED[..]),
            ("includedClusterScopedResources", &CLUSTER[..]),
            ("excludedClusterScopedResources", &CLUSTER[..]),
        ] {
            if dice.roll(3) == 0 {
                spec[key] = json!(dice.some(from, 4));
            }
        }
        if dice.roll(6) == 0 {
            spec["resourcePolicy"] = json!({"kind": "configmap", "name": "policy-kinds"});
        }
    }
    match dice.roll(5) {
        0 | 1 => spec["labelSelector"] = selector(dice),
        2 => spec["orLabelSelectors"] = json!([selector(dice), selector(dice)]),
        _ => {}
    }
    spec
}
