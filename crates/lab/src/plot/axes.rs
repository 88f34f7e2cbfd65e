//! A frame with two axes: where a value lies on the paper, and the ticks that people read.

use core::fmt::Write;

use super::svg::{Anchor, Frame, INK, Stroke, Svg};

/// Values from `min` to `max` on a stretch of paper.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Scale {
    pub(super) fn at(&self, value: f64) -> f64 {
        let span = if self.max > self.min { self.max - self.min } else { 1.0 };
        self.from + (value - self.min) / span * (self.to - self.from)
    }

    /// About `wanted` round values inside, and how many decimals they need.
    pub(super) fn ticks(&self, wanted: usize) -> (Vec<f64>, usize) {
        let raw = (self.max - self.min).max(f64::MIN_POSITIVE) / wanted.max(1) as f64;
        let power = raw.log10().floor();
        let unit = 10_f64.powf(power);
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * unit >= raw * 0.999);
        let step = factor.unwrap_or(10.0) * unit;
        let first = (self.min / step - 1e-9).ceil() as i64;
        let last = (self.max / step + 1e-9).floor() as i64;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        ((first..=last).map(|n| n as f64 * step).collect(), decimals)
    }
}

/// A frame with its two scales.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes {
    pub(super) frame: Frame,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

/// Whether the times are written below a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeLabels {
    Written,
    Hidden,
}

impl Axes {
    pub(super) fn new(frame: Frame, x: (f64, f64), y: (f64, f64)) -> Axes {
        Axes {
            frame,
            x: Scale { min: x.0, max: x.1, from: frame.left, to: frame.right },
            y: Scale { min: y.0, max: y.1, from: frame.bottom, to: frame.top },
        }
    }

    /// Draws grid, ticks and labels.
    pub(super) fn draw(&self, svg: &mut Svg, labels: TimeLabels, y_label: &str) {
        let Frame { left, top, right, bottom } = self.frame;
        let grid = Stroke::new("#e4e7eb", 1.0);
        let small = r##"font-size="11" fill="#57606a""##;
        let (ticks, decimals) = self.y.ticks(((bottom - top) / 28.0) as usize);
        for value in ticks {
            let y = self.y.at(value);
            svg.line((left, y), (right, y), grid);
            svg.text((left - 6.0, y + 4.0), Anchor::End, small, &format!("{value:.decimals$}"));
        }
        let (ticks, decimals) = self.x.ticks(((right - left) / 75.0) as usize);
        for value in ticks {
            let x = self.x.at(value);
            svg.line((x, top), (x, bottom), grid);
            if labels == TimeLabels::Written {
                let text = format!("{value:.decimals$}");
                svg.text((x, bottom + 16.0), Anchor::Middle, small, &text);
            }
        }
        if labels == TimeLabels::Written {
            svg.text(((left + right) / 2.0, bottom + 34.0), Anchor::Middle, "", "time (s)");
        }
        svg.text((left - 52.0, (top + bottom) / 2.0), Anchor::Upwards, "", y_label);
        let border = format!("M{left:.1} {top:.1}V{bottom:.1}H{right:.1}");
        svg.path(&border, Stroke::new("#8c959f", 1.0));
    }

    /// A line through points; where there is no value it is interrupted. Points that a reader could
    /// not tell from a line on are left out.
    pub(super) fn polyline(&self, points: impl Iterator<Item = (f64, Option<f64>)>) -> String {
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        let mut skipped: Option<(f64, f64)> = None;
        for (x, y) in points {
            let Some(y) = y else {
                flush(&mut path, &mut skipped);
                last = None;
                continue;
            };
            let place = (self.x.at(x), self.y.at(y));
            match last {
                None => write_point(&mut path, 'M', place),
                Some(last) if (last.1 - place.1).abs() < 0.05 => {
                    skipped = Some(place);
                    continue;
                }
                Some(_) => {
                    flush(&mut path, &mut skipped);
                    write_point(&mut path, 'L', place);
                }
            }
            last = Some(place);
        }
        flush(&mut path, &mut skipped);
        path
    }
}

fn flush(path: &mut String, skipped: &mut Option<(f64, f64)>) {
    if let Some(place) = skipped.take() {
        write_point(path, 'L', place);
    }
}

fn write_point(path: &mut String, command: char, (x, y): (f64, f64)) {
    let _ = write!(path, "{command}{x:.1} {y:.1}");
}

/// An entry of a legend.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) stroke: Stroke,
    pub(super) text: String,
    pub(super) sample: Sample,
}

/// What stands before the text of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    /// A piece of the line.
    Line,
    /// A vertical bar.
    Bar,
}

impl Entry {
    pub(super) fn line(stroke: Stroke, text: impl Into<String>) -> Entry {
        Entry { stroke, text: text.into(), sample: Sample::Line }
    }

    pub(super) fn bar(stroke: Stroke, text: impl Into<String>) -> Entry {
        Entry { stroke, text: text.into(), sample: Sample::Bar }
    }
}

/// Draws a legend in one line that ends at `right`, above a frame.
pub(super) fn legend(svg: &mut Svg, right: f64, base: f64, entries: &[Entry]) {
    // Without measuring: wide enough for every font of the list.
    let width = |entry: &Entry| 36.0 + 5.9 * entry.text.chars().count() as f64;
    let mut x = right - entries.iter().map(width).sum::<f64>() + 14.0;
    for entry in entries {
        match entry.sample {
            Sample::Line => svg.line((x, base - 4.0), (x + 16.0, base - 4.0), entry.stroke),
            Sample::Bar => svg.line(
                (x + 12.0, base - 9.5),
                (x + 12.0, base + 1.5),
                Stroke { width: entry.stroke.width.max(1.6), ..entry.stroke },
            ),
        }
        let style = format!(r#"font-size="11" fill="{INK}""#);
        svg.text((x + 20.0, base), Anchor::Start, &style, &entry.text);
        x += width(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        let ticks = |min, max| Scale { min, max, from: 0.0, to: 100.0 }.ticks(5);
        assert_eq!(ticks(0.0, 100.0), (vec![0.0, 20.0, 40.0, 60.0, 80.0, 100.0], 0));
        assert_eq!(ticks(0.0, 0.4).1, 1);
        let (odd, decimals) = ticks(12.3, 14.1);
        assert_eq!((odd.len(), decimals), (4, 1));
        assert!(odd.iter().all(|tick| (12.3..=14.1).contains(tick)), "{odd:?}");
        assert!(ticks(3.0, 3.0).0.len() <= 7, "an empty range does not run away");
    }

    #[test]
    fn a_line_is_interrupted_where_there_is_nothing_and_leaves_out_what_is_flat() {
        let frame = Frame { left: 0.0, top: 0.0, right: 10.0, bottom: 10.0 };
        let axes = Axes::new(frame, (0.0, 10.0), (0.0, 10.0));
        let points = [(0.0, Some(1.0)), (1.0, Some(1.0)), (2.0, Some(1.0)), (3.0, Some(5.0))];
        let path = axes.polyline(points.into_iter().chain([(4.0, None), (5.0, Some(2.0))]));
        assert_eq!(path, "M0.0 9.0L2.0 9.0L3.0 5.0M5.0 8.0");
    }
}
