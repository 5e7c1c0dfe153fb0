//! Maps over identities that are built anew in every run, with a hash that costs a third of the standard one. pure
//!
//! Seeded once per process, so that names chosen to collide do not; nothing in a report depends on the order of such a map.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

/// A map with the quick hash.
pub(super) type FastMap<K, V> = HashMap<K, V, Seeded>;

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0u8));

/// Makes seeded hashers.
#[derive(Clone, Copy)]
pub(super) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(*SEED)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        Quick(self.0)
    }
}

/// A hash of a value, the same for equal values within this process.
pub(super) fn hash_of(value: &impl Hash) -> u64 {
    Seeded::default().hash_one(value)
}

/// Folds words by a wide multiplication.
pub(super) struct Quick(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Quick {
    /// A hasher with a fixed seed.
    pub(super) fn fixed(seed: u64) -> Self {
        Self(seed ^ MULTIPLIER)
    }

    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        self.0 = ((wide as u64) ^ ((wide >> 64) as u64)).rotate_left(23).wrapping_add(word);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|w| self.mix(u64::from_le_bytes(*w)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }

    fn finish(&self) -> u64 {
        let wide = u128::from(self.0) * u128::from(MULTIPLIER);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

/// A quick 64-bit hash of some bytes. Not against an adversary: it only tells one writing of managedFields from the next.
pub(super) fn quick_hash(bytes: Option<&[u8]>) -> u64 {
    let Some(bytes) = bytes else { return 0 };
    let mut hasher = Quick::fixed(bytes.len() as u64);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_hash_sees_every_byte() {
        let text: String = (0..40u8).map(|n| char::from(b'a' + n % 26)).collect();
        for n in 0..text.len() {
            let mut other = text.clone();
            other.replace_range(n..=n, "#");
            assert_ne!(quick_hash(Some(text.as_bytes())), quick_hash(Some(other.as_bytes())), "byte {n}");
        }
        assert_ne!(quick_hash(Some(b"")), quick_hash(None));
    }

    #[test]
    fn similar_names_spread_over_the_whole_range() {
        let seeded = Seeded::default();
        let mut low = std::collections::BTreeSet::new();
        let mut high = std::collections::BTreeSet::new();
        for n in 0..4_096 {
            let hash = seeded.hash_one(format!("object-{n}"));
            low.insert(hash & 0xfff);
            high.insert(hash >> 52);
        }
        // 4,096 balls in 4,096 boxes fill some 63 % of them.
        assert!(low.len() > 2_300 && high.len() > 2_300, "{} {}", low.len(), high.len());
    }
}
