//! What routers and hosts report: ICMP errors that quote one of our segments, judged by RFC 5927.
//!
//! In SYN-SENT a report that the destination cannot be reached ends the attempt. Once synchronized
//! every report is soft: remembered, and given as the reason if the connection times out.

use core::net::IpAddr;

use towpath_wire::Protocol;
use towpath_wire::icmp::{IcmpMessage, Quoted, UnreachableCode};

use super::state::StateName;
use super::{Connection, Context};
use crate::endpoint::table::FourTuple;
use crate::error::{CloseReason, SocketError};

/// Linux's `min_pmtu`: smaller reports are not believed.
const MIN_PATH_MTU_V4: u32 = 552;
/// RFC 8200 section 5.
const MIN_PATH_MTU_V6: u32 = 1280;

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
    /// Nothing can be delivered there; the errno that says why.
    Unreachable(SocketError),
    /// The packet was larger than the path carries.
    PacketTooBig {
        /// The next hop's MTU, in bytes.
        mtu: u32,
    },
    /// A hop limit was used up, or the packet was not understood.
    Other,
}

impl IcmpError {
    /// The report in a message that arrived from `from`, if it is an error with enough quoted.
    pub fn from_message(from: IpAddr, message: &IcmpMessage<'_>) -> Option<IcmpError> {
        let (kind, quoted) = match message {
            IcmpMessage::Unreachable { code, quoted } => {
                (IcmpErrorKind::Unreachable(unreachable_error(*code)), quoted)
            }
            IcmpMessage::PacketTooBig { mtu, quoted } => {
                (IcmpErrorKind::PacketTooBig { mtu: *mtu }, quoted)
            }
            IcmpMessage::TimeExceeded { quoted, .. }
            | IcmpMessage::ParameterProblem { quoted, .. } => (IcmpErrorKind::Other, quoted),
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

/// Linux's table of ICMP codes to errno.
fn unreachable_error(code: UnreachableCode) -> SocketError {
    match code {
        UnreachableCode::Net | UnreachableCode::NoRoute => SocketError::NetworkUnreachable,
        UnreachableCode::Protocol => SocketError::ProtocolUnreachable,
        UnreachableCode::Port => SocketError::ConnectionRefused,
        _ => SocketError::HostUnreachable,
    }
}

impl Connection {
    /// A report about one of our segments.
    // Implements: 9293 MUST-54, 9293 MUST-56, 9293 SHLD-26, H-47
    pub(crate) fn handle_icmp_error(&mut self, context: &mut Context<'_>, error: &IcmpError) {
        let seq = error.quoted.seq;
        let plausible = seq.at_or_after(self.send.una()) && seq.before(self.send.nxt());
        if !plausible {
            return;
        }
        let cause = match error.kind {
            IcmpErrorKind::Unreachable(cause) => cause,
            IcmpErrorKind::PacketTooBig { mtu } => return self.lower_path_mtu(mtu),
            IcmpErrorKind::Other => return,
        };
        if self.state.name() == StateName::SynSent {
            self.fail(context, CloseReason::Icmp { from: error.from }, cause);
        } else {
            self.user.soft_error = Some(cause);
        }
    }

    /// A link of the path carries less (RFC 1191, RFC 8201). What is outstanding is cut smaller when
    /// it is sent again; nothing makes the path's MTU grow again yet.
    // Implements: H-46, RFC9293 s3.8.1
    fn lower_path_mtu(&mut self, mtu: u32) {
        let floor = if self.tuple.remote_ip.is_ipv4() { MIN_PATH_MTU_V4 } else { MIN_PATH_MTU_V6 };
        // Below the floor nobody's link is: a lie, or a router older than RFC 1191 (0).
        let before = self.send.segment_size();
        if mtu < floor || !self.send.lower_path_mtu(mtu) {
            return;
        }
        let after = self.send.segment_size();
        if after < before {
            self.congestion.controller_mut().on_mss_change(after);
            self.recovery.on_too_big();
        }
    }
}
