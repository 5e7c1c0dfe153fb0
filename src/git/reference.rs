//! Which commit a reference means, decided from the names that a repository offers. I/O: none, but it asks gix what a valid name is.
//!
//! Order: a full name (`refs/...`) means itself; 40 hexadecimal digits mean a commit; any other word means the branch or the tag of that
//! name. If both exist and mean different commits, it is an error that says so: guessing would let a new tag silently move a source.

use super::error::{Fault, GitErrorKind};

/// What the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The branch that the repository itself offers first.
    Head,
    /// A full commit id, lower case.
    Commit(String),
    /// A full reference name.
    Full(String),
    /// A branch or a tag.
    Name(String),
}

/// A reference that a repository offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Full name, or `HEAD`.
    pub name: String,
    /// What it points at after peeling tags, in hexadecimal; `None` for a branch without commits.
    pub commit: Option<String>,
}

impl Wanted {
    /// Reads a reference as written in the configuration.
    pub fn parse(reference: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = reference.filter(|r| *r != "HEAD") else { return Ok(Self::Head) };
        if text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit()) {
            return Ok(Self::Commit(text.to_ascii_lowercase()));
        }
        let full = if text.starts_with("refs/") { text.to_owned() } else { format!("refs/heads/{text}") };
        if text.starts_with('-') || gix::validate::reference::name(full.as_str().into()).is_err() {
            let what = format!("`{}` can be no branch, tag or commit", super::error::clean(text, 80));
            return Err(Fault::new(GitErrorKind::Refused, what));
        }
        Ok(if text.starts_with("refs/") { Self::Full(text.to_owned()) } else { Self::Name(text.to_owned()) })
    }

    /// The reference for people.
    pub fn display(&self) -> &str {
        match self {
            Self::Head => "HEAD",
            Self::Commit(text) | Self::Full(text) | Self::Name(text) => text,
        }
    }

    /// The names to ask a server for.
    pub fn candidates(&self) -> Vec<String> {
        match self {
            Self::Head => vec!["HEAD".to_owned()],
            Self::Commit(sha) => vec![sha.clone()],
            Self::Full(name) => vec![name.clone()],
            Self::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        }
    }

    /// The commit that this reference means among those offered. `Ok(None)`: it is not offered.
    pub fn resolve(&self, offered: &[Offered]) -> Result<Option<String>, Fault> {
        if let Self::Commit(sha) = self {
            return Ok(Some(sha.clone()));
        }
        let candidates = self.candidates();
        let mut found: Vec<&Offered> = offered.iter().filter(|o| candidates.contains(&o.name)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if let (Self::Name(name), [branch, tag]) = (self, found.as_slice())
            && branch.commit != tag.commit
        {
            let what = format!("`{name}` is a branch and a tag, and they point at different commits; write refs/heads/{name} or refs/tags/{name}");
            return Err(Fault::new(GitErrorKind::AmbiguousRef, what));
        }
        Ok(found.first().and_then(|o| o.commit.clone()))
    }

    /// The error for a reference that is not offered, with what comes near.
    pub fn missing(&self, offered: &[Offered]) -> Fault {
        let branches_and_tags = |o: &&Offered| o.name.starts_with("refs/heads/") || o.name.starts_with("refs/tags/");
        if offered.iter().filter(branches_and_tags).count() == 0 {
            return empty();
        }
        let name = self.display();
        let hint = match near(name, offered.iter().filter(branches_and_tags).map(|o| short(&o.name))).as_slice() {
            _ if is_short_commit(name) => "; a commit must be written with all its 40 digits".to_owned(),
            [] => "; set another reference, or leave it out to follow HEAD".to_owned(),
            names => format!("; did you mean {}?", names.join(", ")),
        };
        let what = match self {
            Self::Head => "HEAD points at a branch that does not exist; set a reference".to_owned(),
            Self::Commit(sha) => format!("no commit {sha} on any branch or tag{hint}"),
            Self::Full(name) => format!("no reference {}{hint}", super::error::clean(name, 80)),
            Self::Name(name) => format!("no branch or tag `{}`{hint}", super::error::clean(name, 80)),
        };
        Fault::new(GitErrorKind::RefNotFound, what)
    }
}

