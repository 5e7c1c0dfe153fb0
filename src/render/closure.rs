//! Everything that a render can depend on. pure

use super::RenderError;
use crate::{
    config::{App, Renderer},
    git::Tree,
    object::Text,
};

/// The files that a render can read.
#[derive(Clone, Debug)]
pub struct Closure {
    /// Hash over paths and blob ids. Equal closures render the same.
    pub hash: Text,
    /// The files, as paths in the source.
    pub paths: Vec<String>,
    /// References that leave the repository.
    pub remote: Vec<String>,
}

/// The closure of an app.
pub fn closure(_app: &App, _renderer: &Renderer, tree: &dyn Tree) -> Result<Closure, RenderError> {
    let hash = tree.entry("")?.map_or_else(String::new, |e| e.oid);
    Ok(Closure { hash: hash.into(), paths: vec![String::new()], remote: Vec::new() })
}
