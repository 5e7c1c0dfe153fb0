//! The page in a real browser, at desktop and phone width.

use std::{fs, path::Path, process::Command};

use crate::support::{
    daemon::{Daemon, Setting},
    program::Folder,
    tools,
};

/// Makes the demo's world in a folder and gives the configuration that it wrote.
pub fn demo(folder: &Path) -> Setting {
    let out = Command::new(env!("CARGO_BIN_EXE_snapgap")).args(["demo", "--once", "--keep"]).arg(folder).output().expect("it starts");
    assert!(folder.join("snapgap.yaml").exists(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = fs::read_to_string(folder.join("snapgap.yaml")).expect("readable");
    Setting(text.lines().filter(|l| !l.starts_with("cache_dir") && !l.starts_with("web")).map(|l| format!("{l}\n")).collect())
}

/// Loads a page that measures the daemon's page in a frame of this width, and gives the text of the result.
fn browser(folder: &Folder, width: u32, url: &str, args: &[&str]) -> String {
    let mut command = Command::new(tools::path("chromium"));
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", folder.path().join(format!("profile-{width}")).display())).arg(format!("--window-size={width},900"));
    let out = command.args(args).arg(url).output().expect("chromium starts");
    assert!(out.status.success(), "chromium: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Width and height of a PNG, and how many bytes it has.
fn png(path: &Path) -> (u32, u32, usize) {
    let bytes = fs::read(path).expect("a screenshot");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20), bytes.len())
}

#[test]
fn the_page_renders_in_a_browser_at_desktop_and_phone_width() {
    let folder = Folder::new("snapgap-page-");
    let daemon = Daemon::start(&demo(&folder.path().join("world")));
    let url = format!("http://127.0.0.1:{}/", daemon.port);
    let headline = daemon.get("/").body.split("<h1 id=\"headline\">").nth(1).and_then(|t| t.split('<').next()).expect("a headline").to_owned();
    assert!(!headline.trim().is_empty());
    for width in [1280, 390] {
        let shot = folder.path().join(format!("{width}.png"));
        let dom = browser(&folder, width, &url, &["--dump-dom"]);
        assert!(dom.contains(&headline), "{width}: the headline is not there");
        for heading in ["h-windows", "h-lost", "h-drift"] {
            assert!(dom.contains(&format!("id=\"{heading}\"")), "{width}: no section {heading}");
        }
        browser(&folder, width, &url, &[&format!("--screenshot={}", shot.display())]);
        let (wide, _, bytes) = png(&shot);
        assert!(wide == width && bytes > 10_000, "{width}: a screenshot of {wide} pixels and {bytes} bytes");
        if let Some(keep) = std::env::var_os("SNAPGAP_TEST_SCREENSHOTS") {
            fs::copy(&shot, Path::new(&keep).join(format!("page-{width}.png"))).expect("copied");
        }
    }
}
