//! The table of goodput: ways by controllers by directions, each beside the kernel with itself.

use std::fmt::Write as _;

use super::runner::{Done, Round, Runner, Spec};
use super::statistics::{median, median_interval};
use super::{Contender, Direction, Options, Table, flow, lateness};
use crate::wan::ends::Tcp;
use crate::wan::links::{self, WanLink, Wanted};
use crate::wan::run::{Outcome, Task};

const KERNEL: &str = "kernel";
const SEND: &str = "send";
const RECEIVE: &str = "receive";

/// Payload of a full segment with timestamps on 1,500 bytes, and what IP and TCP put before it.
const SEGMENT_BYTES: f64 = 1448.0;
const HEADER_BYTES: u64 = 52;

/// Makes it.
pub fn table(options: &Options, contenders: &[Contender], runner: &Runner) -> Table {
    let task = Task::Bulk(options.duration(30.0));
    let links = match options.links[..] {
        [] if options.quick => links::ALL.into_iter().filter(is_first_look).collect(),
        [] => links::ALL.to_vec(),
        _ => options.links.clone(),
    };
    let mut rounds = Vec::new();
    // Seeds outermost: what changes on the machine during the hours meets all rows alike.
    for seed in options.seeds() {
        for &link in &links {
            for contender in contenders {
                let specs = specs(contender, &options.direction);
                // The kernel alone is no comparison.
                if specs.len() > 1 {
                    let congestion = contender.name.clone();
                    rounds.push(Round { link, congestion, task, seed, specs });
                }
            }
        }
    }
    let runs = runner.run_all(rounds);
    let text = text(&links, contenders, &options.direction, &runs);
    Table { text, runs }
}

fn is_first_look(link: &WanLink) -> bool {
    matches!(link.name, "clean" | "loss-1")
}

fn specs(contender: &Contender, directions: &[Direction]) -> Vec<Spec> {
    let kernels = &contender.kernels;
    let one = |label, flow| Spec { label, flows: vec![flow] };
    let mut specs = vec![one(KERNEL, flow(Tcp::Kernel, Tcp::Kernel, kernels))];
    if directions.contains(&Direction::Send) && contender.is_ours {
        specs.push(one(SEND, flow(Tcp::Towpath, Tcp::Kernel, &contender.name)));
    }
    // The data's sender decides: of bbr3 the kernel has none.
    if directions.contains(&Direction::Receive) && *kernels == contender.name {
        specs.push(one(RECEIVE, flow(Tcp::Kernel, Tcp::Towpath, kernels)));
    }
    specs
}

/// The runs of one way and controller.
struct Runs<'a> {
    runs: &'a [Done],
}

impl<'a> Runs<'a> {
    fn of(
        self,
        link: &'a str,
        congestion: &'a str,
        label: &'a str,
    ) -> impl Iterator<Item = (u64, &'a Outcome)> + Clone {
        self.runs.iter().filter_map(move |(round, outcomes)| {
            if round.link.name != link || round.congestion != congestion {
                return None;
            }
            let index = round.specs.iter().position(|spec| spec.label == label)?;
            Some((round.seed, outcomes.get(index)?.as_ref()?))
        })
    }
}

fn goodput(outcome: &Outcome) -> f64 {
    outcome.flows.iter().map(|flow| flow.goodput_mbps).sum()
}

fn text(
    links: &[WanLink],
    contenders: &[Contender],
    directions: &[Direction],
    runs: &[Done],
) -> String {
    let mut text = String::new();
    for (direction, label, heading) in [
        (Direction::Send, SEND, "Towpath sends, Linux receives"),
        (Direction::Receive, RECEIVE, "Linux sends, Towpath receives"),
    ] {
        if !directions.contains(&direction) {
            continue;
        }
        // Writing into a string does not fail.
        let _ = writeln!(text, "{heading}; beside it, Linux to Linux. Medians, Mbit/s.\n");
        text.push_str(
            "| link | controller | n | Linux | Towpath | ratio | interval | wanted | \
             sent again / lost, kB: Linux | with Towpath | within its limit | \
             what limited Linux | what limited the run with Towpath |\n\
             |---|---|--:|--:|--:|--:|---|---|--:|--:|--:|---|---|\n",
        );
        for link in links {
            for contender in contenders {
                if let Some(row) = row(link, contender, label, runs) {
                    text.push_str(&row);
                }
            }
        }
        text.push('\n');
    }
    text.push_str(&bbr3_beside_bbr(links, runs));
    let all = median_interval((0..longest(runs)).map(|_| 0.0));
    let confidence = all.map_or(0.0, |interval| interval.confidence * 100.0);
    let _ = writeln!(
        text,
        "Ratios are of two runs with the same seed; their interval has the true median in it with \
         {confidence:.0} % probability. {}",
        lateness(runs)
    );
    text
}

