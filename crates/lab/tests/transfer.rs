//! Transfers between two engines over links that lose, reorder, duplicate and corrupt: what is
//! delivered is what was sent, and nothing is left over.

use core::net::SocketAddr;
use core::time::Duration;

use towpath_engine::{Census, Config, ListenRequest};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::world::{HostId, Outcome, World};
use towpath_netem::LinkConfig;

const MEBIBYTE: u64 = 1 << 20;

struct Pair {
    world: World,
    client: HostId,
    server: HostId,
    service: SocketAddr,
}

/// Two hosts of one family, of which one listens.
fn pair(
    seed: u64,
    ipv6: bool,
    config: &Config,
    link: &LinkConfig,
    served: impl FnMut() -> Behaviour + 'static,
) -> Pair {
    let (client_ip, server_ip, prefix) =
        if ipv6 { ("2001:db8::1", "2001:db8::2", 64) } else { ("10.0.0.1", "10.0.0.2", 24) };
    let mut world = World::new(seed);
    let client = world.add_host(config.clone(), client_ip.parse().unwrap(), prefix);
    let server = world.add_host(config.clone(), server_ip.parse().unwrap(), prefix);
    world.join(client, server, link.clone(), link.clone());
    let service = SocketAddr::new(server_ip.parse().unwrap(), 80);
    let listener = world.listen(server, ListenRequest::new(service), served);
    let _ = listener;
    Pair { world, client, server, service }
}

impl Pair {
    /// Runs to the end and checks that both hosts are empty but for the listener.
    fn run_until_empty(&mut self) {
        let outcome = self.world.run(Duration::from_secs(24 * 3600));
        assert_eq!(outcome, Outcome::Idle, "the network comes to rest");
        let mut nothing = Census::default();
        assert_eq!(self.world.host(self.client).endpoint.census(), nothing, "client");
        nothing.listeners = 1;
        nothing.ports = 1;
        assert_eq!(self.world.host(self.server).endpoint.census(), nothing, "server");
        for host in [self.client, self.server] {
            assert_eq!(self.world.host(host).endpoint.counters().curr_estab, 0);
        }
    }

    fn exchange(&mut self, there: u64, back: u64) {
        let flow = self.world.connect(self.client, self.service, &Behaviour::exchange(there, back));
        self.run_until_empty();
        let client = self.world.flow(flow);
        assert_eq!(client.error(), None);
        assert_eq!((client.sent(), client.received()), (there, back));
        assert!(client.end_seen() && client.is_done());
        let server = self.world.other_end(flow).expect("it was accepted");
        assert_eq!(server.error(), None);
        assert_eq!((server.sent(), server.received()), (back, there));
        assert!(server.end_seen() && server.is_done());
    }
}

fn hostile_link() -> LinkConfig {
    LinkConfig::new()
        .delay(Duration::from_millis(10))
        .rate_bits_per_second(Some(50_000_000))
        .loss(0.01)
        .reorder(0.05)
        .reorder_gap(Duration::from_millis(2))
        .duplicate(0.01)
        .corrupt(0.001)
}

// Shows: RFC9293 s3.4a, 9293 MUST-3, 9293 SHLD-31, RFC2525 2.4
#[test]
fn a_mebibyte_each_way_survives_a_hostile_link() {
    let mut corrupted = 0;
    for seed in 0..40 {
        let config = Config::default();
        let ipv6 = seed % 2 == 1;
        let mut pair =
            pair(seed, ipv6, &config, &hostile_link(), || Behaviour::exchange(MEBIBYTE, MEBIBYTE));
        pair.exchange(MEBIBYTE, MEBIBYTE);
        for host in [pair.client, pair.server] {
            corrupted += pair.world.host(host).corrupted();
        }
        let [mut lost, mut reordered, mut duplicated] = [0; 3];
        for link in pair.world.link_statistics() {
            lost += link.lost;
            reordered += link.reordered;
            duplicated += link.duplicated;
        }
        assert!(lost > 0 && reordered > 0 && duplicated > 0, "seed {seed}: the link was kind");
    }
    assert!(corrupted > 0, "no packet was corrupted");
}

#[test]
fn a_transfer_survives_without_sack_timestamps_and_window_scaling() {
    for seed in 100..110 {
        let config = Config::default()
            .tcp_sack(seed % 2 == 0)
            .tcp_timestamps(seed % 3 == 0)
            .tcp_window_scaling(seed % 5 == 0);
        let mut pair = pair(seed, seed % 2 == 1, &config, &hostile_link(), || {
            Behaviour::exchange(200_000, 300_000)
        });
        pair.exchange(300_000, 200_000);
    }
}

