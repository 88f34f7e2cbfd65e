//! A network namespace of one's own, in which a TUN interface can be made: entered by the whole
//! process, found by trying.
//!
//! Whether the system lets this process have one depends on its user, its capabilities, the
//! kernel's settings, a security module and the container around it. So nothing is concluded: a
//! child process of the same program tries the real steps ([`try_out`]) and reports, and
//! [`choose`] takes the first kind that worked. The steps are those of network_namespaces(7) and
//! user_namespaces(7).
//!
//! A process enters before it has a second thread: the kernel refuses a user namespace to a process
//! with several, and a network namespace would be the calling thread's alone. The namespace and
//! all that is in it goes with the last process inside.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use towpath_device::{TunConfig, TunDevice, TunError};

/// What surrounds the network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A network namespace, made with the privilege that the process has.
    Own,
    /// A user namespace that gives the privilege, and the network namespace inside.
    User,
}

impl Kind {
    /// In the order in which they are tried: the one that changes less comes first.
    pub const ALL: [Kind; 2] = [Kind::Own, Kind::User];

    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Own => "own",
            Kind::User => "user",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Own => "own network namespace",
            Kind::User => "user and network namespace",
        })
    }
}

/// Why there is no namespace: one line with the step, the reason and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// A step into the namespace failed.
    #[error("{step}: {} ({errno:?}): {remedy}", errno.desc())]
    Enter {
        /// What was being done.
        step: &'static str,
        /// The system's answer.
        errno: Errno,
        /// What helps.
        remedy: &'static str,
    },
    /// There is a namespace but no TUN interface in it.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// There is no runtime to open the interface in.
    #[error(
        "starting a tokio runtime: {0}: raise the limits of open files and threads (ulimit -n, -u)"
    )]
    Runtime(#[source] io::Error),
}

/// Enters namespaces of this kind with the whole process, which has one thread yet.
///
/// # Errors
///
/// The step that failed. The process may then stand with one foot inside: it should end.
pub fn enter(kind: Kind) -> Result<(), NamespaceError> {
    match kind {
        Kind::Own => unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| step("unshare(CLONE_NEWNET)", errno, remedy_for_own(errno))),
        Kind::User => {
            // Asked before: inside, before the maps are written, they read 65534.
            let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|errno| {
                step("unshare(CLONE_NEWUSER|CLONE_NEWNET)", errno, remedy_for_user(errno))
            })?;
            // Without this an unprivileged process may not write its group map
            // (user_namespaces(7)); kernels before 3.19 lack the file.
            match write_map("/proc/self/setgroups", "deny") {
                Err(NamespaceError::Enter { errno: Errno::ENOENT, .. }) => {}
                other => other?,
            }
            write_map("/proc/self/uid_map", &format!("0 {user} 1\n"))?;
            write_map("/proc/self/gid_map", &format!("0 {group} 1\n"))
        }
    }
}

fn write_map(path: &'static str, text: &str) -> Result<(), NamespaceError> {
    fs::write(path, text).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        step(path, errno, REMEDY_FOR_MAPS)
    })
}

fn step(step: &'static str, errno: Errno, remedy: &'static str) -> NamespaceError {
    NamespaceError::Enter { step, errno, remedy }
}

const REMEDY_FOR_MAPS: &str = "a security module withholds the privilege: run as root, or allow it \
     (sysctl kernel.apparmor_restrict_unprivileged_userns=0)";

fn remedy_for_own(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "run as root (CAP_SYS_ADMIN), or allow user namespaces",
        Errno::ENOSPC => "raise sysctl user.max_net_namespaces",
        Errno::EINVAL | Errno::ENOSYS => "use a kernel built with CONFIG_NET_NS",
        _ => "see unshare(2)",
    }
}

fn remedy_for_user(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM | Errno::EACCES => {
            "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0; in a container, its seccomp profile)"
        }
        Errno::ENOSPC => "raise sysctl user.max_user_namespaces",
        Errno::EUSERS => "leave a user namespace: they are nested too deep",
        Errno::EINVAL | Errno::ENOSYS => {
            "use a kernel built with CONFIG_USER_NS, and enter before any thread starts"
        }
        _ => "see unshare(2)",
    }
}

/// Enters, and makes the interface to see whether that works. For a process that ends afterwards.
///
/// # Errors
///
/// The step that failed.
pub fn try_out(kind: Kind, tun: TunConfig) -> Result<(), NamespaceError> {
    enter(kind)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(NamespaceError::Runtime)?;
    let _entered = runtime.enter();
    let device = TunDevice::open(tun)?;
    drop(device);
    Ok(())
}

/// What `main` does in the child that [`choose`] starts: tries, and reports to its parent.
pub fn answer(kind: Kind, tun: TunConfig) -> ExitCode {
    match try_out(kind, tun) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A kind of namespace that is not to be had, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was tried.
    pub kind: Kind,
    /// The step, the errno and the remedy.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}: {}", self.kind, self.reason)
    }
}

/// Finds the kind to enter. `program` with `flag` and the kind's word is a process that calls
/// [`answer`].
///
/// `on_refusal` is told of every kind that failed, also when a later one works.
///
/// # Errors
///
/// All refusals, when no kind works.
pub fn choose(
    program: &OsStr,
    flag: &str,
    mut on_refusal: impl FnMut(&Refusal),
) -> Result<Kind, Vec<Refusal>> {
    let mut refusals = Vec::new();
    for kind in Kind::ALL {
        let Err(reason) = ask(program, flag, kind) else { return Ok(kind) };
        let refusal = Refusal { kind, reason };
        on_refusal(&refusal);
        refusals.push(refusal);
    }
    Err(refusals)
}

fn ask(program: &OsStr, flag: &str, kind: Kind) -> Result<(), String> {
    let mut child = Command::new(program);
    child.args([flag, kind.word()]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = child.output().map_err(|error| {
        format!("starting {} again to try it: {error}", program.to_string_lossy())
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim() {
        "" => Err(format!("the child that tried it ended with {}", output.status)),
        reason => Err(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_with_step_errno_and_remedy() {
        let error = step("unshare(CLONE_NEWNET)", Errno::EPERM, remedy_for_own(Errno::EPERM));
        let refusal = Refusal { kind: Kind::Own, reason: error.to_string() };
        assert_eq!(
            refusal.to_string(),
            "no own network namespace: unshare(CLONE_NEWNET): Operation not permitted (EPERM): \
             run as root (CAP_SYS_ADMIN), or allow user namespaces"
        );
    }

    /// A program that fails, or succeeds, whatever it is given.
    fn told(program: &str) -> (Result<Kind, Vec<Refusal>>, Vec<Kind>) {
        let mut told = Vec::new();
        let chosen = choose(OsStr::new(program), "--try", |refusal| told.push(refusal.kind));
        (chosen, told)
    }

    #[test]
    fn both_kinds_are_tried_in_order_and_each_refusal_is_told() {
        let (chosen, refused) = told("false");
        assert_eq!(refused, Kind::ALL);
        let refusals = chosen.unwrap_err();
        assert!(refusals.iter().all(|refusal| refusal.reason.contains("exit status: 1")));
        let (chosen, refused) = told("no-such-program-anywhere");
        assert_eq!(refused, Kind::ALL);
        assert!(chosen.unwrap_err()[0].reason.contains("No such file"));
    }

    #[test]
    fn the_first_kind_that_works_ends_the_search() {
        let (chosen, refused) = told("true");
        assert_eq!((chosen, refused), (Ok(Kind::Own), Vec::new()));
    }
}
