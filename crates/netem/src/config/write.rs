//! Settings as a tree: those that are not the default, in the order of the documentation.

use super::packets::Picks;
use super::parts::{
    AckCompression, CoDel, CoDelVerdict, Discipline, Gilbert, Jitter, JitterOrder, JitterShape,
    NotCapable, Outage, OutageFate, StepMarking, Threshold,
};
use super::tree::{Table, Value};
use super::{LinkConfig, units};

pub(crate) fn link(config: &LinkConfig) -> Table {
    let mut table = Table::default();
    table.add("delay", time_unless_zero(config.delay));
    table.add("jitter", config.jitter.as_ref().map(jitter));
    let routes = config
        .routes
        .iter()
        .map(|change| entries([("at", time(change.at)), ("delay", time(change.delay))]));
    table.add("routes", list(routes));
    table.add("rate", config.rate_bits_per_second.map(rate));
    let rates = config
        .rates
        .iter()
        .map(|change| entries([("at", time(change.at)), ("rate", rate(change.bits_per_second))]));
    table.add("rates", list(rates));
    table.add("queue", queue(config));
    let policer = config.policer.map(|policer| {
        entries([("rate", rate(policer.bits_per_second)), ("burst", bytes(policer.burst_bytes))])
    });
    table.add("policer", policer);
    let mut more = Table::default();
    more.add("acks", share_unless_zero(config.ack_loss));
    more.add("gilbert", config.gilbert.as_ref().map(gilbert));
    table.add("loss", picks(&config.loss, more));
    table.add("duplicate", picks(&config.duplicate, Table::default()));
    table.add("corrupt", picks(&config.corrupt, Table::default()));
    let mut more = Table::default();
    more.add("gap", time_unless_zero(config.reorder_gap));
    more.add("positions", config.reorder_positions.map(text));
    table.add("reorder", picks(&config.reorder, more));
    table.add("outages", list(config.outages.iter().map(outage)));
    table.add("ack_compression", config.ack_compression.as_ref().map(ack_compression));
    table
}

fn jitter(jitter: &Jitter) -> Value {
    if *jitter == Jitter::uniform(jitter.spread) {
        return time(jitter.spread);
    }
    let mut table = Table::default();
    table.add("spread", Some(time(jitter.spread)));
    table.add("distribution", (jitter.shape == JitterShape::Normal).then(|| text("normal")));
    table.add("correlation", share_unless_zero(jitter.correlation));
    table.add("keep_order", (jitter.order == JitterOrder::Kept).then(|| text("true")));
    Value::Table(table)
}

fn queue(config: &LinkConfig) -> Option<Value> {
    let mut table = Table::default();
    match (config.discipline, config.queue_packets, config.queue_bytes) {
        (Discipline::TailDrop, None, None) => return None,
        (Discipline::TailDrop, Some(packets), None) => {
            return Some(text(units::write_packets(packets as u64)));
        }
        (Discipline::TailDrop, None, Some(limit)) => return Some(bytes(limit)),
        (_, packets, limit) => {
            table.add("packets", packets.map(text));
            table.add("bytes", limit.map(bytes));
        }
    }
    match config.discipline {
        Discipline::TailDrop => {}
        Discipline::CoDel(settings) => table.add("codel", Some(codel(settings))),
        Discipline::StepMarking(settings) => table.add("mark", Some(step_marking(settings))),
    }
    Some(Value::Table(table))
}

fn codel(codel: CoDel) -> Value {
    let default = CoDel::new();
    let mut table = Table::default();
    table.add("target", (codel.target != default.target).then(|| time(codel.target)));
    table.add("interval", (codel.interval != default.interval).then(|| time(codel.interval)));
    table.add("ecn", (codel.verdict == CoDelVerdict::Mark).then(|| text("true")));
    if table.0.is_empty() { text("true") } else { Value::Table(table) }
}

fn step_marking(marking: StepMarking) -> Value {
    let above = match marking.above {
        Threshold::Bytes(limit) => bytes(limit),
        Threshold::Packets(packets) => text(units::write_packets(packets as u64)),
        Threshold::Wait(wait) => time(wait),
    };
    match marking.others {
        NotCapable::Passed => above,
        NotCapable::Dropped => entries([("above", above), ("others", text("drop"))]),
    }
}

fn gilbert(gilbert: &Gilbert) -> Value {
    let mut table = Table::default();
    table.add("p", Some(share(gilbert.p)));
    table.add("r", Some(share(gilbert.r)));
    table.add("good", share_unless_zero(gilbert.good));
    table.add("bad", (gilbert.bad != 1.0).then(|| share(gilbert.bad)));
    Value::Table(table)
}

/// Which packets are struck, and what else stands in that table.
fn picks(picks: &Picks, more: Table) -> Option<Value> {
    let mut table = Table::default();
    table.add("random", share_unless_zero(picks.probability));
    table.add("every", picks.every.map(text));
    let ranges = picks.packets.ranges().iter().map(|&(first, last)| {
        text(if first == last { first.to_string() } else { format!("{first}-{last}") })
    });
    table.add("packets", list(ranges));
    table.0.extend(more.0);
    match table.0.as_slice() {
        [] => None,
        [(name, only)] if name == "random" => Some(only.clone()),
        _ => Some(Value::Table(table)),
    }
}

fn outage(outage: &Outage) -> Value {
    let mut table = Table::default();
    table.add("at", Some(time(outage.at)));
    table.add("lasts", Some(time(outage.lasts)));
    table.add("packets", (outage.fate == OutageFate::Held).then(|| text("held")));
    Value::Table(table)
}

fn ack_compression(compression: &AckCompression) -> Value {
    let mut table = Table::default();
    table.add("hold", Some(time(compression.hold)));
    table.add("count", compression.count.map(text));
    Value::Table(table)
}

fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

fn time(value: std::time::Duration) -> Value {
    text(units::write_time(value))
}

fn time_unless_zero(value: std::time::Duration) -> Option<Value> {
    (!value.is_zero()).then(|| time(value))
}

fn rate(bits_per_second: u64) -> Value {
    text(units::write_rate(bits_per_second))
}

fn bytes(value: u64) -> Value {
    text(units::write_bytes(value))
}

fn share(value: f64) -> Value {
    text(units::write_share(value))
}

fn share_unless_zero(value: f64) -> Option<Value> {
    (value != 0.0).then(|| share(value))
}

fn entries<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(Table(entries.map(|(name, value)| (name.to_owned(), value)).into()))
}

fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let list: Vec<Value> = values.collect();
    (!list.is_empty()).then_some(Value::List(list))
}
