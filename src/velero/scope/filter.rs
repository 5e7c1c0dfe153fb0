//! One include and exclude list against one name, with the answer "maybe" where it depends on what is not known. pure

use super::{Lists, Subject};
use crate::velero::{
    glob::{self, Glob},
    names::{Names, Resolved},
};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::velero) enum Tri {
    Yes,
    No,
    /// It depends on the word that is named.
    Maybe(String),
}

impl Tri {
    fn of(found: bool) -> Self {
        if found { Self::Yes } else { Self::No }
    }

    pub fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Yes => Self::Yes,
            Self::No => other(),
            Self::Maybe(word) => match other() {
                Self::Yes => Self::Yes,
                _ => Self::Maybe(word),
            },
        }
    }

    pub fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            maybe => maybe,
        }
    }

    pub fn and(self, other: impl FnOnce() -> Self) -> Self {
        self.not().or(|| other().not()).not()
    }
}

/// Which scope a list of the new filters is for. A word that resolves to a kind of the other scope is dropped from it
/// (`scopeResourceMapFunc`); lists of the old filters take both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::velero) enum Takes {
    Both,
    Namespaced,
    Cluster,
}

/// A list of kinds after its words were resolved for one subject.
pub(super) struct Resolver<'a> {
    pub names: &'a Names,
    pub subject: &'a Subject<'a>,
    pub takes: Takes,
}

impl Resolver<'_> {
    /// What the words of a list become, each with whether it may be the subject's kind although it does not look so.
    fn keys(&self, words: &[String]) -> Vec<(String, bool)> {
        let mut keys: Vec<(String, bool)> = Vec::new();
        for word in words {
            match self.names.resolve(word) {
                _ if word == "*" => keys.push((word.clone(), false)),
                Resolved::Kind(name) => {
                    let taken = match self.takes {
                        Takes::Both => true,
                        Takes::Namespaced => name.namespaced,
                        Takes::Cluster => !name.namespaced,
                    };
                    if taken {
                        keys.push((name.resource.to_string(), false));
                    }
                }
                Resolved::Nothing => keys.push((word.clone(), !self.subject.complete && self.may_be_called(word))),
                Resolved::Several(names) => keys.push((word.clone(), names.iter().any(|n| &*n.resource == self.subject.resource))),
            }
        }
        keys.sort();
        keys
    }

    /// `globStringSet.match`: words in lexical order; one that does not compile ends the search with no.
    pub fn matches(&self, words: &[String]) -> Tri {
        self.match_keys(self.keys(words))
    }

    fn match_keys(&self, keys: Vec<(String, bool)>) -> Tri {
        let mut maybe = None;
        for (key, unsure) in keys {
            match Glob::new(&key).map(|glob| glob.matches(self.subject.resource)) {
                None => break,
                Some(Some(true)) => return Tri::Yes,
                Some(Some(false)) if !unsure => {}
                Some(_) => maybe = Some(key),
            }
        }
        maybe.map_or(Tri::No, Tri::Maybe)
    }

    /// Whether a word without wildcards could be a name of the subject's kind that is not known here: any name, if the group fits.
    fn may_be_called(&self, word: &str) -> bool {
        !glob::is_pattern(word) && word.split_once('.').is_none_or(|(_, group)| self.subject.id.gk.group.starts_with(group))
    }

    /// `IncludesExcludes.ShouldInclude`. An include list of which every word is dropped is an empty one, which includes everything.
    pub fn includes(&self, lists: &Lists) -> Tri {
        self.matches(&lists.exclude).not().and(|| {
            let keys = self.keys(&lists.include);
            if keys.is_empty() || keys.iter().any(|(key, _)| key == "*") { Tri::Yes } else { self.match_keys(keys) }
        })
    }
}

/// `NamespaceIncludesExcludes.ShouldInclude` for a namespace. Velero 1.18 expands wildcards in the include list against the namespaces that
/// exist, which gives the same answer for each of them. Older versions look for a namespace of that very name and end as PartiallyFailed.
pub(super) fn namespace_included(lists: &Lists, namespace: &str) -> Tri {
    let matches = |words: &[String]| {
        let mut sorted: Vec<&String> = words.iter().collect();
        sorted.sort();
        let mut maybe = None;
        for word in sorted {
            match Glob::new(word).map(|glob| glob.matches(namespace)) {
                None => break,
                Some(Some(true)) => return Tri::Yes,
                Some(Some(false)) => {}
                Some(None) => maybe = Some(word.clone()),
            }
        }
        maybe.map_or(Tri::No, Tri::Maybe)
    };
    matches(&lists.exclude).not().and(|| Tri::of(lists.include.is_empty()).or(|| matches(&lists.include)))
}
