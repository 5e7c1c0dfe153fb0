//! Chromium, driven by its DevTools protocol over a pair of pipes. I/O: processes, a temporary folder.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    program::{Folder, Program},
    tools,
};

/// How long one command may take. Generous: test machines are busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the page is looked at with.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    pub scripts: bool,
}

impl View {
    pub const DESKTOP: Self = Self { width: 1280, height: 900, dark: false, scripts: true };
    pub const PHONE: Self = Self { width: 390, height: 844, dark: false, scripts: true };
}

/// A browser with one page.
pub struct Browser {
    commands: File,
    answers: Receiver<Value>,
    session: Option<String>,
    sent: u64,
    program: Program,
    // Last, so that it goes after the program.
    _folder: Folder,
}

impl Browser {
    /// Starts it with an empty page.
    pub fn start() -> Self {
        let folder = Folder::new("snapgap-browser-");
        let [to, from] = ["to", "from"].map(|name| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
            // Opened for both, so that neither end waits for the other.
            OpenOptions::new().read(true).write(true).open(path).expect("a pipe")
        });
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let chromium = tools::path("chromium").display().to_string();
        let args = ["-c", "exec \"$@\" 3<to 4>from", "bash", &chromium, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"];
        let more = ["--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage", &profile, "about:blank"];
        let args: Vec<String> = args.into_iter().chain(more).map(str::to_owned).collect();
        let program = Program::start(folder.path(), "chromium", Path::new("/bin/bash"), &args);
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut message = Vec::new();
            while from.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                message.pop();
                if sender.send(serde_json::from_slice(&message).expect("JSON")).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self { commands: to, answers, session: None, sent: 0, program, _folder: folder };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// One command of the protocol and its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser reads");
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let answer = self.answers.recv_timeout(left).unwrap_or_else(|e| panic!("{method}: {e}:\n{}", self.program.last_words()));
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// Loads an address and waits until it is there.
    pub fn open(&mut self, url: &str, view: View) {
        let scheme = if view.dark { "dark" } else { "light" };
        let metrics = json!({"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.call("Emulation.setEmulatedMedia", json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}));
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !view.scripts}));
        let loaded = self.call("Page.navigate", json!({"url": url}));
        assert!(loaded["errorText"].is_null(), "{url}: {loaded}");
        self.settle();
    }

    /// Waits until the page that is being loaded is there.
    pub fn settle(&mut self) {
        let begun = Instant::now();
        while self.eval("document.readyState === 'complete' && location.href !== 'about:blank'") != Value::Bool(true) {
            assert!(begun.elapsed() < PATIENCE, "the page does not load");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of an expression in the page; a promise is waited for.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let got = self.call("Runtime.evaluate", params);
        assert!(got["exceptionDetails"].is_null(), "{}: {}", expression.chars().take(200).collect::<String>(), got["exceptionDetails"]);
        got["result"]["value"].clone()
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}));
        }
    }

    /// A picture of the whole page, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let shot = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64")
    }
}
