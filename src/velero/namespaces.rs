//! The namespace filter of a backup over the namespaces that exist. pure
//!
//! Sources: Velero 1.18 pkg/util/collections/includes_excludes.go `NamespaceIncludesExcludes`, pkg/util/wildcard/expand.go. Wildcards are
//! replaced by the namespaces that they match, except beside a plain `*`.

use super::{glob::Glob, scope::Lists};
use crate::object::Text;

/// A namespace filter after wildcards were replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFilter {
    include: Vec<String>,
    exclude: Vec<String>,
    expanded: bool,
    everything: bool,
    /// A pattern that passes Velero's validation and that its library refuses.
    pub broken: Option<String>,
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

impl NamespaceFilter {
    /// Of an include and an exclude list. `existing` are the names of all namespaces, sorted; `None` if they are not known.
    pub(super) fn of(lists: &Lists, existing: Option<&[Text]>) -> Self {
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list.dedup();
            list
        };
        let mut filter = Self { include: sorted(&lists.include), exclude: sorted(&lists.exclude), ..Self::default() };
        let wild = !filter.include.is_empty()
            && !filter.include.iter().any(|i| i == "*")
            && filter.include.iter().chain(&filter.exclude).any(|p| has_wildcard(p));
        if let (true, Some(existing)) = (wild, existing) {
            match (expand(&filter.include, existing), expand(&filter.exclude, existing)) {
                (Ok(include), Ok(exclude)) => (filter.include, filter.exclude, filter.expanded) = (include, exclude, true),
                (Err(pattern), _) | (_, Err(pattern)) => filter.broken = Some(pattern),
            }
        }
        // An include list that names every namespace there is counts as everything, and so does one whose patterns match nothing.
        let all_named = existing.is_some_and(|all| all.iter().map(|n| &**n).eq(filter.include.iter().map(String::as_str)));
        filter.everything = filter.exclude.is_empty() && (filter.include.is_empty() || filter.include == ["*"] || all_named);
        filter
    }

    /// `IncludeEverything`: the condition under which cluster-scoped kinds may be taken whole.
    pub fn everything(&self) -> bool {
        self.everything
    }

    /// `ShouldInclude`.
    pub fn includes(&self, namespace: &str) -> bool {
        if self.expanded && self.include.is_empty() {
            return false;
        }
        let matches = |words: &[String]| {
            // In sorted order; a pattern that does not compile ends the search with no.
            for word in words {
                match Glob::new(word).map(|g| g.matches(namespace)) {
                    None => return false,
                    Some(Some(true)) => return true,
                    Some(_) => {}
                }
            }
            false
        };
        !matches(&self.exclude) && (self.include.is_empty() || self.include.iter().any(|i| i == "*") || matches(&self.include))
    }

    /// Whether all namespaces are listed at once; else only those that are named are (`getNamespacesToList`).
    pub fn lists_all_at_once(&self) -> bool {
        self.includes("*")
    }

    /// Whether objects of a namespace are listed.
    pub fn lists(&self, namespace: &str) -> bool {
        self.lists_all_at_once() || (self.include.iter().any(|i| i == namespace) && self.includes(namespace))
    }

    /// Namespaces that are named and do not exist: each is an error in the backup, which then ends as PartiallyFailed.
    pub fn missing<'a>(&'a self, existing: &'a [Text]) -> impl Iterator<Item = &'a str> {
        self.include.iter().map(String::as_str).filter(move |i| *i != "*" && !existing.iter().any(|e| **e == **i))
    }
}

