//! What tests of exec renderers share: settings, a scratch folder that must be empty in the end, an app over a tree in memory.

use std::{
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use snapgap::{
    config::{App, AppName, Render, Renderer, Sandbox, SourceName},
    git::Tree,
    object::Redactor,
    render::{
        Context, RenderError, ToolVersions, render,
        sandbox::{Folder, Job, Layers, Limits, Ran, SandboxError, run},
    },
    witness::Rendered,
};

use super::tools;

/// A text that must turn up nowhere.
pub const CANARY: &str = "canary-7f3a9c";

/// Everything a render needs. Dropping it checks that no render left a folder behind.
pub struct World {
    pub scratch: tempfile::TempDir,
    pub settings: Render,
    pub redactor: Redactor,
    pub versions: ToolVersions,
    pub layers: Layers,
    runtime: tokio::runtime::Runtime,
}

/// Our own binary.
pub fn launcher() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_snapgap"))
}

impl World {
    pub fn new(helm: &str) -> Self {
        let settings = Render {
            sandbox: Sandbox::Strict,
            kustomize: tools::path("kustomize"),
            helm: tools::path(helm),
            timeout: Duration::from_secs(60),
            memory_bytes: 1 << 30,
            output_bytes: 8 << 20,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let scratch = tempfile::Builder::new().prefix("snapgap-test-").tempdir().expect("a folder");
        Self { scratch, settings, redactor: Redactor::new([3; 32]), versions: ToolVersions::new(), layers: Layers::all(), runtime }
    }

    pub fn render(&self, path: &str, renderer: Renderer, tree: &dyn Tree) -> Result<Rendered, RenderError> {
        self.render_with(path, renderer, tree, |_| {})
    }

    pub fn render_with(
        &self,
        path: &str,
        renderer: Renderer,
        tree: &dyn Tree,
        adjust: impl FnOnce(&mut Context<'_>),
    ) -> Result<Rendered, RenderError> {
        let app = App {
            name: AppName("shop".into()),
            source: SourceName("fleet".into()),
            path: path.into(),
            namespace: Some("shop-ns".into()),
            layer: None,
            renderer,
        };
        let mut ctx = Context::new(&self.settings, &self.redactor, launcher(), self.scratch.path(), &self.versions);
        ctx.layers = self.layers.clone();
        adjust(&mut ctx);
        self.runtime.block_on(render(&app, "abc123", tree, &ctx, Timestamp::UNIX_EPOCH))
    }

    /// A folder for running a program directly, past every check that comes before the sandbox.
    pub fn folder(&self) -> Folder {
        Folder::new(self.scratch.path()).expect("a folder")
    }

    pub fn job(&self, program: PathBuf, args: &[&str], layers: Layers) -> Job {
        Job {
            launcher: launcher().to_owned(),
            program,
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            environment: Vec::new(),
            cwd: String::new(),
            limits: Limits { wall: self.settings.timeout, memory_bytes: self.settings.memory_bytes, output_bytes: self.settings.output_bytes },
            layers,
            strict: true,
        }
    }

    pub fn run(&self, job: Job, folder: Folder) -> Result<Ran, SandboxError> {
        self.runtime.block_on(run(job, folder))
    }

    /// Starts a run and drops it after a while.
    pub fn run_and_drop(&self, job: Job, folder: Folder, after: Duration) {
        let ended = self.runtime.block_on(async { tokio::time::timeout(after, run(job, folder)).await });
        assert!(ended.is_err(), "it ended by itself: {ended:?}");
    }

    pub fn leftovers(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.scratch.path()).expect("readable").flatten().map(|e| e.path()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.leftovers(), Vec::<PathBuf>::new(), "renders leave nothing behind");
        }
    }
}

/// Writes files into a folder that was made for a run.
pub fn put(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

/// A listener that must never be reached.
pub struct Trap(TcpListener);

impl Trap {
    pub fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("non-blocking");
        Self(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    pub fn was_reached(&self) -> bool {
        match self.0.accept() {
            Ok(_) => true,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
            Err(e) => panic!("{e}"),
        }
    }
}

/// `Kind namespace/name` of every object, sorted.
pub fn names(rendered: &Rendered) -> Vec<String> {
    let mut names: Vec<String> = rendered.objects.iter().map(|o| o.object.id.to_string()).collect();
    names.sort();
    names
}

/// The value of one object, by name.
pub fn value(rendered: &Rendered, name: &str) -> serde_json::Value {
    let found = rendered.objects.iter().find(|o| &*o.object.id.name == name);
    found.unwrap_or_else(|| panic!("no {name} among {:?}", names(rendered))).object.content.value()
}
