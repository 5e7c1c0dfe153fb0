//! Where a leaf sits inside an object, in a form that people can paste. pure

use std::{fmt, fmt::Write as _};

use super::Text;

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A member of a mapping.
    Key(Text),
    /// A position in a list that has no keys (atomic lists).
    Index(usize),
    /// An item of a keyed list: the key fields and their values, as text, in the order of the schema's keys.
    Select(Vec<(Text, Text)>),
    /// An item of a list that is a set: the value itself, as text.
    Value(Text),
}

/// A path from the root of an object to a leaf, for example `spec.template.spec.containers[name=app].image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path with one more step.
    pub fn child(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }

    /// This path with one more mapping key.
    pub fn key(&self, key: &str) -> Self {
        self.child(Step::Key(key.into()))
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.len() >= self.0.len() && other.0[..self.0.len()] == self.0[..]
    }
}

/// A key that needs no brackets: what a person would type after a dot.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'$')
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(k) if is_plain(k) => {
                    if n > 0 {
                        f.write_char('.')?;
                    }
                    f.write_str(k)?;
                }
                Step::Key(k) => write!(f, "[{k:?}]")?,
                Step::Index(i) => write!(f, "[{i}]")?,
                Step::Value(v) => write!(f, "[={v}]")?,
                Step::Select(keys) => {
                    f.write_char('[')?;
                    for (i, (k, v)) in keys.iter().enumerate() {
                        if i > 0 {
                            f.write_char(',')?;
                        }
                        write!(f, "{k}={v}")?;
                    }
                    f.write_char(']')?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_in_a_form_people_can_paste() {
        let spec = FieldPath::root().key("spec");
        let image = spec.key("containers").child(Step::Select(vec![("name".into(), "app".into())])).key("image");
        assert_eq!(image.to_string(), "spec.containers[name=app].image");
        let label = FieldPath::root().key("metadata").key("labels").key("app.kubernetes.io/name");
        assert_eq!(label.to_string(), "metadata.labels[\"app.kubernetes.io/name\"]");
        let port = spec.key("ports").child(Step::Select(vec![("port".into(), "80".into()), ("protocol".into(), "TCP".into())]));
        assert_eq!(port.to_string(), "spec.ports[port=80,protocol=TCP]");
        assert_eq!(spec.key("args").child(Step::Index(2)).to_string(), "spec.args[2]");
        assert!(spec.covers(&image) && !image.covers(&spec));
    }
}
