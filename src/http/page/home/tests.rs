//! What the first page and the evidence page must hold, on a report with every state and with hostile names. pure

use super::*;
use crate::{
    http::{
        page::{
            object::ObjectPage,
            text::{api_href, backup_href, object_href},
        },
        sample,
    },
    object::ObjectId,
};

fn page(report: &Report, query: Query) -> String {
    Home::new(report, query, sample::now()).render().unwrap()
}

/// A link as it stands in an attribute.
fn attribute(href: &str) -> String {
    format!("href=\"{}\"", href.replace('&', "&#38;"))
}

#[test]
fn every_section_is_there_in_the_order_of_urgency() {
    let html = page(&sample::report(), Query::default());
    let order = [
        "id=\"headline\"",
        "class=\"tiles\"",
        "id=\"volumes\"",
        "id=\"windows\"",
        "id=\"open\"",
        "id=\"lost\"",
        "id=\"drift\"",
        "id=\"resurrected\"",
        "id=\"unknown\"",
        "id=\"blind\"",
        "id=\"backups\"",
        "id=\"schedules\"",
        "id=\"apps\"",
        "id=\"sources\"",
        "id=\"suppressed\"",
        "id=\"notes\"",
    ];
    let places: Vec<_> = order.iter().map(|mark| html.find(mark).unwrap_or_else(|| panic!("{mark} is not on the page"))).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn volumes_come_first_only_while_nobody_keeps_one() {
    let mut report = sample::report();
    report.volumes.retain(|v| !v.is_unprotected());
    assert!(!report.volumes.is_empty());
    let html = page(&report, Query::default());
    let places: Vec<_> =
        ["id=\"windows\"", "id=\"lost\"", "id=\"volumes\"", "id=\"drift\""].iter().map(|mark| html.find(mark).expect("on the page")).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(html.matches("id=\"volumes\"").count(), 1);
}

#[test]
fn every_finding_leads_to_its_evidence() {
    let report = sample::report();
    let html = page(&report, Query::default());
    let findings: Vec<_> = report.objects.iter().filter(|o| o.is_finding()).collect();
    assert!(findings.len() >= 18);
    for object in findings {
        assert!(html.contains(&attribute(&object_href(&object.id))), "{} has no link", object.id);
    }
    assert!(!report.volumes.is_empty() && !report.backups.is_empty() && !report.schedules.is_empty() && !report.restores.is_empty());
    for volume in &report.volumes {
        let claim = ObjectId::new("", "PersistentVolumeClaim", Some(&volume.namespace), &volume.name);
        assert!(report.objects.iter().any(|o| o.id == claim), "{claim} has no page");
        assert!(row_of(&html, &volume.name).contains(&attribute(&object_href(&claim))), "{claim} has no link");
    }
    for backup in &report.backups {
        let row = row_of(&html, &backup.name);
        assert!(row.starts_with(&format!("role=\"row\" id=\"backup-{}\"", backup.name)), "{row}");
        assert!(row.contains(&attribute(&format!("/api/v1/backups?backup={}", backup.name))), "{row}");
    }
    for schedule in &report.schedules {
        assert!(html.contains(&format!("id=\"schedule-{}\"", schedule.name)) && html.contains(&attribute(&api_href("schedule", &schedule.name))));
    }
    for restore in &report.restores {
        let row = row_of(&html, &restore.name);
        assert!(row.contains(&attribute(&backup_href(restore.backup.as_deref().unwrap()))), "{row}");
    }
}

/// The row of a table that is headed by a name.
fn row_of<'a>(html: &'a str, name: &str) -> &'a str {
    let head = format!("<bdi>{name}</bdi></a>");
    html.split("<tr ").find(|row| row.split("</th>").next().is_some_and(|th| th.contains(&head))).unwrap_or_else(|| panic!("{name} has no row"))
}

