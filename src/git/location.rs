//! Where a repository is, read from configuration text. pure
//!
//! Credentials never stand in a location: one that holds some is refused by a message that does not repeat them.

use std::{net::IpAddr, path::PathBuf};

use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::error::{Fault, GitErrorKind};

/// A location, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine, read in place and never written to.
    Path(PathBuf),
    /// A folder of this machine, mirrored through `git upload-pack`.
    File(PathBuf),
    /// A smart-HTTP server.
    Http(Url),
    /// A server reached by ssh.
    Ssh(SshPlace),
}

/// A repository behind ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshPlace {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    pub path: String,
}

impl Location {
    /// Reads `https://`, `http://`, `ssh://`, `file://`, `user@host:path` or a path.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(refused("the location is empty; give a path or a URL"));
        }
        if text.chars().any(char::is_control) {
            return Err(refused("the location holds control characters"));
        }
        if text.contains("://") {
            return Self::parse_url(text);
        }
        if text.split_once("::").is_some_and(|(helper, _)| !helper.is_empty() && helper.chars().all(|c| c.is_ascii_alphanumeric())) {
            return Err(refused("remote helpers (`name::address`) are not used; give https://, ssh://, file:// or a path"));
        }
        let colon = text.find("]:").map(|n| n + 1).or_else(|| text.find(':'));
        match colon.map(|n| (&text[..n], &text[n + 1..])) {
            Some((head, path)) if !head.is_empty() && !head.contains('/') && !head.starts_with('.') => Self::parse_scp(head, path),
            _ => Ok(Self::Path(PathBuf::from(text))),
        }
    }

    fn parse_url(text: &str) -> Result<Self, Fault> {
        // The parser's own message could repeat a password, so it is not passed on.
        let url = Url::parse(text).map_err(|_| refused("the location is not a valid URL"))?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused(format!("a location with `?` or `#` is not used ({}); tokens belong in auth", without_user(&url))));
        }
        match url.scheme() {
            "https" | "http" if has_user => Err(refused(format!(
                "the location holds a user name or password; write {} and give the credentials by auth.username and auth.password_file, or auth.token_file",
                without_user(&url)
            ))),
            "https" | "http" if url.host().is_some() => Ok(Self::Http(url)),
            "ssh" if url.password().is_some() => {
                Err(refused(format!("the location holds a password; write {} and give a key by auth.key_file", without_user(&url))))
            }
            "ssh" => {
                let host = match url.host() {
                    Some(Host::Domain(name)) => name.to_owned(),
                    Some(Host::Ipv4(ip)) => ip.to_string(),
                    Some(Host::Ipv6(ip)) => ip.to_string(),
                    None => return Err(refused("the location names no host")),
                };
                let user = (!url.username().is_empty()).then(|| url.username().to_owned());
                let path = percent_decoded(url.path())?;
                // As git does: `/~user/x` means a path from that user's home.
                let path = path.strip_prefix('/').filter(|p| p.starts_with('~')).map(str::to_owned).unwrap_or(path);
                Self::ssh(user, host, url.port(), path)
            }
            "file" if has_user || url.host_str().is_some_and(|h| h != "localhost") => {
                Err(refused("a file:// location names a folder of this machine: file:///path/to/repository"))
            }
            "file" => Ok(Self::File(PathBuf::from(percent_decoded(url.path())?))),
            other => Err(refused(format!("`{other}://` is not used; give https://, ssh://, file:// or a path"))),
        }
    }

    fn parse_scp(head: &str, path: &str) -> Result<Self, Fault> {
        if !head.contains('@') && path.split('/').next().is_some_and(|first| first.contains('@')) {
            return Err(refused("the location looks like user:password@host; write user@host:path and give a key by auth.key_file"));
        }
        let (user, host) = match head.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, head),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Self::ssh(user, host.to_owned(), None, path.to_owned())
    }

    /// Everything here ends up on the command line of the ssh program, so nothing may look like an option or a second word.
    fn ssh(user: Option<String>, host: String, port: Option<u16>, path: String) -> Result<Self, Fault> {
        let plain = |s: &str, more: &str| !s.is_empty() && !s.starts_with('-') && s.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        if user.as_deref().is_some_and(|u| !plain(u, "._-+")) {
            return Err(refused("the user name in the location may hold letters, digits and ._-+ only, and not start with `-`"));
        }
        if !plain(&host, ".-_:") {
            return Err(refused("the host in the location may hold letters, digits and .-_: only, and not start with `-`"));
        }
        if path.is_empty() || path == "/" {
            return Err(refused("the location names no path on the server"));
        }
        if path.starts_with('-') || path.chars().any(char::is_control) {
            return Err(refused("the path in the location must not start with `-` or hold control characters"));
        }
        Ok(Self::Ssh(SshPlace { user, host, port, path }))
    }

    /// The location for people. Holds no credentials, since none are accepted.
    pub fn display(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::File(path) => format!("file://{}", path.display()),
            Self::Http(url) => url.to_string(),
            Self::Ssh(SshPlace { user, host, port, path }) => {
                let user = user.as_deref().map(|u| format!("{u}@")).unwrap_or_default();
                let port = port.map(|p| format!(":{p}")).unwrap_or_default();
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                match path.chars().next() {
                    Some('/') => format!("ssh://{user}{host}{port}{path}"),
                    Some('~') => format!("ssh://{user}{host}{port}/{path}"),
                    // A path from the login folder: only this form can say it.
                    _ => format!("{user}{host}:{path}"),
                }
            }
        }
    }

    /// Name of the mirror's folder: equal for equal locations, whatever the credentials.
    pub fn key(&self) -> String {
        Sha256::digest(self.display().as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect()
    }
}