#[test]
fn a_transfer_survives_a_third_of_all_packets_being_lost() {
    for seed in 200..206 {
        let link = LinkConfig::new().delay(Duration::from_millis(5)).loss(0.3);
        let mut pair = pair(seed, seed % 2 == 1, &Config::default(), &link, || {
            Behaviour::exchange(30_000, 30_000)
        });
        pair.exchange(30_000, 30_000);
    }
}

#[test]
fn an_echo_comes_back_byte_for_byte() {
    for seed in 300..306 {
        let mut pair =
            pair(seed, seed % 2 == 1, &Config::default(), &hostile_link(), Behaviour::echo);
        let behaviour = Behaviour::new()
            .track([Action::Send(500_000), Action::Shutdown])
            .track([Action::Receive(500_000), Action::ReceiveToEnd])
            .track([Action::Close])
            .wants_echo();
        let flow = pair.world.connect(pair.client, pair.service, &behaviour);
        pair.run_until_empty();
        let client = pair.world.flow(flow);
        assert_eq!((client.error(), client.received()), (None, 500_000));
    }
}

#[test]
fn a_clean_link_is_filled_and_nothing_is_sent_twice() {
    let link = LinkConfig::new()
        .delay(Duration::from_millis(10))
        .rate_bits_per_second(Some(100_000_000))
        .queue_packets(5_000);
    let mut pair =
        pair(1, false, &Config::default(), &link, || Behaviour::exchange(0, 16 * MEBIBYTE));
    let flow =
        pair.world.connect(pair.client, pair.service, &Behaviour::exchange(16 * MEBIBYTE, 0));
    assert_eq!(pair.world.run(Duration::from_secs(3)), Outcome::Deadline);
    // 16 MiB take 1.4 s at 100 Mbit/s; slow start takes its part.
    assert_eq!(pair.world.other_end(flow).expect("accepted").received(), 16 * MEBIBYTE);
    pair.run_until_empty();
    let counters = pair.world.host(pair.client).endpoint.counters();
    assert_eq!((counters.retrans_segs, counters.timeouts), (0, 0));
}

#[test]
fn a_reader_that_stops_for_seconds_loses_nothing() {
    for seed in 400..404 {
        let mut pair = pair(seed, seed % 2 == 1, &Config::default(), &hostile_link(), || {
            Behaviour::new()
                .track([
                    Action::Receive(10_000),
                    Action::Sleep(Duration::from_secs(20)),
                    Action::Receive(500_000),
                    Action::Sleep(Duration::from_secs(7)),
                    Action::ReceiveToEnd,
                ])
                .track([Action::Shutdown])
                .track([Action::Close])
        });
        let flow =
            pair.world.connect(pair.client, pair.service, &Behaviour::exchange(2_000_000, 0));
        pair.run_until_empty();
        assert_eq!(pair.world.other_end(flow).expect("accepted").received(), 2_000_000);
        assert_eq!(pair.world.flow(flow).error(), None);
    }
}

#[test]
fn two_hundred_connections_at_once_each_get_their_own_bytes() {
    let link = LinkConfig::new()
        .delay(Duration::from_millis(3))
        .rate_bits_per_second(Some(100_000_000))
        .loss(0.005);
    let mut pair =
        pair(5, false, &Config::default(), &link, || Behaviour::exchange(20_000, 20_000));
    let flows: Vec<_> = (0..200)
        .map(|_| {
            let behaviour = Behaviour::exchange(20_000, 20_000);
            pair.world.connect(pair.client, pair.service, &behaviour)
        })
        .collect();
    pair.run_until_empty();
    for flow in flows {
        assert_eq!(pair.world.flow(flow).received(), 20_000);
        assert_eq!(pair.world.flow(flow).error(), None);
    }
}

// Shows: RFC9293 s3.6 case3
#[test]
fn both_sides_may_close_at_once() {
    for seed in 500..510 {
        let link = LinkConfig::new().delay(Duration::from_millis(20)).loss(0.1);
        let mut pair = pair(seed, seed % 2 == 1, &Config::default(), &link, || {
            Behaviour::new().track([Action::Shutdown, Action::ReceiveToEnd, Action::Close])
        });
        let behaviour =
            Behaviour::new().track([Action::Shutdown, Action::ReceiveToEnd, Action::Close]);
        let flow = pair.world.connect(pair.client, pair.service, &behaviour);
        pair.run_until_empty();
        assert_eq!(pair.world.flow(flow).error(), None);
        assert!(pair.world.flow(flow).end_seen());
    }
}

#[test]
fn a_run_replays_to_the_bit() {
    let run = || {
        let mut pair = pair(9, false, &Config::default(), &hostile_link(), || {
            Behaviour::exchange(100_000, 100_000)
        });
        pair.exchange(100_000, 100_000);
        format!("{}", pair.world.trace())
    };
    assert_eq!(run(), run());
}
