//! Values of labels by which Velero's objects name others: a long name is cut and hashed. pure

use sha2::{Digest, Sha256};

/// The longest value (k8s.io/apimachinery/pkg/util/validation `DNS1035LabelMaxLength`), in bytes.
const LONGEST: usize = 63;

/// Bytes of a long name that make way for as many digits of its hash.
const HASH: usize = 6;

/// The value that stands for a name (Velero pkg/label/label.go `GetValidName`).
pub fn valid_name(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let hash: String = Sha256::digest(name).iter().take(HASH / 2).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{hash}", String::from_utf8_lossy(&name.as_bytes()[..LONGEST - HASH]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_hashed_as_velero_does() {
        // Each as Velero 1.18.2's own function gives it.
        for (name, want) in [
            ("", ""),
            ("nightly-20260301010000", "nightly-20260301010000"),
            (&"a".repeat(63), &*"a".repeat(63)),
            (&"a".repeat(64), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaffe054"),
            (
                "nightly-of-everything-that-anybody-ever-put-into-this-cluster-20260301010000",
                "nightly-of-everything-that-anybody-ever-put-into-this-clu906291",
            ),
            (&format!("backup.{}x", "b.c-".repeat(60)), "backup.b.c-b.c-b.c-b.c-b.c-b.c-b.c-b.c-b.c-b.c-b.c-b.c-b.2d407e"),
            (
                "du-2d7d5bf6-4f5b-4b2f-9f0a-6d1f5c5d2f11.0b0e8a2e-7b3e-4d55-8d0c-0f5f2a9f5c11",
                "du-2d7d5bf6-4f5b-4b2f-9f0a-6d1f5c5d2f11.0b0e8a2e-7b3e-4d5329eee",
            ),
        ] {
            assert_eq!(valid_name(name), want, "{name}");
        }
    }
}
