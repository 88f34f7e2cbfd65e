//! How a flow of Towpath and one of the kernel share a bottleneck when both have the same
//! controller; beside it, how two of the kernel do.

use std::fmt::Write as _;

use super::runner::{Done, Round, Runner, Spec};
use super::statistics::{median, median_interval};
use super::{Contender, Options, Table, flow, lateness};
use crate::wan::ends::Tcp;
use crate::wan::links::{CLEAN, WanLink, Wanted};
use crate::wan::relay::BUCKET_MS;
use crate::wan::run::{Outcome, Task};

/// Shares are of this last part of the run.
const LAST_SECONDS: u64 = 60;

/// The bandwidth-delay product of 100 Mbit/s and 40 ms is 500 kB: these hold one and four.
const LINKS: [WanLink; 2] = [
    link("1-bdp", "1 BDP of buffer", CLEAN),
    link("4-bdp", "4 BDP of buffer", "rate=100Mbit,delay=20ms,queue=2MB"),
];

const fn link(name: &'static str, phrase: &'static str, out: &'static str) -> WanLink {
    WanLink { name, phrase, out, back: CLEAN, settings: &[], wanted: Wanted::OfLinux(100) }
}

const BOTH: &str = "Towpath and Linux";
const KERNELS: &str = "Linux and Linux";

/// Makes it.
pub fn table(options: &Options, contenders: &[Contender], runner: &Runner) -> Table {
    let task = Task::Bulk(options.duration(120.0));
    let mut rounds = Vec::new();
    for seed in options.seeds() {
        for link in LINKS {
            for contender in contenders.iter().filter(|contender| contender.is_ours) {
                let beside = || flow(Tcp::Kernel, Tcp::Kernel, &contender.kernels);
                let ours = flow(Tcp::Towpath, Tcp::Kernel, &contender.name);
                let specs = vec![
                    Spec { label: BOTH, flows: vec![ours, beside()] },
                    Spec { label: KERNELS, flows: vec![beside(), beside()] },
                ];
                let congestion = contender.name.clone();
                rounds.push(Round { link, congestion, task, seed, specs });
            }
        }
    }
    let runs = runner.run_all(rounds);
    let text = text(contenders, &runs);
    Table { text, runs }
}

fn text(contenders: &[Contender], runs: &[Done]) -> String {
    let mut text = format!(
        "Two flows of one controller begin together; shares of the last {LAST_SECONDS} s, or of the \
         second half of a shorter run.\n\n\
         | link | controller | n | Towpath's share beside Linux | interval | 0.4 to 0.6 | \
         one Linux flow's beside another, least to most | both, Mbit/s |\n\
         |---|---|--:|--:|---|---|---|--:|\n"
    );
    for link in LINKS {
        for contender in contenders {
            let outcomes = |index: usize| {
                let of = runs.iter().filter(move |(round, _)| {
                    round.link.name == link.name && round.congestion == contender.name
                });
                of.filter_map(move |(_, outcomes)| outcomes.get(index)?.as_ref())
            };
            let shares: Vec<f64> = outcomes(0).filter_map(share).collect();
            let Some(interval) = median_interval(shares.iter().copied()) else { continue };
            let middle = median(shares.iter().copied());
            let kernels: Vec<f64> = outcomes(1).filter_map(share).collect();
            let both = outcomes(0).map(|run| run.flows.iter().map(|flow| flow.goodput_mbps).sum());
            let _ = writeln!(
                text,
                "| {} | {} | {} | {middle:.3} | {:.3}-{:.3} | {} | {:.3}-{:.3} | {:.1} |",
                link.phrase,
                contender.name,
                shares.len(),
                interval.low,
                interval.high,
                if (0.4..=0.6).contains(&middle) { "yes" } else { "**no**" },
                kernels.iter().copied().fold(f64::INFINITY, f64::min),
                kernels.iter().copied().fold(0.0, f64::max),
                median(both),
            );
        }
    }
    let _ = writeln!(text, "\n{}", lateness(runs));
    text
}

/// The first flow's part of what both brought in the last part of the run.
fn share(outcome: &Outcome) -> Option<f64> {
    let [first, second] = &outcome.flows[..] else { return None };
    let length = first.series.len().max(second.series.len());
    let last = ((LAST_SECONDS * 1_000 / BUCKET_MS) as usize).min(length / 2);
    let sum = |series: &[u64]| series.iter().skip(length - last).sum::<u64>() as f64;
    let (first, second) = (sum(&first.series), sum(&second.series));
    let both = first + second;
    (both > 0.0).then(|| first / both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::run::FlowOutcome;

    #[test]
    fn every_way_is_one_that_the_relay_understands() {
        for link in LINKS {
            link.out.parse::<towpath_netem::LinkConfig>().unwrap().validate().unwrap();
        }
    }

    #[test]
    fn a_share_is_of_the_last_half_of_a_short_run() {
        let flow = |series: Vec<u64>| FlowOutcome { series, ..FlowOutcome::default() };
        // The second one ends its series early: nothing came after.
        let flows = vec![flow(vec![9, 9, 1, 2]), flow(vec![0, 0, 9])];
        let mut outcome = Outcome { flows, ..Outcome::default() };
        assert_eq!(share(&outcome), Some(0.25));
        outcome.flows[0].series.clear();
        outcome.flows[1].series.clear();
        assert_eq!(share(&outcome), None);
    }
}
