//! Keeping a mirror small without the network: many packs into one, and old tips carried into a new generation. I/O: files.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufReader, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use flate2::{Compression, write::ZlibEncoder};
use gix::{
    ObjectId,
    hash::Kind as HashKind,
    objs::Kind,
    odb::pack::{self, data::entry::Header},
};

use super::{
    error::Fault,
    mirror::{Generation, Mirror, MirrorLock},
    store::{Store, from_gix},
    tree::EntryKind,
    update::OURS,
};

/// Packs of a generation beyond which they are put together.
pub(crate) const MAX_PACKS: usize = 50;
/// The largest packs stay as they are: they are well packed already.
const STAY: usize = 4;
/// Objects that are carried for one old tip. A history that differs by more is let go.
const CARRY: usize = 50_000;

/// The packs of a generation with their sizes, largest first.
pub(crate) fn packs(generation: &Path) -> Result<Vec<(PathBuf, u64)>, Fault> {
    let folder = pack_folder(generation);
    let entries = fs::read_dir(&folder).map_err(|e| Fault::io("read", &folder, &e))?;
    let mut packs: Vec<(PathBuf, u64)> = entries
        .filter_map(|e| {
            let entry = e.ok()?;
            let path = entry.path();
            (path.extension()? == "pack").then_some((path, entry.metadata().ok()?.len()))
        })
        .collect();
    packs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(packs)
}

/// Removes what a process left behind that was killed while writing: lock files of refs and unfinished packs. The caller holds the
/// mirror's lock, so none of them is in use.
pub(crate) fn tidy(generation: &Path) {
    fn remove_locks(folder: &Path, depth: usize) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && depth < 8 {
                remove_locks(&path, depth + 1);
            } else if path.extension().is_some_and(|e| e == "lock") {
                let _ = fs::remove_file(&path);
            }
        }
    }
    remove_locks(&generation.join("refs"), 0);
    for name in ["packed-refs.lock", "HEAD.lock", "shallow.lock"] {
        let _ = fs::remove_file(generation.join(name));
    }
    for entry in fs::read_dir(pack_folder(generation)).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.extension().is_some_and(|e| e == "pack" || e == "idx") {
            let _ = fs::remove_file(&path);
        }
    }
}

fn pack_folder(generation: &Path) -> PathBuf {
    generation.join("objects").join("pack")
}

/// A new generation with the same objects and refs in few packs.
pub(crate) fn consolidate(mirror: &Mirror, lock: &MirrorLock, old: &Arc<Store>, alloc_limit: u64, stop: &AtomicBool) -> Result<Arc<Store>, Fault> {
    let Some(from) = old.generation() else { return Ok(old.clone()) };
    let packs = packs(&from.path)?;
    let (stay, go) = packs.split_at(STAY.min(packs.len()));
    let generation = Arc::new(mirror.begin(lock)?);
    let done = fill(&generation, from, old, stay, go, alloc_limit, stop);
    settle(mirror, lock, generation, done)
}

/// Publishes a filled generation, or removes it if filling it failed.
pub(crate) fn settle(
    mirror: &Mirror,
    lock: &MirrorLock,
    generation: Arc<Generation>,
    filled: Result<Arc<Store>, Fault>,
) -> Result<Arc<Store>, Fault> {
    let done = filled.and_then(|store| mirror.publish(lock, &generation).map(|()| store));
    if done.is_err() {
        // If it cannot be removed now, the next sweep does it.
        let _ = fs::remove_dir_all(&generation.path);
    }
    done
}

fn fill(
    generation: &Arc<Generation>,
    from: &Generation,
    old: &Arc<Store>,
    stay: &[(PathBuf, u64)],
    go: &[(PathBuf, u64)],
    alloc_limit: u64,
    stop: &AtomicBool,
) -> Result<Arc<Store>, Fault> {
    let folder = pack_folder(&generation.path);
    for (pack, _) in stay {
        for file in [pack.clone(), pack.with_extension("idx")] {
            let to = folder.join(file.file_name().unwrap_or_default());
            if fs::hard_link(&file, &to).is_err() {
                fs::copy(&file, &to).map_err(|e| Fault::io("write", &to, &e))?;
            }
        }
    }
    let shallow = from.path.join("shallow");
    if shallow.exists() {
        let to = generation.path.join("shallow");
        fs::copy(&shallow, &to).map_err(|e| Fault::io("write", &to, &e))?;
    }
    let staying = Store::of_mirror(generation.clone(), alloc_limit)?;
    let mut seen = HashSet::new();
    let mut moving = Vec::new();
    for (pack, _) in go {
        let index = pack.with_extension("idx");
        let index = pack::index::File::at(index, HashKind::Sha1).map_err(|e| from_gix("read", pack, &e))?;
        for entry in index.iter() {
            if seen.insert(entry.oid) && !staying.has(&entry.oid) {
                moving.push(entry.oid);
            }
        }
    }
    write_pack(&folder, old, &moving, stop)?;
    let store = Store::of_mirror(generation.clone(), alloc_limit)?;
    store.keep(&old.kept_under(OURS), &[])?;
    for (_, id) in store.kept_under(OURS) {
        store.commit(&id)?;
    }
    Ok(Arc::new(store))
}

