//! Where one WAN run is made: two network namespaces, the relay between them, and what Towpath
//! stands behind.
//!
//! ```text
//! near: kernel 10.78.0.1 --- wan0 === relay === wan0 --- 10.78.0.2 kernel :far
//!           |                                                  |
//!       towpath0 (10.77.0.1)                            towpath0 (10.79.0.1)
//!           |                                                  |
//!       Towpath 10.77.0.2                               Towpath 10.79.0.2
//! ```
//!
//! The kernel's TCP on `wan0` is one end; Towpath is behind a TUN interface of its own, for which the
//! kernel of that side is a router. So the two of a pair go through the very same relay.
//!
//! Namespaces, interfaces and the relay go with the process: nothing has to be cleaned up when it is
//! interrupted.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use towpath::TunConfig;

use super::relay::Report;
use crate::network::Network;

/// The interface of the relay, on both sides.
const WAY: &str = "wan0";

/// The interface that Towpath is behind, on either side.
const DOOR: &str = "towpath0";

/// Real-time priority of the relay, where the system gives one: above everything that is not.
const PRIORITY: &str = "20";

/// One of the two namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where data come from.
    Near,
    /// Where data go.
    Far,
}

impl Side {
    /// The address of the kernel.
    pub fn kernel_ip(self) -> IpAddr {
        match self {
            Side::Near => Ipv4Addr::new(10, 78, 0, 1).into(),
            Side::Far => Ipv4Addr::new(10, 78, 0, 2).into(),
        }
    }

    /// The address of Towpath.
    pub fn our_ip(self) -> IpAddr {
        match self {
            Side::Near => Ipv4Addr::new(10, 77, 0, 2).into(),
            Side::Far => Ipv4Addr::new(10, 79, 0, 2).into(),
        }
    }

    /// The interface that Towpath is behind: opened by who moves into this side's namespace.
    pub fn door(self) -> TunConfig {
        let router: IpAddr = match self {
            Side::Near => Ipv4Addr::new(10, 77, 0, 1).into(),
            Side::Far => Ipv4Addr::new(10, 79, 0, 1).into(),
        };
        TunConfig::new(DOOR).create().address(router, 24)
    }
}

/// How the way is, as text: the relay reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// From the near side to the far one.
    pub out: &'a str,
    /// From the far side to the near one.
    pub back: &'a str,
    /// Decides what is lost.
    pub seed: u64,
}

/// Two namespaces and a running relay.
#[derive(Debug)]
pub struct Lane {
    near: Network,
    far: Network,
    relay: Child,
    /// Open for as long as the relay is to run.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Lane {
    /// Makes one around the calling thread's namespace, which is the near side and has nothing in
    /// it. `relay` is the program.
    ///
    /// # Errors
    ///
    /// When the relay cannot be started or ends at once.
    ///
    /// # Panics
    ///
    /// When the kernel gives no namespace.
    pub fn build(
        relay: &Path,
        way: &Way<'_>,
        sysctls: &[(String, String)],
    ) -> anyhow::Result<Lane> {
        let (near, far) = (Network::here(), Network::create());
        for network in [&near, &far] {
            // Packets that nobody asked for would move the numbers of those that are lost.
            network.sysctl("net.ipv6.conf.all.disable_ipv6", "1");
            network.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
            // What one connection learned is not to help the next.
            network.sysctl("net.ipv4.tcp_no_metrics_save", "1");
            network.sysctl("net.ipv4.ip_forward", "1");
            for (name, value) in sysctls {
                network.sysctl(name, value);
            }
        }
        let mut child = command(relay)
            .args(["--interface", WAY, "--out", way.out, "--back", way.back])
            .args(["--near", &Side::Near.kernel_ip().to_string()])
            .args(["--far", &Side::Far.kernel_ip().to_string()])
            .args(["--far-namespace", &far.path(), "--seed", &way.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", relay.display()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the relay's output")?;
        let mut lane = Lane { near, far, relay: child, stdin, stdout: BufReader::new(stdout) };
        let mut line = String::new();
        lane.stdout.read_line(&mut line).context("the relay's first word")?;
        ensure!(line == "ready\n", "the relay did not begin: {:?}", lane.relay.wait());
        lane.near.ip(&format!("route add 10.79.0.0/24 dev {WAY}"));
        lane.far.ip(&format!("route add 10.77.0.0/24 dev {WAY}"));
        Ok(lane)
    }

    /// The namespace of this side.
    pub fn network(&self, side: Side) -> &Network {
        match side {
            Side::Near => &self.near,
            Side::Far => &self.far,
        }
    }

    /// Ends the relay, and returns what it did.
    ///
    /// # Errors
    ///
    /// When it failed before.
    pub fn finish(mut self) -> anyhow::Result<Report> {
        self.stdin = None;
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).context("the relay's report")?;
        let status = self.relay.wait().context("waiting for the relay")?;
        ensure!(status.success(), "the relay ended with {status}");
        serde_json::from_str(&text).with_context(|| format!("the relay's report: {text}"))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stdin = None;
        // It ends by itself now; where it has ended, there is nothing to wait for.
        let _ = self.relay.wait();
    }
}

/// The relay before all others on its processor, where that is allowed: it is the clock.
fn command(relay: &Path) -> Command {
    let mut may = Command::new("chrt");
    may.args(["--fifo", PRIORITY, "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    if may.status().is_ok_and(|status| status.success()) {
        let mut command = Command::new("chrt");
        command.args(["--fifo", PRIORITY]).arg(relay);
        return command;
    }
    Command::new(relay)
}
