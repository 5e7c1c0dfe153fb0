//! Kubernetes resource quantities (`100m`, `1.5Gi`, `2e3`), exactly and without floats. pure
//!
//! Grammar, rounding and caps are those of k8s.io/apimachinery `pkg/api/resource/quantity.go`: `100m` and `0.1` are one quantity,
//! nothing is finer than a nano, and what would be is rounded away from zero.

use std::cmp::Ordering;

use serde_json::Value;

/// The finest unit that the API knows, as a power of ten.
const NANO: i32 = -9;

/// Where defaulting of a ResourceList rounds to.
const MILLI: i32 = -3;

/// The cap on quantities with a binary suffix: what a 64-bit integer holds.
const LARGEST_BINARY: i128 = i64::MAX as i128;

/// An exact quantity: `mantissa * 10^exponent`, normal, so that equal quantities have equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    /// No multiple of ten, unless zero.
    mantissa: i128,
    /// At least -9; zero for zero.
    exponent: i32,
}

impl Quantity {
    /// Reads a quantity as the API server does: `[+-]digits[.digits]` and a suffix of `n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei`, or
    /// `e`/`E` and an exponent. `None` if it is none, or has more than 38 significant digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let (negative, rest) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = digits(rest);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        // Go reads a bare sign, dot or suffix as zero, except where it takes its slow path; so must who compares with it.
        let bare = whole.is_empty() && fraction.is_empty();
        let places = u32::try_from(fraction.len()).ok()?;
        let magnitude = match suffix {
            "Ki" => binary(mantissa, places, 10)?,
            "Mi" => binary(mantissa, places, 20)?,
            "Gi" => binary(mantissa, places, 30)?,
            "Ti" => binary(mantissa, places, 40)?,
            "Pi" | "Ei" if bare => return None,
            "Pi" => binary(mantissa, places, 50)?,
            "Ei" => binary(mantissa, places, 60)?,
            decimal => {
                let power = power(decimal)?;
                if bare && power < NANO {
                    return None;
                }
                Self::normal(mantissa, power.checked_sub_unsigned(places)?).rounded_up(NANO)
            }
        };
        Some(if negative { Self { mantissa: -magnitude.mantissa, ..magnitude } } else { magnitude })
    }

    /// Reads a quantity from JSON: a text (blanks around it are dropped, as the API server does) or a number.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// This quantity as whole bytes, rounded up; `None` if it is negative or beyond 64 bits.
    pub fn bytes(self) -> Option<u64> {
        let mantissa = u128::try_from(self.mantissa).ok()?;
        let power = 10u128.checked_pow(self.exponent.unsigned_abs())?;
        let bytes = if self.exponent < 0 { mantissa.div_ceil(power) } else { mantissa.checked_mul(power)? };
        u64::try_from(bytes).ok()
    }

    /// This quantity as the API server stores it in a ResourceList (requests, limits, capacity, hard): rounded up, away from zero, to
    /// whole millis (`SetDefaults_ResourceList`).
    #[must_use]
    pub fn in_resource_list(self) -> Self {
        self.rounded_up(MILLI)
    }

    fn normal(mut mantissa: i128, mut exponent: i32) -> Self {
        if mantissa == 0 {
            return Self { mantissa: 0, exponent: 0 };
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            // The exponent came from a text of bounded length, so it is far from the ends of its type.
            exponent = exponent.saturating_add(1);
        }
        Self { mantissa, exponent }
    }

    fn rounded_up(self, finest: i32) -> Self {
        if self.exponent >= finest {
            return self;
        }
        let drop = finest.saturating_sub(self.exponent).unsigned_abs();
        // A unit so large that an i128 cannot hold it is larger than any mantissa.
        let (whole, rest) = match 10_i128.checked_pow(drop) {
            Some(unit) => (self.mantissa / unit, self.mantissa % unit),
            None => (0, self.mantissa),
        };
        Self::normal(whole + rest.signum(), finest)
    }

    /// Position of the leading digit: the power of ten just above the magnitude.
    fn order(self) -> i64 {
        i64::from(self.exponent) + self.mantissa.unsigned_abs().checked_ilog10().map_or(0, |n| i64::from(n) + 1)
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if sign.is_ne() || self.mantissa == 0 {
            return sign;
        }
        let magnitude = self.order().cmp(&other.order()).then_with(|| {
            // Of the same order: write the one with the larger exponent in units of the other. It then has as many digits as the other,
            // so it fits.
            let shift = |m: u128, by: i32| 10_u128.checked_pow(by.unsigned_abs()).and_then(|unit| m.checked_mul(unit)).unwrap_or(u128::MAX);
            let (a, b) = (self.mantissa.unsigned_abs(), other.mantissa.unsigned_abs());
            match self.exponent.cmp(&other.exponent) {
                Ordering::Equal => a.cmp(&b),
                Ordering::Greater => shift(a, self.exponent - other.exponent).cmp(&b),
                Ordering::Less => a.cmp(&shift(b, other.exponent - self.exponent)),
            }
        });
        if self.mantissa < 0 { magnitude.reverse() } else { magnitude }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Splits off the leading digits.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// `mantissa * 10^-places * 2^bits`, rounded up to a nano and capped at what a 64-bit integer holds.
fn binary(mantissa: i128, places: u32, bits: u32) -> Option<Quantity> {
    let cap = Quantity::normal(LARGEST_BINARY, 0);
    // Whole and fraction are doubled apart, so that nothing grows beyond the type however many places there are.
    let one = 10_u128.checked_pow(places)?;
    let (mut whole, mut part) = (mantissa.unsigned_abs() / one, mantissa.unsigned_abs() % one);
    for _ in 0..bits {
        part *= 2;
        whole = whole * 2 + part / one;
        part %= one;
        if whole > LARGEST_BINARY.unsigned_abs() {
            return Some(cap);
        }
    }
    let nano = match places.checked_sub(NANO.unsigned_abs()) {
        Some(finer) => part.div_ceil(10_u128.checked_pow(finer)?),
        None => part * 10_u128.checked_pow(NANO.unsigned_abs() - places)?,
    };
    let nanos = whole * 10_u128.pow(NANO.unsigned_abs()) + nano;
    Some(Quantity::normal(i128::try_from(nanos).ok()?, NANO).min(cap))
}

fn power(suffix: &str) -> Option<i32> {
    Some(match suffix {
        "" => 0,
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // Nothing real has a larger exponent, and Go itself wraps around on some.
            exponent.parse::<i32>().ok().filter(|e| e.abs() <= 1_000_000)?
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
    }

    #[test]
    fn different_spellings_are_one_quantity() {
        for spellings in [
            &["100m", "0.1", ".1", "1e-1", "0.10", "+0.1", "100000u", "0.0001k"][..],
            &["1", "1000m", "1.", "01", "1e0", "1E0", "0.001k", "1000000000n"],
            &["1Gi", "1024Mi", "1048576Ki", "1073741824", "1.073741824G", "1073741824e0"],
            &["1.5Gi", "1536Mi"],
            &["1E", "1e18", "1000P", "1E18", "1000000000000000000"],
            &["1k", "1e3", "1E3", "1e+3", "1000"],
            &["0", "-0", "+", "-", ".", "0Ki", "Ki", "m", "0.000e5", "0e-20"],
            &["-1.5", "-1500m"],
            &["0.5Ki", "512"],
            &["1e100", "10e99", "0.1e101"],
        ] {
            for other in spellings {
                assert_eq!(q(spellings[0]), q(other), "{} and {other}", spellings[0]);
            }
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_no_quantity() {
        for text in [
            "",
            " ",
            "1 ",
            " 1",
            "1kb",
            "1K",
            "1e",
            "1ki",
            "1KI",
            "--1",
            "1.2.3",
            "abc",
            "1e1.5",
            "1m1",
            "1Ee3",
            "1E5i",
            "0x10",
            "1_000",
            "١",
            "1e+",
            "1e99999999999",
            "Pi",
            ".e-12",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
        assert_eq!(Quantity::parse(&"9".repeat(60)), None, "more digits than can be held exactly");
    }

    #[test]
    fn nothing_is_finer_than_a_nano_and_rounding_is_away_from_zero() {
        for (text, same) in [("0.1n", "1n"), ("1.1n", "2n"), ("-1.1n", "-2n"), ("1e-30", "1n"), ("0.0000000001", "1n"), ("0.0000000001Ki", "103n")] {
            assert_eq!(q(text), q(same), "{text}");
        }
    }

    #[test]
    fn resource_lists_hold_whole_millis() {
        for (text, same) in
            [("0.0001", "1m"), ("100.1m", "101m"), ("1500u", "2m"), ("-0.1m", "-1m"), ("100m", "100m"), ("1n", "1m"), ("2Gi", "2Gi"), ("0", "0")]
        {
            assert_eq!(q(text).in_resource_list(), q(same), "{text}");
        }
        assert_ne!(q("1500u"), q("2m"), "outside of resource lists they differ");
    }

    #[test]
    fn binary_quantities_are_capped_at_what_a_64_bit_integer_holds() {
        assert_eq!(q("8Ei"), q("9223372036854775807"));
        assert_eq!(q("9223372036854775807.1234567890123Ti"), q("8Ei"));
        assert_eq!(q("0.1234567890123456789012345678901234567Ki"), q("126.419751949"));
        assert_eq!(q("-100Ei"), q("-9223372036854775807"));
        assert!(q("7Ei") < q("8Ei") && q("8Ei") < q("1e19"));
    }

    #[test]
    fn json_texts_and_numbers_are_quantities() {
        for (value, same) in
            [(json!("1Gi"), "1Gi"), (json!(" 2 "), "2"), (json!(3), "3"), (json!(0.5), "500m"), (json!(1e21), "1e21"), (json!(-7), "-7")]
        {
            assert_eq!(Quantity::from_json(&value), Some(q(same)), "{value}");
        }
        for value in [json!(null), json!(true), json!([1]), json!({}), json!("x")] {
            assert_eq!(Quantity::from_json(&value), None, "{value}");
        }
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let ascending =
            ["-1e30", "-8Ei", "-2", "-1", "-1m", "0", "1n", "1u", "999n".trim(), "1m", "0.5", "1", "1.1", "1k", "1Ki", "1M", "1Mi", "1e30", "1e300"];
        for pair in ascending.windows(2).filter(|p| p != &["1u", "999n"]) {
            assert!(q(pair[0]) < q(pair[1]), "{} < {}", pair[0], pair[1]);
        }
        assert!(q("999n") < q("1u"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,20}", like in "[+-]?[0-9]{0,45}\\.?[0-9]{0,45}(e[+-]?[0-9]{1,7}|[numkMGTPEi]{0,2})") {
            let _ = Quantity::parse(&text).map(Quantity::in_resource_list);
            let _ = Quantity::parse(&like).map(Quantity::in_resource_list);
        }

        #[test]
        fn it_agrees_with_integers(a in -1_000_000_000_000_i64..1_000_000_000_000, b in -1_000_000_000_000_i64..1_000_000_000_000) {
            let unit = |n: i64, suffix: &str| q(&format!("{n}{suffix}"));
            for suffix in ["n", "u", "m", "", "k", "G", "Ki", "e-3", "e7"] {
                prop_assert_eq!(unit(a, suffix).cmp(&unit(b, suffix)), a.cmp(&b));
            }
            prop_assert_eq!(unit(a, "k"), unit(a * 1000, ""));
            prop_assert_eq!(unit(a, "Ki"), unit(a * 1024, ""));
            let (up, unit) = (unit(a, "u").in_resource_list(), a.div_euclid(1000) + i64::from(a > 0 && a % 1000 != 0));
            prop_assert_eq!(up, q(&format!("{unit}m")));
        }
    }
}
