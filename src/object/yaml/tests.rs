//! Laws, positions and caps of the YAML room; the cases against Kubernetes' own parser are in `tests/it/yaml.rs`. pure

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::object::{FieldPath, Step};

fn read(text: &str) -> Parsed {
    parse(text.as_bytes(), &Limits::default()).expect("YAML")
}

fn refused(text: &[u8], limits: &Limits) -> String {
    parse(text, limits).expect_err("refused").to_string()
}

fn values(text: &str) -> Vec<Value> {
    read(text).documents.into_iter().map(|d| d.value).collect()
}

#[test]
fn documents_are_split_by_the_parser_and_know_their_first_line() {
    let parsed = read("# head\n---\na: |\n  x\n  ---\n  y\n---\n# only a comment\n---\n\nb: 2\n...\n---\nc: 3\n");
    let seen: Vec<_> = parsed.documents.iter().map(|d| (d.line, d.value.clone())).collect();
    assert_eq!(seen, [(3, json!({"a":"x\n---\ny\n"})), (7, Value::Null), (11, json!({"b":2})), (14, json!({"c":3}))]);
}

#[test]
fn a_leaf_leads_to_its_line_by_name_by_position_and_by_key() {
    let parsed = read(
        "kind: Pod\nspec:\n  containers:\n    - name: side\n      image: a\n    - name: app\n      image: b\n      args: [x, y]\n      ports:\n      - containerPort: 80\n",
    );
    let doc = &parsed.documents[0];
    let select = |pairs: &[(&str, &str)]| Step::Select(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    let containers = FieldPath::root().key("spec").key("containers");
    let app = containers.child(select(&[("name", "app")]));
    for (path, line) in [
        (FieldPath::root(), 1),
        (FieldPath::root().key("spec"), 2),
        (containers.child(Step::Index(0)).key("image"), 5),
        (app.clone(), 6),
        (app.key("image"), 7),
        (app.key("args").child(Step::Value("y".into())), 8),
        (app.key("ports").child(select(&[("containerPort", "80"), ("protocol", "TCP")])), 10),
        (app.key("resources").key("limits"), 6),
        (containers.child(select(&[("name", "gone")])).key("image"), 3),
    ] {
        assert_eq!(doc.lines.line_of(&path, &doc.value), Some(line), "{path}");
    }
    assert_eq!(LineMap::default().line_of(&FieldPath::root(), &doc.value), None);
}

#[test]
fn the_line_of_a_repeated_key_is_the_one_that_wins_and_merged_keys_are_where_the_merge_is() {
    let parsed = read("base: &b\n  x: 1\nd:\n  <<: *b\n  z: 2\na: 1\na: 2\n");
    let doc = &parsed.documents[0];
    let line = |path: FieldPath| doc.lines.line_of(&path, &doc.value);
    assert_eq!(line(FieldPath::root().key("a")), Some(7));
    assert_eq!(line(FieldPath::root().key("d").key("x")), Some(4));
    assert_eq!(line(FieldPath::root().key("d").key("z")), Some(5));
}

#[test]
fn an_item_of_a_list_can_be_told_its_own_lines() {
    let parsed = read("kind: List\nitems:\n- kind: A\n- kind: B\n  spec:\n    x: 1\n");
    let doc = &parsed.documents[0];
    let item = &doc.value["items"][1];
    let lines = doc.lines.below(&[Step::Key("items".into()), Step::Index(1)], item);
    assert_eq!(lines.line_of(&FieldPath::root(), item), Some(4));
    assert_eq!(lines.line_of(&FieldPath::root().key("spec").key("x"), item), Some(6));
    assert_eq!(lines.places(), 4);
}

#[test]
fn a_repeated_key_is_told_with_its_line_and_the_last_one_wins() {
    let parsed = read("m:\n  a: 1\n  b: 2\n  a: 3\n");
    assert_eq!(parsed.documents[0].value, json!({"m":{"a":3,"b":2}}));
    assert_eq!(parsed.diagnostics.iter().map(|n| (n.line, n.reason)).collect::<Vec<_>>(), [(4, "duplicate_key")]);
    let merged = read("b: &b {x: 1}\nover: {x: 2, <<: *b}\nunder: {<<: *b, x: 2}\n");
    assert_eq!(merged.documents[0].value, json!({"b":{"x":1},"over":{"x":1},"under":{"x":2}}));
    assert_eq!(merged.diagnostics.iter().map(|n| (n.line, n.reason)).collect::<Vec<_>>(), [(2, "merge_overrides")]);
}

#[test]
fn notes_are_bounded_and_say_so() {
    let parsed = read(&"a: 1\n".repeat(300));
    assert_eq!(parsed.diagnostics.len(), MOST_NOTES + 1);
    assert_eq!(parsed.diagnostics[MOST_NOTES].reason, "more_notes");
    assert!(parsed.diagnostics[MOST_NOTES].message.starts_with("199 "), "{:?}", parsed.diagnostics[MOST_NOTES]);
}

#[test]
fn byte_order_marks_decide_the_encoding() {
    let text = "a: é😀\nb: 2\n";
    let sixteen = |join: fn(u16) -> [u8; 2]| "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(join).collect::<Vec<u8>>();
    let eight = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    for bytes in [text.as_bytes().to_vec(), eight, sixteen(u16::to_le_bytes), sixteen(u16::to_be_bytes)] {
        let parsed = parse(&bytes, &Limits::default()).expect("YAML");
        assert_eq!(parsed.documents[0].value, json!({"a":"é😀","b":2}));
        assert!(parsed.diagnostics.is_empty());
    }
    let odd = parse(b"\xFF\xFEa\0:\0 \0x", &Limits::default()).expect("YAML");
    assert_eq!(odd.documents[0].value, json!({"a":"\u{FFFD}"}));
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_told() {
    let parsed = parse(b"a: 1\n# caf\xE9\nb: 2\n", &Limits::default()).expect("YAML");
    assert_eq!(parsed.documents[0].value, json!({"a":1,"b":2}));
    assert_eq!(parsed.diagnostics.iter().map(|n| (n.line, n.reason)).collect::<Vec<_>>(), [(2, "not_utf8")]);
    let odd = read("a: \"x\u{2028}y\"\n");
    assert_eq!(odd.diagnostics.iter().map(|n| n.reason).collect::<Vec<_>>(), ["odd_line_break"]);
}

#[test]
fn errors_name_the_place_and_the_reason_and_quote_nothing() {
    for (text, place) in [
        ("a: 1\nb: @canary\n", "line 2, column 4: "),
        ("a: [canary\nb: 2\n", "line 2, "),
        ("a:\n\tcanary: 1\n", "line 2, column 2: "),
        ("a: 1\n# \u{7}canary\n", "line 2, column 3: control characters"),
        ("stringData:\n  p: \"canary\n", "line 2, "),
        ("canary: *canary\n", "line 1, column 9: "),
        ("a: !!int canary\n", "line 1, column 10: the value does not fit its tag"),
        ("[canary]: 1\n", "line 1, column 1: a list or a mapping as a key"),
        ("? {canary: 1}\n", "line 1, column 3: a list or a mapping as a key"),
        ("<<: canary\n", "line 1, column 5: `<<` needs"),
        ("%CANARY canary\n%YAML 1.3\n---\na: 1\n", "line 3, column 1: "),
        ("a: 'canary' canary\n", "line 1, "),
    ] {
        let error = refused(text.as_bytes(), &Limits::default());
        assert!(error.starts_with(place), "{text:?}: {error}");
        assert!(!error.to_lowercase().contains("canary"), "{text:?}: {error}");
    }
}

#[test]
fn a_debug_print_shows_no_value() {
    assert_eq!(format!("{:?}", read("stringData: {p: canary}\n").documents), "[Document(line 1)]");
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let limits = Limits { bytes: 5, ..Limits::default() };
    assert!(parse(b"a: 1\n", &limits).is_ok());
    assert_eq!(refused(b"a: 12\n", &limits), "line 1, column 1: the file has 6 bytes, more than the 5 allowed");
}

#[test]
fn documents_are_counted() {
    let limits = Limits { documents: 3, ..Limits::default() };
    assert!(parse(b"---\n---\n---\n", &limits).is_ok());
    assert_eq!(refused(b"---\n---\n---\n---\n", &limits), "line 4, column 1: more than the 3 documents allowed in one file");
}

#[test]
fn depth_is_counted_through_aliases_and_what_is_let_in_can_be_read_back() {
    let nested = |n: usize| format!("a: {}{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(values(&nested(119)).len(), 1);
    assert!(refused(nested(120).as_bytes(), &Limits::default()).contains("more than 120 levels"));
    let block = |n: usize| (0..n).map(|i| format!("{}k:\n", " ".repeat(i))).collect::<String>();
    assert_eq!(values(&block(120)).len(), 1);
    assert!(refused(block(121).as_bytes(), &Limits::default()).contains("more than 120 levels"));
    // Anything up to the cap survives the way through JSON text, which is how contents are kept.
    let deepest = values(&nested(119)).remove(0);
    assert_eq!(serde_json::from_str::<Value>(&deepest.to_string()).expect("readable"), deepest);
    let doubling = "a: &a [[[x]]]\nb: &b [[[*a]]]\nc: [[[*b]]]\n";
    assert!(parse(doubling.as_bytes(), &Limits { depth: 10, ..Limits::default() }).is_ok());
    assert!(refused(doubling.as_bytes(), &Limits { depth: 9, ..Limits::default() }).starts_with("line 3, column 7: "));
}

#[test]
fn values_are_counted_with_aliases_expanded() {
    let limits = Limits { nodes: 1_000, ..Limits::default() };
    assert!(parse(format!("[{}]", "1,".repeat(900)).as_bytes(), &limits).is_ok());
    assert!(refused(format!("[{}]", "1,".repeat(1_000)).as_bytes(), &limits).contains("more than 1000 values"));
    let aliased = |n: usize| format!("a: &a [1,2,3,4,5,6,7,8,9]\nb: [{}]\n", "*a,".repeat(n));
    assert!(parse(aliased(50).as_bytes(), &limits).is_ok());
    assert!(refused(aliased(100).as_bytes(), &limits).contains("more than 1000 values"));
}

#[test]
fn long_texts_behind_aliases_count_by_their_size() {
    // 100 kB that a thousand aliases would turn into 100 MB.
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(1_000));
    assert!(refused(text.as_bytes(), &Limits::default()).contains("aliases expanded"));
}

#[test]
fn anchors_inside_anchors_cannot_copy_for_free() {
    let text = format!("{}{}{}", (0..100).map(|i| format!("&a{i} [")).collect::<String>(), "1,".repeat(20_000), "]".repeat(100));
    assert!(refused(text.as_bytes(), &Limits::default()).contains("more than 1000000 values"));
}

#[test]
fn limits_scale_with_the_bytes_that_are_allowed() {
    assert_eq!(Limits::within(10 << 20), Limits { nodes: 1_310_720, documents: 104_857, ..Limits::default() });
    assert_eq!(Limits::within(1), Limits { bytes: 1, ..Limits::default() });
}

/// Text that JSON can hold and that go-yaml takes raw.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            8 => prop::char::range(' ', '~'),
            1 => Just('\n'), 1 => Just('\t'), 1 => Just('\r'), 1 => Just('\u{0}'),
            1 => Just('é'), 1 => Just('😀'), 1 => Just('\u{FEFF}'), 1 => Just('"'), 1 => Just('\\'),
        ],
        0..12,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Integral floats are integers to Kubernetes; that is told by the cases.
        any::<f64>().prop_filter("not integral", |f| f.is_finite() && f.fract() != 0.0).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_means_the_same_as_yaml(value in any_json()) {
        prop_assert_eq!(values(&value.to_string()), [value.clone()]);
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        prop_assert_eq!(values(&pretty), [value]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic_or_quotes_itself(parts in prop::collection::vec(prop::sample::select(vec![
        "canary", "canary: ", ": ", "- ", "\n", "\n  ", "\n    ", "\"", "'", "&canary ", "*canary", "<<: ", "[", "]", "{", "}", ", ", "|\n  ",
        ">-\n  ", "# ", "!!int ", "!canary ", "!", "? ", "0x", "1e", ".inf", "~", "---\n", "...\n", "%YAML 1.1\n", "\t", "\r\n", "\\", "@", "`", "é",
    ]), 0..30)) {
        if let Err(error) = parse(parts.concat().as_bytes(), &Limits::default()) {
            prop_assert!(!error.to_string().contains("canary"), "{}", error);
        }
    }
}
