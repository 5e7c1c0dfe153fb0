//! What a program said, made fit to be shown: no paths of ours, no control characters, no values. pure

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Characters of a cleaned message at most.
const LONGEST: usize = 2000;

/// Values that are remembered at most; beyond that the whole message is withheld.
const MOST_VALUES: usize = 50_000;

/// Shorter texts are no secrets worth the name, and hiding them would make messages unreadable.
const SHORTEST: usize = 4;

/// What stands for a hidden value.
const HIDDEN: &str = "(value hidden)";

/// Words in a key that make its value a secret.
const SECRET_KEYS: [&str; 13] =
    ["pass", "pwd", "secret", "token", "apikey", "api_key", "api-key", "private", "credential", "auth", "dsn", "connection", "cert"];

/// Ends of a key that make its value a name after all (`secretName`, `tokenPath`).
const NAME_ENDS: [&str; 9] = ["name", "namespace", "ref", "kind", "type", "enabled", "path", "file", "version"];

/// Keys of a Secret's manifest whose values are no secrets.
const PLAIN_KEYS: [&str; 6] = ["apiVersion", "kind", "name", "namespace", "type", "immutable"];

/// Texts from the files of a render that must not be shown. It errs on the side of hiding: what it collects is used for nothing else.
#[derive(Clone, Debug, Default)]
pub struct Values {
    texts: BTreeSet<String>,
    too_many: bool,
}

impl Values {
    /// Remembers what in this file may be a secret: values in files that hold a Secret or feed a secret generator, and values under keys
    /// that sound like one.
    pub fn learn(&mut self, path: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        let holds_secret = text.contains("kind: Secret") || text.contains("kind\": \"Secret") || text.contains("kind\":\"Secret");
        let generates = text.contains("secretGenerator");
        let base = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let is_env = base.ends_with(".env") || base.ends_with(".properties") || base.contains("secret") || base.contains("password");
        let everything = holds_secret || generates || is_env;
        for line in text.lines() {
            let line = without_actions(line);
            let line = line.trim().trim_start_matches("- ").trim();
            let pair = line.split_once([':', '=']).map(|(k, v)| (k.trim().trim_matches(['"', '\'']), v));
            match pair {
                Some((key, value)) if everything && !PLAIN_KEYS.contains(&key) || secretive(key) => self.add(value),
                None if everything => self.add(line),
                _ => {}
            }
            // JSON on one line, and flow mappings.
            if everything && line.contains('{') {
                line.split('"').for_each(|part| self.add(part));
            }
        }
    }

    fn add(&mut self, raw: &str) {
        let value = raw.trim().trim_end_matches(',').trim_matches(['"', '\'', '|', '>', '[', ']', '{', '}']).trim();
        self.insert(value);
        value.split(|c: char| c.is_whitespace() || ",'\"=".contains(c)).for_each(|word| self.insert(word));
        if let Ok(plain) = STANDARD.decode(value)
            && let Ok(plain) = String::from_utf8(plain)
        {
            plain.lines().for_each(|l| self.insert(l.trim()));
        }
    }

    fn insert(&mut self, text: &str) {
        let plain = ["true", "false", "null", "Opaque", "data", "stringData", "metadata", "Secret"].contains(&text);
        if text.chars().count() < SHORTEST || plain {
            return;
        }
        if self.texts.len() >= MOST_VALUES {
            self.too_many = true;
            return;
        }
        self.texts.insert(text.to_owned());
    }

    fn hide(&self, mut message: String) -> String {
        if self.too_many {
            return "its message is withheld, because the files hold too many values to tell which are secret".to_owned();
        }
        // Longest first, so that no piece of a longer value is left standing.
        let mut texts: Vec<&String> = self.texts.iter().filter(|t| message.contains(t.as_str())).collect();
        texts.sort_by_key(|t| std::cmp::Reverse(t.len()));
        for text in texts {
            message = message.replace(text.as_str(), HIDDEN);
        }
        message
    }
}

fn secretive(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|w| key.contains(w)) && !NAME_ENDS.iter().any(|w| key.ends_with(w))
}

/// A line without its template actions, which are code and no values.
fn without_actions(line: &str) -> String {
    let mut left = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        left.push_str(before);
        rest = after.split_once("}}").map_or("", |(_, after)| after);
    }
    left + rest
}

