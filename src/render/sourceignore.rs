//! Flux's `.sourceignore` and its default exclusions. pure
//!
//! Patterns are those of go-git v5's `gitignore` package (close to Git's, but a file is tested by itself, so it can be let in again below
//! an excluded folder); which lists hold together is `SourceIgnoreFilter` of github.com/fluxcd/pkg `artifact/storage`.

/// The name of the file.
pub(super) const FILE: &str = ".sourceignore";

/// Patterns kept from all files together.
pub(super) const MOST_PATTERNS: usize = 10_000;

/// Always excluded.
const VCS: [&str; 4] = [".git/", ".gitignore", ".gitmodules", ".gitattributes"];

/// Excluded unless the source has patterns of its own.
const DEFAULTS: [&str; 20] = [
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
];

/// One pattern and the folder that it holds below.
#[derive(Clone, Debug)]
struct Pattern {
    domain: Vec<String>,
    parts: Vec<Vec<char>>,
    include: bool,
    folders_only: bool,
    by_path: bool,
}

/// What of a source reaches Flux.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceIgnore {
    own: Vec<Pattern>,
}

impl SourceIgnore {
    /// Adds the patterns of the file in `folder`.
    pub(super) fn add(&mut self, folder: &str, text: &str) {
        let domain: Vec<String> = folder.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        self.own.extend(lines.map(|l| Pattern::parse(l, &domain)));
    }

    /// How many patterns were added.
    pub(super) fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether the file at this path of the source is left out.
    pub(super) fn excludes(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        let verdict = |patterns: &[Pattern]| patterns.iter().rev().find(|p| p.matches(&path)).map(|p| !p.include);
        let built_in = |texts: &[&str]| verdict(&texts.iter().map(|t| Pattern::parse(t, &[])).collect::<Vec<_>>());
        let own = if self.own.is_empty() { built_in(&DEFAULTS) } else { verdict(&self.own) };
        own.or_else(|| built_in(&VCS)).unwrap_or(false)
    }
}

