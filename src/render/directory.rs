//! Plain YAML and JSON. pure

use super::{
    RenderError,
    collect::{Caps, Collected},
};
use crate::{
    config::{App, DirectoryOptions},
    git::Tree,
    object::Redactor,
};

/// Renders a folder of plain manifests.
pub fn render(_app: &App, _options: &DirectoryOptions, _tree: &dyn Tree, _redactor: &Redactor, _caps: &Caps) -> Result<Collected, RenderError> {
    Ok(Collected::default())
}
