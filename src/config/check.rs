//! From the file as written to a validated [`Config`]: every refusal names the key, the place and the way out. pure

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use super::{
    App, AppName, ArchiveLimits, BackupFile, Cluster, Config, Confirm, DirectoryOptions, GitAuth, HelmOptions, History, IgnoreRule, LayerRules,
    Metrics, Render, Renderer, SecretSource, Source, SourceName, Velero, Web,
    duration::{parse_bytes, parse_duration},
    file::{
        AppEntry, AuthEntry, ClusterEntry, ConfigError, ConfirmBy, File, IgnoreEntry, LayerEntry, ManagersEntry, ObjectivesEntry, RenderEntry,
        SourceEntry, Surroundings, VeleroEntry, WebEntry,
    },
    layers::{LayerRule, globs},
    stores,
};
use crate::drift::{Managers, Writer};

pub(super) fn refuse<T>(message: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(message.into()))
}

impl File {
    /// Checks everything that can be checked without I/O.
    pub fn validate(self, around: &Surroundings) -> Result<Config, ConfigError> {
        let sources = self.sources.into_iter().map(source).collect::<Result<Vec<_>, _>>()?;
        let sources = unique("sources", sources, |s| s.name.clone())?;
        let apps = self.apps.into_iter().map(|a| app(a, &sources)).collect::<Result<Vec<_>, _>>()?;
        let apps = unique("apps", apps, |a| a.name.clone())?;
        Ok(Config {
            sources,
            apps,
            cluster: cluster(self.cluster)?,
            velero: velero(self.velero)?,
            layers: layer_rules(self.layers, &self.objectives)?,
            ignore: self.ignore.into_iter().map(ignore).collect::<Result<_, _>>()?,
            managers: managers(self.managers)?,
            render: render(self.render)?,
            stale_after: duration("stale_after", self.stale_after, Duration::from_secs(3600))?,
            history: History { commits: self.history.commits.unwrap_or(500), renders: self.history.renders.unwrap_or(50) },
            web: web(self.web)?,
            metrics: Metrics {
                max_object_series: self.metrics.max_object_series.unwrap_or(500),
                max_namespaces: self.metrics.max_namespaces.unwrap_or(200),
                max_schedules: self.metrics.max_schedules.unwrap_or(100),
            },
            cache_dir: self.cache_dir.unwrap_or_else(|| around.cache_dir.clone()),
            state_file: self.state_file,
        })
    }
}

fn unique<K: Ord + Clone + std::fmt::Display, V>(what: &str, items: Vec<V>, key: impl Fn(&V) -> K) -> Result<BTreeMap<K, V>, ConfigError> {
    let mut map = BTreeMap::new();
    for item in items {
        let name = key(&item);
        if map.insert(name.clone(), item).is_some() {
            return refuse(format!("{what}: the name `{name}` is used twice; names are unique"));
        }
    }
    Ok(map)
}

pub(super) fn duration(key: &str, text: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    text.map_or(Ok(default), |t| parse_duration(&t)).map_err(|e| ConfigError(format!("{key}: {e}")))
}

fn bytes(key: &str, text: Option<String>, default: u64) -> Result<u64, ConfigError> {
    text.map_or(Ok(default), |t| parse_bytes(&t)).map_err(|e| ConfigError(format!("{key}: {e}")))
}

fn timestamp(key: &str, text: Option<String>) -> Result<Option<jiff::Timestamp>, ConfigError> {
    text.map(|t| t.parse().map_err(|_| ConfigError(format!("{key}: `{t}` is not a time; write for example 2026-01-02T03:04:05Z")))).transpose()
}

/// Names are metric labels and file names: letters, digits, dot, dash, underscore, slash; at most 253 bytes.
fn name(what: &str, text: &str) -> Result<(), ConfigError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if text.is_empty() || text.len() > 253 || !text.chars().all(good) {
        return refuse(format!("{what}: `{}` is not a name; use letters, digits, dots, dashes and underscores", text.escape_debug()));
    }
    Ok(())
}

