//! The time-sequence diagram of one direction of a connection, as tcptrace draws it: time to the
//! right, the stream upwards.
//!
//! A vertical bar is a segment, as high as its bytes; a retransmission is red and has an R. The
//! green steps are what is acknowledged, the orange ones what the receiver's window allows, purple
//! bars what a SACK reports: dark what it reports for the first time.

use core::fmt::Write;

use super::axes::{Axes, Entry, TimeLabels, legend};
use super::colour;
use super::svg::{Anchor, Frame, Stroke, Svg};
use crate::record::sequence::{Mark, Seen};
use crate::scenario::Report;

const WIDTH: f64 = 960.0;
const FRAME: Frame = Frame { left: 84.0, top: 64.0, right: 940.0, bottom: 560.0 };

/// A bar is at least so high, in pixels.
const LEAST_BAR: f64 = 2.2;

/// Round trips that are shown before and after the first retransmission, or from the start.
const BEFORE: f64 = 1.5;
const AFTER: f64 = 3.5;
const FROM_START: f64 = 8.0;

/// From and up to when, in microseconds from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The beginning.
    pub from_us: u64,
    /// The end.
    pub to_us: u64,
}

/// Draws the segments of the first flow: all in `span`, by default those around its first
/// retransmission, or the first round trips. Nothing if there are none.
pub fn time_sequence(report: &Report, span: Option<Span>) -> Option<String> {
    let marks = &report.sequence.as_ref()?.marks;
    let span = span.or_else(|| choose(report, marks))?;
    let shown: Vec<&Mark> =
        marks.iter().filter(|mark| (span.from_us..=span.to_us).contains(&mark.at_us)).collect();
    let (low, high) = range(&shown)?;
    // Offsets are counted from the lowest that is shown, in the unit that fits.
    let (unit, unit_name) = if high - low > 2_000_000 { (1e6, "MB") } else { (1e3, "kB") };
    let margin = (high - low) as f64 * 0.04;
    let axes = Axes::new(
        FRAME,
        (span.from_us as f64 / 1e6, span.to_us as f64 / 1e6),
        ((low as f64 - margin) / unit, (high as f64 + margin) / unit),
    );
    let mut svg = Svg::new(WIDTH, FRAME.bottom + 52.0);
    let title = format!("{} · {}", report.title, report.congestion);
    svg.text((FRAME.left, 26.0), Anchor::Start, r#"font-size="16" font-weight="bold""#, &title);
    axes.draw(&mut svg, TimeLabels::Written, &format!("stream offset ({unit_name})"));

    let shapes = Shapes::of(&shown, &axes, unit);
    svg.clip(FRAME);
    svg.path(&shapes.sacked, Stroke::new(colour::PURPLE, 1.0).faint(0.25));
    svg.path(&shapes.newly_sacked, Stroke::new(colour::PURPLE, 1.6));
    svg.path(&shapes.window, WINDOW);
    svg.path(&shapes.acked, ACKED);
    svg.path(&shapes.segments, SEGMENT);
    svg.path(&shapes.again, AGAIN);
    for (x, y) in &shapes.letters {
        let style = format!(r#"font-size="9" font-weight="bold" fill="{}""#, colour::RED);
        svg.text((*x, *y), Anchor::Middle, &style, "R");
    }
    svg.unclip();

    let mut entries = vec![Entry::bar(SEGMENT, "segment")];
    if !shapes.again.is_empty() {
        entries.push(Entry::bar(AGAIN, "retransmission (R)"));
    }
    if !shapes.sacked.is_empty() {
        entries.push(Entry::bar(Stroke::new(colour::PURPLE, 1.6), "SACK"));
    }
    entries.push(Entry::line(ACKED, "ACK"));
    let window_shows = shapes.lowest_window.is_some_and(|edge| edge <= high as f64 + margin);
    let window = if window_shows { "receive window" } else { "receive window (above)" };
    entries.push(Entry::line(WINDOW, window));
    legend(&mut svg, FRAME.right, FRAME.top - 9.0, &entries);
    Some(svg.finish())
}

const SEGMENT: Stroke = Stroke::new(colour::BLUE, 1.4);
const AGAIN: Stroke = Stroke::new(colour::RED, 1.8);
const ACKED: Stroke = Stroke::new(colour::GREEN, 1.4);
const WINDOW: Stroke = Stroke::new(colour::ORANGE, 1.4);

/// The times to show if nobody says.
fn choose(report: &Report, marks: &[Mark]) -> Option<Span> {
    let again = marks.iter().find(|mark| matches!(mark.seen, Seen::Retransmission { .. }));
    let pivot = again.or(marks.first())?.at_us;
    let record = &report.record;
    let place = record.at_us.partition_point(|at| *at <= pivot).min(record.at_us.len());
    let srtts = record.flows.first()?.srtt_us.get(..place)?;
    let later = || record.flows.first()?.srtt_us.iter().copied().flatten().next();
    let srtt = srtts.iter().rev().copied().flatten().next().or_else(later)? as f64;
    let (from, to) = match again {
        Some(_) => ((pivot as f64 - BEFORE * srtt).max(0.0), pivot as f64 + AFTER * srtt),
        None => (pivot as f64, pivot as f64 + FROM_START * srtt),
    };
    Some(Span { from_us: from as u64, to_us: (to as u64).min(report.duration_us) })
}

/// The lowest and the highest offset that is shown. The window may lie far above.
fn range(marks: &[&Mark]) -> Option<(u64, u64)> {
    let ends = marks.iter().map(|mark| match &mark.seen {
        Seen::Segment { from, to } | Seen::Retransmission { from, to } => (*from, *to),
        Seen::Ack { ack, .. } => (*ack, *ack),
    });
    ends.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
}

/// What is drawn, as paths.
#[derive(Debug, Default)]
struct Shapes {
    segments: String,
    again: String,
    letters: Vec<(f64, f64)>,
    acked: String,
    window: String,
    sacked: String,
    newly_sacked: String,
    lowest_window: Option<f64>,
}

impl Shapes {
    fn of(marks: &[&Mark], axes: &Axes, unit: f64) -> Shapes {
        let mut shapes = Shapes::default();
        let x = |mark: &Mark| axes.x.at(mark.at_us as f64 / 1e6);
        let y = |offset: u64| axes.y.at(offset as f64 / unit);
        let mut acked = Steps::default();
        let mut window = Steps::default();
        let mut reported: Vec<(u64, u64)> = Vec::new();
        for mark in marks {
            let x = x(mark);
            match &mark.seen {
                Seen::Segment { from, to } => bar(&mut shapes.segments, x, y(*from), y(*to)),
                Seen::Retransmission { from, to } => {
                    bar(&mut shapes.again, x, y(*from), y(*to));
                    let apart = |(other_x, other_y): &(f64, f64)| {
                        (other_x - x).abs() > 9.0 || (other_y - (y(*to) - 4.0)).abs() > 9.0
                    };
                    if shapes.letters.iter().rev().take(64).all(apart) {
                        shapes.letters.push((x, y(*to) - 4.0));
                    }
                }
                Seen::Ack { ack, edge, sack } => {
                    acked.to(x, y(*ack));
                    window.to(x, y(*edge));
                    let lowest = shapes.lowest_window.unwrap_or(f64::MAX).min(*edge as f64);
                    shapes.lowest_window = Some(lowest);
                    for (from, to) in sack {
                        bar(&mut shapes.sacked, x, y(*from), y(*to));
                        for (from, to) in new_parts(&reported, (*from, *to)) {
                            bar(&mut shapes.newly_sacked, x, y(from), y(to));
                            reported.push((from, to));
                        }
                    }
                    reported.retain(|(_, to)| to > ack);
                    join(&mut reported);
                }
            }
        }
        shapes.acked = acked.finish(FRAME.right);
        shapes.window = window.finish(FRAME.right);
        shapes
    }
}

/// A vertical bar, which is seen however short it is.
fn bar(path: &mut String, x: f64, from: f64, to: f64) {
    let middle = (from + to) / 2.0;
    let half = ((from - to).abs() / 2.0).max(LEAST_BAR / 2.0);
    let _ = write!(path, "M{x:.1} {:.1}V{:.1}", middle + half, middle - half);
}

/// What of `block` was not reported yet; `reported` is sorted and apart.
fn new_parts(reported: &[(u64, u64)], block: (u64, u64)) -> Vec<(u64, u64)> {
    let (mut from, to) = block;
    let mut parts = Vec::new();
    for (left, right) in reported {
        if *left >= to {
            break;
        }
        if from < *left {
            parts.push((from, *left));
        }
        from = from.max(*right);
    }
    if from < to {
        parts.push((from, to));
    }
    parts
}

fn join(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, first| {
        let touches = next.0 <= first.1;
        if touches {
            first.1 = first.1.max(next.1);
        }
        touches
    });
}

/// A line of steps: it keeps its height until it changes.
#[derive(Debug, Default)]
struct Steps {
    path: String,
    last: Option<f64>,
}

impl Steps {
    fn to(&mut self, x: f64, y: f64) {
        match self.last {
            None => {
                let _ = write!(self.path, "M{x:.1} {y:.1}");
            }
            Some(last) if (last - y).abs() < 0.05 => return,
            Some(_) => {
                let _ = write!(self.path, "H{x:.1}V{y:.1}");
            }
        }
        self.last = Some(y);
    }

    fn finish(mut self, right: f64) -> String {
        if self.last.is_some() {
            let _ = write!(self.path, "H{right:.1}");
        }
        self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_reported_for_the_first_time_is_new() {
        let mut reported = vec![(10, 20), (30, 40)];
        assert_eq!(new_parts(&reported, (5, 50)), [(5, 10), (20, 30), (40, 50)]);
        assert_eq!(new_parts(&reported, (12, 18)), []);
        assert_eq!(new_parts(&reported, (20, 30)), [(20, 30)]);
        reported.extend([(20, 30), (50, 60)]);
        join(&mut reported);
        assert_eq!(reported, [(10, 40), (50, 60)]);
    }

    #[test]
    fn steps_go_level_and_then_up() {
        let mut steps = Steps::default();
        [(1.0, 9.0), (2.0, 9.0), (3.0, 7.0)].into_iter().for_each(|(x, y)| steps.to(x, y));
        assert_eq!(steps.finish(10.0), "M1.0 9.0H3.0V7.0H10.0");
    }
}
