//! The WAN bench's parts do what its tables take for granted: data arrive as they were sent in
//! either direction, the relay accounts for every packet and loses the same ones for the same seed,
//! and nothing is left of a run, however it ends. Nothing here is about time.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use towpath_integration::inventory::Inventory;
use towpath_integration::namespace::{self, Kind, Refusal};
use towpath_integration::skip::{Need, skip};
use towpath_integration::wan::relay::Direction;
use towpath_integration::wan::run::Outcome;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wan");

/// Slow enough for a machine that is busy with other tests.
const OUT: &str = "rate=20Mbit,delay=5ms,queue=100kB,loss=2%,duplicate=1%";
const BACK: &str = "rate=20Mbit,delay=5ms,queue=100kB";

/// Longer than any of the runs here, with time for a connection whose SYN is lost.
const LIMIT: Duration = Duration::from_secs(90);

/// The namespaces to be had, if any; says so where not.
fn kind(test: &str) -> Option<Kind> {
    if let Err(reason) = Need::Iproute2.find() {
        skip(Need::Iproute2, test, &reason);
        return None;
    }
    let chosen = namespace::choose(PROGRAM.as_ref(), "--try-namespace", |_| ());
    let refused = |refusals: Vec<Refusal>| {
        let reasons: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
        skip(Need::Netns, test, &reasons.join("; "));
    };
    chosen.map_err(refused).ok()
}

/// The interfaces and the namespace of this process, in which nothing is to change. (Of its
/// descriptors other tests have theirs.)
fn around() -> (Vec<String>, String) {
    let inventory = Inventory::take().expect("reading /proc");
    (inventory.interfaces, inventory.namespace)
}

fn start(kind: Kind, flow: &str, seed: u64, more: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--namespace", kind.word(), "--out", OUT, "--back", BACK]);
    command.args(["--flow", flow, "--seed", &seed.to_string()]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starting a run")
}

fn run(kind: Kind, flow: &str, seed: u64, more: &[&str]) -> Outcome {
    let mut child = start(kind, flow, seed, more);
    let mut text = String::new();
    let mut stdout = child.stdout.take().expect("its output");
    stdout.read_to_string(&mut text).expect("reading it");
    let status = child.wait().expect("waiting for the run");
    assert!(status.success(), "{flow}, seed {seed}: {status}");
    serde_json::from_str(&text).expect("an outcome")
}

/// The numbers of the lost packets among the first so many.
fn lost_among(direction: &Direction, packets: u64) -> Vec<u64> {
    direction.lost_numbers.iter().copied().filter(|number| *number < packets).collect()
}

#[test]
fn either_direction_passes_a_relay_that_accounts_for_every_packet_and_loses_the_same_ones() {
    let test =
        "either_direction_passes_a_relay_that_accounts_for_every_packet_and_loses_the_same_ones";
    let Some(kind) = kind(test) else { return };
    let before = around();
    let flows = ["towpath:kernel:reno", "kernel:towpath:reno", "kernel:kernel:cubic"];
    let outcomes = flows.map(|flow| run(kind, flow, 7, &["--seconds", "3"]));
    for (flow, outcome) in flows.iter().zip(&outcomes) {
        // That they are the bytes that were sent, the run itself has seen.
        assert!(outcome.flows[0].bytes > 100_000, "{flow}: {outcome:?}");
        assert!(outcome.flows[0].sending.bytes_sent >= outcome.flows[0].bytes, "{flow}");
        for direction in [&outcome.relay.out, &outcome.relay.back] {
            assert!(direction.adds_up(), "{flow}: {direction:?}");
            assert_eq!(direction.refused, 0, "{flow}");
            assert!(direction.longest_bytes <= 1500, "{flow}: segmentation was left to the relay");
        }
        assert!(outcome.relay.out.lost > 0 && outcome.relay.out.duplicated > 0, "{flow}");
        assert_eq!(outcome.relay.out.lost, outcome.relay.out.lost_numbers.len() as u64, "{flow}");
        assert_eq!(outcome.relay.back.lost, 0, "{flow}");
    }
    let shortest = outcomes.iter().map(|outcome| outcome.relay.out.packets).min();
    let packets = shortest.expect("three runs");
    let lost = outcomes.each_ref().map(|outcome| lost_among(&outcome.relay.out, packets));
    assert!(!lost[0].is_empty(), "of the first {packets} none was lost");
    assert_eq!(lost[0], lost[1], "of the first {packets}");
    assert_eq!(lost[0], lost[2], "of the first {packets}");
    let other = run(kind, flows[2], 8, &["--seconds", "3"]);
    assert_ne!(lost_among(&other.relay.out, packets), lost[0], "another seed loses others");
    assert_eq!(around(), before);
}

#[test]
fn flows_that_end_arrive_whole_one_after_the_other() {
    let Some(kind) = kind("flows_that_end_arrive_whole_one_after_the_other") else { return };
    for flow in ["towpath:kernel:reno", "kernel:towpath:reno"] {
        let outcome = run(kind, flow, 3, &["--whole", "50000", "--times", "5"]);
        assert_eq!(outcome.flows[0].completion_ms.len(), 5, "{flow}");
        assert!(outcome.relay.out.bytes > 5 * 50_000, "{flow}");
        // A handshake and the data's way: three times 5 ms at the very least.
        assert!(outcome.flows[0].completion_ms.iter().all(|took| *took >= 15.0), "{flow}");
    }
}

/// The relay that a process has started, once it has moved to the far side.
fn relay_of(parent: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc").expect("reading /proc");
    let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    pids.find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // `pid (name) state parent ..`
        let parents = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2));
        let is_ours = stat.contains("(relay)") && parents == Some(&parent.to_string());
        is_ours && namespace(*pid).is_some_and(|place| Some(place) != namespace(parent))
    })
}

fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}, not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_is_interrupted_leaves_nothing_behind() {
    let Some(kind) = kind("a_run_that_is_interrupted_leaves_nothing_behind") else { return };
    let before = around();
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let mut child = start(kind, "towpath:kernel:reno", 1, &["--seconds", "600"]);
        let relay = soon("a relay", || relay_of(child.id()));
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("interrupting it");
        let status = child.wait().expect("waiting for it");
        assert!(!status.success(), "{signal}");
        soon("the relay is gone", || {
            let name = fs::read_to_string(format!("/proc/{relay}/comm")).unwrap_or_default();
            (name.trim() != "relay").then_some(())
        });
    }
    assert_eq!(around(), before);
}