impl Pattern {
    fn parse(text: &str, domain: &[String]) -> Self {
        let (include, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let text = if text.ends_with("\\ ") { text } else { text.trim_end_matches(' ') };
        let (folders_only, text) = text.strip_suffix('/').map_or((false, text), |rest| (true, rest));
        let parts = text.split('/').map(|p| p.chars().collect()).collect();
        Self { domain: domain.to_vec(), parts, include, folders_only, by_path: text.contains('/') }
    }

    /// Whether it matches a file (never a folder: only files are asked about).
    fn matches(&self, path: &[&str]) -> bool {
        if path.len() <= self.domain.len() || path.iter().zip(&self.domain).any(|(p, d)| p != d) {
            return false;
        }
        let path = &path[self.domain.len()..];
        if self.by_path { self.matches_path(path) } else { self.matches_name(path) }
    }

    /// The first step of that name decides.
    fn matches_name(&self, path: &[&str]) -> bool {
        let found = path.iter().position(|name| wild(&self.parts[0], name));
        found.is_some_and(|at| !self.folders_only || at + 1 < path.len())
    }

    fn matches_path(&self, mut path: &[&str]) -> bool {
        let (mut matched, mut any_folders) = (false, false);
        for (i, part) in self.parts.iter().enumerate() {
            if part.is_empty() {
                any_folders = false;
            } else if part == &['*', '*'] {
                if i + 1 == self.parts.len() {
                    break;
                }
                any_folders = true;
            } else if part.windows(2).any(|w| w == ['*', '*']) {
                return false;
            } else if any_folders {
                any_folders = false;
                if path.is_empty() {
                    return false;
                }
                let found = path.iter().position(|name| wild(part, name));
                matched = found.is_some();
                path = found.map_or(&[], |at| &path[at + 1..]);
            } else {
                let Some((name, rest)) = path.split_first() else { return false };
                if !wild(part, name) {
                    return false;
                }
                matched = true;
                path = rest;
            }
        }
        matched && !(self.folders_only && path.is_empty())
    }
}

/// Go's `filepath.Match` on one step of a path: `*`, `?`, `[a-z]`, `[^a]`, `\x`. A malformed pattern matches nothing.
fn wild(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on when a guess was wrong: behind the last star, one character further. One star is enough to remember.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = if p < pattern.len() && pattern[p] == '*' {
            retry = Some((p + 1, t));
            Some((p + 1, t))
        } else if p == pattern.len() {
            (t == text.len()).then_some((p, t))
        } else {
            text.get(t).and_then(|c| one(pattern, p, *c)).map(|next| (next, t + 1))
        };
        match (step, retry) {
            (Some((next_p, next_t)), _) => {
                if next_p == p && p == pattern.len() {
                    return true;
                }
                (p, t) = (next_p, next_t);
            }
            (None, Some((after, from))) if from < text.len() => {
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one character at `p`; the position behind what matched it.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match pattern[p] {
        '?' => Some(p + 1),
        '\\' => (pattern.get(p + 1) == Some(&c)).then_some(p + 2),
        '[' => {
            let negated = pattern.get(p + 1) == Some(&'^');
            let start = p + 1 + usize::from(negated);
            let end = start + pattern.get(start..)?.iter().position(|c| *c == ']').filter(|length| *length > 0)?;
            let set = &pattern[start..end];
            let mut i = 0;
            let mut inside = false;
            while i < set.len() {
                if i + 2 < set.len() && set[i + 1] == '-' {
                    inside |= (set[i]..=set[i + 2]).contains(&c);
                    i += 3;
                } else {
                    inside |= set[i] == c;
                    i += 1;
                }
            }
            (inside != negated).then_some(end + 1)
        }
        literal => (literal == c).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_one_step() {
        for (pattern, text, matches) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "aXbbYc", true),
            ("a*b*c", "aXbbY", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]x]", "x", false),
            ("[x", "[x", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*", "", true),
            ("", "", true),
            ("**a", "bca", true),
        ] {
            assert_eq!(wild(&pattern.chars().collect::<Vec<_>>(), text), matches, "{pattern} {text}");
        }
        let many: Vec<char> = "*a".repeat(60).chars().collect();
        assert!(!wild(&many, &"a".repeat(50)), "ends in reasonable time");
    }

    #[test]
    fn the_defaults_hold_until_the_source_has_patterns_of_its_own() {
        let mut ignore = SourceIgnore::default();
        for (path, out) in [
            (".github/workflows/ci.yaml", true),
            (".travis.yml", true),
            ("deep/.sops.yaml", true),
            ("apps/cart.yaml", false),
            ("github/x.yaml", false),
        ] {
            assert_eq!(ignore.excludes(path), out, "{path}");
        }
        ignore.add("", "# nothing but the apps\n/*\n!/apps\n\n/apps/draft/\n*.tmpl.yaml\n");
        for (path, out) in [
            ("infra/x.yaml", true),
            ("apps/cart.yaml", false),
            ("apps/draft/x.yaml", true),
            ("apps/a.tmpl.yaml", true),
            (".gitmodules", true),
            ("apps/.gitignore", false),
        ] {
            assert_eq!(ignore.excludes(path), out, "{path}");
        }
        assert_eq!(ignore.len(), 4);
    }

    #[test]
    fn patterns_hold_below_their_own_folder_and_the_last_match_decides() {
        let mut ignore = SourceIgnore::default();
        ignore.add("apps", "*.yaml\n!keep.yaml\nb/**/c.yml\nd/**\n");
        for (path, out) in [
            ("x.yaml", false),
            ("apps/x.yaml", true),
            ("apps/deep/x.yaml", true),
            ("apps/deep/keep.yaml", false),
            ("apps/b/c.yml", true),
            ("apps/b/x/y/c.yml", true),
            ("apps/c.yml", false),
            ("apps/d/e/f.yml", true),
            (".travis.yml", false),
        ] {
            assert_eq!(ignore.excludes(path), out, "{path}");
        }
    }
}
