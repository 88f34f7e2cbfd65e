//! The settings of a link as people write them: as a builder, as a line, as a file.

use std::time::Duration;

use proptest::prelude::*;
use towpath_netem::{
    AckCompression, CoDel, DuplexConfig, Gilbert, Jitter, LinkConfig, Outage, PacketSet, Policer,
    RateChange, RouteChange, StepMarking, Threshold,
};

const DAY: Duration = Duration::from_secs(86_400);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_by_name() {
    let new = LinkConfig::new;
    let rated = || LinkConfig::new().rate_bits_per_second(Some(1_000));
    let bad: [(&str, LinkConfig, &str); 37] = [
        ("above one", new().loss(1.5), "loss = 1.5"),
        ("negative", new().duplicate(-0.1), "duplicate = -0.1"),
        ("not a number", new().corrupt(f64::NAN), "corrupt = NaN"),
        ("infinite", new().reorder(f64::INFINITY), "reorder = inf"),
        ("acks", new().ack_loss(2.0), "loss.acks"),
        ("p", new().gilbert(Gilbert::new(2.0, 0.1)), "loss.gilbert.p"),
        ("r", new().gilbert(Gilbert::new(0.1, -1.0)), "loss.gilbert.r"),
        ("good", new().gilbert(Gilbert::new(0.1, 0.1).loss_in_good(2.0)), "loss.gilbert.good"),
        ("bad", new().gilbert(Gilbert::new(0.1, 0.1).loss_in_bad(2.0)), "loss.gilbert.bad"),
        ("longer than a day", new().delay(DAY + Duration::from_nanos(1)), "delay = 86400"),
        ("longest", new().reorder_gap(Duration::MAX), "reorder_gap"),
        ("spread", new().jitter(Jitter::uniform(Duration::MAX)), "jitter.spread"),
        ("all alike", new().jitter(Jitter::uniform(ms(1)).correlation(1.0)), "jitter.correlation"),
        ("too alike", new().jitter(Jitter::uniform(ms(1)).correlation(1.1)), "jitter.correlation"),
        ("no rate", new().rate_bits_per_second(Some(0)), "a rate of 0"),
        ("no rate later", new().rate_change(RateChange::new(ms(1), 0)), "a rate of 0"),
        ("no queue", new().queue_packets(0), "a queue of 0"),
        ("no bytes", new().queue_bytes(0), "a queue of 0"),
        ("no gap", new().reorder(0.5), "reorder_gap"),
        ("no gap for the nth", new().reorder_every(5), "reorder_gap"),
        ("no position", new().reorder(0.5).reorder_positions(0), "reorder.positions"),
        ("packet 0 lost", new().loss_packets([0, 1]), "loss.packets"),
        ("packet 0 doubled", new().duplicate_packets([0]), "duplicate.packets"),
        ("every 0th", new().loss_every(0), "loss.every"),
        ("every 0th corrupt", new().corrupt_every(0), "corrupt.every"),
        (
            "two at a time",
            rated().rate_change(RateChange::new(ms(5), 1)).rate_change(RateChange::new(ms(5), 2)),
            "rates: what is at 5ms",
        ),
        (
            "back in time",
            new()
                .route_change(RouteChange::new(ms(5), ms(1)))
                .route_change(RouteChange::new(ms(4), ms(2))),
            "routes: what is at 4ms",
        ),
        (
            "overlapping",
            new().outage(Outage::lost(ms(5), ms(10))).outage(Outage::held(ms(14), ms(1))),
            "outages: what is at 14ms",
        ),
        ("empty outage", new().outage(Outage::lost(ms(5), ms(0))), "outages.lasts"),
        ("after all", new().outage(Outage::lost(DAY * 400, ms(1))), "outages"),
        ("a way too long", new().route_change(RouteChange::new(ms(1), DAY * 2)), "routes.delay"),
        ("no policer", new().policer(Policer::new(0, 1)), "policer.rate"),
        ("no burst", new().policer(Policer::new(1, 0)), "policer.burst"),
        ("codel alone", new().codel(CoDel::new()), "queue.codel without a rate"),
        ("no interval", rated().codel(CoDel::new().interval(ms(0))), "queue.codel.interval"),
        (
            "marking alone",
            new().step_marking(StepMarking::above(Threshold::Packets(1))),
            "queue.mark without a rate",
        ),
        ("holds nothing", new().ack_compression(AckCompression::new(ms(0))), "ack_compression"),
    ];
    for (what, config, named) in bad {
        let error = config.validate().expect_err(what).to_string();
        assert!(error.contains(named), "{what}: {error}");
        assert!(!error.contains('\n'), "{what}: {error}");
    }
    let many = (0..10_001)
        .fold(LinkConfig::new(), |config, n| config.route_change(RouteChange::new(ms(n), ms(1))));
    let error = many.validate().expect_err("too many").to_string();
    assert_eq!(error, "routes has 10001 entries: at most 10000");
}

