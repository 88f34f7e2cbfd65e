//! BBR with the engine's own pacing and recovery: what arrives in seconds of virtual time, most of all
//! over 100 Mbit/s, 20 ms each way and a queue of 500 kB.

use core::time::Duration;

use towpath_engine::{Config, CongestionControl, ListenRequest, TcpInfo};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::world::World;
use towpath_netem::LinkConfig;

/// A way to send, and for how long.
#[derive(Clone, Copy, Debug)]
struct Way {
    bits_per_second: u64,
    delay: Duration,
    queue_packets: usize,
    seconds: u64,
}

const WAN: Way = Way {
    bits_per_second: 100_000_000,
    delay: Duration::from_millis(20),
    queue_packets: 500_000 / 1500,
    seconds: 10,
};

/// One run.
#[derive(Debug, PartialEq)]
struct Run {
    megabits: f64,
    info: TcpInfo,
}

fn run(config: &Config, loss: f64, seed: u64) -> Run {
    run_over(WAN, config, loss, seed)
}

fn run_over(way: Way, config: &Config, loss: f64, seed: u64) -> Run {
    let mut world = World::new(seed);
    let sender = world.add_host(config.clone(), "10.0.0.1".parse().unwrap(), 24);
    let receiver = world.add_host(Config::default(), "10.0.0.2".parse().unwrap(), 24);
    let link = LinkConfig::new()
        .delay(way.delay)
        .rate_bits_per_second(Some(way.bits_per_second))
        .queue_packets(way.queue_packets);
    world.join(sender, receiver, link.clone().loss(loss), link);
    world.listen(receiver, ListenRequest::new("10.0.0.2:80".parse().unwrap()), || {
        Behaviour::new().track([Action::ReceiveToEnd])
    });
    let send = Behaviour::new().track([Action::Send(u64::MAX)]);
    let flow = world.connect(sender, "10.0.0.2:80".parse().unwrap(), &send);
    world.run(Duration::from_secs(way.seconds));
    let received = world.other_end(flow).expect("it was accepted").received();
    let id = world.flow(flow).id();
    let info = world.call(sender, |endpoint, _| endpoint.info(id)).expect("it lives");
    let megabits = (received * 8 / way.seconds) as f64 / 1e6;
    println!(
        "{:?} {} % lost: {megabits:.1} Mbit/s, {} segments of {} sent again, {} time-outs",
        info.model.map(|model| model.state),
        loss * 100.0,
        info.total_retrans,
        info.data_segs_out,
        info.total_rto
    );
    Run { megabits, info }
}

fn with(control: CongestionControl) -> Config {
    Config::default().tcp_congestion_control(control).pacing_grain(Duration::ZERO)
}

/// The middle of three runs, in Mbit/s.
fn median(control: CongestionControl, loss: f64) -> f64 {
    let mut rates: Vec<f64> =
        (1..=3).map(|seed| run(&with(control), loss, seed).megabits).collect();
    rates.sort_by(f64::total_cmp);
    rates[1]
}

#[test]
fn bbr_fills_the_path_and_bears_losses() {
    // What Linux's reaches in its first eight seconds through the same path. Here the start counts too.
    for (loss, linux) in [(0.0, 93.6), (0.001, 93.4), (0.01, 91.9), (0.02, 89.4), (0.05, 85.3)] {
        let megabits = median(CongestionControl::Bbr, loss);
        assert!(megabits >= 0.97 * linux, "{loss}: {megabits:.1} Mbit/s");
    }
}

// Shows: BBR3 shortterm
#[test]
fn bbr3_is_near_version_1_while_little_is_lost_and_yields_where_more_than_two_percent_are() {
    for (loss, share) in [(0.0, 0.97), (0.001, 0.95), (0.005, 0.95), (0.01, 0.85)] {
        let one = median(CongestionControl::Bbr, loss);
        let three = median(CongestionControl::Bbr3, loss);
        assert!(three >= share * one, "{loss}: {three:.1} of {one:.1} Mbit/s");
    }
    // Each probe ends at the first 2 % that are lost of it, wherever the pipe would have been full.
    let megabits = median(CongestionControl::Bbr3, 0.05);
    assert!(megabits <= 40.0, "{megabits:.1} Mbit/s");
}

#[test]
fn no_way_stalls_bbr_and_little_is_sent_again() {
    let way = |megabits: u64, micros, queue_packets, seconds| Way {
        bits_per_second: megabits * 1_000_000,
        delay: Duration::from_micros(micros),
        queue_packets,
        seconds,
    };
    for (way, loss, least) in [
        (way(10, 5000, 20, 10), 0.0, 0.90),
        (way(10, 5000, 20, 10), 0.01, 0.85),
        (way(1, 20_000, 20, 10), 0.0, 0.85),
        (way(1000, 500, 300, 1), 0.0, 0.90),
        (way(1000, 500, 300, 1), 0.01, 0.80),
        (way(20, 300_000, 1000, 40), 0.0, 0.75),
    ] {
        for control in [CongestionControl::Bbr, CongestionControl::Bbr3] {
            let mut config = with(control);
            // One that is less than the window makes all samples the application's: no pipe is full.
            config.set_by_name("tcp_wmem", "4096 16384 33554432").unwrap();
            let Run { megabits, info } = run_over(way, &config, loss, 1);
            let share = megabits * 1e6 / way.bits_per_second as f64;
            assert!(share >= least, "{way:?} {loss} {control:?}: {share:.2}");
            assert_eq!(info.total_rto, 0, "{way:?} {loss} {control:?}");
            // Nothing that arrived is sent again.
            assert_eq!(info.dsack_dups, 0, "{way:?} {loss} {control:?}");
        }
    }
}

#[test]
fn a_run_replays_to_the_bit_and_another_seed_is_another_run() {
    let config = with(CongestionControl::Bbr);
    let one = run(&config, 0.001, 11);
    assert_eq!(one, run(&config, 0.001, 11));
    assert_ne!(one, run(&config, 0.001, 12));
}

#[test]
fn segments_leave_at_the_rate_that_was_asked_for_under_any_congestion_control() {
    for control in [CongestionControl::Cubic, CongestionControl::Reno, CongestionControl::Bbr] {
        let mut world = World::new(3);
        let sender = world.add_host(with(control), "10.0.0.1".parse().unwrap(), 24);
        let receiver = world.add_host(Config::default(), "10.0.0.2".parse().unwrap(), 24);
        let link = LinkConfig::new().delay(Duration::from_millis(20));
        world.join(sender, receiver, link.clone(), link);
        world.listen(receiver, ListenRequest::new("10.0.0.2:80".parse().unwrap()), || {
            Behaviour::new().track([Action::ReceiveToEnd])
        });
        let mut options = towpath_engine::SocketOptions::default();
        options.max_pacing_rate = Some(1_000_000);
        let send =
            Behaviour::new().track([Action::Options(Box::new(options)), Action::Send(u64::MAX)]);
        let flow = world.connect(sender, "10.0.0.2:80".parse().unwrap(), &send);
        world.run(Duration::from_secs(2));
        let before = world.other_end(flow).unwrap().received();
        world.run(Duration::from_secs(10));
        let received = world.other_end(flow).unwrap().received() - before;
        // BBR sends a little less than it sees delivered, whoever sets the rate.
        let least = if control == CongestionControl::Bbr { 9_700_000 } else { 9_990_000 };
        assert!((least..=10_010_000).contains(&received), "{control:?}: {received}");
    }
}
