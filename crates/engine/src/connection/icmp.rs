//! What routers and hosts report: ICMP errors that quote one of our segments, judged by RFC 5927.
//!
//! Before the handshake is complete a report that our packet did not arrive ends the attempt. Once
//! synchronized every report is soft: remembered, and given as the reason if the connection times
//! out before the peer is heard again. Source quench, redirects and what is not known never get
//! here.

use core::net::IpAddr;

use towpath_wire::Protocol;
use towpath_wire::icmp::{IcmpMessage, Quoted, UnreachableCode};

use super::state::StateName;
use super::{Connection, Context};
use crate::endpoint::table::FourTuple;
use crate::error::{CloseReason, SocketError};
use crate::instant::Instant;

/// An ICMP error about one of our packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Who reports.
    pub from: IpAddr,
    /// What is reported.
    pub kind: IcmpErrorKind,
    /// The start of our packet, as far as it was quoted.
    pub quoted: Quoted,
}

/// What an ICMP error reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcmpErrorKind {
    /// Our packet did not arrive.
    NotDelivered {
        /// The errno that says why.
        error: SocketError,
        /// Whether a half-open connection is given up for it.
        ends_half_open: bool,
    },
    /// The packet was larger than the path carries.
    PacketTooBig {
        /// The next hop's MTU, in bytes; 0 from a router older than RFC 1191.
        mtu: u32,
    },
}

impl IcmpError {
    /// The report in a message that arrived from `from`, if it is an error with enough quoted.
    // Implements: RFC6633, RFC4443 s2.2, H-48
    pub fn from_message(from: IpAddr, message: &IcmpMessage<'_>) -> Option<IcmpError> {
        let not_delivered =
            |error, ends_half_open| IcmpErrorKind::NotDelivered { error, ends_half_open };
        let (kind, quoted) = match message {
            IcmpMessage::Unreachable { code, quoted } => {
                let (error, ends_half_open) = unreachable_error(*code, from)?;
                (not_delivered(error, ends_half_open), quoted)
            }
            IcmpMessage::PacketTooBig { mtu, quoted } => {
                (IcmpErrorKind::PacketTooBig { mtu: *mtu }, quoted)
            }
            IcmpMessage::TimeExceeded { quoted, .. } => {
                (not_delivered(SocketError::HostUnreachable, from.is_ipv4()), quoted)
            }
            IcmpMessage::ParameterProblem { quoted, .. } => {
                (not_delivered(SocketError::Protocol, true), quoted)
            }
            _ => return None,
        };
        let quoted = (*quoted)?;
        (quoted.protocol == Protocol::TCP).then_some(IcmpError { from, kind, quoted })
    }

    /// The connection that the quoted packet belongs to.
    pub(crate) fn tuple(&self) -> FourTuple {
        FourTuple {
            local_ip: self.quoted.src,
            remote_ip: self.quoted.dst,
            local_port: self.quoted.src_port,
            remote_port: self.quoted.dst_port,
        }
    }
}

/// Linux's table of ICMP codes to errno, and whether a half-open connection is given up for it;
/// `None` for a code that no table knows.
fn unreachable_error(code: UnreachableCode, from: IpAddr) -> Option<(SocketError, bool)> {
    use SocketError as E;
    use UnreachableCode as C;
    Some(match (code, from.is_ipv4()) {
        (C::Net, _) => (E::NetworkUnreachable, true),
        (C::Host, _) => (E::HostUnreachable, true),
        (C::Protocol, _) => (E::ProtocolUnreachable, false),
        (C::Port, v4) => (E::ConnectionRefused, !v4),
        (C::SourceRouteFailed, _) => (E::NotSupported, false),
        // Destination network and host unknown, source host isolated.
        (C::Other(6), true) => (E::NetworkUnreachable, false),
        (C::Other(7), true) => (E::HostDown, false),
        (C::Other(8), true) => (E::NotOnNetwork, false),
        (C::NetProhibited, _) => (E::NetworkUnreachable, false),
        (C::HostProhibited, _) => (E::HostUnreachable, false),
        // For this type of service, net and host; filtered; precedence, in two ways.
        (C::Other(11), true) => (E::NetworkUnreachable, false),
        (C::Other(12 | 14 | 15), true) => (E::HostUnreachable, false),
        (C::AdminProhibited, true) => (E::HostUnreachable, false),
        (C::NoRoute, _) => (E::NetworkUnreachable, false),
        (C::AdminProhibited | C::SourcePolicy | C::RejectRoute, false) => (E::AccessDenied, true),
        (C::BeyondScope | C::AddressUnreachable, _) => (E::HostUnreachable, false),
        _ => return None,
    })
}

