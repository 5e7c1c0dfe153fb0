//! The Landlock rules of a render: which files it may touch. I/O: restricts this process.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

/// The newest rules asked for; an older kernel keeps those that it knows. Version 6 brings scopes (signals, abstract sockets).
const ABI_ASKED: ABI = ABI::V6;

/// Confines this process to reading `read`, running `run` and reading and writing `write`. Paths that do not exist are passed over.
/// `Ok(false)`: this kernel does not offer Landlock. Rules on the network (TCP, from version 4) allow nothing.
pub(super) fn apply<P: AsRef<Path>>(read: &[P], run: &[P], write: &[P]) -> Result<bool, landlock::RulesetError> {
    let files = AccessFs::from_all(ABI_ASKED);
    // Renderers make files and folders in their home; sockets, pipes and devices they do not.
    let plain = AccessFs::from_read(ABI_ASKED)
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(files)?
        .handle_access(AccessNet::from_all(ABI_ASKED))?
        .scope(Scope::from_all(ABI_ASKED))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(run, AccessFs::from_read(ABI_ASKED)))?
        .add_rules(path_beneath_rules(write, plain & !AccessFs::Execute))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
