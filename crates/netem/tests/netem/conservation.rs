//! Whatever a link is told to do and whatever a caller does: no packet appears or vanishes
//! uncounted, none arrives before its time, and a run replays.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use towpath_netem::{Link, LinkConfig};
use towpath_wire::ip::Ecn;

use crate::packets::{Version, data, pure_ack};

/// What a caller may do: let time pass, offer, take.
#[derive(Clone, Debug)]
enum Step {
    Offer { after_ns: u64, what: What },
    TakeOne { after_ns: u64 },
}

#[derive(Clone, Copy, Debug)]
enum What {
    Ack,
    Text(usize),
    Foreign(usize),
}

impl What {
    fn packet(self, ecn: Ecn) -> Bytes {
        match self {
            What::Ack => pure_ack(Version::V4, 2).into(),
            What::Text(len) => data(Version::V6, ecn, len).into(),
            What::Foreign(len) => vec![0xff; len].into(),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let after = || prop_oneof![Just(0), 0..3_000_000_u64, 0..100_000_000_u64];
    let what = prop_oneof![
        Just(What::Ack),
        (0..1_400_usize).prop_map(What::Text),
        (0..2_000_usize).prop_map(What::Foreign),
    ];
    let offer = (after(), what).prop_map(|(after_ns, what)| Step::Offer { after_ns, what });
    let take = after().prop_map(|after_ns| Step::TakeOne { after_ns });
    prop::collection::vec(prop_oneof![2 => offer, 1 => take], 0..200)
}

/// Every stage in several forms; the first is always that it is not there.
fn configs() -> impl Strategy<Value = LinkConfig> {
    let stages = (
        select(vec![
            "",
            "delay=10ms",
            "delay=10ms routes=[{at=20ms,delay=60ms},{at=90ms,delay=5ms}]",
        ]),
        select(vec![
            "",
            "jitter=3ms",
            "jitter={spread=20ms,distribution=normal,correlation=70%}",
            "jitter={spread=5ms,keep_order=true}",
        ]),
        select(vec![
            "rate=1Mbit",
            "rate=10Mbit rates=[{at=10ms,rate=100kbit},{at=40ms,rate=1Gbit}]",
            "rate=8kbit",
        ]),
        select(vec![
            "",
            "queue=5packets",
            "queue=5kB",
            "queue.codel={target=1ms,interval=10ms}",
            "queue={bytes=20kB,codel={target=1us,interval=1ms,ecn=true}}",
            "queue={packets=20,mark={above=2packets,others=drop}}",
            "queue.mark=1ms",
        ]),
        select(vec!["", "policer={rate=500kbit,burst=4kB}"]),
        select(vec![
            "",
            "loss=30%",
            "loss={random=5%,every=7,packets=[1,5-9],acks=50%,gilbert={p=20%,r=40%,good=1%,bad=90%}}",
        ]),
        select(vec!["", "duplicate=100%", "duplicate={random=20%,every=3}"]),
        select(vec!["", "corrupt=40%"]),
        select(vec![
            "",
            "reorder={random=50%,gap=4ms}",
            "reorder={random=60%,positions=3}",
            "reorder={every=2,positions=2,gap=5ms}",
        ]),
        select(vec![
            "",
            "outages=[{at=20ms,lasts=30ms},{at=70ms,lasts=20ms,packets=held}]",
            "outages=[{at=0,lasts=50ms,packets=held}]",
        ]),
        select(vec!["", "ack_compression={hold=10ms}", "ack_compression={hold=30ms,count=3}"]),
    );
    stages.prop_map(|(a, b, c, d, e, f, g, h, i, j, k)| {
        let line = [a, b, c, d, e, f, g, h, i, j, k].join(" ");
        line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
    })
}

/// The soonest that a packet of `len` bytes may arrive after it was offered, by the settings that
/// the strategies above choose from.
fn soonest_ns(config: &LinkConfig, len: usize) -> u64 {
    let text = config.to_string();
    let fastest = if text.contains("1Gbit") {
        1_000_000_000
    } else {
        config.get_rate_bits_per_second().unwrap_or(u64::MAX)
    };
    let sending = (len as u128 * 8 * 1_000_000_000).div_ceil(u128::from(fastest)) as u64;
    let delay =
        if text.contains("delay=5ms") { 5_000_000 } else { config.get_delay().as_nanos() as u64 };
    let jitter = if text.contains("normal") {
        u64::MAX
    } else if text.contains("spread=5ms") {
        5_000_000
    } else if text.contains("jitter=3ms") {
        3_000_000
    } else {
        0
    };
    sending + delay.saturating_sub(jitter)
}

fn is_counted(link: &Link<Bytes>) -> Result<(), TestCaseError> {
    let s = link.statistics();
    let accounted = s.delivered + s.dropped() + link.in_flight() as u64;
    prop_assert_eq!(s.offered + s.duplicated, accounted, "{:?}", s);
    prop_assert_eq!(link.is_empty(), link.next_delivery_ns().is_none());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_packet_appears_or_vanishes_uncounted(config in configs(), seed: u64, steps in steps()) {
        let may_drop_late = config.to_string().contains("codel");
        let mut link = Link::new(config, seed).expect("a link");
        let (mut now_ns, mut offered, mut taken) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Offer { after_ns, what } => {
                    now_ns += after_ns;
                    link.offer(now_ns, what.packet(Ecn::Ect0));
                    offered += 1;
                }
                Step::TakeOne { after_ns } => {
                    now_ns += after_ns;
                    let due = link.next_delivery_ns().is_some_and(|at_ns| at_ns <= now_ns);
                    let packet = link.deliver(now_ns);
                    taken += u64::from(packet.is_some());
                    prop_assert!(due || packet.is_none(), "not before its time");
                    prop_assert!(!due || packet.is_some() || may_drop_late, "and not after it");
                }
            }
            prop_assert_eq!((link.statistics().offered, link.statistics().delivered), (offered, taken));
            is_counted(&link)?;
        }
        let mut last_ns = 0;
        while let Some(at_ns) = link.next_delivery_ns() {
            prop_assert!(at_ns >= last_ns || at_ns <= now_ns, "arrivals go forward");
            last_ns = at_ns.max(now_ns);
            taken += u64::from(link.deliver(last_ns).is_some());
            is_counted(&link)?;
        }
        prop_assert!(link.is_empty());
        prop_assert_eq!(link.statistics().delivered, taken);
    }

