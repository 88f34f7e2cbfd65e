//! Scenarios: a bottleneck, the flows that share it, and for how long, as a TOML file.
//!
//! ```toml
//! title = "100 Mbit/s, 40 ms, 1 % of all packets lost"
//! duration = "30s"
//!
//! [bottleneck]                # towpath_netem::DuplexConfig: both ways, there.X and back.X one way
//! rate = "100Mbit"
//! delay = "20ms"
//! queue = "500kB"
//! there.loss = "1%"
//!
//! [config]                    # the engine's settings by their sysctl names
//! tcp_rmem = "4096 131072 33554432"
//!
//! [[flow]]                    # all of these may be left out: one bulk flow, from the start
//! count = 2
//! start = ["5s", "15s"]       # or "5s"; a range is drawn from by the seed
//! delay = "5ms"               # more delay each way
//! congestion = ["cubic", "reno"]  # the first that is not the one that is compared
//! bytes = "1MB"               # or: for = "10s", rate = "5Mbit",
//!                             # on_off = { on = "1s", off = "1s" },
//!                             # requests = { request = "200B", response = "100kB", pause = "50ms" }
//! ```
//!
//! What sends is on the left, what receives on the right, each flow with a host of its own on both
//! sides; between them two routers with one bottleneck each way. [`run()`] plays one scenario with one
//! controller and gives a [`Report`].

mod files;
mod report;
mod run;
mod units;

use core::time::Duration;
use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use towpath_engine::Config;
use towpath_netem::DuplexConfig;

pub use files::{SHIPPED, shipped};
pub use report::{FlowReport, Report, Summary, jain, medians, table};
pub use run::run;
pub use towpath_engine::CongestionControl;
pub use units::control;

use self::units::{Control, Rate, Size, Time};

/// The most flows that a scenario may have: each has hosts, and addresses, of its own.
const MOST_FLOWS: usize = 1000;

/// A scenario, checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How it is called on the command line.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// How long it runs.
    pub duration: Duration,
    /// The largest packet, in bytes.
    pub mtu: usize,
    /// What all flows share.
    pub bottleneck: DuplexConfig,
    /// The settings of all hosts.
    pub config: Config,
    /// The flows, one entry each.
    pub flows: Vec<FlowPlan>,
    /// What can be delivered at best, in payload bits per second, if there is a limit.
    pub ceiling: Option<u64>,
    /// The part of the run whose segments are recorded.
    pub sequence: Option<(Duration, Duration)>,
}

/// One flow of a scenario.
#[derive(Clone, Debug)]
pub struct FlowPlan {
    /// From and up to when it starts.
    pub start: (Duration, Duration),
    /// Delay each way beside the bottleneck's.
    pub delay: Duration,
    /// Which congestion control it has; if empty, the one that is compared.
    pub congestion: Vec<CongestionControl>,
    /// What its applications do.
    pub traffic: Traffic,
}

/// What the applications of a flow do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Sends as much as it can, to the end of the run.
    Bulk,
    /// Sends as much as it can for so long.
    For(Duration),
    /// Sends so many bytes.
    Bytes(u64),
    /// Has so many bits to send each second.
    Rate(u64),
    /// Sends as much as it can for a while, pauses, and again.
    OnOff {
        /// The while.
        on: Duration,
        /// The pause.
        off: Duration,
    },
    /// The receiver asks, the sender answers, and after a pause again.
    Requests {
        /// Bytes of a question.
        request: u64,
        /// Bytes of an answer.
        response: u64,
        /// The pause.
        pause: Duration,
    },
}

