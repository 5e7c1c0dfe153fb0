//! Flags that hold several values in one text. pure

use crate::config::file::{AppEntry, BackupEntry, ConfigError};

/// Splits `PATH_OR_URL[@REF]`. An `@` before the host (`git@host:path`, `ssh://git@host/x`) is no ref, nor is one in a path that exists.
pub(super) fn split_ref(text: &str, exists: impl Fn(&str) -> bool) -> (String, Option<String>) {
    let whole = || (text.to_owned(), None);
    if exists(text) {
        return whole();
    }
    let Some((location, reference)) = text.rsplit_once('@') else { return whole() };
    let after_host = match location.split_once("://") {
        Some((scheme, rest)) => rest.contains('/') || scheme == "file",
        None => !reference.contains(':'),
    };
    if location.is_empty() || reference.is_empty() || !after_host { whole() } else { (location.to_owned(), Some(reference.to_owned())) }
}

/// Parses `NAME=PATH[:RENDERER][,KEY=VALUE ...]`. A key that may repeat (`value_files`) collects its values.
pub(super) fn parse_app(text: &str) -> Result<AppEntry, ConfigError> {
    let bad = |m: String| ConfigError(format!("--app {text}: {m}"));
    let mut parts = text.split(',');
    let head = parts.next().unwrap_or_default();
    let (name, path) = head.split_once('=').ok_or_else(|| bad("write NAME=PATH[:RENDERER][,KEY=VALUE ...]".into()))?;
    let (path, renderer) = path.rsplit_once(':').map_or((path, None), |(p, r)| (p, Some(r)));
    let mut map = serde_yaml::Mapping::new();
    let text_of = |t: &str| serde_yaml::Value::String(t.to_owned());
    map.insert(text_of("name"), text_of(name));
    map.insert(text_of("path"), text_of(path));
    if let Some(r) = renderer {
        map.insert(text_of("renderer"), text_of(r));
    }
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| bad(format!("`{part}` is not KEY=VALUE")))?;
        let parsed = match value {
            "true" => serde_yaml::Value::Bool(true),
            "false" => serde_yaml::Value::Bool(false),
            other => text_of(other),
        };
        let key_value = text_of(key);
        if key == "value_files" {
            let list = map.entry(key_value).or_insert_with(|| serde_yaml::Value::Sequence(Vec::new()));
            if let Some(list) = list.as_sequence_mut() {
                list.push(parsed);
            }
        } else if map.insert(key_value, parsed).is_some() {
            return Err(bad(format!("`{key}` is given twice")));
        }
    }
    serde_yaml::from_value(serde_yaml::Value::Mapping(map)).map_err(|e| bad(e.to_string()))
}

/// Parses `FILE`, `NAME=FILE` or `NAME=FILE,start=TIME`.
pub(super) fn parse_backup(text: &str) -> Result<BackupEntry, ConfigError> {
    let bad = |m: String| ConfigError(format!("--backup {text}: {m}"));
    let (head, start) = match text.split_once(",start=") {
        Some((head, start)) => (head, Some(start.to_owned())),
        None => (text, None),
    };
    let (name, file) = match head.split_once('=') {
        Some((name, file)) if !name.contains('/') => (Some(name.to_owned()), file),
        _ => (None, head),
    };
    if file.is_empty() || file.contains(",") && start.is_none() {
        return Err(bad("write FILE or NAME=FILE,start=TIME".into()));
    }
    Ok(BackupEntry { file: file.into(), name, start })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_ref_is_told_from_an_address() {
        for (text, location, reference) in [
            ("/srv/repo", "/srv/repo", None),
            ("/srv/repo@main", "/srv/repo", Some("main")),
            ("/srv/repo@feature/x", "/srv/repo", Some("feature/x")),
            ("/srv/a@b", "/srv/a@b", None),
            ("git@git.example.com:x.git", "git@git.example.com:x.git", None),
            ("git@git.example.com:x.git@v1", "git@git.example.com:x.git", Some("v1")),
            ("ssh://git@git.example.com/x", "ssh://git@git.example.com/x", None),
            ("https://git.example.com/x@main", "https://git.example.com/x", Some("main")),
            ("file:///srv/repo@main", "file:///srv/repo", Some("main")),
        ] {
            let got = split_ref(text, |p| p == "/srv/a@b");
            assert_eq!(got, (location.to_owned(), reference.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn an_app_takes_the_keys_of_the_file() {
        let app = parse_app("shop=apps/shop:directory,namespace=shop,recurse=true").expect("good");
        assert_eq!((app.name.as_str(), app.path.as_str(), app.renderer.as_deref()), ("shop", "apps/shop", Some("directory")));
        assert_eq!((app.namespace.as_deref(), app.recurse), (Some("shop"), Some(true)));
        let helm = parse_app("a=chart:helm,value_files=x.yaml,value_files=y.yaml").expect("good");
        assert_eq!(helm.value_files, Some(vec!["x.yaml".to_owned(), "y.yaml".to_owned()]));
        for (text, part) in [
            ("shop", "write NAME=PATH"),
            ("a=b,colour=red", "unknown field `colour`"),
            ("a=b,recurse", "is not KEY=VALUE"),
            ("a=b,namespace=x,namespace=y", "given twice"),
            ("a=b,recurse=perhaps", "invalid type"),
        ] {
            let error = parse_app(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_backup_is_a_file_or_a_named_file_with_a_start() {
        let b = parse_backup("nightly=/b/x.tar.gz,start=2026-01-02T03:04:05Z").expect("good");
        assert_eq!((b.name.as_deref(), b.start.as_deref()), (Some("nightly"), Some("2026-01-02T03:04:05Z")));
        assert_eq!(parse_backup("/b/x.tar.gz").expect("good").file, PathBuf::from("/b/x.tar.gz"));
        assert_eq!(parse_backup("/b=c/x.tar.gz").expect("good").name, None);
        assert!(parse_backup("n=").is_err());
    }
}
