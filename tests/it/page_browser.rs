//! The page in a real browser: nothing runs over its edge, everybody can read and work it, and it needs no script.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    daemon_page::demo,
    http::{World, web},
    support::{
        browser::{Browser, View},
        daemon::Daemon,
        program::Folder,
        tools,
    },
};

/// Elements that reach over the right edge of the page, unless something around them lets them be scrolled to.
const OVERFLOW: &str = r"(() => {
    const edge = document.documentElement.clientWidth;
    const scrolled = e => e && e !== document.documentElement && (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || scrolled(e.parentElement));
    const hidden = e => getComputedStyle(e).clipPath !== 'none' || e.closest('thead') && getComputedStyle(e.closest('thead')).clipPath !== 'none';
    const out = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > edge + 0.5 && !scrolled(e.parentElement) && !hidden(e));
    const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), over = [];
    for (let n; n = text.nextNode();) {
        const range = document.createRange();
        range.selectNodeContents(n);
        const wide = [...range.getClientRects()].some(r => r.right > edge + 0.5);
        if (wide && !scrolled(n.parentElement) && !hidden(n.parentElement)) over.push(n.textContent.slice(0, 80) + ' in ' + n.parentElement.outerHTML.slice(0, 120));
    }
    return {over, scroll: document.documentElement.scrollWidth, client: edge, out: out.map(e => e.outerHTML.slice(0, 200))};
})()";

/// What lies in the page for those who do not see it.
const OUTLINE: &str = r"(() => ({
    lang: document.documentElement.lang,
    title: document.title,
    scripts: document.querySelectorAll('script, [onclick], [onload], [onsubmit]').length,
    headings: [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => +h.tagName[1]),
    landmarks: ['header', 'main', 'footer'].map(l => document.querySelectorAll('body > ' + l).length),
    headers: [...document.querySelectorAll('th')].filter(h => !['col', 'row'].includes(h.scope)).map(h => h.outerHTML),
    unlabelled: [...document.querySelectorAll('input, select, button, textarea')].filter(f => !f.labels?.length && !f.textContent.trim()).map(f => f.outerHTML),
    skip: document.querySelector('a')?.getAttribute('href'),
}))()";

/// Where the keyboard is, and whether one sees it.
const FOCUS: &str = r"(() => {
    const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
    return {what: e.outerHTML.slice(0, 120), body: e === document.body, style: s.outlineStyle, width: parseFloat(s.outlineWidth), seen: r.right > 0 && r.bottom > 0};
})()";

/// Every page there is, over two reports: one with every state and with names that mean harm, and the demo's own.
fn pages(hostile: &str, demo: &str) -> Vec<String> {
    let object = |base: &str, kind: &str, namespace: &str, name: &str| {
        let group = if kind == "Deployment" { "apps" } else { "" };
        format!("{base}/objects/view?group={group}&kind={kind}&namespace={namespace}&name={name}")
    };
    vec![
        format!("{hostile}/"),
        format!("{hostile}/?show=drift"),
        format!("{hostile}/?namespace=nowhere"),
        format!("{hostile}/no/such/page"),
        format!("{demo}/"),
        object(demo, "Deployment", "shop", "cart"),
        object(demo, "Secret", "shop", "cart-database"),
        object(demo, "ConfigMap", "shop", "nobody-has-it"),
    ]
}

