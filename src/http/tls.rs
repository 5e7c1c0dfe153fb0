//! TLS by files, read again when they change. I/O: certificate and key file.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

type Stamp = [u8; 32];

/// A pair of files and what was last made of them.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    looked: Instant,
    stamp: Stamp,
}

impl Tls {
    /// Reads the files once, so that a mistake shows at the start.
    pub(super) async fn new(certificate: PathBuf, key: PathBuf) -> Result<Self, String> {
        let (stamp, pems) = read(&certificate, &key).await?;
        let acceptor = acceptor(&certificate, &key, &pems)?;
        Ok(Self { certificate, key, current: Mutex::new(Current { acceptor, looked: Instant::now(), stamp }) })
    }

    /// The acceptor of the files as they are now. Files that cannot be used (a rotation half done) leave the last good pair in use.
    pub(super) async fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().await;
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            match read(&self.certificate, &self.key).await {
                Ok((stamp, _)) if stamp == current.stamp => {}
                Ok((stamp, pems)) => match acceptor(&self.certificate, &self.key, &pems) {
                    Ok(acceptor) => {
                        tracing::info!(certificate = %self.certificate.display(), "the certificate was read again");
                        (current.acceptor, current.stamp) = (acceptor, stamp);
                    }
                    Err(message) => tracing::warn!(%message, "the last good certificate stays in use"),
                },
                Err(message) => tracing::warn!(%message, "the last good certificate stays in use"),
            }
        }
        current.acceptor.clone()
    }
}

async fn read(certificate: &PathBuf, key: &PathBuf) -> Result<(Stamp, (Vec<u8>, Vec<u8>)), String> {
    let open = async |path: &PathBuf| tokio::fs::read(path).await.map_err(|e| format!("cannot read {}: {e}", path.display()));
    let pems = (open(certificate).await?, open(key).await?);
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(&pems.0));
    hash.update(Sha256::digest(&pems.1));
    Ok((hash.finalize().into(), pems))
}

fn acceptor(certificate: &std::path::Path, key: &std::path::Path, pems: &(Vec<u8>, Vec<u8>)) -> Result<TlsAcceptor, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pems.0)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{} is not a PEM certificate chain: {e}", certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", certificate.display()));
    }
    // The error of the parser is not passed on: it could quote the key.
    let private = PrivateKeyDer::from_pem_slice(&pems.1).map_err(|_| format!("{} holds no PEM private key", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| format!("{} and {} do not go together: {e}", certificate.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
