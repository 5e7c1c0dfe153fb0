//! The Git stage: one source's tip, its apps rendered, and what earlier commits declared. I/O: through git and render.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;

use super::history::{self, Point, StateMap};
use crate::{
    config::{App, AppName, Config, History, Source},
    git::{GitTree, Line, LineEnd, Repository, Tree},
    object::{Object, Redactor, Text},
    render::{self, RenderError},
    witness::{AppHistory, AppState, Commit, Declared, Failure, Observed, Rendered, SourceState, Tip},
    words::short,
};

/// What the renders of all sources share.
#[derive(Clone, Debug)]
pub struct RenderEnv {
    /// Settings of the exec renderers.
    pub settings: crate::config::Render,
    /// Hides Secret values.
    pub redactor: Redactor,
    /// This program, which confines itself before it becomes a renderer.
    pub launcher: PathBuf,
    /// Where private folders of renders are made.
    pub scratch: PathBuf,
    /// How far back to look.
    pub history: History,
    /// Where mirrors are kept.
    pub cache_dir: PathBuf,
    /// Versions of the tools, asked once.
    pub tools: Arc<render::ToolVersions>,
}

impl RenderEnv {
    /// What renders of this configuration share. Folders that an earlier run left behind are removed.
    pub fn new(config: &Config, redactor: Redactor, launcher: PathBuf) -> Self {
        let scratch = std::env::temp_dir();
        render::sandbox::sweep(&scratch, Timestamp::now());
        Self {
            settings: config.render.clone(),
            redactor,
            launcher,
            scratch,
            history: config.history,
            cache_dir: config.cache_dir.clone(),
            tools: Arc::default(),
        }
    }

    /// The context of one render.
    pub fn context<'a>(&'a self, facts: &'a KubeFacts) -> render::Context<'a> {
        render::Context {
            kube_version: facts.version.clone(),
            api_versions: facts.api_versions.clone(),
            ..render::Context::new(&self.settings, &self.redactor, &self.launcher, &self.scratch, &self.tools)
        }
    }
}

/// What a chart may be rendered for; from the cluster, when it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeFacts {
    /// For example `v1.36.3`.
    pub version: Option<String>,
    /// Served group-versions, and `group/version/Kind`.
    pub api_versions: Vec<String>,
}

/// One run's outcome: what the source and its apps look like now.
#[derive(Clone, Debug)]
pub struct SourceOutput {
    /// The source.
    pub state: SourceState,
    /// Its apps.
    pub apps: BTreeMap<AppName, AppState>,
}

/// How a run went, for the stage board and the counters.
#[derive(Clone, Debug, Default)]
pub struct SourceRun {
    /// Whether the tip moved.
    pub moved: bool,
    /// Requests to the Git server.
    pub requests: u32,
    /// Why the fetch failed.
    pub fetch_failure: Option<Failure>,
    /// Apps that were rendered anew: name, and the failure if it failed.
    pub renders: Vec<(AppName, Option<Failure>)>,
}

/// One source and what is remembered of it between runs.
pub struct SourceStage {
    source: Source,
    apps: Vec<App>,
    env: RenderEnv,
    repository: Option<Repository>,
    last: Option<SourceOutput>,
    seen: Option<(Text, Timestamp)>,
    /// Per app: the closure and cluster facts of the last good render.
    inputs: HashMap<AppName, (Text, KubeFacts)>,
    /// Per app: states by closure hash, kept while history reaches them.
    past: HashMap<AppName, HashMap<Text, Arc<StateMap>>>,
}

impl SourceStage {
    /// A stage for one source. `seen` is the tip that an earlier process saw last, and when.
    pub fn new(source: Source, apps: Vec<App>, env: RenderEnv, seen: Option<(Text, Timestamp)>) -> Self {
        Self { source, apps, env, repository: None, last: None, seen, inputs: HashMap::new(), past: HashMap::new() }
    }

    /// Asks for the tip, renders what changed and returns the new state. Never fails as a whole: what failed says so inside.
    pub async fn run(&mut self, now: Timestamp, facts: &KubeFacts, cancel: &Arc<AtomicBool>) -> (SourceOutput, SourceRun) {
        let mut run = SourceRun::default();
        let tip = match self.update(cancel).await {
            Ok((tip, requests)) => {
                run.requests = requests;
                tip
            }
            Err(failure) => {
                run.fetch_failure = Some(failure.clone());
                let output = self.keep_last(failure);
                return (output, run);
            }
        };
        run.moved = self.last.as_ref().and_then(|l| l.state.tip.as_ref()).is_none_or(|t| t.commit.sha != tip.sha);
        let observed = self.observe(&tip, now);
        let state = SourceState {
            location: self.source.location.clone(),
            reference: self.source.reference.clone().unwrap_or_else(|| "HEAD".into()),
            tip: Some(Tip { commit: tip.clone(), observed }),
            as_of: Some(now),
            failure: None,
        };
        let apps = match self.repository.as_ref().map(|r| r.tree(&tip.sha)) {
            Some(Ok(tree)) => self.render_all(&tip, &tree, now, facts, &mut run).await,
            Some(Err(e)) => self.all_failed(&Failure::new(e.kind(), e.to_string())),
            None => self.all_failed(&Failure::new("internal", "the repository is not open")),
        };
        let output = SourceOutput { state, apps };
        self.last = Some(output.clone());
        (output, run)
    }

