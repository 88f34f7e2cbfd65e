//! The table of speeds: which runs it needs, each in a process and a namespace of its own, and what
//! is made of them.
//!
//! The sides of a repetition run one after the other, and which of them begins turns with the
//! repetition: a ratio is of two runs that were near in time. It is taken pair by pair, and of the
//! ratios the median.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::plan::{self, Outcome, Pinning, Side, WARM_UP, Workload};
use crate::namespace::Kind;
use crate::wan::bench::runner::output_of;
use crate::wan::bench::statistics::{median, quantile};

/// After so long beyond its time a run has failed.
const GRACE: Duration = Duration::from_secs(40);

const GIB: f64 = (1_u64 << 30) as f64;

/// What is wanted, on a command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Which workloads [default: all].
    #[arg(value_enum, value_name = "WORKLOAD")]
    pub workloads: Vec<Workload>,
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How often each run is made.
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub reps: u32,
    /// How long a run is measured.
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    pub seconds: f64,
    /// How many connections a transfer has, one table row each.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,8",
          value_parser = flows)]
    pub flows: Vec<usize>,
    /// Whose TCP serves; veth is what the others are compared with [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    pub sides: Vec<Side>,
    /// The MTU of the interfaces; loopback keeps its own.
    #[arg(long, default_value_t = 1500)]
    pub mtu: u32,
    /// Which processors client and server may use, one table row each [default: transfers one and
    /// split, ping-pong one].
    #[arg(long, value_enum, value_delimiter = ',')]
    pub pin: Vec<Pinning>,
}

/// How many threads the client may have.
const MOST_FLOWS: usize = 64;

fn flows(text: &str) -> Result<usize, String> {
    let flows = text.parse().map_err(|error| format!("{error}"))?;
    if (1..=MOST_FLOWS).contains(&flows) {
        return Ok(flows);
    }
    Err(format!("1 to {MOST_FLOWS} flows: each is a thread of the client"))
}

/// A row's runs: the same for every side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Row {
    workload: Workload,
    flows: usize,
    seconds: f64,
    mtu: u32,
    pin: Pinning,
}

/// A run and what came of it; `None` failed.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    row: Row,
    side: Side,
    rep: u32,
    outcome: Option<Outcome>,
}

impl Record {
    /// Whether the run failed.
    pub fn is_failed(&self) -> bool {
        self.outcome.is_none()
    }
}

impl Options {
    fn rows(&self) -> Vec<Row> {
        let all = if self.workloads.is_empty() { &Workload::ALL[..] } else { &self.workloads };
        let rows = |&workload: &Workload| -> Vec<Row> {
            let pins = if self.pin.is_empty() { workload.pinnings() } else { &self.pin };
            let flows: &[usize] = if workload == Workload::Rr { &[1] } else { &self.flows };
            let (seconds, mtu) = (self.seconds, self.mtu);
            let row = |flows, pin| Row { workload, flows, seconds, mtu, pin };
            let of_flows = |&flows| pins.iter().map(move |&pin| row(flows, pin));
            flows.iter().flat_map(of_flows).collect()
        };
        all.iter().flat_map(rows).collect()
    }

    fn sides(&self) -> &[Side] {
        if self.sides.is_empty() { &Side::ALL } else { &self.sides }
    }
}

