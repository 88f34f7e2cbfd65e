//! The packets of a script: what it sends is given to the engine, what it expects is waited for.

use super::Player;
use super::clock::{ANY_TIME_MICROS, Due, PATIENCE_MICROS, seconds};
use super::live::{Live, Scaled};
use super::seen::Seen;
use super::{expect, inject, seen};
use crate::drill::ast::{Body, Packet, Tcp};
use crate::drill::verdict::Stop;

impl Player<'_> {
    pub(super) fn inject(&mut self, packet: &Packet) -> Result<(), Stop> {
        self.refuse_unbuilt(packet)?;
        let live = self.under_test.for_inbound(packet.ports);
        let bytes = match &packet.body {
            Body::Tcp(tcp) => {
                if tcp.flags.syn {
                    live.on_remote_first(tcp.seq);
                }
                let scaled = if self.settings.ts_ecr_scaled { Scaled::Yes } else { Scaled::No };
                inject::tcp(&packet.ip, tcp, live, scaled)?
            }
            Body::Icmp(icmp) if icmp.mtu.is_some() && self.files.ignores_reports_of_mtu => {
                let what = "a report of an MTU to a socket that does not discover its path's";
                return Err(Stop::unsupported(what));
            }
            Body::Icmp(icmp) => inject::icmp(&packet.ip, icmp, live)?,
            Body::Udp { .. } => return Err(Stop::unsupported("udp packets")),
        };
        let joined = match &packet.body {
            Body::Tcp(tcp) if tcp.len > u32::from(self.settings.gso_size) => self.settings.gso_size,
            _ => 0,
        };
        let now = self.clock.instant(self.clock.now());
        self.host.receive_joined(now, &bytes, joined, &mut self.trace);
        self.settle()
    }

    fn refuse_unbuilt(&self, packet: &Packet) -> Result<(), Stop> {
        if let Some(outer) = packet.encapsulation.first() {
            return Err(Stop::unsupported(format!("{outer} encapsulation")));
        }
        Ok(())
    }

    pub(super) fn expect(&mut self, packet: &Packet, due: Due) -> Result<(), Stop> {
        self.refuse_unbuilt(packet)?;
        let Body::Tcp(tcp) = &packet.body else {
            return Err(Stop::unsupported("outbound packets that are not TCP"));
        };
        let (from, to) = self.bounds(due);
        let now = self.clock.now();
        let limit = match due {
            Due::Any => now + ANY_TIME_MICROS,
            Due::Between(..) => to.max(now) + PATIENCE_MICROS,
        };
        let mut parts = vec![self.next_output(packet, tcp, limit)?];
        let mut len = parts[0].len();
        while !self.settings.strict_segments && len > 0 && len < tcp.len {
            let part = self.next_output(packet, tcp, limit)?;
            len = len.saturating_add(part.len());
            let empty = part.payload.is_empty();
            parts.push(part);
            if empty {
                break;
            }
        }
        let live = self.under_test.for_outbound(packet.ports).ok_or_else(no_connection)?;
        let mismatch = |reason: String, seen: &Seen, live: &Live| Stop::Mismatch {
            reason,
            expected: expect::show_expected(tcp),
            seen: expect::show_seen(seen, live),
        };
        let last = parts.last().cloned().ok_or_else(no_connection)?;
        let seen = seen::join(&parts).map_err(|reason| mismatch(reason, &last, live))?;
        expect::check(self.settings, &packet.ip, tcp, &seen, live)
            .map_err(|reason| mismatch(reason, &seen, live))?;
        self.clock.set_now(seen.at);
        let due = if due == Due::Any { due } else { Due::Between(from, to) };
        self.check_time("the packet", seen.at, due)
    }

    /// The next packet of the connection under test, waited for until `limit`.
    fn next_output(&mut self, packet: &Packet, tcp: &Tcp, limit: i64) -> Result<Seen, Stop> {
        loop {
            let live = self.under_test.for_outbound(packet.ports).ok_or_else(no_connection)?;
            let (src, dst) = (live.local, live.remote);
            while let Some(seen) = self.outputs.pop_front() {
                if (seen.src, seen.dst) == (src, dst) {
                    return Ok(seen);
                }
            }
            let line = self.line;
            if !self.step(limit)? {
                return Err(Stop::Mismatch {
                    reason: format!(
                        "no packet comes until {}",
                        seconds(limit.max(self.clock.now()))
                    ),
                    expected: expect::show_expected(tcp),
                    seen: "nothing".to_owned(),
                });
            }
            self.line = line;
        }
    }
}

fn no_connection() -> Stop {
    Stop::fail("there is no connection that this packet could be of")
}
