//! The token that every request but the probes must carry. I/O: the token file, at each use.

use std::path::Path;

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::problem::Problem;

/// Longest token that is taken, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Reads the token. The file is read at each use, so that rotation needs no restart. Only spaces and line ends around it are dropped.
pub async fn read_token(path: &Path) -> Result<String, String> {
    let text = tokio::fs::read(path).await.map_err(|e| format!("cannot read the token file {}: {e}", path.display()))?;
    if text.len() > MAX_TOKEN {
        return Err(format!("the token file {} is larger than {MAX_TOKEN} bytes", path.display()));
    }
    let text = String::from_utf8(text).map_err(|_| format!("the token file {} is not text", path.display()))?;
    match text.trim() {
        "" => Err(format!("the token file {} is empty", path.display())),
        token => Ok(token.to_owned()),
    }
}

/// Whether the request carries the token: as a bearer token, or as the password of HTTP basic (what a browser can send).
pub async fn check(path: &Path, headers: &HeaderMap) -> Result<(), Problem> {
    let expected = read_token(path).await.map_err(|message| {
        tracing::error!(%message, "web.token_file cannot be used, so every request is refused");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "token_unreadable", "the token file cannot be read; the log says why")
    })?;
    match presented(headers) {
        Some(token) if same(&token, &expected) => Ok(()),
        Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", "the token is not the right one")),
        None => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "no_token", "send the token as `Authorization: Bearer`, or as the password of HTTP basic"))
        }
    }
}

fn presented(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return Some(pair.split_once(':')?.1.to_owned());
    }
    None
}

/// Compares in constant time: keyed hashes of both, by a comparison that does not end early.
fn same(a: &str, b: &str) -> bool {
    let digest = |text: &str| {
        Hmac::<Sha256>::new_from_slice(b"snapgap web token").ok().map(|mut mac| {
            mac.update(text.as_bytes());
            mac.finalize()
        })
    };
    matches!((digest(a), digest(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn a_token_is_taken_as_bearer_or_as_a_password_and_in_no_other_way() {
        assert_eq!(presented(&with("Bearer abc")).as_deref(), Some("abc"));
        assert_eq!(presented(&with("bearer  abc ")).as_deref(), Some("abc"));
        assert_eq!(presented(&with(&format!("Basic {}", STANDARD.encode("me:a:b")))).as_deref(), Some("a:b"));
        for value in ["Basic !!!", "Digest abc", "abc", "Bearer"] {
            assert_eq!(presented(&with(value)), None, "{value}");
        }
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("", "abc"));
    }
}
