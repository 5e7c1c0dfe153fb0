//! Tokens of Google's for a workload that has an identity elsewhere (`external_account`): the token of a Pod is changed for one of Google's, and that
//! perhaps for one of a service account. I/O: the file with the Pod's token, the network.
//!
//! Sources: https://google.aip.dev/auth/4117 and golang.org/x/oauth2/google/externalaccount, by which Velero's plugin does the same. The token
//! asked for may read storage and nothing else, unless it is to become a service account's.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use object_store::{CredentialProvider, gcp::GcpCredential};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{coordinates::is_readable_by_others, error::Fault};

/// May read storage.
const READ: &str = "https://www.googleapis.com/auth/devstorage.read_only";

/// May do what the identity may; needed to become a service account.
const ALL: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_secs(300);

/// Longest an answer may take, and how many bytes it may have.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_BYTES: usize = 1 << 20;

/// The file that Google's tools write for such a workload.
#[derive(Clone, Deserialize)]
pub struct Federation {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: Source,
}

/// Where the workload's own token is.
#[derive(Clone, Deserialize)]
struct Source {
    file: Option<PathBuf>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Default, Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: Option<String>,
    subject_token_field_name: Option<String>,
}

impl Federation {
    /// Reads it.
    ///
    /// # Errors
    /// When something is missing, or the token comes from where it cannot be taken here.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let of: Self = serde_json::from_str(text).map_err(|_| {
            let needs = "audience, subject_token_type, token_url and credential_source";
            Fault::Credentials(format!("the external_account in the credentials needs {needs}"))
        })?;
        if of.credential_source.file.is_none() {
            let what = "the external_account in the credentials takes its token from something else than a file, which is not supported";
            return Err(Fault::Credentials(what.to_owned()));
        }
        if [Some(&of.token_url), of.service_account_impersonation_url.as_ref()].into_iter().flatten().any(|url| is_readable_by_others(url)) {
            return Err(Fault::Credentials("the external_account in the credentials sends tokens over plain HTTP".to_owned()));
        }
        Ok(of)
    }

    /// The workload's own token as it is now: it is renewed every hour or so.
    fn subject(&self) -> Result<String, Fault> {
        let path = self.credential_source.file.clone().unwrap_or_default();
        let wrong = |what: &str| Fault::Credentials(format!("the file {} with the token of the external_account {what}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(&format!("cannot be read: {e}")))?;
        if self.credential_source.format.kind.as_deref() != Some("json") {
            return Ok(text.trim().to_owned());
        }
        let field = self.credential_source.format.subject_token_field_name.as_deref().unwrap_or_default();
        let value: Value = serde_json::from_str(&text).map_err(|_| wrong("is no JSON"))?;
        value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| wrong(&format!("has no {field}")))
    }

    async fn token(&self, client: &reqwest::Client) -> Result<(String, Duration), Fault> {
        let subject = self.subject()?;
        let scope = if self.service_account_impersonation_url.is_some() { ALL } else { READ };
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
            .append_pair("audience", &self.audience)
            .append_pair("scope", scope)
            .append_pair("subject_token_type", &self.subject_token_type)
            .append_pair("subject_token", &subject)
            .finish();
        let request = client.post(&self.token_url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = asked(request, "its token is not changed for one of Google's").await?;
        let token = answer["access_token"].as_str().ok_or_else(|| incomplete("access_token"))?.to_owned();
        let Some(url) = &self.service_account_impersonation_url else {
            return Ok((token, Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(600))));
        };
        let body = json!({"scope": [READ], "lifetime": "3600s"}).to_string();
        let request = client.post(url).bearer_auth(token).header("content-type", "application/json").body(body);
        let answer = asked(request, "it may not act as the service account").await?;
        let token = answer["accessToken"].as_str().ok_or_else(|| incomplete("accessToken"))?;
        Ok((token.to_owned(), Duration::from_secs(3600)))
    }
}

fn incomplete(what: &str) -> Fault {
    Fault::Server(Some(format!("the identity service answers without {what}")))
}