    #[test]
    fn nothing_arrives_before_it_can(config in configs(), seed: u64, len in 0..1_400_usize, at in 0..100_000_000_u64) {
        let packet = What::Text(len).packet(Ecn::Ect0);
        let soonest = soonest_ns(&config, packet.len());
        let mut link = Link::new(config, seed).expect("a link");
        for _ in 0..20 {
            link.offer(at, packet.clone());
        }
        let too_soon = (at + soonest).saturating_sub(1);
        prop_assert!(link.deliver(too_soon).is_none(), "before {} ns have passed", soonest);
        while let Some(at_ns) = link.next_delivery_ns() {
            prop_assert!(at_ns == 0 || link.deliver(at_ns - 1).is_none());
            prop_assert!(link.deliver(at_ns).is_none() || at_ns >= at + soonest);
        }
    }

    #[test]
    fn a_run_is_the_same_however_often_the_link_is_asked(
        config in configs(),
        seed: u64,
        steps in steps(),
    ) {
        // Once as told, once with everything taken whenever it is due, down to the nanosecond.
        let mut arrived = [Vec::new(), Vec::new()];
        let mut statistics = Vec::new();
        for (asks_always, arrived) in [false, true].into_iter().zip(&mut arrived) {
            let mut link = Link::new(config.clone(), seed).expect("a link");
            let mut now_ns = 0;
            for step in &steps {
                let (Step::Offer { after_ns, .. } | Step::TakeOne { after_ns }) = step;
                now_ns += after_ns;
                while asks_always
                    && let Some(at_ns) = link.next_delivery_ns().filter(|at_ns| *at_ns < now_ns)
                {
                    arrived.extend(link.deliver(at_ns));
                }
                match step {
                    Step::Offer { what, .. } => link.offer(now_ns, what.packet(Ecn::Ect0)),
                    Step::TakeOne { .. } => arrived.extend(link.deliver(now_ns)),
                }
            }
            while let Some(at_ns) = link.next_delivery_ns() {
                arrived.extend(link.deliver(at_ns.max(now_ns)));
            }
            statistics.push(link.statistics());
        }
        prop_assert_eq!(statistics[0], statistics[1]);
        prop_assert_eq!(&arrived[0], &arrived[1]);
    }
}
