//! BBR over a lossy path of 100 Mbit/s with 20 ms each way and a queue of 500 kB: what arrives in
//! seconds of virtual time. Pacing and loss recovery are the engine's.

use core::time::Duration;

use towpath_engine::{Config, CongestionControl, ListenRequest};
use towpath_lab::flow::{Action, Behaviour};
use towpath_lab::world::World;
use towpath_netem::LinkConfig;

const MBIT: u64 = 1_000_000;
/// 1448 bytes of payload in packets of 1500.
const CEILING: f64 = 100.0 * 1448.0 / 1500.0;

/// Goodput in Mbit/s, and how many segments were sent again in percent.
fn goodput(control: CongestionControl, loss: f64, seconds: u64, seed: u64) -> (f64, f64) {
    let config = Config::default().tcp_congestion_control(control).pacing_grain(Duration::ZERO);
    let mut world = World::new(seed);
    let sender = world.add_host(config.clone(), "10.0.0.1".parse().unwrap(), 24);
    let receiver = world.add_host(config, "10.0.0.2".parse().unwrap(), 24);
    let link = LinkConfig::new()
        .delay(Duration::from_millis(20))
        .rate_bits_per_second(Some(100 * MBIT))
        .queue_packets(500_000 / 1500);
    world.join(sender, receiver, link.clone().loss(loss), link);
    world.listen(receiver, ListenRequest::new("10.0.0.2:80".parse().unwrap()), || {
        Behaviour::new().track([Action::ReceiveToEnd])
    });
    let send = Behaviour::new().track([Action::Send(u64::MAX)]);
    let flow = world.connect(sender, "10.0.0.2:80".parse().unwrap(), &send);
    world.run(Duration::from_secs(seconds));
    let received = world.other_end(flow).expect("it was accepted").received();
    let id = world.flow(flow).id();
    let info = world.call(sender, |endpoint, _| endpoint.info(id)).expect("it lives");
    let again = info.total_retrans as f64 * 100.0 / info.data_segs_out as f64;
    if std::env::var_os("SHOW").is_some() {
        eprintln!(
            "{control:?} loss {loss}: {:?} cwnd {} pacing {:?} rto {} rtt {:?}",
            info.model, info.snd_cwnd_segments, info.pacing_rate, info.total_rto, info.rtt
        );
    }
    (received as f64 * 8.0 / seconds as f64 / MBIT as f64, again)
}

#[test]
fn show() {
    for control in [CongestionControl::Bbr, CongestionControl::Bbr3] {
        for loss in [0.0, 0.001, 0.005, 0.01, 0.02, 0.05] {
            let (rate, again) = goodput(control, loss, 10, 7);
            eprintln!(
                "{:5} {loss:5}: {rate:.1} Mbit/s of {CEILING:.1}, {again:.2} % sent again",
                control.name()
            );
        }
    }
}
