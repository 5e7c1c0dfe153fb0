//! The tip of a repository that is read where it stands. I/O: files.

use gix::ObjectId;

use super::{
    error::{Fault, GitErrorKind},
    reference::{Offered, Wanted, empty},
    store::{Store, words},
};

/// The commit that a reference means here. Beside branches and tags, `origin/x` means the remote-tracking branch of that name.
pub(crate) fn tip(store: &Store, wanted: &Wanted) -> Result<ObjectId, Fault> {
    let repo = store.local();
    if let Wanted::Commit(sha) = wanted {
        let id = parse(sha)?;
        return if store.has(&id) { store.peel(id) } else { Err(wanted.missing(&all(&repo)?)) };
    }
    if let Wanted::Head = wanted {
        let head = repo.head().map_err(|e| store.damaged(format!("HEAD: {}", words(&e))))?;
        return match head.id() {
            Some(id) => store.peel(id.detach()),
            None => Err(wanted.missing(&all(&repo)?)),
        };
    }
    let mut candidates = wanted.candidates();
    if let Wanted::Name(name) = wanted {
        candidates.push(format!("refs/remotes/{name}"));
    }
    let mut found = Vec::new();
    for name in candidates {
        let reference = repo.try_find_reference(name.as_str()).map_err(|e| store.damaged(format!("{name}: {}", words(&e))))?;
        if let Some(mut reference) = reference.filter(|r| r.name().as_bstr() == name.as_str()) {
            let id = reference.peel_to_id().map_err(|e| store.damaged(format!("{name}: {}", words(&e))))?;
            found.push(Offered { name, commit: Some(id.to_string()) });
        }
    }
    // Only when neither branch nor tag has the name does a remote-tracking branch count.
    let remote = found.iter().position(|o| o.name.starts_with("refs/remotes/")).filter(|_| matches!(wanted, Wanted::Name(_)));
    let remote = remote.map(|at| found.remove(at));
    match wanted.resolve(&found)?.or_else(|| remote.and_then(|r| r.commit)) {
        Some(sha) => store.peel(parse(&sha)?),
        None => Err(wanted.missing(&all(&repo)?)),
    }
}

fn all(repo: &gix::Repository) -> Result<Vec<Offered>, Fault> {
    let failed = |e: gix::Error| Fault::damaged(format!("cannot list references: {}", words(&e)));
    let platform = repo.references().map_err(failed)?;
    let all = platform.all().map_err(failed)?;
    Ok(all.filter_map(Result::ok).map(|r| Offered { name: r.name().as_bstr().to_string(), commit: None }).collect())
}

fn parse(sha: &str) -> Result<ObjectId, Fault> {
    ObjectId::from_hex(sha.as_bytes())
        .map_err(|_| Fault::new(GitErrorKind::Refused, "only SHA-1 repositories are read"))
        .and_then(|id| if id.is_null() { Err(empty()) } else { Ok(id) })
}
