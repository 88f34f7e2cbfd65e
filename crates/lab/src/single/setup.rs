//! How a script begins: who calls whom, in which family, and from which initial numbers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use towpath_engine::{Config, ConnectRequest, Endpoint, Instant, Output, Secrets, TransmitBody};
use towpath_wire::SeqNumber;

use super::Single;

/// The engine's port when it listens.
pub const PORT: u16 = 80;

/// The other port: the peer's when the engine listens, the engine's when it connects.
pub const HIGH_PORT: u16 = 40_000;

/// Initial sequence numbers (the engine's, the peer's) that put the wraps of the number space and of
/// signed comparison before, inside and behind an exchange.
pub const INITIAL_NUMBERS: [(u32, u32); 5] = [
    (0, 0),
    (0x7fff_ffff, 0x7fff_ffff),
    (0xffff_ffff, 0xffff_ffff),
    (0xffff_fe00, 0x7fff_fe00),
    (0x7fff_fe00, 0xffff_fe00),
];

/// How a [`Single`] is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The engine's settings.
    pub config: Config,
    /// The engine's initial sequence number.
    pub iss: u32,
    /// The peer's initial sequence number.
    pub irs: u32,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// The MTU of the engine's device.
    pub mtu: usize,
    /// Decides what nothing else does.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { config: Config::default(), iss: 1_000, irs: 2_000, ipv6: false, mtu: 1500, seed: 1 }
    }
}

/// Plays `script` with an engine that will listen, once for each pair of [`INITIAL_NUMBERS`] in both
/// families, and checks each time that nothing unexpected is left.
pub fn for_each_server(config: &Config, script: impl Fn(&mut Single)) {
    for_each(config, Single::server, script);
}

/// As [`for_each_server`], with an engine that will connect.
pub fn for_each_client(config: &Config, script: impl Fn(&mut Single)) {
    for_each(config, Single::client, script);
}

fn for_each(config: &Config, make: fn(Setup) -> Single, script: impl Fn(&mut Single)) {
    for ipv6 in [false, true] {
        for (iss, irs) in INITIAL_NUMBERS {
            let config = config.clone();
            let mut single = make(Setup { config, iss, irs, ipv6, ..Setup::default() });
            script(&mut single);
            single.finish();
        }
    }
}

/// The initial number that a stack with these secrets gives a connection at time zero, asked of a
/// twin that connects.
pub(super) fn initial_number_at_zero(
    seed: [u8; 32],
    local: SocketAddr,
    remote: SocketAddr,
) -> SeqNumber {
    let mut twin = Endpoint::new(Config::default(), Secrets::from_seed(seed), 1500);
    let prefix_len = if local.is_ipv4() { 24 } else { 64 };
    twin.add_address(local.ip(), prefix_len).expect("an address that a host may have");
    let request = ConnectRequest::new(remote).local(local);
    twin.connect(Instant::ZERO, request).expect("the twin connects");
    loop {
        match twin.poll(Instant::ZERO) {
            Output::Transmit(transmit) => match transmit.body {
                TransmitBody::Tcp { segment, .. } => return segment.seq,
                other => panic!("a SYN, not {other:?}"),
            },
            Output::Event(_) => {}
            Output::Wait(..) => panic!("the twin sends its SYN at once"),
        }
    }
}

/// The engine's address, the peer's, and the length of their prefix.
pub(super) fn addresses(ipv6: bool) -> (IpAddr, IpAddr, u8) {
    if ipv6 {
        let net = |host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
        (net(1), net(2), 64)
    } else {
        (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 24)
    }
}
