//! Rendered text to objects. pure

use serde::Deserialize;

use super::RenderError;
use crate::{
    object::{Redactor, admit, expand},
    witness::{Desired, Diagnostic},
};

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Bytes.
    pub bytes: u64,
}

/// What was collected.
#[derive(Debug, Default)]
pub struct Collected {
    /// The objects.
    pub objects: Vec<Desired>,
    /// What a person should know.
    pub diagnostics: Vec<Diagnostic>,
    /// Hooks left out.
    pub hooks: usize,
}

/// Collects the objects of a rendered text.
pub fn from_text(text: &[u8], label: &str, redactor: &Redactor, _caps: &Caps) -> Result<Collected, RenderError> {
    let mut collected = Collected::default();
    for document in serde_yaml::Deserializer::from_slice(text) {
        let value =
            serde_json::Value::deserialize(document).map_err(|_| RenderError::Other { kind: "bad_output", message: format!("{label}: not YAML") })?;
        for raw in expand(value).into_iter().filter(|v| !v.is_null()) {
            let object = admit(raw, redactor).map_err(|e| RenderError::Other { kind: "bad_output", message: format!("{label}: {e}") })?;
            collected.objects.push(Desired { object, origin: None });
        }
    }
    Ok(collected)
}
