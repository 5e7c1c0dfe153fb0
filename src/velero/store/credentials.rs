//! Credentials in the forms that Velero's plugins take them. pure
//!
//! An ini file with profiles for S3 (velero-plugin-for-aws), lines of `NAME=value` for Azure (velero-plugin-for-microsoft-azure, by
//! pkg/util/azure of Velero), a service account's key in JSON for GCP. What is wrong is told by line and name; values are quoted nowhere, and
//! nothing here is printable.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

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

/// How Azure is asked.
#[derive(Clone, PartialEq, Eq)]
pub enum AzureKeys {
    /// The storage account's key.
    Account(String),
    /// A service principal with its secret.
    Principal {
        /// `AZURE_TENANT_ID`.
        tenant: String,
        /// `AZURE_CLIENT_ID`.
        id: String,
        /// `AZURE_CLIENT_SECRET`.
        secret: String,
    },
    /// A workload identity: a token of the cluster's is changed for one of Azure's.
    Federated {
        /// `AZURE_TENANT_ID`.
        tenant: String,
        /// `AZURE_CLIENT_ID`.
        id: String,
        /// `AZURE_FEDERATED_TOKEN_FILE`.
        file: String,
    },
    /// The identity of the machine, or the one of these ids that it may take.
    Machine {
        /// `AZURE_CLIENT_ID`.
        id: Option<String>,
    },
}

impl fmt::Debug for AzureKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AzureKeys(hidden)")
    }
}

/// Which of Azure's clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AzureCloud {
    /// The public one.
    #[default]
    Public,
    /// That of China.
    China,
    /// That of the government of the United States.
    Government,
}

impl AzureCloud {
    /// By the names that Velero takes (`AZURE_CLOUD_NAME`).
    ///
    /// # Errors
    /// When it is none of them.
    pub fn named(name: &str) -> Result<Self, String> {
        match &*name.to_ascii_uppercase() {
            "" | "AZURECLOUD" | "AZUREPUBLICCLOUD" => Ok(Self::Public),
            "AZURECHINACLOUD" => Ok(Self::China),
            "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => Ok(Self::Government),
            _ => Err("AZURE_CLOUD_NAME is none of AzurePublicCloud, AzureChinaCloud and AzureUSGovernmentCloud".to_owned()),
        }
    }

    /// Where a storage account is, unless told otherwise.
    pub fn endpoint(self, account: &str) -> String {
        let suffix = match self {
            Self::Public => "core.windows.net",
            Self::China => "core.chinacloudapi.cn",
            Self::Government => "core.usgovcloudapi.net",
        };
        format!("https://{account}.blob.{suffix}")
    }

    /// Where tokens come from.
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::Government => "https://login.microsoftonline.us",
        }
    }
}

/// Reads Azure's variables. `key_variable` is the one that the location says holds the account's key; `around` is the environment, which an
/// identity that the cluster lends to a Pod stands in.
///
/// # Errors
/// When they hold nothing by which Azure could be asked, or something that is not supported.
pub fn azure(text: &str, key_variable: Option<&str>, around: &dyn Fn(&str) -> Option<String>) -> Result<(AzureKeys, AzureCloud), String> {
    let own = variables(text)?;
    let get = |key: &str| own.get(key).filter(|v| !v.is_empty()).cloned();
    let either = |key: &str| get(key).or_else(|| around(key).filter(|v| !v.is_empty()));
    let cloud = AzureCloud::named(&get("AZURE_CLOUD_NAME").unwrap_or_default())?;
    let key = match key_variable {
        Some(name) => {
            Some((name, get(name).ok_or_else(|| format!("the credentials have no {name}, which storageAccountKeyEnvVar of its location names"))?))
        }
        None => ["AZURE_STORAGE_ACCOUNT_ACCESS_KEY", "AZURE_STORAGE_KEY"].into_iter().find_map(|name| Some((name, get(name)?))),
    };
    if let Some((name, key)) = key {
        STANDARD.decode(&key).map_err(|_| format!("{name} of the credentials is not base64, as the key of a storage account is"))?;
        return Ok((AzureKeys::Account(key), cloud));
    }
    let need = |key: &str| either(key).ok_or_else(|| format!("the credentials have no {key}"));
    if let Some(secret) = get("AZURE_CLIENT_SECRET") {
        return Ok((AzureKeys::Principal { tenant: need("AZURE_TENANT_ID")?, id: need("AZURE_CLIENT_ID")?, secret }, cloud));
    }
    if let Some(name) = ["AZURE_CLIENT_CERTIFICATE", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME"].into_iter().find(|name| get(name).is_some()) {
        return Err(format!("the credentials have {name}, which is not supported; give a key of the storage account, or AZURE_CLIENT_SECRET"));
    }
    if let Some(file) = either("AZURE_FEDERATED_TOKEN_FILE") {
        return Ok((AzureKeys::Federated { tenant: need("AZURE_TENANT_ID")?, id: need("AZURE_CLIENT_ID")?, file }, cloud));
    }
    if ["AZURE_CLIENT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_CLOUD_NAME"].iter().any(|name| get(name).is_some()) {
        return Ok((AzureKeys::Machine { id: get("AZURE_CLIENT_ID") }, cloud));
    }
    Err("the credentials hold neither AZURE_STORAGE_ACCOUNT_ACCESS_KEY nor AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET".to_owned())
}