/// Makes all runs, and tells on standard error how it goes.
///
/// # Errors
///
/// When the options ask for what cannot be measured. A run that fails is in the records.
pub fn run_all(options: &Options, kind: Kind) -> anyhow::Result<Vec<Record>> {
    let duration = plan::duration(options.seconds)?;
    let program = std::env::current_exe().context("this program's path")?;
    let sides = options.sides();
    let mut records = Vec::new();
    for row in options.rows() {
        for rep in 0..options.reps {
            for index in 0..sides.len() {
                let side = sides[(rep as usize + index) % sides.len()];
                let mut command = Command::new(&program);
                command.args(["run", "--namespace", kind.word(), "--side", side.word()]);
                command.args(["--workload", row.workload.word(), "--pin", row.pin.word()]);
                command.args(["--flows", &row.flows.to_string(), "--mtu", &row.mtu.to_string()]);
                command.args(["--seconds", &row.seconds.to_string()]);
                let outcome = output_of(command, duration + WARM_UP + GRACE)
                    .and_then(|text| Ok(serde_json::from_str::<Outcome>(&text)?))
                    .inspect_err(|error| eprintln!("speed: {side}: {error:#}"))
                    .ok();
                let told = outcome.as_ref().map_or("failed".to_owned(), |it| figure(&row, it));
                let (word, flows, pin) = (row.workload.word(), row.flows, row.pin.word());
                eprintln!("{word} x{flows} {pin} {}/{}: {side}: {told}", rep + 1, options.reps);
                records.push(Record { row, side, rep, outcome });
            }
        }
    }
    Ok(records)
}

/// The figure that a workload is about: more is better.
fn rate(outcome: &Outcome) -> f64 {
    match &outcome.client.exchanges {
        Some(exchanges) => exchanges.count as f64 / outcome.seconds,
        None => outcome.bytes as f64 * 8.0 / outcome.seconds / 1e9,
    }
}

/// The figure that sides are compared by: round trips by the time that half of them take.
fn compared(outcome: &Outcome) -> f64 {
    outcome.client.exchanges.as_ref().map_or_else(|| rate(outcome), |exchanges| exchanges.p50_us)
}

fn figure(row: &Row, outcome: &Outcome) -> String {
    match row.workload {
        Workload::Rr => format!("{:.0}/s", rate(outcome)),
        _ => format!("{:.2} Gbit/s", rate(outcome)),
    }
}

/// The records as a Markdown table.
pub fn table(options: &Options, records: &[Record]) -> String {
    let mut text = String::from(
        "| workload, flows, pinning | side | rate (least to most) | ratio to veth, pair by pair \
         | p50, p99, p99.9 us | machine CPU | server CPU | client CPU | longest wait ms \
         | sent again, server + client | tx_dropped | failed |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in options.rows() {
        for &side in options.sides() {
            let of = |side| {
                records.iter().filter(move |record| record.row == row && record.side == side)
            };
            let runs: Vec<&Outcome> = of(side).filter_map(|it| it.outcome.as_ref()).collect();
            let failed = of(side).count() - runs.len();
            let kernels = |rep| of(Side::Veth).find(|it| it.rep == rep)?.outcome.as_ref();
            let ratios: Vec<f64> = of(side)
                .filter_map(|it| Some(compared(it.outcome.as_ref()?) / compared(kernels(it.rep)?)))
                .collect();
            let (word, flows, pin) = (row.workload.word(), row.flows, row.pin.word());
            // Writing to a string does not fail.
            let _ = write!(text, "| {word}, {flows}, {pin} | {side} | ");
            match runs.is_empty() {
                true => text.push_str("- | - | - | - | - | - | - | - | - "),
                false => write_figures(&mut text, &row, &runs, &ratios),
            }
            let _ = writeln!(text, "| {failed} |");
        }
    }
    text.push_str(
        "\nRatios of rates (more is better), for rr of p50 (less is better). CPU is seconds per GiB, \
         for rr microseconds per exchange; machine: all processors, less what was busy before. \
         tx_dropped, segments sent again, longest wait: the most of any run.\n",
    );
    text
}