fn expand(patterns: &[String], existing: &[Text]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for pattern in patterns {
        if !has_wildcard(pattern) {
            found.push(pattern.clone());
            continue;
        }
        let glob = Glob::new(pattern).ok_or_else(|| pattern.clone())?;
        found.extend(existing.iter().filter(|n| glob.matches(n) == Some(true)).map(|n| n.to_string()));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Why Velero refuses a namespace name or pattern in a filter (`validateNamespaceName`); `None` if it does not.
pub(super) fn refused(name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    if name.contains(['|', '(', ')', '!', '{', '}', ',']) {
        return Some(format!("namespace pattern {name} has characters that are not supported: | ( ) ! {{ }} ,"));
    }
    if name.contains("**") {
        return Some(format!("namespace pattern {name} has two stars in a row"));
    }
    if !brackets_pair(name) {
        return Some(format!("namespace pattern {name} has a bracket without its fellow, or nothing between the two"));
    }
    let plain: String = name.chars().map(|c| if matches!(c, '*' | '?' | '[' | ']') { 'x' } else { c }).collect();
    let inner = plain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let good = inner && plain.len() <= 63 && !plain.starts_with('-') && !plain.ends_with('-');
    (!good).then(|| format!("{name} is no name of a namespace"))
}

fn brackets_pair(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'[' => match bytes[i + 1..].iter().position(|b| *b == b']') {
                Some(0) | None => return false,
                Some(inner) => i += inner + 1,
            },
            b']' => return false,
            _ => {}
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> NamespaceFilter {
        let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        let existing: Vec<Text> = ["default", "kube-system", "shop", "team-a", "team-b"].into_iter().map(Text::from).collect();
        NamespaceFilter::of(&Lists { include: texts(include), exclude: texts(exclude) }, Some(&existing))
    }

    #[test]
    fn wildcards_are_replaced_by_what_exists_except_beside_a_star() {
        for (include, exclude, named, at_once, everything) in [
            (&["*"][..], &[][..], "default kube-system shop team-a team-b", true, true),
            (&[], &[], "default kube-system shop team-a team-b", true, true),
            (&["*"], &["team-*"], "default kube-system shop", true, false),
            (&["*"], &["?"], "default kube-system shop team-a team-b", false, false),
            (&["team-*"], &[], "team-a team-b", false, false),
            (&["team-?", "shop"], &["*-b"], "shop team-a", false, false),
            (&["nothing-*"], &[], "", false, true),
            (&["shop"], &["nothing-*"], "shop", false, false),
            (&["default", "kube-system", "shop", "team-a", "team-b"], &[], "default kube-system shop team-a team-b", false, true),
            (&["*e*", "shop"], &["nothing-*"], "default kube-system shop team-a team-b", false, true),
            (&["[a-e]*"], &[], "default", false, false),
        ] {
            let filter = filter(include, exclude);
            let names: Vec<&str> = ["default", "kube-system", "shop", "team-a", "team-b"].into_iter().filter(|n| filter.includes(n)).collect();
            let found = (names.join(" "), filter.lists_all_at_once(), filter.everything());
            assert_eq!(found, (named.to_owned(), at_once, everything), "{include:?} {exclude:?}");
        }
        // All namespaces are included, but the only list that is asked for is that of a namespace named `*`, which the pattern excludes.
        assert!(!filter(&["*"], &["?"]).lists("shop"));
        assert_eq!(filter(&["[z-a]"], &[]).broken.as_deref(), Some("[z-a]"));
        let existing = [Text::from("shop")];
        assert_eq!(filter(&["shop", "gone"], &[]).missing(&existing).collect::<Vec<_>>(), ["gone"]);
    }

    #[test]
    fn names_and_patterns_are_refused_as_velero_refuses_them() {
        for (name, good) in [
            ("shop", true),
            ("", true),
            ("team-*", true),
            ("t?am", true),
            ("[ab]x", true),
            ("[a-c]*", true),
            ("*-", false),
            ("Shop", false),
            ("a.b", false),
            ("a**", false),
            ("a{b,c}", false),
            ("!a", false),
            ("a[", false),
            ("a]", false),
            ("a[]", false),
            ("-a", false),
        ] {
            assert_eq!(refused(name).is_none(), good, "{name}");
        }
    }
}
