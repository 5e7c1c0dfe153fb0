//! Texts that several witnesses hold, kept once. pure
//!
//! Cluster, backup and the history of Git hold mostly the same contents, and those are nearly all of the memory. Sharing is never seen: a
//! shared text is equal to the one that was brought.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Texts brought since the last sweep before the next one; more if many are held.
const PATIENCE: usize = 1_024;

#[derive(Default)]
struct Shelf {
    texts: HashSet<Arc<str>>,
    brought: usize,
}

static SHELF: LazyLock<Mutex<Shelf>> = LazyLock::new(Mutex::default);

impl Shelf {
    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        self.brought += 1;
        if self.brought > PATIENCE.max(self.texts.len() / 4) {
            self.sweep();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    fn sweep(&mut self) {
        self.brought = 0;
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        if self.texts.capacity() > 4 * self.texts.len() + PATIENCE {
            self.texts.shrink_to_fit();
        }
    }
}

/// The text as others hold it already, or as the first one to hold it.
pub(super) fn shared(text: &str) -> Arc<str> {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner).keep(text)
}

/// Lets go of texts that nobody holds any more. Happens by itself as texts are brought; call it when many were dropped at once.
pub fn sweep() {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner).sweep();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_what_nobody_holds_is_let_go() {
        let mut shelf = Shelf::default();
        let (a, b) = (shelf.keep("a body"), shelf.keep("a body"));
        assert!(Arc::ptr_eq(&a, &b) && &*a == "a body");
        drop((a, b));
        let kept = shelf.keep("another");
        shelf.sweep();
        assert_eq!(shelf.texts.iter().map(|t| &**t).collect::<Vec<_>>(), ["another"]);
        drop(kept);
        for n in 0..20 * PATIENCE {
            shelf.keep(&n.to_string());
        }
        assert!(shelf.texts.len() <= 2 * PATIENCE, "texts that are dropped do not pile up: {}", shelf.texts.len());
    }
}
