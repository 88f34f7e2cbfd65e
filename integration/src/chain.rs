//! Networks in a row behind the one that our interface is in: the stage's forwards to the first,
//! each to the next, and in the last is a peer.
//!
//! ```text
//! our stack --TUN-- stage's --link 0-- network 0 --link 1-- network 1 ...
//! ```
//!
//! Link `i` is 10.78.i.0/24 and fd78:0:0:i::/64; its nearer end is 1, its farther end 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures::future;
use tokio::net::TcpStream as KernelStream;
use towpath::net::TcpStream as OurStream;

use crate::network::Network;
use crate::scene::{Family, Opener, Scene, open_sockets, soon};

/// The networks, the nearest first.
#[derive(Debug)]
pub struct Chain {
    stage: Network,
    networks: Vec<Network>,
}

/// The address of a link's farther end.
fn far_ip(link: usize, family: Family) -> IpAddr {
    let number = u8::try_from(link).expect("few links");
    match family {
        Family::V4 => Ipv4Addr::new(10, 78, number, 2).into(),
        Family::V6 => Ipv6Addr::new(0xfd78, 0, 0, number.into(), 0, 0, 0, 2).into(),
    }
}

impl Chain {
    /// Builds as many networks as there are links, whose MTUs are given, and lets packets through.
    ///
    /// # Panics
    ///
    /// When the kernel refuses a step.
    pub fn build(mtus: &[u32]) -> Chain {
        let mut chain = Chain { stage: Network::here(), networks: Vec::new() };
        chain.stage.without_duplicate_detection();
        for (link, mtu) in mtus.iter().enumerate() {
            chain.networks.push(Network::create());
            chain.lay(link, *mtu);
        }
        for router in chain.networks.iter().rev().skip(1) {
            forward(router, "1");
        }
        chain.mend();
        chain
    }

    /// Makes link `link` between two networks that are there.
    fn lay(&self, link: usize, mtu: u32) {
        let near = if link == 0 { &self.stage } else { &self.networks[link - 1] };
        let far = &self.networks[link];
        near.ip(&format!(
            "link add down{link} mtu {mtu} type veth peer name up{link} mtu {mtu} netns {path}\n\
             link set down{link} up\n\
             address add 10.78.{link}.1/24 dev down{link}\n\
             address add fd78:0:0:{link}::1/64 dev down{link} nodad\n",
            path = far.path(),
        ));
        far.ip(&format!(
            "link set up{link} up\n\
             address add 10.78.{link}.2/24 dev up{link}\n\
             address add fd78:0:0:{link}::2/64 dev up{link} nodad\n\
             route add default via 10.78.{link}.1\n\
             route add ::/0 via fd78:0:0:{link}::1\n",
        ));
        near.wait_until_up(&format!("down{link}"));
        far.wait_until_up(&format!("up{link}"));
        // Every network before it reaches the new link through the next one.
        for (hop, network) in
            std::iter::once(&self.stage).chain(&self.networks).enumerate().take(link)
        {
            network.ip(&format!(
                "route add 10.78.{link}.0/24 via 10.78.{hop}.2\n\
                 route add fd78:0:0:{link}::/64 via fd78:0:0:{hop}::2\n",
            ));
        }
    }

    /// The network in which the peer is.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn last(&self) -> &Network {
        self.networks.last().expect("a chain has a network")
    }

    /// The peer's address.
    pub fn peer_ip(&self, family: Family) -> IpAddr {
        far_ip(self.networks.len() - 1, family)
    }

    /// From now on no packet comes through, either way, and nobody is told.
    pub fn sever(&self) {
        forward(&self.stage, "0");
    }

    /// Packets come through again.
    pub fn mend(&self) {
        forward(&self.stage, "1");
    }

    /// Takes the last network away, as if its host had lost its power, and puts a fresh one in its
    /// place that knows nothing. Nobody may hold a socket of the old one but to abort it: its link
    /// is cut.
    ///
    /// # Panics
    ///
    /// When the kernel refuses a step.
    pub fn replace_last(&mut self, mtu: u32) {
        let link = self.networks.len() - 1;
        let near = if link == 0 { &self.stage } else { &self.networks[link - 1] };
        near.ip(&format!("link delete down{link}"));
        self.networks[link] = Network::create();
        self.lay_again(link, mtu);
    }

    /// A link deleted takes the routes of its own with it; those of the networks before name only
    /// the next hop, and stay.
    fn lay_again(&self, link: usize, mtu: u32) {
        for (hop, network) in
            std::iter::once(&self.stage).chain(&self.networks).enumerate().take(link)
        {
            network.ip(&format!(
                "route delete 10.78.{link}.0/24 via 10.78.{hop}.2\n\
                 route delete fd78:0:0:{link}::/64 via fd78:0:0:{hop}::2\n",
            ));
        }
        self.lay(link, mtu);
    }

    /// A connection between the scene's stack and the last network. Nobody listens any more.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn pair(&self, scene: &Scene, opener: Opener) -> (OurStream, KernelStream) {
        let peer = SocketAddr::new(self.peer_ip(scene.family()), 0);
        match opener {
            Opener::Ours => {
                let listener = self.last().listener(peer);
                let at = listener.local_addr().expect("an address");
                let ends = future::try_join(scene.stack.connect(at), listener.accept()).await;
                let (ours, (kernels, _)) = ends.expect("the stack connects");
                (ours, kernels)
            }
            Opener::Kernel => {
                let (listener, at) = scene.our_listener().await;
                let socket = self.last().socket(peer);
                let ends = future::try_join(listener.accept(), socket.connect(at)).await;
                let ((ours, _), kernels) = ends.expect("the kernel connects");
                (ours, kernels)
            }
        }
    }

    /// Waits until the last network has no connection any more but in TIME-WAIT.
    pub async fn quiet(&self) {
        let open = || self.last().within(open_sockets);
        soon("the peer's connections are closed", || open().is_empty(), || format!("{:?}", open()))
            .await;
    }
}

/// A namespace goes some time after its last descriptor; the stage's end of the first link goes at
/// once, so that its name is free.
impl Drop for Chain {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stage.ip("link delete down0");
        }
    }
}

fn forward(network: &Network, value: &str) {
    network.sysctl("net.ipv4.ip_forward", value);
    network.sysctl("net.ipv6.conf.all.forwarding", value);
}
