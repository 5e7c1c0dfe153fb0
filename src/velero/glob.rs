//! Glob patterns as Velero matches them: github.com/gobwas/glob 0.2.3 without separators. pure
//!
//! Velero uses it for namespaces and kinds (pkg/util/collections/includes_excludes.go, pkg/util/wildcard/expand.go). `*` is any text, `?` one
//! character, `[abc]`, `[a-c]` and `[!...]` a class, `{a,b}` alternatives, `\` takes the next character as it is.

/// Alternatives that one pattern may expand to; more is refused.
const MAX_ALTERNATIVES: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
    Class { not: bool, range: bool, chars: Vec<char> },
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    alternatives: Vec<Vec<Token>>,
    certain: bool,
    overlap: bool,
}

/// Whether a text contains any character that makes it a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}

impl Glob {
    /// Compiles a pattern. `None`: the real library refuses it, or it has more alternatives than anybody writes.
    pub fn new(pattern: &str) -> Option<Self> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut at = 0;
        let mut plain = true;
        let alternatives = sequence(&chars, &mut at, false, &mut plain)?;
        let braces = chars.iter().filter(|c| **c == '{').count();
        let whole = braces == 1 && pattern.starts_with('{') && pattern.ends_with('}');
        Some(Self { alternatives, certain: braces == 0 || whole || plain, overlap: braces == 0 || whole })
    }

    /// Whether a text matches as a whole. Meant for names: not empty, ASCII.
    ///
    /// `None`: it cannot be said. The real library goes wrong on braces that hold anything but plain text of one length or that stand
    /// beside other wildcards, each time in its own way.
    pub fn matches(&self, text: &str) -> Option<bool> {
        let text: Vec<char> = text.chars().collect();
        self.certain.then(|| self.alternatives.iter().any(|tokens| matches(tokens, &text, self.overlap)))
    }
}

/// Parses up to the end, or inside braces up to `,` or `}`, into alternatives. `plain` falls when braces hold more than plain text of one
/// length.
fn sequence(chars: &[char], at: &mut usize, braced: bool, plain: &mut bool) -> Option<Vec<Vec<Token>>> {
    let mut all = vec![Vec::new()];
    while let Some(&c) = chars.get(*at) {
        let token = match c {
            ',' | '}' if braced => break,
            '*' => Token::Any,
            '?' => Token::One,
            '[' => class(chars, at)?,
            '\\' => {
                *at += 1;
                match chars.get(*at) {
                    Some(&escaped) => Token::Char(escaped),
                    None => break,
                }
            }
            '{' => {
                let mut choices = Vec::new();
                loop {
                    *at += 1;
                    choices.extend(sequence(chars, at, true, plain)?);
                    if choices.len() * all.len() > MAX_ALTERNATIVES {
                        return None;
                    }
                    // A brace that is never closed ends with the pattern, as in the original.
                    if chars.get(*at) != Some(&',') {
                        break;
                    }
                }
                let width = choices.first().map_or(0, Vec::len);
                *plain &= width > 0 && choices.iter().all(|c| c.len() == width && c.iter().all(|t| matches!(t, Token::Char(_))));
                all = all.iter().flat_map(|head| choices.iter().map(|tail| [&head[..], tail].concat())).collect();
                *at += 1;
                continue;
            }
            other => Token::Char(other),
        };
        *at += 1;
        all.iter_mut().for_each(|tokens| tokens.push(token.clone()));
    }
    Some(all)
}

/// Parses a class from its `[`; leaves the position on the `]`. Either one range or a list of characters, never both.
fn class(chars: &[char], at: &mut usize) -> Option<Token> {
    *at += 1;
    let not = chars.get(*at) == Some(&'!');
    *at += usize::from(not);
    if chars.get(*at + 1) == Some(&'-') {
        let (low, high) = (*chars.get(*at)?, *chars.get(*at + 2)?);
        *at += 3;
        return (chars.get(*at) == Some(&']') && low <= high).then(|| Token::Class { not, range: true, chars: vec![low, high] });
    }
    let mut listed = Vec::new();
    while *chars.get(*at)? != ']' {
        *at += usize::from(chars[*at] == '\\');
        listed.push(*chars.get(*at)?);
        *at += 1;
    }
    (!listed.is_empty()).then_some(Token::Class { not, range: false, chars: listed })
}

fn fits(token: &Token, c: char) -> bool {
    match token {
        Token::Char(own) => *own == c,
        Token::One => true,
        Token::Any => false,
        Token::Class { not, range: true, chars } => (chars[0] <= c && c <= chars[1]) != *not,
        Token::Class { not, range: false, chars } => chars.contains(&c) != *not,
    }
}

fn matches(tokens: &[Token], text: &[char], overlap: bool) -> bool {
    // The original compiles `text*text` to "starts with and ends with", and lets the two overlap: `ab*ba` matches `aba`.
    if let Some(star) = tokens.iter().position(|t| overlap && *t == Token::Any) {
        let (head, tail) = (&tokens[..star], &tokens[star..]);
        let tail = &tail[tail.iter().take_while(|t| **t == Token::Any).count()..];
        let literal = |part: &[Token]| !part.is_empty() && part.iter().all(|t| matches!(t, Token::Char(_)));
        if literal(head) && literal(tail) {
            let agree = |part: &[Token], text: &[char]| part.iter().zip(text).all(|(t, c)| fits(t, *c));
            return text.len() >= head.len().max(tail.len()) && agree(head, text) && agree(tail, &text[text.len() - tail.len()..]);
        }
    }
    let (mut t, mut c) = (0, 0);
    let mut retry = None;
    while c < text.len() {
        if tokens.get(t) == Some(&Token::Any) {
            retry = Some((t, c));
            t += 1;
        } else if tokens.get(t).is_some_and(|token| fits(token, text[c])) {
            (t, c) = (t + 1, c + 1);
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            (t, c) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    tokens[t..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the real library; see `tests/data/velero/README.md`.
    #[test]
    fn patterns_match_what_the_real_library_matches() {
        let data = include_str!("../../tests/data/velero/glob.tsv");
        let mut lines = data.lines();
        let texts: Vec<&str> = lines.next().expect("texts").split('\t').skip(1).collect();
        let mut wrong = Vec::new();
        let (mut count, mut unsure) = (0, 0);
        for line in lines {
            let (pattern, expected) = line.split_once('\t').expect("two columns");
            let found = match Glob::new(pattern) {
                None => "ERR".to_owned(),
                Some(glob) if glob.matches("a").is_none() => {
                    unsure += 1;
                    continue;
                }
                Some(glob) => texts.iter().copied().filter(|t| glob.matches(t) == Some(true)).collect::<Vec<_>>().join(" "),
            };
            if found != expected {
                wrong.push(format!("{pattern}: expected {expected}, found {found}"));
            }
            count += 1;
        }
        assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(count > 200 && unsure < 250, "{count} judged, {unsure} not");
    }

    #[test]
    fn a_pattern_with_too_many_alternatives_is_refused() {
        assert!(Glob::new(&"{a,b}".repeat(8)).is_some());
        assert!(Glob::new(&"{a,b}".repeat(9)).is_none());
    }

    #[test]
    fn matching_takes_no_exponential_time() {
        let glob = Glob::new(&"*a".repeat(60)).expect("compiled");
        assert_eq!((glob.matches(&"a".repeat(59)), glob.matches(&"a".repeat(253))), (Some(false), Some(true)));
    }
}