/// Sends a request to an identity service. Of an answer that says no only the word for it is passed on.
async fn asked(request: reqwest::RequestBuilder, no: &str) -> Result<Value, Fault> {
    let unreachable = |e: reqwest::Error| match Fault::of_any(&e) {
        Fault::Unreachable(why) => Fault::Unreachable(format!("no token can be asked for: {why}")),
        other => other,
    };
    let mut answer = request.send().await.map_err(unreachable)?;
    let (status, mut body) = (answer.status(), Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BYTES {
            return Err(Fault::TooLarge { what: "the answer of the identity service".to_owned(), cap: MAX_BYTES as u64 });
        }
    }
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_server_error() {
        return Err(Fault::Server(Some(format!("the identity service, {}", status.as_u16()))));
    }
    if !status.is_success() {
        let word = value["error"].as_str().or(value["error"]["status"].as_str()).unwrap_or_default();
        let plain = !word.is_empty() && word.len() <= 64 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let word = if plain { word.to_owned() } else { status.as_u16().to_string() };
        return Err(Fault::Credentials(format!("the external_account in the credentials gets no token ({word}): {no}")));
    }
    Ok(value)
}

/// Gives out tokens, and renews them in time.
pub struct Tokens {
    of: Federation,
    client: reqwest::Client,
    current: Mutex<Option<(Arc<GcpCredential>, Instant)>>,
}

impl Tokens {
    /// Prepares to ask. `ca` are bundles to trust besides the system's roots.
    ///
    /// # Errors
    /// When no client can be set up.
    pub fn new(of: Federation, ca: &[&[u8]]) -> Result<Self, Fault> {
        let certificates = ca.iter().flat_map(|pem| reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("snapgap/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(certificates)
            .build()
            .map_err(|_| Fault::Setup("TLS cannot be set up".to_owned()))?;
        Ok(Self { of, client, current: Mutex::new(None) })
    }

    async fn give(&self) -> object_store::Result<Arc<GcpCredential>> {
        let mut current = self.current.lock().await;
        if let Some((token, end)) = &*current
            && Instant::now() + MARGIN < *end
        {
            return Ok(token.clone());
        }
        let failed = |fault| object_store::Error::Generic { store: "GCS", source: Box::new(fault) };
        let (bearer, span) = self.of.token(&self.client).await.map_err(failed)?;
        let token = Arc::new(GcpCredential { bearer });
        *current = Some((token.clone(), Instant::now() + span));
        Ok(token)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(hidden)")
    }
}

impl CredentialProvider for Tokens {
    type Credential = GcpCredential;

    // What `async_trait` makes of an asynchronous function.
    fn get_credential<'life0, 'async_trait>(
        &'life0 self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<GcpCredential>>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.give())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(source: Value, token_url: &str) -> Result<Federation, Fault> {
        let account = json!({"type": "external_account", "audience": "//iam.example.com/canary", "subject_token_type": "jwt", "token_url": token_url, "credential_source": source});
        Federation::read(&account.to_string())
    }

    #[test]
    fn the_own_token_is_read_as_text_or_out_of_json() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let https = "https://sts.example.com/v1/token";
        std::fs::write(&file, " own\n").expect("written");
        assert_eq!(external(json!({"file": file}), https).and_then(|f| f.subject()), Ok("own".to_owned()));
        let of_json = json!({"file": file, "format": {"type": "json", "subject_token_field_name": "id"}});
        let says = |f: Result<Federation, Fault>| f.and_then(|f| f.subject()).expect_err("wrong").to_string();
        assert!(says(external(of_json.clone(), https)).contains("is no JSON"));
        std::fs::write(&file, r#"{"id": "own"}"#).expect("written");
        assert_eq!(external(of_json, https).and_then(|f| f.subject()), Ok("own".to_owned()));
        for (source, url, what) in [
            (json!({"url": "http://169.254.169.254/canary"}), https, "something else than a file"),
            (json!({"file": "/nowhere"}), https, "the file /nowhere with the token of the external_account cannot be read"),
            (json!({"file": "/nowhere"}), "http://sts.example.com/canary", "plain HTTP"),
        ] {
            let said = says(external(source, url));
            assert!(said.contains(what) && !said.contains("canary"), "{said}");
        }
        assert!(Federation::read("{}").is_err_and(|f| f.to_string().contains("needs audience")));
    }
}
