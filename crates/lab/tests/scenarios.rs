//! What scenarios report: a table of scenario and congestion control under snapshot, so that a
//! regression is a difference; and that a run is the same each time.
//!
//! `TOWPATH_BLESS=1 cargo test -p towpath-lab --test scenarios` writes the table.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towpath_engine::CongestionControl;
use towpath_lab::plot::{over_time, time_sequence};
use towpath_lab::record::sequence::Seen;
use towpath_lab::scenario::{Report, Scenario, run, shipped};

const SEED: u64 = 1;

/// Scenarios of the table, shorter than they ship, in milliseconds.
const SHORT: &[(&str, u64)] = &[
    ("lan", 300),
    ("wan", 4_000),
    ("satellite", 10_000),
    ("loss-1", 4_000),
    ("wifi", 4_000),
    ("reorder", 4_000),
    ("ack-loss", 3_000),
    ("shallow", 4_000),
    ("deep", 4_000),
    ("policer", 4_000),
    ("two-same", 4_000),
    ("incast", 2_000),
];

fn short(name: &str, milliseconds: u64) -> Scenario {
    let mut scenario = shipped(name).expect("it ships");
    scenario.duration = Duration::from_millis(milliseconds);
    for flow in &mut scenario.flows {
        // The second of two starts when the first is a quarter through.
        flow.start.0 = flow.start.0.min(scenario.duration / 4);
        flow.start.1 = flow.start.1.min(scenario.duration / 4);
    }
    scenario
}

/// Plays all of these, on as many threads as there are processors.
fn play(plays: &[(Scenario, CongestionControl)]) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut reports: Vec<(usize, Report)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((scenario, control)) = plays.get(index) else { return done };
                done.push((index, run(scenario, *control, SEED, |_| {})));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no run panics")).collect()
    });
    reports.sort_by_key(|(index, _)| *index);
    reports.into_iter().map(|(_, report)| report).collect()
}

