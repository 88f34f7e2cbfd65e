//! Floods: many packets from strangers, and a client that wants to be served meanwhile. And storms:
//! the same four numbers again and again.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use towpath_engine::{
    Census, Config, ConnectRequest, ListenRequest, SocketError, SynCookies, TimeWaitReuse,
};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::packet::Packet;
use towpath_lab::pattern::Numbers;
use towpath_lab::world::{FlowId, HostId, World};
use towpath_netem::LinkConfig;
use towpath_wire::ip::Ecn;
use towpath_wire::tcp::{Flags, Options, Segment, Timestamps};
use towpath_wire::{IpHeader, Protocol, SeqNumber};

const BACKLOG: u32 = 128;

struct Net {
    world: World,
    client: HostId,
    server: HostId,
    service: SocketAddr,
    strangers: Numbers,
}

fn net(
    seed: u64,
    client: &Config,
    server: &Config,
    link: &LinkConfig,
    served: impl FnMut() -> Behaviour + 'static,
) -> Net {
    let mut world = World::new(seed);
    let service: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let client = world.add_host(client.clone(), "10.0.0.1".parse().unwrap(), 24);
    let server = world.add_host(server.clone(), service.ip(), 24);
    world.join(client, server, link.clone(), link.clone());
    world.listen(server, ListenRequest::new(service).backlog(BACKLOG), served);
    Net { world, client, server, service, strangers: Numbers::new(seed ^ 77) }
}

fn path() -> LinkConfig {
    LinkConfig::new().delay(Duration::from_millis(10)).rate_bits_per_second(Some(50_000_000))
}

impl Net {
    /// A packet from a random source.
    fn stranger(&mut self, flags: Flags) -> Packet {
        let source = Ipv4Addr::from_bits(0x0b00_0000 + self.strangers.below(1 << 24) as u32);
        let number = self.strangers.next_number();
        let options = if flags.contains(Flags::SYN) {
            Options {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: Some(Timestamps { value: number as u32, echo: 0 }),
                ..Options::default()
            }
        } else {
            Options::default()
        };
        Packet {
            ip: IpHeader {
                src: IpAddr::V4(source),
                dst: self.service.ip(),
                protocol: Protocol::TCP,
                hop_limit: 64,
                dscp: 0,
                ecn: Ecn::NotEct,
                identification: 0,
                dont_fragment: true,
                flow_label: 0,
            },
            segment: Segment {
                src_port: 1024 + self.strangers.below(60_000) as u16,
                dst_port: self.service.port(),
                seq: SeqNumber(number as u32),
                ack: SeqNumber((number >> 32) as u32),
                flags,
                window: 65_535,
                urgent: 0,
                options,
            },
            payload: bytes::Bytes::new(),
        }
    }

    fn census(&self, host: HostId) -> Census {
        self.world.host(host).endpoint.census()
    }

    /// The flow is over, and each side got what the other has sent.
    fn check(&self, flow: FlowId, there: u64, back: u64) {
        let client = self.world.flow(flow);
        assert_eq!(client.error(), None);
        assert!(client.is_done(), "{client:?}");
        assert_eq!((client.sent(), client.received()), (there, back));
        let server = self.world.other_end(flow).expect("it was accepted");
        assert_eq!(server.error(), None);
        assert_eq!((server.sent(), server.received()), (back, there));
    }
}