/// Makes a program's message fit to be shown. `tree` is where the files lay: the path in the source takes its place; what else lies under
/// `folder` (its parent) is called `(scratch)`.
pub fn clean(raw: &[u8], folder: &str, tree: &str, values: &Values) -> String {
    let text = without_controls(&String::from_utf8_lossy(raw));
    let text = text.replace(&format!("{tree}/"), "").replace(tree, ".").replace(folder, "(scratch)");
    let text = without_user_info(&without_quoted_values(&text));
    let text = values.hide(text);
    let text: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.trim().is_empty()).collect();
    let text = text.join("\n");
    let text = text.strip_prefix("Error: ").unwrap_or(&text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Drops terminal escapes and control characters; tabs become spaces.
fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // Control sequence: up to a final byte of @ to ~.
                Some('[') => drop(chars.by_ref().find(|c| ('@'..='~').contains(c))),
                // Operating system command: up to BEL or ST.
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\n' => out.push('\n'),
            '\t' => out.push(' '),
            // Marks that turn the writing direction can make a text read as another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// go-yaml quotes the (beginning of the) value that it stumbled over in backticks.
fn without_quoted_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let parts: Vec<&str> = line.split('`').collect();
        for (i, part) in parts.iter().enumerate() {
            match i % 2 {
                0 => out.push_str(part),
                // An odd backtick out quotes up to the end of the line.
                _ if i + 1 < parts.len() => out.push_str(HIDDEN),
                _ => {
                    out.push_str(HIDDEN);
                    if part.ends_with('\n') {
                        out.push('\n');
                    }
                }
            }
        }
    }
    out
}

/// Drops `user:password@` from addresses.
fn without_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || "\"'`<>".contains(c)).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => &after[at + 1..],
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(raw: &str) -> String {
        clean(raw.as_bytes(), "/scratch/r1", "/scratch/r1/tree", &Values::default())
    }

    #[test]
    fn paths_escapes_and_credentials_are_taken_out() {
        for (raw, shown) in [
            ("Error: open /scratch/r1/tree/apps/a.yaml: no such file", "open apps/a.yaml: no such file"),
            ("in /scratch/r1/tree", "in ."),
            ("wrote /scratch/r1/home/x", "wrote (scratch)/home/x"),
            ("\u{1b}[31mred\u{1b}[0m\u{7} \u{1b}]0;title\u{7}end\r\n\n\n", "red end"),
            ("fetch https://bot:hunter2@git.example.com/x: no", "fetch https://git.example.com/x: no"),
            ("cannot unmarshal !!str `hunter2...` into int", "cannot unmarshal !!str (value hidden) into int"),
            ("odd `hunter2\nnext", "odd (value hidden)\nnext"),
            ("evil \u{202e}txt", "evil txt"),
        ] {
            assert_eq!(plain(raw), shown);
        }
        assert_eq!(plain(&"x".repeat(5000)).len(), LONGEST + 4);
    }

    #[test]
    fn values_of_secrets_are_hidden_wherever_they_stood() {
        for (path, content) in [
            ("a.yaml", "kind: Secret\napiVersion: v1\nstringData:\n  user: canary-1234\n"),
            ("a.yaml", "kind: Secret\ndata:\n  user: Y2FuYXJ5LTEyMzQ=\n"),
            ("a.yaml", "kind: Secret\nstringData:\n  f: |\n    first line\n    canary-1234\n"),
            ("a.json", r#"{"apiVersion":"v1","kind":"Secret","stringData":{"p":"canary-1234"}}"#),
            ("values.yaml", "db:\n  password: \"canary-1234\"\n"),
            ("kustomization.yaml", "secretGenerator:\n- name: x\n  literals:\n  - p=canary-1234\n"),
            ("conf/app.env", "P=canary-1234\n"),
        ] {
            let mut values = Values::default();
            values.learn(path, content.as_bytes());
            let shown = clean(b"bad value 'canary-1234' in apps/a.yaml", "/scratch/r1", "/scratch/r1/tree", &values);
            assert_eq!(shown, "bad value '(value hidden)' in apps/a.yaml", "{content}");
        }
    }

    #[test]
    fn names_that_help_stay_readable() {
        let mut values = Values::default();
        values.learn("values.yaml", b"secretName: shop-tls\nimage: web\ntlsCertPath: /x/tls.crt\n");
        values.learn("templates/s.yaml", b"kind: Secret\nmetadata:\n  name: shop\nstringData:\n  p: {{ .Values.missing.p }}\n");
        let raw = b"template: shop/templates/s.yaml:5: nil pointer evaluating .Values.missing.p, secret shop-tls";
        assert_eq!(clean(raw, "/scratch/r1", "/scratch/r1/tree", &values), String::from_utf8_lossy(raw));
    }

    #[test]
    fn a_flood_of_values_withholds_the_message() {
        let mut values = Values::default();
        let flood: String = (0..=MOST_VALUES).map(|n| format!("  k{n}: value-{n}\n")).collect();
        values.learn("a.yaml", format!("kind: Secret\n{flood}").as_bytes());
        assert!(clean(b"value-7", "/scratch/r1", "/scratch/r1/tree", &values).contains("withheld"));
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_printable_and_short(raw in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let shown = clean(&raw, "/scratch/r1", "/scratch/r1/tree", &Values::default());
            prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(shown.chars().count() <= LONGEST + 4);
        }
    }
}