fn write_figures(text: &mut String, row: &Row, runs: &[&Outcome], ratios: &[f64]) {
    let at =
        |part, value: &dyn Fn(&Outcome) -> f64| quantile(runs.iter().map(|run| value(run)), part);
    let least = |value: &dyn Fn(&Outcome) -> f64| at(0.0, value);
    let middle = |value: &dyn Fn(&Outcome) -> f64| at(0.5, value);
    let most = |value: &dyn Fn(&Outcome) -> f64| at(1.0, value);
    let (low, high) = (least(&rate), most(&rate));
    let _ = match row.workload {
        Workload::Rr => write!(text, "{:.0}/s ({low:.0} to {high:.0})", middle(&rate)),
        _ => write!(text, "{:.2} Gbit/s ({low:.2} to {high:.2})", middle(&rate)),
    };
    let _ = match ratios.is_empty() {
        true => write!(text, " | - | "),
        false => write!(text, " | {:.3} | ", median(ratios.iter().copied())),
    };
    if runs.iter().all(|run| run.client.exchanges.is_some()) {
        let at = |value: fn(&super::plan::Exchanges) -> f64| {
            middle(&|run| run.client.exchanges.as_ref().map_or(f64::NAN, value))
        };
        let (p50, p99, p999) = (at(|it| it.p50_us), at(|it| it.p99_us), at(|it| it.p999_us));
        let _ = write!(text, "{p50:.1}, {p99:.1}, {p999:.1}");
    } else {
        text.push('-');
    }
    let per = |cpu: fn(&Outcome) -> f64| {
        middle(&|run| match &run.client.exchanges {
            Some(exchanges) => cpu(run) * 1e6 / exchanges.count as f64,
            None => cpu(run) * GIB / run.bytes as f64,
        })
    };
    let servers = runs.iter().filter_map(|run| run.server_retransmitted).max();
    let _ = write!(
        text,
        " | {:.3} | {:.3} | {:.3} | {:.1} | {} + {:.0} | {:.0} ",
        per(|run| run.machine_cpu),
        per(|run| run.server_cpu),
        per(|run| run.client.cpu),
        most(&|run| run.client.longest_wait_ms),
        servers.map_or("-".to_owned(), |segments| segments.to_string()),
        most(&|run| run.client.retransmitted as f64),
        most(&|run| run.tx_dropped as f64),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speed::plan::Told;

    fn options() -> Options {
        Options {
            workloads: vec![Workload::Upload],
            json: None,
            reps: 3,
            seconds: 1.0,
            flows: vec![1],
            sides: vec![Side::Veth, Side::TowpathPlain],
            mtu: 1500,
            pin: vec![Pinning::Split],
        }
    }

    fn record(side: Side, rep: u32, gbit: Option<f64>) -> Record {
        let outcome = gbit.map(|gbit| Outcome {
            seconds: 1.0,
            bytes: (gbit * 1e9 / 8.0) as u64,
            client: Told::default(),
            machine_cpu: 1.5,
            idle_baseline: 0.0,
            server_cpu: 0.5,
            server_retransmitted: Some(0),
            tx_dropped: u64::from(rep),
        });
        Record { row: options().rows()[0], side, rep, outcome }
    }

    #[test]
    fn ratios_are_taken_pair_by_pair_and_a_failed_run_has_none() {
        let veth = [10.0, 20.0, 40.0].map(Some);
        let ours = [Some(5.0), None, Some(30.0)];
        let of = |side, rates: [Option<f64>; 3]| {
            rates.into_iter().zip(0..).map(move |(gbit, rep)| record(side, rep, gbit))
        };
        let records: Vec<_> = of(Side::Veth, veth).chain(of(Side::TowpathPlain, ours)).collect();
        let text = table(&options(), &records);
        let line = text.lines().find(|line| line.contains("Towpath")).unwrap();
        // 0.5 and 0.75, where the medians of all runs have 17.5 to 20.
        assert!(line.contains("| 17.50 Gbit/s (5.00 to 30.00) | 0.625 | - |"), "{line}");
        assert!(line.ends_with("| 0 + 0 | 2 | 1 |"), "{line}");
    }

    #[test]
    fn too_many_flows_are_refused() {
        assert_eq!(flows("64"), Ok(64));
        for text in ["0", "65", "x"] {
            flows(text).unwrap_err();
        }
    }
}
