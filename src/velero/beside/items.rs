//! What a backup set out to write, `{"apps/v1/Deployment":["ns/name"]}`, and what a restore did to it, `["ns/name(created)"]`. pure

use serde_json::Value;

use super::cut;
use crate::witness::{ListedObject, RestoreAction, RestoredItem};

/// Items that are kept.
const MOST: usize = 200_000;

/// Reads a resource list. A line in another form than Velero's is passed over.
pub(super) fn items(file: &Value) -> Option<Vec<RestoredItem>> {
    let mut found = Vec::new();
    for (kind, lines) in file.as_object()? {
        let kind = cut(kind).into();
        found.extend(lines.as_array()?.iter().filter_map(Value::as_str).filter_map(|line| item(&kind, line)).take(MOST - found.len()));
    }
    Some(found)
}

/// Reads a backup's resource list.
pub(super) fn listed(file: &Value) -> Option<Vec<ListedObject>> {
    let mut found = Vec::new();
    for (kind, lines) in file.as_object()? {
        let kind: crate::object::Text = cut(kind).into();
        let of = |line: &str| {
            let (namespace, name) = line.split_once('/').map_or((None, line), |(namespace, name)| (Some(namespace), name));
            ListedObject { kind: kind.clone(), namespace: namespace.map(|n| cut(n).into()), name: cut(name).into() }
        };
        found.extend(lines.as_array()?.iter().filter_map(Value::as_str).map(of).take(MOST - found.len()));
    }
    Some(found)
}

fn item(kind: &crate::object::Text, line: &str) -> Option<RestoredItem> {
    let (path, action) = line.strip_suffix(')')?.rsplit_once('(')?;
    let action = match action {
        "created" => RestoreAction::Created,
        "updated" => RestoreAction::Updated,
        "skipped" => RestoreAction::Skipped,
        "failed" => RestoreAction::Failed,
        _ => return None,
    };
    let (namespace, name) = path.split_once('/').map_or((None, path), |(namespace, name)| (Some(namespace), name));
    Some(RestoredItem { kind: kind.clone(), namespace: namespace.map(|n| cut(n).into()), name: cut(name).into(), action })
}