fn source(entry: SourceEntry) -> Result<Source, ConfigError> {
    let label = entry.name.unwrap_or_else(|| "main".into());
    name("sources", &label)?;
    let at = |key: &str| format!("source {label}: {key}");
    if entry.url.trim().is_empty() {
        return refuse(at("url is empty; give a path or an https, ssh or file URL"));
    }
    if has_credentials(&entry.url) {
        return refuse(at("url holds a password; name it by auth.password_file or auth.password_env instead"));
    }
    if entry.url.contains("://") && entry.url.contains(['?', '#']) {
        return refuse(at("url has a `?` or `#`, where tokens tend to stand; name a token by auth.token_file or auth.token_env instead"));
    }
    if entry.proxy.as_deref().is_some_and(has_credentials) {
        return refuse(at("proxy holds a password, which would be shown to whoever reads this file; use a proxy without one"));
    }
    let interval = duration(&at("interval"), entry.interval, Duration::from_secs(60))?;
    if interval < Duration::from_secs(1) {
        return refuse(at("interval is under one second"));
    }
    Ok(Source {
        auth: auth(&label, entry.auth)?,
        timeout: duration(&at("timeout"), entry.timeout, Duration::from_secs(120))?,
        max_fetch_bytes: bytes(&at("max_fetch"), entry.max_fetch, 1 << 30)?,
        name: SourceName(label.into()),
        location: entry.url,
        reference: entry.reference.filter(|r| !r.is_empty()),
        ca_file: entry.ca_file,
        proxy: entry.proxy,
        interval,
    })
}

