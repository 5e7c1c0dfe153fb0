//! An object's content: compact JSON text with its fingerprint, in memory or on a shelf to be read again. pure
//!
//! Backups hold far more objects than anybody asks about. Of those the fingerprint stays in memory, which decides whether two contents are
//! equal; the text itself lies on a [`Shelf`]. What comes back from there is held against the fingerprint, so it is that content or an error.

use std::{fmt, sync::Arc};

use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Packed;

/// A 128-bit fingerprint of a reduced content. Equal fingerprints mean equal contents.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }

    /// Its bytes, for keeping it.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// A fingerprint that was kept.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Why a body could not be read again. Quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("what it holds of it could not be read again: {0}")]
pub struct BodyError(pub String);

impl BodyError {
    /// A stable snake_case word.
    pub fn kind(&self) -> &'static str {
        "body_unread"
    }
}

/// Where bodies lie that are not in memory.
pub trait Shelf: Send + Sync + fmt::Debug {
    /// The bytes at a place.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, String>;

    /// Told that what it gave is not what was put there.
    fn spoiled(&self);
}

/// Where one body lies: the content's text, and right behind it the managedFields and what was last applied.
#[derive(Clone, Debug)]
pub struct Place {
    shelf: Arc<dyn Shelf>,
    offset: u64,
    content: u32,
    managers: u32,
    applied: u32,
    check: u32,
}

/// What was read again from a place.
pub(super) struct Again {
    pub content: Content,
    pub managers: Option<Packed>,
    pub applied: Option<Packed>,
}

/// A short sum over what the fingerprint does not cover.
fn check(managers: &[u8], applied: &[u8]) -> u32 {
    let digest = Sha256::new().chain_update((managers.len() as u64).to_le_bytes()).chain_update(managers).chain_update(applied).finalize();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// What there is to know of a place besides its shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the content's text begins.
    pub offset: u64,
    /// Its length.
    pub content: u32,
    /// The length of the managedFields behind it.
    pub managers: u32,
    /// The length of what was last applied, behind those.
    pub applied: u32,
    /// Sum over both.
    pub check: u32,
}

impl Extent {
    /// The place of a body that begins at an offset; `None` if it is larger than any object can be.
    pub fn of(offset: u64, content: &str, managers: Option<&str>, applied: Option<&str>) -> Option<Self> {
        let (managers, applied) = (managers.unwrap_or_default(), applied.unwrap_or_default());
        let length = |text: &str| u32::try_from(text.len()).ok();
        let check = check(managers.as_bytes(), applied.as_bytes());
        Some(Self { offset, content: length(content)?, managers: length(managers)?, applied: length(applied)?, check })
    }
}

impl Place {
    /// A place on a shelf.
    pub fn on(shelf: Arc<dyn Shelf>, at: Extent) -> Self {
        Self { shelf, offset: at.offset, content: at.content, managers: at.managers, applied: at.applied, check: at.check }
    }

    /// Whether it is a place on this very shelf.
    pub fn is_on(&self, shelf: &dyn Shelf) -> bool {
        std::ptr::addr_eq(&raw const *self.shelf, &raw const *shelf)
    }

    /// Stands for who wrote the object at this place and what was last applied: others, another number.
    pub fn writers(&self) -> u64 {
        u64::from(self.check) << 32 | u64::from(self.managers ^ self.applied.rotate_left(16))
    }

    /// Reads content, managedFields and what was last applied again.
    pub(super) fn read(&self, print: Fingerprint) -> Result<Again, BodyError> {
        let spoiled = || {
            self.shelf.spoiled();
            BodyError("it is not what was put there".to_owned())
        };
        let length = self.content as usize + self.managers as usize + self.applied as usize;
        let bytes = self.shelf.read(self.offset, length).map_err(BodyError)?;
        let (content, rest) = bytes.split_at_checked(self.content as usize).ok_or_else(spoiled)?;
        let (managers, applied) = rest.split_at_checked(self.managers as usize).ok_or_else(spoiled)?;
        if applied.len() != self.applied as usize || Fingerprint::of(content) != print || check(managers, applied) != self.check {
            return Err(spoiled());
        }
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(Packed::of).map_err(|_| spoiled());
        let present = |bytes: &[u8]| if bytes.is_empty() { Ok(None) } else { text(bytes).map(Some) };
        let content = Content { body: Body::Here(text(content)?), print };
        Ok(Again { content, managers: present(managers)?, applied: present(applied)? })
    }
}

