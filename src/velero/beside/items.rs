//! What a restore did to each object: `{"apps/v1/Deployment":["ns/name(created)"],"v1/Namespace":["name(skipped)"]}`. pure

use serde_json::Value;

use super::cut;
use crate::witness::{RestoreAction, RestoredItem};

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