/// Whether a URL carries a password. A user name alone (`git@host`) is an address, not a secret.
pub(super) fn has_credentials(location: &str) -> bool {
    let Some((_, rest)) = location.split_once("://") else {
        // `user:password@host:path`; a path on this machine may have an `@` in it.
        let user = location.split('/').next().and_then(|head| head.split_once('@')).map(|(user, _)| user);
        return user.is_some_and(|user| user.contains(':'));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') || location.starts_with("http"))
}

fn auth(label: &str, entry: AuthEntry) -> Result<GitAuth, ConfigError> {
    let at = |m: &str| ConfigError(format!("source {label}: auth: {m}"));
    let pick = |file: Option<PathBuf>, env: Option<String>, what: &str| match (file, env) {
        (Some(_), Some(_)) => Err(at(&format!("{what}_file and {what}_env are both set; keep one"))),
        (Some(f), None) => Ok(Some(SecretSource::File(f))),
        (None, Some(e)) => Ok(Some(SecretSource::Env(e))),
        (None, None) => Ok(None),
    };
    let password = pick(entry.password_file, entry.password_env, "password")?;
    let token = pick(entry.token_file, entry.token_env, "token")?;
    let ssh = match (entry.ssh_key_file, entry.known_hosts_file) {
        (Some(key_file), Some(known_hosts_file)) => Some(GitAuth::Ssh { key_file, known_hosts_file }),
        (None, None) => None,
        _ => return Err(at("ssh needs both ssh_key_file and known_hosts_file: host keys are always checked")),
    };
    match (password, token, ssh) {
        (None, None, None) if entry.username.is_some() => Err(at("username without password_file or password_env")),
        (None, None, None) => Ok(GitAuth::None),
        (Some(password), None, None) => Ok(GitAuth::Basic { username: entry.username.unwrap_or_else(|| "git".into()), password }),
        (None, Some(token), None) => Ok(GitAuth::Bearer(token)),
        (None, None, Some(ssh)) => Ok(ssh),
        _ => Err(at("more than one of password, token and ssh key is set; keep one")),
    }
}

fn app(entry: AppEntry, sources: &BTreeMap<SourceName, Source>) -> Result<App, ConfigError> {
    name("apps", &entry.name)?;
    let at = |m: String| ConfigError(format!("app {}: {m}", entry.name));
    let source = match &entry.source {
        Some(s) => sources.keys().find(|k| &*k.0 == s.as_str()).cloned().ok_or_else(|| {
            let known: Vec<_> = sources.keys().map(|k| k.0.to_string()).collect();
            at(format!("no source `{s}`; there is {}", if known.is_empty() { "none".into() } else { known.join(", ") }))
        })?,
        None => match sources.len() {
            1 => sources.keys().next().cloned().ok_or_else(|| at("no source".into()))?,
            0 => return Err(at("no source is configured; add one to `sources` (or give --git)".into())),
            _ => return Err(at("several sources are configured; say which one by `source`".into())),
        },
    };
    let path = entry.path.trim_matches('/').trim_start_matches("./").trim_end_matches("/.").to_owned();
    let path = if path == "." { String::new() } else { path };
    if path.split('/').any(|step| step == ".." || step == ".") || (path.contains("//")) {
        return Err(at(format!("path `{}` leaves the source or has empty steps; write it from the source's root", entry.path)));
    }
    let directory_keys = ["recurse", "include", "exclude", "rules"];
    let directory_set = [entry.recurse.is_some(), entry.include.is_some(), entry.exclude.is_some(), entry.rules.is_some()];
    let helm_keys = ["release_name", "value_files", "values", "kube_version", "skip_crds"];
    let helm_set =
        [entry.release_name.is_some(), entry.value_files.is_some(), entry.values.is_some(), entry.kube_version.is_some(), entry.skip_crds.is_some()];
    let stray = |renderer: &str, keys: &[&str], set: &[bool]| match keys.iter().zip(set).find(|(_, set)| **set) {
        Some((key, _)) => Err(at(format!("`{key}` has no meaning for renderer {renderer}"))),
        None => Ok(()),
    };
    // Naming an option of one renderer chooses it, as Argo CD does.
    let chosen = match entry.renderer.as_deref() {
        Some(r) => r,
        None if directory_set.contains(&true) => "directory",
        None if helm_set.contains(&true) => "helm",
        None => "auto",
    };
    let renderer = match chosen {
        "auto" => {
            stray("auto", &directory_keys, &directory_set)?;
            stray("auto", &helm_keys, &helm_set)?;
            Renderer::Auto
        }
        "directory" => {
            stray("directory", &helm_keys, &helm_set)?;
            for (key, glob) in [("include", &entry.include), ("exclude", &entry.exclude)] {
                glob.as_ref().map_or(Ok(()), |g| globs(&[g]).map(drop)).map_err(|e| at(format!("{key}: {e}")))?;
            }
            Renderer::Directory(DirectoryOptions {
                recurse: entry.recurse.unwrap_or(false),
                include: entry.include.clone(),
                exclude: entry.exclude.clone(),
                rules: entry.rules.unwrap_or_default(),
            })
        }
        "kustomize" => {
            stray("kustomize", &directory_keys, &directory_set)?;
            stray("kustomize", &helm_keys, &helm_set)?;
            Renderer::Kustomize
        }
        "helm" => {
            stray("helm", &directory_keys, &directory_set)?;
            Renderer::Helm(HelmOptions {
                release_name: entry.release_name.clone(),
                value_files: entry.value_files.clone().unwrap_or_default(),
                values: entry.values.clone(),
                kube_version: entry.kube_version.clone(),
                skip_crds: entry.skip_crds.unwrap_or(false),
            })
        }
        other => return Err(at(format!("no renderer `{other}`; there is auto, directory, kustomize and helm"))),
    };
    if let Some(ns) = &entry.namespace {
        let good = ns.len() <= 63 && !ns.is_empty() && ns.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            return Err(at(format!("namespace `{}` is not a namespace's name", ns.escape_debug())));
        }
    }
    Ok(App { name: AppName(entry.name.as_str().into()), source, path, namespace: entry.namespace.map(Into::into), layer: entry.layer, renderer })
}