#[test]
fn the_ends_of_each_range_are_accepted() {
    let config = LinkConfig::new()
        .loss(1.0)
        .loss_packets(1..=u64::MAX)
        .ack_loss(1.0)
        .gilbert(Gilbert::new(1.0, 0.0).loss_in_good(1.0))
        .duplicate(1.0)
        .corrupt(1.0)
        .reorder(1.0)
        .reorder_gap(DAY)
        .delay(DAY)
        .jitter(Jitter::normal(DAY).correlation(0.999))
        .rate_bits_per_second(Some(u64::MAX))
        .rate_change(RateChange::new(ms(0), 1))
        .outage(Outage::lost(ms(0), ms(5)))
        .outage(Outage::held(ms(5), DAY))
        .codel(CoDel::new().target(ms(0)).interval(DAY))
        .queue_packets(usize::MAX)
        .queue_bytes(u64::MAX);
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(LinkConfig::default().validate(), Ok(()));
}

#[test]
fn without_a_limit_of_its_own_a_queue_holds_a_thousand_packets() {
    let limits = |config: LinkConfig| (config.get_queue_packets(), config.get_queue_bytes());
    assert_eq!(limits(LinkConfig::new()), (Some(1_000), None));
    assert_eq!(limits(LinkConfig::new().queue_bytes(5)), (None, Some(5)));
    assert_eq!(limits(LinkConfig::new().queue_packets(7)), (Some(7), None));
    assert_eq!(limits(LinkConfig::new().queue_packets(7).queue_bytes(5)), (Some(7), Some(5)));
}

/// Every setting at once.
fn everything() -> LinkConfig {
    LinkConfig::new()
        .delay(ms(20))
        .jitter(Jitter::normal(ms(2)).correlation(0.25).keep_order())
        .route_change(RouteChange::new(ms(30_000), ms(80)))
        .rate_bits_per_second(Some(100_000_000))
        .rate_change(RateChange::new(ms(10_000), 20_000_000))
        .queue_packets(300)
        .queue_bytes(500_000)
        .codel(CoDel::new().target(ms(1)).mark())
        .policer(Policer::new(50_000_000, 100_000))
        .loss(0.01)
        .loss_packets([3].into_iter().chain(10..=19).collect::<PacketSet>())
        .loss_every(100)
        .ack_loss(0.05)
        .gilbert(Gilbert::new(0.001, 0.7).loss_in_bad(0.9))
        .duplicate(0.02)
        .corrupt_every(1_000)
        .reorder(0.05)
        .reorder_gap(ms(5))
        .reorder_positions(3)
        .outage(Outage::lost(ms(10_000), ms(3_000)))
        .outage(Outage::held(ms(60_000), ms(500)))
        .ack_compression(AckCompression::new(ms(10)).count(8))
}

const EVERYTHING: &str = "delay=20ms jitter={spread=2ms,distribution=normal,correlation=25%,\
    keep_order=true} routes=[{at=30s,delay=80ms}] rate=100Mbit rates=[{at=10s,rate=20Mbit}] \
    queue={packets=300,bytes=500kB,codel={target=1ms,ecn=true}} \
    policer={rate=50Mbit,burst=100kB} \
    loss={random=1%,every=100,packets=[3,10-19],acks=5%,gilbert={p=0.1%,r=70%,bad=90%}} \
    duplicate=2% corrupt={every=1000} reorder={random=5%,gap=5ms,positions=3} \
    outages=[{at=10s,lasts=3s},{at=60s,lasts=500ms,packets=held}] \
    ack_compression={hold=10ms,count=8}";

