//! The tables of the WAN tests: which runs they need, and what is made of them.
//!
//! A module a table: it makes its rounds, [`runner`] runs them, and it folds what came of them into
//! Markdown. Everything that was measured goes into the JSON beside it.

pub mod coexist;
pub mod completion;
pub mod goodput;
pub mod outage;
pub mod runner;
pub mod statistics;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::runner::{Done, Runner};
use super::ends::{self, Tcp};
use super::links::{self, WanLink};
use super::run::{Flow, Outcome};

/// What is wanted, on a command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How many seeds, each a round of runs [default: 9].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub reps: Option<u64>,
    /// How long the flows of a run send [default: 30; 40 with --outage, 120 with --coexist].
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// The first seed; the others follow.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Which ways: clean, loss-0.1, loss-1, loss-2, loss-5, bursts, late, duplicates, long, shallow
    /// [default: all].
    #[arg(long, value_delimiter = ',', value_parser = links::named)]
    pub links: Vec<WanLink>,
    /// Which controllers.
    #[arg(long = "cc", value_delimiter = ',', default_value = "cubic,reno,bbr,bbr3")]
    pub congestion: Vec<String>,
    /// Which way data flow, seen from Towpath.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "send,receive")]
    pub direction: Vec<Direction>,
    /// A first look: one seed, 5 seconds, the clean way and 1 % loss.
    #[arg(long)]
    pub quick: bool,
    /// How many rounds at the same time, each with namespaces and a relay of its own. The table tells
    /// how late the relays were: more than one is for machines with processors to spare.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Instead: how long flows of 10, 100 and 1000 kB take.
    #[arg(long, group = "table")]
    pub completion: bool,
    /// Instead: how soon the rate is back after an outage of 3 seconds.
    #[arg(long, group = "table")]
    pub outage: bool,
    /// Instead: how a flow of Towpath and one of the kernel share a bottleneck.
    #[arg(long, group = "table")]
    pub coexist: bool,
}

/// Which way data flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Direction {
    /// Towpath sends, the kernel receives.
    Send,
    /// The kernel sends, Towpath receives.
    Receive,
}

impl Options {
    fn reps(&self) -> u64 {
        self.reps.unwrap_or(if self.quick { 1 } else { 9 })
    }

    fn duration(&self, default: f64) -> Duration {
        let default = if self.quick { 5.0 } else { default };
        Duration::try_from_secs_f64(self.seconds.unwrap_or(default)).unwrap_or_default()
    }

    fn seeds(&self) -> std::ops::Range<u64> {
        self.seed..self.seed + self.reps()
    }
}

/// A controller, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Its name in Towpath.
    pub name: String,
    /// What it is compared with: the kernel has no bbr3, its bbr stands in.
    pub kernels: String,
    /// Whether Towpath has it.
    pub is_ours: bool,
}

/// Those of the names that can be compared; of the others a line on standard error says why not.
pub fn contenders(names: &[String]) -> Vec<Contender> {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let available = std::fs::read_to_string(path).unwrap_or_default();
    let mut contenders = Vec::new();
    for name in names {
        let kernels = if name == "bbr3" { "bbr" } else { name };
        if !available.split_whitespace().any(|has| has == kernels) {
            eprintln!("{name}: left out, this kernel has no {kernels}: {}", available.trim());
            continue;
        }
        let setting = [("tcp_congestion_control".to_owned(), name.clone())];
        let ours = ends::config(&setting);
        if let Err(error) = &ours {
            eprintln!("{name}: left out where Towpath sends, it has none: {error}");
        }
        let (name, kernels) = (name.clone(), kernels.to_owned());
        contenders.push(Contender { name, kernels, is_ours: ours.is_ok() });
    }
    contenders
}

fn flow(sender: Tcp, receiver: Tcp, congestion: &str) -> Flow {
    Flow { sender, receiver, congestion: congestion.to_owned() }
}

/// A table and what it was made of.
#[derive(Debug)]
pub struct Table {
    /// In Markdown.
    pub text: String,
    /// The runs.
    pub runs: Vec<Done>,
}

/// Makes the table that the options ask for.
pub fn table(options: &Options, runner: &Runner) -> Table {
    let contenders = contenders(&options.congestion);
    if options.completion {
        completion::table(options, &contenders, runner)
    } else if options.outage {
        outage::table(options, &contenders, runner)
    } else if options.coexist {
        coexist::table(options, &contenders, runner)
    } else {
        goodput::table(options, &contenders, runner)
    }
}

/// How late the relays of these runs were, in a line.
pub fn lateness(runs: &[Done]) -> String {
    let outcomes = || runs.iter().flat_map(|(_, outcomes)| outcomes.iter().flatten());
    let of = |what: fn(&Outcome) -> u64| {
        let values = outcomes().map(|outcome| what(outcome) as f64 / 1_000.0);
        (statistics::median(values.clone()), values.fold(0.0, f64::max))
    };
    let (p50, p50_most) = of(|outcome| outcome.relay.lateness.median_ns);
    let (p99, p99_most) = of(|outcome| outcome.relay.lateness.p99_ns);
    let (largest, largest_most) = of(|outcome| outcome.relay.lateness.largest_ns);
    format!(
        "The relay handed packets over late by, in microseconds, median of the runs (worst run): \
         half {p50:.0} ({p50_most:.0}), 99 of 100 {p99:.0} ({p99_most:.0}), \
         all {largest:.0} ({largest_most:.0})."
    )
}

/// One run as the JSON has it.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    link: &'static str,
    out: &'static str,
    back: &'static str,
    congestion: &'a str,
    seed: u64,
    label: &'static str,
    flows: Vec<String>,
    outcome: Option<Outcome>,
}

/// All runs as the JSON has them. What was counted every 10 ms is only kept where a table is made
/// of it.
pub fn records<'a>(options: &Options, runs: &'a [Done]) -> Vec<Record<'a>> {
    let keeps_series = options.outage || options.coexist;
    let one = |(round, outcomes): &'a Done| {
        let pairs = round.specs.iter().zip(outcomes);
        pairs.map(move |(spec, outcome)| Record {
            link: round.link.name,
            out: round.link.out,
            back: round.link.back,
            congestion: &round.congestion,
            seed: round.seed,
            label: spec.label,
            flows: spec.flows.iter().map(Flow::to_string).collect(),
            outcome: outcome.clone().map(|mut outcome| {
                outcome.relay.out.lost_numbers.clear();
                outcome.relay.back.lost_numbers.clear();
                if !keeps_series {
                    outcome.relay.out.series.clear();
                    outcome.relay.back.series.clear();
                    outcome.flows.iter_mut().for_each(|flow| flow.series.clear());
                }
                outcome
            }),
        })
    };
    runs.iter().flat_map(one).collect()
}
