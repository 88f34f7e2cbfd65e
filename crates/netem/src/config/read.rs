//! Settings from their tree, with every complaint naming the setting by its full name.

use super::error::SettingsError;
use super::packets::{PacketSet, Picks};
use super::parts::{
    AckCompression, CoDel, CoDelVerdict, Discipline, Gilbert, Jitter, JitterOrder, JitterShape,
    NotCapable, Outage, OutageFate, Policer, RateChange, RouteChange, StepMarking, Threshold,
};
use super::tree::{Table, Value};
use super::{LinkConfig, units};

const TIME: &str = "a time such as 20ms";
const RATE: &str = "a rate such as 100Mbit";
const BYTES: &str = "a size such as 500kB";
const SHARE: &str = "a share such as 1% or 0.01";
const NUMBER: &str = "a number";
const QUEUE: &str = "a size such as 500kB or a number such as \"100 packets\"";
const THRESHOLD: &str = "a size such as 100kB, a number such as \"65 packets\" or a time";
const YES_NO: &str = "true or false";
const TABLE: &str = "a table";
const LIST: &str = "a list";
const PACKETS: &str = "packets counted from 1, or ranges of them such as 5-9";

type Read<T> = Result<T, SettingsError>;

/// A whole link, not yet validated.
pub(crate) fn link(table: Table, around: &str) -> Read<LinkConfig> {
    let mut config = LinkConfig::new();
    let mut fields = Fields::of_table(around, table);
    fields.optional("delay", TIME, units::read_time, &mut config.delay)?;
    if let Some((name, value)) = fields.take("jitter") {
        config.jitter = Some(jitter(name, value)?);
    }
    config.routes = fields.list("routes", |fields| {
        Ok(RouteChange {
            at: fields.required("at", TIME, units::read_time)?,
            delay: fields.required("delay", TIME, units::read_time)?,
        })
    })?;
    fields.maybe("rate", RATE, units::read_rate, &mut config.rate_bits_per_second)?;
    config.rates = fields.list("rates", |fields| {
        Ok(RateChange {
            at: fields.required("at", TIME, units::read_time)?,
            bits_per_second: fields.required("rate", RATE, units::read_rate)?,
        })
    })?;
    if let Some((name, value)) = fields.take("queue") {
        queue(name, value, &mut config)?;
    }
    if let Some((name, value)) = fields.take("policer") {
        let mut fields = Fields::new(name, value)?;
        config.policer = Some(Policer {
            bits_per_second: fields.required("rate", RATE, units::read_rate)?,
            burst_bytes: fields.required("burst", BYTES, units::read_bytes)?,
        });
        fields.finish()?;
    }
    if let Some((name, value)) = fields.take("loss") {
        config.loss = picks(name, value, |fields| {
            fields.optional("acks", SHARE, units::read_share, &mut config.ack_loss)?;
            if let Some((name, value)) = fields.take("gilbert") {
                config.gilbert = Some(gilbert(name, value)?);
            }
            Ok(())
        })?;
    }
    if let Some((name, value)) = fields.take("duplicate") {
        config.duplicate = picks(name, value, |_| Ok(()))?;
    }
    if let Some((name, value)) = fields.take("corrupt") {
        config.corrupt = picks(name, value, |_| Ok(()))?;
    }
    if let Some((name, value)) = fields.take("reorder") {
        config.reorder = picks(name, value, |fields| {
            fields.optional("gap", TIME, units::read_time, &mut config.reorder_gap)?;
            fields.maybe("positions", NUMBER, plain, &mut config.reorder_positions)
        })?;
    }
    config.outages = fields.list("outages", |fields| {
        let mut outage = Outage {
            at: fields.required("at", TIME, units::read_time)?,
            lasts: fields.required("lasts", TIME, units::read_time)?,
            fate: OutageFate::Lost,
        };
        let fates = [("lost", OutageFate::Lost), ("held", OutageFate::Held)];
        fields.choice("packets", "lost or held", &fates, &mut outage.fate)?;
        Ok(outage)
    })?;
    if let Some((name, value)) = fields.take("ack_compression") {
        let mut fields = Fields::new(name, value)?;
        let hold = fields.required("hold", TIME, units::read_time)?;
        let mut compression = AckCompression::new(hold);
        fields.maybe("count", NUMBER, plain, &mut compression.count)?;
        fields.finish()?;
        config.ack_compression = Some(compression);
    }
    fields.finish()?;
    Ok(config)
}