// Shows: H-25, RFC4987 s3, Cookie r2
#[test]
fn a_client_is_served_during_a_flood_of_a_hundred_thousand_syns() {
    const LEN: u64 = 300_000;
    let config = Config::default();
    let mut net = net(1, &config, &config, &path(), || Behaviour::exchange(LEN, LEN));
    let mut flows = Vec::new();
    let mut most = Census::default();
    for round in 0..1000 {
        for _ in 0..100 {
            let packet = net.stranger(Flags::SYN);
            net.world.inject(net.server, &packet);
        }
        if round % 200 == 100 {
            let behaviour = Behaviour::exchange(LEN, LEN);
            flows.push(net.world.connect(net.client, net.service, &behaviour));
        }
        net.world.run(Duration::from_millis(1));
        let census = net.census(net.server);
        most.half_open = most.half_open.max(census.half_open);
        most.connections = most.connections.max(census.connections);
        most.timers = most.timers.max(census.timers);
        // What the clients' own connections hold is no matter of the flood.
        let flood = census.memory - census.send_bytes - census.receive_bytes;
        most.memory = most.memory.max(flood);
    }
    net.world.run(Duration::from_secs(10));
    for flow in &flows {
        net.check(*flow, LEN, LEN);
    }
    // The queue's bound, one more, and the clients.
    assert_eq!(most.half_open, BACKLOG as usize + 1);
    assert!(most.connections <= flows.len(), "{most:?}");
    assert!(most.timers <= BACKLOG as usize + 1 + 2 * flows.len(), "{most:?}");
    assert!(most.memory < 64 * 1024, "{most:?}");
    let counters = net.world.host(net.server).endpoint.counters();
    // The five clients as well; a few records time out in the second that it takes.
    assert!(counters.syncookies_sent > 99_000, "{counters:?}");
    assert_eq!(counters.syncookies_recv, flows.len() as u64);
    assert_eq!(counters.passive_opens, flows.len() as u64);
    net.world.run(Duration::from_secs(200));
    let left = net.census(net.server);
    assert_eq!((left.half_open, left.connections, left.memory), (0, 0, 0));
}

// Shows: H-27, Cookie r3, Cookie r4
#[test]
fn a_hundred_thousand_guesses_of_a_cookie_make_no_connection() {
    let server = Config::default().tcp_syncookies(SynCookies::Always);
    let mut net = net(2, &Config::default(), &server, &path(), || Behaviour::exchange(5000, 5000));
    let first = net.stranger(Flags::SYN);
    net.world.inject(net.server, &first);
    for _ in 0..100_000 {
        let packet = net.stranger(Flags::ACK);
        net.world.inject(net.server, &packet);
    }
    let counters = net.world.host(net.server).endpoint.counters();
    assert_eq!(counters.syncookies_failed, 100_000);
    assert_eq!(counters.out_rsts, 100_000);
    assert_eq!(net.census(net.server).connections, 0);
    assert_eq!(net.census(net.server).memory, 0);
    let flow = net.world.connect(net.client, net.service, &Behaviour::exchange(5000, 5000));
    net.world.run(Duration::from_secs(5));
    net.check(flow, 5000, 5000);
}

/// A path on which segments of an old connection may come late and twice.
fn winding() -> LinkConfig {
    path().duplicate(0.1).reorder(0.1).reorder_gap(Duration::from_millis(30)).loss(0.02)
}

// Shows: RFC6191 s2a, RFC6191 s3, I-10
#[test]
fn ten_connections_one_after_another_take_over_one_port_in_time_wait() {
    for seed in 0..20 {
        let client = Config::default()
            .tcp_tw_reuse(TimeWaitReuse::Always)
            .ip_local_port_range((40_000, 40_000));
        let mut net = net(seed, &client, &Config::default(), &winding(), Behaviour::echo);
        for cycle in 0..10 {
            // The client closes first, so it is the client that waits.
            let asks = Behaviour::new()
                .track([Action::Send(20_000), Action::Shutdown])
                .track([Action::ReceiveToEnd])
                .track([Action::Close])
                .wants_echo();
            let flow = net.world.connect(net.client, net.service, &asks);
            net.world.run(Duration::from_secs(30));
            net.check(flow, 20_000, 20_000);
            assert_eq!(net.census(net.client).time_wait, 1);
            let counters = net.world.host(net.client).endpoint.counters();
            assert_eq!(counters.time_wait_recycled, cycle);
        }
    }
}

