//! JSON schema as Kubernetes writes it, in OpenAPI v3 documents and in definitions: what of it the index needs. pure
//!
//! Descriptions, examples, enumerations and bounds are passed over as they are read, so a document of megabytes costs little more than its
//! text. Vocabulary: kubernetes/kube-openapi `pkg/validation/spec`, apiextensions-apiserver `pkg/apiserver/schema/structural.go`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::index::Scalar;

/// One schema.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Raw {
    #[serde(rename = "$ref")]
    pub reference: Option<String>,
    #[serde(rename = "allOf")]
    pub all_of: Vec<Raw>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub format: Option<String>,
    pub pattern: Option<String>,
    pub properties: BTreeMap<String, Raw>,
    pub items: Option<Box<Raw>>,
    #[serde(rename = "additionalProperties")]
    pub additional: Option<Additional>,
    pub nullable: bool,
    pub default: Option<Value>,
    #[serde(rename = "x-kubernetes-list-type")]
    pub list_type: Option<String>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub map_type: Option<String>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub preserve: Option<bool>,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    pub embedded: bool,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    pub kinds: Vec<RawKind>,
}

/// What may stand beside the named properties.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Additional {
    Allowed(bool),
    Schema(Box<Raw>),
}

/// A kind that a schema describes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// How Kubernetes' own Quantity type is written in the schemas that controller-gen makes.
const QUANTITY_PATTERN: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

impl Raw {
    /// Whether members that are not named are kept.
    pub fn preserves(&self) -> bool {
        self.preserve == Some(true)
    }

    /// The scalar that it describes; `None` if it describes none.
    pub fn scalar(&self) -> Option<Scalar> {
        let quantity = || self.pattern.as_deref() == Some(QUANTITY_PATTERN) || self.format.as_deref() == Some("quantity");
        if self.int_or_string || self.format.as_deref() == Some("int-or-string") {
            return Some(if quantity() { Scalar::Quantity } else { Scalar::IntOrString });
        }
        match (self.kind.as_deref()?, self.format.as_deref()) {
            ("string", _) if quantity() => Some(Scalar::Quantity),
            ("string", Some("byte")) => Some(Scalar::Bytes),
            ("string", Some("duration")) => Some(Scalar::Duration),
            ("string", Some("date-time")) => Some(Scalar::Time),
            ("string", None | Some("")) => Some(Scalar::Plain),
            // A text of another format (uri, uuid, ipv4) is never a duration.
            ("string", Some(_)) => Some(Scalar::Word),
            ("number" | "integer" | "boolean", _) => Some(Scalar::Word),
            _ => None,
        }
    }
}
