//! Which settings make no sense.

use std::time::Duration;

use super::packets::Picks;
use super::parts::{Discipline, Threshold};
use super::{LinkConfig, LinkError};

/// The longest delay: far beyond any path, and short enough that sums of times cannot overflow.
const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The latest time in a schedule: longer than any run.
const LATEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The most entries of a schedule: a year of one each hour, or ten minutes of one each 60 ms.
const LONGEST_SCHEDULE: usize = 10_000;

pub(super) fn link(config: &LinkConfig) -> Result<(), LinkError> {
    probabilities(config)?;
    times(config)?;
    for (setting, picks) in [
        ("loss.every", &config.loss),
        ("duplicate.every", &config.duplicate),
        ("corrupt.every", &config.corrupt),
        ("reorder.every", &config.reorder),
    ] {
        every(setting, picks)?;
    }
    schedules(config)?;
    queue(config)?;
    if config.reorder.may_strike()
        && config.reorder_gap.is_zero()
        && config.reorder_positions.is_none()
    {
        return Err(LinkError::NoGap);
    }
    if config.reorder_positions == Some(0) {
        let consequence = "positions change no order: give at least 1";
        return Err(LinkError::Zero { setting: "reorder.positions", consequence });
    }
    if let Some(compression) = config.ack_compression {
        let consequence = "compresses nothing: give at least 1";
        if compression.hold.is_zero() {
            return Err(LinkError::Zero { setting: "ack_compression.hold", consequence });
        }
        if compression.count == Some(0) {
            return Err(LinkError::Zero { setting: "ack_compression.count", consequence });
        }
    }
    Ok(())
}

fn probabilities(config: &LinkConfig) -> Result<(), LinkError> {
    let gilbert = config.gilbert.map_or([0.0; 4], |g| [g.p, g.r, g.good, g.bad]);
    let [p, r, good, bad] = gilbert;
    let correlation = config.jitter.map_or(0.0, |jitter| jitter.correlation);
    for (setting, value) in [
        ("loss", config.loss.probability),
        ("loss.acks", config.ack_loss),
        ("loss.gilbert.p", p),
        ("loss.gilbert.r", r),
        ("loss.gilbert.good", good),
        ("loss.gilbert.bad", bad),
        ("duplicate", config.duplicate.probability),
        ("corrupt", config.corrupt.probability),
        ("reorder", config.reorder.probability),
        ("jitter.correlation", correlation),
    ] {
        if !(0.0..=1.0).contains(&value) {
            return Err(LinkError::NotAProbability { setting, value });
        }
    }
    if correlation >= 1.0 {
        return Err(LinkError::FullCorrelation);
    }
    Ok(())
}

fn times(config: &LinkConfig) -> Result<(), LinkError> {
    let zero = Duration::ZERO;
    let codel = match config.discipline {
        Discipline::CoDel(codel) => [codel.target, codel.interval],
        Discipline::TailDrop | Discipline::StepMarking(_) => [zero; 2],
    };
    let wait = match config.discipline {
        Discipline::StepMarking(marking) => match marking.above {
            Threshold::Wait(wait) => wait,
            Threshold::Bytes(_) | Threshold::Packets(_) => zero,
        },
        Discipline::TailDrop | Discipline::CoDel(_) => zero,
    };
    let named = [
        ("delay", config.delay),
        ("jitter.spread", config.jitter.map_or(zero, |jitter| jitter.spread)),
        ("reorder_gap", config.reorder_gap),
        ("queue.codel.target", codel[0]),
        ("queue.codel.interval", codel[1]),
        ("queue.mark.above", wait),
        ("ack_compression.hold", config.ack_compression.map_or(zero, |c| c.hold)),
    ];
    let routes = config.routes.iter().map(|change| ("routes.delay", change.delay));
    for (setting, value) in named.into_iter().chain(routes) {
        if value > LONGEST_DELAY {
            return Err(LinkError::TooLong { setting, value, longest: LONGEST_DELAY });
        }
    }
    if let Discipline::CoDel(codel) = config.discipline
        && codel.interval.is_zero()
    {
        let consequence = "drops all that waits: give about the longest round trip";
        return Err(LinkError::Zero { setting: "queue.codel.interval", consequence });
    }
    Ok(())
}

fn every(setting: &'static str, picks: &Picks) -> Result<(), LinkError> {
    let consequence = "is no packet: they are counted from 1";
    if picks.every == Some(0) {
        return Err(LinkError::Zero { setting, consequence });
    }
    if picks.packets.first() == Some(0) {
        let setting = match setting {
            "loss.every" => "loss.packets",
            "duplicate.every" => "duplicate.packets",
            "corrupt.every" => "corrupt.packets",
            _ => "reorder.packets",
        };
        return Err(LinkError::Zero { setting, consequence });
    }
    Ok(())
}

fn schedules(config: &LinkConfig) -> Result<(), LinkError> {
    let zero = Duration::ZERO;
    schedule("routes", config.routes.iter().map(|change| (change.at, zero)))?;
    schedule("rates", config.rates.iter().map(|change| (change.at, zero)))?;
    schedule("outages", config.outages.iter().map(|outage| (outage.at, outage.lasts)))?;
    if config.outages.iter().any(|outage| outage.lasts.is_zero()) {
        let consequence = "is no outage: leave it out";
        return Err(LinkError::Zero { setting: "outages.lasts", consequence });
    }
    Ok(())
}

/// `entries` are when each begins and how long it lasts.
fn schedule(
    setting: &'static str,
    entries: impl ExactSizeIterator<Item = (Duration, Duration)>,
) -> Result<(), LinkError> {
    let len = entries.len();
    if len > LONGEST_SCHEDULE {
        return Err(LinkError::TooMany { setting, len, most: LONGEST_SCHEDULE });
    }
    let mut before = None;
    for (at, lasts) in entries {
        for value in [at, lasts] {
            if value > LATEST {
                return Err(LinkError::TooLong { setting, value, longest: LATEST });
            }
        }
        if before.is_some_and(|(begin, end)| at <= begin || at < end) {
            return Err(LinkError::OutOfOrder { setting, at });
        }
        before = Some((at, at + lasts));
    }
    Ok(())
}

fn queue(config: &LinkConfig) -> Result<(), LinkError> {
    let zero_rate = config.rate_bits_per_second == Some(0)
        || config.rates.iter().any(|change| change.bits_per_second == 0);
    if zero_rate {
        return Err(LinkError::NoRate);
    }
    let consequence = "lets nothing pass: give a rate and a burst of at least one packet";
    if let Some(policer) = config.policer {
        for (setting, value) in
            [("policer.rate", policer.bits_per_second), ("policer.burst", policer.burst_bytes)]
        {
            if value == 0 {
                return Err(LinkError::Zero { setting, consequence });
            }
        }
    }
    if config.queue_packets == Some(0) || config.queue_bytes == Some(0) {
        return Err(LinkError::NoQueue);
    }
    let never_waits = config.rate_bits_per_second.is_none() && config.rates.is_empty();
    let setting = match config.discipline {
        Discipline::CoDel(_) => "queue.codel",
        Discipline::StepMarking(_) => "queue.mark",
        Discipline::TailDrop => return Ok(()),
    };
    if never_waits {
        return Err(LinkError::NothingWaits { setting });
    }
    Ok(())
}
