//! The stage that asks the API server about what drifts: at a rate, in batches, each question once. I/O: through cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{
    cluster::{
        Connection, Limits,
        dry_run::{Ask, DryRun},
        tally::Requests,
        wire::Wire,
    },
    config,
    object::{GroupKind, Object, ObjectId, Redactor, admit},
    verdict::{Suspect, confirm::writers},
    witness::{Answered, Answers, Failure, Said},
};

/// Questions under way at the same time.
const AT_ONCE: usize = 4;

/// Questions of one batch; what was answered is published after each.
const BATCH: usize = 20;

/// How long a kind that may not be asked about is left alone.
const FORBIDDEN: Duration = Duration::from_secs(300);

/// How long a question without an answer waits.
const AGAIN: Duration = Duration::from_secs(60);

/// A server that leaves this many questions unanswered, one after another, is left alone for [`AGAIN`].
const SILENCE: usize = 5;

/// Asks, and remembers the answers.
#[derive(Debug)]
pub struct Confirmer {
    cluster: config::Cluster,
    settings: config::Confirm,
    redactor: Redactor,
    wire: Option<Wire>,
    /// When the next request may begin.
    slot: Mutex<Instant>,
    answers: Answers,
    forbidden: BTreeMap<GroupKind, Instant>,
    unanswered: BTreeMap<ObjectId, Instant>,
    silent: usize,
    rest_until: Option<Instant>,
}

/// What one question came to.
enum Outcome {
    Said(Said),
    Forbidden(Failure),
}

impl Confirmer {
    /// For this cluster.
    pub fn new(cluster: config::Cluster, settings: config::Confirm, redactor: Redactor) -> Self {
        Self {
            cluster,
            settings,
            redactor,
            wire: None,
            slot: Mutex::new(Instant::now()),
            answers: Answers::default(),
            forbidden: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            silent: 0,
            rest_until: None,
        }
    }

    /// What is known now.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Every request that was made so far.
    pub fn requests(&self) -> Requests {
        self.wire.as_ref().map(|w| w.tally.requests()).unwrap_or_default()
    }

    /// How many questions are open.
    pub fn open(&self, suspects: &[Suspect], now: Timestamp) -> usize {
        self.to_ask(suspects, now).count()
    }

    fn to_ask<'s>(&'s self, suspects: &'s [Suspect], now: Timestamp) -> impl Iterator<Item = &'s Suspect> {
        let instant = Instant::now();
        let again = jiff::SignedDuration::try_from(self.settings.again).unwrap_or(jiff::SignedDuration::MAX);
        let waits = move |until: Option<&Instant>| until.is_some_and(|until| *until > instant);
        let rests = waits(self.rest_until.as_ref());
        suspects.iter().filter(move |s| {
            let known = self.answers.by_object.get(&s.id).filter(|a| a.key == s.key);
            let holds = known.is_some_and(|a| match a.said {
                Said::Nothing(_) => waits(self.unanswered.get(&s.id)),
                Said::Would { .. } | Said::Refused(_) => now.duration_since(a.at) < again,
            });
            !rests && !holds && !waits(self.forbidden.get(&s.id.gk))
        })
    }

    /// Asks one batch of what is open, and forgets what is asked no more. Whether anything is known now that was not.
    pub async fn ask(&mut self, suspects: &[Suspect], now: Timestamp) -> bool {
        let before = self.answers.clone();
        let current: BTreeSet<&ObjectId> = suspects.iter().map(|s| &s.id).collect();
        self.answers.by_object.retain(|id, _| current.contains(id));
        self.unanswered.retain(|id, _| current.contains(id));
        let instant = Instant::now();
        self.forbidden.retain(|_, until| *until > instant);
        let kinds: BTreeSet<&GroupKind> = suspects.iter().map(|s| &s.id.gk).collect();
        self.answers.forbidden.retain(|gk, _| kinds.contains(gk));
        let batch: Vec<Suspect> = self.to_ask(suspects, now).take(BATCH).cloned().collect();
        if !batch.is_empty() {
            self.ask_all(batch).await;
        }
        self.answers != before
    }

