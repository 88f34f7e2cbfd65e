//! What [`poll`](crate::Endpoint::poll) returns: something to send, something to tell, or how long
//! to wait.

use core::fmt;

use bytes::Bytes;
use towpath_wire::{IpHeader, tcp::Segment};

use crate::chunks::Chunks;
use crate::event::Event;
use crate::instant::Instant;
use crate::timer::TimerKind;

/// The one output of the engine.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is moved once, from poll to its caller")]
pub enum Output {
    /// A packet for the device.
    Transmit(Transmit),
    /// A fact for whoever waits.
    Event(Event),
    /// Nothing until this instant, or until the next call with news. [`Instant::FAR_FUTURE`] when no
    /// timer is armed.
    Wait(Instant, Option<TimerKind>),
}

/// A packet to be sent: headers as values, the payload as chunks that are not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The IP header.
    pub ip: IpHeader,
    /// What the packet carries.
    pub body: TransmitBody,
}

/// What a [`Transmit`] carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransmitBody {
    /// A TCP segment.
    Tcp {
        /// The TCP header.
        segment: Segment,
        /// The payload, of at most [`MAX_CHUNKS`](crate::chunks::MAX_CHUNKS) chunks.
        payload: Chunks,
        /// Payload bytes per packet if the device is to cut this into several; zero for one packet.
        gso_size: u16,
    },
    /// The answer to an echo request.
    EchoReply {
        /// The request's identifier.
        ident: u16,
        /// The request's sequence number.
        seq: u16,
        /// The request's data.
        data: Bytes,
    },
    /// An ICMP error about a packet that was refused.
    IcmpError {
        /// The whole message, with its checksum.
        message: Bytes,
    },
}

impl Transmit {
    /// The length of the payload above the transport header, in bytes.
    pub fn payload_len(&self) -> usize {
        match &self.body {
            TransmitBody::Tcp { payload, .. } => payload.len(),
            TransmitBody::EchoReply { data, .. } => data.len(),
            TransmitBody::IcmpError { message } => {
                message.len().saturating_sub(towpath_wire::icmp::HEADER_LEN)
            }
        }
    }
}

impl fmt::Display for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            TransmitBody::Tcp { segment, payload, .. } => write!(
                f,
                "{}.{} > {}.{}: {}",
                self.ip.src,
                segment.src_port,
                self.ip.dst,
                segment.dst_port,
                segment.display(payload.len())
            ),
            TransmitBody::EchoReply { ident, seq, data } => write!(
                f,
                "{} > {}: ICMP echo reply, id {ident}, seq {seq}, length {}",
                self.ip.src,
                self.ip.dst,
                data.len()
            ),
            TransmitBody::IcmpError { message } => {
                let kind = message.first().copied().unwrap_or_default();
                let code = message.get(1).copied().unwrap_or_default();
                write!(
                    f,
                    "{} > {}: ICMP error type {kind} code {code}, length {}",
                    self.ip.src,
                    self.ip.dst,
                    message.len()
                )
            }
        }
    }
}
