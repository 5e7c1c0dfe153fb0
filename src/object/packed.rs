//! Texts kept small: compressed, and one copy however many witnesses hold it. pure
//!
//! Contents and field managers are nearly all of the memory. Cluster, backup and the history of Git hold mostly the same ones, and all of them
//! are written in the words of Kubernetes, which a dictionary holds already. Neither is ever seen: what comes out is what was put in.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

/// What objects and their managedFields commonly look like. A text may be of any other shape; it is then a little longer.
const DICTIONARY: &[u8] = include_bytes!("packed/dictionary.txt");

/// Texts brought since the last sweep before the next one; more if many are held.
const PATIENCE: usize = 1_024;

/// A text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Packed(Arc<[u8]>);

impl Packed {
    /// Packs a text; equal texts share their memory.
    pub fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// Packs bytes; equal ones share their memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let bytes = compress_prepend_size_with_dict(bytes, DICTIONARY);
        SHELF.lock().unwrap_or_else(PoisonError::into_inner).keep(&bytes)
    }

    /// The text. What [`Packed::of`] wrote always unpacks; an empty text stands for the impossible.
    pub fn text(&self) -> String {
        String::from_utf8(self.unpacked()).unwrap_or_default()
    }

    /// The bytes that were packed; none stand for the impossible.
    pub fn unpacked(&self) -> Vec<u8> {
        decompress_size_prepended_with_dict(&self.0, DICTIONARY).unwrap_or_default()
    }

    /// What stands for the text: equal exactly for equal texts.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

#[derive(Default)]
struct Shelf {
    texts: HashSet<Arc<[u8]>>,
    brought: usize,
}

static SHELF: LazyLock<Mutex<Shelf>> = LazyLock::new(Mutex::default);

impl Shelf {
    fn keep(&mut self, bytes: &[u8]) -> Packed {
        if let Some(known) = self.texts.get(bytes) {
            return Packed(known.clone());
        }
        self.brought += 1;
        if self.brought > PATIENCE.max(self.texts.len() / 4) {
            self.sweep();
        }
        let bytes: Arc<[u8]> = bytes.into();
        self.texts.insert(bytes.clone());
        Packed(bytes)
    }

    /// Lets go of texts that nobody holds any more.
    fn sweep(&mut self) {
        self.brought = 0;
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        if self.texts.capacity() > 4 * self.texts.len() + PATIENCE {
            self.texts.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_texts_are_one_and_what_nobody_holds_is_let_go() {
        let mut shelf = Shelf::default();
        let (a, b) = (shelf.keep(b"a body"), shelf.keep(b"a body"));
        assert!(Arc::ptr_eq(&a.0, &b.0));
        drop((a, b));
        let kept = shelf.keep(b"another");
        shelf.sweep();
        assert_eq!(shelf.texts.iter().map(|t| t.to_vec()).collect::<Vec<_>>(), [b"another".to_vec()]);
        drop(kept);
        for n in 0..20 * PATIENCE {
            shelf.keep(n.to_string().as_bytes());
        }
        assert!(shelf.texts.len() <= 2 * PATIENCE, "texts that are dropped do not pile up: {}", shelf.texts.len());
    }

    #[test]
    fn an_ordinary_object_takes_less_than_half_of_its_text() {
        let env: Vec<_> = (0..12).map(|n| format!(r#"{{"name":"LEVEL_{n}","value":"{}"}}"#, 7_919 * n)).collect();
        let text = format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"labels":{{"app":"cart"}},"name":"cart","namespace":"shop"}},"spec":{{"replicas":2,"selector":{{"matchLabels":{{"app":"cart"}}}},"template":{{"metadata":{{"labels":{{"app":"cart"}}}},"spec":{{"containers":[{{"env":[{}],"image":"example.com/cart:4","name":"cart","resources":{{"limits":{{"memory":"64Mi"}}}}}}]}}}}}}}}"#,
            env.join(",")
        );
        let packed = Packed::of(&text);
        assert_eq!(packed.text(), text);
        assert!(packed.bytes().len() * 2 < text.len(), "{} of {}", packed.bytes().len(), text.len());
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_was_put_in(text in "\\PC{0,400}", times in 1..40_usize) {
            let text = text.repeat(times);
            let (packed, again) = (Packed::of(&text), Packed::of(&text));
            prop_assert_eq!(packed.text(), text);
            prop_assert_eq!(packed.bytes(), again.bytes());
        }
    }
}
