//! The first slow start of CUBIC over paths with a queue of one bandwidth-delay product: it ends
//! before the queue overflows, and not before the path is full.

use core::time::Duration;

use towpath_engine::congestion::HyStart;
use towpath_engine::{Config, ListenRequest};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::world::World;
use towpath_netem::LinkConfig;

/// Rate in bits per second, and the whole delay.
const PATHS: [(u64, Duration); 8] = [
    (2_000_000, Duration::from_millis(200)),
    (10_000_000, Duration::from_millis(40)),
    (20_000_000, Duration::from_millis(100)),
    (50_000_000, Duration::from_millis(30)),
    (100_000_000, Duration::from_millis(40)),
    (100_000_000, Duration::from_millis(100)),
    (500_000_000, Duration::from_millis(20)),
    (1_000_000_000, Duration::from_millis(25)),
];

/// How a flow begins.
#[derive(Debug)]
struct Begun {
    /// Packets that found the queue full, up to a round trip after slow start.
    overflowed: u64,
    /// Of what the path could have carried in thirty round trips.
    share: f64,
}

fn begin(hystart: HyStart, rate: u64, round_trip: Duration) -> Begun {
    let mut world = World::new(1);
    world.trace_mut().stop();
    let config = Config::default().hystart(hystart);
    let sender = world.add_host(config, "10.0.0.1".parse().unwrap(), 24);
    let receiver = world.add_host(Config::default(), "10.0.0.2".parse().unwrap(), 24);
    let product = rate as f64 * round_trip.as_secs_f64() / 8.0;
    let link = LinkConfig::new()
        .delay(round_trip / 2)
        .rate_bits_per_second(Some(rate))
        .queue_packets((product / 1500.0) as usize);
    world.join(sender, receiver, link.clone(), link);
    world.listen(receiver, ListenRequest::new("10.0.0.2:80".parse().unwrap()), || {
        Behaviour::new().track([Action::ReceiveToEnd])
    });
    let send = Behaviour::new().track([Action::Send(u64::MAX)]);
    let flow = world.connect(sender, "10.0.0.2:80".parse().unwrap(), &send);
    let (mut left, mut overflowed) = (None, 0);
    for tenth in 0..300 {
        world.run(round_trip / 10);
        let id = world.flow(flow).id();
        let info = world.call(sender, |endpoint, _| endpoint.info(id)).expect("it lives");
        if info.snd_ssthresh_bytes < 1 << 30 {
            left.get_or_insert(tenth);
        }
        if left.is_none_or(|left| tenth <= left + 10) {
            overflowed = world.link_statistics().map(|link| link.overflowed).sum();
        }
    }
    let received = world.other_end(flow).expect("it was accepted").received();
    let share = received as f64 * 8.0 / (rate as f64 * 30.0 * round_trip.as_secs_f64());
    println!("{hystart:?}, {rate} bit/s, {round_trip:?}: {overflowed} dropped, share {share:.3}");
    assert!(left.is_some(), "still in slow start");
    Begun { overflowed, share }
}

#[test]
fn slow_start_leaves_a_queue_of_one_bandwidth_delay_product_in_peace() {
    for (rate, round_trip) in PATHS {
        let begun = begin(HyStart::Guarded, rate, round_trip);
        assert_eq!(begun.overflowed, 0, "{rate} bit/s, {round_trip:?}");
        assert!(begun.share >= 0.5, "{rate} bit/s, {round_trip:?}: {begun:?}");
    }
}

#[test]
fn it_is_not_slower_than_linuxs_form() {
    for (rate, round_trip) in PATHS {
        let linux = begin(HyStart::Linux { train: true, delay: true }, rate, round_trip);
        let guarded = begin(HyStart::Guarded, rate, round_trip);
        assert!(guarded.share >= 0.98 * linux.share, "{rate} bit/s, {round_trip:?}");
    }
}
