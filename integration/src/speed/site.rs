//! Where a run is made: the namespace of the server, whose process is there already, and where the
//! client is.
//!
//! ```text
//! veth      server 10.77.0.2 --- veth pair --- 10.77.0.1 client in a namespace of its own
//! loopback  server and client at 127.0.0.1
//! towpath   Towpath 10.77.0.2 --- towpath0 --- 10.77.0.1 client in the server's namespace
//! responder as Towpath
//! ```
//!
//! All of it goes with the process.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use anyhow::Context;
use towpath::{Stack, TunConfig, TunDevice};

use super::plan::{Plan, Side};
use crate::network::Network;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// What was made around the server.
#[derive(Debug)]
pub struct Site {
    /// The server's address.
    pub server: IpAddr,
    /// The client's namespace, if it is another.
    pub client: Option<Network>,
}

impl Site {
    /// Makes what a run needs around the calling thread's namespace, which has nothing in it. A
    /// stack makes its interface itself ([`stack`]).
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn build(plan: &Plan) -> Site {
        let here = Network::here();
        here.ip("link set lo up");
        match plan.side {
            Side::Loopback => Site { server: Ipv4Addr::LOCALHOST.into(), client: None },
            Side::TowpathPlain | Side::ResponderPlain => {
                Site { server: SERVER.into(), client: None }
            }
            Side::Veth => {
                let client = Network::create();
                let (mtu, path) = (plan.mtu, client.path());
                here.ip(&format!(
                    "link add speed0 mtu {mtu} type veth peer name speed0 mtu {mtu} netns {path}\n\
                     address add {SERVER}/24 dev speed0\n\
                     link set speed0 up"
                ));
                client.ip(&format!("address add {CLIENT}/24 dev speed0\nlink set speed0 up"));
                here.wait_until_up("speed0");
                Site { server: SERVER.into(), client: Some(client) }
            }
        }
    }
}

/// Towpath over a TUN interface in the calling thread's namespace, within a runtime.
///
/// # Errors
///
/// When there is no interface, or the stack does not take it.
pub fn stack(mtu: u32) -> anyhow::Result<Stack> {
    let stack = Stack::builder().device(interface(mtu)?).address(format!("{SERVER}/24"));
    stack.default_route().build().context("building the stack")
}

/// The same interface as a file that does not block, for who is no stack.
///
/// # Errors
///
/// When there is none.
pub fn bare_interface(mtu: u32) -> anyhow::Result<File> {
    Ok(interface(mtu)?.as_fd().try_clone_to_owned()?.into())
}

fn interface(mtu: u32) -> anyhow::Result<TunDevice> {
    let config = TunConfig::new("towpath0").create().mtu(mtu).address(CLIENT.into(), 24);
    let device = TunDevice::open(config).context("opening the TUN interface")?;
    for warning in device.warnings() {
        eprintln!("speed: {warning}");
    }
    Ok(device)
}
