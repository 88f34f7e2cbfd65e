//! What a run has shown: a summary for the table, and everything over time.

use core::time::Duration;

use serde::Serialize;
use towpath_engine::{CongestionControl, Instant};
use towpath_netem::LinkStatistics;

use super::Scenario;
use crate::record::Record;
use crate::record::sequence::Sequence;
use crate::world::{FlowId, LinkId, Sender, World};

/// What one run of a scenario has shown.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it is, in a line.
    pub title: String,
    /// The congestion control that is compared.
    pub congestion: &'static str,
    /// What decided all that is random.
    pub seed: u64,
    /// How long it ran, in microseconds: shorter than planned if everything was done.
    pub duration_us: u64,
    /// The rate of the bottleneck, in bits per second, if it has one.
    pub bottleneck_rate: Option<u64>,
    /// The run in a few numbers.
    pub summary: Summary,
    /// Each flow in a few numbers.
    pub flows: Vec<FlowReport>,
    /// Everything over time.
    pub record: Record,
    /// The segments of the first flow.
    pub sequence: Option<Sequence>,
}

/// A run in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Payload that applications read, in bits per second: all flows together, from the first start
    /// to the end, or to the last byte where every flow had so much to send and no more.
    pub goodput: u64,
    /// Of the most that the bottleneck can deliver, where it has a rate.
    pub share_of_ceiling: Option<f64>,
    /// Bytes that were sent again, of all that were sent.
    pub retransmitted: f64,
    /// The queue before the bottleneck, in bytes: its mean.
    pub mean_queue_bytes: u64,
    /// What it was not above in 95 % of the time.
    pub p95_queue_bytes: u64,
    /// The mean over time of the flows' smoothed round-trip time, in microseconds.
    pub mean_srtt_us: Option<u64>,
    /// Jain's index of fairness over the last third of the run, of several flows.
    pub fairness: Option<f64>,
    /// Packets that the bottleneck dropped, whatever the reason.
    pub dropped_packets: u64,
    /// Packets that the bottleneck marked.
    pub marked_packets: u64,
}

/// A flow in a few numbers.
#[derive(Clone, Debug, Serialize)]
pub struct FlowReport {
    /// Its congestion control.
    pub congestion: &'static str,
    /// When it started, in microseconds.
    pub started_us: u64,
    /// When its last byte was read, in microseconds from the start of the run.
    pub last_read_us: Option<u64>,
    /// Bytes that the receiving application has read.
    pub received_bytes: u64,
    /// Payload bytes sent, retransmissions included.
    pub sent_bytes: u64,
    /// Payload bytes sent again.
    pub retransmitted_bytes: u64,
    /// Retransmission time-outs.
    pub timeouts: u64,
}

/// A flow that was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    pub(super) index: usize,
    pub(super) at: Duration,
    pub(super) flow: FlowId,
    pub(super) role: Sender,
    pub(super) control: CongestionControl,
}

impl Report {
    pub(super) fn new(
        scenario: &Scenario,
        control: CongestionControl,
        seed: u64,
        mut world: World,
        bottleneck: LinkId,
        mut started: Vec<Started>,
    ) -> Report {
        let record = world.take_record().expect("every run is recorded");
        // The record is in the order of starting, the report in that of the scenario.
        let order: Vec<usize> = started.iter().map(|started| started.index).collect();
        let mut record = record;
        let mut series: Vec<_> = order.into_iter().zip(record.flows).collect();
        series.sort_by_key(|(index, _)| *index);
        record.flows = series.into_iter().map(|(_, series)| series).collect();
        started.sort_by_key(|started| started.index);
        let flows: Vec<_> = started.iter().map(|started| flow_report(&world, started)).collect();
        let statistics = world.link(bottleneck).statistics();
        let all_finite = scenario.flows.iter().all(|plan| plan.is_finite());
        Report {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            congestion: control.name(),
            seed,
            duration_us: world.now().as_micros(),
            bottleneck_rate: scenario.bottleneck.there().get_rate_bits_per_second(),
            summary: summary(scenario, &flows, &record, &statistics, all_finite),
            flows,
            record,
            sequence: world.trace().sequence().cloned(),
        }
    }

    /// How long the bottleneck takes for so many bytes, in milliseconds.
    pub fn queue_ms(&self, bytes: u64) -> Option<f64> {
        self.bottleneck_rate.map(|rate| bytes as f64 * 8e3 / rate as f64)
    }
}

fn flow_report(world: &World, started: &Started) -> FlowReport {
    let receiver = match started.role {
        Sender::Client => world.other_end(started.flow),
        Sender::Server => Some(world.flow(started.flow)),
    };
    let info = world.info(started.flow, started.role);
    FlowReport {
        congestion: started.control.name(),
        started_us: started.at.as_micros() as u64,
        last_read_us: receiver.and_then(|flow| flow.last_read_at()).map(Instant::as_micros),
        received_bytes: receiver.map_or(0, |flow| flow.received()),
        sent_bytes: info.as_ref().map_or(0, |info| info.bytes_sent),
        retransmitted_bytes: info.as_ref().map_or(0, |info| info.bytes_retrans),
        timeouts: info.map_or(0, |info| u64::from(info.total_rto)),
    }
}

