//! What one archive holds, by identity, in little memory: one pointer an object, shared with other archives where they hold the same. pure

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::object::{Object, ObjectId};

#[derive(Clone, Debug)]
struct Entry(Arc<Object>);

impl Borrow<ObjectId> for Entry {
    fn borrow(&self) -> &ObjectId {
        &self.0.id
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// Objects by their own identity.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    entries: HashSet<Entry>,
}

impl Holdings {
    /// The object of this identity.
    pub fn get(&self, id: &ObjectId) -> Option<&Arc<Object>> {
        self.entries.get(id).map(|e| &e.0)
    }

    /// Whether there is an object of this identity.
    pub fn contains_key(&self, id: &ObjectId) -> bool {
        self.entries.contains(id)
    }

    /// All objects, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Arc<Object>)> {
        self.entries.iter().map(|e| (&e.0.id, &e.0))
    }

    /// All identities, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectId> {
        self.iter().map(|(id, _)| id)
    }

    /// All objects, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.iter().map(|(_, o)| o)
    }

    /// All objects, given away.
    pub fn into_values(self) -> impl Iterator<Item = Arc<Object>> {
        self.entries.into_iter().map(|e| e.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts an object in; returns the one of the same identity that was there.
    pub fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.entries.replace(Entry(object)).map(|e| e.0)
    }

    /// Gives back memory that is not needed.
    pub fn shrink_to_fit(&mut self) {
        self.entries.shrink_to_fit();
    }
}

impl FromIterator<Arc<Object>> for Holdings {
    fn from_iter<T: IntoIterator<Item = Arc<Object>>>(items: T) -> Self {
        Self { entries: items.into_iter().map(Entry).collect() }
    }
}

/// Equal when they hold the same objects.
impl PartialEq for Holdings {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(id, object)| other.get(id) == Some(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Redactor, admit};

    fn object(name: &str, value: &str) -> Arc<Object> {
        let raw = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": {"k": value}});
        Arc::new(admit(raw, &Redactor::new([0; 32])).expect("admitted"))
    }

    #[test]
    fn one_identity_holds_one_object_and_the_last_one_counts() {
        let (first, last) = (object("a", "1"), object("a", "2"));
        let mut all: Holdings = [first.clone(), object("b", "1")].into_iter().collect();
        assert_eq!(all.insert(last.clone()), Some(first.clone()));
        assert_eq!((all.len(), all.get(&first.id), all.is_empty()), (2, Some(&last), false));
        assert!(all.contains_key(&last.id) && all.keys().count() == 2 && all.values().count() == 2);
        let turned: Holdings = [object("b", "1"), last].into_iter().collect();
        assert_eq!(all, turned);
        assert_ne!(all, [object("b", "2"), object("a", "2")].into_iter().collect());
    }
}
