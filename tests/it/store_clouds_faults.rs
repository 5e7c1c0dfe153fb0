//! What goes wrong with Google's and Azure's storage: keys, buckets, prefixes, broken connections, authorities, tokens. No cluster is needed.

use std::{
    fs,
    io::Read as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use object_store::signer::Signer as _;
use serde_json::{Value, json};
use snapgap::{
    config,
    stages::backups::BackupStage,
    velero::{
        Names,
        archive::write::write_backup,
        store::{
            Bucket, Coordinates,
            feed::{self, Feed},
            signed::{self, SignedUrl},
        },
    },
    witness::Live,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    support::{
        authority::Authority,
        cli::{Ran, program},
        clouds::{ACCOUNT, ACCOUNT_KEY, Cloud, Kind, service_account},
        gate::Gate,
        program::{Folder, free_port},
        velero::BUCKET,
    },
    velero_stores::{load, look, redactor},
};

/// Puts a backup of one ConfigMap into it, under a prefix.
async fn fill(cloud: &Cloud, prefix: &str) -> Value {
    let folder = Folder::new("snapgap-fill-");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": "b"}});
    let marker = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly-1", "namespace": "velero"},
        "spec": {"includedNamespaces": ["shop"]}, "status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1,
            "startTimestamp": "2026-03-01T01:00:00Z", "completionTimestamp": "2026-03-01T01:01:00Z", "expiration": "2027-03-01T00:00:00Z"}});
    write_backup(folder.path(), &marker, std::slice::from_ref(&map), &Names::builtin()).expect("written");
    cloud.upload(folder.path(), prefix).await;
    map
}

/// Where `snapgap report` looks, over a dump that holds the ConfigMap of [`fill`] and perhaps a location.
struct World {
    folder: Folder,
    map: Value,
}

impl World {
    fn inside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.inside(name), text).expect("written");
    }

    /// How the ConfigMap comes back by this store, and why nothing is known, if so. Each name has a cache of its own.
    fn report(&self, name: &str, of_store: &str, location: Option<&Value>) -> (String, String) {
        self.report_in(name, of_store, location, &[])
    }

    /// The same, in an environment.
    fn report_in(&self, name: &str, of_store: &str, location: Option<&Value>, environment: &[(&str, &str)]) -> (String, String) {
        let items: Vec<&Value> = [&self.map].into_iter().chain(location).collect();
        self.write("cluster.json", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
        let text = format!("cluster: {{dump: cluster.json}}\nvelero: {{stores: [{{{of_store}}}]}}\ncache_dir: 'cache-{name}'\n");
        self.write("snapgap.yaml", &text);
        let args = ["report", "-o", "json", "--all", "-f", "snapgap.yaml", "--now", "2026-03-02T00:00:00Z"];
        let ran: Ran = program(self.folder.path()).args(args).envs(environment.iter().copied()).output().expect("it starts").into();
        let said = ran.json();
        let held = said["objects"].as_array().expect("objects").iter().find(|o| o["name"] == "settings").expect("listed")["recovery"].clone();
        let message = said["as_of"]["backups"]["failure"]["message"].as_str().unwrap_or_default().to_owned();
        (held.as_str().unwrap_or_default().to_owned(), message)
    }
}