/// What Google's credentials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoogleKeys {
    /// The key of a service account, with all that is needed of it.
    ServiceAccount,
    /// An identity that the workload has elsewhere (`external_account`).
    External,
}

/// Looks what a text in JSON is, as Google gives it out.
///
/// # Errors
/// When it is something that is not supported, or something is missing in it.
pub fn gcp(text: &str) -> Result<GoogleKeys, String> {
    let wrong = |what: &str| format!("the credentials are {what}; the key of a service account in JSON is needed, or an external_account");
    let Ok(Value::Object(key)) = serde_json::from_str(text) else { return Err(wrong("no JSON object")) };
    let get = |name: &str| key.get(name).and_then(Value::as_str).filter(|v| !v.is_empty());
    match get("type") {
        Some("service_account") | None => {}
        Some("external_account") => return Ok(GoogleKeys::External),
        Some("authorized_user") => return Err(wrong("those of a person (authorized_user)")),
        Some("impersonated_service_account") => {
            return Err(wrong("those of an impersonation (impersonated_service_account), which is not supported"));
        }
        Some(_) => return Err(wrong("of a type that is not known here")),
    }
    match ["private_key", "private_key_id", "client_email"].iter().find(|name| get(name).is_none()) {
        Some(name) => Err(format!("the key of the service account in the credentials has no {name}")),
        None => Ok(GoogleKeys::ServiceAccount),
    }
}

