//! Namespaces of a render: no network, and a root folder with next to nothing in it. I/O: changes this process's namespaces and mounts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::statvfs::{FsFlags, statvfs},
    unistd::{chdir, getegid, geteuid, pivot_root},
};

/// The user and group that a render is inside its user namespace. Not 0: then the rights that the namespace gives would outlive exec.
const INSIDE_ID: u32 = 65534;

/// Bytes that a render may keep in its home inside a mount namespace.
const HOME_BYTES: u64 = 64 << 20;

/// How entering a network namespace went.
pub(super) enum Entered {
    /// Inside a user namespace of its own.
    WithUser,
    /// By root's right, without a user namespace.
    AsRoot,
    /// The kernel refused; nothing changed.
    Refused(String),
    /// Half-way: this process is of no use.
    Broke(String),
}

/// Leaves the network (and IPC, and with `mounts` the mount namespace) of the host. This process must have one thread only.
pub(super) fn enter(mounts: bool) -> Entered {
    let (uid, gid) = (geteuid(), getegid());
    let mut flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    if mounts {
        flags |= CloneFlags::CLONE_NEWNS;
    }
    match unshare(flags | CloneFlags::CLONE_NEWUSER) {
        Ok(()) => {
            // The mapping must be written from inside, and groups given up before it (user_namespaces(7)).
            let map = fs::write("/proc/self/setgroups", "deny")
                .and_then(|()| fs::write("/proc/self/uid_map", format!("{INSIDE_ID} {uid} 1")))
                .and_then(|()| fs::write("/proc/self/gid_map", format!("{INSIDE_ID} {gid} 1")));
            match map {
                Ok(()) => Entered::WithUser,
                Err(e) => Entered::Broke(format!("no user mapping: {e}")),
            }
        }
        Err(with_user) => match unshare(flags) {
            Ok(()) => Entered::AsRoot,
            Err(_) => Entered::Refused(format!("no user namespace: {with_user}")),
        },
    }
}

/// What the new root holds.
pub(super) struct Root<'a> {
    /// An empty folder to build in.
    pub stage: &'a Path,
    /// Shown read-only, at the same path.
    pub read: &'a [PathBuf],
    /// Devices, shown as they are.
    pub devices: &'a [PathBuf],
    /// An empty, writable folder of bounded size.
    pub home: &'a Path,
    /// Where to be afterwards.
    pub cwd: &'a Path,
}

fn at<T, E: std::fmt::Display>(what: &str, path: &Path, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|e| format!("{what} {}: {e}", path.display()))
}

/// Makes the mount target: a folder for a folder, a file for a file.
fn place(source: &Path, target: &Path) -> Result<(), String> {
    if source.is_dir() {
        return at("make", target, fs::create_dir_all(target));
    }
    if let Some(parent) = target.parent() {
        at("make", parent, fs::create_dir_all(parent))?;
    }
    at("make", target, fs::write(target, ""))
}

fn bind(source: &Path, target: &Path) -> Result<(), String> {
    at("show", source, mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>))
}

/// Makes a mount read-only. In a user namespace the flags that the mount came with are locked, so they must be named again.
fn seal(target: &Path) -> Result<(), String> {
    let had = at("look at", target, statvfs(target))?.flags();
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for (fact, flag) in [
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if had.contains(fact) {
            flags |= flag;
        }
    }
    at("seal", target, mount(None::<&str>, target, None::<&str>, flags, None::<&str>))
}

/// Builds the new root and moves into it; the old one is out of reach afterwards. Needs [`enter`] with mounts first.
pub(super) fn change_root(root: &Root<'_>) -> Result<(), String> {
    let slash = Path::new("/");
    at("detach", slash, mount(None::<&str>, slash, None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>))?;
    let tmpfs = |target: &Path, options: &str| {
        at("mount", target, mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options)))
    };
    tmpfs(root.stage, "size=4m,mode=0755")?;
    let inside = |path: &Path| root.stage.join(path.strip_prefix("/").unwrap_or(path));
    let mut shown: Vec<&Path> = Vec::new();
    for path in root.read.iter().filter(|p| p.exists()) {
        if shown.iter().any(|s| path.starts_with(s)) {
            continue;
        }
        let target = inside(path);
        place(path, &target)?;
        bind(path, &target)?;
        seal(&target)?;
        shown.push(path);
    }
    for path in root.devices.iter().filter(|p| p.exists()) {
        place(path, &inside(path))?;
        bind(path, &inside(path))?;
    }
    let home = inside(root.home);
    at("make", &home, fs::create_dir_all(&home))?;
    tmpfs(&home, &format!("size={HOME_BYTES},mode=0700"))?;
    at("enter", root.stage, chdir(root.stage))?;
    // Both arguments the same: the old root lies on top of the new one until it is taken off (pivot_root(2), notes).
    at("turn to", root.stage, pivot_root(".", "."))?;
    at("leave", slash, umount2(".", MntFlags::MNT_DETACH))?;
    at("seal", slash, seal(slash))?;
    at("enter", root.cwd, chdir(root.cwd))
}
