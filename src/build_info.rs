//! What this build is: version, revision and compiler, as the build was told them. pure

/// Stands where a build was not told.
const UNKNOWN: &str = "unknown";

/// What a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: String,
    /// Commit that it was built from: what `SNAPGAP_REVISION` said where it was compiled, or `unknown`.
    pub revision: String,
    /// Version of the compiler, or `unknown`.
    pub rustc: String,
}

impl BuildInfo {
    /// This build.
    pub fn current() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, revision: told(option_env!("SNAPGAP_REVISION")), rustc: told(option_env!("SNAPGAP_RUSTC")) }
    }
}

/// An empty word tells nothing: it is what an argument without a value leaves in a container's build.
fn told(word: Option<&str>) -> String {
    word.map(str::trim).filter(|word| !word.is_empty()).unwrap_or(UNKNOWN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_was_not_told_is_unknown() {
        for (word, want) in [(None, UNKNOWN), (Some(""), UNKNOWN), (Some(" "), UNKNOWN), (Some("3f2a91c\n"), "3f2a91c")] {
            assert_eq!(told(word), want);
        }
    }
}
