//! Random runs: each seed makes a network, its misfortunes, the settings of its hosts and the
//! applications on them, and runs it with all invariants on until everything is at rest.
//!
//! A run is right if no invariant broke, every application did what it was to do, every byte arrived,
//! and at the end no host has a record, a buffer or a timer left. The paths are bad, and yet none
//! is so bad that giving up would be right.

use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use towpath_engine::{Census, Config, CongestionControl, ListenRequest, ListenerId, SocketOptions};
use towpath_netem::LinkConfig;

use crate::flow::{Action, Behaviour, Flow};
use crate::pattern::Numbers;
use crate::world::{FlowId, HostId, Outcome, World};

/// Virtual time after which a run that is not at rest has stalled.
const LIMIT: Duration = Duration::from_secs(48 * 3600);

const PORT: u16 = 7;

/// What is kept of a run's packets, to be printed when it panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: it is fast.
    Nothing,
    /// The last of them.
    Trace,
}

/// What a run was.
#[derive(Clone, Debug)]
pub struct Soaked {
    /// What the seed has made, a few lines.
    pub plan: String,
    /// How much virtual time it took.
    pub time: Duration,
    /// Packets that hosts have sent.
    pub packets: u64,
}

/// Plays the run that a seed makes.
///
/// # Errors
///
/// What was made, and what is not as it should be at the end.
///
/// # Panics
///
/// When an invariant is broken.
pub fn soak(seed: u64, keep: Keep) -> Result<Soaked, String> {
    let plan = Plan::new(seed);
    let mut world = World::new(seed);
    if keep == Keep::Nothing {
        world.trace_mut().stop();
    } else {
        eprintln!("{plan}");
    }
    let result = play(&plan, &mut world);
    if result.is_err() && keep == Keep::Trace {
        eprintln!("{}", world.trace());
    }
    result
}

fn play(plan: &Plan, world: &mut World) -> Result<Soaked, String> {
    let text = plan.to_string();
    let hosts = plan.build(world);
    let mut flows = Vec::new();
    for (pair, plan) in hosts.iter().zip(&plan.flows) {
        world.run(plan.after);
        let mut options = SocketOptions::default();
        options.congestion = Some(plan.controls.0);
        options.nodelay = plan.nodelay;
        flows.push(world.connect_with(pair.client, pair.service, options, &plan.client));
    }
    let outcome = world.run(LIMIT);
    let wrong = |what: String| Err(format!("{text}\n{what}"));
    for (index, flow) in flows.iter().enumerate() {
        if let Some(what) = fault(world, *flow) {
            return wrong(format!("flow {index}: {what} ({outcome:?} at {:?})", world.now()));
        }
    }
    if outcome != Outcome::Idle {
        return wrong(format!("not at rest after {LIMIT:?}"));
    }
    let mut packets = 0;
    for pair in hosts {
        world.close_listener(pair.server, pair.listener);
        for host in [pair.client, pair.server] {
            packets += world.host(host).packets_out();
            let census = world.host(host).endpoint.census();
            if census != Census::default() {
                return wrong(format!("{} is left with {census:?}", world.host(host).name()));
            }
        }
    }
    for (index, statistics) in world.link_statistics().enumerate() {
        let gone = statistics.delivered + statistics.dropped();
        if statistics.offered + statistics.duplicated != gone {
            return wrong(format!("link {index} has lost count: {statistics:?}"));
        }
    }
    Ok(Soaked { plan: text, time: Duration::from_nanos(world.now().as_nanos()), packets })
}

/// What is not as it should be with a flow, at either end.
fn fault(world: &World, id: FlowId) -> Option<String> {
    let client = world.flow(id);
    let Some(server) = world.other_end(id) else {
        return Some(format!("never accepted: {:?}", client.error()));
    };
    let stands = |name: &str, flow: &Flow, sent: u64| {
        let what = match flow.error() {
            Some(error) => format!("error {error:?}"),
            None if !flow.is_done() => "stalled".to_owned(),
            None if flow.received() != sent => "bytes are missing".to_owned(),
            None => return None,
        };
        Some(format!(
            "{name}: {what}, sent {}, received {} of {sent}",
            flow.sent(),
            flow.received()
        ))
    };
    stands("client", client, server.sent()).or_else(|| stands("server", server, client.sent()))
}

