//! The connection to an API server, from a kubeconfig or from inside a pod. I/O: kubeconfig files, environment, exec plugins.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use thiserror::Error;

use super::call::CallError;
use crate::config;

/// Longest time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(15);

/// Longest time for an exec plugin to print credentials. Some ask a person.
const CREDENTIALS: Duration = Duration::from_secs(120);

/// Why there is no connection to speak through. Messages never hold tokens, keys or passwords.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nothing names a cluster.
    #[error(
        "no cluster is named: {looked} does not exist, KUBECONFIG is not set and this is no pod; name one with --kubeconfig or --context, \
         or read a dump with --cluster-dump"
    )]
    NoCluster {
        /// The kubeconfig that was looked for.
        looked: String,
    },
    /// The kubeconfig cannot be read.
    #[error("cannot read the kubeconfig {file}: {why}")]
    Unreadable {
        /// The file or files.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The context is not in the kubeconfig.
    #[error("the kubeconfig {file} has no context {context}; it has {known}")]
    NoContext {
        /// The file or files.
        file: String,
        /// The context asked for.
        context: String,
        /// The contexts it has.
        known: String,
    },
    /// The kubeconfig has no current context and none was asked for.
    #[error("the kubeconfig {file} has no current context; choose one of {known} with --context")]
    NoCurrentContext {
        /// The file or files.
        file: String,
        /// The contexts it has.
        known: String,
    },
    /// The context points at something that is missing or wrong.
    #[error("context {context} of the kubeconfig {file} cannot be used: {why}")]
    Unusable {
        /// The file or files.
        file: String,
        /// The context.
        context: String,
        /// What is wrong.
        why: String,
    },
    /// In a pod, but without what a pod has.
    #[error("this pod cannot speak to its API server: {0}")]
    Pod(String),
}

impl ConnectError {
    /// The stable word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoCluster { .. } => "no_cluster",
            Self::Unreadable { .. } => "kubeconfig_unreadable",
            Self::NoContext { .. } | Self::NoCurrentContext { .. } => "no_context",
            Self::Unusable { .. } => "kubeconfig_unusable",
            Self::Pod(_) => "in_cluster",
        }
    }
}

/// A way to one API server. Holding it opens nothing yet; the first call does.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: Client,
    /// The server's URL, without credentials.
    pub server: String,
    /// Where the credentials came from, for people: `context prod of /home/me/.kube/config`, or `this pod`.
    pub origin: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({} by {})", self.server, self.origin)
    }
}

impl Connection {
    /// Prepares the connection that the configuration names: `kubeconfig` and `context`, else `KUBECONFIG`, `~/.kube/config`, the pod.
    ///
    /// # Errors
    /// When nothing names a cluster or what names it cannot be used. An unreachable server is no error here: that shows in what is read.
    pub async fn connect(settings: &config::Cluster) -> Result<Self, ConnectError> {
        crate::tls::install();
        let (mut config, origin, file, context) = match kubeconfig(settings.kubeconfig.as_deref())? {
            Some((kubeconfig, file)) => {
                let context = choose(&kubeconfig, settings.context.as_deref(), &file)?;
                let options = KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
                let unusable = |e: KubeconfigError| ConnectError::Unusable { file: file.clone(), context: context.clone(), why: words(&e) };
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)?;
                (config, format!("context {context} of {file}"), file, context)
            }
            None => {
                let config = Config::incluster().map_err(|e| ConnectError::Pod(e.to_string()))?;
                (config, "this pod".to_owned(), "of this pod".to_owned(), "in-cluster".to_owned())
            }
        };
        config.connect_timeout = Some(CONNECT);
        // Calls have deadlines of their own; a second layer of retries would multiply them.
        config.read_timeout = None;
        config.default_retry = false;
        if let (Ok(name), Ok(value)) = ("user-agent".parse(), user_agent().parse()) {
            config.headers.push((name, value));
        }
        let server = origin_of(&config.cluster_url.to_string());
        let unusable = |why: String| ConnectError::Unusable { file: file.clone(), context: context.clone(), why };
        // An exec plugin is the user's own program; it may take its time, so it must not hold up other tasks.
        let made = tokio::time::timeout(CREDENTIALS, tokio::task::spawn_blocking(move || Client::try_from(config))).await;
        let client = match made {
            Err(_) => Err(unusable(format!("no credentials within {} s", CREDENTIALS.as_secs()))),
            Ok(Err(e)) => Err(unusable(e.to_string())),
            Ok(Ok(made)) => made.map_err(|e| unusable(CallError::of(&e).to_string())),
        }?;
        Ok(Self { client, server, origin })
    }

    /// A failure of reading the cluster as a whole.
    pub(crate) fn failure(&self, error: &CallError) -> crate::witness::Failure {
        let message = format!("cannot read the cluster at {} ({}): {error}", self.server, self.origin);
        crate::witness::Failure::new(error.kind(), message)
    }
}

/// What we call ourselves in the API server's audit log.
fn user_agent() -> String {
    format!("snapgap/{}", env!("CARGO_PKG_VERSION"))
}