/// Copies what `tip` needs and `new` does not have. `Ok(false)`: it would be too much.
pub(crate) fn carry(old: &Store, new: &Store, tip: ObjectId, stop: &AtomicBool) -> Result<bool, Fault> {
    let Some(generation) = new.generation() else { return Ok(false) };
    // Every object of `new` came with all that it needs, so the walk ends at the first one that is there.
    let mut needed = Vec::new();
    let mut seen = HashSet::new();
    let mut queue = vec![tip];
    while let Some(at) = queue.pop() {
        if !seen.insert(at) || new.has(&at) {
            continue;
        }
        if needed.len() >= CARRY {
            return Ok(false);
        }
        needed.push(at);
        match old.read(&at)?.0 {
            Kind::Commit => {
                let commit = old.commit(&at)?;
                queue.push(commit.tree);
                queue.extend(commit.parents);
            }
            Kind::Tree => {
                for entry in old.entries(&at)?.iter().filter(|e| e.kind != EntryKind::Submodule) {
                    queue.extend(ObjectId::from_hex(entry.oid.as_bytes()));
                }
            }
            Kind::Blob | Kind::Tag => {}
        }
    }
    write_pack(&pack_folder(&generation.path), old, &needed, stop)?;
    Ok(true)
}

/// Writes objects, whole, as one pack with its index.
fn write_pack(folder: &Path, from: &Store, objects: &[ObjectId], stop: &AtomicBool) -> Result<(), Fault> {
    if objects.is_empty() {
        return Ok(());
    }
    let failed = |e: &std::io::Error| Fault::io("write a pack in", folder, e);
    let count = u32::try_from(objects.len()).map_err(|_| Fault::damaged("more objects than a pack can hold"))?;
    let mut plain = tempfile::tempfile_in(folder).map_err(|e| failed(&e))?;
    {
        let mut out = gix::hash::io::Write::new(BufWriter::new(&mut plain), HashKind::Sha1);
        let mut head = b"PACK\0\0\0\x02".to_vec();
        head.extend(count.to_be_bytes());
        out.write_all(&head).map_err(|e| failed(&e))?;
        for id in objects {
            let (kind, data) = from.read(id)?;
            let header = match kind {
                Kind::Commit => Header::Commit,
                Kind::Tree => Header::Tree,
                Kind::Blob => Header::Blob,
                Kind::Tag => Header::Tag,
            };
            header.write_to(data.len() as u64, &mut out).map_err(|e| failed(&e))?;
            let mut deflate = ZlibEncoder::new(&mut out, Compression::default());
            deflate.write_all(&data).and_then(|()| deflate.finish().map(|_| ())).map_err(|e| failed(&e))?;
        }
        let gix::hash::io::Write { hash, mut inner } = out;
        let sum = hash.try_finalize().map_err(|e| from_gix("write a pack in", folder, &e))?;
        inner.write_all(sum.as_slice()).and_then(|()| inner.flush()).map_err(|e| failed(&e))?;
    }
    plain.rewind().map_err(|e| failed(&e))?;
    index_pack(folder, plain, stop)
}

fn index_pack(folder: &Path, plain: File, stop: &AtomicBool) -> Result<(), Fault> {
    let options = pack::bundle::write::Options {
        thread_limit: Some(1),
        index_version: pack::index::Version::V2,
        iteration_mode: pack::data::input::Mode::Verify,
        alloc_limit_bytes: None,
        compression: Default::default(),
    };
    let written = pack::Bundle::write_to_directory(
        &mut BufReader::new(plain),
        Some(folder),
        &mut gix::progress::Discard,
        stop,
        None::<gix::OdbHandle>,
        HashKind::Sha1,
        options,
    )
    .map_err(|e| from_gix("write a pack in", folder, &e))?;
    written.keep_path.map_or(Ok(()), |keep| fs::remove_file(&keep).map_err(|e| Fault::io("remove", &keep, &e)))
}
