//! The cluster at an earlier moment, as far as what lives now tells of it. pure
//!
//! That an object was made after a moment stands in its creation time. That it was not written since is known by its resourceVersion: all are
//! drawn from one counter, so one that is no higher than the highest in an archive was last written before that archive was.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{object::Object, witness::Archive};

/// Times of Velero and of the API server are whole seconds of two clocks.
const SKEW: SignedDuration = SignedDuration::from_secs(2);

/// What is known of a live object at an earlier moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It was there as it is, but for its status.
    Same,
    /// It was there, and may have been written since: its labels and what it leads to may have been others.
    Written,
    /// It was not there yet, or so shortly before that nobody can say.
    NotYet,
    /// It does not say when it was made.
    Unknown,
}

/// When a backup looked at the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Its start: everything is listed right after it.
    pub start: Timestamp,
    /// The highest resourceVersion in its archive, if that is known.
    pub newest_version: Option<u64>,
}

impl Moment {
    /// The moment of a backup that was read.
    pub fn of(start: Timestamp, archive: &Archive) -> Self {
        Self { start, newest_version: archive.newest_version }
    }

    /// Whether an object that lives now said then what it says: by its version, or because whoever wrote it did so before.
    pub fn held(&self, object: &Object) -> bool {
        match self.tell(object) {
            Then::Same => true,
            Then::Written => writes(object).is_some_and(|w| !w.is_empty() && w.iter().all(|(at, _)| self.start.duration_since(*at) > SKEW)),
            Then::NotYet | Then::Unknown => false,
        }
    }

    /// What an object that lives now was then.
    pub fn tell(&self, object: &Object) -> Then {
        let Some(created) = object.meta.created else { return Then::Unknown };
        if self.start.duration_since(created) <= SKEW {
            return Then::NotYet;
        }
        let version = object.meta.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
        match version.zip(self.newest_version) {
            Some((own, newest)) if own <= newest => Then::Same,
            _ => Then::Written,
        }
    }
}

/// Times of an object's writes, each with whether it was of labels, from its managedFields; `None` if nobody tells.
pub(in crate::velero) fn writes(object: &Object) -> Option<Vec<(Timestamp, bool)>> {
    let entries: Vec<Value> = serde_json::from_str(&object.meta.managers()?).ok()?;
    let of = |e: &Value| {
        let at = e.get("time")?.as_str()?.parse().ok()?;
        Some((at, e.pointer("/fieldsV1/f:metadata/f:labels").is_some()))
    };
    Some(entries.iter().filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Redactor, admit};

    #[test]
    fn an_object_tells_by_its_creation_and_version_what_it_was_then() {
        let moment = Moment { start: "2026-03-02T01:00:00Z".parse().expect("a time"), newest_version: Some(100) };
        for (created, version, want) in [
            (Some("2026-03-02T00:00:00Z"), "100", Then::Same),
            (Some("2026-03-02T00:59:57Z"), "7", Then::Same),
            (Some("2026-03-02T00:00:00Z"), "101", Then::Written),
            (Some("2026-03-02T00:00:00Z"), "none", Then::Written),
            (Some("2026-03-02T00:59:58Z"), "7", Then::NotYet),
            (Some("2026-03-02T01:30:00Z"), "101", Then::NotYet),
            (None, "7", Then::Unknown),
        ] {
            let raw = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n", "creationTimestamp": created, "resourceVersion": version}});
            let object = admit(raw, &Redactor::new([0; 32])).expect("an object");
            assert_eq!(moment.tell(&object), want, "{created:?} {version}");
            assert_eq!(moment.held(&object), want == Then::Same);
            let blind = Moment { newest_version: None, ..moment };
            assert_eq!(blind.tell(&object), if want == Then::Same { Then::Written } else { want });
            assert!(!blind.held(&object), "nobody tells who wrote it");
        }
    }
    #[test]
    fn who_wrote_an_object_before_wrote_it_as_it_is() {
        let moment = Moment { start: "2026-03-02T01:00:00Z".parse().expect("a time"), newest_version: Some(100) };
        for (times, want) in [(vec!["00:10:00"], true), (vec!["00:10:00", "01:10:00"], false), (vec!["00:59:59"], false), (vec![], false)] {
            let managers: Vec<Value> = times.iter().map(|t| json!({"manager": "m", "time": format!("2026-03-02T{t}Z"), "fieldsV1": {}})).collect();
            let raw = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "creationTimestamp": "2026-03-02T00:00:00Z", "resourceVersion": "500",
                "managedFields": managers}});
            assert_eq!(moment.held(&admit(raw, &Redactor::new([0; 32])).expect("an object")), want, "{times:?}");
        }
    }
}
