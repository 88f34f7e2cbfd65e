//! Writes SVG: the few shapes that a diagram needs, with coordinates to a tenth of a pixel.

use core::fmt::Write;

/// A drawing in the making.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
    clips: usize,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) colour: &'static str,
    pub(super) width: f64,
    pub(super) opacity: f64,
    /// Lengths of dashes and gaps, as SVG has them; empty for a whole line.
    pub(super) dashes: &'static str,
}

impl Stroke {
    pub(super) const fn new(colour: &'static str, width: f64) -> Stroke {
        Stroke { colour, width, opacity: 1.0, dashes: "" }
    }

    pub(super) const fn dashed(self, dashes: &'static str) -> Stroke {
        Stroke { dashes, ..self }
    }

    pub(super) const fn faint(self, opacity: f64) -> Stroke {
        Stroke { opacity, ..self }
    }

    fn attributes(self) -> String {
        let Stroke { colour, width, opacity, dashes } = self;
        let mut text = format!(r#"stroke="{colour}" stroke-width="{width}""#);
        if opacity < 1.0 {
            text += &format!(r#" stroke-opacity="{opacity}""#);
        }
        if !dashes.is_empty() {
            text += &format!(r#" stroke-dasharray="{dashes}""#);
        }
        text
    }
}

/// Where a text stands relative to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
    /// In the middle, turned to be read from below.
    Upwards,
}

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new(), clips: 0 }
    }

    /// A path; `shape` is SVG's path language, empty for none.
    pub(super) fn path(&mut self, shape: &str, stroke: Stroke) {
        if !shape.is_empty() {
            let attributes = stroke.attributes();
            self.push(&format!(
                r#"<path d="{}" fill="none" stroke-linejoin="round" {attributes}/>"#,
                shape.trim()
            ));
        }
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.path(&format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1), stroke);
    }

    /// A text with its base line at `at`; `style` is more attributes.
    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, style: &str, text: &str) {
        let (x, y) = at;
        let place = match anchor {
            Anchor::Start => format!(r#"x="{x:.1}" y="{y:.1}""#),
            Anchor::Middle => format!(r#"x="{x:.1}" y="{y:.1}" text-anchor="middle""#),
            Anchor::End => format!(r#"x="{x:.1}" y="{y:.1}" text-anchor="end""#),
            Anchor::Upwards => {
                format!(r#"transform="translate({x:.1} {y:.1}) rotate(-90)" text-anchor="middle""#)
            }
        };
        self.push(&format!("<text {place} {style}>{}</text>", escape(text)));
    }

    /// What is drawn from now on shows inside the frame only.
    pub(super) fn clip(&mut self, frame: Frame) {
        self.clips += 1;
        let Frame { left, top, right, bottom } = frame;
        let id = self.clips;
        self.push(&format!(
            r#"<clipPath id="c{id}"><rect x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/></clipPath>"#,
            right - left,
            bottom - top
        ));
        self.push(&format!(r#"<g clip-path="url(#c{id})">"#));
    }

    /// The end of [`clip`](Svg::clip).
    pub(super) fn unclip(&mut self) {
        self.push("</g>");
    }

    pub(super) fn finish(self) -> String {
        let Svg { width, height, body, .. } = self;
        let mut text = String::new();
        let _ = writeln!(
            text,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="12" fill="{INK}">"#
        );
        let _ = writeln!(text, r#"<rect width="{width}" height="{height}" fill="white"/>"#);
        text + &body + "</svg>\n"
    }

    fn push(&mut self, element: &str) {
        self.body += element;
        self.body.push('\n');
    }
}

/// The colour of text.
pub(super) const INK: &str = "#24292f";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
