//! How spans, counts and commits are written for people, wherever a sentence is made. pure

/// A span in the two largest units that matter: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. Seconds beside minutes are noise.
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

/// The first seven digits of a commit id, as Git abbreviates it.
pub fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}

/// `1 object`, `2 objects`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (119, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (12_000, "3 h 20 min"),
            (86_400, "1 d"),
            (187_200, "2 d 4 h"),
            (u64::MAX, "213503982334601 d 7 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn an_id_that_is_short_already_stays_whole() {
        assert_eq!((short("3f2a91c0dd"), short("3f2"), short("3f2a91\u{e9}")), ("3f2a91c", "3f2", "3f2a91\u{e9}"));
    }
}