// Shows: RFC6191 s2a, I-10, H-75
#[test]
fn a_port_in_time_wait_is_not_taken_over_before_its_time_or_without_timestamps() {
    let one_port = Config::default().ip_local_port_range((40_000, 40_000));
    let reuse = one_port.clone().tcp_tw_reuse(TimeWaitReuse::Always);
    for (client, after, takes) in [
        (reuse.clone(), 999, false),
        (reuse.clone(), 1001, true),
        (reuse.clone().tcp_tw_reuse_delay(Duration::from_secs(5)), 4999, false),
        (reuse.clone().tcp_tw_reuse_delay(Duration::from_secs(5)), 5001, true),
        (reuse.clone().tcp_timestamps(false), 30_000, false),
        (reuse.tcp_tw_reuse(TimeWaitReuse::Never), 30_000, false),
        // Only on loopback addresses.
        (one_port, 30_000, false),
    ] {
        let mut net = net(1, &client, &Config::default(), &path(), Behaviour::echo);
        let asks = Behaviour::new().track([Action::Shutdown, Action::ReceiveToEnd, Action::Close]);
        net.world.connect(net.client, net.service, &asks);
        while net.census(net.client).time_wait == 0 {
            net.world.run(Duration::from_micros(100));
        }
        net.world.run(Duration::from_millis(after));
        let request = ConnectRequest::new(net.service);
        let made = net.world.call(net.client, |endpoint, now| endpoint.connect(now, request));
        match takes {
            true => assert!(made.is_ok(), "{made:?} after {after} ms"),
            false => assert_eq!(made, Err(SocketError::AddressNotAvailable), "after {after} ms"),
        }
    }
}

// Shows: 9293 MAY-2, 9293 SHLD-4, RFC6191 s2a, RFC6191 s2b, I-10, H-43
#[test]
fn ten_connections_one_after_another_reopen_what_the_server_has_in_time_wait() {
    for timestamps in [true, false] {
        for seed in 0..20 {
            let client =
                Config::default().ip_local_port_range((40_000, 40_000)).tcp_timestamps(timestamps);
            let serves = || {
                Behaviour::new()
                    .track([Action::Send(20_000), Action::Shutdown])
                    .track([Action::ReceiveToEnd])
                    .track([Action::Close])
            };
            let mut net = net(seed, &client, &Config::default(), &winding(), serves);
            for cycle in 0..10 {
                let asks = Behaviour::new()
                    .track([Action::ReceiveToEnd, Action::Send(20_000), Action::Shutdown])
                    .track([Action::Close]);
                assert_eq!(net.census(net.server).time_wait, usize::from(cycle > 0));
                let flow = net.world.connect(net.client, net.service, &asks);
                net.world.run(Duration::from_secs(30));
                net.check(flow, 20_000, 20_000);
                assert_eq!(net.census(net.client).time_wait, 0);
            }
        }
    }
}

// Shows: RFC6191 s2a, H-75
#[test]
fn a_port_that_left_time_wait_and_came_back_does_not_hide_one_that_is_ripe() {
    let client = Config::default()
        .tcp_tw_reuse(TimeWaitReuse::Always)
        .tcp_tw_reuse_delay(Duration::from_secs(5))
        .ip_local_port_range((40_000, 40_002));
    let mut net = net(1, &client, &Config::default(), &path(), Behaviour::echo);
    let own = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let from = |net: &Net, port| {
        ConnectRequest::new(net.service).local(SocketAddr::new(own, port)).reuse_address(true)
    };
    // All but a hundred milliseconds of a second pass with each.
    let pass_into_time_wait = |net: &mut Net, port| {
        let request = from(net, port);
        let id = net.world.call(net.client, |endpoint, now| endpoint.connect(now, request));
        net.world.run(Duration::from_millis(100));
        net.world.call(net.client, |endpoint, now| endpoint.close(now, id.unwrap()));
        net.world.run(Duration::from_millis(900));
    };
    for port in [40_000, 40_001, 40_002, 40_001] {
        pass_into_time_wait(&mut net, port);
    }
    assert_eq!(net.census(net.client).time_wait, 3);
    let connect = |net: &mut Net| {
        let request = ConnectRequest::new(net.service);
        let id = net.world.call(net.client, |endpoint, now| endpoint.connect(now, request))?;
        Ok(net.world.host(net.client).endpoint.local_addr(id).unwrap().port())
    };
    // The first is ripe after five seconds; then it is the third's turn, the second came again.
    assert_eq!(connect(&mut net), Err(SocketError::AddressNotAvailable));
    net.world.run(Duration::from_millis(1500));
    assert_eq!(connect(&mut net), Ok(40_000));
    assert_eq!(connect(&mut net), Err(SocketError::AddressNotAvailable));
    net.world.run(Duration::from_millis(2000));
    assert_eq!(connect(&mut net), Ok(40_002));
    assert_eq!(connect(&mut net), Err(SocketError::AddressNotAvailable));
    net.world.run(Duration::from_millis(1000));
    assert_eq!(connect(&mut net), Ok(40_001));
}
