//! Credentials in the forms that Velero's plugins take them. pure
//!
//! An ini file with profiles for S3 (velero-plugin-for-aws), lines of `NAME=value` for Azure (velero-plugin-for-microsoft-azure), a service
//! account's key in JSON for GCP. What is wrong is told by line and name; values are quoted nowhere, and nothing here is printable.

use std::{collections::BTreeMap, fmt};

/// Keys of S3.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// `aws_access_key_id`.
    pub id: String,
    /// `aws_secret_access_key`.
    pub secret: String,
    /// `aws_session_token`.
    pub token: Option<String>,
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsKeys(hidden)")
    }
}

/// Reads one profile of an ini file.
pub fn aws(text: &str, profile: &str) -> Result<AwsKeys, String> {
    let mut sections: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = None;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let name = name.trim();
            section = Some(name.strip_prefix("profile ").unwrap_or(name));
            sections.entry(section.unwrap_or_default()).or_default();
            continue;
        }
        let (Some(section), Some((key, value))) = (section, line.split_once('=')) else {
            return Err(format!("line {} of the credentials is neither `[profile]` nor `name = value`", n + 1));
        };
        sections.entry(section).or_default().insert(key.trim().to_ascii_lowercase(), unquoted(value.trim()).to_owned());
    }
    let Some(own) = sections.get(profile) else {
        let known: Vec<&str> = sections.keys().copied().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("the credentials have no profile {profile}; there is {known}"));
    };
    let need =
        |key: &str| own.get(key).filter(|v| !v.is_empty()).cloned().ok_or_else(|| format!("profile {profile} of the credentials has no {key}"));
    Ok(AwsKeys { id: need("aws_access_key_id")?, secret: need("aws_secret_access_key")?, token: own.get("aws_session_token").cloned() })
}

/// Reads lines of `NAME=value`.
pub fn variables(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| format!("line {} of the credentials is not `NAME=value`", n + 1))?;
        found.insert(key.trim().trim_start_matches("export ").to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(found)
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn veleros_ini_is_read_by_profile() {
        let text = "# note\n[default]\naws_access_key_id = AK\naws_secret_access_key=\"s=c/ret+\"\n\n[profile other]\nAWS_ACCESS_KEY_ID=o\naws_secret_access_key = p\naws_session_token=t\n";
        let keys = aws(text, "default").expect("read");
        assert_eq!((&*keys.id, &*keys.secret, keys.token.as_deref()), ("AK", "s=c/ret+", None));
        assert_eq!(aws(text, "other").expect("read").token.as_deref(), Some("t"));
        assert_eq!(format!("{keys:?}"), "AwsKeys(hidden)");
    }

    #[test]
    fn what_is_wrong_is_told_without_a_value() {
        for (text, profile, says) in [
            ("canary", "default", "line 1 of the credentials is neither"),
            ("aws_access_key_id=canary", "default", "line 1 of the credentials is neither"),
            ("[default]\ncanary", "default", "line 2 of the credentials is neither"),
            ("[a]\n[b]\n", "default", "no profile default; there is a, b"),
            ("", "default", "there is none"),
            ("[default]\naws_secret_access_key=canary", "default", "has no aws_access_key_id"),
            ("[default]\naws_access_key_id=canary\naws_secret_access_key=", "default", "has no aws_secret_access_key"),
        ] {
            let error = aws(text, profile).expect_err(says);
            assert!(error.contains(says) && !error.contains("canary"), "{error}");
        }
        let error = variables("A=b\ncanary").expect_err("no name");
        assert!(error.contains("line 2") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn variables_are_read_as_azures_plugin_reads_them() {
        let read = variables("# x\nAZURE_TENANT_ID=t\nexport AZURE_CLIENT_ID='c'\nAZURE_STORAGE_ACCOUNT_ACCESS_KEY=a==\n").expect("read");
        assert_eq!(read.values().map(String::as_str).collect::<Vec<_>>(), ["c", "a==", "t"]);
    }
}
