//! Throughput, congestion window, round-trip time and queue over the time of a run, one below the
//! other on one time axis.

use super::axes::{Axes, Entry, TimeLabels, legend};
use super::svg::{Anchor, Frame, Stroke, Svg};
use super::{colour, largest};
use crate::record::FlowSeries;
use crate::scenario::Report;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 940.0;
const TOP: f64 = 64.0;
const GAP: f64 = 34.0;

/// Throughput is the mean over so many equal parts of the run.
const BINS: usize = 240;

/// More flows than this are drawn in one colour, with [`CROWD_POINTS`] points each.
const TOLD_APART: usize = 6;

const CROWD_POINTS: usize = 400;

/// A panel: its label, its height, its lines and what they are called.
struct Panel {
    label: String,
    height: f64,
    lines: Vec<(Stroke, Vec<Point>)>,
    entries: Vec<Entry>,
}

type Point = (f64, Option<f64>);

/// Draws the run.
pub fn over_time(report: &Report) -> String {
    let seconds = report.duration_us as f64 / 1e6;
    let panels = panels(report);
    let height: f64 = panels.iter().map(|panel| panel.height + GAP).sum();
    let mut svg = Svg::new(WIDTH, TOP + height + 18.0);
    let title = format!("{} · {}", report.title, report.congestion);
    svg.text((LEFT, 26.0), Anchor::Start, r#"font-size="16" font-weight="bold""#, &title);
    let mut top = TOP;
    let count = panels.len();
    for (index, panel) in panels.into_iter().enumerate() {
        let frame = Frame { left: LEFT, top, right: RIGHT, bottom: top + panel.height };
        let points = panel.lines.iter().flat_map(|(_, points)| points);
        let most = largest(points.filter_map(|(_, value)| *value));
        let axes =
            Axes::new(frame, (0.0, seconds), (0.0, if most > 0.0 { most * 1.08 } else { 1.0 }));
        let last = index + 1 == count;
        let labels = if last { TimeLabels::Written } else { TimeLabels::Hidden };
        axes.draw(&mut svg, labels, &panel.label);
        legend(&mut svg, RIGHT, top - 7.0, &panel.entries);
        svg.clip(Frame { top: frame.top - 1.0, bottom: frame.bottom + 1.0, ..frame });
        for (stroke, points) in panel.lines {
            svg.path(&axes.polyline(points.into_iter()), stroke);
        }
        svg.unclip();
        top += panel.height + GAP;
    }
    svg.finish()
}

fn panels(report: &Report) -> Vec<Panel> {
    vec![throughput(report), window(report), round_trip(report), queue(report)]
}

fn throughput(report: &Report) -> Panel {
    let mut lines = Vec::new();
    let mut entries = Vec::new();
    if let Some(ceiling) = ceiling(report) {
        let stroke = Stroke::new(colour::GREY, 1.2).dashed("5 4");
        let seconds = report.duration_us as f64 / 1e6;
        lines.push((stroke, vec![(0.0, Some(ceiling)), (seconds, Some(ceiling))]));
        entries.push(Entry::line(stroke, "ceiling"));
    }
    each_flow(report, &mut lines, &mut entries, |flow| binned(report, flow));
    Panel { label: "goodput (Mbit/s)".to_owned(), height: 170.0, lines, entries }
}

fn window(report: &Report) -> Panel {
    let at = |values: &[Option<u64>]| with_times(report, values, 1e-3);
    let mut lines = Vec::new();
    let mut entries = Vec::new();
    match &report.record.flows[..] {
        [flow] => {
            let series = [
                (Stroke::new(colour::SKY, 1.0), &flow.in_flight_bytes, "in flight"),
                (Stroke::new(colour::ORANGE, 1.6).dashed("6 3"), &flow.ssthresh_bytes, "ssthresh"),
                (Stroke::new(colour::BLUE, 1.6), &flow.cwnd_bytes, "cwnd"),
            ];
            // A threshold that was never near would press all else to the ground.
            let cwnd = largest(flow.cwnd_bytes.iter().flatten().map(|bytes| *bytes as f64));
            for (stroke, values, name) in series {
                let near = |bytes: &u64| (*bytes as f64) <= cwnd * 1.25;
                let values: Vec<_> = values.iter().map(|value| value.filter(near)).collect();
                lines.push((stroke, at(&values)));
                entries.push(Entry::line(stroke, name));
            }
        }
        _ => each_flow(report, &mut lines, &mut entries, |flow| at(&flow.cwnd_bytes)),
    }
    let several = report.record.flows.len() > 1;
    let label = if several { "cwnd (kB)" } else { "window (kB)" };
    Panel { label: label.to_owned(), height: 190.0, lines, entries }
}

fn round_trip(report: &Report) -> Panel {
    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    each_flow(report, &mut lines, &mut entries, |flow| with_times(report, &flow.srtt_us, 1e-3));
    entries.clear();
    Panel { label: "srtt (ms)".to_owned(), height: 90.0, lines, entries }
}

fn queue(report: &Report) -> Panel {
    let stroke = Stroke::new(colour::GREEN, 1.2);
    let queue = report.record.queues.first();
    let bytes = queue.map_or(&[][..], |queue| &queue.bytes);
    let values: Vec<_> = bytes.iter().copied().map(Some).collect();
    let mut entries = Vec::new();
    if report.summary.dropped_packets > 0 {
        let text = format!("{} packets dropped", report.summary.dropped_packets);
        entries.push(Entry::line(Stroke::new("none", 0.0), text));
    }
    Panel {
        label: "queue (kB)".to_owned(),
        height: 90.0,
        lines: vec![(stroke, with_times(report, &values, 1e-3))],
        entries,
    }
}

/// Adds a line for each flow, in its colour.
fn each_flow(
    report: &Report,
    lines: &mut Vec<(Stroke, Vec<Point>)>,
    entries: &mut Vec<Entry>,
    points: impl Fn(&FlowSeries) -> Vec<Point>,
) {
    let count = report.record.flows.len();
    let crowd = Stroke::new(colour::BLUE, 1.0).faint(0.45);
    for (index, flow) in report.record.flows.iter().enumerate() {
        let stroke = match colour::FLOWS.get(index) {
            Some(colour) if count <= TOLD_APART => Stroke::new(colour, 1.6),
            _ => crowd,
        };
        lines.push((stroke, points(flow)));
        if count > 1 && count <= TOLD_APART {
            let name = report.flows.get(index).map_or("", |flow| flow.congestion);
            entries.push(Entry::line(stroke, format!("flow {} ({name})", index + 1)));
        }
    }
    match count {
        1 => entries.push(Entry::line(Stroke::new(colour::BLUE, 1.6), "goodput")),
        _ if count > TOLD_APART => {
            entries.push(Entry::line(crowd, format!("each of {count} flows")));
        }
        _ => {}
    }
}

fn with_times(report: &Report, values: &[Option<u64>], unit: f64) -> Vec<Point> {
    let is_crowd = report.record.flows.len() > TOLD_APART && values.len() > CROWD_POINTS;
    let step = if is_crowd { values.len() / CROWD_POINTS } else { 1 };
    let point = |(at, value): (&u64, &Option<u64>)| {
        (*at as f64 / 1e6, value.map(|value| value as f64 * unit))
    };
    report.record.at_us.iter().zip(values).step_by(step).map(point).collect()
}

/// Goodput in Mbit/s, as steps.
fn binned(report: &Report, flow: &FlowSeries) -> Vec<Point> {
    let times = &report.record.at_us;
    let every = (times.len() / BINS).max(1);
    let picks: Vec<usize> = (0..times.len()).step_by(every).collect();
    let mut points = Vec::new();
    for pair in picks.windows(2) {
        let &[from, to] = pair else { continue };
        let bits = (flow.received_bytes[to] - flow.received_bytes[from]) as f64 * 8.0;
        let rate = Some(bits / (times[to] - times[from]) as f64);
        points.extend([(times[from] as f64 / 1e6, rate), (times[to] as f64 / 1e6, rate)]);
    }
    points
}

fn ceiling(report: &Report) -> Option<f64> {
    let share = report.summary.share_of_ceiling.filter(|share| *share > 0.0)?;
    Some(report.summary.goodput as f64 / share / 1e6)
}
