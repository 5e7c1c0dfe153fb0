//! The port against the real robfig/cron, and what it adds. pure

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn cron(text: &str) -> Cron {
    Cron::parse(text).expect("an expression")
}

/// `expression<TAB>start<TAB>activations`, written by the real library; see `tests/data/velero/README.md`.
#[test]
fn every_expression_activates_when_the_real_parser_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("../../../tests/data/velero/cron/robfig.tsv").lines() {
        let columns: Vec<&str> = line.splitn(3, '\t').collect();
        let [expression, start, expected] = columns[..] else { panic!("three columns: {line}") };
        let expression: String = serde_json::from_str(expression).expect("a quoted expression");
        let found = match Cron::parse(&expression) {
            Err(_) if expected == "PANIC" => "PANIC".to_owned(),
            Err(e) => e.to_string(),
            Ok(cron) => {
                let mut found = Vec::new();
                let mut after = at(start);
                while found.len() < 4 {
                    match cron.next(after) {
                        Some(t) => found.push(t.to_string()),
                        // The original never returns where a zone leaves out a whole day; no answer is the better answer.
                        None if expected.ends_with("hangs") => found.push("hangs".to_owned()),
                        None => found.push("never".to_owned()),
                    }
                    match found.last().and_then(|t| t.parse().ok()) {
                        Some(t) => after = t,
                        None => break,
                    }
                }
                found.join(" ")
            }
        };
        if found != expected {
            wrong.push(format!("{expression} after {start}: expected {expected}, found {found}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 400);
}

/// The 24 expressions of the first survey, in its own layout.
#[test]
fn the_survey_of_expressions_agrees() {
    let mut count = 0;
    for line in include_str!("../../../tests/data/velero/cron/survey.txt").lines() {
        let (expression, expected) = line.split_at(35);
        let found = match Cron::parse(expression.trim()) {
            Err(e) => format!("ERR {e}"),
            Ok(cron) => {
                let zero = |t: Option<Timestamp>| t.map_or("0001-01-01T00:00:00Z".to_owned(), |t| t.to_string());
                let next = cron.next(at("2026-11-22T19:30:00Z"));
                format!("next={} then={}", zero(next), zero(next.and_then(|t| cron.next(t))))
            }
        };
        assert_eq!(found, expected, "{expression}");
        count += 1;
    }
    assert_eq!(count, 24);
}

#[test]
fn the_longest_gap_counts_the_calendar_and_the_clock() {
    let now = at("2026-11-22T19:28:01Z");
    let hours = |text: &str| cron(text).longest_gap(now).map(|gap| gap.as_secs_f64() / 3600.0);
    for (expression, expected) in [
        ("0 1 * * *", Some(24.0)),
        ("0 */6 * * *", Some(6.0)),
        ("@hourly", Some(1.0)),
        ("@every 90m", Some(1.5)),
        ("0 8-18 * * *", Some(14.0)),
        ("0 1 * * 1-5", Some(72.0)),
        ("@weekly", Some(168.0)),
        ("@monthly", Some(31.0 * 24.0)),
        ("0 0 31 * *", Some(61.0 * 24.0)),
        ("@yearly", Some(366.0 * 24.0)),
        ("0 0 29 2 *", Some(1461.0 * 24.0)),
        ("0 0 31 2 *", None),
        (", * * * *", None),
        // The clock goes back once a year: a day of 25 hours. At 02:30 it also leaves one activation out.
        ("CRON_TZ=Europe/Berlin 0 1 * * *", Some(25.0)),
        ("CRON_TZ=Europe/Berlin 30 2 * * *", Some(47.0)),
        ("CRON_TZ=Asia/Tokyo 0 1 * * *", Some(24.0)),
        ("CRON_TZ=America/New_York 0 * * * *", Some(1.0)),
        ("CRON_TZ=Europe/Berlin @weekly", Some(169.0)),
    ] {
        assert_eq!(hours(expression), expected, "{expression}");
    }
}

#[test]
fn the_previous_activation_is_the_last_one_before() {
    let now = at("2026-11-22T19:28:00Z");
    for (expression, expected) in [
        ("0 1 * * *", Some("2026-11-22T01:00:00Z")),
        ("28 19 * * *", Some("2026-11-21T19:28:00Z")),
        ("* * * * *", Some("2026-11-22T19:27:00Z")),
        ("0 0 29 2 *", Some("2024-02-29T00:00:00Z")),
        ("0 0 31 2 *", None),
        ("@every 1h", None),
    ] {
        assert_eq!(cron(expression).prev(now).map(|t| t.to_string()).as_deref(), expected, "{expression}");
    }
}

#[test]
fn an_expression_of_hostile_length_is_an_error_or_an_answer_but_no_wait() {
    let long = format!("{} * * * *", "1,".repeat(100_000));
    assert!(Cron::parse(&long).is_ok());
    assert!(Cron::parse(&"*/".repeat(100_000)).is_err());
    assert!(Cron::parse("*/18446744073709551615 * * * *").is_err());
}

fn any_field(min: u8, max: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (min..=max).prop_map(|n| n.to_string()),
        (min..=max, 1..20u8).prop_map(|(n, step)| format!("{n}/{step}")),
        (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (1..20u8).prop_map(|step| format!("*/{step}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_next_activation_is_later_matches_and_has_no_other_before_it(
        (minute, hour, dom, month, dow) in (any_field(0, 59), any_field(0, 23), any_field(1, 31), any_field(1, 12), any_field(0, 6)),
        zone in prop_oneof![Just(""), Just("TZ=Europe/Berlin "), Just("TZ=America/New_York "), Just("TZ=Asia/Kathmandu ")],
        second in 1_700_000_000i64..1_900_000_000,
    ) {
        let parsed = Cron::parse(&format!("{zone}{minute} {hour} {dom} {month} {dow}"));
        let cron = parsed.expect("in bounds");
        let after = Timestamp::from_second(second).expect("in range");
        if let (Some(next), Cron::Fields(fields)) = (cron.next(after), &cron) {
            prop_assert!(next > after);
            let wall = fields.zone.to_datetime(next);
            prop_assert!(fields.minute & 1 << wall.minute() != 0 && fields.hour & 1 << wall.hour() != 0 && wall.second() == 0);
            prop_assert!(fields.month & 1 << wall.month() != 0 && super::next::day_matches(fields, wall.date()));
            prop_assert_eq!(cron.prev(next.checked_add(jiff::SignedDuration::from_secs(1)).expect("in range")), Some(next));
            if let Some(before) = cron.prev(next) {
                prop_assert!(before <= after);
                let longest = cron.longest_gap(before).expect("it activates");
                prop_assert!(next.duration_since(before).unsigned_abs() <= longest, "{} to {} is longer than {:?}", before, next, longest);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[@TZCRON_=*?/,0-9a-z -]{0,40}") {
        let _ = Cron::parse(&text).map(|cron| cron.next(Timestamp::UNIX_EPOCH));
    }
}
