//! From "which closure at which commit" to "since when does each object look like this". pure
//!
//! A commit whose closure hash is unchanged renders the same, so only distinct closures are rendered, and only where an object's
//! content differs between two neighbouring states does a run end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    object::{Object, ObjectId, Text},
    witness::{AppHistory, Commit, PastState},
};

/// The objects of one state, by identity. States share what is alike in them.
pub type StateMap = BTreeMap<ObjectId, Arc<Object>>;

/// One first-parent commit and the closure hash of the app there; `None` if the app did not exist at that commit.
pub type Point = (Commit, Option<Text>);

/// Builds an app's history from first-parent commits, newest first, and the rendered state of each distinct closure.
///
/// The search ends at the first commit whose state is not in `states`; `root_reached` says whether the last commit has no parent.
/// An app that did not exist at a commit declares nothing there.
pub fn build(points: &[Point], states: &HashMap<Text, Arc<StateMap>>, root_reached: bool, note: Option<String>) -> AppHistory {
    let nothing = Arc::new(StateMap::new());
    let state_of = |closure: &Option<Text>| match closure {
        Some(hash) => states.get(hash).cloned(),
        None => Some(nothing.clone()),
    };
    let mut objects: HashMap<ObjectId, Vec<PastState>> = HashMap::new();
    let Some((tip, mut current)) = points.first().and_then(|(c, h)| Some((c, state_of(h)?))) else {
        return AppHistory { note, ..AppHistory::default() };
    };
    let open = |object: Option<Arc<Object>>| PastState { since: None, object };
    for (id, object) in current.iter() {
        objects.insert(id.clone(), vec![open(Some(object.clone()))]);
    }
    let mut newer = tip;
    let mut closure = &points[0].1;
    let mut searched = 1;
    for (commit, hash) in &points[1..] {
        if hash != closure {
            let Some(older) = state_of(hash) else { break };
            for id in current.keys().chain(older.keys().filter(|id| !current.contains_key(*id))) {
                let (now, then) = (current.get(id), older.get(id));
                if now.map(|o| o.content.print()) == then.map(|o| o.content.print()) {
                    continue;
                }
                // An object that is not at the tip and was never seen so far: absent from the tip down to here.
                let runs = objects.entry(id.clone()).or_insert_with(|| vec![open(None)]);
                if let Some(run) = runs.last_mut() {
                    run.since = Some(newer.clone());
                }
                runs.push(open(then.cloned()));
            }
            (current, closure) = (older, hash);
        }
        newer = commit;
        searched += 1;
    }
    let complete = root_reached && searched == points.len();
    if complete {
        for runs in objects.values_mut() {
            match runs.last_mut() {
                // What the root commit declares came with it; what it does not declare was simply not there yet.
                Some(run) if run.object.is_some() => run.since = Some(newer.clone()),
                _ => {}
            }
        }
    }
    AppHistory { objects, reaches: Some(newer.clone()), complete, note }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::object::{Redactor, admit};

    fn commit(n: usize) -> Commit {
        Commit {
            sha: format!("c{n}").into(),
            author: "Ada".into(),
            subject: "s".into(),
            time: jiff::Timestamp::from_second(1_000_000 - n as i64).expect("in range"),
            merge: false,
        }
    }

    /// A history written as one word per commit, newest first; the letter is the content of object `a`, `-` is absent, `!` unrenderable.
    fn history(words: &str, root: bool) -> AppHistory {
        let mut states = HashMap::new();
        let points: Vec<Point> = words
            .chars()
            .enumerate()
            .map(|(n, c)| {
                let mut map = StateMap::new();
                if c != '-' {
                    let o = admit(
                        json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":c.to_string()}}),
                        &Redactor::new([0; 32]),
                    );
                    let o = o.expect("an object");
                    map.insert(o.id.clone(), Arc::new(o));
                }
                let hash: Text = c.to_string().into();
                if c != '!' {
                    states.insert(hash.clone(), Arc::new(map));
                }
                (commit(n), Some(hash))
            })
            .collect();
        build(&points, &states, root, None)
    }

    fn told(h: &AppHistory) -> Vec<String> {
        let runs = h.objects.get(&ObjectId::new("", "ConfigMap", None, "a"));
        runs.into_iter()
            .flatten()
            .map(|r| {
                let value = r.object.as_ref().map(|o| o.content.value()["data"]["k"].as_str().unwrap_or_default().to_owned());
                format!("{}@{}", value.unwrap_or("-".into()), r.since.as_ref().map_or("?", |c| &*c.sha))
            })
            .collect()
    }

    #[test]
    fn a_run_began_with_the_oldest_commit_that_declares_it_alike() {
        for (words, root, expected) in [
            ("aaa", true, vec!["a@c2"]),
            ("aaa", false, vec!["a@?"]),
            ("abb", true, vec!["a@c0", "b@c2"]),
            ("aba", true, vec!["a@c0", "b@c1", "a@c2"]),
            ("aab", false, vec!["a@c1", "b@?"]),
            ("-aa", true, vec!["-@c0", "a@c2"]),
            ("a--", true, vec!["a@c0", "-@?"]),
            ("aab!b", true, vec!["a@c1", "b@?"]),
            ("!", true, vec![]),
        ] {
            assert_eq!(told(&history(words, root)), expected, "{words}");
        }
    }

    #[test]
    fn a_search_that_ended_early_says_so() {
        assert!(history("aab", true).complete);
        assert!(!history("aab!b", true).complete);
        assert_eq!(history("aab!b", true).reaches, Some(commit(2)));
        assert!(!history("aab", false).complete);
    }

    proptest! {
        #[test]
        fn runs_alternate_and_cover_the_line(words in "[ab-]{1,30}") {
            let h = history(&words, true);
            let runs = told(&h);
            let values: Vec<_> = runs.iter().map(|r| r[..1].to_owned()).collect();
            prop_assert!(values.windows(2).all(|w| w[0] != w[1]), "neighbouring runs differ: {runs:?}");
            let mut collapsed: Vec<String> = words.chars().map(String::from).collect();
            collapsed.dedup();
            if collapsed != ["-"] {
                prop_assert_eq!(values, collapsed);
            }
        }
    }
}