/// Links of a page to objects, so that those with the longest names are looked at too.
fn linked(browser: &mut Browser, base: &str) -> Vec<String> {
    browser.open(&format!("{base}/"), View::DESKTOP);
    let links = browser.eval("[...new Set([...document.querySelectorAll('a.object')].map(a => a.href))]");
    links.as_array().expect("links").iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Keeps pictures of the pages for a person to look at, where one asks for them.
fn keep_pictures(browser: &mut Browser, pages: &[String]) {
    let Some(folder) = std::env::var_os("SNAPGAP_TEST_SCREENSHOTS") else { return };
    let dark = |view: View| View { dark: true, ..view };
    let views = [("desktop", View::DESKTOP), ("phone", View::PHONE), ("desktop-dark", dark(View::DESKTOP)), ("phone-dark", dark(View::PHONE))];
    for (n, url) in pages.iter().enumerate() {
        for (name, view) in views {
            browser.open(url, view);
            fs::write(Path::new(&folder).join(format!("{n}-{name}.png")), browser.picture()).expect("written");
        }
    }
}

/// Both reports, served.
async fn served() -> (World, Daemon, Folder, Vec<String>) {
    let hostile = World::ready(web()).await;
    let folder = Folder::new("snapgap-pages-");
    let daemon = tokio::task::block_in_place(|| Daemon::start(&demo(&folder.path().join("world"))));
    let pages = pages(&format!("http://{}", hostile.address), &format!("http://127.0.0.1:{}", daemon.port));
    (hostile, daemon, folder, pages)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_over_the_edge_at_any_width() {
    let (hostile, _daemon, _folder, mut pages) = served().await;
    tokio::task::block_in_place(|| {
        let mut browser = Browser::start();
        pages.extend(linked(&mut browser, &format!("http://{}", hostile.address)));
        for url in &pages {
            for width in [320, 390, 768, 1280] {
                browser.open(url, View { width, ..View::PHONE });
                let found = browser.eval(OVERFLOW);
                assert!(
                    found["scroll"].as_f64() <= found["client"].as_f64()
                        && found["out"] == Value::Array(vec![])
                        && found["over"] == Value::Array(vec![]),
                    "{url} at {width}: {found:#}"
                );
            }
        }
        keep_pictures(&mut browser, &pages);
        browser.open(&pages[0], View { width: 200, ..View::PHONE });
        browser.eval("document.querySelector('h1').style.minWidth = '900px'");
        assert_ne!(browser.eval(OVERFLOW)["out"], Value::Array(vec![]), "the check itself finds what runs over");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outline_is_in_order_and_the_keyboard_is_seen() {
    let (_hostile, _daemon, _folder, pages) = served().await;
    tokio::task::block_in_place(|| {
        let mut browser = Browser::start();
        for url in &pages {
            browser.open(url, View::DESKTOP);
            let outline = browser.eval(OUTLINE);
            assert_eq!((&outline["lang"], &outline["scripts"], &outline["skip"]), (&"en".into(), &0.into(), &"#main".into()), "{url}: {outline:#}");
            assert!(outline["title"].as_str().is_some_and(|t| t.contains("snapgap")), "{url}: {outline:#}");
            assert_eq!(outline["landmarks"], serde_json::json!([1, 1, 1]), "{url}");
            assert_eq!((&outline["headers"], &outline["unlabelled"]), (&Value::Array(vec![]), &Value::Array(vec![])), "{url}");
            let headings: Vec<u64> = outline["headings"].as_array().expect("headings").iter().filter_map(Value::as_u64).collect();
            let first = headings.first() == Some(&1) && headings.iter().filter(|h| **h == 1).count() == 1;
            assert!(first && headings.windows(2).all(|w| w[1] <= w[0] + 1), "{url}: a level is left out: {headings:?}");
            let mut steps = 0;
            while steps < 40 {
                browser.press("Tab", 9);
                let focus = browser.eval(FOCUS);
                if focus["body"] == true {
                    break;
                }
                steps += 1;
                let seen = focus["style"] != "none" && focus["width"].as_f64() >= Some(2.0) && focus["seen"] == true;
                assert!(seen, "{url}: one does not see where the keyboard is: {focus:#}");
            }
            assert!(steps > 4, "{url}: only {steps} steps");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checker_of_accessibility_finds_nothing_in_light_and_in_dark() {
    let (hostile, _daemon, _folder, mut pages) = served().await;
    let axe = fs::read_to_string(tools::path("axe.js")).expect("readable");
    tokio::task::block_in_place(|| {
        let mut browser = Browser::start();
        pages.extend(linked(&mut browser, &format!("http://{}", hostile.address)).into_iter().take(3));
        let ask = |browser: &mut Browser| {
            browser.eval(&axe);
            browser.eval(
                "axe.run(document, {resultTypes: ['violations']}).then(r => \
                 r.violations.map(v => ({id: v.id, help: v.help, at: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' ' + n.failureSummary)})))",
            )
        };
        for url in &pages {
            for view in [View::DESKTOP, View::PHONE, View { dark: true, ..View::DESKTOP }, View { dark: true, ..View::PHONE }] {
                browser.open(url, view);
                let found = ask(&mut browser);
                assert_eq!(found, Value::Array(vec![]), "{url}, {view:?}: {found:#}");
            }
        }
        browser.open(&pages[0], View::DESKTOP);
        browser.eval("document.querySelector('h1').style.color = '#ddd'; document.documentElement.lang = ''");
        let found = ask(&mut browser).to_string();
        assert!(found.contains("color-contrast") && found.contains("html-has-lang"), "the checker works: {found}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_works_without_scripts() {
    let (_hostile, _daemon, _folder, pages) = served().await;
    tokio::task::block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&pages[4], View { scripts: false, ..View::PHONE });
        browser.eval("document.querySelector('input[name=namespace]').focus()");
        browser.call("Input.insertText", serde_json::json!({"text": "ingress"}));
        browser.press("Tab", 9);
        browser.call(
            "Input.dispatchKeyEvent",
            serde_json::json!({"type": "keyDown", "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}),
        );
        crate::support::program::eventually("the filtered page", std::time::Duration::from_secs(30), || {
            browser.eval("location.search").as_str().is_some_and(|s| s.contains("namespace=ingress"))
        });
        browser.settle();
        let names = browser.eval("[...document.querySelectorAll('#drift .object .name')].map(n => n.textContent)");
        assert_eq!(names, serde_json::json!(["ingress-settings"]));
    });
}