/// What a seed makes.
#[derive(Debug)]
struct Plan {
    seed: u64,
    ipv6: bool,
    mtu: usize,
    settings: Vec<(&'static str, String)>,
    there: String,
    back: String,
    flows: Vec<FlowPlan>,
}

#[derive(Debug)]
struct FlowPlan {
    what: String,
    after: Duration,
    nodelay: bool,
    controls: (CongestionControl, CongestionControl),
    client: Behaviour,
    server: Behaviour,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    client: HostId,
    server: HostId,
    service: SocketAddr,
    listener: ListenerId,
}

impl core::fmt::Display for Plan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Plan { seed, mtu, there, back, .. } = self;
        let ip = if self.ipv6 { "IPv6" } else { "IPv4" };
        writeln!(f, "seed {seed}: {ip}, MTU {mtu}")?;
        for (name, value) in &self.settings {
            writeln!(f, "  {name} = {value}")?;
        }
        writeln!(f, "  there: {there}\n  back:  {back}")?;
        for flow in &self.flows {
            let (client, server) = flow.controls;
            let names = (client.name(), server.name());
            writeln!(f, "  after {:?}: {} {names:?}", flow.after, flow.what)?;
        }
        Ok(())
    }
}

impl Plan {
    fn new(seed: u64) -> Plan {
        let mut dice = Dice(Numbers::new(seed ^ 0x50a4));
        let ipv6 = dice.one_in(2);
        let mtu = match dice.0.below(6) {
            0 => 1280,
            1 => 9000,
            2 if !ipv6 => 576,
            _ => 1500,
        };
        let settings = dice.settings();
        // Slow enough to matter, fast enough that a run ends.
        let rate = if dice.one_in(4) { 0 } else { 100_000 << dice.0.below(14) };
        let there = dice.link(rate, mtu);
        let back = if dice.one_in(3) { dice.link(rate, mtu) } else { there.clone() };
        let most = if rate == 0 { 1 << 20 } else { (rate * 4).clamp(50_000, 2 << 20) };
        let count = if dice.one_in(3) { 2 + dice.0.below(6) } else { 1 };
        let flows = (0..count).map(|_| dice.flow(most / count)).collect();
        Plan { seed, ipv6, mtu, settings, there, back, flows }
    }

    fn address(&self, side: u8, place: usize) -> IpAddr {
        let place = place as u8 + 1;
        if self.ipv6 {
            let parts = [0xfd00, 0, 0, 0, 0, 0, u16::from(side), u16::from(place)];
            return Ipv6Addr::from(parts).into();
        }
        Ipv4Addr::new(10, 0, side, place).into()
    }

    /// A dumbbell, or one link if there is one flow.
    fn build(&self, world: &mut World) -> Vec<Pair> {
        let read = |text: &str| text.parse::<LinkConfig>().expect("a link that can be");
        let (there, back) = (read(&self.there), read(&self.back));
        let config = |control| {
            let mut config = Config::default().tcp_congestion_control(control);
            for (name, value) in &self.settings {
                config.set_by_name(name, value).expect("a setting that there is");
            }
            config
        };
        let prefix = if self.ipv6 { 64 } else { 8 };
        let mut pairs = Vec::new();
        for (place, flow) in self.flows.iter().enumerate() {
            let host = |world: &mut World, control, side| {
                let address = self.address(side, place);
                world.add_host_with_mtu(config(control), address, prefix, self.mtu)
            };
            let client = host(world, flow.controls.0, 0);
            let server = host(world, flow.controls.1, 1);
            let service = SocketAddr::new(self.address(1, place), PORT);
            let behaviour = flow.server.clone();
            let request = ListenRequest::new(service);
            let listener = world.listen(server, request, move || behaviour.clone());
            pairs.push(Pair { client, server, service, listener });
        }
        if let [pair] = pairs[..] {
            world.join(pair.client, pair.server, there, back);
            return pairs;
        }
        let (left, right) = (world.add_router(), world.add_router());
        world.join(left, right, there, back);
        for pair in &pairs {
            world.join(pair.client, left, LinkConfig::default(), LinkConfig::default());
            world.join(right, pair.server, LinkConfig::default(), LinkConfig::default());
        }
        pairs
    }
}

