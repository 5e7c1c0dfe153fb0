//! Families about sources, apps and their windows. pure

use super::{super::table, Sheet, flag};
use crate::report::{
    Report,
    model::{AppReport, WindowScope, WindowState},
};

pub(super) fn put(sheet: &mut Sheet, report: &Report) {
    for source in &report.sources {
        let name = &*source.name.0;
        let revision = source.tip.as_ref().map_or("", |tip| &tip.sha);
        sheet.put(&table::GIT_INFO, &[name, &without_credentials(&source.location), &source.reference, revision], 1.0);
        sheet.time(&table::GIT_LAST_FETCH, &[name], source.as_of);
        sheet.time(&table::GIT_HEAD_COMMIT, &[name], source.tip.as_ref().map(|tip| tip.time));
        sheet.time(&table::GIT_HEAD_OBSERVED, &[name], source.observed);
    }
    for app in &report.apps {
        let name = &*app.name.0;
        let renderer = app.render.as_ref().map_or("", |evidence| &evidence.renderer);
        sheet.put(&table::APP_INFO, &[name, &app.source.0, &app.path, renderer, app.layer.name(), "config"], 1.0);
        sheet.put(&table::APP_DESIRED, &[name], app.objects as f64);
        sheet.time(&table::APP_EVALUATED, &[name], holds_until(report, app));
    }
    for rollup in &report.windows {
        let WindowScope::App(app) = &rollup.of else { continue };
        let name = &*app.0;
        for state in WindowState::ALL {
            sheet.put(&table::SPLIT_STATE, &[name, state.name()], flag(state == rollup.state));
        }
        let start = rollup.start.filter(|_| rollup.state == WindowState::Open);
        sheet.time(&table::SPLIT_START, &[name], start.map(|start| start.not_after));
        sheet.put(&table::SPLIT_COMMITS, &[name], rollup.commits.len() as f64);
        sheet.put(&table::SPLIT_OBJECTS, &[name], rollup.objects as f64);
        sheet.put(&table::SPLIT_OBJECTIVE, &[name], rollup.objective_seconds as f64);
    }
}

/// The moment up to which an app's verdicts hold. A failing app holds no longer than its last good render.
fn holds_until(report: &Report, app: &AppReport) -> Option<jiff::Timestamp> {
    let git = match &app.failure {
        Some(_) => app.rendered_at?,
        None => report.as_of.git.get(&app.source)?.at?,
    };
    Some(git.min(report.as_of.cluster.at?).min(report.as_of.backups.at?))
}

/// A location without user info. Sources refuse credentials in the first place; this is the second lock on the same door.
fn without_credentials(location: &str) -> String {
    match location.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            match rest[..authority].rfind('@') {
                Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
                None => location.to_owned(),
            }
        }
        None => location.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_location_loses_its_user_info_and_nothing_else() {
        for (location, shown) in [
            ("https://bot:canary@git.example.com/shop.git", "https://git.example.com/shop.git"),
            ("https://can@ary@git.example.com/a@b.git", "https://git.example.com/a@b.git"),
            ("https://git.example.com/a@b.git", "https://git.example.com/a@b.git"),
            ("git@git.example.com:shop.git", "git@git.example.com:shop.git"),
            ("/srv/shop", "/srv/shop"),
        ] {
            assert_eq!(super::without_credentials(location), shown);
        }
    }
}
