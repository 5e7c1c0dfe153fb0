//! The seccomp filter of a render: what the program may not ask of the kernel. I/O: filters this thread's system calls.
//!
//! A list of what is denied, not of what is allowed: Go's runtime gains system calls with every release, and a render that fails for
//! that would be an unknown app for no reason. What a renderer never needs and an attacker would is refused.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Op, SeccompCondition as Condition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// System calls denied whatever their arguments.
const DENIED: &[i64] = &[
    // No network, in no family: a UNIX socket would reach a container runtime or a name service.
    libc::SYS_socket,
    // io_uring makes sockets and opens files past this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Nothing leaves the process group, so that killing the group leaves nothing behind.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Other processes of the same user, our own among them.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Namespaces, mounts and what else needs rights that a user namespace gives.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Wide and often broken parts of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Old calls that newer machines do not have.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] =
    &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[i64] = &[];

fn when(argument: u8, op: Op, value: u64) -> Result<Condition, String> {
    Condition::new(argument, Width::Dword, op, value).map_err(|e| e.to_string())
}

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions).map_err(|e| e.to_string())
}

/// The rules for a program whose process id will be `pid`.
fn rules(pid: u32) -> Result<Rules, String> {
    let me = u64::from(pid);
    let mut rules: Rules = DENIED.iter().chain(DENIED_HERE).map(|n| (*n, Vec::new())).collect();
    // Threads yes, processes no.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![rule(vec![when(0, Op::MaskedEq(thread), 0)?])?]);
    // Signals to itself only, which Go's scheduler sends all the time.
    rules.insert(libc::SYS_kill, vec![rule(vec![when(0, Op::Ne, me)?])?]);
    rules.insert(libc::SYS_tgkill, vec![rule(vec![when(0, Op::Ne, me)?])?]);
    // Limits of itself only.
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![when(0, Op::Ne, 0)?, when(0, Op::Ne, me)?])?]);
    Ok(with_x32(rules))
}

/// The x32 calling convention reaches the same calls under numbers with bit 30 set, and passes for x86-64 in a filter.
fn with_x32(mut rules: Rules) -> Rules {
    if cfg!(target_arch = "x86_64") {
        let twins: Vec<_> = rules.iter().map(|(n, r)| (n | 0x4000_0000, r.clone())).collect();
        rules.extend(twins);
    }
    rules
}

fn install(rules: Rules, errno: i32) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch).map_err(|e| e.to_string())?;
    let program = BpfProgram::try_from(filter).map_err(|e| e.to_string())?;
    apply_filter(&program).map_err(|e| e.to_string())
}

/// Puts the filter on this thread, which must be the only one. The error says what the kernel refused.
pub(super) fn apply(pid: u32) -> Result<(), String> {
    // clone3 hides its flags behind a pointer where a filter cannot look. "No such call" makes libraries use clone.
    install(with_x32([(libc::SYS_clone3, Vec::new())].into()), libc::ENOSYS)?;
    install(rules(pid)?, libc::EPERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_covers_the_second_calling_convention() {
        let all = rules(1).expect("rules");
        for n in [libc::SYS_socket, libc::SYS_clone, libc::SYS_io_uring_setup] {
            assert!(all.contains_key(&n));
            assert_eq!(all.contains_key(&(n | 0x4000_0000)), cfg!(target_arch = "x86_64"));
        }
        let arch = TargetArch::try_from(std::env::consts::ARCH).expect("a known machine");
        let filter = SeccompFilter::new(all, SeccompAction::Allow, SeccompAction::Errno(1), arch).expect("valid");
        assert!(BpfProgram::try_from(filter).is_ok());
    }
}
