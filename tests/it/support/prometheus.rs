//! A real Prometheus beside a daemon, and what the shipped dashboards' queries return from it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    daemon::{SOON, request},
    program::{Folder, Program, eventually, free_port},
    tools,
};

/// A Prometheus that scrapes one daemon each second.
pub struct Prometheus {
    port: u16,
    _program: Program,
    // Last, so that it goes after the program that writes into it.
    _folder: Folder,
}

/// A text as it stands in a query of an address.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Every query in a dashboard.
pub fn queries(board: &str) -> Vec<String> {
    fn collect(part: &Value, out: &mut Vec<String>) {
        match part {
            Value::Object(members) => {
                for (key, value) in members {
                    match value.as_str() {
                        Some(text) if key == "expr" => out.push(text.to_owned()),
                        _ => collect(value, out),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
            _ => {}
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards").join(format!("{board}.json"));
    let mut found = Vec::new();
    collect(&serde_json::from_str(&fs::read_to_string(path).expect("readable")).expect("JSON"), &mut found);
    found
}

/// A query of a dashboard with its variables filled in so that they match everything.
pub fn filled(query: &str) -> String {
    let text = query.replace("$__rate_interval", "1m").replace("$__interval", "1m").replace("=~\"$cluster\"", "=~\"test\"");
    let text = ["schedule", "namespace", "job", "app"].iter().fold(text, |text, name| text.replace(&format!("=~\"${name}\""), "=~\".*\""));
    assert!(!text.contains('$'), "a variable that the test does not know: {text}");
    text
}

impl Prometheus {
    /// Starts one and waits until it has scraped the daemon on this port.
    pub fn scraping(port: u16) -> Self {
        let (folder, own) = (Folder::new("snapgap-prometheus-"), free_port());
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{cluster: test}}}}\n\
             scrape_configs: [{{job_name: snapgap, static_configs: [{{targets: ['127.0.0.1:{port}'], labels: {{cluster: test}}}}]}}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).expect("written");
        let args = ["--config.file=prometheus.yml".into(), "--storage.tsdb.path=series".into(), format!("--web.listen-address=127.0.0.1:{own}")];
        let program = Program::start(folder.path(), "prometheus", &tools::path("prometheus"), &args);
        let started = Self { port: own, _program: program, _folder: folder };
        eventually("Prometheus has scraped it", SOON, || started.query("up{job=\"snapgap\"}")["data"]["result"][0]["value"][1] == "1");
        started
    }

    /// The answer to an instant query.
    pub fn query(&self, expression: &str) -> Value {
        let answer = request(self.port, "GET", &format!("/api/v1/query?query={}", encoded(expression)));
        answer.and_then(|a| serde_json::from_str(&a.body).ok()).unwrap_or_default()
    }

    /// Queries of a dashboard that return nothing, after some patience.
    pub fn empty(&self, board: &str) -> Vec<String> {
        let begun = Instant::now();
        let mut open: Vec<String> = queries(board).iter().map(|q| filled(q)).collect();
        assert!(open.len() > 10, "only {} queries were found in {board}", open.len());
        loop {
            open.retain(|text| {
                let answer = self.query(text);
                assert_eq!(answer["status"], "success", "{text}: {answer}");
                answer["data"]["result"].as_array().is_none_or(Vec::is_empty)
            });
            if open.is_empty() || begun.elapsed() > Duration::from_secs(15) {
                return open;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}
