//! Diagrams of a run as SVG: throughput, window, round trip and queue [over time](over_time()), and the
//! [time-sequence diagram](time_sequence()) of its first flow.
//!
//! Written by hand: nothing but whole runs of a few shapes is needed, and the text of an SVG is the
//! same on every run.

mod axes;
mod over_time;
mod svg;
mod time_sequence;

pub use over_time::over_time;
pub use time_sequence::{Span, time_sequence};

/// Colours that people tell apart who see colours differently (Okabe and Ito).
mod colour {
    pub(super) const BLUE: &str = "#0072B2";
    pub(super) const VERMILION: &str = "#D55E00";
    pub(super) const GREEN: &str = "#009E73";
    pub(super) const PURPLE: &str = "#CC79A7";
    pub(super) const ORANGE: &str = "#E69F00";
    pub(super) const SKY: &str = "#56B4E9";
    pub(super) const GREY: &str = "#8c959f";
    pub(super) const RED: &str = "#d1242f";

    /// One for each flow.
    pub(super) const FLOWS: [&str; 6] = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY];
}

/// The largest of these, or 0.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}