fn summary(
    scenario: &Scenario,
    flows: &[FlowReport],
    record: &Record,
    statistics: &LinkStatistics,
    all_finite: bool,
) -> Summary {
    let sum = |of: fn(&FlowReport) -> u64| flows.iter().map(of).sum::<u64>();
    let from = flows.iter().map(|flow| flow.started_us).min().unwrap_or(0);
    let end = scenario.duration.as_micros() as u64;
    let last_read = flows.iter().filter_map(|flow| flow.last_read_us).max();
    let to = last_read.filter(|_| all_finite).unwrap_or(end);
    let time_us = to.saturating_sub(from).max(1);
    let goodput =
        (u128::from(sum(|flow| flow.received_bytes)) * 8_000_000 / u128::from(time_us)) as u64;

    let queue = record.queues.first().map_or(&[][..], |queue| &queue.bytes);
    let mut sorted = queue.to_vec();
    sorted.sort_unstable();
    let p95 = sorted.get((sorted.len() * 95).div_ceil(100).saturating_sub(1)).copied();
    let srtts: Vec<u64> =
        record.flows.iter().flat_map(|flow| flow.srtt_us.iter().copied().flatten()).collect();
    Summary {
        goodput,
        share_of_ceiling: scenario.ceiling.map(|ceiling| goodput as f64 / ceiling as f64),
        retransmitted: sum(|flow| flow.retransmitted_bytes) as f64
            / sum(|flow| flow.sent_bytes).max(1) as f64,
        mean_queue_bytes: mean(queue).unwrap_or(0),
        p95_queue_bytes: p95.unwrap_or(0),
        mean_srtt_us: mean(&srtts),
        fairness: fairness(record, all_finite),
        dropped_packets: statistics.dropped(),
        marked_packets: statistics.marked,
    }
}

/// Of what each flow received in the last third of the run; of flows that end before it, in all.
fn fairness(record: &Record, all_finite: bool) -> Option<f64> {
    let from = if all_finite { 0 } else { record.at_us.len() * 2 / 3 };
    let shares: Vec<u64> = record
        .flows
        .iter()
        .filter_map(|flow| Some(flow.received_bytes.last()? - flow.received_bytes.get(from)?))
        .collect();
    (shares.len() > 1).then(|| jain(&shares)).flatten()
}

/// Jain's index: 1 if all shares are equal, 1/n if one has everything.
pub fn jain(shares: &[u64]) -> Option<f64> {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64) * (*share as f64)).sum();
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

fn mean(values: &[u64]) -> Option<u64> {
    let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
    Some((sum / (!values.is_empty()).then_some(values.len() as u128)?) as u64)
}

/// What is in the middle of several runs, number by number. Nothing of none.
pub fn medians(runs: &[Report]) -> Option<Summary> {
    let middle = |number: fn(&Summary) -> Option<f64>| {
        median(runs.iter().filter_map(|report| number(&report.summary)).collect())
    };
    Some(Summary {
        goodput: middle(|summary| Some(summary.goodput as f64))? as u64,
        share_of_ceiling: middle(|summary| summary.share_of_ceiling),
        retransmitted: middle(|summary| Some(summary.retransmitted))?,
        mean_queue_bytes: middle(|summary| Some(summary.mean_queue_bytes as f64))? as u64,
        p95_queue_bytes: middle(|summary| Some(summary.p95_queue_bytes as f64))? as u64,
        mean_srtt_us: middle(|summary| Some(summary.mean_srtt_us? as f64)).map(|us| us as u64),
        fairness: middle(|summary| summary.fairness),
        dropped_packets: middle(|summary| Some(summary.dropped_packets as f64))? as u64,
        marked_packets: middle(|summary| Some(summary.marked_packets as f64))? as u64,
    })
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let upper = numbers.get(numbers.len() / 2)?;
    let lower = numbers.get((numbers.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

/// The reports as a table of text, one line each.
pub fn table(reports: &[&Report]) -> String {
    let columns =
        ["scenario", "cc", "Mbit/s", "of ceiling", "retrans", "queue", "p95", "srtt", "fairness"];
    let mut rows = vec![columns.map(str::to_owned)];
    for report in reports {
        let Summary { share_of_ceiling, mean_srtt_us, fairness, .. } = report.summary;
        let queue = |bytes: u64| match report.queue_ms(bytes) {
            Some(ms) => format!("{ms:.1} ms"),
            None => "-".to_owned(),
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        rows.push([
            report.scenario.clone(),
            report.congestion.to_owned(),
            format!("{:.2}", report.summary.goodput as f64 / 1e6),
            or_dash(share_of_ceiling.map(|share| format!("{:.1} %", share * 100.0))),
            format!("{:.2} %", report.summary.retransmitted * 100.0),
            queue(report.summary.mean_queue_bytes),
            queue(report.summary.p95_queue_bytes),
            or_dash(mean_srtt_us.map(|us| format!("{:.1} ms", us as f64 / 1e3))),
            or_dash(fairness.map(|index| format!("{index:.3}"))),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            line += &match column {
                0 | 1 => format!("{cell:<width$}  "),
                _ => format!("{cell:>width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![5.0, 1.0, 9.0]), Some(5.0));
        assert_eq!(median(vec![5.0, 1.0, 9.0, 6.0]), Some(5.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn fairness_is_one_for_equal_shares_and_one_in_n_for_a_monopoly() {
        assert_eq!(jain(&[7, 7, 7]), Some(1.0));
        assert_eq!(jain(&[9, 0, 0]), Some(1.0 / 3.0));
        // (1 + 3)^2 / (2 * (1 + 9))
        assert_eq!(jain(&[1, 3]), Some(0.8));
        assert_eq!(jain(&[0, 0]), None);
    }
}