/// A repository without any commit.
pub(crate) fn empty() -> Fault {
    Fault::new(GitErrorKind::Empty, "the repository has no commits yet")
}

fn short(name: &str) -> &str {
    name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name)
}

fn is_short_commit(text: &str) -> bool {
    (7..40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Up to three names that a person could have meant, nearest first.
fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = short(wanted).to_lowercase();
    let mut scored: Vec<(usize, String)> = names
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let away = distance(&wanted, &lower);
            let inside = wanted.len() >= 3 && (lower.contains(&wanted) || wanted.contains(&lower));
            (away <= wanted.chars().count() / 3 + 1 || inside).then(|| (away, super::error::clean(name, 80)))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Edits that make one word the other. Names longer than any person types are not compared.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(100).collect(), b.chars().take(100).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(all: &[(&str, &str)]) -> Vec<Offered> {
        all.iter().map(|(n, c)| Offered { name: (*n).into(), commit: (!c.is_empty()).then(|| (*c).into()) }).collect()
    }

    #[test]
    fn words_are_read_as_head_commit_full_name_or_name() {
        let sha = "A".repeat(40);
        assert_eq!(Wanted::parse(None), Ok(Wanted::Head));
        assert_eq!(Wanted::parse(Some("HEAD")), Ok(Wanted::Head));
        assert_eq!(Wanted::parse(Some(&sha)), Ok(Wanted::Commit("a".repeat(40))));
        assert_eq!(Wanted::parse(Some("refs/pull/1/head")), Ok(Wanted::Full("refs/pull/1/head".into())));
        assert_eq!(Wanted::parse(Some("a/b")), Ok(Wanted::Name("a/b".into())));
        for bad in ["", "a b", "a..b", "-x", "a:b", "a~1", "refs/heads/", "x.lock", "*"] {
            assert!(Wanted::parse(Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_is_branch_and_tag_is_an_error_unless_both_mean_the_same() {
        let wanted = Wanted::Name("v1".into());
        let both = |a, b| offered(&[("refs/tags/v1", a), ("refs/heads/v1", b), ("refs/heads/v10", "c")]);
        assert_eq!(wanted.resolve(&both("a", "a")), Ok(Some("a".into())));
        assert_eq!(wanted.resolve(&both("a", "b")).expect_err("ambiguous").kind, GitErrorKind::AmbiguousRef);
        assert_eq!(wanted.resolve(&offered(&[("refs/heads/v10", "c")])), Ok(None));
    }

    #[test]
    fn a_missing_name_says_what_comes_near() {
        let all = offered(&[("refs/heads/main", "a"), ("refs/heads/release-1.2", "a"), ("refs/tags/mains", "a"), ("refs/heads/x", "a")]);
        let say = |t: &str| Wanted::parse(Some(t)).expect("valid").missing(&all).what;
        assert_eq!(say("mian"), "no branch or tag `mian`; did you mean main?");
        assert_eq!(say("MAIN"), "no branch or tag `MAIN`; did you mean main, mains?");
        assert_eq!(say("release"), "no branch or tag `release`; did you mean release-1.2?");
        assert_eq!(say("zzzzzz"), "no branch or tag `zzzzzz`; set another reference, or leave it out to follow HEAD");
        assert_eq!(say("abcdef1"), "no branch or tag `abcdef1`; a commit must be written with all its 40 digits");
        assert_eq!(Wanted::Head.missing(&[]).kind, GitErrorKind::Empty);
    }

    proptest::proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_only_for_equals(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            proptest::prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            proptest::prop_assert_eq!(distance(&a, &b) == 0, a == b);
        }
    }
}
