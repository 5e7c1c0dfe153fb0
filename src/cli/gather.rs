//! Runs every stage once, for the one-shot commands. I/O: through the stages.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Bad, args::Global, progress::Progress};
use crate::{
    config::Config,
    object::Redactor,
    report::Report,
    stages::{
        backups::BackupStage,
        cluster,
        confirm::Confirmer,
        git::{self, RenderEnv},
    },
    velero::library::key,
    verdict::{self, Inputs, Memo, Onsets, Suspect},
    witness::{Answers, BackedUp, Declared, Live},
};

/// Objects that one run asks the server about at most.
const MOST_QUESTIONS: usize = 500;

/// The three witnesses of one moment, and what was made of them.
pub struct Gathered {
    config: Arc<Config>,
    declared: Declared,
    live: Live,
    backed_up: BackedUp,
    onsets: Onsets,
    answers: Answers,
    now: Timestamp,
    /// The report.
    pub report: Report,
}

/// A redactor. Where archives are kept in the cache folder its key lies beside them, so that they can be compared in the next run too; else it is
/// drawn at random and kept nowhere.
pub fn redactor(config: &Config) -> Result<Redactor, Bad> {
    let velero = &config.velero;
    if velero.reads_content() && velero.max_cache > 0 {
        match key::load(&config.cache_dir.join("backups")) {
            Ok(key) => return Ok(Redactor::new(key)),
            Err(e) => tracing::warn!("the key of the cache of backups cannot be used: {e}; backups are read anew in the next run"),
        }
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|e| Bad::Unknown(anyhow::anyhow!("the system gives no random numbers: {e}")))?;
    Ok(Redactor::new(key))
}

/// This program's own path, for confined renders: the running image, even if the file was replaced since.
pub fn launcher() -> std::path::PathBuf {
    "/proc/self/exe".into()
}

/// Reads everything once and judges it.
pub async fn gather(config: Config, asked: Option<Timestamp>, global: &Global) -> Result<Gathered, Bad> {
    let config = Arc::new(config);
    let now = asked.unwrap_or_else(Timestamp::now);
    let redactor = redactor(&config)?;
    let progress = Progress::start(global.quiet);
    progress.now("reading the cluster");
    let live = cluster::read_once(&config, &redactor, now, &|p| {
        progress.now(&format!("reading the cluster: {} of {} kinds, {} objects", p.kinds_done, p.kinds, p.objects))
    })
    .await;
    progress.now("reading Git and rendering");
    let env = RenderEnv::new(&config, redactor.clone(), launcher());
    let declared = git::read_all(&config, &env, &cluster::facts(&live), now).await;
    progress.now("reading backups");
    let (backed_up, _) = BackupStage::new(config.clone(), redactor.clone()).at(asked).run_through(&live, now).await;
    progress.now("comparing");
    let onsets = Onsets::default();
    let mut answers = Answers::default();
    let mut memo = Memo::default();
    let inputs = Inputs { declared: &declared, live: &live, backed_up: &backed_up, config: &config, onsets: &onsets, answers: &answers, now };
    let (mut report, suspects) = verdict::judge_and_ask(&inputs, &mut memo);
    if let Some(settings) = config.cluster.confirm {
        let mut confirmer = Confirmer::new(config.cluster.clone(), settings, redactor);
        answers = confirm(&mut confirmer, &suspects, &progress).await;
        let inputs = Inputs { declared: &declared, live: &live, backed_up: &backed_up, config: &config, onsets: &onsets, answers: &answers, now };
        report = verdict::judge(&inputs, &mut memo);
    }
    Ok(Gathered { config, declared, live, backed_up, onsets, answers, now, report })
}

/// Asks the server about what drifts. What is beyond the cap stays unasked, and the report says so of each object.
async fn confirm(confirmer: &mut Confirmer, suspects: &[Suspect], progress: &Progress) -> Answers {
    let suspects = &suspects[..suspects.len().min(MOST_QUESTIONS)];
    loop {
        let open = confirmer.open(suspects, Timestamp::now());
        if open == 0 {
            return confirmer.answers().clone();
        }
        progress.now(&format!("asking the server: {} of {} answered", suspects.len() - open, suspects.len()));
        confirmer.ask(suspects, Timestamp::now()).await;
    }
}

impl Gathered {
    /// The inputs of the report.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            declared: &self.declared,
            live: &self.live,
            backed_up: &self.backed_up,
            config: &self.config,
            onsets: &self.onsets,
            answers: &self.answers,
            now: self.now,
        }
    }
}