#[test]
fn a_line_says_all_that_a_builder_says() {
    assert_eq!(everything().to_string(), EVERYTHING);
    assert_eq!(EVERYTHING.parse(), Ok(everything()));
    assert_eq!("".parse(), Ok(LinkConfig::new()));
    let dotted = "loss.random=1% loss.gilbert.p=1%, loss.gilbert.r=0.5 queue.mark=65packets rate=1";
    let same = LinkConfig::new()
        .loss(0.01)
        .gilbert(Gilbert::new(0.01, 0.5))
        .rate_bits_per_second(Some(1))
        .step_marking(StepMarking::above(Threshold::Packets(65)));
    assert_eq!(dotted.parse(), Ok(same));
}

#[test]
fn a_line_that_is_wrong_is_told_by_the_name_of_the_setting() {
    for (line, error) in [
        ("delay=20", "delay = 20: expected a time such as 20ms"),
        ("rate=100Mbps", "rate = 100Mbps: expected a rate such as 100Mbit"),
        (
            "loss.randon=1%",
            "unknown setting loss.randon: expected one of random, every, packets, acks, gilbert",
        ),
        ("loss.gilbert={p=1%}", "loss.gilbert.r is missing"),
        ("loss.gilbert=1%", "loss.gilbert = 1%: expected a table"),
        (
            "loss.packets=[5-3]",
            "loss.packets = 5-3: expected packets counted from 1, or ranges of them such as 5-9",
        ),
        ("outages=[{at=1s,lasts=1s},{at=5s}]", "outages[1].lasts is missing"),
        ("outages=10s", "outages = 10s: expected a list"),
        (
            "outages=[{at=1s,lasts=1s,packets=eaten}]",
            "outages[0].packets = eaten: expected lost or held",
        ),
        (
            "queue=many",
            "queue = many: expected a size such as 500kB or a number such as \"100 packets\"",
        ),
        (
            "rate=1 queue={codel=true,mark=5kB}",
            "queue.mark = 5kB: expected codel or mark, not both",
        ),
        ("delay={a=1}", "delay = {a=1}: expected a time such as 20ms"),
        ("delay=1ms delay=2ms", "delay is given twice"),
        ("loss=110%", "loss = 1.1 is not a probability: give a number between 0 and 1"),
        ("delay", "at character 6: expected = and a value"),
    ] {
        let wrong = line.parse::<LinkConfig>().expect_err(line);
        assert_eq!(wrong.to_string(), error, "{line}");
    }
}

#[test]
fn both_ways_have_what_is_common_and_their_own_in_its_place() {
    let line = "delay=20ms rate=10Mbit there={loss=1%} back={loss={acks=5%}} shared=true";
    let config: DuplexConfig = line.parse().expect("a duplex");
    let common = LinkConfig::new().delay(ms(20)).rate_bits_per_second(Some(10_000_000));
    let expected = DuplexConfig::new(common.clone().loss(0.01), common.ack_loss(0.05)).shared();
    assert_eq!(config, expected);
    assert_eq!(config.to_string(), line);
    let own: DuplexConfig = "loss=1% back.loss.every=7".parse().expect("a duplex");
    assert_eq!(own.back(), &LinkConfig::new().loss_every(7), "a setting is replaced as a whole");
    for (line, error) in [
        ("there.dely=1ms", "unknown setting there.dely"),
        ("dely=1ms", "unknown setting dely"),
        ("back.delay=1", "back.delay = 1: expected a time"),
        ("back=5", "back = 5: expected a table of settings"),
        ("shared=perhaps", "shared = perhaps: expected true or false"),
        ("shared=true there.rate=1Mbit", "shared: both ways of one medium have the same rate"),
        ("shared=true rate=1Mbit queue.codel=true", "shared: codel"),
        ("there.loss=2", "loss = 2 is not a probability"),
    ] {
        let wrong = line.parse::<DuplexConfig>().expect_err(line).to_string();
        assert!(wrong.starts_with(error), "{line}: {wrong}");
    }
}

#[cfg(feature = "serde")]
mod files {
    use super::*;