#[test]
fn an_object_leads_to_the_backup_that_speaks_for_it_and_a_claim_tells_of_its_bytes() {
    let report = sample::report();
    let of = |name: &str| {
        let object = report.objects.iter().find(|o| &*o.id.name == name).unwrap();
        ObjectPage::new(object, None, &report, sample::now()).render().unwrap()
    };
    let row = "/?show=backups#backup-daily-20261123020000";
    let told = format!("<a {}>backup daily-20261123020000 speaks for it</a>", attribute(row));
    assert!(of("cart").contains(&told), "{}", of("cart"));
    let (orders, cart) = (of("orders"), of("cart"));
    assert!(orders.contains("id=\"h-bytes\"") && !cart.contains("id=\"h-bytes\""));
    assert!(orders.contains("file-system backup, kept, 7 GiB") && orders.contains(&attribute(row)), "{orders}");
    assert!(orders.contains("failed, the node agent lost its connection") && orders.contains("backup-daily-20261122020000"));
    let page = page(&report, Query { show: Some("backups".into()), ..Query::default() });
    assert!(page.contains("id=\"backup-daily-20261122020000\""), "where it leads there is a row");
}

#[test]
fn a_hostile_name_is_an_anchor_like_any_other() {
    let mut report = sample::report();
    report.backups[0].name = sample::SCRIPT.into();
    let html = page(&report, Query::default());
    let (_, anchor) = backup_href(sample::SCRIPT).split_once('#').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(anchor.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+%*".contains(c)) && html.contains(&format!("id=\"{anchor}\"")), "{anchor}");
}

#[test]
fn hostile_text_stays_text() {
    let report = sample::report();
    let mut pages = vec![page(&report, Query::default()), page(&report, Query { app: Some(sample::SCRIPT.into()), ..Query::default() })];
    for object in &report.objects {
        let evidence = sample::evidence(&object.id);
        pages.push(ObjectPage::new(object, evidence.as_ref(), &report, sample::now()).render().unwrap());
    }
    for html in pages {
        assert!(!html.to_lowercase().contains("<script"), "a script element");
        for bad in ["<b>not</b>", " style=", " onclick=", " onload=", " onerror=", "javascript:"] {
            assert!(!html.contains(bad), "{bad}");
        }
        assert!(!html.contains('\u{202e}') && !html.contains("two\nlines"), "a character that turns or hides");
    }
    let html = page(&report, Query::default());
    assert!(html.contains("invoice-\\u{202e}gnp.exe") && html.contains("two\\nlines") && html.contains("&#60;script&#62;alert(1)"));
}

#[test]
fn filters_narrow_every_list_and_are_kept_in_the_form() {
    let report = sample::report();
    let html = page(&report, Query { app: Some("ledger".into()), ..Query::default() });
    assert!(html.contains("ledger-metrics") && !html.contains("cart-flags") && html.contains("<option value=\"ledger\" selected>"));
    let html = page(&report, Query { layer: Some("platform".into()), ..Query::default() });
    assert!(html.contains("wildcard") && !html.contains("ledger-metrics"));
    let html = page(&report, Query { namespace: Some("billing".into()), ..Query::default() });
    assert!(html.contains("render_failed") && !html.contains("cart-flags") && html.contains("value=\"billing\""));
    let windows = |query: Query| -> Vec<String> {
        let html = page(&report, query);
        let section = html.split("id=\"windows\"").nth(1).and_then(|t| t.split("id=\"open\"").next()).unwrap();
        let rows = section.split("<th scope=\"row\"").skip(1);
        let text = |row: &str, mark: &str| row.split(mark).nth(1).and_then(|t| t.split('<').next()).unwrap_or_default().to_owned();
        rows.map(|row| format!("{} {}", text(row, "class=\"kind\">"), text(row, "<bdi>"))).collect()
    };
    let all = windows(Query::default());
    assert!(all.len() == 9 && all.contains(&"layer apps".to_owned()), "{all:?}");
    // Of `billing` the destination, of `cert-manager` an object in it; roll-ups of layers are over other namespaces too.
    for (namespace, kept) in [("billing", &["app billing"][..]), ("cert-manager", &["app cert-manager"]), ("nowhere", &[])] {
        assert_eq!(windows(Query { namespace: Some(namespace.into()), ..Query::default() }), kept);
        let html = page(&report, Query { namespace: Some(namespace.into()), ..Query::default() });
        let apps = html.split("id=\"apps\"").nth(1).and_then(|t| t.split("id=\"sources\"").next()).unwrap();
        assert_eq!(apps.matches("<th scope=\"row\"").count(), kept.len(), "apps of {namespace}");
    }
    let mut elsewhere = report.clone();
    elsewhere.apps.iter_mut().filter(|a| &*a.name.0 == "billing").for_each(|a| a.namespace = None);
    let html = page(&elsewhere, Query { namespace: Some("billing".into()), ..Query::default() });
    assert!(html.contains("class=\"app\""), "an object of it lies there");
    assert_eq!(windows(Query { layer: Some("platform".into()), ..Query::default() }).len(), 3);
    let html = page(&report, Query { namespace: Some("ledger".into()), ..Query::default() });
    assert!(!html.contains("id=\"mismatches\""), "those lie in shop");
    let empty = Query { app: Some(String::new()), layer: Some(String::new()), namespace: Some(String::new()), ..Query::default() };
    assert_eq!(page(&report, empty), page(&report, Query::default()));
}

