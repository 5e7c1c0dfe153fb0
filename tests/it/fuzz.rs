//! The corpora of the fuzz targets, replayed: every seed as it is, and with bytes turned at random, always the same ones.

use std::{fs, path::Path};

use crate::{exam::edits::Dice, targets};

/// Turned copies of each seed.
const TURNS: usize = 200;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("an entry").path();
        let seed = fs::read(&path).expect("readable");
        seeds += 1;
        run(&seed);
        let mut dice = Dice::new(1, &path.file_name().unwrap_or_default().display().to_string());
        for _ in 0..TURNS {
            let mut turned = seed.clone();
            for _ in 0..=dice.below(4) {
                let at = dice.below(turned.len().max(1));
                match dice.below(4) {
                    0 if !turned.is_empty() => turned[at] = u8::try_from(dice.below(256)).expect("a byte"),
                    1 if !turned.is_empty() => drop(turned.remove(at)),
                    2 => turned.truncate(at),
                    _ => {
                        let piece: Vec<u8> = turned.iter().skip(at).take(dice.below(20)).copied().collect();
                        let to = dice.below(turned.len().max(1)).min(turned.len());
                        turned.splice(to..to, piece);
                    }
                }
            }
            run(&turned);
        }
    }
    assert!(seeds >= 5, "only {seeds} seeds for {target}");
}

#[test]
fn yaml_seeds_of_the_fuzzer_hold() {
    replay("yaml", targets::yaml);
}

#[test]
fn quantity_seeds_of_the_fuzzer_hold() {
    replay("quantity", targets::quantity);
}

#[test]
fn managed_fields_seeds_of_the_fuzzer_hold() {
    replay("managed_fields", targets::managed_fields);
}

#[test]
fn schema_seeds_of_the_fuzzer_hold() {
    replay("schema", targets::schema);
}

#[test]
fn compare_seeds_of_the_fuzzer_hold() {
    replay("compare", targets::compare_objects);
}
