//! How bytes reach a repository: smart HTTP, ssh, or `git upload-pack` on this machine. I/O: network, child processes, credential files.
//!
//! gix speaks the protocol; the wire is ours, so that one deadline, one cap on bytes and one count of requests hold for every kind of
//! server, and credentials go to the one host they are meant for.

mod http;
mod process;

use std::sync::{Arc, Mutex};

use gix::protocol::transport::client::blocking_io::Transport;

use super::{
    budget::Budget,
    error::{Fault, GitErrorKind},
    location::Location,
};
use crate::config::{GitAuth, SecretSource, Source};

pub(crate) use http::Remembered;

/// What a server said of itself at the last handshake, and the client to ask it with. While it holds, asking for news takes one request
/// instead of two.
pub(crate) type Memory = Arc<Mutex<Remembered>>;

/// A connection to a repository, not yet greeted.
pub(crate) type Wire = Box<dyn Transport + Send>;

/// Opens the wire for one operation. Credentials and certificates are read now, so rotation needs no restart.
pub(crate) fn open(source: &Source, location: &Location, budget: &Arc<Budget>, memory: &Memory) -> Result<Wire, Fault> {
    match location {
        Location::Http(url) => http::open(source, url, budget, memory),
        Location::Ssh(place) => process::ssh(source, place, budget),
        Location::File(path) => process::local(path, budget),
        Location::Path(_) => Err(Fault::new(GitErrorKind::Io, "a path is read in place")),
    }
}

/// Refuses credentials that do not fit the location, before anything is sent anywhere.
pub(crate) fn check_auth(auth: &GitAuth, location: &Location) -> Result<(), Fault> {
    let refused = |what: &str| Err(Fault::new(GitErrorKind::Refused, what));
    match (auth, location) {
        (GitAuth::None, _) | (GitAuth::Ssh { .. }, Location::Ssh(_)) => Ok(()),
        (GitAuth::Basic { .. } | GitAuth::Bearer(_), Location::Http(url)) => {
            if url.scheme() == "https" || super::location::is_loopback(url) {
                return Ok(());
            }
            refused("credentials are never sent over plain http; write https:// (http:// with credentials is for loopback only)")
        }
        (GitAuth::Ssh { .. }, _) => refused("auth.key_file is for ssh locations only"),
        (GitAuth::Basic { .. } | GitAuth::Bearer(_), Location::Ssh(_)) => refused("passwords and tokens are for https only; give auth.key_file"),
        (GitAuth::Basic { .. } | GitAuth::Bearer(_), _) => refused("a repository on this machine takes no credentials; remove auth"),
    }
}

/// Reads a credential where the configuration says. The error names the place, never the content.
fn read_secret(source: &SecretSource, budget: &Budget) -> Result<String, Fault> {
    const CAP: usize = 64 * 1024;
    let auth = |what: String| Fault::new(GitErrorKind::Auth, what);
    let (text, place) = match source {
        SecretSource::File(path) => {
            let place = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|e| auth(format!("cannot read the credential file {place}: {e}")))?;
            let text = String::from_utf8(bytes).map_err(|_| auth(format!("the credential file {place} is not text")))?;
            let text = text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).unwrap_or(&text).to_owned();
            (text, format!("the credential file {place}"))
        }
        SecretSource::Env(name) => {
            let text = std::env::var(name).map_err(|_| auth(format!("the environment variable {name} is not set, or not text")))?;
            (text, format!("the environment variable {name}"))
        }
    };
    if text.is_empty() {
        return Err(auth(format!("{place} is empty")));
    }
    if text.len() > CAP || text.chars().any(char::is_control) {
        return Err(auth(format!("{place} holds more than one line, control characters or too much text")));
    }
    budget.keep_secret(&text);
    Ok(text)
}
