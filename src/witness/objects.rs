//! The objects of one view, kept per kind, so that the next view shares every kind that did not change. pure

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use crate::object::{GroupKind, Object, ObjectId};

/// The objects of one kind, shared between views.
pub type KindObjects = Arc<HashMap<ObjectId, Arc<Object>>>;

/// Objects by identity. Cloning costs one counter per kind.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    kinds: HashMap<GroupKind, KindObjects>,
}

impl Objects {
    /// The object of this identity.
    pub fn get(&self, id: &ObjectId) -> Option<&Arc<Object>> {
        self.kinds.get(&id.gk)?.get(id)
    }

    /// Whether there is an object of this identity.
    pub fn contains_key(&self, id: &ObjectId) -> bool {
        self.get(id).is_some()
    }

    /// All objects, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Arc<Object>)> {
        self.kinds.values().flat_map(|k| k.iter())
    }

    /// All identities, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectId> {
        self.iter().map(|(id, _)| id)
    }

    /// All objects, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.iter().map(|(_, o)| o)
    }

    /// The objects of one kind.
    pub fn of_kind(&self, gk: &GroupKind) -> impl Iterator<Item = &Arc<Object>> {
        self.kinds.get(gk).into_iter().flat_map(|k| k.values())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kinds.values().map(|k| k.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.values().all(|k| k.is_empty())
    }

    /// Puts an object in; returns the one that was there.
    pub fn insert(&mut self, id: ObjectId, object: Arc<Object>) -> Option<Arc<Object>> {
        Arc::make_mut(self.kinds.entry(id.gk.clone()).or_default()).insert(id, object)
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: &ObjectId) -> Option<Arc<Object>> {
        Arc::make_mut(self.kinds.get_mut(&id.gk)?).remove(id)
    }

    /// Puts all objects of one kind in place of those that were there. Every identity in it must be of that kind.
    pub fn set_kind(&mut self, gk: GroupKind, objects: KindObjects) {
        self.kinds.insert(gk, objects);
    }
}

impl Extend<(ObjectId, Arc<Object>)> for Objects {
    fn extend<T: IntoIterator<Item = (ObjectId, Arc<Object>)>>(&mut self, items: T) {
        for (id, object) in items {
            self.insert(id, object);
        }
    }
}

impl FromIterator<(ObjectId, Arc<Object>)> for Objects {
    fn from_iter<T: IntoIterator<Item = (ObjectId, Arc<Object>)>>(items: T) -> Self {
        let mut all = Self::default();
        all.extend(items);
        all
    }
}

impl<'a> IntoIterator for &'a Objects {
    type Item = (&'a ObjectId, &'a Arc<Object>);
    type IntoIter = std::iter::FlatMap<
        hash_map::Values<'a, GroupKind, KindObjects>,
        hash_map::Iter<'a, ObjectId, Arc<Object>>,
        fn(&'a KindObjects) -> hash_map::Iter<'a, ObjectId, Arc<Object>>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.kinds.values().flat_map(|k| k.iter())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Redactor, admit};

    fn object(kind: &str, name: &str) -> (ObjectId, Arc<Object>) {
        let raw = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}});
        let object = admit(raw, &Redactor::new([0; 32])).expect("admitted");
        (object.id.clone(), Arc::new(object))
    }

    #[test]
    fn a_change_of_one_kind_leaves_the_others_shared_and_the_older_view_alone() {
        let mut now: Objects = [object("ConfigMap", "a"), object("ConfigMap", "b"), object("Pod", "p")].into_iter().collect();
        let before = now.clone();
        let (id, _) = object("ConfigMap", "a");
        assert!(now.remove(&id).is_some() && !now.contains_key(&id) && before.contains_key(&id));
        assert_eq!((before.len(), now.len(), now.keys().count(), (&now).into_iter().count()), (3, 2, 2, 2));
        let pods = GroupKind::new("", "Pod");
        assert!(Arc::ptr_eq(&before.kinds[&pods], &now.kinds[&pods]));
        assert_eq!(now.of_kind(&pods).count(), 1);
        assert!(Objects::default().is_empty() && !now.is_empty());
    }
}
