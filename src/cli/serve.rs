//! `serve`: the daemon. I/O: through the daemon.

use tokio_util::sync::CancellationToken;

use super::{Bad, Outcome, args::ServeArgs, config, gather};
use crate::daemon::{self, DaemonError, Setup};

/// Runs the daemon until it is told to stop.
pub async fn run(args: ServeArgs) -> Outcome {
    let config = config::load_for_serve(&args)?;
    let redactor = gather::redactor(&config)?;
    let load = move || config::load_for_serve(&args).map_err(|bad| bad.to_string());
    let setup = Setup { config, load: Box::new(load), redactor, launcher: gather::launcher(), stop: CancellationToken::new(), ready: None };
    daemon::run(setup).await.map_err(bad)?;
    Ok(0)
}

/// A port in use or a state file of a newer version is for the user to settle; the rest is "could not".
pub(super) fn bad(error: DaemonError) -> Bad {
    match error {
        DaemonError::Start(_) => Bad::Unknown(error.into()),
        DaemonError::State(_) | DaemonError::Http(_) => Bad::Usage(error.into()),
    }
}
