//! The report as JSON: the stable document that other programs read. pure

use std::borrow::Cow;

use super::model::Report;

/// The report as it is printed: clean objects and blind spots that nobody asks about only with `all`. Counts always cover them.
pub fn printed(report: &Report, all: bool) -> Cow<'_, Report> {
    if all {
        return Cow::Borrowed(report);
    }
    let mut shown = report.clone();
    shown.objects.retain(super::model::ObjectReport::is_finding);
    shown.blind_spots.retain(|b| b.matters);
    Cow::Owned(shown)
}

/// The report as indented JSON with a newline at its end.
///
/// # Errors
/// Only if serialisation fails, which no report causes.
pub fn render(report: &Report, all: bool) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(printed(report, all).as_ref())?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{model::SCHEMA, sample};

    #[test]
    fn clean_objects_are_printed_with_all_only_and_counted_always() {
        let report = sample::busy();
        let parse = |all: bool| serde_json::from_str::<Report>(&render(&report, all).expect("rendered")).expect("read back");
        assert_eq!(parse(true), report);
        let few = parse(false);
        assert!(few.objects.len() < report.objects.len() && few.objects.iter().all(|o| o.is_finding()));
        assert!(few.blind_spots.len() < report.blind_spots.len());
        assert_eq!(few.summary, report.summary);
        assert_eq!(&*few.schema, SCHEMA);
    }

    #[test]
    fn control_characters_leave_as_escapes() {
        let text = render(&sample::hostile(), true).expect("rendered");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }
}
