//! One lost segment on a path that holds one packet in twenty back for 5 ms: PAWS takes what its
//! retransmission overtakes for old duplicates, unless the clock of timestamps ticks slowly.

use core::time::Duration;

use towpath_engine::{Config, ListenRequest, TcpInfo};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::world::World;
use towpath_netem::LinkConfig;

/// Ten seconds of CUBIC at 100 Mbit/s and 40 ms, of which the 5000th packet is lost: megabits that
/// arrived a second, what the sender knows at the end, and what the receiver dropped as old.
fn send(coarse: bool) -> (f64, TcpInfo, u64) {
    let mut world = World::new(5);
    world.trace_mut().stop();
    let config = Config::default().coarse_timestamps(coarse);
    let sender = world.add_host(config, "10.0.0.1".parse().unwrap(), 24);
    let receiver = world.add_host(Config::default(), "10.0.0.2".parse().unwrap(), 24);
    let back = LinkConfig::new()
        .delay(Duration::from_millis(20))
        .rate_bits_per_second(Some(100_000_000))
        .queue_packets(2000);
    let late = back.clone().reorder(0.05).reorder_gap(Duration::from_millis(5));
    world.join(sender, receiver, late.loss_packets([5000]), back);
    world.listen(receiver, ListenRequest::new("10.0.0.2:80".parse().unwrap()), || {
        Behaviour::new().track([Action::ReceiveToEnd])
    });
    let to_send = Behaviour::new().track([Action::Send(u64::MAX)]);
    let flow = world.connect(sender, "10.0.0.2:80".parse().unwrap(), &to_send);
    world.run(Duration::from_secs(10));
    let received = world.other_end(flow).expect("it was accepted").received();
    let id = world.flow(flow).id();
    let info = world.call(sender, |endpoint, _| endpoint.info(id)).expect("it lives");
    let old = world.call(receiver, |endpoint, _| endpoint.counters().paws_estab);
    (received as f64 * 8.0 / 10e6, info, old)
}

// Shows: RFC7323 s5.4
#[test]
fn one_lost_segment_costs_one_retransmission_where_the_network_reorders() {
    let (fine, info, dropped) = send(false);
    println!("ticks of 1 ms: {fine:.1} Mbit/s, {} sent again, {dropped} old", info.total_retrans);
    assert!(dropped >= 10 && fine < 70.0, "the trap that this is about");

    let (coarse, info, dropped) = send(true);
    println!("long ticks: {coarse:.1} Mbit/s, {} sent again, {dropped} old", info.total_retrans);
    assert!(dropped <= 3, "{dropped} dropped as old");
    // One was lost, and a few were late before the path was known to reorder.
    assert!(info.total_retrans <= 10, "{} sent again", info.total_retrans);
    assert!(coarse >= 91.0, "{coarse:.1} Mbit/s");
}