fn cluster(entry: ClusterEntry) -> Result<Cluster, ConfigError> {
    if entry.dump.is_some() && (entry.kubeconfig.is_some() || entry.context.is_some()) {
        return refuse("cluster: dump and kubeconfig or context are both set; a dump stands in for a cluster");
    }
    globs(&entry.exclude).map_err(|e| ConfigError(format!("cluster: exclude: {e}")))?;
    let confirm = confirm(&entry)?;
    Ok(Cluster { dump: entry.dump, kubeconfig: entry.kubeconfig, context: entry.context, exclude: entry.exclude, secrets: entry.secrets, confirm })
}

fn confirm(entry: &ClusterEntry) -> Result<Option<Confirm>, ConfigError> {
    if entry.confirm == ConfirmBy::None {
        return match (entry.confirm_per_second, &entry.confirm_again) {
            (None, None) => Ok(None),
            _ => refuse("cluster: confirm_per_second and confirm_again say how the server is asked, and nobody asks it: set confirm: server"),
        };
    }
    if entry.dump.is_some() {
        return refuse("cluster: confirm: server asks an API server, and a dump has none; take one of the two away");
    }
    let per_second = entry.confirm_per_second.unwrap_or(5);
    if !(1..=100).contains(&per_second) {
        return refuse("cluster: confirm_per_second is 1 to 100");
    }
    let again = duration("cluster: confirm_again", entry.confirm_again.clone(), Duration::from_secs(3600))?;
    if again < Duration::from_secs(60) {
        return refuse("cluster: confirm_again is under one minute");
    }
    Ok(Some(Confirm { per_second, again }))
}

fn zone(name: &str) -> Result<jiff::tz::TimeZone, ConfigError> {
    crate::velero::cron::zone(name).map_err(|_| ConfigError(format!("velero: time_zone: there is no time zone `{name}`")))
}

fn velero(entry: VeleroEntry) -> Result<Velero, ConfigError> {
    let mut names = BTreeSet::new();
    let mut backups = Vec::new();
    for b in entry.backups {
        if let Some(n) = &b.name
            && !names.insert(n.clone())
        {
            return refuse(format!("velero: backups: the name `{n}` is used twice"));
        }
        backups.push(BackupFile { start: timestamp("velero: backups: start", b.start)?, path: b.file, name: b.name });
    }
    Ok(Velero {
        namespace: entry.namespace.unwrap_or_else(|| "velero".into()).into(),
        time_zone: entry.time_zone.map(|z| zone(&z)).transpose()?,
        backups,
        limits: ArchiveLimits {
            entries: entry.max_entries.unwrap_or(2_000_000),
            object_bytes: bytes("velero: max_object", entry.max_object, 16 << 20)?,
            total_bytes: bytes("velero: max_total", entry.max_total, 16 << 30)?,
            time: duration("velero: timeout", entry.timeout, Duration::from_secs(600))?,
        },
        stores: stores::stores(entry.stores)?,
        downloads: entry.download_requests.map(stores::downloads).transpose()?,
        read: entry.read,
        interval: duration("velero: interval", entry.interval, Duration::from_secs(60))?,
        max_cache: bytes("velero: max_cache", entry.max_cache, 1 << 30)?,
    })
}

fn layer_rules(entries: Vec<LayerEntry>, objectives: &ObjectivesEntry) -> Result<LayerRules, ConfigError> {
    let defaults = LayerRules::default();
    let mut rules = Vec::new();
    for (n, e) in entries.into_iter().enumerate() {
        let at = |m: String| ConfigError(format!("layers[{n}]: {m}"));
        if e.apps.is_none() && e.namespaces.is_none() && e.kinds.is_none() {
            return Err(at("names nothing; give apps, namespaces or kinds".into()));
        }
        let set = |patterns: Option<Vec<String>>| patterns.map(|p| globs(&p)).transpose();
        rules.push(LayerRule {
            layer: e.layer,
            apps: set(e.apps).map_err(at)?,
            namespaces: set(e.namespaces).map_err(at)?,
            kinds: set(e.kinds).map_err(at)?,
        });
    }
    rules.extend(defaults.rules);
    let [c, p, a] = defaults.objectives;
    let objectives = [
        duration("objectives: cluster", objectives.cluster.clone(), c)?,
        duration("objectives: platform", objectives.platform.clone(), p)?,
        duration("objectives: apps", objectives.apps.clone(), a)?,
    ];
    Ok(LayerRules { rules, objectives })
}

