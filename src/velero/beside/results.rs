//! Errors and warnings of a backup or restore. pure
//!
//! A backup's entries are made from log lines, ` resource: /R name: /N message: /M error: /E`, each part only if the line has it
//! (pkg/util/logging/log_counter_hook.go); a restore's are plain sentences.

use serde_json::Value;

use super::cut;
use crate::witness::{Entry, Results};

/// Entries of each kind that are kept; a backup that failed on more is not told object by object.
const MOST: usize = 2000;

/// Reads a results file.
pub(super) fn results(file: &Value) -> Option<Results> {
    let file = file.as_object()?;
    let part = |key: &str| {
        let mut found = entries(file.get(key));
        let untold = found.len().saturating_sub(MOST) as u64;
        found.truncate(MOST);
        (found, untold)
    };
    let ((errors, untold_errors), (warnings, untold_warnings)) = (part("errors"), part("warnings"));
    Some(Results { errors, warnings, untold_errors, untold_warnings })
}

fn entries(part: Option<&Value>) -> Vec<Entry> {
    let Some(part) = part else { return Vec::new() };
    let mut found: Vec<Entry> = texts(part.get("velero")).chain(texts(part.get("cluster"))).map(|t| entry(None, t)).collect();
    for (namespace, own) in part.get("namespaces").and_then(Value::as_object).into_iter().flatten() {
        found.extend(texts(Some(own)).map(|t| entry(Some(namespace), t)));
    }
    found
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn entry(namespace: Option<&str>, text: &str) -> Entry {
    let [mut resource, mut name, mut message, mut error] = [None; 4];
    let mut rest = text;
    // The parts come in this order, so a later mark inside an earlier part's text is cut at its first place at worst.
    for (mark, next, into) in [
        (" resource: /", &[" name: /", " message: /", " error: /"][..], &mut resource),
        (" name: /", &[" message: /", " error: /"], &mut name),
        (" message: /", &[" error: /"], &mut message),
        (" error: /", &[], &mut error),
    ] {
        let Some(after) = rest.strip_prefix(mark) else { continue };
        let end = next.iter().filter_map(|n| after.find(n)).min().unwrap_or(after.len());
        *into = Some(after[..end].trim());
        rest = &after[end..];
    }
    let said = match (message, error) {
        (Some(message), Some(error)) if !message.is_empty() => format!("{message}: {error}"),
        (_, Some(error)) => error.to_owned(),
        (Some(message), None) => message.to_owned(),
        (None, None) => text.trim().to_owned(),
    };
    let given = |t: Option<&str>| t.filter(|t| !t.is_empty()).map(|t| cut(t).into());
    Entry { namespace: given(namespace), resource: given(resource), name: given(name), message: cut(&said) }
}
