//! A test in a network of its own.
//!
//! A test starts itself again under `unshare --net`, or in a user namespace as well; the child does
//! the work and cannot touch the machine's interfaces. Where that is not possible the test is
//! skipped loudly, unless `TOWPATH_REQUIRE` has the word `netns` or `userns`.

#[path = "../../../tests/support/skip.rs"]
mod skip;

use std::process::Command;

use self::skip::skip;

/// Set in the child.
const IN_NAMESPACE: &str = "TOWPATH_DEVICE_TEST_IN_NAMESPACE";

/// How the child process of a test is started.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// What the machine has to give, by its word in `TOWPATH_REQUIRE`.
    need: &'static str,
    /// A command that runs the command behind it.
    through: &'static [&'static str],
}

/// Root of the machine, in a network of its own.
const NETWORK: Start = Start { need: "netns", through: &["unshare", "--net"] };
/// The same without a privilege.
pub(super) const NETWORK_AS_NOBODY: Start = Start {
    need: "netns",
    through: &["unshare", "--net", "setpriv", "--reuid=65534", "--clear-groups"],
};
/// Root of a user namespace that owns its network: privileged there, and nobody to the machine.
pub(super) const USER_AND_NETWORK: Start =
    Start { need: "userns", through: &["unshare", "--user", "--map-root-user", "--net"] };
/// The same, started by a user to whom the driver is open, as after `chmod 666 /dev/net/tun`.
pub(super) const USER_AND_NETWORK_AS_NOBODY: Start = Start {
    need: "userns",
    through: &[
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec \"$@\"",
        "sh",
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
    ],
};

impl Start {
    fn command(self) -> Command {
        let (program, arguments) = self.through.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    /// Why a child cannot be started like this here.
    fn obstacle(self) -> Option<String> {
        if let Err(error) = crate::sys::open_tun() {
            return Some(format!("opening /dev/net/tun: {error}: run as root, with the driver"));
        }
        match self.command().args(["ip", "link"]).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Some(format!("{reason}: run as root, outside a container that forbids it"))
            }
            Err(error) => Some(format!("{}: {error}: install it", self.through[0])),
        }
    }
}

/// Runs `body` in a new network namespace, as this test's own child process. `name` is the test
/// function's.
pub(super) fn in_namespace(name: &str, body: impl AsyncFnOnce()) {
    in_namespace_as(NETWORK, name, body);
}

pub(super) fn in_namespace_as(start: Start, name: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body());
    }
    let test = format!("tun::tests::{name}");
    if let Some(reason) = start.obstacle() {
        return skip(start.need, &test, &reason);
    }
    let output = start
        .command()
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(IN_NAMESPACE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test} in its namespace:\n{text}"
    );
}
