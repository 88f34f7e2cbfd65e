//! The settings by which a stack protects itself: what it does under a flood, how much memory it
//! takes, which ports it leaves alone, when a name in TIME-WAIT is used again.

use super::{ConfigError, Value, invalid};

/// When a listener answers a SYN with a cookie instead of a record (RFC 4987 section 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SynCookies {
    /// Never: with a full SYN queue a SYN is dropped.
    Never,
    /// While the SYN queue is full.
    #[default]
    WhenFull,
    /// To every SYN: for tests, since options are lost where the SYN has no timestamp.
    Always,
}

impl Value for SynCookies {
    fn parse(name: &'static str, text: &str) -> Result<SynCookies, ConfigError> {
        match text.trim() {
            "0" => Ok(SynCookies::Never),
            "1" => Ok(SynCookies::WhenFull),
            "2" => Ok(SynCookies::Always),
            other => Err(invalid(name, other, "0, 1 or 2")),
        }
    }

    fn show(&self, _: &'static str) -> String {
        (*self as u8).to_string()
    }
}

/// A form of explicit congestion notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EcnForm {
    /// None.
    #[default]
    Off,
    /// RFC 3168.
    Classic,
    /// RFC 9768; a peer that has only the classic form gets that.
    Accurate,
}

/// Which forms of ECN are spoken (`tcp_ecn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EcnUse {
    /// The highest that a peer's SYN gets.
    pub accept: EcnForm,
    /// What our SYN asks for.
    pub request: EcnForm,
}

impl EcnUse {
    /// Linux's values, from 0.
    const ALL: [EcnUse; 6] = [
        EcnUse { accept: EcnForm::Off, request: EcnForm::Off },
        EcnUse { accept: EcnForm::Classic, request: EcnForm::Classic },
        EcnUse { accept: EcnForm::Classic, request: EcnForm::Off },
        EcnUse { accept: EcnForm::Accurate, request: EcnForm::Accurate },
        EcnUse { accept: EcnForm::Accurate, request: EcnForm::Classic },
        EcnUse { accept: EcnForm::Accurate, request: EcnForm::Off },
    ];
}

impl Value for EcnUse {
    fn parse(name: &'static str, text: &str) -> Result<EcnUse, ConfigError> {
        let number: Option<usize> = text.trim().parse().ok();
        number
            .and_then(|number| EcnUse::ALL.get(number).copied())
            .ok_or_else(|| invalid(name, text, "0 to 5"))
    }

    fn show(&self, _: &'static str) -> String {
        match EcnUse::ALL.iter().position(|known| known == self) {
            Some(number) => number.to_string(),
            // By the builder only.
            None => format!("{:?} {:?}", self.accept, self.request),
        }
    }
}

/// Whether a connect may use the four numbers of a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimeWaitReuse {
    /// No.
    Never,
    /// Yes, if the old connection had timestamps.
    Always,
    /// As `Always`, if one of the addresses is a loopback address.
    #[default]
    Loopback,
}

impl Value for TimeWaitReuse {
    fn parse(name: &'static str, text: &str) -> Result<TimeWaitReuse, ConfigError> {
        match text.trim() {
            "0" => Ok(TimeWaitReuse::Never),
            "1" => Ok(TimeWaitReuse::Always),
            "2" => Ok(TimeWaitReuse::Loopback),
            other => Err(invalid(name, other, "0, 1 or 2")),
        }
    }

    fn show(&self, _: &'static str) -> String {
        (*self as u8).to_string()
    }
}

/// How much memory the buffers and records of one stack may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Pressure is over when no more than this is taken.
    pub relief: usize,
    /// Above this, windows stop growing and nobody gets more than its share.
    pub pressure: usize,
    /// From here on nothing is given but what lets a stream that waits for a byte go on.
    pub limit: usize,
}

impl Value for MemoryLimits {
    fn parse(name: &'static str, text: &str) -> Result<MemoryLimits, ConfigError> {
        const EXPECTED: &str = "three whole numbers: relief, pressure, limit";
        let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        let mut number = || words.next().and_then(|word| word.parse().ok());
        match (number(), number(), number(), words.next()) {
            (Some(relief), Some(pressure), Some(limit), None) => {
                Ok(MemoryLimits { relief, pressure, limit })
            }
            _ => Err(invalid(name, text, EXPECTED)),
        }
    }

    fn show(&self, _: &'static str) -> String {
        format!("{} {} {}", self.relief, self.pressure, self.limit)
    }
}

/// A set of ports, as ranges in order that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

impl PortSet {
    /// The ranges, first and last port of each.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

impl FromIterator<(u16, u16)> for PortSet {
    fn from_iter<I: IntoIterator<Item = (u16, u16)>>(ranges: I) -> PortSet {
        let mut sorted: Vec<(u16, u16)> =
            ranges.into_iter().filter(|(first, last)| first <= last).collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::new();
        for (first, last) in sorted {
            match joined.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => {
                    previous.1 = previous.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        PortSet { ranges: joined }
    }
}

/// Linux's form: `8080,9148-9155`; nothing for the empty set.
impl Value for PortSet {
    fn parse(name: &'static str, text: &str) -> Result<PortSet, ConfigError> {
        const EXPECTED: &str = "ports and ranges with commas between: 8080,9148-9155";
        let range = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let first: u16 = first.trim().parse().ok()?;
            let last: u16 = last.trim().parse().ok()?;
            (first > 0 && first <= last).then_some((first, last))
        };
        text.trim()
            .split(',')
            .filter(|word| !word.trim().is_empty())
            .map(|word| range(word.trim()).ok_or_else(|| invalid(name, text, EXPECTED)))
            .collect()
    }

    fn show(&self, _: &'static str) -> String {
        let range = |(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        self.ranges.iter().map(range).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_sets_are_read_joined_and_shown() {
        for (text, shown) in [
            ("", ""),
            ("8080", "8080"),
            ("9148-9155, 8080", "8080,9148-9155"),
            ("10-20,15-30,31", "10-31"),
            ("65535,1", "1,65535"),
        ] {
            assert_eq!(PortSet::parse("p", text).unwrap().show("p"), shown, "{text}");
        }
        for text in ["0", "5-4", "70000", "a", "1-2-3"] {
            assert!(PortSet::parse("p", text).is_err(), "{text}");
        }
    }
}