#[test]
fn long_lists_are_cut_and_lead_to_the_whole() {
    let mut report = sample::report();
    let lost = report.objects.iter().find(|o| o.recovery == Recovery::Lost).unwrap().clone();
    for n in 0..(MAX_ROWS + 10) {
        let mut object = lost.clone();
        object.id.name = format!("spare-{n:05}").into();
        report.objects.push(object);
    }
    let rows = |html: &str| html.matches("spare-").count() / 2;
    let html = page(&report, Query { layer: Some("apps".into()), ..Query::default() });
    assert!(rows(&html) <= ROWS && html.contains("href=\"/?layer=apps&#38;show=lost#lost\""));
    let html = page(&report, Query { show: Some("lost".into()), ..Query::default() });
    assert!(rows(&html) > MAX_ROWS - 20 && rows(&html) <= MAX_ROWS && !html.contains("show=lost#lost"));
}

#[test]
fn unknown_is_never_green_and_a_clean_report_is_calm() {
    let mut report = sample::report();
    report.windows[0].state = crate::report::model::WindowState::Unknown;
    let html = page(&report, Query::default());
    assert!(html.contains("class=\"hero unknown\""));
    for text in ["unknown", "drift unknown", "recovery unknown", "content unread", "fetch fails", "render fails"] {
        assert!(!html.contains(&format!("class=\"chip good\">{text}")), "{text} is green");
    }
    let html = page(&sample::clean(), Query::default());
    assert!(html.contains("class=\"hero good\"") && html.contains("Closed:"));
    assert_eq!(html.matches("class=\"tile quiet\"").count(), 7);
}

#[test]
fn a_damaged_backup_is_neither_green_nor_silent() {
    let mut report = sample::report();
    let backup = &mut report.backups[1];
    backup.state = crate::witness::BackupState::Invalid;
    backup.why = "its archive is damaged, so what it holds is not known".into();
    backup.unread = Some(crate::witness::Failure::new("archive_truncated", "daily.tar.gz: the archive ends too early"));
    (backup.objects, backup.speaks_for) = (None, 7);
    let name = backup.name.to_string();
    let html = page(&report, Query::default());
    let row = html.split("<tr ").find(|row| row.contains("data-label=\"Speaks for\"") && row.contains(&name)).expect("its row");
    assert!(row.contains("chip bad\">invalid") && row.contains("would speak for 7"), "{row}");
    assert!(row.contains("is damaged") && row.contains("Content not read: daily.tar.gz: the archive ends too early"), "{row}");
}

#[test]
fn the_markup_is_balanced_and_tables_have_headers() {
    let report = sample::report();
    let mut pages = vec![page(&report, Query::default())];
    pages.extend(report.objects.iter().map(|o| ObjectPage::new(o, sample::evidence(&o.id).as_ref(), &report, sample::now()).render().unwrap()));
    for html in pages {
        for tag in ["table", "tr", "td", "th", "ul", "li", "dl", "div", "section", "article", "p", "a", "bdi", "span", "code", "pre", "main", "time"]
        {
            let open = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "<{tag}>");
        }
        assert_eq!(html.matches("<th ").count(), html.matches("scope=\"").count());
        assert_eq!(html.matches("<main ").count(), 1);
        assert_eq!(html.matches("<h1").count(), 1);
        let mut ids: Vec<_> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id stands twice");
    }
}