impl Connection {
    /// A report about one of our segments: one that is outstanding, or an ACK at SND.NXT.
    // Implements: 9293 MUST-54, 9293 MUST-56, 9293 SHLD-26, RFC5927 s4.1, RFC5927 s5.2, H-47
    pub(crate) fn handle_icmp_error(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        error: &IcmpError,
    ) {
        let seq = error.quoted.seq;
        let outstanding = seq.at_or_after(self.send.una()) && seq.before(self.send.nxt());
        let of_an_ack = seq == self.send.nxt() && self.state.is_synchronized();
        if !outstanding && !of_an_ack {
            context.counters.out_of_window_icmps += 1;
            return;
        }
        let cause = match error.kind {
            IcmpErrorKind::NotDelivered { error, .. } => error,
            // An ACK alone is never too big.
            IcmpErrorKind::PacketTooBig { .. } if of_an_ack => {
                context.counters.out_of_window_icmps += 1;
                return;
            }
            IcmpErrorKind::PacketTooBig { mtu } => {
                return self.on_too_big(now, context, error, mtu);
            }
        };
        match self.state.name() {
            StateName::Closed => {}
            // Deviates: RFC 9293 MUST-56 has some of these end nothing. As Linux (RFC 5461), a
            // connect does not go on waiting for what it was told will not come.
            StateName::SynSent | StateName::SynReceived => {
                self.fail(context, CloseReason::Icmp { from: error.from }, cause);
            }
            _ => self.user.soft_error = Some(cause),
        }
    }

    /// A link of the path carries less (RFC 1191, RFC 8201). What was too big for it is lost: it is
    /// sent again at once, in smaller segments, and is no sign of congestion.
    ///
    /// Deviates: RFC 5927 section 7.2 waits for a time-out where the peer still acknowledges. As
    /// Linux, the quoted number has to be outstanding, and the floor bounds what a lie can do.
    // Implements: H-46, RFC1191 s6.5, RFC8201 s5.3, RFC9293 s3.8.1
    fn on_too_big(&mut self, now: Instant, context: &mut Context<'_>, error: &IcmpError, mtu: u32) {
        let remote = self.tuple.remote_ip;
        if remote.is_ipv4() && !context.config.discovers_path_mtu() {
            return;
        }
        let report = (mtu, error.quoted.total_length);
        context.paths.on_report(now, context.config, remote, context.mtu, report);
        let before = self.send.segment_size();
        self.watch_path(now, context);
        let after = self.send.segment_size();
        if after < before && self.state.is_synchronized() {
            self.recovery.on_too_big(after);
        }
    }

    /// Follows what is known of the path: a report to another connection counts for this one too,
    /// and a report that is not repeated is forgotten, so that the segment size grows again.
    // Implements: RFC1191 s6.3
    pub(super) fn watch_path(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.path_mtu.is_current(now, context.paths) {
            return;
        }
        let before = self.path_mtu.mtu;
        self.path_mtu = context.paths.lookup(now, self.tuple.remote_ip, context.mtu);
        if self.path_mtu.mtu != before {
            self.send.set_path_mtu(self.path_mtu.mtu);
            let size = self.send.segment_size();
            self.congestion.controller_mut().on_mss_change(size);
        }
    }
}