async fn failed(text: &str, folder: &Path) -> (String, String) {
    let found = look(&load(&format!("velero: {{stores: [{{{text}}}]}}"), folder), &Live::default()).await;
    let failure = found.failure.unwrap_or_else(|| panic!("{text}: no failure, and {} backups", found.backups.len()));
    assert!(found.as_of.is_none() && found.backups.is_empty(), "{text}");
    (failure.reason.to_string(), failure.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cloud_refuses_or_does_not_have_is_said_plainly_and_shows_no_key() {
    let folder = Folder::new("snapgap-refused-");
    let file = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("written");
        format!("credentials_file: '{}'", folder.path().join(name).display())
    };
    let (google, azure) = (Cloud::start(Kind::Google).await, Cloud::start(Kind::Azure).await);
    fill(&azure, "east").await;
    fill(&google, "east").await;
    let wrong = STANDARD.encode("canary of the wrong key, of no length in particular");
    let key = |key: &str| format!("AZURE_STORAGE_ACCOUNT_ACCESS_KEY={key}\n");
    let right = file("azure", &azure.credentials());
    let in_azure = |container: &str, prefix: &str, credentials: &str| {
        format!("provider: azure, account: {ACCOUNT}, bucket: {container}, prefix: '{prefix}', url: '{}', {credentials}", azure.url())
    };
    let in_google = |credentials: &str| format!("{}, prefix: east, {credentials}", google.coordinates());
    let cases = [
        (in_azure(BUCKET, "east", &file("wrong", &key(&wrong))), "store_", "the store", "az://devstoreaccount1/velero/east: "),
        (in_azure("nowhere", "east", &right), "store_missing", "the container is not there", "az://devstoreaccount1/nowhere/east: "),
        (in_azure(BUCKET, "east", &file("no-key", &key("canary"))), "store_credentials", "is not base64", "az://"),
        (
            in_azure(BUCKET, "east", &file("typo", "AZURE_STORAGE_KEI=canary\n")),
            "store_credentials",
            "hold neither AZURE_STORAGE_ACCOUNT_ACCESS_KEY",
            "az://",
        ),
        (
            in_google(&file("federated", r#"{"type": "external_account", "audience": "canary"}"#)),
            "store_credentials",
            "external_account",
            "gs://velero/east: ",
        ),
        (in_google(&file("no-json", "canary")), "store_credentials", "no JSON object", "gs://"),
        (in_google(&file("no-pem", &service_account().replace("PRIVATE KEY", "CANARY"))), "store_credentials", "no RSA key", "gs://"),
    ];
    for (text, reason, says, place) in cases {
        let (told, message) = failed(&text, folder.path()).await;
        println!("{told}: {message}");
        assert!(told.starts_with(reason) && message.contains(says) && message.starts_with(place), "{told}: {message}");
        for secret in ["canary", "CANARY", &wrong, ACCOUNT_KEY, "http", "sig=", "BEGIN"] {
            assert!(!message.contains(secret), "{secret}: {message}");
        }
    }
    // Where nothing lies, nothing is known to lie: that is no failure.
    for text in
        [in_azure(BUCKET, "elsewhere", &right), format!("{}, prefix: elsewhere, {}", google.coordinates(), file("key", &google.credentials()))]
    {
        let found = look(&load(&format!("velero: {{stores: [{{{text}}}]}}"), folder.path()), &Live::default()).await;
        assert!(found.failure.is_none() && found.as_of.is_some() && found.backups.is_empty(), "{:?}", found.failure);
    }
    // Nobody is there.
    for (cloud, text) in [(&azure, in_azure(BUCKET, "east", &right)), (&google, in_google(&file("key", &google.credentials())))] {
        cloud.away();
        let (told, message) = failed(&text, folder.path()).await;
        assert!(told == "store_unreachable" && message.contains("Connection refused"), "{told}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_to_a_cloud_is_taken_up_where_it_broke_and_never_with_other_content() {
    let mut content = Vec::new();
    for n in 0..2_000_000u64 {
        content.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    for kind in [Kind::Google, Kind::Azure] {
        let cloud = Cloud::start(kind).await;
        cloud.put("backups/big/big.tar.gz", content.clone()).await;
        cloud.put("backups/big/velero-backup.json", b"{}".to_vec()).await;
        let gate = Gate::before(cloud.port).await;
        let settings = config::Store {
            provider: Some(if kind == Kind::Google { config::Provider::Gcp } else { config::Provider::Azure }),
            bucket: Some(BUCKET.into()),
            account: Some(ACCOUNT.into()),
            url: Some(cloud.url_by(gate.port)),
            ..config::Store::default()
        };
        let at = Coordinates::of(&settings, None).expect("complete");
        let bucket = Bucket::open(&at, Some(&cloud.credentials()), None).expect("opens");
        let listed = bucket.list().await.expect("listed");
        let file = listed["big"].archive("big").expect("there").clone();
        assert!(file.etag.is_some() && file.size == content.len() as u64, "{file:?}");
        for replace in [false, true] {
            let (mut feed, verdict) = Feed::start(bucket.archive("big", &file).expect("a file"), Duration::from_secs(120));
            let begin = tokio::task::spawn_blocking(move || {
                let mut all = vec![0; 1 << 20];
                feed.read_exact(&mut all).map(|()| (feed, all))
            });
            let (mut feed, mut all) = begin.await.expect("no panic").expect("it begins");
            gate.close();
            if replace {
                cloud.put("backups/big/big.tar.gz", vec![1; content.len()]).await;
            }
            gate.open();
            let rest = tokio::task::spawn_blocking(move || feed.read_to_end(&mut all).map(|_| all)).await.expect("no panic");
            if replace {
                assert_eq!((rest.is_err(), verdict.error().map(|e| e.kind())), (true, Some("store_replaced")), "{kind:?}: not half of each");
            } else {
                let error = verdict.error();
                assert!(rest.is_ok_and(|rest| rest == content) && error.is_none(), "{kind:?}: every byte, once: {error:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_behind_an_own_authority_is_read_if_that_is_named_and_refused_if_not() {
    for kind in [Kind::Google, Kind::Azure] {
        let cloud = Cloud::start_tls(kind).await;
        let world = World { folder: Folder::new("snapgap-cloud-tls-"), map: fill(&cloud, "").await };
        world.write("credentials", &cloud.credentials());
        world.write("other.pem", &Authority::new().pem());
        let located = |ca: &str| {
            let mut location = cloud.location("default", "");
            location["spec"]["objectStorage"]["caCert"] = json!(STANDARD.encode(ca));
            location
        };
        let ca = fs::read_to_string(cloud.ca_file()).expect("readable");
        let here = format!("{}, credentials_file: credentials", cloud.coordinates());
        let there = "location: default, credentials_file: credentials";
        let good = world.report("named", &format!("{here}, ca_file: '{}'", cloud.ca_file().display()), None);
        assert_eq!(good, ("backup".to_owned(), String::new()), "{kind:?}");
        assert_eq!(world.report("located", there, Some(&located(&ca))), ("backup".to_owned(), String::new()), "{kind:?}");
        // By the environment, which may bring credentials and not lead elsewhere.
        let key = world.inside("credentials");
        let around: &[(&str, &str)] = match kind {
            Kind::Google => &[("GOOGLE_APPLICATION_CREDENTIALS", &key), ("GOOGLE_BASE_URL", "https://127.0.0.1:1")],
            Kind::Azure => &[
                ("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY),
                ("AZURE_STORAGE_ACCOUNT_NAME", "other"),
                ("AZURE_STORAGE_ENDPOINT", "https://127.0.0.1:1"),
                ("AZURE_STORAGE_USE_EMULATOR", "true"),
            ],
        };
        let by_environment = format!("{}, ca_file: '{}'", cloud.coordinates(), cloud.ca_file().display());
        assert_eq!(world.report_in("environment", &by_environment, None, around), ("backup".to_owned(), String::new()), "{kind:?}");
        let other = format!("{here}, ca_file: other.pem");
        for (name, of_store, location) in
            [("unknown", here.as_str(), None), ("other", &other, None), ("elsewhere", there, Some(located(&Authority::new().pem())))]
        {
            let (held, failure) = world.report(name, of_store, location.as_ref());
            assert_eq!(held, "unknown", "{kind:?} {name}: {failure}");
            assert!(failure.contains("TLS failed") && failure.contains("ca_file"), "{kind:?} {name}: {failure}");
        }
    }
}

/// Stands in for the identity services of Microsoft and Google, which nobody can have here: it knows one secret and one own token of a workload, gives
/// out a token that Azurite takes, and tells which of its paths answered well.
async fn identity_service(cloud: &Cloud) -> (u16, Arc<Mutex<Vec<String>>>) {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let folder = cloud.ca_file().parent().expect("a folder").to_owned();
    let certificates = CertificateDer::pem_file_iter(folder.join("tls.pem")).expect("readable").collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(folder.join("tls.key")).expect("a key");
    let server = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key).expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let port = free_port();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    let answer = |request: &str| {
        let now = Timestamp::now().as_second();
        let claims = json!({"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/", "iat": now - 60, "nbf": now - 60, "exp": now + 3600});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.c2ln", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
        let holds = |words: &[&str]| words.iter().all(|word| request.contains(word));
        match request.split(' ').nth(1).unwrap_or_default() {
            "/tenant/oauth2/v2.0/token" if holds(&["client_secret=right"]) => Ok(json!({"access_token": token, "expires_in": 3600})),
            "/v1/token" if holds(&["subject_token=own-token", "audience=%2F%2Fiam", "auth%2Fcloud-platform"]) => {
                Ok(json!({"access_token": "changed", "expires_in": 3600}))
            }
            "/v1/backups:generateAccessToken" if holds(&["authorization: Bearer changed", "devstorage.read_only"]) => {
                Ok(json!({"accessToken": "of-the-account", "expireTime": "2199-01-01T00:00:00Z"}))
            }
            _ => Err(json!({"error": "invalid_client", "error_description": "AADSTS7000215: canary"})),
        }
    };
    let answered = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&answered);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = String::new();
            let mut piece = [0; 4096];
            // What matters stands in the body, which ends where the length says.
            while let Ok(n @ 1..) = stream.read(&mut piece).await {
                request.push_str(&String::from_utf8_lossy(&piece[..n]));
                let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                if length.is_none_or(|length| body.len() >= length) {
                    break;
                }
            }
            let (status, body) = match answer(&request) {
                Ok(body) => {
                    noted.lock().expect("nobody panicked").push(request.split(' ').nth(1).unwrap_or_default().to_owned());
                    ("200 OK", body.to_string())
                }
                Err(body) => ("401 Unauthorized", body.to_string()),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, answered)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_principal_gets_its_token_where_the_location_says_and_never_over_plain_http() {
    let cloud = Cloud::start_tls(Kind::Azure).await;
    let world = World { folder: Folder::new("snapgap-principal-"), map: fill(&cloud, "").await };
    let (port, _) = identity_service(&cloud).await;
    let location = |authority: &str| {
        let mut location = cloud.location("default", "");
        let config = location["spec"]["config"].as_object_mut().expect("a mapping");
        config.remove("storageAccountKeyEnvVar");
        config.insert("useAAD".into(), json!("true"));
        config.insert("activeDirectoryAuthorityURI".into(), json!(authority));
        location
    };
    let here = location(&format!("https://127.0.0.1:{port}/"));
    let principal = |secret: &str| format!("AZURE_TENANT_ID=tenant\nAZURE_CLIENT_ID=client\nAZURE_CLIENT_SECRET={secret}\n");
    world.write("credentials", &principal("right"));
    let of_store = format!("location: default, credentials_file: credentials, ca_file: '{}'", cloud.ca_file().display());
    let report = async |name: &str, location: &Value| tokio::task::block_in_place(|| world.report(name, &of_store, Some(location)));
    assert_eq!(report("right", &here).await, ("backup".to_owned(), String::new()));
    let others = location("http://login.example.com/");
    let gone = location(&format!("https://127.0.0.1:{}/", free_port()));
    for (name, secret, location, says) in [
        ("wrong", "canary-wrong", &here, "no token is given for the credentials (invalid_client, AADSTS7000215)"),
        ("plain", "right", &others, "plain HTTP"),
        ("gone", "right", &gone, "no token can be asked for: no connection: Connection refused"),
    ] {
        world.write("credentials", &principal(secret));
        let (held, failure) = report(name, location).await;
        println!("{failure}");
        assert_eq!(held, "unknown", "{failure}");
        assert!(failure.starts_with(&format!("az://{ACCOUNT}/{BUCKET}: ")) && failure.contains(says) && !failure.contains("canary"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_with_an_identity_elsewhere_gets_googles_token_for_its_own() {
    let cloud = Cloud::start_tls(Kind::Google).await;
    let world = World { folder: Folder::new("snapgap-federation-"), map: fill(&cloud, "").await };
    let (port, answered) = identity_service(&cloud).await;
    world.write("token", "own-token\n");
    world.write("other", "canary\n");
    let external = |file: &str, port: u16| {
        json!({"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("https://127.0.0.1:{port}/v1/token"),
            "service_account_impersonation_url": format!("https://127.0.0.1:{port}/v1/backups:generateAccessToken"),
            "credential_source": {"file": world.inside(file), "format": {"type": "text"}}})
        .to_string()
    };
    let of_store = format!("{}, credentials_file: credentials, ca_file: '{}'", cloud.coordinates(), cloud.ca_file().display());
    let report = |name: &str, credentials: &str| {
        world.write("credentials", credentials);
        tokio::task::block_in_place(|| world.report(name, &of_store, None))
    };
    assert_eq!(report("right", &external("token", port)), ("backup".to_owned(), String::new()));
    // Once each: a token serves for as long as it holds.
    assert_eq!(*answered.lock().expect("nobody panicked"), ["/v1/token", "/v1/backups:generateAccessToken"]);
    // The same client serves the next listing.
    answered.lock().expect("nobody panicked").clear();
    let named = format!("credentials_file: '{}'", world.inside("credentials"));
    let text = format!("velero: {{stores: [{{{}}}]}}", of_store.replace("credentials_file: credentials", &named));
    let mut stage = BackupStage::new(Arc::new(load(&text, world.folder.path())), redactor());
    for later in [0, 61] {
        let (found, _) = stage.run(&Live::default(), Timestamp::now() + SignedDuration::from_secs(later)).await;
        assert!(found.failure.is_none() && found.backups.len() == 1, "{:?}", found.failure);
    }
    assert_eq!(answered.lock().expect("nobody panicked").len(), 2);
    for (name, credentials, says) in [
        (
            "other",
            external("other", port),
            "the external_account in the credentials gets no token (invalid_client): its token is not changed for one of Google's",
        ),
        ("missing", external("nowhere", port), "with the token of the external_account cannot be read: No such file"),
        ("gone", external("token", free_port()), "no token can be asked for: no connection: Connection refused"),
        ("account", external("token", port).replace("backups:", "others:"), "(invalid_client): it may not act as the service account"),
    ] {
        let (held, failure) = report(name, &credentials);
        println!("{failure}");
        assert!(held == "unknown" && failure.starts_with("gs://velero: ") && failure.contains(says) && !failure.contains("canary"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_of_azure_that_expired_or_is_refused_says_so_and_shows_nothing_of_itself() {
    let cloud = Cloud::start(Kind::Azure).await;
    cloud.put("backups/b/b.tar.gz", b"content".to_vec()).await;
    let server = cloud.azure();
    let sign = async |path: &str, seconds| {
        server.signed_url(http::Method::GET, &path.into(), Duration::from_secs(seconds)).await.expect("signed").to_string()
    };
    let fetch = async |address: String| {
        let file = signed::file(SignedUrl::new(address), "b.tar.gz", &[]).expect("a file");
        feed::whole(&*file, "b.tar.gz", 1 << 20).await
    };
    let good = sign("backups/b/b.tar.gz", 60).await;
    assert_eq!(fetch(good.clone()).await.expect("it holds"), b"content");
    let short = sign("backups/b/b.tar.gz", 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (address, kind) in
        [(short, "download_"), (good.replace("sig=", "sig=AA"), "download_refused"), (sign("backups/b/other", 60).await, "download_missing")]
    {
        let error = fetch(address).await.expect_err("refused");
        let told = format!("{error} {error:?}");
        println!("{}: {error}", error.kind());
        assert!(error.kind().starts_with(kind) && !told.contains("sig=") && !told.contains(ACCOUNT_KEY), "{told}");
    }
}
