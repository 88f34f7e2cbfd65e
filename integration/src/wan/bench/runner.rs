//! Makes runs: each in a process of its own, in namespaces of its own, with a relay of its own;
//! those of one round one after the other, so that what they are compared with is near in time.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::namespace::Kind;
use crate::wan::links::WanLink;
use crate::wan::run::{Flow, Outcome, Task};

/// What a run takes beyond its flows' time.
const SET_UP: Duration = Duration::from_millis(800);

/// After so long beyond its time a run has failed.
const GRACE: Duration = Duration::from_secs(150);

/// A connection of [`Task::Whole`] takes about so long, for the estimate of what is left.
const WHOLE: Duration = Duration::from_millis(600);

/// One run of a round.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What the run is for, for whoever reads.
    pub label: &'static str,
    /// What flows.
    pub flows: Vec<Flow>,
}

/// Runs that are compared: on the same way, with the same packets lost.
#[derive(Clone, Debug)]
pub struct Round {
    /// The way.
    pub link: WanLink,
    /// The controller that it is about.
    pub congestion: String,
    /// What the flows do.
    pub task: Task,
    /// Decides what is lost.
    pub seed: u64,
    /// The runs. In which order they are made turns with the seed.
    pub specs: Vec<Spec>,
}

impl Round {
    fn duration(&self) -> Duration {
        let flows = match self.task {
            Task::Bulk(duration) => duration,
            Task::Whole { times, .. } => WHOLE * times,
        };
        (flows + SET_UP) * u32::try_from(self.specs.len()).unwrap_or(u32::MAX)
    }
}

/// A round and what came of it, in the order of its specs; `None` failed.
pub type Done = (Round, Vec<Option<Outcome>>);

/// Starts processes of this program.
#[derive(Clone, Debug)]
pub struct Runner {
    /// This program.
    pub program: PathBuf,
    /// The kind of namespace to enter.
    pub kind: Kind,
    /// How many rounds are made at the same time.
    pub jobs: usize,
}

impl Runner {
    /// Makes all rounds, and tells on standard error how it goes.
    pub fn run_all(&self, rounds: Vec<Round>) -> Vec<Done> {
        let all = rounds.len();
        let state = Mutex::new(State { left: rounds, done: Vec::new() });
        let state = &state;
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(move || {
                    loop {
                        // The lock is not held while the round is made.
                        let next = lock(state).take();
                        let Some(round) = next else { break };
                        let outcomes = self.run_round(&round);
                        let mut state = lock(state);
                        let number = state.done.len() + 1;
                        let left: Duration = state.left.iter().map(Round::duration).sum();
                        let left = left / u32::try_from(self.jobs.max(1)).unwrap_or(1);
                        eprintln!("{}", progress(number, all, left, &round, &outcomes));
                        state.done.push((round, outcomes));
                    }
                });
            }
        });
        std::mem::take(&mut lock(state).done)
    }

    fn run_round(&self, round: &Round) -> Vec<Option<Outcome>> {
        let count = round.specs.len();
        let first = (round.seed % count.max(1) as u64) as usize;
        let mut outcomes = vec![None; count];
        for index in (0..count).map(|index| (first + index) % count) {
            let outcome = self.run(round, &round.specs[index]);
            outcomes[index] = outcome
                .inspect_err(|error| eprintln!("{}: {error:#}", round.specs[index].label))
                .ok();
        }
        outcomes
    }

    fn run(&self, round: &Round, spec: &Spec) -> anyhow::Result<Outcome> {
        let link = round.link;
        let mut command = Command::new(&self.program);
        command.args(["run", "--namespace", self.kind.word()]);
        command.args(["--out", link.out, "--back", link.back, "--seed", &round.seed.to_string()]);
        for (name, value) in link.settings {
            command.args(["--set", &format!("{name}={value}")]);
        }
        for flow in &spec.flows {
            command.args(["--flow", &flow.to_string()]);
        }
        match round.task {
            Task::Bulk(duration) => {
                command.args(["--seconds", &duration.as_secs_f64().to_string()])
            }
            Task::Whole { bytes, times } => {
                command.args(["--whole", &bytes.to_string(), "--times", &times.to_string()])
            }
        };
        let text = output_of(command, round.duration() + GRACE)?;
        serde_json::from_str(&text).with_context(|| format!("what the run said: {text}"))
    }
}

#[derive(Debug)]
struct State {
    left: Vec<Round>,
    done: Vec<Done>,
}

impl State {
    fn take(&mut self) -> Option<Round> {
        (!self.left.is_empty()).then(|| self.left.remove(0))
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What a process prints until it ends, which it does within the limit.
pub(crate) fn output_of(mut command: Command, limit: Duration) -> anyhow::Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().context("the run's output")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("a run was ended after {limit:?}");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let text =
        reader.join().map_err(|_| anyhow::anyhow!("reading the run's output panicked"))??;
    if !status.success() {
        bail!("a run ended with {status}");
    }
    Ok(text)
}

/// One line: what was done last and how long the rest takes.
fn progress(
    number: usize,
    all: usize,
    left: Duration,
    round: &Round,
    outcomes: &[Option<Outcome>],
) -> String {
    let told = round.specs.iter().zip(outcomes).map(|(spec, outcome)| {
        let figures = outcome.as_ref().map_or("failed".to_owned(), |outcome| {
            let figure = |flow: &crate::wan::run::FlowOutcome| match flow.completion_ms.first() {
                Some(_) => {
                    format!("{:.1} ms", super::statistics::median(flow.completion_ms.clone()))
                }
                None => format!("{:.1}", flow.goodput_mbps),
            };
            outcome.flows.iter().map(figure).collect::<Vec<_>>().join("+")
        });
        format!("{} {figures}", spec.label)
    });
    let (minutes, seconds) = (left.as_secs() / 60, left.as_secs() % 60);
    format!(
        "{number}/{all} {} {} seed {}: {}; {minutes}:{seconds:02} left",
        round.link.name,
        round.congestion,
        round.seed,
        told.collect::<Vec<_>>().join(", ")
    )
}