/// Reads lines of `NAME=value` as Velero does (godotenv): with `export`, quotes that may span lines, and notes behind ` #`.
fn variables(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| format!("line {} of the credentials is not `NAME=value`", n + 1))?;
        let value = value.trim();
        let value = match value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            Some(quote) => {
                let mut rest = value[1..].to_owned();
                while !rest.contains(quote) {
                    let (_, more) = lines.next().ok_or_else(|| format!("the quote in line {} of the credentials does not end", n + 1))?;
                    rest.push('\n');
                    rest.push_str(more);
                }
                rest.split(quote).next().unwrap_or_default().to_owned()
            }
            None => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
        };
        found.insert(key.trim().trim_start_matches("export ").trim().to_owned(), value);
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
        let read = variables("# x\nAZURE_TENANT_ID=t # note\nexport AZURE_CLIENT_ID='c'\nKEY=a==\nSECRET=\"x#\ny\" # z\nHASH=a#b\n").expect("read");
        let expected = [("AZURE_CLIENT_ID", "c"), ("AZURE_TENANT_ID", "t"), ("HASH", "a#b"), ("KEY", "a=="), ("SECRET", "x#\ny")];
        assert_eq!(read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        assert!(variables("A=\"canary\nb").expect_err("open").contains("the quote in line 1"));
    }

    fn of_azure(text: &str, key_variable: Option<&str>, around: &[(&str, &str)]) -> Result<(AzureKeys, AzureCloud), String> {
        azure(text, key_variable, &|name| around.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn azure_is_asked_as_veleros_plugin_asks_it() {
        let principal =
            "AZURE_SUBSCRIPTION_ID=s\nAZURE_TENANT_ID=t\nAZURE_CLIENT_ID=i\nAZURE_CLIENT_SECRET=x\nAZURE_CLOUD_NAME=AzureUSGovernmentCloud\n";
        let of_principal = AzureKeys::Principal { tenant: "t".into(), id: "i".into(), secret: "x".into() };
        let account = |key: &str| AzureKeys::Account(key.to_owned());
        let pod = [("AZURE_FEDERATED_TOKEN_FILE", "/token"), ("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "i")];
        let federated = AzureKeys::Federated { tenant: "t".into(), id: "i".into(), file: "/token".into() };
        let cases = [
            (principal, None, &pod[..0], of_principal.clone(), AzureCloud::Government),
            ("AZURE_STORAGE_ACCOUNT_ACCESS_KEY=QQ==\nAZURE_CLOUD_NAME=azurechinacloud", None, &pod[..0], account("QQ=="), AzureCloud::China),
            ("MINE=Qg==\nAZURE_STORAGE_ACCOUNT_ACCESS_KEY=QQ==", Some("MINE"), &pod[..0], account("Qg=="), AzureCloud::Public),
            ("AZURE_CLOUD_NAME=AzurePublicCloud", None, &pod[..], federated.clone(), AzureCloud::Public),
            ("AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=i\nAZURE_FEDERATED_TOKEN_FILE=/token", None, &pod[..0], federated, AzureCloud::Public),
            // A secret wins over the Pod's identity.
            (principal, None, &pod[..], of_principal, AzureCloud::Government),
            ("AZURE_SUBSCRIPTION_ID=s\nAZURE_CLIENT_ID=i", None, &pod[..0], AzureKeys::Machine { id: Some("i".into()) }, AzureCloud::Public),
            ("AZURE_SUBSCRIPTION_ID=s", None, &pod[..0], AzureKeys::Machine { id: None }, AzureCloud::Public),
        ];
        for (text, key_variable, around, keys, cloud) in cases {
            assert!(of_azure(text, key_variable, around) == Ok((keys, cloud)), "{text}");
        }
        assert_eq!(AzureCloud::China.endpoint("acc"), "https://acc.blob.core.chinacloudapi.cn");
    }

    #[test]
    fn what_is_wrong_with_azures_and_googles_is_told_without_a_value() {
        for (text, key_variable, says) in [
            ("AZURE_STORAGE_ACCOUNT_ACCESS_KEY=canary!", None, "AZURE_STORAGE_ACCOUNT_ACCESS_KEY of the credentials is not base64"),
            ("AZURE_STORAGE_ACCOUNT_ACCESS_KEY=QQ==", Some("MINE"), "no MINE, which storageAccountKeyEnvVar of its location names"),
            ("AZURE_CLIENT_SECRET=canary\nAZURE_TENANT_ID=t", None, "no AZURE_CLIENT_ID"),
            ("AZURE_CLIENT_CERTIFICATE=\"canary\nb\"", None, "AZURE_CLIENT_CERTIFICATE, which is not supported"),
            ("AZURE_CLOUD_NAME=canary", None, "AZURE_CLOUD_NAME is none of"),
            ("AZURE_STORAGE_ACCES_KEY=canary", None, "hold neither"),
            ("", None, "hold neither"),
        ] {
            let error = of_azure(text, key_variable, &[]).expect_err(says);
            assert!(error.contains(says) && !error.contains("canary"), "{error}");
        }
        let of = |change: &str, value: Value| {
            let mut key = serde_json::json!({"type":"service_account","private_key":"canary","private_key_id":"k","client_email":"e"});
            key[change] = value;
            gcp(&key.to_string())
        };
        assert_eq!(of("type", Value::Null), Ok(GoogleKeys::ServiceAccount));
        assert_eq!(of("type", "external_account".into()), Ok(GoogleKeys::External));
        for (error, says) in [
            (gcp("canary"), "no JSON object"),
            (of("type", "authorized_user".into()), "(authorized_user)"),
            (of("type", "canary".into()), "not known here"),
            (of("private_key", Value::Null), "has no private_key"),
            (of("client_email", "".into()), "has no client_email"),
        ] {
            let error = error.expect_err(says);
            assert!(error.contains(says) && !error.contains("canary"), "{error}");
        }
    }
}
