//! Servers of Google's and Azure's storage over a folder: fake-gcs-server and Azurite. All on loopback.
//!
//! Azurite holds what it is asked by against its key as Azure does. fake-gcs-server asks for no key at all, answers 500 for a bucket that is not
//! there, and does not look at If-Match.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use object_store::{
    ObjectStoreExt as _,
    azure::{MicrosoftAzure, MicrosoftAzureBuilder},
};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    authority::Authority,
    program::{Folder, Program, eventually, free_port},
    tools,
    velero::{BUCKET, PATIENCE},
};

/// Azurite's only account.
pub const ACCOUNT: &str = "devstoreaccount1";

/// The key of that account, as its documentation has it.
pub const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Google,
    Azure,
}

/// One server, with an empty bucket or container.
pub struct Cloud {
    pub kind: Kind,
    pub port: u16,
    tls: bool,
    server: Mutex<Option<Program>>,
    // Last, so that it goes after the program that writes into it.
    folder: Folder,
}

impl Cloud {
    /// Starts one.
    pub async fn start(kind: Kind) -> Self {
        Self::new(kind, false).await
    }

    /// Starts one that speaks TLS, with a certificate of an authority of its own. Azurite takes tokens then too.
    pub async fn start_tls(kind: Kind) -> Self {
        Self::new(kind, true).await
    }

    async fn new(kind: Kind, tls: bool) -> Self {
        snapgap::tls::install();
        let folder = Folder::new("snapgap-cloud-");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let authority = Authority::new();
        let (certificate, key) = authority.certify_loopback();
        for (name, text) in [("ca.pem", authority.pem()), ("tls.pem", certificate.pem()), ("tls.key", key.serialize_pem())] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let cloud = Self { kind, port: free_port(), tls, server: Mutex::new(None), folder };
        cloud.back();
        let made = match kind {
            Kind::Google => {
                cloud.client().post(format!("{}/storage/v1/b?project=p", cloud.url())).body(json!({"name": BUCKET}).to_string()).send().await
            }
            Kind::Azure => cloud.make_container().await,
        };
        let status = made.expect("an answer").status();
        assert!(status.is_success(), "a bucket is made: {status}");
        cloud
    }

    /// Where clients find it: of Azurite with the account, which stands in the path on loopback.
    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// The same through another port.
    pub fn url_by(&self, port: u16) -> String {
        let account = if self.kind == Kind::Azure { format!("/{ACCOUNT}") } else { String::new() };
        format!("http{}://127.0.0.1:{port}{account}", if self.tls { "s" } else { "" })
    }

