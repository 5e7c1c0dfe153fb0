//! Every file in `tests/data/velero/state` is one case: a Backup and what is around it, and the state and words expected. pure

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::velero::custom;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    now: Timestamp,
    objects: Vec<Value>,
    #[serde(default)]
    archive_cluster: Option<String>,
    #[serde(default)]
    live_cluster: Option<String>,
    #[serde(default)]
    damage: Option<String>,
    #[serde(default)]
    stored_damage: Option<String>,
    #[serde(default)]
    gone: Option<String>,
    #[serde(default)]
    kin_same: usize,
    #[serde(default)]
    kin_other: Vec<String>,
    #[serde(default)]
    file_uid: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    file_only: bool,
    state: BackupState,
    words: Vec<String>,
    #[serde(default)]
    not_words: Vec<String>,
}

#[test]
fn every_case_has_its_state_and_its_words() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/velero/state");
    let mut seen = std::collections::BTreeSet::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        for (n, document) in serde_yaml::Deserializer::from_str(&std::fs::read_to_string(&path).expect("a case")).enumerate() {
            let case = Case::deserialize(document).unwrap_or_else(|e| panic!("{} case {n}: {e}", path.display()));
            let objects = custom::read(&case.objects);
            let locations: Vec<_> = objects.locations.iter().map(|l| crate::velero::assess::location(l, None, case.now)).collect();
            let damage = case.damage.map(Damage::Copy).or(case.stored_damage.map(Damage::Stored));
            let around = Around {
                now: case.now,
                locations: &locations,
                deletions: &objects.deletions,
                in_cluster: !case.file_only,
                at_hand: case.file_only || case.archive_cluster.is_some(),
                archive_cluster: case.archive_cluster.as_deref(),
                live_cluster: case.live_cluster.as_deref(),
                damage: damage.as_ref(),
                gone: case.gone.as_deref(),
                kin: Kin { same: case.kin_same, other: case.kin_other.iter().map(|n| n.as_str().into()).collect() },
                file_uid: case.file_uid.as_deref(),
            };
            let judgement = judge(&objects.backups[0], &around);
            let (state, why) = (judgement.state, judgement.sentence());
            if let Some(reason) = &case.reason {
                assert_eq!(judgement.reason, reason, "{} case {n}: {why}", path.display());
            }
            assert_eq!(state, case.state, "{} case {n}: {why}", path.display());
            for word in &case.words {
                assert!(why.contains(word), "{} case {n}: no {word:?} in {why:?}", path.display());
            }
            for word in &case.not_words {
                assert!(!why.contains(word), "{} case {n}: {word:?} in {why:?}", path.display());
            }
            seen.insert(state);
            count += 1;
        }
    }
    assert_eq!(seen.len(), BackupState::ALL.len(), "every state has a case");
    assert!(count >= 30, "{count} cases");
}