#[test]
fn the_table_of_scenarios_and_controllers_is_the_committed_one() {
    let mut plays = Vec::new();
    for (name, milliseconds) in SHORT {
        // Where nobody marks, DCTCP is Reno.
        let differ = |control: &&CongestionControl| **control != CongestionControl::Dctcp;
        for control in CongestionControl::ALL.iter().filter(differ) {
            plays.push((short(name, *milliseconds), *control));
        }
    }
    let mut text = "Goodput, bytes sent again, and the mean queue before the bottleneck of short \
                    runs with seed 1.\nWritten by `TOWPATH_BLESS=1 cargo test -p towpath-lab \
                    --test scenarios`.\n\n"
        .to_owned();
    writeln!(
        text,
        "{:<12}{:<8}{:>10}{:>10}{:>10}",
        "scenario", "cc", "Mbit/s", "again %", "queue ms"
    )
    .unwrap();
    for report in play(&plays) {
        let summary = &report.summary;
        writeln!(
            text,
            "{:<12}{:<8}{:>10.2}{:>10.2}{:>10.2}",
            report.scenario,
            report.congestion,
            summary.goodput as f64 / 1e6,
            summary.retransmitted * 100.0,
            report.queue_ms(summary.mean_queue_bytes).unwrap_or(0.0),
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios.txt");
    if std::env::var_os("TOWPATH_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differences: String = committed
        .lines()
        .zip(text.lines())
        .filter(|(was, is)| was != is)
        .map(|(was, is)| format!("- {was}\n+ {is}\n"))
        .collect();
    assert!(
        committed == text,
        "the table has changed; if it is better, bless it with TOWPATH_BLESS=1:\n{differences}"
    );
}

#[test]
fn a_run_of_one_seed_is_the_same_to_the_byte_and_of_another_is_not() {
    let mut scenario = short("mixed", 3_000);
    scenario.bottleneck = "rate=20Mbit delay=10ms queue=60kB loss=0.5%".parse().unwrap();
    let json = |seed| {
        let report = run(&scenario, CongestionControl::Reno, seed, |_| {});
        let plots = (over_time(&report), time_sequence(&report, None));
        (serde_json::to_string(&report).unwrap(), plots)
    };
    let first = json(7);
    assert_eq!(first, json(7));
    assert_ne!(first, json(8));
}

#[test]
fn every_kind_of_traffic_does_what_it_says_and_the_record_agrees() {
    let scenario = short("mixed", 8_000);
    let report = run(&scenario, CongestionControl::Cubic, SEED, |_| {});
    let [bulk, on_off, limited, requests] = &report.flows[..] else { panic!("four flows") };
    for flow in [bulk, on_off, limited, requests] {
        assert!(flow.received_bytes + flow.retransmitted_bytes <= flow.sent_bytes);
    }
    // 5 Mbit/s for 8 seconds are 5 MB, and what is under way has not been read.
    assert!((4_900_000..=5_000_000).contains(&limited.received_bytes), "{limited:?}");
    // Answers of 100 kB, each after a pause of 100 ms and a round trip or more.
    assert!((1_000_000..=6_000_000).contains(&requests.received_bytes), "{requests:?}");
    assert!(on_off.received_bytes > 1_000_000, "{on_off:?}");
    let on_off = &report.record.flows[1].received_bytes;
    let at = |seconds: usize| on_off[on_off.len() * seconds / 8 + 100];
    assert_eq!(at(3), at(4), "it pauses from 2 to 5 s");
    assert!(at(6) > at(4), "and goes on");

    let queue = &report.record.queues[0];
    assert!(queue.bytes.iter().all(|bytes| *bytes <= 500_000));
    for flow in &report.record.flows {
        assert_eq!(flow.received_bytes.len(), report.record.at_us.len());
        assert!(flow.received_bytes.is_sorted());
        assert_eq!(flow.cwnd_bytes.len(), report.record.at_us.len());
    }
    assert!(report.summary.share_of_ceiling.unwrap() > 0.8, "{:?}", report.summary);
    assert!(report.summary.fairness.unwrap() < 1.0);
}

#[test]
fn the_segments_of_the_first_flow_are_those_that_were_sent() {
    let report = run(&short("loss-1", 2_000), CongestionControl::Reno, SEED, |_| {});
    let (mut new, mut again) = (0, 0);
    let mut acked = 0;
    for mark in &report.sequence.as_ref().expect("it is recorded").marks {
        match &mark.seen {
            Seen::Segment { from, to } => {
                assert_eq!(*from, new, "nothing is left out");
                new = *to;
            }
            Seen::Retransmission { from, to } => {
                assert!(*to <= new);
                again += to - from;
            }
            Seen::Ack { ack, edge, .. } => {
                assert!(acked <= *ack && *ack <= new && ack <= edge);
                acked = *ack;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(again > 0, "one in a hundred is lost");
    let flow = &report.flows[0];
    assert_eq!((new + again, again), (flow.sent_bytes, flow.retransmitted_bytes));
    let plot = time_sequence(&report, None).expect("a diagram");
    assert!(plot.contains(">R</text>"), "a retransmission is marked");
}

#[test]
fn after_an_outage_of_three_seconds_the_rate_is_back_within_fifteen_round_trips() {
    const ROUND_TRIP_US: u64 = 40_000;
    let mut outage = shipped("outage-3s").expect("it ships");
    outage.duration = Duration::from_secs(17);
    let controls = CongestionControl::ALL.iter();
    let plays: Vec<_> = controls.map(|control| (outage.clone(), *control)).collect();
    let reports = play(&plays);
    for report in reports {
        let Report { record, congestion, .. } = &report;
        let received = &record.flows[0].received_bytes;
        let at = |us| record.at_us.iter().position(|at| *at >= us).expect("it ran so long");
        let silent = received[at(12_900_000)];
        let through = received.iter().position(|bytes| *bytes > silent).expect("it goes on");
        // The rate of each round trip from there on.
        let back = (0..15).position(|round| {
            let from = record.at_us[through] + round * ROUND_TRIP_US;
            let bytes = received[at(from + ROUND_TRIP_US)] - received[at(from)];
            bytes * 8 * 1_000_000 / ROUND_TRIP_US >= 86_000_000
        });
        println!("{congestion}: at 90 % after {back:?} round trips");
        assert!(back.is_some(), "{congestion}: fifteen round trips below 90 %");
    }
}

#[test]
fn on_a_deep_buffer_bbr_keeps_less_than_half_of_the_queue_of_cubic() {
    let deep = short("deep", 12_000);
    let controls = [CongestionControl::Cubic, CongestionControl::Bbr, CongestionControl::Bbr3];
    let reports = play(&controls.map(|control| (deep.clone(), control)));
    let queue = |index: usize| reports[index].summary.mean_queue_bytes;
    let queues = [queue(0), queue(1), queue(2)];
    assert!(queues[1] * 2 <= queues[0] && queues[2] * 2 <= queues[0], "{queues:?}");
}
