//! Plays a scenario: builds the world, starts its flows in time, and reports.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use towpath_engine::{CongestionControl, ListenRequest, SocketOptions};
use towpath_netem::LinkConfig;

use super::report::{Report, Started};
use super::{FlowPlan, Scenario, Traffic};
use crate::flow::{Action, Behaviour};
use crate::pattern::Numbers;
use crate::record::sequence::Sequence;
use crate::world::{RouterId, Sender, World};

/// Samples of a run, but none is shorter than [`SHORTEST_INTERVAL`].
const SAMPLES: u32 = 3000;

const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// What an application writes and reads at a time: what iperf3 does.
const CALL_BYTES: usize = 128 * 1024;

/// How often an application with a rate writes.
const RATE_TICK: Duration = Duration::from_millis(10);

/// The most requests of one flow.
const MOST_REQUESTS: usize = 100_000;

const PORT: u16 = 5001;

/// Plays `scenario` with one congestion control. The seed decides all that is random: two runs of
/// one seed give the same report to the bit. `progress` is told the part that is done, from 0 to 1.
///
/// # Panics
///
/// When an invariant is broken.
pub fn run(
    scenario: &Scenario,
    control: CongestionControl,
    seed: u64,
    mut progress: impl FnMut(f64),
) -> Report {
    let mut world = World::new(seed);
    world.trace_mut().stop();
    let interval = (scenario.duration / SAMPLES).max(SHORTEST_INTERVAL);
    world.record(interval);
    let (left, right) = (world.add_router(), world.add_router());
    let (there, back) = (scenario.bottleneck.there().clone(), scenario.bottleneck.back().clone());
    let (there, _) = world.join(left, right, there, back);
    world.watch_link(there);

    let mut starts = starts(scenario, seed);
    let mut flows: Vec<Started> = Vec::new();
    // One more stop for every hundredth of the run.
    let hundredths = (1..=100).map(|n| (scenario.duration * n / 100, None));
    starts.extend(hundredths);
    starts.sort_by_key(|(at, _)| *at);
    for (at, flow) in starts {
        world.run(at.saturating_sub(Duration::from_nanos(world.now().as_nanos())));
        world.idle_until(at);
        match flow {
            None => {
                progress(at.as_secs_f64() / scenario.duration.as_secs_f64());
                if flows.len() == scenario.flows.len() && all_done(scenario, &world, &flows) {
                    break;
                }
            }
            Some(index) => {
                let started = start(&mut world, scenario, index, control, (left, right));
                flows.push(Started { index, at, ..started });
            }
        }
    }
    Report::new(scenario, control, seed, world, there, flows)
}

/// Whether every flow had so much to send and no more, and it has arrived.
fn all_done(scenario: &Scenario, world: &World, flows: &[Started]) -> bool {
    flows.iter().all(|started| match scenario.flows[started.index].traffic {
        Traffic::Bytes(bytes) => {
            world.other_end(started.flow).is_some_and(|flow| flow.received() == bytes)
        }
        _ => false,
    })
}

/// When each flow starts.
fn starts(scenario: &Scenario, seed: u64) -> Vec<(Duration, Option<usize>)> {
    let mut numbers = Numbers::new(seed ^ 0x5_7a27);
    let at = |(index, plan): (usize, &FlowPlan)| {
        let (from, to) = plan.start;
        let span = (to - from).as_nanos() as u64;
        (from + Duration::from_nanos(numbers.below(span + 1)), Some(index))
    };
    scenario.flows.iter().enumerate().map(at).collect()
}

/// The congestion control of a flow: the first of its own that is not compared, or the only one.
fn control_of(plan: &FlowPlan, compared: CongestionControl) -> CongestionControl {
    let other = plan.congestion.iter().find(|control| **control != compared);
    other.or(plan.congestion.first()).copied().unwrap_or(compared)
}

fn start(
    world: &mut World,
    scenario: &Scenario,
    index: usize,
    compared: CongestionControl,
    (left, right): (RouterId, RouterId),
) -> Started {
    let plan = &scenario.flows[index];
    let control = control_of(plan, compared);
    let config = scenario.config.clone().tcp_congestion_control(control);
    let place = index as u16;
    let address = |side: u8| {
        let [high, low] = (place + 1).to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, side, high, low))
    };
    let sender = world.add_host_with_mtu(config.clone(), address(0), 8, scenario.mtu);
    let receiver = world.add_host_with_mtu(config, address(1), 8, scenario.mtu);
    let access = LinkConfig::new().delay(plan.delay / 2);
    world.join(sender, left, access.clone(), access.clone());
    world.join(right, receiver, access.clone(), access);

    let (asks, sends) = behaviours(plan.traffic, scenario.duration);
    let (client, server, role) = match plan.traffic {
        Traffic::Requests { .. } => (receiver, sender, Sender::Server),
        _ => (sender, receiver, Sender::Client),
    };
    let (opens, accepts) = match role {
        Sender::Client => (sends, asks),
        Sender::Server => (asks, sends),
    };
    let service = SocketAddr::new(address(if role == Sender::Client { 1 } else { 0 }), PORT);
    world.listen(server, ListenRequest::new(service), move || accepts.clone());
    if index == 0 {
        let times = scenario.sequence.unwrap_or((Duration::ZERO, scenario.duration));
        world.trace_mut().set_sequence(Sequence::new(address(0), address(1), times));
    }
    let mut options = SocketOptions::default();
    options.congestion = Some(control);
    let flow = world.connect_with(client, service, options, &opens);
    world.watch_flow(flow, role);
    Started { index, at: Duration::ZERO, flow, role, control }
}

/// What the receiving and the sending application do.
fn behaviours(traffic: Traffic, duration: Duration) -> (Behaviour, Behaviour) {
    let behaviour = || Behaviour::new().call_bytes(CALL_BYTES);
    let takes_all = behaviour().track([Action::ReceiveToEnd]);
    // Connections stay open to the end of the run, to be looked at.
    let sends = match traffic {
        Traffic::Bulk => vec![Action::Send(u64::MAX)],
        Traffic::For(time) => vec![Action::SendFor(time)],
        Traffic::Bytes(bytes) => vec![Action::Send(bytes)],
        Traffic::Rate(rate) => {
            let bytes = u128::from(rate) * RATE_TICK.as_nanos() / 8_000_000_000;
            let times = duration.as_nanos().div_ceil(RATE_TICK.as_nanos()) as usize;
            let tick = [Action::Send(bytes.max(1) as u64), Action::Sleep(RATE_TICK)];
            std::iter::repeat_n(tick, times).flatten().collect()
        }
        Traffic::OnOff { on, off } => {
            let times = duration.as_nanos().div_ceil((on + off).as_nanos()) as usize;
            let turn = [Action::SendFor(on), Action::Sleep(off)];
            std::iter::repeat_n(turn, times).flatten().collect()
        }
        Traffic::Requests { request, response, pause } => {
            let times = MOST_REQUESTS;
            let ask = [Action::Send(request), Action::Receive(response), Action::Sleep(pause)];
            let answer = [Action::Receive(request), Action::Send(response)];
            let asks = behaviour().track(std::iter::repeat_n(ask, times).flatten());
            return (asks, behaviour().track(std::iter::repeat_n(answer, times).flatten()));
        }
    };
    (takes_all, behaviour().track(sends))
}
