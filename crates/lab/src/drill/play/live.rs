//! One connection as a script sees it: its ends, and how the script's numbers become those on the
//! wire (section 5 of the language, sequence-number space and timestamps).

use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::drill::ast::TcpOption;

/// Whose sequence number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The stack's.
    Local,
    /// The peer's.
    Remote,
}

/// Whether the segment that the number stands in has SYN: those carry the script's numbers as they
/// are, all others count from the initial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    Absolute,
    Relative,
}

impl Counting {
    pub(super) fn of_segment(syn: bool) -> Counting {
        if syn { Counting::Absolute } else { Counting::Relative }
    }
}

/// An initial sequence number, on the wire and in the script.
#[derive(Clone, Copy, Debug, Default)]
struct Initial {
    live: u32,
    script: u32,
}

/// A connection's numbers.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    local_initial: Option<Initial>,
    remote_initial: Option<Initial>,
    /// Added to the script's absolute numbers of the peer: where the peer's numbers begin.
    remote_shift: u32,
    /// The TSvals that the stack has sent: the script's, and what was on the wire.
    stamps: BTreeMap<u32, u32>,
    /// The first of them, from which ticks are counted.
    first_stamp: Option<(u32, u32)>,
    /// The flow label that the stack has last sent with: the script's, and what was on the wire.
    flow_label: Option<(u32, u32)>,
}

impl Live {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr, remote_shift: u32) -> Live {
        Live {
            local,
            remote,
            local_initial: None,
            remote_initial: None,
            remote_shift,
            stamps: BTreeMap::new(),
            first_stamp: None,
            flow_label: None,
        }
    }

    /// The peer's first segment, by the script's number.
    pub(super) fn on_remote_first(&mut self, script: u32) {
        let live = script.wrapping_add(self.remote_shift);
        self.remote_initial.get_or_insert(Initial { live, script });
    }

    /// The stack's SYN or SYN-ACK, by both numbers.
    pub(super) fn on_local_syn(&mut self, live: u32, script: u32) {
        self.local_initial.get_or_insert(Initial { live, script });
    }

    /// A script's flow labels only say which packets have the same as the one before.
    ///
    /// # Errors
    ///
    /// The same where another was expected, or another where the same was.
    pub(super) fn check_flow_label(&mut self, script: u32, live: u32) -> Result<(), String> {
        let last = self.flow_label.replace((script, live));
        match last {
            Some((before, on_wire)) if (before == script) != (on_wire == live) => {
                let which = if before == script { "the same as before" } else { "another" };
                Err(format!("flowlabel {live:#x} after {on_wire:#x}, expected {which}"))
            }
            _ => Ok(()),
        }
    }

    /// What is added to a script's number of `side` to get the one on the wire.
    fn shift(&self, side: Side, counting: Counting) -> u32 {
        let initial = match side {
            Side::Local => self.local_initial.unwrap_or_default(),
            Side::Remote => {
                self.remote_initial.unwrap_or(Initial { live: self.remote_shift, script: 0 })
            }
        };
        match counting {
            Counting::Absolute => initial.live.wrapping_sub(initial.script),
            Counting::Relative => initial.live,
        }
    }

    /// A script's number on the wire.
    pub(super) fn to_wire(&self, side: Side, counting: Counting, script: u32) -> u32 {
        script.wrapping_add(self.shift(side, counting))
    }

    /// A number of the wire as the script counts.
    pub(super) fn to_script(&self, side: Side, counting: Counting, wire: u32) -> u32 {
        wire.wrapping_sub(self.shift(side, counting))
    }

    /// The stack has sent this TSval where the script says that.
    pub(super) fn on_stamp(&mut self, script: u32, live: u32) {
        self.first_stamp.get_or_insert((script, live));
        self.stamps.insert(script, live);
    }

    /// The first TSval, the script's and the wire's.
    pub(super) fn first_stamp(&self) -> Option<(u32, u32)> {
        self.first_stamp
    }

    /// The TSval that the script's echo stands for; `None` if the stack never sent it.
    pub(super) fn echoed(&self, script: u32, scaled: Scaled) -> Option<u32> {
        if let Some(live) = self.stamps.get(&script) {
            return Some(*live);
        }
        let (first_script, first_live) = self.first_stamp?;
        (scaled == Scaled::Yes).then(|| first_live.wrapping_add(script.wrapping_sub(first_script)))
    }

    /// Options that the script writes for the peer, as they go on the wire.
    ///
    /// # Errors
    ///
    /// An echo of a TSval that was never sent.
    pub(super) fn options_to_wire(
        &self,
        options: &[TcpOption],
        scaled: Scaled,
    ) -> Result<Vec<TcpOption>, String> {
        let convert = |option: &TcpOption| {
            Ok(match option {
                TcpOption::Sack(blocks) => {
                    let wire = |edge| self.to_wire(Side::Local, Counting::Relative, edge);
                    TcpOption::Sack(blocks.iter().map(|(l, r)| (wire(*l), wire(*r))).collect())
                }
                // Before the stack's first segment there is nothing to echo: 0 is what a SYN has.
                TcpOption::Timestamps { val, ecr }
                    if *ecr != 0 || self.stamps.contains_key(ecr) =>
                {
                    let ecr = self.echoed(*ecr, scaled).ok_or_else(|| {
                        format!("ecr {ecr} echoes a timestamp that no outbound packet has had")
                    })?;
                    TcpOption::Timestamps { val: *val, ecr }
                }
                other => other.clone(),
            })
        };
        options.iter().map(convert).collect()
    }
}

/// Whether an echo may be of a TSval between or after those that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaled {
    Yes,
    No,
}
