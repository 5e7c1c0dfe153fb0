//! Answers that a well-behaved API server does not give, from a server that says what it is told: what is made of them.

use std::{fs, sync::Arc, time::Duration};

use snapgap::{
    cluster::{Connection, Limits, discovery::Served, wire::Wire},
    config,
    object::Gvk,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
};

/// One answer: raw bytes after the request was read; nothing at all leaves the request hanging.
fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn page(names: &[&str], next: &str) -> String {
    let items: Vec<String> = names.iter().map(|n| format!("{{\"metadata\":{{\"name\":\"{n}\"}}}}")).collect();
    answer("200 OK", &format!("{{\"metadata\":{{\"resourceVersion\":\"5\",\"continue\":\"{next}\"}},\"items\":[{}]}}", items.join(",")))
}

fn status(code: u16, reason: &str, details: &str) -> String {
    answer(
        &format!("{code} X"),
        &format!(
            "{{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":{code},\"reason\":\"{reason}\",\"message\":\"said\",\"details\":{{{details}}}}}"
        ),
    )
}

/// Lists over a server with these answers: the names taken, or the error; and the queries that were asked.
async fn list(answers: Vec<String>) -> (Result<Vec<String>, String>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        for text in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.expect("a request");
            let first = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            log.lock().await.push(first);
            if text.is_empty() {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            stream.write_all(text.as_bytes()).await.expect("written");
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    let kubeconfig = dir.path().join("config");
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: c}}}}]\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
    );
    fs::write(&kubeconfig, text).expect("written");
    let settings = config::Cluster { kubeconfig: Some(kubeconfig), ..Default::default() };
    let limits = Limits { page: 100, page_bytes: 400, call: Duration::from_secs(2), ..Limits::default() };
    let wire = Wire::new(Connection::connect(&settings).await.expect("a connection"), limits);
    let kind = Served {
        gvk: Gvk::parse("v1", "ConfigMap"),
        versions: vec![],
        plural: "configmaps".into(),
        namespaced: true,
        get: true,
        list: true,
        watch: true,
        told: Default::default(),
    };
    let names = std::sync::Mutex::new(Vec::new());
    let outcome = wire
        .list(
            &kind,
            false,
            &mut |v| names.lock().expect("unpoisoned").push(v["metadata"]["name"].as_str().unwrap_or_default().to_owned()),
            &mut || names.lock().expect("unpoisoned").clear(),
        )
        .await;
    let outcome = outcome
        .map(|_| names.lock().expect("unpoisoned").clone())
        .map_err(|e| format!("{} {:?}: {e}", e.kind(), e.retry_after().map(|r| r.as_secs())));
    let asked = asked.lock().await.clone();
    (outcome, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_continuation_expired_is_begun_anew() {
    let gone = || status(410, "Expired", "");
    let (names, asked) = list(vec![page(&["a", "deleted-since"], "x"), gone(), page(&["a"], "y"), page(&["b"], "")]).await;
    assert_eq!(names, Ok(vec!["a".into(), "b".into()]));
    assert!(
        asked[0].contains("limit=100") && asked[1].contains("continue=x") && !asked[2].contains("continue") && asked[3].contains("continue=y"),
        "{asked:?}"
    );
    let endless = (0..4).flat_map(|_| [page(&["a"], "x"), gone()]).collect();
    assert!(list(endless).await.0.is_err_and(|e| e.starts_with("expired")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_parts() {
    let large = page(&["x".repeat(500).as_str()], "");
    let (names, asked) = list(vec![large.clone(), page(&["a"], "m"), large.clone(), page(&["b"], "")]).await;
    assert_eq!(names, Ok(vec!["a".into(), "b".into()]));
    let limits: Vec<bool> = asked
        .iter()
        .zip(["limit=100", "limit=20", "limit=20", "limit=4"])
        .map(|(a, l)| a.contains(&format!("{l}&")) || a.contains(&format!("{l} ")))
        .collect();
    assert_eq!(limits, [true; 4], "{asked:?}");
    assert!(list(vec![large; 4]).await.0.is_err_and(|e| e.starts_with("too_large")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_a_failure_with_a_reason_and_is_not_asked_for_twice() {
    for (text, says) in [
        (answer("200 OK", "<html>canary</html>"), "malformed None: an answer that cannot be read"),
        (answer("200 OK", "{\"metadata\":{},\"items\":[{\"canary\":1}"), "malformed None: an answer that cannot be read: it ends too early"),
        (answer("502 Bad Gateway", "<html>proxy</html>"), "server_error None: the API server answered 502"),
        (status(429, "TooManyRequests", "\"retryAfterSeconds\":7"), "throttled Some(7): the API server answered 429 TooManyRequests: said"),
        (status(503, "ServiceUnavailable", ""), "server_error None: the API server answered 503 ServiceUnavailable: said"),
        (status(401, "Unauthorized", ""), "unauthenticated None: the API server answered 401 Unauthorized: said"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"metadata\"".to_owned(), "unreachable None: the connection broke"),
        (String::new(), "timeout None: no answer within 2 s"),
    ] {
        let (names, asked) = list(vec![text]).await;
        let error = names.expect_err(says);
        assert!(error.starts_with(says) && !error.contains("canary"), "{error} and not {says}");
        assert_eq!(asked.len(), 1, "{asked:?}");
    }
}
