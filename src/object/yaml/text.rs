//! Bytes to text, and the characters that Kubernetes' parser refuses. pure

use std::borrow::Cow;

use super::{Notes, YamlError};

/// Decodes a file as Argo CD does: a byte order mark decides between UTF-8 and UTF-16, without one it is UTF-8, and bytes that are not
/// become U+FFFD (github.com/TomOnTime/utfutil over golang.org/x/text).
pub(super) fn decode<'a>(bytes: &'a [u8], notes: &mut Notes) -> Cow<'a, str> {
    let units = |join: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let half = (!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        let text = char::decode_utf16(pairs.iter().map(|p| join(*p))).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        text.chain(half).collect::<String>()
    };
    match bytes {
        [0xFE, 0xFF, ..] => Cow::Owned(units(u16::from_be_bytes)),
        [0xFF, 0xFE, ..] => Cow::Owned(units(u16::from_le_bytes)),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest, notes),
        _ => utf8(bytes, notes),
    }
}

fn utf8<'a>(bytes: &'a [u8], notes: &mut Notes) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            notes.add(number(line), "not_utf8", "bytes that are not UTF-8 are read as U+FFFD; save the file as UTF-8");
            String::from_utf8_lossy(bytes)
        }
    }
}

/// Refuses the characters that go-yaml refuses anywhere in a file (`yaml: control characters are not allowed`), comments included.
pub(super) fn check(text: &str, notes: &mut Notes) -> Result<(), YamlError> {
    // The usual file has none of these bytes, and looking at bytes is several times faster than looking at characters.
    let suspicious = |b: &u8| matches!(b, 0..=8 | 0xB | 0xC | 0xE..=0x1F | 0x7F | 0xC2 | 0xE2 | 0xEF);
    let Some(first) = text.as_bytes().iter().position(suspicious) else { return Ok(()) };
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < first) {
        match c {
            '\t' | '\n' | '\r' => {}
            '\u{0}'..='\u{1F}' | '\u{7F}'..='\u{84}' | '\u{86}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}' => {
                let (line, column) = place(text, at);
                return Err(YamlError { line, column, reason: "control characters are not allowed".to_owned() });
            }
            '\u{85}' | '\u{2028}' | '\u{2029}' => {
                let message =
                    "U+0085, U+2028 and U+2029 are line breaks to Kubernetes' parser but not here; write them as \\N, \\L, \\P in double quotes";
                notes.add(place(text, at).0, "odd_line_break", message);
            }
            _ => {}
        }
    }
    Ok(())
}

fn place(text: &str, at: usize) -> (u32, u32) {
    let before = &text[..at];
    let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
    let column = 1 + before.rsplit('\n').next().unwrap_or(before).chars().count();
    (number(line), number(column))
}

/// Lines and columns as they are kept: more than four billion are not told apart.
pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