/// Whether a URL's host is this very machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

fn refused(what: impl Into<String>) -> Fault {
    Fault::new(GitErrorKind::Refused, what)
}

/// A URL less user, password, query and fragment.
fn without_user(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

fn percent_decoded(text: &str) -> Result<String, Fault> {
    let bad = || refused("the path in the location has a broken %-escape");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).ok_or_else(bad);
        let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
        out.push(u8::try_from(value).map_err(|_| bad())?);
    }
    let text = String::from_utf8(out).map_err(|_| bad())?;
    if text.chars().any(char::is_control) { Err(bad()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_told_apart() {
        for (text, shown) in [
            ("https://git.example.com/a/b.git", "https://git.example.com/a/b.git"),
            ("ssh://git@git.example.com:2222/a/b.git", "ssh://git@git.example.com:2222/a/b.git"),
            ("ssh://git.example.com/~me/b", "ssh://git.example.com/~me/b"),
            ("git@git.example.com:a/b.git", "git@git.example.com:a/b.git"),
            ("git@git.example.com:/a/b.git", "ssh://git@git.example.com/a/b.git"),
            ("git@[::1]:/a", "ssh://git@[::1]/a"),
            ("file:///srv/git/a%20b", "file:///srv/git/a b"),
            ("/srv/git/a", "/srv/git/a"),
            ("./a:b", "./a:b"),
            ("sub/dir:x", "sub/dir:x"),
            (".", "."),
        ] {
            assert_eq!(Location::parse(text).map(|l| l.display()).as_deref(), Ok(shown), "{text}");
        }
        assert!(matches!(Location::parse("/srv/git/a"), Ok(Location::Path(_))));
        assert!(matches!(Location::parse("file:///srv/git/a"), Ok(Location::File(_))));
    }

    #[test]
    fn locations_with_credentials_or_tricks_are_refused_without_repeating_them() {
        for text in [
            "https://user:CANARY@git.example.com/x",
            "https://CANARY@git.example.com/x",
            "https://git.example.com/x?private_token=CANARY",
            "https://git.example.com/x#CANARY",
            "http://user:CANARY@127.0.0.1/x",
            "ssh://git:CANARY@git.example.com/x",
            "git:CANARY@git.example.com:x",
            "https://user:CANARY@[broken/x",
            "ext::sh -c CANARY",
            "ftp://git.example.com/x",
            "git://git.example.com/x",
            "ssh://-oProxyCommand=CANARY/x",
            "-oProxyCommand=CANARY@host:x",
            "git@-oProxyCommand=CANARY:x",
            "git@host:-CANARY",
            "git@host:a\nCANARY",
            "ssh://git@host/%0aCANARY",
            "ssh://git@host/",
            "file://other.example.com/x",
            "",
        ] {
            let error = Location::parse(text).expect_err(text);
            assert_eq!(error.kind, GitErrorKind::Refused, "{text}");
            assert!(!error.what.contains("CANARY"), "{text}: {}", error.what);
        }
    }

    #[test]
    fn a_mirror_is_shared_by_equal_locations_only() {
        let key = |t: &str| Location::parse(t).expect("valid").key();
        assert_eq!(key("git@h.example.com:/a/b"), key("ssh://git@h.example.com/a/b"));
        assert_ne!(key("git@h.example.com:a/b"), key("ssh://git@h.example.com/a/b"));
        assert_ne!(key("https://h.example.com/a"), key("https://h.example.com/b"));
        assert_eq!(key("https://h.example.com/a").len(), 32);
    }
}
