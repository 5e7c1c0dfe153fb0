//! Where the real programs are that the tests run.

use std::path::PathBuf;

/// The path of a program; a test whose program is absent fails and says how to get it.
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("SNAPGAP_TEST_TOOLS")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/snapgap-tools/bin")));
    let path = folder.map(|f| f.join(name));
    match path.as_ref().and_then(|p| p.canonicalize().ok()) {
        Some(found) => found,
        None => panic!("no {name} at {path:?}; run tests/tools/get {name}"),
    }
}