fn ignore(entry: IgnoreEntry) -> Result<IgnoreRule, ConfigError> {
    let at = |m: String| ConfigError(format!("ignore `{}`: {m}", entry.reason));
    if entry.reason.trim().is_empty() {
        return refuse("ignore: every rule needs a reason");
    }
    if [&entry.group, &entry.kind, &entry.namespace, &entry.name].iter().all(|p| p.is_none())
        && entry.pointers.is_empty()
        && entry.jq.is_empty()
        && entry.managers.is_empty()
    {
        return Err(at("names nothing, so it would leave out everything".into()));
    }
    for glob in [&entry.group, &entry.kind, &entry.namespace, &entry.name].into_iter().flatten() {
        globs(&[glob]).map_err(at)?;
    }
    if let Some(bad) = entry.pointers.iter().find(|p| !p.starts_with('/')) {
        return Err(at(format!("`{bad}` is not a JSON pointer; it starts with a slash, for example /spec/replicas")));
    }
    for text in &entry.jq {
        crate::drift::exempt::readable(text).map_err(|why| at(format!("the jq expression `{text}` cannot be used: {why}")))?;
    }
    Ok(IgnoreRule {
        expires: timestamp("ignore: expires", entry.expires.clone())?,
        reason: entry.reason,
        group: entry.group,
        kind: entry.kind,
        namespace: entry.namespace,
        name: entry.name,
        pointers: entry.pointers,
        jq: entry.jq,
        managers: entry.managers,
    })
}

fn managers(entry: ManagersEntry) -> Result<Managers, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut own = Vec::new();
    let lists = [(Writer::Deployer, entry.deployer), (Writer::Person, entry.person), (Writer::Controller, entry.controller)];
    for (class, names) in lists.into_iter().chain([(Writer::Unknown, entry.unknown)]) {
        for name in names {
            let at = |m: &str| ConfigError(format!("managers: {}: `{}` {m}", class.name(), name.escape_debug()));
            let middle = name.strip_prefix('*').unwrap_or(&name);
            let middle = middle.strip_suffix('*').unwrap_or(middle);
            if middle.is_empty() || middle.contains('*') {
                return Err(at("is not a name; write one as it stands in managedFields, with `*` at its beginning or end for anything"));
            }
            if !seen.insert(name.clone()) {
                return Err(at("is named twice; a manager is of one class"));
            }
            own.push((class, name));
        }
    }
    Ok(Managers::with(own))
}

fn render(entry: RenderEntry) -> Result<Render, ConfigError> {
    Ok(Render {
        sandbox: entry.sandbox,
        kustomize: entry.kustomize.unwrap_or_else(|| "kustomize".into()),
        helm: entry.helm.unwrap_or_else(|| "helm".into()),
        timeout: duration("render: timeout", entry.timeout, Duration::from_secs(60))?,
        memory_bytes: bytes("render: max_memory", entry.max_memory, 2 << 30)?,
        output_bytes: bytes("render: max_output", entry.max_output, 64 << 20)?,
    })
}