fn jitter(name: String, value: Value) -> Read<Jitter> {
    if let Value::Text(text) = &value {
        return parsed(&name, text, TIME, units::read_time).map(Jitter::uniform);
    }
    let mut fields = Fields::new(name, value)?;
    let mut jitter = Jitter::uniform(fields.required("spread", TIME, units::read_time)?);
    let shapes = [("uniform", JitterShape::Uniform), ("normal", JitterShape::Normal)];
    fields.choice("distribution", "uniform or normal", &shapes, &mut jitter.shape)?;
    fields.optional("correlation", SHARE, units::read_share, &mut jitter.correlation)?;
    let orders = [("true", JitterOrder::Kept), ("false", JitterOrder::Free)];
    fields.choice("keep_order", YES_NO, &orders, &mut jitter.order)?;
    fields.finish()?;
    Ok(jitter)
}

fn queue(name: String, value: Value, config: &mut LinkConfig) -> Read<()> {
    if let Value::Text(text) = &value {
        if let Some(packets) = read_count(text) {
            config.queue_packets = Some(packets);
        } else {
            config.queue_bytes = Some(parsed(&name, text, QUEUE, units::read_bytes)?);
        }
        return Ok(());
    }
    let mut fields = Fields::new(name, value)?;
    fields.maybe("packets", NUMBER, plain, &mut config.queue_packets)?;
    fields.maybe("bytes", BYTES, units::read_bytes, &mut config.queue_bytes)?;
    if let Some((name, value)) = fields.take("codel") {
        config.discipline = Discipline::CoDel(codel(name, value)?);
    }
    if let Some((name, value)) = fields.take("mark") {
        if config.discipline != Discipline::TailDrop {
            let expected = "codel or mark, not both";
            return Err(SettingsError::Bad { setting: name, value: value.to_string(), expected });
        }
        config.discipline = Discipline::StepMarking(step_marking(name, value)?);
    }
    fields.finish()
}

fn codel(name: String, value: Value) -> Read<CoDel> {
    let mut codel = CoDel::new();
    if value == Value::Text("true".to_owned()) {
        return Ok(codel);
    }
    let mut fields = Fields::new(name, value)?;
    fields.optional("target", TIME, units::read_time, &mut codel.target)?;
    fields.optional("interval", TIME, units::read_time, &mut codel.interval)?;
    let verdicts = [("true", CoDelVerdict::Mark), ("false", CoDelVerdict::Drop)];
    fields.choice("ecn", YES_NO, &verdicts, &mut codel.verdict)?;
    fields.finish()?;
    Ok(codel)
}

fn step_marking(name: String, value: Value) -> Read<StepMarking> {
    if let Value::Text(text) = &value {
        return parsed(&name, text, THRESHOLD, read_threshold).map(StepMarking::above);
    }
    let mut fields = Fields::new(name, value)?;
    let mut marking = StepMarking::above(fields.required("above", THRESHOLD, read_threshold)?);
    let others = [("pass", NotCapable::Passed), ("drop", NotCapable::Dropped)];
    fields.choice("others", "pass or drop", &others, &mut marking.others)?;
    fields.finish()?;
    Ok(marking)
}

fn gilbert(name: String, value: Value) -> Read<Gilbert> {
    let mut fields = Fields::new(name, value)?;
    let p = fields.required("p", SHARE, units::read_share)?;
    let r = fields.required("r", SHARE, units::read_share)?;
    let mut gilbert = Gilbert::new(p, r);
    fields.optional("good", SHARE, units::read_share, &mut gilbert.good)?;
    fields.optional("bad", SHARE, units::read_share, &mut gilbert.bad)?;
    fields.finish()?;
    Ok(gilbert)
}

