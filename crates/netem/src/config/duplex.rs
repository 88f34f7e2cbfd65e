//! Both ways of a link: each with settings of its own, with a wire of its own or one that they
//! share.

use std::fmt;
use std::str::FromStr;

use super::parts::{Discipline, Outage, OutageFate};
use super::read::Fields;
use super::tree::{Table, Value};
use super::{LinkConfig, LinkError, SettingsError, read, tree, write};

/// What a [`Duplex`](crate::Duplex) does.
///
/// As text it has the names of [`LinkConfig`] for both ways, and under `there` and `back` those
/// that hold one way, in place of the common ones; `shared=true` is one medium for both:
///
/// ```
/// use towpath_netem::DuplexConfig;
///
/// # fn main() -> Result<(), towpath_netem::SettingsError> {
/// let config: DuplexConfig =
///     "rate=100Mbit delay=20ms queue=500kB there.loss=1% back.loss.acks=5%".parse()?;
/// assert_eq!(config.there().to_string(), "delay=20ms rate=100Mbit queue=500kB loss=1%");
/// assert_eq!(config.back().to_string(), "delay=20ms rate=100Mbit queue=500kB loss={acks=5%}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DuplexConfig {
    pub(crate) there: LinkConfig,
    pub(crate) back: LinkConfig,
    pub(crate) medium: Medium,
}

/// What the two ways put their bits on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Medium {
    #[default]
    Own,
    Shared,
}

impl DuplexConfig {
    /// Each way as told, with a wire of its own.
    #[must_use]
    pub const fn new(there: LinkConfig, back: LinkConfig) -> Self {
        Self { there, back, medium: Medium::Own }
    }

    /// The same both ways.
    #[must_use]
    pub fn symmetric(both: LinkConfig) -> Self {
        Self::new(both.clone(), both)
    }

    /// Both ways share one medium, and so one rate: a packet is sent when those that came before
    /// it, from either side, have been. Each side still has a queue of its own.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.medium = Medium::Shared;
        self
    }

    /// The way there.
    #[must_use]
    pub const fn there(&self) -> &LinkConfig {
        &self.there
    }

    /// The way back.
    #[must_use]
    pub const fn back(&self) -> &LinkConfig {
        &self.back
    }

    /// Checks the settings together. [`Duplex::new`](crate::Duplex::new) does it as well.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), LinkError> {
        self.there.validate()?;
        self.back.validate()?;
        if self.medium == Medium::Own {
            return Ok(());
        }
        let (there, back) = (&self.there, &self.back);
        for way in [there, back] {
            if matches!(way.discipline, Discipline::CoDel(_)) {
                return Err(LinkError::SharedCoDel);
            }
        }
        let equal = there.rate_bits_per_second == back.rate_bits_per_second
            && there.rates == back.rates
            && held(there).eq(held(back));
        if equal { Ok(()) } else { Err(LinkError::UnequalMedium) }
    }

    fn from_tree(mut common: Table) -> Result<Self, SettingsError> {
        let mut ways = [("there", LinkConfig::new()), ("back", LinkConfig::new())];
        let mut own = [Table::default(), Table::default()];
        for ((name, _), own) in ways.iter().zip(&mut own) {
            match common.take(name) {
                None => {}
                Some(Value::Table(table)) => *own = table,
                Some(other) => {
                    return Err(SettingsError::Bad {
                        setting: (*name).to_owned(),
                        value: other.to_string(),
                        expected: "a table of settings",
                    });
                }
            }
        }
        let mut medium = Medium::Own;
        let shared = common.take("shared").map(|value| ("shared".to_owned(), value));
        let mut fields = Fields::of_table("", Table(shared.into_iter().collect()));
        let media = [("true", Medium::Shared), ("false", Medium::Own)];
        fields.choice("shared", "true or false", &media, &mut medium)?;
        // On its own first, so that a fault is told by the name that it was given under.
        read::link(common.clone(), "")?;
        for ((name, way), own) in ways.iter_mut().zip(own) {
            read::link(own.clone(), &format!("{name}."))?;
            let mut merged = common.clone();
            for (setting, value) in own.0 {
                merged.take(&setting);
                merged.0.push((setting, value));
            }
            *way = read::link(merged, "")?;
        }
        let [(_, there), (_, back)] = ways;
        let config = Self { there, back, medium };
        config.validate()?;
        Ok(config)
    }

    fn to_tree(&self) -> Table {
        let (mut there, mut back) = (write::link(&self.there), write::link(&self.back));
        let mut table = Table::default();
        let both: Vec<_> = there.0.iter().filter(|entry| back.0.contains(entry)).cloned().collect();
        for side in [&mut there, &mut back] {
            side.0.retain(|entry| !both.contains(entry));
        }
        table.0.extend(both);
        for (name, side) in [("there", there), ("back", back)] {
            table.add(name, (!side.0.is_empty()).then_some(Value::Table(side)));
        }
        let shared = (self.medium == Medium::Shared).then(|| Value::Text("true".to_owned()));
        table.add("shared", shared);
        table
    }
}

fn held(config: &LinkConfig) -> impl Iterator<Item = &Outage> {
    config.outages.iter().filter(|outage| outage.fate == OutageFate::Held)
}

/// The settings that are not the default, in one line that [`FromStr`] reads.
impl fmt::Display for DuplexConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_tree().fmt(f)
    }
}

impl FromStr for DuplexConfig {
    type Err = SettingsError;

    fn from_str(line: &str) -> Result<Self, SettingsError> {
        Self::from_tree(tree::read(line)?)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for DuplexConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_tree(Table::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for DuplexConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_tree().serialize(serializer)
    }
}