/// Choices that a seed makes.
struct Dice(Numbers);

impl Dice {
    fn one_in(&mut self, n: u64) -> bool {
        self.0.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.below(all.len() as u64) as usize]
    }

    /// A number below `most`, as likely small as large.
    fn up_to(&mut self, most: u64) -> u64 {
        let bits = 1 + self.0.below(u64::from(64 - most.leading_zeros()));
        self.0.below(1 << bits).min(most)
    }

    fn settings(&mut self) -> Vec<(&'static str, String)> {
        // A path that loses a tenth of all packets must not be given up.
        let mut settings = vec![
            ("tcp_syn_retries", "40".to_owned()),
            ("tcp_synack_retries", "40".to_owned()),
            ("tcp_retries2", "60".to_owned()),
            ("tcp_orphan_retries", "60".to_owned()),
        ];
        let choices: [(&'static str, &[&str]); 14] = [
            ("tcp_sack", &["0", "1"]),
            ("tcp_dsack", &["0", "1"]),
            ("tcp_timestamps", &["0", "1"]),
            ("tcp_window_scaling", &["0", "1"]),
            ("tcp_rmem", &["4096 8192 16384", "4096 65536 262144", "2304 2304 2304"]),
            ("tcp_wmem", &["4096 8192 16384", "4096 65536 262144", "4608 4608 4608"]),
            ("tcp_slow_start_after_idle", &["0", "1"]),
            ("towpath.hystart", &["0", "1", "2", "3", "4"]),
            ("towpath.initial_window", &["1", "2", "10", "40"]),
            ("tcp_comp_sack_nr", &["0", "44"]),
            ("tcp_syncookies", &["0", "1"]),
            ("towpath.max_out_of_order", &["1", "8", "64", "8192"]),
            ("towpath.timers_per_hold", &["1", "64"]),
            ("tcp_min_tso_segs", &["1", "2", "8"]),
        ];
        let there: Vec<_> = Config::default().iter().map(|setting| setting.name).collect();
        for (name, values) in choices {
            if self.one_in(4) && there.contains(&name) {
                settings.push((name, self.pick(values).to_owned()));
            }
        }
        settings
    }

    /// One direction, in netem's own words; rate 0 is none.
    fn link(&mut self, rate: u64, mtu: usize) -> String {
        let mut text = format!("delay={}us", self.up_to(300_000));
        let mut add = |setting: String| {
            let _ = write!(text, " {setting}");
        };
        if rate > 0 {
            add(format!("rate={rate}bit"));
            // From two packets to about half a second.
            let bytes = (rate / 16).max(1) + 2 * mtu as u64;
            let bytes = self.0.below(bytes) + 2 * mtu as u64;
            match self.0.below(6) {
                0 => add(format!("queue={{bytes={bytes}B,codel=true}}")),
                1 => add(format!("queue={{bytes={bytes}B,mark={}B}}", bytes / 3 + 1)),
                2 => add(format!("queue={}packets", 2 + self.up_to(500))),
                _ => add(format!("queue={bytes}B")),
            }
            if self.one_in(8) {
                add(format!("policer={{rate={}bit,burst={}B}}", rate / 2, 10 * mtu));
            }
            if self.one_in(8) {
                let at = 1 + self.up_to(20_000);
                add(format!("rates=[{{at={at}ms,rate={}bit}}]", rate / 4 + 20_000));
            }
        }
        let mut losses = Vec::new();
        if self.one_in(2) {
            losses.push(format!("random={}%", self.up_to(100) as f64 / 10.0));
        }
        if self.one_in(6) {
            losses.push(format!("acks={}%", self.up_to(30)));
        }
        if self.one_in(6) {
            losses.push(format!("gilbert={{p={}%,r={}%}}", self.up_to(3), 30 + self.0.below(60)));
        }
        if !losses.is_empty() {
            add(format!("loss={{{}}}", losses.join(",")));
        }
        if self.one_in(4) {
            add(format!("duplicate={}%", self.up_to(20)));
        }
        if self.one_in(4) {
            add(format!("corrupt={}%", self.up_to(3)));
        }
        if self.one_in(3) {
            let random = 1 + self.up_to(20);
            add(format!("reorder={{random={random}%,gap={}us}}", 1 + self.up_to(60_000)));
        }
        if self.one_in(4) {
            add(format!("jitter={}us", 1 + self.up_to(50_000)));
        }
        if self.one_in(8) {
            let (at, lasts) = (self.up_to(20_000), 1 + self.up_to(40_000));
            add(format!("outages=[{{at={at}ms,lasts={lasts}ms}}]"));
        }
        if self.one_in(8) {
            add(format!("ack_compression={{hold={}us,count=8}}", 1 + self.up_to(20_000)));
        }
        if self.one_in(8) {
            let (at, delay) = (1 + self.up_to(20_000), self.up_to(400_000));
            add(format!("routes=[{{at={at}ms,delay={delay}us}}]"));
        }
        text
    }

    fn flow(&mut self, most: u64) -> FlowPlan {
        let size = |dice: &mut Dice| match dice.0.below(2) {
            0 => dice.up_to(most),
            _ => dice.0.below(most),
        };
        let (a, b) = (size(self), size(self));
        let pause = Duration::from_micros(self.up_to(5_000_000));
        let (what, client, server) = match self.0.below(7) {
            0 => (
                format!("{a} bytes there and back as an echo"),
                Behaviour::new()
                    .track([Action::Send(a), Action::Shutdown])
                    .track([Action::Receive(a), Action::ReceiveToEnd])
                    .track([Action::Close])
                    .wants_echo(),
                Behaviour::echo(),
            ),
            1 => {
                let times = 1 + self.0.below(20) as usize;
                let (a, b) = (1 + a / 40, 1 + b / 20);
                let ask = [Action::Send(a), Action::Receive(b), Action::Sleep(pause / 20)];
                let answer = [Action::Receive(a), Action::Send(b)];
                let all = |one: Vec<Action>, last: [Action; 3]| {
                    let actions = std::iter::repeat_n(one, times).flatten();
                    Behaviour::new().track(actions.chain(last))
                };
                let end = || [Action::Shutdown, Action::ReceiveToEnd, Action::Close];
                let what = format!("{times} requests of {a} bytes, answers of {b}");
                (what, all(ask.to_vec(), end()), all(answer.to_vec(), end()))
            }
            2 => (
                format!("{a} bytes in two parts with a pause of {pause:?}, {b} back"),
                Behaviour::new()
                    .track([
                        Action::Send(a / 2),
                        Action::Sleep(pause),
                        Action::Send(a - a / 2),
                        Action::Shutdown,
                    ])
                    .track([Action::ReceiveToEnd])
                    .track([Action::Close]),
                Behaviour::exchange(b, a),
            ),
            3 => (
                format!("{a} bytes to a reader that sleeps {pause:?} before, and in between"),
                Behaviour::exchange(a, 0),
                Behaviour::new()
                    .track([
                        Action::Sleep(pause),
                        Action::Receive(a / 3),
                        Action::Sleep(pause),
                        Action::ReceiveToEnd,
                    ])
                    .track([Action::Shutdown])
                    .track([Action::Close]),
            ),
            _ => (
                format!("{a} bytes there, {b} back"),
                Behaviour::exchange(a, b),
                Behaviour::exchange(b, a),
            ),
        };
        FlowPlan {
            what,
            after: Duration::from_micros(self.up_to(3_000_000)),
            nodelay: self.one_in(3),
            controls: (self.pick(CongestionControl::ALL), self.pick(CongestionControl::ALL)),
            client,
            server,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_makes_links_that_can_be() {
        for seed in 0..2000 {
            let plan = Plan::new(seed);
            for text in [&plan.there, &plan.back] {
                let link = text.parse::<LinkConfig>();
                assert!(link.is_ok(), "seed {seed}: {text}: {link:?}");
            }
        }
    }
}
