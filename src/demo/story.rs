//! What happens while the reader watches: each step changes the world, and says what to look at. I/O: through the world.

use jiff::Timestamp;
use serde_json::json;

use super::{DemoError, World};

/// One step of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The deployer applies what waited.
    IngressApplied,
    /// A commit lands.
    CartLands,
    /// The deployer applies it.
    CartApplied,
    /// Somebody edits by hand.
    EditedByHand,
    /// A backup is taken, with the edit in it.
    BackupTaken,
    /// The deployer puts the edit back.
    PutBack,
    /// Another backup is taken.
    BackupAgain,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 7] =
        [Self::IngressApplied, Self::CartLands, Self::CartApplied, Self::EditedByHand, Self::BackupTaken, Self::PutBack, Self::BackupAgain];

    /// What happened, and what to look at.
    pub fn told(self) -> &'static str {
        match self {
            Self::IngressApplied => "The deployer applies the ingress settings: no longer pending, but still in no backup.",
            Self::CartLands => "Grace merges cart 2.5. Git is ahead of the cluster: the window of the shop has a pending object.",
            Self::CartApplied => "The deployer applies cart 2.5. It runs, and a restore would bring back 2.3.",
            Self::EditedByHand => "Somebody scales the cart to 5 by hand. Git says 2: that is drift.",
            Self::BackupTaken => "Velero takes a backup. Windows close, but for the cart: the backup has captured the edit.",
            Self::PutBack => "The deployer puts the replicas back. The cluster is in sync, the backup still holds the edit.",
            Self::BackupAgain => "Another backup. Every window is closed.",
        }
    }
}

/// Plays one step at `now`.
pub fn play(world: &mut World, step: Step, now: Timestamp) -> Result<(), DemoError> {
    match step {
        Step::IngressApplied => world.deploy("ingress", now)?,
        Step::CartLands => world.commit("Cart 2.5: pay by invoice", "Grace", now, |d| d.cart = "2.5.0")?,
        Step::CartApplied | Step::PutBack => world.deploy("shop", now)?,
        Step::EditedByHand => world.edit("Deployment", "shop", "cart", now, &json!({"spec":{"replicas":5}})),
        Step::BackupTaken | Step::BackupAgain => world.backup("nightly", now, None)?,
    }
    world.flush()
}
