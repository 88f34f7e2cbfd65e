//! Values as scenario files write them: times, sizes, rates, controllers. Each reads from a text,
//! and says what it wants where it does not.

use core::time::Duration;

use serde::de::{self, Deserialize, Deserializer};
use towpath_engine::CongestionControl;

/// A time: `"40ms"`, `"1m 30s"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Time).map_err(|error| {
            de::Error::custom(format!("{text:?} is no time ({error}): want one such as \"40ms\""))
        })
    }
}

/// A number of bytes: `"500kB"`, `"1MB"`; the prefixes are decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let text = String::deserialize(deserializer)?;
        let units = [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1)];
        number(&text, &units).map(Size).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no size: want one such as \"500kB\""))
        })
    }
}

/// Bits per second: `"5Mbit"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        let text = String::deserialize(deserializer)?;
        let units = [("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000), ("bit", 1)];
        number(&text, &units).filter(|rate| *rate > 0).map(Rate).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no rate: want one such as \"5Mbit\""))
        })
    }
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let number: f64 = number.trim().parse().ok()?;
    let value = number * unit as f64;
    ((0.0..9e15).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// A congestion control of the engine, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Control(pub(super) CongestionControl);

impl<'de> Deserialize<'de> for Control {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Control, D::Error> {
        control(&String::deserialize(deserializer)?).map(Control).map_err(de::Error::custom)
    }
}

/// The congestion control of that name.
///
/// # Errors
///
/// A line that lists those that there are.
pub fn control(name: &str) -> Result<CongestionControl, String> {
    CongestionControl::from_name(name).ok_or_else(|| {
        let names: Vec<_> = CongestionControl::ALL.iter().map(|control| control.name()).collect();
        format!("{name:?} is no congestion control: want one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_are_whole_in_the_least_of_them() {
        let units = [("kB", 1_000), ("B", 1)];
        for (text, value) in [
            ("60kB", Some(60_000)),
            ("1.5 kB", Some(1500)),
            ("7B", Some(7)),
            ("7", None),
            ("kB", None),
            ("-1kB", None),
            ("1.2345kB", None),
            ("1e30kB", None),
            ("NaNkB", None),
        ] {
            assert_eq!(number(text, &units), value, "{text}");
        }
    }
}
