//! How soon the rate is back after an outage: seen where packets leave the relay, so both kinds of
//! sender are judged by the same witness.

use std::fmt::Write as _;
use std::time::Duration;

use super::runner::{Done, Round, Runner, Spec};
use super::statistics::{median, median_interval};
use super::{Contender, Options, Table, flow, lateness};
use crate::wan::ends::Tcp;
use crate::wan::links::{WanLink, Wanted};
use crate::wan::relay::BUCKET_MS;
use crate::wan::run::{Outcome, Task};

/// Nothing passes for 3 seconds, from the tenth second of the relay on.
const LINK: WanLink = WanLink {
    name: "outage",
    phrase: "3 s outage",
    out: "rate=100Mbit,delay=20ms,queue=500kB,outages=[{at=10s,lasts=3s}]",
    back: "rate=100Mbit,delay=20ms,queue=500kB,outages=[{at=10s,lasts=3s}]",
    settings: &[],
    wanted: Wanted::OfLinux(100),
};

const ROUND_TRIP_MS: u64 = 40;

/// What 90 % of 100 Mbit/s carries in a round trip.
const WANTED_BYTES: u64 = 90 * ROUND_TRIP_MS * 1_000 / 8;

/// A pause shorter than this is not the outage.
const LEAST_PAUSE: Duration = Duration::from_millis(2_500);

/// The most round trips that are allowed.
const ALLOWED: f64 = 15.0;

const KERNEL: &str = "Linux cubic";
const OURS: &str = "Towpath";

/// Makes it.
pub fn table(options: &Options, contenders: &[Contender], runner: &Runner) -> Table {
    let task = Task::Bulk(options.duration(40.0).max(Duration::from_secs(25)));
    let mut rounds = Vec::new();
    for seed in options.seeds() {
        for contender in contenders.iter().filter(|contender| contender.is_ours) {
            let one = |label, flow| Spec { label, flows: vec![flow] };
            let specs = vec![
                one(KERNEL, flow(Tcp::Kernel, Tcp::Kernel, "cubic")),
                one(OURS, flow(Tcp::Towpath, Tcp::Kernel, &contender.name)),
            ];
            let congestion = contender.name.clone();
            rounds.push(Round { link: LINK, congestion, task, seed, specs });
        }
    }
    let runs = runner.run_all(rounds);
    let text = text(contenders, &runs);
    Table { text, runs }
}

fn text(contenders: &[Contender], runs: &[Done]) -> String {
    let mut text = String::from(
        "From the first packet that gets through after an outage of 3 s until 90 % of the rate passes \
         in a round trip, in round trips of 40 ms.\n\n\
         | controller | n | Linux cubic | Towpath | worst | within 15 | no later than Linux cubic |\n\
         |---|--:|--:|--:|--:|---|---|\n",
    );
    for contender in contenders {
        let pairs = runs.iter().filter_map(|(round, outcomes)| {
            let [kernel, ours] = &outcomes[..] else { return None };
            let is_it = round.congestion == contender.name;
            // One that never came back took for ever.
            let took = |outcome: &Outcome| back_after(outcome).unwrap_or(f64::INFINITY);
            is_it.then_some((took(kernel.as_ref()?), took(ours.as_ref()?)))
        });
        let pairs: Vec<(f64, f64)> = pairs.collect();
        let later = pairs.iter().map(|(kernel, ours)| ours - kernel);
        let Some(later) = median_interval(later.filter(|later| !later.is_nan())) else { continue };
        let ours = median(pairs.iter().map(|pair| pair.1));
        let yes = |is_so| if is_so { "yes" } else { "**no**" };
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {ours:.1} | {:.1} | {} | {} ({:+.1} to {:+.1}) |",
            contender.name,
            pairs.len(),
            median(pairs.iter().map(|pair| pair.0)),
            pairs.iter().map(|pair| pair.1).fold(0.0, f64::max),
            yes(ours <= ALLOWED),
            yes(later.low <= 0.0),
            later.low,
            later.high,
        );
    }
    let _ = writeln!(
        text,
        "\nEndless is a rate that did not come back within the run. {}",
        lateness(runs)
    );
    text
}

/// From the end of the outage, as the first packet behind it tells, until the rate is back, in round
/// trips; `None` if it never is.
fn back_after(outcome: &Outcome) -> Option<f64> {
    let series = &outcome.relay.out.series;
    let first = end_of_the_longest_pause(series)?;
    let window = (ROUND_TRIP_MS / BUCKET_MS) as usize;
    let behind = series.get(first..)?;
    let at = behind.windows(window).position(|bytes| bytes.iter().sum::<u64>() >= WANTED_BYTES)?;
    Some((at + window) as f64 / window as f64)
}

/// Where bytes pass again after the longest time without any.
fn end_of_the_longest_pause(series: &[u64]) -> Option<usize> {
    let (mut longest, mut end, mut pause) = (0, None, 0);
    for (index, bytes) in series.iter().enumerate() {
        if *bytes == 0 {
            pause += 1;
            continue;
        }
        if pause > longest {
            (longest, end) = (pause, Some(index));
        }
        pause = 0;
    }
    let longest = Duration::from_millis(longest * BUCKET_MS);
    end.filter(|_| longest >= LEAST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(series: Vec<u64>) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.relay.out.series = series;
        outcome
    }

    #[test]
    fn the_way_is_one_that_the_relay_understands() {
        for way in [LINK.out, LINK.back] {
            way.parse::<towpath_netem::LinkConfig>().unwrap().validate().unwrap();
        }
    }

    #[test]
    fn the_rate_is_back_when_a_round_trip_carries_nine_tenths_of_it() {
        let full = 100_000_000 / 8 * BUCKET_MS / 1_000;
        let mut series = vec![full; 100];
        series.extend([0; 300]);
        series.extend([1_500, 0, 0, 0]);
        series.extend([full / 2; 8]);
        series.extend([full; 20]);
        // One round trip with the first packet, two at half the rate, and one that is full but for
        // a tenth: it begins in the last one's place.
        let back = back_after(&outcome(series)).unwrap();
        assert!((3.75..=4.0).contains(&back), "{back}");
    }

    #[test]
    fn a_rate_that_stays_away_is_never_back_and_a_short_pause_is_no_outage() {
        let mut series = vec![125_000; 100];
        series.extend([0; 300]);
        series.extend([1_500; 100]);
        assert_eq!(back_after(&outcome(series)), None);
        let mut series = vec![125_000; 100];
        series.extend([0; 100]);
        series.extend([125_000; 100]);
        assert_eq!(back_after(&outcome(series)), None);
    }
}
