//! The canonical form of one object: what the server makes of a manifest before it stores it, as far as the schema says. pure
//!
//! Ports of apiextensions-apiserver `pkg/apiserver/schema/pruning/algorithm.go`, `defaulting/algorithm.go` and `defaulting/prunenulls.go`.
//! A comparison does not need it (it asks the schema only where two objects differ), but it shows what the schema means, and laws are
//! told with it. Defaults of Kubernetes' own kinds that depend on neighbours are not filled in.

use serde_json::Value;

use super::{
    defaults::DefaultRule,
    index::{Field, Index, Node},
    shape::Shape,
};
use crate::object::{FieldPath, Step};

/// A manifest as the server would store it.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    /// The object.
    pub value: Value,
    /// Fields that the server has not, so that it dropped them.
    pub dropped: Vec<FieldPath>,
}

/// The canonical form of an object of this shape.
pub fn canonical(object: &Value, shape: &Shape) -> Canonical {
    let mut out = Canonical { value: object.clone(), dropped: Vec::new() };
    let mut walk = Walk { index: &shape.index, path: Vec::new(), dropped: Vec::new() };
    walk.settle(&mut out.value, Node::Struct(shape.root));
    out.dropped = walk.dropped;
    out
}

/// A default with the defaults of what is in it, and without what the schema does not have.
pub(super) fn completed(mut default: Value, index: &Index, node: Node) -> Value {
    Walk { index, path: Vec::new(), dropped: Vec::new() }.settle(&mut default, node);
    default
}

struct Walk<'a> {
    index: &'a Index,
    path: Vec<Step>,
    dropped: Vec<FieldPath>,
}

impl<'a> Walk<'a> {
    fn default_of(&self, field: &Field) -> Option<&'a Value> {
        self.index.rules(field.defaults).iter().find_map(DefaultRule::unconditional)
    }

    fn settle(&mut self, value: &mut Value, node: Node) {
        match (value, node) {
            (Value::Object(members), Node::Struct(n)) => {
                let Some(of) = self.index.of(n) else { return };
                for field in &of.fields {
                    let unset = members.get(&*field.name).is_none_or(|v| v.is_null() && !field.nullable);
                    if unset && let Some(default) = self.default_of(field) {
                        members.insert(field.name.to_string(), default.clone());
                    }
                }
                let names: Vec<String> = members.keys().cloned().collect();
                for name in names {
                    let Ok(at) = of.fields.binary_search_by(|f| (*f.name).cmp(&name)) else {
                        if !of.open {
                            members.remove(&name);
                            self.path.push(Step::Key(name.into()));
                            self.dropped.push(FieldPath(self.path.clone()));
                            self.path.pop();
                        }
                        continue;
                    };
                    let field = &of.fields[at];
                    if members.get(&name).is_some_and(Value::is_null) && !field.nullable {
                        members.remove(&name);
                    } else if let Some(member) = members.get_mut(&name) {
                        self.deeper(Step::Key(field.name.clone()), member, field.node);
                    }
                }
            }
            (Value::Object(members), Node::Map(n)) => {
                let Some(map) = self.index.map(n).copied() else { return };
                members.retain(|_, v| map.nullable || !v.is_null());
                for (name, member) in members.iter_mut() {
                    self.deeper(Step::Key(name.as_str().into()), member, map.of);
                }
            }
            (Value::Array(items), Node::List(n)) => {
                let Some(of) = self.index.list(n).map(|l| l.of) else { return };
                for (i, item) in items.iter_mut().enumerate() {
                    self.deeper(Step::Index(i), item, of);
                }
            }
            _ => {}
        }
    }

    fn deeper(&mut self, step: Step, value: &mut Value, node: Node) {
        self.path.push(step);
        self.settle(value, node);
        self.path.pop();
    }
}