    async fn update(&mut self, cancel: &Arc<AtomicBool>) -> Result<(Commit, u32), Failure> {
        let repository = match &self.repository {
            Some(open) => open.clone(),
            None => {
                let opened = Repository::open(&self.source, &self.env.cache_dir).map_err(|e| Failure::from(&e))?;
                self.repository.insert(opened).clone()
            }
        };
        let cancel = cancel.clone();
        match tokio::task::spawn_blocking(move || repository.update(&cancel)).await {
            Ok(update) => update.map(|u| (u.tip, u.requests)).map_err(|e| Failure::from(&e)),
            Err(_) => Err(Failure::new("internal", format!("source {}: reading it was stopped", self.source.name))),
        }
    }

    /// When the tip was first seen: between the last poll that saw another one and now.
    fn observe(&mut self, tip: &Commit, now: Timestamp) -> Option<Observed> {
        let before = self.seen.replace((tip.sha.clone(), now));
        match before {
            Some((sha, at)) if sha != tip.sha => Some(Observed { not_before: at, not_after: now }),
            Some(_) => self.last.as_ref().and_then(|l| l.state.tip.as_ref()).and_then(|t| t.observed),
            None => None,
        }
    }

    /// The last good state, marked with why there is no newer one.
    fn keep_last(&mut self, failure: Failure) -> SourceOutput {
        let mut output = self.last.clone().unwrap_or_else(|| SourceOutput {
            state: SourceState {
                location: self.source.location.clone(),
                reference: self.source.reference.clone().unwrap_or_else(|| "HEAD".into()),
                tip: None,
                as_of: None,
                failure: None,
            },
            apps: self.all_failed(&Failure::new("source_unread", format!("its source {} could not be read: {}", self.source.name, failure.message))),
        });
        output.state.failure = Some(failure);
        output
    }

    fn all_failed(&self, failure: &Failure) -> BTreeMap<AppName, AppState> {
        let last = |name: &AppName| self.last.as_ref().and_then(|l| l.apps.get(name)).and_then(|a| a.rendered.clone());
        let history = |name: &AppName| self.last.as_ref().and_then(|l| l.apps.get(name)).map(|a| a.history.clone()).unwrap_or_default();
        self.apps
            .iter()
            .map(|app| {
                let state = AppState { app: app.clone(), rendered: last(&app.name), failure: Some(failure.clone()), history: history(&app.name) };
                (app.name.clone(), state)
            })
            .collect()
    }

    async fn render_all(
        &mut self,
        tip: &Commit,
        tree: &GitTree,
        now: Timestamp,
        facts: &KubeFacts,
        run: &mut SourceRun,
    ) -> BTreeMap<AppName, AppState> {
        let mut states = BTreeMap::new();
        let mut line = None;
        for app in self.apps.clone() {
            let last = self.last.as_ref().and_then(|l| l.apps.get(&app.name)).cloned();
            let state = match self.render_one(&app, tip, tree, now, facts, last.as_ref(), run).await {
                Ok(rendered) => {
                    let same_tip = last.as_ref().and_then(|l| l.rendered.as_ref()).is_some_and(|r| r.revision == tip.sha);
                    let history = match last {
                        Some(l) if same_tip && l.failure.is_none() && l.history.reaches.is_some() => l.history,
                        _ => Arc::new(self.history_of(&app, tip, &rendered, &mut line, now, facts).await),
                    };
                    AppState { app: app.clone(), rendered: Some(rendered), failure: None, history }
                }
                Err(e) => {
                    let failure = Failure::new(e.kind(), e.to_string());
                    let (rendered, history) = last.map(|l| (l.rendered, l.history)).unwrap_or_default();
                    AppState { app: app.clone(), rendered, failure: Some(failure), history }
                }
            };
            states.insert(app.name.clone(), state);
        }
        states
    }

    /// Renders one app, or returns the last render when nothing that it depends on changed.
    #[expect(clippy::too_many_arguments, reason = "one call, each argument another kind of fact")]
    async fn render_one(
        &mut self,
        app: &App,
        tip: &Commit,
        tree: &GitTree,
        now: Timestamp,
        facts: &KubeFacts,
        last: Option<&AppState>,
        run: &mut SourceRun,
    ) -> Result<Arc<Rendered>, RenderError> {
        let rendered_before = last.filter(|l| l.failure.is_none()).and_then(|l| l.rendered.clone());
        // The same commit is the same tree: nothing of it needs to be read.
        if let Some(rendered) = rendered_before.as_ref().filter(|r| r.revision == tip.sha)
            && self.inputs.get(&app.name).is_some_and(|(_, f)| f == facts)
        {
            return Ok(rendered.clone());
        }
        let closure = closure_of(app, tree)?;
        let unchanged = self.inputs.get(&app.name).is_some_and(|(c, f)| *c == closure && f == facts);
        if let Some(rendered) = rendered_before.filter(|_| unchanged) {
            return Ok(Arc::new(Rendered { revision: tip.sha.clone(), ..(*rendered).clone() }));
        }
        let outcome = render::render(app, &tip.sha, tree, &self.env.context(facts), now).await;
        run.renders.push((app.name.clone(), outcome.as_ref().err().map(|e| Failure::new(e.kind(), e.to_string()))));
        let rendered = Arc::new(outcome?);
        self.inputs.insert(app.name.clone(), (closure, facts.clone()));
        Ok(rendered)
    }

