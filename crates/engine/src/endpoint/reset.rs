//! The answer to a segment that belongs to nothing: RFC 9293 section 3.10.7.1.

use towpath_wire::SeqNumber;
use towpath_wire::tcp::{Flags, Options, Segment};

use super::Arrival;
use super::table::FourTuple;
use crate::chunks::Chunks;
use crate::connection::emit;
use crate::output::Transmit;

/// The reset for a segment, if one is due: never for a reset.
// Implements: RFC9293 s3.10.7.1a, RFC9293 s3.10.7.1b, RFC9293 s3.10.7.1c, RFC9293 s3.5.2a
pub(crate) fn answer(tuple: &FourTuple, ttl: u8, arrival: &Arrival) -> Option<Transmit> {
    let segment = &arrival.segment;
    if segment.flags.contains(Flags::RST) {
        return None;
    }
    let (seq, ack, flags) = if segment.flags.contains(Flags::ACK) {
        (segment.ack, SeqNumber::default(), Flags::RST)
    } else {
        let end = segment.seq + segment.sequence_len(arrival.payload.len());
        (SeqNumber::default(), end, Flags::RST | Flags::ACK)
    };
    let reset = Segment {
        src_port: tuple.local_port,
        dst_port: tuple.remote_port,
        seq,
        ack,
        flags,
        window: 0,
        urgent: 0,
        options: Options::default(),
    };
    let mut packet = emit::packet(tuple, ttl, reset, Chunks::new());
    // As Linux: it travels in the class of what it answers.
    packet.ip.dscp = arrival.ip.dscp;
    Some(packet)
}
