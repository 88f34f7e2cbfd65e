//! BBR with the engine's own pacing and recovery, over 100 Mbit/s, 20 ms each way and a queue of
//! 500 kB: what arrives in ten seconds of virtual time.

use core::time::Duration;

use towpath_engine::{Config, CongestionControl, ListenRequest, TcpInfo};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::world::World;
use towpath_netem::LinkConfig;

const SECONDS: u64 = 10;
const BITS_PER_SECOND: u64 = 100_000_000;

/// One run.
#[derive(Debug, PartialEq)]
struct Run {
    megabits: f64,
    info: TcpInfo,
}

fn run(config: &Config, loss: f64, seed: u64) -> Run {
    let mut world = World::new(seed);
    let sender = world.add_host(config.clone(), "10.0.0.1".parse().unwrap(), 24);
    let receiver = world.add_host(Config::default(), "10.0.0.2".parse().unwrap(), 24);
    let link = LinkConfig::new()
        .delay(Duration::from_millis(20))
        .rate_bits_per_second(Some(BITS_PER_SECOND))
        .queue_packets(500_000 / 1500);
    world.join(sender, receiver, link.clone().loss(loss), link);
    world.listen(receiver, ListenRequest::new("10.0.0.2:80".parse().unwrap()), || {
        Behaviour::new().track([Action::ReceiveToEnd])
    });
    let send = Behaviour::new().track([Action::Send(u64::MAX)]);
    let flow = world.connect(sender, "10.0.0.2:80".parse().unwrap(), &send);
    world.run(Duration::from_secs(SECONDS));
    let received = world.other_end(flow).expect("it was accepted").received();
    let id = world.flow(flow).id();
    let info = world.call(sender, |endpoint, _| endpoint.info(id)).expect("it lives");
    let megabits = (received * 8 / SECONDS) as f64 / 1e6;
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
