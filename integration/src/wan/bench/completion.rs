//! How long short flows take, from the call of `connect` to the last byte's arrival: on the clean
//! way, one connection after the other.

use std::fmt::Write as _;

use super::runner::{Done, Round, Runner, Spec};
use super::statistics::{median, median_interval, quantile};
use super::{Contender, Direction, Options, Table, flow, lateness};
use crate::wan::ends::Tcp;
use crate::wan::links;
use crate::wan::run::Task;

/// How many bytes the flows have.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// How many connections a run makes.
const TIMES: u32 = 20;

/// Up to so much a flow of Towpath is taken to be as fast as Linux's: before Towpath stands an
/// interface and a router more, which take tenths of a millisecond in each direction.
const TOLERANCE: f64 = 1.01;

/// Makes it.
pub fn table(options: &Options, contenders: &[Contender], runner: &Runner) -> Table {
    let mut rounds = Vec::new();
    for seed in options.seeds() {
        for bytes in SIZES {
            for contender in contenders {
                let specs = specs(contender, &options.direction);
                if specs.len() > 1 {
                    let (link, congestion) = (links::ALL[0], contender.name.clone());
                    let task = Task::Whole { bytes, times: TIMES };
                    rounds.push(Round { link, congestion, task, seed, specs });
                }
            }
        }
    }
    let runs = runner.run_all(rounds);
    let text = text(contenders, &runs);
    Table { text, runs }
}

const LABELS: [&str; 3] = ["Linux to Linux", "Towpath to Linux", "Linux to Towpath"];

fn specs(contender: &Contender, directions: &[Direction]) -> Vec<Spec> {
    let kernels = &contender.kernels;
    let [kernel, send, receive] = LABELS;
    let one = |label, flow| Spec { label, flows: vec![flow] };
    let mut specs = vec![one(kernel, flow(Tcp::Kernel, Tcp::Kernel, kernels))];
    if directions.contains(&Direction::Send) && contender.is_ours {
        specs.push(one(send, flow(Tcp::Towpath, Tcp::Kernel, &contender.name)));
    }
    if directions.contains(&Direction::Receive) && *kernels == contender.name {
        specs.push(one(receive, flow(Tcp::Kernel, Tcp::Towpath, kernels)));
    }
    specs
}

fn text(contenders: &[Contender], runs: &[Done]) -> String {
    let mut text = String::from(
        "From `connect` to the last byte's arrival, 40 ms round trip, in milliseconds.\n\n\
         | size, kB | controller | data | connections | median | 9 of 10 | median / Linux's | interval \
         | no worse than Linux |\n|--:|---|---|--:|--:|--:|--:|---|---|\n",
    );
    for bytes in SIZES {
        for contender in contenders {
            for label in LABELS {
                if let Some(row) = row(bytes, contender, label, runs) {
                    text.push_str(&row);
                }
            }
        }
    }
    let _ = writeln!(
        text,
        "\nRatios are of the medians of two runs of {TIMES} connections each; up to {TOLERANCE} is no \
         worse, since Towpath's packets pass an interface and a router more. {}",
        lateness(runs)
    );
    text
}

fn row(bytes: u64, contender: &Contender, label: &str, runs: &[Done]) -> Option<String> {
    let rounds = runs.iter().filter(|(round, _)| {
        let is_size = matches!(round.task, Task::Whole { bytes: size, .. } if size == bytes);
        is_size && round.congestion == contender.name
    });
    let (mut all, mut ratios) = (Vec::new(), Vec::new());
    for (round, outcomes) in rounds {
        let of = |label| {
            let index = round.specs.iter().position(|spec| spec.label == label)?;
            Some(outcomes.get(index)?.as_ref()?.flows.first()?.completion_ms.clone())
        };
        let Some(mine) = of(label) else { continue };
        if let Some(kernels) = of(LABELS[0]) {
            ratios.push(median(mine.iter().copied()) / median(kernels));
        }
        all.extend(mine);
    }
    let interval = median_interval(ratios.iter().copied())?;
    let is_kernel = label == LABELS[0];
    let compared = if is_kernel {
        "| |".to_owned()
    } else {
        let ratio = median(ratios.iter().copied());
        let verdict = if ratio <= TOLERANCE { "yes" } else { "**no**" };
        format!("{ratio:.3} | {:.3}-{:.3} | {verdict}", interval.low, interval.high)
    };
    Some(format!(
        "| {} | {} | {label} | {} | {:.1} | {:.1} | {compared} |\n",
        bytes / 1_000,
        if is_kernel { &contender.kernels } else { &contender.name },
        all.len(),
        median(all.iter().copied()),
        quantile(all.iter().copied(), 0.9),
    ))
}