    async fn ask_all(&mut self, batch: Vec<Suspect>) {
        if self.wire.is_none() {
            match Connection::connect(&self.cluster).await {
                Ok(connection) => self.wire = Some(Wire::new(connection, Limits::default())),
                Err(e) => {
                    let failure = Failure::new(e.kind(), e.to_string());
                    batch.iter().for_each(|s| self.note(s, Outcome::Said(Said::Nothing(failure.clone()))));
                    return;
                }
            }
        }
        let Some(wire) = self.wire.clone() else { return };
        // A missing right is missing for all objects of a kind: the first one of each finds out, and the others wait for it.
        let mut kinds = BTreeSet::new();
        let (first, rest): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|s| !self.answers.by_object.keys().any(|id| id.gk == s.id.gk) && kinds.insert(s.id.gk.clone()));
        for round in [first, rest] {
            let round: Vec<Suspect> = round.into_iter().filter(|s| !self.forbidden.contains_key(&s.id.gk)).collect();
            let one = |suspect: Suspect| {
                let (wire, this) = (&wire, &*self);
                async move {
                    let outcome = this.one(wire, &suspect).await;
                    (suspect, outcome)
                }
            };
            let outcomes: Vec<_> = stream::iter(round).map(one).buffer_unordered(AT_ONCE).collect().await;
            outcomes.into_iter().for_each(|(suspect, outcome)| self.note(&suspect, outcome));
        }
    }

    fn note(&mut self, suspect: &Suspect, outcome: Outcome) {
        let instant = Instant::now();
        let said = match outcome {
            Outcome::Forbidden(failure) => {
                self.forbidden.insert(suspect.id.gk.clone(), instant + FORBIDDEN);
                self.answers.forbidden.insert(suspect.id.gk.clone(), failure);
                self.answers.by_object.remove(&suspect.id);
                return;
            }
            Outcome::Said(said) => said,
        };
        self.answers.forbidden.remove(&suspect.id.gk);
        match &said {
            Said::Nothing(failure) => {
                let lasting = &*failure.reason == "webhook_side_effects";
                self.unanswered.insert(suspect.id.clone(), instant + if lasting { self.settings.again } else { AGAIN });
                self.silent += usize::from(!lasting && &*failure.reason != "moved");
                if self.silent >= SILENCE {
                    (self.silent, self.rest_until) = (0, Some(instant + AGAIN));
                }
            }
            Said::Would { .. } | Said::Refused(_) => {
                self.unanswered.remove(&suspect.id);
                self.silent = 0;
            }
        }
        let answered = Answered { key: suspect.key, manager: suspect.manager.clone(), at: Timestamp::now(), said };
        self.answers.by_object.insert(suspect.id.clone(), answered);
    }

    /// Waits for the next free slot of the rate.
    async fn turn(&self) {
        let slot = {
            let mut next = self.slot.lock().await;
            let slot = (*next).max(Instant::now());
            *next = slot + Duration::from_secs(1) / self.settings.per_second.max(1);
            slot
        };
        sleep_until(slot).await;
    }

    async fn one(&self, wire: &Wire, suspect: &Suspect) -> Outcome {
        let ask = Ask {
            gvk: &suspect.gvk,
            plural: &suspect.plural,
            namespace: suspect.id.namespace.as_deref(),
            name: &suspect.id.name,
            manager: &suspect.manager,
        };
        let mut version = suspect.resource_version.as_ref().map(ToString::to_string);
        for attempt in 0..3 {
            // The answer comes in the version of the manifest, so what is there is read in that version too, in the state that was compared.
            let mut before = None;
            if let Some(counter) = version.as_ref().filter(|_| suspect.version != suspect.gvk.version) {
                self.turn().await;
                match wire.now(&ask, &suspect.gvk.version).await.map(|v| admit(v, &self.redactor)) {
                    Ok(Ok(now)) if now.meta.resource_version.as_deref() == Some(counter) => before = Some(now.into()),
                    Ok(Ok(_)) => version = None,
                    Ok(Err(e)) => return Outcome::Said(Said::Nothing(Failure::new("malformed", format!("what was read again is no object: {e}")))),
                    Err(e) => {
                        let message = format!("it could not be read in version {}: {e}", suspect.gvk.version);
                        return Outcome::Said(Said::Nothing(Failure::new(e.kind(), message)));
                    }
                }
            }
            if let Some(version) = &version {
                let mut manifest = suspect.body.clone();
                manifest["metadata"]["resourceVersion"] = version.as_str().into();
                self.turn().await;
                match wire.dry_run(&ask, &manifest).await {
                    DryRun::Would(value) => return Outcome::Said(self.taken(value, before)),
                    DryRun::Refused(failure) => return Outcome::Said(Said::Refused(failure)),
                    DryRun::Forbidden(failure) => return Outcome::Forbidden(failure),
                    DryRun::Nothing(failure, pause) => {
                        if let Some(pause) = pause {
                            let mut next = self.slot.lock().await;
                            *next = (*next).max(Instant::now() + pause);
                        }
                        return Outcome::Said(Said::Nothing(failure));
                    }
                    DryRun::Moved => {}
                }
            }
            if attempt == 2 {
                break;
            }
            // The version counter moves with every write of the status too. If nothing else moved, the question still stands.
            self.turn().await;
            version = match wire.now(&ask, &suspect.version).await.map(|v| admit(v, &self.redactor)) {
                Ok(Ok(now)) if now.content.print() == suspect.live && writers(&now) == suspect.writers => {
                    now.meta.resource_version.map(|v| v.to_string())
                }
                _ => None,
            };
            if version.is_none() {
                break;
            }
        }
        let message = "the object was being changed while it was asked about; it is asked about again when it has settled";
        Outcome::Said(Said::Nothing(Failure::new("moved", message)))
    }

    fn taken(&self, value: serde_json::Value, before: Option<Arc<Object>>) -> Said {
        match admit(value, &self.redactor) {
            Ok(object) => Said::Would { then: object.into(), before },
            Err(e) => Said::Nothing(Failure::new("malformed", format!("the answer to the dry run is no object: {e}"))),
        }
    }
}
