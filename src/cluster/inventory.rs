//! One reading of the whole cluster: discovery, then every kind by paged lists. I/O: the Kubernetes API.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    call::CallError,
    choice::Chooser,
    client::Connection,
    discovery,
    intake::{Intake, Taken},
    limits::Limits,
    schemas::Library,
    state::{Now, State, Target},
    wire::Wire,
};
use crate::{
    config,
    object::{Object, Redactor},
    witness::{Failure, Live},
};

/// How far a reading has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Kinds that are done, well or not.
    pub kinds_done: usize,
    /// Kinds to read.
    pub kinds: usize,
    /// Objects so far.
    pub objects: usize,
}

impl Now {
    /// The two clocks.
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), time: Timestamp::now() }
    }
}

/// Reads everything once. What could not be read stands in the view with its reason; there is no other failure.
pub async fn read(
    connection: &Connection,
    settings: &config::Cluster,
    redactor: &Redactor,
    limits: &Limits,
    progress: &(dyn Fn(Progress) + Sync),
) -> Live {
    let wire = Wire::new(connection.clone(), *limits);
    let intake = Intake::new(redactor.clone());
    let mut state = State::new(false, Duration::ZERO);
    let targets = match discovery::discover(&wire).await {
        Ok(catalogue) => state.catalogue(&catalogue, &Chooser::new(settings)),
        Err(e) => {
            state.undiscovered(connection.failure(&e));
            return state.view(Now::read());
        }
    };
    let done = Mutex::new((Progress { kinds: targets.len(), ..Progress::default() }, state));
    let silent = AtomicUsize::new(0);
    let (wire, intake, shared, silent) = (&wire, &intake, &done, &silent);
    stream::iter(targets)
        .for_each_concurrent(limits.lists, |(gk, target)| async move {
            // A server that left as many calls unanswered as are made at once would do so for every kind, a minute each.
            let outcome = match silent.load(Ordering::Relaxed) >= limits.lists.max(1) {
                true => Err(unasked(&target, limits)),
                false => read_kind(wire, intake, &target).await,
            };
            match &outcome {
                Err(e) if matches!(e.cause, CallError::Timeout(_)) => drop(silent.fetch_add(1, Ordering::Relaxed)),
                _ => silent.store(0, Ordering::Relaxed),
            }
            let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (so_far, state) = &mut *guard;
            match outcome {
                Ok((objects, _)) => {
                    so_far.objects += objects.len();
                    state.replace(&gk, objects, Now::read());
                }
                Err(failure) => state.broke(&gk, failure.failure, true, Duration::ZERO, Now::read()),
            }
            so_far.kinds_done += 1;
            progress(*so_far);
        })
        .await;
    let (_, mut state) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let read = Library::default().refresh(wire, state.version().as_deref(), &state.defined_groups()).await;
    state.learn(read.schemas);
    state.view(Now::read())
}

/// Asks only what the server serves: a view with kinds and no objects. It fails only if the server cannot say that.
pub async fn survey(connection: &Connection, settings: &config::Cluster, limits: &Limits) -> Live {
    let mut state = State::new(false, Duration::ZERO);
    let failure = match discovery::discover(&Wire::new(connection.clone(), *limits)).await {
        Ok(catalogue) => {
            state.catalogue(&catalogue, &Chooser::new(settings));
            None
        }
        Err(e) => Some(connection.failure(&e)),
    };
    Live { failure, ..state.view(Now::read()) }
}

fn unasked(target: &Target, limits: &Limits) -> ListFailure {
    let message = format!("{} were not asked for: the API server left other calls unanswered for {} s", target.served.plural, limits.call.as_secs());
    ListFailure { failure: Failure::new("timeout", message), cause: CallError::Timeout(limits.call) }
}

/// Why a kind could not be listed.
#[derive(Clone, Debug)]
pub(crate) struct ListFailure {
    pub(crate) failure: Failure,
    pub(crate) cause: CallError,
}

/// Lists one kind: its objects, and the resource version to watch from.
pub(crate) async fn read_kind(wire: &Wire, intake: &Intake, target: &Target) -> Result<(Vec<Taken>, String), ListFailure> {
    let kind = &target.served;
    let failed = |cause: CallError| ListFailure { failure: cause.failure("list", &kind.plural, &kind.gvk), cause };
    // Both closures below need them, never at the same time.
    let taken: Mutex<(Vec<Taken>, Option<String>)> = Mutex::default();
    let from = wire
        .list(
            kind,
            target.metadata,
            &mut |raw| {
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                match intake.take(kind, raw, target.metadata) {
                    Ok(one) => taken.0.push(one),
                    Err(e) => drop(taken.1.get_or_insert(e.to_string())),
                }
            },
            &mut || *taken.lock().unwrap_or_else(PoisonError::into_inner) = Default::default(),
        )
        .await
        .map_err(failed)?;
    let (mut objects, odd) = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    // An object that was sent but could not be taken in must not count as absent.
    if let Some(odd) = odd {
        return Err(failed(CallError::Malformed(odd)));
    }
    if target.metadata {
        for one in objects.iter_mut().filter(|one| wants_body(target, &one.object)) {
            if let Some(full) = read_body(wire, intake, target, &one.object).await {
                *one = full;
            }
        }
    }
    Ok((objects, from))
}

/// Whether an object of a kind that is read by metadata is worth reading whole: nothing owns it, so a person or Git may have made it.
/// Leases never are: each is rewritten every few seconds by whoever holds it.
pub(crate) fn wants_body(target: &Target, object: &Object) -> bool {
    target.metadata && target.served.get && object.meta.owners.is_empty() && &*object.id.gk.kind != "Lease"
}

/// Reads the whole of an object whose metadata is known; `None` leaves it at that.
pub(crate) async fn read_body(wire: &Wire, intake: &Intake, target: &Target, object: &Object) -> Option<Taken> {
    let raw = wire.get(&target.served, object.id.namespace.as_deref(), &object.id.name).await.ok()?;
    intake.take(&target.served, raw, false).ok().filter(|t| t.object.id == object.id)
}