    #[test]
    fn a_file_says_all_that_a_builder_says() {
        let file = r#"
            delay = "20ms"
            jitter = { spread = "2ms", distribution = "normal", correlation = 0.25, keep_order = true }
            rate = "100Mbit"
            outages = [{ at = "10s", lasts = "3s" }, { at = "60s", lasts = "500ms", packets = "held" }]
            duplicate = "2%"
            corrupt = { every = 1000 }
            reorder = { random = 0.05, gap = "5ms", positions = 3 }
            policer = { rate = 50000000, burst = "100kB" }
            ack_compression = { hold = "10ms", count = 8 }

            [loss]
            random = "1%"
            every = 100
            packets = [3, "10-19"]
            acks = "5%"

            [loss.gilbert]
            p = "0.1%"
            r = "70%"
            bad = "90%"

            [queue]
            packets = 300
            bytes = "500kB"
            codel = { target = "1ms", ecn = true }

            [[routes]]
            at = "30s"
            delay = "80ms"

            [[rates]]
            at = "10s"
            rate = "20Mbit"
        "#;
        assert_eq!(toml::from_str::<LinkConfig>(file).expect("a link"), everything());
    }

    #[test]
    fn the_example_of_the_documentation_reads() {
        let source = include_str!("../../src/config/mod.rs");
        let lines = source.lines().skip_while(|line| *line != "/// ```toml").skip(1);
        let lines = lines.take_while(|line| *line != "/// ```");
        let file: String = lines.map(|line| format!("{}\n", &line[3..])).collect();
        let config = toml::from_str::<LinkConfig>(&file).expect(&file);
        assert_eq!(config.get_rate_bits_per_second(), Some(100_000_000));
        assert!(config.to_string().contains("gilbert={p=0.1%,r=70%}"), "{config}");
    }

    #[test]
    fn an_unknown_field_of_a_file_is_an_error_that_names_it() {
        for (file, named) in [
            ("dealy = \"20ms\"", "unknown setting dealy"),
            ("[loss.gilbert]\np = 0.1\nr = 0.1\nq = 1", "unknown setting loss.gilbert.q"),
            ("loss = 1.5", "loss = 1.5 is not a probability"),
            ("[[outages]]\nat = \"1s\"\nlast = \"1s\"", "outages[0].lasts is missing"),
        ] {
            let error = toml::from_str::<LinkConfig>(file).expect_err(file).to_string();
            assert!(error.contains(named), "{file}: {error}");
        }
    }

    #[test]
    fn a_link_is_a_table_inside_a_larger_file() {
        #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
        #[serde(deny_unknown_fields)]
        struct Scenario {
            name: String,
            link: DuplexConfig,
        }
        let file = "name = \"a\"\n[link]\nrate = \"1Mbit\"\nthere.loss = \"1%\"\nshared = true\n";
        let scenario: Scenario = toml::from_str(file).expect("a scenario");
        assert_eq!(scenario.link.to_string(), "rate=1Mbit there={loss=1%} shared=true");
        let written = toml::to_string(&scenario).expect("it is written");
        assert_eq!(toml::from_str::<Scenario>(&written).expect("it reads"), scenario);
    }

    proptest! {
        #[test]
        fn what_is_written_to_a_file_reads_as_it_was(config in configs()) {
            let file = toml::to_string(&config).expect("it is written");
            prop_assert_eq!(toml::from_str::<LinkConfig>(&file).expect(&file), config);
        }
    }
}

fn times(most: u64) -> impl Strategy<Value = Duration> {
    (0..most).prop_map(Duration::from_nanos)
}

fn sets() -> impl Strategy<Value = PacketSet> {
    prop::collection::vec(1..50_u64, 0..8).prop_map(|numbers| numbers.into_iter().collect())
}