    /// Walks the first-parent line, renders each distinct closure once, and says since when each object looks like it does.
    async fn history_of(
        &mut self,
        app: &App,
        tip: &Commit,
        rendered: &Rendered,
        line: &mut Option<Result<Line, String>>,
        now: Timestamp,
        facts: &KubeFacts,
    ) -> AppHistory {
        let note = |text: String| AppHistory { note: Some(text), ..AppHistory::default() };
        let Some(repository) = self.repository.clone() else { return note("the repository is not open".into()) };
        let limit = self.env.history.commits;
        let walked = line.get_or_insert_with(|| repository.first_parents(&tip.sha, limit, None).map_err(|e| e.to_string()));
        let Line { commits, end } = match walked {
            Ok(line) => line.clone(),
            Err(e) => return note(e.clone()),
        };
        let mut states = self.past.remove(&app.name).unwrap_or_default();
        let mut fresh: HashMap<Text, Arc<StateMap>> = HashMap::new();
        let tip_state = Arc::new(state_map(rendered, &StateMap::new()));
        fresh.insert(rendered.evidence.closure.clone(), tip_state.clone());
        let mut points: Vec<Point> = Vec::with_capacity(commits.len());
        let (mut renders, mut ended) = (0, None);
        for commit in commits {
            let tree = match repository.tree(&commit.sha) {
                Ok(tree) => tree,
                Err(e) => {
                    ended = Some(e.to_string());
                    break;
                }
            };
            let hash = match tree.entry(&app.path) {
                Ok(None) => None,
                _ => match closure_of(app, &tree) {
                    Ok(hash) => Some(hash),
                    Err(e) => {
                        ended = Some(format!("at {}: {e}", short(&commit.sha)));
                        break;
                    }
                },
            };
            if let Some(hash) = hash.as_ref().filter(|h| !fresh.contains_key(*h)) {
                let state = match states.remove(hash) {
                    Some(known) => Some(known),
                    None if renders >= self.env.history.renders => {
                        ended = Some(format!("stopped after {renders} renders of older states"));
                        None
                    }
                    None => {
                        renders += 1;
                        match render::render(app, &commit.sha, &tree, &self.env.context(facts), now).await {
                            Ok(older) => Some(Arc::new(state_map(&older, &tip_state))),
                            Err(e) => {
                                ended = Some(format!("at {}: {e}", short(&commit.sha)));
                                None
                            }
                        }
                    }
                };
                let Some(state) = state else { break };
                fresh.insert(hash.clone(), state);
            }
            points.push((commit, hash));
        }
        let complete = end == LineEnd::Root && ended.is_none();
        let ended = ended.or_else(|| match end {
            LineEnd::Root => None,
            LineEnd::Limit => Some(format!("stopped after {limit} commits")),
            LineEnd::Age => Some("stopped at the age that was asked for".to_owned()),
            LineEnd::Shallow => Some("the repository is a shallow clone and holds no older commits".to_owned()),
        });
        let history = history::build(&points, &fresh, complete, ended);
        self.past.insert(app.name.clone(), fresh);
        history
    }
}

/// What was rendered, by identity; what is as in a newer state is shared with it.
fn state_map(rendered: &Rendered, newer: &StateMap) -> StateMap {
    let of = |object: &Object| match newer.get(&object.id) {
        Some(known) if **known == *object => known.clone(),
        _ => Arc::new(object.clone()),
    };
    rendered.objects.iter().map(|d| (d.object.id.clone(), of(&d.object))).collect()
}

fn closure_of(app: &App, tree: &dyn Tree) -> Result<Text, RenderError> {
    let renderer = render::resolve(app, tree)?;
    Ok(render::closure::closure(app, &renderer, tree)?.hash)
}

/// Runs every source once: what the one-shot commands do.
pub async fn read_all(config: &Config, env: &RenderEnv, facts: &KubeFacts, now: Timestamp) -> Declared {
    let mut declared = Declared::default();
    let cancel = Arc::new(AtomicBool::new(false));
    for source in config.sources.values() {
        let apps = config.apps.values().filter(|a| a.source == source.name).cloned().collect();
        let (output, _) = SourceStage::new(source.clone(), apps, env.clone(), None).run(now, facts, &cancel).await;
        declared.sources.insert(source.name.clone(), output.state);
        declared.apps.extend(output.apps);
    }
    declared
}
