//! On which line a value is written, by path. pure
//!
//! A hash of each value's path and a line, sorted. Two paths of one document with the same 32-bit hash would share a line; that is a wrong
//! number beside a right finding, once in many thousand documents, and not worth twice the memory. Documents of one shape, as those that a
//! template wrote, share their hashes, and where they are laid out alike their lines too.

use serde_json::Value;

use crate::object::{FieldPath, Lookup, Packed, Step};

/// The hash of the root path.
pub(super) const ROOT: u32 = 0x811c_9dc5;

fn mix(hash: u32, kind: u8, bytes: &[u8]) -> u32 {
    let step = |h: u32, b: u8| (h ^ u32::from(b)).wrapping_mul(0x0100_0193);
    let hash = bytes.iter().fold(step(hash, kind), |h, b| step(h, *b));
    // FNV leaves similar keys close to one another; one round of mixing spreads them.
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash ^ (hash >> 13)
}

/// The hash of a member's path.
pub(super) fn member(parent: u32, key: &str) -> u32 {
    mix(parent, 1, key.as_bytes())
}

/// The hash of an item's path.
pub(super) fn item(parent: u32, index: usize) -> u32 {
    mix(parent, 2, &(index as u64).to_le_bytes())
}

/// Lines of the leaves and containers of one document, by path. Compact: a sorted table of path hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineMap(Option<Table>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    /// The least line.
    first: u32,
    /// The hashes, sorted, four bytes each.
    hashes: Packed,
    /// For each of them how far behind the first its line is, four bytes each.
    behind: Packed,
}

fn bytes_of(numbers: impl Iterator<Item = u32>) -> Packed {
    Packed::of_bytes(&numbers.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}

fn numbers_in(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b))
}

impl LineMap {
    /// A table over pairs of path hash and line; of two with the same hash the later one counts.
    pub(super) fn new(mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_by_key(|(hash, _)| *hash);
        pairs.reverse();
        pairs.dedup_by_key(|(hash, _)| *hash);
        pairs.reverse();
        let table = pairs.iter().map(|(_, line)| *line).min().map(|first| Table {
            first,
            hashes: bytes_of(pairs.iter().map(|(hash, _)| *hash)),
            behind: bytes_of(pairs.iter().map(|(_, line)| line - first)),
        });
        Self(table)
    }

    /// How many places the table knows.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.pairs().0.len()
    }

    /// The pairs, sorted.
    fn pairs(&self) -> Pairs {
        let Some(table) = &self.0 else { return Pairs(Vec::new()) };
        let (hashes, behind) = (table.hashes.unpacked(), table.behind.unpacked());
        Pairs(numbers_in(&hashes).zip(numbers_in(&behind)).map(|(hash, behind)| (hash, table.first.saturating_add(behind))).collect())
    }

    /// The line of the value at `path` in the document `root`, or of the nearest ancestor that has one. `None` if not even the document
    /// has a line. `root` resolves steps that select an item by its keys or its value.
    pub fn line_of(&self, path: &FieldPath, root: &Value) -> Option<u32> {
        self.finder(root).line_of(path)
    }

    /// Finds lines of many paths in one document.
    pub fn finder<'v>(&self, root: &'v Value) -> Finder<'v> {
        Finder { pairs: self.pairs(), root, lookup: Lookup::default() }
    }

    /// The table of the item at `steps` alone, its own root being the root: what an object inside a `List` needs.
    pub(crate) fn below(&self, steps: &[Step], item: &Value) -> Self {
        let from = steps.iter().fold(ROOT, |hash, step| match step {
            Step::Key(key) => member(hash, key),
            Step::Index(index) => self::item(hash, *index),
            Step::Select(_) | Step::Value(_) => hash,
        });
        let mut pairs = Vec::new();
        self.pairs().copy(from, ROOT, item, &mut pairs);
        Self::new(pairs)
    }
}

/// A table as it is looked into.
#[derive(Debug)]
struct Pairs(Vec<(u32, u32)>);

impl Pairs {
    fn get(&self, hash: u32) -> Option<u32> {
        self.0.binary_search_by_key(&hash, |(h, _)| *h).ok().map(|at| self.0[at].1)
    }

    fn copy(&self, from: u32, to: u32, value: &Value, pairs: &mut Vec<(u32, u32)>) {
        pairs.extend(self.get(from).map(|line| (to, line)));
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| self.copy(member(from, k), member(to, k), v, pairs)),
            Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| self.copy(item(from, i), item(to, i), v, pairs)),
            _ => {}
        }
    }
}

/// Lines of many paths in one document.
#[derive(Debug)]
pub struct Finder<'v> {
    pairs: Pairs,
    root: &'v Value,
    lookup: Lookup,
}

impl<'v> Finder<'v> {
    /// As [`LineMap::line_of`].
    pub fn line_of(&self, path: &FieldPath) -> Option<u32> {
        let mut line = self.pairs.get(ROOT);
        let (mut hash, mut at) = (ROOT, self.root);
        for step in &path.0 {
            let Some((next_hash, next)) = self.noted(hash, at, step).or_else(|| follow(hash, at, step)) else { break };
            line = self.pairs.get(next_hash).or(line);
            (hash, at) = (next_hash, next);
        }
        line
    }

    /// The item of a long list that has all keys of a step, from the positions that were noted.
    fn noted(&self, hash: u32, at: &'v Value, step: &Step) -> Option<(u32, &'v Value)> {
        let Step::Select(keys) = step else { return None };
        let index = self.lookup.position(at, keys)?;
        at.get(index).map(|v| (item(hash, index), v))
    }
}

fn follow<'v>(hash: u32, at: &'v Value, step: &Step) -> Option<(u32, &'v Value)> {
    let index = match step {
        Step::Key(key) => return at.get(&**key).map(|v| (member(hash, key), v)),
        Step::Index(index) => *index,
        Step::Value(text) => at.as_array()?.iter().position(|v| is_text(v, text))?,
        Step::Select(keys) => {
            // A key that the file leaves out (a port's protocol) is one that the server defaults: it selects any.
            let selects = |v: &Value| {
                let mut told = keys.iter().filter_map(|(k, text)| v.get(&**k).map(|v| is_text(v, text))).peekable();
                told.peek().is_some() && told.all(|same| same)
            };
            at.as_array()?.iter().position(selects)?
        }
    };
    at.get(index).map(|v| (item(hash, index), v))
}

fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(s) => s == text,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
        scalar => {
            let shown = scalar.to_string();
            shown == text
        }
    }
}