fn web(entry: WebEntry) -> Result<Web, ConfigError> {
    let text = entry.listen.unwrap_or_else(|| "127.0.0.1:9645".into());
    let listen: SocketAddr = text
        .parse()
        .map_err(|_| ConfigError(format!("web: listen: `{text}` is not an address with a port, for example 127.0.0.1:9645 or [::]:9645")))?;
    let tls = match (entry.tls_cert_file, entry.tls_key_file) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return refuse("web: TLS needs both tls_cert_file and tls_key_file"),
    };
    Ok(Web { listen, token_file: entry.token_file, tls, enable_lifecycle: entry.enable_lifecycle })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Sandbox};

    fn load(text: &str) -> Result<Config, ConfigError> {
        File::parse(text)?.validate(&Surroundings { cache_dir: "/cache".into() })
    }

    #[test]
    fn a_whole_file_is_read() {
        let c = load(include_str!("../../tests/data/config/whole.yaml")).expect("valid");
        assert_eq!(c.sources.len(), 2);
        assert_eq!(c.apps.len(), 3);
        assert_eq!(c.web.listen.port(), 9700);
        assert_eq!(c.layers.objective(Layer::Apps), Duration::from_secs(4 * 3600));
        let helm = &c.apps[&AppName("shop".into())].renderer;
        assert!(matches!(helm, Renderer::Helm(h) if h.value_files == ["values-prod.yaml"]));
    }

    #[test]
    fn the_first_layer_rule_that_matches_decides_before_those_that_are_built_in() {
        use crate::object::ObjectId;
        let c = load(
            "layers:\n- {layer: platform, namespaces: ['infra-*']}\n- {layer: cluster, apps: [core-*]}\n- {layer: apps, kinds: [StorageClass.storage.k8s.io, Lease]}\n",
        );
        let layers = c.expect("valid").layers;
        for (kind, namespace, app, expected) in [
            ("ConfigMap", Some("infra-dns"), None, Layer::Platform),
            ("ConfigMap", Some("infra-dns"), Some("core-dns"), Layer::Platform),
            ("ConfigMap", Some("shop"), Some("core-dns"), Layer::Cluster),
            ("Lease", Some("kube-system"), None, Layer::Apps),
            ("ConfigMap", Some("kube-system"), None, Layer::Cluster),
            ("ConfigMap", Some("velero"), Some("backup"), Layer::Platform),
            ("ConfigMap", Some("shop"), Some("shop"), Layer::Apps),
            ("Namespace", None, None, Layer::Platform),
        ] {
            let name = if kind == "Namespace" { "infra-dns" } else { "x" };
            let id = ObjectId::new(if kind == "Lease" { "coordination.k8s.io" } else { "" }, kind, namespace, name);
            let app = app.map(|a| AppName(a.into()));
            assert_eq!(layers.layer_of(&id, app.as_ref()), expected, "{kind} in {namespace:?} of {app:?}");
        }
        let class = ObjectId::new("storage.k8s.io", "StorageClass", None, "fast");
        assert_eq!(layers.layer_of(&class, None), Layer::Apps, "a kind with its group");
    }

    #[test]
    fn nothing_at_all_is_a_configuration_too() {
        for text in ["", "# a comment\n", "---\n"] {
            let c = load(text).expect("empty is fine");
            assert!(c.apps.is_empty() && c.web.listen.ip().is_loopback() && !c.cluster.secrets && c.render.sandbox == Sandbox::Strict);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_place_and_the_way_out() {
        for (text, part) in include_str!("../../tests/data/config/refused.txt").split("\n====\n").filter_map(|case| case.split_once("\n--> ")) {
            let error = load(text).expect_err(text).to_string();
            assert!(error.contains(part.trim()), "for\n{text}\nexpected `{}` in `{error}`", part.trim());
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_without_repeating_it() {
        for url in ["https://ada:canary@git.example.com/x.git", "https://canary@git.example.com/x", "ssh://git:canary@git.example.com/x"] {
            let error = load(&format!("sources: [{{url: \"{url}\"}}]")).expect_err("refused").to_string();
            assert!(!error.contains("canary") && error.contains("password_file"), "{error}");
        }
        assert!(load("sources: [{url: \"ssh://git@git.example.com/x\"}, {name: b, url: \"git@git.example.com:x\"}]").is_ok());
    }
}
