//! What a backup was asked to hold: Velero's namespace and kind filters. pure

/// The filters of one backup, defaulted as Velero does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {}
