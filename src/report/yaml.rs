//! The report as YAML: the same document as the JSON, for people who read it. pure

use super::{json::printed, model::Report};

/// The report as YAML; clean objects only with `all`.
///
/// # Errors
/// Only if serialisation fails, which no report causes.
pub fn render(report: &Report, all: bool) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(printed(report, all).as_ref())
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
        }
    }
}
