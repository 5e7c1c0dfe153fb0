//! A receiver of webhooks: takes POSTs and keeps their bodies, by path.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use serde_json::Value;

/// A listener on a loopback port.
pub struct Receiver {
    pub port: u16,
    got: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    /// Starts to listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let got: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let kept = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                let (mut line, mut length, mut path) = (String::new(), 0, String::new());
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    if let Some(rest) = line.strip_prefix("POST ") {
                        path = rest.split(' ').next().unwrap_or_default().to_owned();
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_ok() {
                    kept.lock().expect("lock").push((path, serde_json::from_slice(&body).expect("JSON")));
                }
                let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { port, got }
    }

    /// Alerts that an Alertmanager has told of so far, with the path that it told them at.
    pub fn alerts(&self) -> Vec<(String, Value)> {
        let got = self.got.lock().expect("lock");
        let of = |(path, message): &(String, Value)| {
            let alerts = message["alerts"].as_array().cloned().unwrap_or_default();
            alerts.into_iter().map(|alert| (path.clone(), alert)).collect::<Vec<_>>()
        };
        got.iter().flat_map(of).collect()
    }
}