/// A URL without user information, path and query.
fn origin_of(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| "an address that is no URL".to_owned(),
        |u| {
            let port = u.port().map(|p| format!(":{p}")).unwrap_or_default();
            format!("{}://{}{port}", u.scheme(), u.host_str().unwrap_or_default())
        },
    )
}

/// The kubeconfig to use and where it lies; `None` in a pod without one.
fn kubeconfig(asked: Option<&Path>) -> Result<Option<(Kubeconfig, String)>, ConnectError> {
    let read = |file: String, result: Result<Kubeconfig, KubeconfigError>| match result {
        Ok(config) => Ok(Some((config, file))),
        Err(e) => Err(ConnectError::Unreadable { file, why: words(&e) }),
    };
    if let Some(path) = asked {
        return read(path.display().to_string(), Kubeconfig::read_from(path));
    }
    if let Some(paths) = env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
        let file = env::split_paths(&paths).map(|p| p.display().to_string()).filter(|p| !p.is_empty()).collect::<Vec<_>>().join(", ");
        return read(file, Kubeconfig::read());
    }
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default().join(".kube/config");
    if home.exists() {
        return read(home.display().to_string(), Kubeconfig::read_from(&home));
    }
    if env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Ok(None);
    }
    Err(ConnectError::NoCluster { looked: home.display().to_string() })
}

/// The context to use.
fn choose(kubeconfig: &Kubeconfig, asked: Option<&str>, file: &str) -> Result<String, ConnectError> {
    let mut names: Vec<&str> = kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    let known = || if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let Some(context) = asked.or(kubeconfig.current_context.as_deref()).filter(|c| !c.is_empty()) else {
        return Err(ConnectError::NoCurrentContext { file: file.into(), known: known() });
    };
    if names.contains(&context) {
        Ok(context.to_owned())
    } else {
        Err(ConnectError::NoContext { file: file.into(), context: context.into(), known: known() })
    }
}

/// What is wrong with a kubeconfig. The parser's own message shows the lines around the place, and those may hold a token.
fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(e) => match e.location() {
            Some(at) => format!("not a kubeconfig: error at line {}, column {}", at.line(), at.column()),
            None => "not a kubeconfig".to_owned(),
        },
        KubeconfigError::ReadConfig(e, path) => format!("{}: {e}", path.display()),
        KubeconfigError::ParseProxyUrl(_) => "its proxy-url, or the proxy in the environment, is no URL".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "apiVersion: v1\nkind: Config\ncurrent-context: b\ncontexts:\n- name: b\n  context: {cluster: c, user: u}\n\
        - name: a\n  context: {cluster: gone, user: u}\nclusters:\n- name: c\n  cluster: {server: 'https://user:canary@127.0.0.1:1/x'}\n\
        users:\n- name: u\n  user: {token: canary}\n";

    async fn connect(text: &str, context: Option<&str>) -> Result<Connection, String> {
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("config");
        std::fs::write(&file, text).expect("written");
        let settings = config::Cluster { kubeconfig: Some(file), context: context.map(str::to_owned), ..Default::default() };
        let place = dir.path().display().to_string();
        Connection::connect(&settings).await.map_err(|e| format!("{}: {}", e.kind(), e.to_string().replace(&place, "DIR")))
    }

    #[tokio::test]
    async fn errors_name_the_file_the_context_and_the_contexts_there_are() {
        for (text, context, says) in [
            (TWO, Some("c"), "no_context: the kubeconfig DIR/config has no context c; it has a, b"),
            (
                "contexts: [{name: x, context: {cluster: c}}]",
                None,
                "no_context: the kubeconfig DIR/config has no current context; choose one of x with --context",
            ),
            (
                TWO,
                Some("a"),
                "kubeconfig_unusable: context a of the kubeconfig DIR/config cannot be used: failed to load the cluster of context: gone",
            ),
        ] {
            assert_eq!(connect(text, context).await.expect_err("refused"), says);
        }
        let torn = connect("users:\n- name: u\n  user: {token: canary\n", None).await.expect_err("refused");
        assert!(torn.starts_with("kubeconfig_unreadable: cannot read the kubeconfig DIR/config: ") && !torn.contains("canary"), "{torn}");
    }

    #[tokio::test]
    async fn an_exec_plugin_that_fails_is_told_without_its_output_and_environment() {
        let exec = "{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo canary; exit 3'], interactiveMode: Never, \
                    env: [{name: TOKEN, value: canary}]}";
        let text = TWO.replace("{token: canary}", &format!("{{exec: {exec}}}"));
        let error = connect(&text, None).await.expect_err("refused");
        assert!(error.contains("exec plugin failed with exit status: 3") && !error.contains("canary"), "{error}");
    }

    #[tokio::test]
    async fn a_connection_shows_no_credentials() {
        let made = connect(TWO, None).await.expect("prepared");
        let shown = format!("{made:?}");
        assert!(made.server == "https://127.0.0.1:1" && !shown.contains("canary"), "{shown}");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let settings = config::Cluster { kubeconfig: Some("/nowhere/at/all".into()), ..Default::default() };
        let error = Connection::connect(&settings).await.expect_err("refused");
        assert!(error.to_string().contains("/nowhere/at/all") && error.kind() == "kubeconfig_unreadable", "{error}");
    }
}
