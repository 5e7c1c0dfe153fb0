//! `rbac`: the ClusterRole for the kinds that this cluster really serves. I/O: the Kubernetes API (discovery only).

use super::{
    Bad, Outcome,
    args::{Global, RbacArgs, Tier},
    config, print,
    progress::Progress,
};
use crate::cluster::{self, Connection, Limits, rbac};

/// Asks the cluster what it serves and prints the roles.
pub async fn run(args: RbacArgs, global: &Global) -> Outcome {
    let config = config::load(&args.witness)?;
    if config.cluster.dump.is_some() {
        return Err(Bad::Usage(anyhow::anyhow!("a dump does not say what its cluster serves; give a kubeconfig or context")));
    }
    let progress = Progress::start(global.quiet);
    progress.now("asking the cluster what it serves");
    let connection = Connection::connect(&config.cluster).await.map_err(|e| Bad::Usage(e.into()))?;
    let live = cluster::survey(&connection, &config.cluster, &Limits::default()).await;
    drop(progress);
    // Nothing is listed for this, so that no kind was read yet is no failure.
    if let Some(failure) = live.failure.filter(|_| !live.discovered) {
        return Err(Bad::Unknown(anyhow::anyhow!(failure.message)));
    }
    let tiers = rbac::Tiers {
        secrets: args.with.contains(&Tier::Secrets),
        download_requests: args.with.contains(&Tier::DownloadRequests),
        dry_run: args.with.contains(&Tier::DryRun),
    };
    print(&rbac::roles(&live.kinds, &config.velero.namespace, tiers))
}