/// Which packets are struck, and what else stands in that table.
fn picks(name: String, value: Value, more: impl FnOnce(&mut Fields) -> Read<()>) -> Read<Picks> {
    let mut picks = Picks::new();
    if let Value::Text(text) = &value {
        picks.probability = parsed(&name, text, SHARE, units::read_share)?;
        return Ok(picks);
    }
    let mut fields = Fields::new(name, value)?;
    fields.optional("random", SHARE, units::read_share, &mut picks.probability)?;
    fields.maybe("every", NUMBER, plain, &mut picks.every)?;
    if let Some((name, value)) = fields.take("packets") {
        picks.packets = packet_set(&name, value)?;
    }
    more(&mut fields)?;
    fields.finish()?;
    Ok(picks)
}

fn packet_set(name: &str, value: Value) -> Read<PacketSet> {
    let list = match value {
        Value::List(list) => list,
        one @ (Value::Text(_) | Value::Table(_)) => vec![one],
    };
    let mut ranges = Vec::with_capacity(list.len());
    for value in list {
        let text = value.to_string();
        ranges.push(parsed(name, &text, PACKETS, |text| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
                .filter(|(first, last)| first <= last)
        })?);
    }
    Ok(PacketSet::from_ranges(ranges))
}

fn plain<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

fn read_count(text: &str) -> Option<usize> {
    units::read_packets(text).and_then(|packets| usize::try_from(packets).ok())
}

fn read_threshold(text: &str) -> Option<Threshold> {
    let time = |text| units::read_time(text).map(Threshold::Wait);
    read_count(text)
        .map(Threshold::Packets)
        .or_else(|| units::read_bytes(text).map(Threshold::Bytes))
        .or_else(|| time(text))
}

fn parsed<T>(
    name: &str,
    text: &str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Read<T> {
    read(text).ok_or_else(|| SettingsError::Bad {
        setting: name.to_owned(),
        value: text.to_owned(),
        expected,
    })
}

/// The entries of a table, taken one after another; those that nobody takes are unknown.
pub(crate) struct Fields {
    /// What stands before the names inside: "", or a name and a dot.
    around: String,
    table: Table,
    asked: Vec<&'static str>,
}

impl Fields {
    pub(crate) fn of_table(around: &str, table: Table) -> Self {
        Self { around: around.to_owned(), table, asked: Vec::new() }
    }

    fn new(name: String, value: Value) -> Read<Self> {
        match value {
            Value::Table(table) => Ok(Self::of_table(&format!("{name}."), table)),
            other => {
                Err(SettingsError::Bad { setting: name, value: other.to_string(), expected: TABLE })
            }
        }
    }

    pub(crate) fn take(&mut self, name: &'static str) -> Option<(String, Value)> {
        self.asked.push(name);
        self.table.take(name).map(|value| (format!("{}{name}", self.around), value))
    }

    fn text<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Read<Option<T>> {
        let Some((name, value)) = self.take(name) else { return Ok(None) };
        match value {
            Value::Text(text) => parsed(&name, &text, expected, read).map(Some),
            other => Err(SettingsError::Bad { setting: name, value: other.to_string(), expected }),
        }
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Read<T> {
        let value = self.text(name, expected, read)?;
        value.ok_or_else(|| SettingsError::Missing { setting: format!("{}{name}", self.around) })
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        to: &mut T,
    ) -> Read<()> {
        if let Some(value) = self.text(name, expected, read)? {
            *to = value;
        }
        Ok(())
    }

    fn maybe<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        to: &mut Option<T>,
    ) -> Read<()> {
        *to = self.text(name, expected, read)?;
        Ok(())
    }

    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        choices: &[(&str, T)],
        to: &mut T,
    ) -> Read<()> {
        let read = |text: &str| {
            choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value)
        };
        self.optional(name, expected, read, to)
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Fields) -> Read<T>,
    ) -> Read<Vec<T>> {
        let Some((name, value)) = self.take(name) else { return Ok(Vec::new()) };
        let Value::List(list) = value else {
            let value = value.to_string();
            return Err(SettingsError::Bad { setting: name, value, expected: LIST });
        };
        let entry = |(place, value): (usize, Value)| {
            let mut fields = Fields::new(format!("{name}[{place}]"), value)?;
            let entry = read(&mut fields)?;
            fields.finish()?;
            Ok(entry)
        };
        list.into_iter().enumerate().map(entry).collect()
    }

    pub(crate) fn finish(self) -> Read<()> {
        match self.table.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(SettingsError::Unknown {
                setting: format!("{}{name}", self.around),
                expected: self.asked.join(", "),
            }),
        }
    }
}
