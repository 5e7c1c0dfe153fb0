//! What a body takes in memory as a tree of values, told from its text before there is a tree. pure
//!
//! A mapping with one member is eight bytes of text and a node of some 640 bytes: sixteen megabytes of them would be more than a gigabyte.

/// Bytes of text below which nobody looks: at worst they are a hundred times as many.
const SMALL: usize = 1 << 20;

/// The node of a mapping, with its first members.
const MAPPING: u64 = 640;

/// A value, with its place in a list or its share of a mapping's further nodes, and a key.
const VALUE: u64 = 64;

/// The most that a body may take. An object of three megabytes, which is what an API server takes in one request, stays below it unless
/// it holds nothing but the smallest mappings that there are.
pub const MOST: u64 = 256 << 20;

/// Roughly the bytes that a JSON text takes as a tree. Of a text that is no JSON it says nothing that matters.
pub fn of(json: &[u8]) -> u64 {
    if json.len() < SMALL {
        return json.len() as u64;
    }
    let (mut mappings, mut values, mut inside, mut escaped) = (0, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            _ if inside => {}
            b'{' => mappings += 1,
            b',' | b'[' => values += 1,
            _ => {}
        }
    }
    json.len() as u64 + mappings * MAPPING + values * VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_weigh_and_texts_do_not() {
        let list = |item: &str, bytes: usize| format!("[{}{item}]", format!("{item},").repeat(bytes / (item.len() + 1)));
        for (what, text, heavy) in [
            ("mappings of one member", list(r#"{"a":0}"#, 16 << 20), true),
            ("empty lists", list("[]", 16 << 20), true),
            ("numbers", list("0", 16 << 20), true),
            ("one text", format!("[\"{}\"]", "{[,".repeat(5 << 20)), false),
            ("one text with quotes", format!("[\"{}\"]", r#"\",{"#.repeat(4 << 20)), false),
            ("what an API server takes at most, of endpoints", list(r#"{"addresses":["10.0.0.1"],"nodeName":"n1"}"#, 3 << 20), false),
            ("what an API server takes at most, of numbers", list("0", 3 << 20), false),
            ("a megabyte of anything", list("{}", 1 << 20), false),
        ] {
            assert_eq!(of(text.as_bytes()) > MOST, heavy, "{what}: {} bytes of {}", of(text.as_bytes()), text.len());
        }
    }
}