/// Any link that makes sense.
fn configs() -> impl Strategy<Value = LinkConfig> {
    let share = || 0.0..=1.0_f64;
    let delays = (
        times(1 << 40),
        prop::option::of((times(1 << 40), any::<bool>(), 0.0..0.99_f64, any::<bool>())),
        prop::collection::btree_map(times(1 << 50), times(1 << 40), 0..4),
    )
        .prop_map(|(delay, jitter, routes)| {
            let mut config = LinkConfig::new().delay(delay);
            if let Some((spread, normal, correlation, keep)) = jitter {
                let jitter = if normal { Jitter::normal(spread) } else { Jitter::uniform(spread) };
                let jitter = jitter.correlation(correlation);
                config = config.jitter(if keep { jitter.keep_order() } else { jitter });
            }
            for (at, delay) in routes {
                config = config.route_change(RouteChange::new(at, delay));
            }
            config
        });
    let queues = (
        1..u64::MAX,
        prop::collection::btree_map(times(1 << 50), 1..u64::MAX, 0..4),
        prop::option::of(1..usize::MAX),
        prop::option::of(1..u64::MAX),
        0..6_u8,
        times(1 << 40),
        any::<bool>(),
        prop::option::of((1..u64::MAX, 1..u64::MAX)),
    );
    let losses = (
        share(),
        sets(),
        prop::option::of(1..u64::MAX),
        share(),
        prop::option::of((share(), share(), share(), share())),
    );
    let harms = (
        (share(), sets(), prop::option::of(1..u64::MAX)),
        (share(), sets(), prop::option::of(1..u64::MAX)),
        (share(), sets(), prop::option::of(1..u64::MAX)),
        times(1 << 40),
        1..u32::MAX,
    );
    let ends = (
        prop::collection::vec((times(1 << 40), 1..1_u64 << 40, any::<bool>()), 0..4),
        prop::option::of((1..1_u64 << 40, prop::option::of(1..u32::MAX))),
    );
    (delays, queues, losses, harms, ends).prop_map(|(mut config, queue, loss, harm, ends)| {
        let (rate, rates, packets, bytes, discipline, time, flag, policer) = queue;
        config = config.rate_bits_per_second(Some(rate));
        for (at, rate) in rates {
            config = config.rate_change(RateChange::new(at, rate));
        }
        if let Some(packets) = packets {
            config = config.queue_packets(packets);
        }
        if let Some(bytes) = bytes {
            config = config.queue_bytes(bytes);
        }
        let threshold = match discipline {
            0 => Some(Threshold::Bytes(rate)),
            1 => Some(Threshold::Packets(7)),
            2 => Some(Threshold::Wait(time)),
            _ => None,
        };
        if let Some(threshold) = threshold {
            let marking = StepMarking::above(threshold);
            config = config.step_marking(if flag { marking.drop_others() } else { marking });
        } else if discipline == 3 {
            let codel = CoDel::new().target(time).interval(time + ms(1));
            config = config.codel(if flag { codel.mark() } else { codel });
        }
        if let Some((rate, burst)) = policer {
            config = config.policer(Policer::new(rate, burst));
        }
        let (share, set, every, acks, gilbert) = loss;
        config = config.loss(share).loss_packets(set).ack_loss(acks);
        if let Some(every) = every {
            config = config.loss_every(every);
        }
        if let Some((p, r, good, bad)) = gilbert {
            config = config.gilbert(Gilbert::new(p, r).loss_in_good(good).loss_in_bad(bad));
        }
        let ((d, d_set, d_every), (c, c_set, c_every), (r, r_set, r_every), gap, positions) = harm;
        config = config.duplicate(d).duplicate_packets(d_set);
        config = config.corrupt(c).corrupt_packets(c_set);
        config = config.reorder(r).reorder_packets(r_set).reorder_gap(gap);
        config = config.reorder_positions(positions);
        if let Some(n) = d_every {
            config = config.duplicate_every(n);
        }
        if let Some(n) = c_every {
            config = config.corrupt_every(n);
        }
        if let Some(n) = r_every {
            config = config.reorder_every(n);
        }
        let mut at = Duration::ZERO;
        for (after, lasts, held) in ends.0 {
            let lasts = Duration::from_nanos(lasts);
            at += after + Duration::from_nanos(1);
            let outage = if held { Outage::held(at, lasts) } else { Outage::lost(at, lasts) };
            config = config.outage(outage);
            at += lasts;
        }
        if let Some((hold, count)) = ends.1 {
            let compression = AckCompression::new(Duration::from_nanos(hold));
            config = config.ack_compression(match count {
                Some(count) => compression.count(count),
                None => compression,
            });
        }
        config
    })
}

proptest! {
    #[test]
    fn what_is_written_as_a_line_reads_as_it_was(there in configs(), back in configs()) {
        prop_assert_eq!(there.validate(), Ok(()));
        let line = there.to_string();
        prop_assert_eq!(line.parse(), Ok(there.clone()), "{}", line);
        let both = DuplexConfig::new(there, back);
        let line = both.to_string();
        prop_assert_eq!(line.parse(), Ok(both), "{}", line);
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in "[a-z0-9.={}\\[\\], \"%äé-]{0,60}") {
        let _ = line.parse::<LinkConfig>();
        let _ = line.parse::<DuplexConfig>();
    }
}
