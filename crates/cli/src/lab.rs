//! `towpath lab`: scenarios of the lab in virtual time, as a table, as JSON and as diagrams.

use std::io::{IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use towpath_lab::plot::{Span, over_time, time_sequence};
use towpath_lab::scenario::{self, CongestionControl, Report, SHIPPED, Scenario};

use crate::exit::Failure;

/// Play scenarios of loss, queues and competing flows in virtual time
#[derive(Debug, Args)]
pub(crate) struct Lab {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the scenarios that ship
    List,
    Run(Run),
}

/// Play a scenario with each of some congestion controls, and compare them
///
/// One line a run: goodput of all flows; of the most that the bottleneck can deliver; bytes that
/// were sent again; the queue before the bottleneck, mean and 95th percentile; mean smoothed round
/// trip; Jain's index over the last third of the run.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The name of a scenario that ships, or a file that ends in .toml
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    /// Congestion controls, separated by commas
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "cubic")]
    cc: Vec<String>,

    /// Writes SVG diagrams into this folder: SCENARIO-CC.svg and SCENARIO-CC-sequence.svg
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,

    /// Of the time-sequence diagram: from and up to when, such as 1.5s..2s; by default around the
    /// first retransmission
    #[arg(long, value_name = "FROM..TO", requires = "plot")]
    sequence: Option<String>,

    /// Writes everything over time as JSON: an array with an object for each run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Decides all that is random
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// How many seeds to play, from --seed on: the table has the medians, the diagrams are of the
    /// first
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: NonZeroU32,
}

impl Lab {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::List => list(),
            Command::Run(run) => run.run(),
        }
    }
}

fn list() -> Result<(), Failure> {
    let width = SHIPPED.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = SHIPPED.iter().filter_map(|(name, _)| {
        Some(format!("{name:<width$}  {}\n", scenario::shipped(name)?.title))
    });
    print(&lines.collect::<String>())
}

impl Run {
    fn run(self) -> Result<(), Failure> {
        let mut scenario = find(&self.scenario)?;
        let span = self.sequence.as_deref().map(span).transpose()?;
        if let Some(Span { from_us, to_us }) = span {
            scenario.sequence =
                Some((Duration::from_micros(from_us), Duration::from_micros(to_us)));
        }
        let controls: Vec<_> = self
            .cc
            .iter()
            .map(|name| scenario::control(name.trim()))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::refused(format!("--cc: {error}")))?;
        if let Some(folder) = &self.plot {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::refused(format!("--plot {}: {error}", folder.display()))
            })?;
        }
        let mut reports = Vec::new();
        let mut medians = Vec::new();
        for control in controls {
            let first = reports.len();
            for seed in (self.seed..).take(self.seeds.get() as usize) {
                reports.push(play(&scenario, control, seed)?);
            }
            let runs = &reports[first..];
            // Of the first seed: what the table does not show.
            let mut shown = runs[0].clone();
            shown.summary = scenario::medians(runs).unwrap_or(shown.summary);
            medians.push(shown);
        }
        if let Some(folder) = &self.plot {
            let firsts = reports.iter().filter(|report| report.seed == self.seed);
            firsts.into_iter().try_for_each(|report| plot(folder, report, span))?;
        }
        if let Some(file) = &self.json {
            let text = serde_json::to_string(&reports).map_err(Failure::failed)?;
            write(file, &text)?;
        }
        print(&scenario::table(&medians.iter().collect::<Vec<_>>()))
    }
}

/// One run, with a progress bar.
fn play(scenario: &Scenario, control: CongestionControl, seed: u64) -> Result<Report, Failure> {
    let bar = progress(&format!("{} {} {seed}", scenario.name, control.name()));
    let play = std::panic::AssertUnwindSafe(|| {
        scenario::run(scenario, control, seed, |part| {
            bar.set_position((part * 1000.0) as u64);
        })
    });
    let played = std::panic::catch_unwind(play);
    bar.finish_and_clear();
    // What was broken has been told by the panic.
    played.map_err(|_| Failure::failed(format!("an invariant is broken, seed {seed}")))
}

/// A shipped scenario by its name, or the one in a file.
fn find(name: &str) -> Result<Scenario, Failure> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "toml") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::refused(format!("{name}: {error}")))?;
        let mut scenario = Scenario::parse(name, &text).map_err(Failure::refused)?;
        // Files are named after it.
        if let Some(stem) = path.file_stem() {
            scenario.name = stem.to_string_lossy().into_owned();
        }
        return Ok(scenario);
    }
    scenario::shipped(name).ok_or_else(|| {
        Failure::refused(format!(
            "{name} is no scenario: `towpath lab list` has those that ship, a file ends in .toml"
        ))
    })
}

/// `1.5s..2s`.
fn span(text: &str) -> Result<Span, Failure> {
    let read = |text: &str| {
        let time = humantime::parse_duration(text.trim()).ok().map(|time| time.as_micros() as u64);
        // The unit is that of the axis if none is given.
        time.or_else(|| Some((text.trim().parse::<f64>().ok()? * 1e6) as u64))
    };
    let ends = text.split_once("..").and_then(|(from, to)| Some((read(from)?, read(to)?)));
    match ends {
        Some((from_us, to_us)) if from_us < to_us => Ok(Span { from_us, to_us }),
        _ => Err(Failure::refused(format!("--sequence {text}: want FROM..TO, such as 1s..2s"))),
    }
}

fn plot(folder: &Path, report: &Report, span: Option<Span>) -> Result<(), Failure> {
    let name = format!("{}-{}", report.scenario, report.congestion);
    write(&folder.join(format!("{name}.svg")), &over_time(report))?;
    match time_sequence(report, span) {
        Some(text) => write(&folder.join(format!("{name}-sequence.svg")), &text),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("standard output: {error}")))
}

/// On standard error, and on a terminal only.
fn progress(what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1000).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} % {eta:>4}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_two_times_in_order() {
        let ok = |text| span(text).ok().map(|span| (span.from_us, span.to_us));
        assert_eq!(ok("1.5..2"), Some((1_500_000, 2_000_000)));
        assert_eq!(ok("100ms..2s"), Some((100_000, 2_000_000)));
        for wrong in ["2..1", "1", "1..x", "..", "1..1"] {
            assert_eq!(ok(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_scenario_is_told_in_one_line() {
        for wrong in ["lanz", "nowhere.toml"] {
            let error = find(wrong).expect_err(wrong).to_string();
            assert!(error.contains(wrong) && error.lines().count() == 1, "{error}");
        }
    }
}