/// The most runs behind a row.
fn longest(runs: &[Done]) -> usize {
    let mut seeds: Vec<u64> = runs.iter().map(|(round, _)| round.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds.len()
}

fn row(link: &WanLink, contender: &Contender, label: &str, runs: &[Done]) -> Option<String> {
    let name = &contender.name;
    let of = |label| Runs { runs }.of(link.name, name, label);
    let kernel = of(KERNEL);
    let ours = of(label);
    let pair = |seed| kernel.clone().find(|(of, _)| *of == seed);
    let ratios: Vec<f64> = ours
        .clone()
        .filter_map(|(seed, outcome)| Some(goodput(outcome) / goodput(pair(seed)?.1)))
        .collect();
    let interval = median_interval(ratios.iter().copied())?;
    let ratio = median(ratios.iter().copied());
    let clean = median(Runs { runs }.of("clean", name, label).map(|(_, run)| goodput(run)));
    let mine = median(ours.clone().map(|(_, run)| goodput(run)));
    let verdict = verdict(link.wanted, label, name, ratio, mine / clean);
    let within = ours.clone().filter(|(_, run)| resends_little(run)).count();
    Some(format!(
        "| {} | {name} | {} | {:.1} | {mine:.1} | {ratio:.3} | {:.3}-{:.3} | {verdict} | {} | {} | \
         {within} of {} | {} | {} |\n",
        link.phrase,
        ratios.len(),
        median(kernel.clone().map(|(_, run)| goodput(run))),
        interval.low,
        interval.high,
        resent(kernel.clone().map(|(_, run)| run)),
        resent(ours.clone().map(|(_, run)| run)),
        ours.clone().count(),
        limits(kernel.map(|(_, run)| run)),
        limits(ours.map(|(_, run)| run)),
    ))
}

/// What is wanted, and whether it is so.
fn verdict(wanted: Wanted, label: &str, name: &str, ratio: f64, of_clean: f64) -> String {
    let slowed_by_loss = matches!(name, "cubic" | "reno");
    let (what, is_so) = match wanted {
        _ if label == RECEIVE => (">= 0.98 x".to_owned(), ratio >= 0.98),
        // Wanted of it beside our own bbr: `bbr3_beside_bbr`.
        _ if name == "bbr3" => return "see below".to_owned(),
        Wanted::OfLinuxUnderLoss(least) if slowed_by_loss => {
            let least = f64::from(least) / 100.0;
            (format!("{least:.2} to 1.3 x"), ratio >= least && ratio <= 1.3)
        }
        Wanted::OfLinux(least) | Wanted::OfLinuxUnderLoss(least) => {
            let least = f64::from(least) / 100.0;
            (format!(">= {least:.2} x"), ratio >= least)
        }
        Wanted::OfClean(_) if of_clean.is_nan() => return "needs the clean way".to_owned(),
        Wanted::OfClean(least) => {
            let least = f64::from(least) / 100.0;
            (format!(">= {least:.2} of clean, is {of_clean:.3}"), of_clean >= least)
        }
    };
    format!("{what}: {}", if is_so { "yes" } else { "**no**" })
}

/// Payload bytes that did not arrive the first time: of what the relay did not let pass, the
/// headers are not counted.
fn missing_payload(outcome: &Outcome) -> f64 {
    let out = &outcome.relay.out;
    out.missing_bytes.saturating_sub(out.missing() * HEADER_BYTES) as f64
}

fn sent_again(outcome: &Outcome) -> f64 {
    outcome.flows.iter().map(|flow| flow.sending.bytes_retrans as f64).sum()
}

/// No more than 1.1 of what was lost, and 20 segments or a thousandth of all.
fn resends_little(outcome: &Outcome) -> bool {
    let all: f64 = outcome.flows.iter().map(|flow| flow.sending.bytes_sent as f64).sum();
    let slack = (20.0 * SEGMENT_BYTES).max(0.001 * all);
    sent_again(outcome) <= 1.1 * missing_payload(outcome) + slack
}

fn resent<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> String {
    let again = median(outcomes.clone().map(sent_again)) / 1_000.0;
    format!("{again:.0} / {:.0}", median(outcomes.map(missing_payload)) / 1_000.0)
}

/// Which parts of the time the sender was held back by what, from a hundredth on.
fn limits<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> String {
    let part = |of: fn(&crate::wan::ends::Sending) -> f64| {
        let parts = outcomes.clone().flat_map(|outcome| {
            outcome.flows.iter().map(|flow| {
                let sending = &flow.sending;
                100.0 * of(sending) / sending.busy_ms.max(1.0)
            })
        });
        median(parts)
    };
    let parts = [
        ("cwnd", part(|told| told.busy_ms - told.rwnd_limited_ms - told.sndbuf_limited_ms)),
        ("receive window", part(|told| told.rwnd_limited_ms)),
        ("send buffer", part(|told| told.sndbuf_limited_ms)),
    ];
    let told = parts.iter().filter(|(_, part)| *part >= 1.0);
    told.map(|(what, part)| format!("{what} {part:.0} %")).collect::<Vec<_>>().join(", ")
}

/// What is wanted of bbr3 is wanted beside our own bbr, of the runs with the same seed.
fn bbr3_beside_bbr(links: &[WanLink], runs: &[Done]) -> String {
    let mut text = String::new();
    for link in links {
        let of = |name| Runs { runs }.of(link.name, name, SEND);
        let bbr = of("bbr");
        let ratios = of("bbr3").filter_map(|(seed, outcome)| {
            let (_, beside) = bbr.clone().find(|(of, _)| *of == seed)?;
            Some(goodput(outcome) / goodput(beside))
        });
        let ratios: Vec<f64> = ratios.collect();
        let Some(interval) = median_interval(ratios.iter().copied()) else { continue };
        if text.is_empty() {
            text.push_str("| link | Towpath's bbr3 / its bbr | interval |\n|---|--:|---|\n");
        }
        let _ = writeln!(
            text,
            "| {} | {:.3} | {:.3}-{:.3} |",
            link.phrase,
            median(ratios),
            interval.low,
            interval.high
        );
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::ends::Sending;
    use crate::wan::run::FlowOutcome;

    fn outcome(goodput_mbps: f64, bytes_retrans: u64, lost: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let sending = Sending {
            bytes_sent: 10_000_000,
            bytes_retrans,
            busy_ms: 1_000.0,
            rwnd_limited_ms: 250.0,
            ..Sending::default()
        };
        outcome.flows = vec![FlowOutcome { goodput_mbps, sending, ..FlowOutcome::default() }];
        outcome.relay.out.lost = lost;
        outcome.relay.out.missing_bytes = lost * 1_500;
        outcome
    }

    #[test]
    fn sent_again_is_measured_in_payload_with_slack_for_the_few() {
        // 100 segments of 1,448 lost: 159,280 and 28,960 of slack may be sent again.
        assert!(resends_little(&outcome(1.0, 188_240, 100)));
        assert!(!resends_little(&outcome(1.0, 188_241, 100)));
    }

    #[test]
    fn what_is_wanted_depends_on_the_link_the_controller_and_the_direction() {
        let lossy = Wanted::OfLinuxUnderLoss(97);
        for (wanted, label, name, ratio, of_clean, told) in [
            (lossy, SEND, "cubic", 1.31, 1.0, "**no**"),
            (lossy, SEND, "bbr", 1.31, 1.0, "yes"),
            (lossy, SEND, "reno", 0.97, 1.0, "yes"),
            (lossy, RECEIVE, "reno", 0.97, 1.0, "**no**"),
            (Wanted::OfClean(98), SEND, "bbr", 0.1, 0.99, "yes"),
            (Wanted::OfClean(98), SEND, "bbr", 2.0, f64::NAN, "needs"),
            (Wanted::OfLinux(98), SEND, "cubic", 0.97, 1.0, "**no**"),
            (Wanted::OfLinux(98), SEND, "bbr3", 0.97, 1.0, "see below"),
        ] {
            let verdict = verdict(wanted, label, name, ratio, of_clean);
            assert!(verdict.contains(told), "{wanted:?} {label} {name} {ratio}: {verdict}");
        }
    }

    #[test]
    fn a_row_compares_runs_of_the_same_seed() {
        let contender =
            Contender { name: "reno".to_owned(), kernels: "reno".to_owned(), is_ours: true };
        let link = links::ALL[0];
        let round = |seed| Round {
            link,
            congestion: "reno".to_owned(),
            task: Task::Bulk(std::time::Duration::from_secs(1)),
            seed,
            specs: specs(&contender, &[Direction::Send]),
        };
        let runs = [
            (round(1), vec![Some(outcome(10.0, 0, 0)), Some(outcome(5.0, 0, 0))]),
            (round(2), vec![Some(outcome(80.0, 0, 0)), Some(outcome(80.0, 0, 0))]),
            (round(3), vec![Some(outcome(40.0, 0, 0)), Some(outcome(60.0, 0, 0))]),
            (round(4), vec![None, Some(outcome(99.0, 0, 0))]),
        ];
        let row = row(&link, &contender, SEND, &runs).unwrap();
        assert!(row.contains("| clean | reno | 3 | 40.0 | 70.0 | 1.000 | 0.500-1.500 |"), "{row}");
        assert!(row.contains("cwnd 75 %, receive window 25 %"), "{row}");
    }
}