#[derive(Clone)]
enum Body {
    Here(Packed),
    Shelved(Place),
}

/// An object's content as compact JSON text with sorted keys. Kept as packed text because a tree of values takes ten times the memory.
#[derive(Clone)]
pub struct Content {
    body: Body,
    print: Fingerprint,
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Eq for Content {}

impl Content {
    /// Content of this value; keys are sorted because `serde_json` maps are.
    pub fn of(value: &Value) -> Self {
        let json = value.to_string();
        Self { print: Fingerprint::of(json.as_bytes()), body: Body::Here(Packed::of(&json)) }
    }

    pub(super) fn shelved(print: Fingerprint, place: Place) -> Self {
        Self { print, body: Body::Shelved(place) }
    }

    /// The compact JSON text; empty if it lies on a shelf (see [`super::Object::whole`]).
    pub fn json(&self) -> String {
        match &self.body {
            Body::Here(json) => json.text(),
            Body::Shelved(_) => String::new(),
        }
    }

    /// Where the text lies, if not in memory.
    pub fn place(&self) -> Option<&Place> {
        match &self.body {
            Body::Here(_) => None,
            Body::Shelved(place) => Some(place),
        }
    }

    /// The fingerprint of the text.
    pub fn print(&self) -> Fingerprint {
        self.print
    }

    /// The value. The text was written by [`Content::of`], so it always parses; `Null` stands for the impossible, and for a text on a shelf.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json()).unwrap_or(Value::Null)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.print)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;
    use crate::object::{Meta, Object, Redactor, admit};

    #[derive(Debug, Default)]
    struct Board {
        bytes: Vec<u8>,
        spoiled: AtomicBool,
    }

    impl Shelf for Board {
        fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
            let start = offset as usize;
            self.bytes.get(start..start + length).map(<[u8]>::to_vec).ok_or_else(|| "it ends too early".to_owned())
        }

        fn spoiled(&self) {
            self.spoiled.store(true, Ordering::Relaxed);
        }
    }

    fn object() -> Object {
        let raw = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n",
            "managedFields":[{"manager":"kubectl","fieldsV1":{}}]},"data":{"k":"v"}});
        admit(raw, &Redactor::new([0; 32])).expect("admitted")
    }

    fn shelve(object: &Object, change: impl FnOnce(&mut Vec<u8>)) -> (Object, Arc<Board>) {
        let (content, managers) = (object.content.json(), object.meta.managers().unwrap_or_default());
        let mut bytes = [b"....", content.as_bytes(), managers.as_bytes()].concat();
        let extent = Extent::of(4, &content, Some(&managers), None).expect("small");
        change(&mut bytes);
        let board = Arc::new(Board { bytes, ..Board::default() });
        let (Object { id, version, content, meta }, place) = (object.clone(), Place::on(board.clone(), extent));
        let meta = Meta { managers: None, applied: None, ..meta };
        (Object::remembered(id, version, content.print(), meta, place), board)
    }

    #[test]
    fn a_shelved_object_equals_its_whole_and_comes_back() {
        let object = object();
        let (shelved, board) = shelve(&object, |_| {});
        assert_eq!((&*shelved.content.json(), &shelved.meta.managers, &shelved.content), ("", &None, &object.content));
        assert_eq!(*shelved.whole().expect("read"), object);
        assert_eq!(shelved.whole().expect("read").content.json(), object.content.json());
        assert!(!board.spoiled.load(Ordering::Relaxed));
    }

    #[test]
    fn what_is_not_what_was_put_there_is_an_error_and_never_a_value() {
        let object = object();
        let length = object.content.json().len() + object.meta.managers().map_or(0, |m| m.len());
        for at in 4..4 + length {
            let (shelved, board) = shelve(&object, |bytes| bytes[at] ^= 1);
            let error = shelved.whole().expect_err("changed");
            assert!(error.kind() == "body_unread" && board.spoiled.load(Ordering::Relaxed), "{error}");
        }
        let (shelved, _) = shelve(&object, |bytes| bytes.truncate(20));
        assert!(shelved.whole().is_err());
    }
}
