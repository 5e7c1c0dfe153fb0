//! The report as YAML: the same document as the JSON, for people who read it. pure

use super::{json::printed, model::Report};

/// The report as YAML; clean objects only with `all`.
///
/// # Errors
/// Only if serialisation fails, which no report causes.
pub fn render(report: &Report, all: bool) -> Result<String, serde_yaml::Error> {
    crate::object::yaml::write(printed(report, all).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn yaml_and_json_hold_the_same() {
        for report in [sample::busy(), sample::clean(), sample::hostile()] {
            let text = render(&report, true).expect("rendered");
            assert_eq!(serde_yaml::from_str::<Report>(&text).expect("read back"), report);
            assert!(!text.contains('\u{1b}'), "an escape sequence went through");
            let keys: Vec<&str> = text.lines().filter(|l| !l.starts_with([' ', '-'])).filter_map(|l| l.split(':').next()).collect();
            assert!(!keys.is_sorted(), "members come in the order of the document, not of the alphabet: {keys:?}");
        }
    }

    #[test]
    fn a_text_that_an_older_reader_takes_for_a_truth_value_is_quoted() {
        let mut report = sample::busy();
        let fields = report.objects.iter_mut().flat_map(|o| &mut o.fields);
        fields.for_each(|f| f.desired = Some("on".into()));
        let text = render(&report, true).expect("rendered");
        assert!(text.contains("desired: \"on\"\n"), "{text}");
        assert_eq!(serde_yaml::from_str::<Report>(&text).expect("read back"), report);
    }
}