    /// The authority that its certificate is of.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// An HTTP client that trusts it.
    fn client(&self) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(&fs::read(self.ca_file()).expect("readable")).expect("a certificate");
        reqwest::Client::builder().tls_certs_merge([ca]).build().expect("a client")
    }

    async fn make_container(&self) -> reqwest::Result<reqwest::Response> {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let version = "2023-11-03";
        let path = format!("/{ACCOUNT}/{BUCKET}");
        let text = format!("PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}{path}\nrestype:container");
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(ACCOUNT_KEY).expect("base64")).expect("a key");
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let request = self.client().put(format!("{}/{BUCKET}?restype=container", self.url()));
        let request = request.header("x-ms-date", date).header("x-ms-version", version);
        request.header("authorization", format!("SharedKey {ACCOUNT}:{signature}")).header("content-length", "0").send().await
    }

    /// Stores one object.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) {
        match self.kind {
            Kind::Google => {
                let url = format!("{}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={}", self.url(), name.replace('/', "%2F"));
                let status = self.client().post(url).body(bytes).send().await.expect("an answer").status();
                assert!(status.is_success(), "{name}: {status}");
            }
            Kind::Azure => {
                self.azure().put(&name.into(), bytes.into()).await.expect("uploaded");
            }
        }
    }

    /// A client of Azurite's that may do everything.
    pub fn azure(&self) -> MicrosoftAzure {
        let ca = object_store::Certificate::from_pem(&fs::read(self.ca_file()).expect("readable")).expect("a certificate");
        let options = object_store::ClientOptions::new().with_allow_http(true).with_root_certificate(ca);
        let builder = MicrosoftAzureBuilder::new().with_endpoint(self.url()).with_account(ACCOUNT).with_access_key(ACCOUNT_KEY);
        builder.with_container_name(BUCKET).with_client_options(options).build().expect("a client")
    }

    /// Copies everything below a folder into it, under a prefix.
    pub async fn upload(&self, folder: &Path, prefix: &str) {
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("readable") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let below = path.strip_prefix(folder).expect("below it").display().to_string();
                let name = if prefix.is_empty() { below } else { format!("{prefix}/{below}") };
                self.put(&name, fs::read(&path).expect("readable")).await;
            }
        }
    }

    /// Takes the server away: connections are refused. What is stored stays.
    pub fn away(&self) {
        if let Some(server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Azurite writes down what it has when it is asked to end.
            server.signal(nix::sys::signal::Signal::SIGTERM);
            eventually("the server ends", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err());
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
    }

    /// Brings the server back.
    pub fn back(&self) {
        let inside = |name: &str| self.folder.path().join(name).display().to_string();
        let (name, mut args) = match self.kind {
            Kind::Google => {
                let host = format!("127.0.0.1:{}", self.port);
                let scheme = if self.tls { "https" } else { "http" };
                let mut args = vec![format!("-scheme={scheme}"), "-host=127.0.0.1".into(), format!("-port={}", self.port)];
                args.extend(["-public-host=127.0.0.1".into(), format!("-external-url={scheme}://{host}"), "-log-level=warn".into()]);
                args.extend(["-backend=filesystem".into(), format!("-filesystem-root={}", inside("data"))]);
                ("fake-gcs-server", args)
            }
            Kind::Azure => {
                let args = [
                    "--blobHost",
                    "127.0.0.1",
                    "--blobPort",
                    &self.port.to_string(),
                    "--location",
                    &inside("data"),
                    "--silent",
                    "--disableTelemetry",
                ];
                ("azurite-blob", args.map(str::to_owned).to_vec())
            }
        };
        if self.tls {
            args.extend(match self.kind {
                Kind::Google => vec![format!("-cert-location={}", inside("tls.pem")), format!("-private-key-location={}", inside("tls.key"))],
                Kind::Azure => vec!["--cert".into(), inside("tls.pem"), "--key".into(), inside("tls.key"), "--oauth".into(), "basic".into()],
            });
        }
        let program = Program::start(self.folder.path(), name, &tools::path(name), &args);
        eventually("the server listens", PATIENCE, || {
            program.must_run();
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(program);
    }

    /// What the configuration of a store says of it, without credentials: `provider: gcp, bucket: ..., url: ...`.
    pub fn coordinates(&self) -> String {
        match self.kind {
            Kind::Google => format!("provider: gcp, bucket: {BUCKET}, url: '{}'", self.url()),
            Kind::Azure => format!("provider: azure, account: {ACCOUNT}, bucket: {BUCKET}, url: '{}'", self.url()),
        }
    }

    /// A storage location over it, available.
    pub fn location(&self, name: &str, prefix: &str) -> Value {
        let (provider, config) = match self.kind {
            // Google's library takes the endpoint as it stands, with the path of its API.
            Kind::Google => ("velero.io/gcp", json!({"storeEndpoint": format!("{}/storage/v1/", self.url()), "kmsKeyName": ""})),
            Kind::Azure => (
                "velero.io/azure",
                json!({"storageAccount": ACCOUNT, "storageAccountURI": self.url(), "storageAccountKeyEnvVar": "BACKUP_KEY",
                    "resourceGroup": "backups", "subscriptionId": "none", "useAAD": "false", "blockSizeInBytes": "1048576"}),
            ),
        };
        json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": name, "namespace": super::velero::NAMESPACE},
            "spec": {"provider": provider, "config": config, "objectStorage": {"bucket": BUCKET, "prefix": prefix}},
            "status": {"phase": "Available", "lastSyncedTime": Timestamp::now().to_string(), "lastValidationTime": Timestamp::now().to_string()}})
    }

    /// Credentials for it in the form that Velero's plugin takes them.
    pub fn credentials(&self) -> String {
        match self.kind {
            Kind::Google => service_account(),
            Kind::Azure => format!(
                "AZURE_SUBSCRIPTION_ID=none\nAZURE_RESOURCE_GROUP=backups\nAZURE_CLOUD_NAME=AzurePublicCloud\nAZURE_STORAGE_ACCOUNT_ACCESS_KEY={ACCOUNT_KEY}\nBACKUP_KEY=\"{ACCOUNT_KEY}\"\n"
            ),
        }
    }
}

/// The key of a service account that nobody knows.
pub fn service_account() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    let made = Command::new(tools::path("ssh-keygen")).args(["-q", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "", "-f"]).arg(&file).status();
    assert!(made.expect("ssh-keygen starts").success());
    json!({"type": "service_account", "project_id": "p", "private_key_id": format!("{:?}", SystemTime::now()), "client_email": "backups@p.iam.example.com",
        "private_key": fs::read_to_string(file).expect("a key"), "token_uri": "https://oauth2.example.com/token"})
    .to_string()
}