impl FlowPlan {
    /// Whether it has so much to send and no more.
    pub fn is_finite(&self) -> bool {
        matches!(self.traffic, Traffic::Bytes(_))
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    duration: Spanned<Time>,
    #[serde(default = "default_mtu")]
    mtu: Spanned<usize>,
    bottleneck: DuplexConfig,
    #[serde(default)]
    config: BTreeMap<String, Spanned<toml::Value>>,
    #[serde(default)]
    flow: Vec<Spanned<FlowEntry>>,
    ceiling: Option<Rate>,
    sequence: Option<Spanned<Window>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    from: Time,
    to: Time,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowEntry {
    count: Option<usize>,
    start: Option<OneOr<(Time, Time)>>,
    delay: Option<Time>,
    congestion: Option<OneOr<Vec<Control>, Control>>,
    r#for: Option<Time>,
    bytes: Option<Size>,
    rate: Option<Rate>,
    on_off: Option<OnOffEntry>,
    requests: Option<RequestsEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOr<Many, One = Time> {
    One(One),
    Many(Many),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnOffEntry {
    on: Time,
    off: Time,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestsEntry {
    request: Size,
    response: Size,
    #[serde(default)]
    pause: Time,
}

fn default_mtu() -> Spanned<usize> {
    Spanned::new(0..0, 1500)
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// One line that says where and what is wrong: `NAME:LINE: WHAT`.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, String> {
        let at = |offset: usize, what: &str| -> String {
            let line = text.get(..offset).map_or(1, |before| 1 + before.matches('\n').count());
            let what: Vec<_> = what.split_whitespace().collect();
            format!("{name}:{line}: {}", what.join(" "))
        };
        let file: File = toml::from_str(text)
            .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message()))?;
        file.check(name).map_err(|(offset, what)| at(offset, &what))
    }
}

impl File {
    /// What serde cannot judge. An error has the offset of where it is.
    fn check(self, name: &str) -> Result<Scenario, (usize, String)> {
        let duration = self.duration.get_ref().0;
        if duration.is_zero() || duration > Duration::from_secs(24 * 3600) {
            let what = "duration: want more than nothing and at most a day";
            return Err((self.duration.span().start, what.to_owned()));
        }
        let mtu = *self.mtu.get_ref();
        if !(576..=65_535).contains(&mtu) {
            return Err((self.mtu.span().start, format!("mtu = {mtu}: want 576 to 65535")));
        }
        let mut config = Config::default();
        let mut last = 0;
        for (setting, value) in &self.config {
            let text = match value.get_ref() {
                toml::Value::String(text) => text.clone(),
                toml::Value::Boolean(flag) => u8::from(*flag).to_string(),
                other => other.to_string(),
            };
            last = value.span().start;
            config.set_by_name(setting, &text).map_err(|error| (last, error.to_string()))?;
        }
        config.validate().map_err(|error| (last, format!("config: {error}")))?;
        let mut flows = Vec::new();
        for entry in &self.flow {
            let place = entry.span().start;
            let (count, plan) = entry.get_ref().check(duration).map_err(|what| (place, what))?;
            flows.extend(std::iter::repeat_n(plan, count));
            if flows.len() > MOST_FLOWS {
                return Err((place, format!("more than {MOST_FLOWS} flows")));
            }
        }
        if flows.is_empty() {
            let (_, plan) = FlowEntry::default().check(duration).map_err(|what| (0, what))?;
            flows.push(plan);
        }
        let sequence = match &self.sequence {
            None => None,
            Some(window) if window.get_ref().from >= window.get_ref().to => {
                return Err((window.span().start, "sequence: want from before to".to_owned()));
            }
            Some(window) => Some((window.get_ref().from.0, window.get_ref().to.0)),
        };
        let ceiling = self.ceiling.map(|rate| rate.0).or_else(|| {
            let rate = self.bottleneck.there().get_rate_bits_per_second()?;
            // IPv4 and TCP headers with timestamps, as the default configuration sends them.
            Some(rate * (mtu as u64 - 52) / mtu as u64)
        });
        Ok(Scenario {
            name: name.trim_end_matches(".toml").to_owned(),
            title: self.title,
            duration,
            mtu,
            bottleneck: self.bottleneck,
            config,
            flows,
            ceiling,
            sequence,
        })
    }
}

impl FlowEntry {
    fn check(&self, duration: Duration) -> Result<(usize, FlowPlan), String> {
        let count = self.count.unwrap_or(1);
        if count == 0 {
            return Err("count = 0: want at least 1".to_owned());
        }
        let start = match &self.start {
            None => (Duration::ZERO, Duration::ZERO),
            Some(OneOr::One(at)) => (at.0, at.0),
            Some(OneOr::Many((from, to))) => (from.0, to.0),
        };
        if start.0 > start.1 || start.1 >= duration {
            return Err("start: want from <= to, before the end of the run".to_owned());
        }
        let delay = self.delay.unwrap_or_default().0;
        if delay > Duration::from_secs(3600) {
            return Err("delay: at most an hour".to_owned());
        }
        let congestion = match &self.congestion {
            None => Vec::new(),
            Some(OneOr::One(control)) => vec![control.0],
            Some(OneOr::Many(controls)) => controls.iter().map(|control| control.0).collect(),
        };
        let mut traffic = Vec::new();
        traffic.extend(self.r#for.map(|time| Traffic::For(time.0)));
        traffic.extend(self.bytes.map(|size| Traffic::Bytes(size.0)));
        traffic.extend(self.rate.map(|rate| Traffic::Rate(rate.0)));
        if let Some(OnOffEntry { on, off }) = &self.on_off {
            if on.0.is_zero() || off.0.is_zero() {
                return Err("on_off: want times above zero".to_owned());
            }
            traffic.push(Traffic::OnOff { on: on.0, off: off.0 });
        }
        if let Some(RequestsEntry { request, response, pause }) = &self.requests {
            if request.0 == 0 || response.0 == 0 {
                return Err("requests: want sizes above zero".to_owned());
            }
            traffic.push(Traffic::Requests {
                request: request.0,
                response: response.0,
                pause: pause.0,
            });
        }
        if traffic.len() > 1 {
            return Err("want at most one of for, bytes, rate, on_off and requests".to_owned());
        }
        let traffic = traffic.pop().unwrap_or(Traffic::Bulk);
        Ok((count, FlowPlan { start, delay, congestion, traffic }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title = \"x\"\nduration = \"1s\"\n";

    #[test]
    fn a_file_that_is_wrong_is_told_by_its_line_and_what_is_wanted() {
        for (rest, told) in [
            ("durration = 3\n[bottleneck]\n", "x.toml:3: unknown field `durration`"),
            ("", "x.toml:1: missing field `bottleneck`"),
            ("mtu = 3\n[bottleneck]\n", "x.toml:3: mtu = 3"),
            ("[bottleneck]\nrate = \"fast\"\n", "expected"),
            ("[bottleneck]\nrat = \"1Mbit\"\n", "unknown setting rat"),
            ("[bottleneck]\n[config]\ntcp_sock = 1\n", "x.toml:5: "),
            ("[bottleneck]\n[[flow]]\ncount = 0\n", "x.toml:4: count = 0"),
            ("[bottleneck]\n[[flow]]\nbytes = \"3\"\n", "x.toml:5: \"3\" is no size"),
            ("[bottleneck]\n[[flow]]\nstart = \"2s\"\n", "before the end of the run"),
            ("[bottleneck]\n[[flow]]\nrate = \"1Mbit\"\nfor = \"1s\"\n", "at most one of"),
            ("[bottleneck]\n[[flow]]\ncount = 1001\n", "more than 1000 flows"),
            ("[bottleneck]\n[[flow]\n", "x.toml:4: "),
            ("sequence = { from = \"2s\", to = \"1s\" }\n[bottleneck]\n", "x.toml:3: sequence"),
        ] {
            let error = Scenario::parse("x.toml", &format!("{HEAD}{rest}")).expect_err(rest);
            assert!(error.contains(told), "{rest}: {error}");
            assert!(error.starts_with("x.toml:") && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn every_kind_of_traffic_is_read() {
        let flows = "[bottleneck]\nrate = \"15Mbit\"\n\
            [[flow]]\nfor = \"500ms\"\ncount = 2\nstart = [\"0s\", \"100ms\"]\n\
            [[flow]]\nbytes = \"3MB\"\ndelay = \"5ms\"\ncongestion = \"reno\"\n\
            [[flow]]\nrate = \"2Mbit\"\ncongestion = [\"cubic\", \"reno\"]\n\
            [[flow]]\non_off = { on = \"1s\", off = \"2s\" }\n\
            [[flow]]\nrequests = { request = \"100B\", response = \"2kB\" }\n";
        let scenario = Scenario::parse("x", &format!("{HEAD}{flows}")).expect("it reads");
        let second = Duration::from_secs(1);
        let traffic: Vec<_> = scenario.flows.iter().map(|flow| flow.traffic).collect();
        assert_eq!(
            traffic,
            [
                Traffic::For(second / 2),
                Traffic::For(second / 2),
                Traffic::Bytes(3_000_000),
                Traffic::Rate(2_000_000),
                Traffic::OnOff { on: second, off: 2 * second },
                Traffic::Requests { request: 100, response: 2000, pause: Duration::ZERO },
            ]
        );
        assert_eq!(scenario.flows[0].start, (Duration::ZERO, second / 10));
        assert_eq!(scenario.flows[2].congestion, [CongestionControl::Reno]);
        assert_eq!(scenario.ceiling, Some(15_000_000 * 1448 / 1500));
    }
}
