//! What the scripts begin with: connections that are open.
#![allow(dead_code, reason = "each test program uses its part")]

use core::time::Duration;

use towpath_engine::ConnectionId;
use towpath_lab::segment::{Seg, ack, syn, syn_ack};
use towpath_lab::single::Single;
use towpath_wire::tcp::Flags;

/// A connection that the peer opened with `its_syn`; the round trip takes no time.
pub(crate) fn accept_from(single: &mut Single, its_syn: Seg) -> ConnectionId {
    accept_after(single, its_syn, Duration::ZERO)
}

/// A connection that the peer opened with `its_syn`, its ACK coming after one round trip.
pub(crate) fn accept_after(
    single: &mut Single,
    its_syn: Seg,
    round_trip: Duration,
) -> ConnectionId {
    let listener = single.listen();
    single.inject(its_syn);
    single.expect(syn_ack());
    single.advance(round_trip);
    single.inject(ack(1, 1));
    single.accept(listener)
}

/// A connection that the peer opened: MSS 1000, no other option, and no time for a round trip.
pub(crate) fn accepted(single: &mut Single) -> ConnectionId {
    accept_from(single, syn().mss(1000))
}

/// A connection that the engine opened to such a peer.
pub(crate) fn connected(single: &mut Single) -> ConnectionId {
    let id = single.connect();
    single.expect(syn());
    single.inject(syn_ack().mss(1000));
    single.expect(ack(1, 1));
    id
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Lets the congestion window grow until this many segments are in flight; the number that is
/// acknowledged, and what lies beyond it.
pub(crate) fn many_in_flight(
    single: &mut Single,
    id: ConnectionId,
    segments: usize,
) -> (u32, Vec<(u32, usize, Flags)>) {
    let mut acked = 1;
    for _ in 0..100 {
        while single.try_write(id, 60_000).is_ok() {}
        let in_flight = single.take_segments();
        if in_flight.len() >= segments {
            return (acked, in_flight);
        }
        if let Some((seq, len, _)) = in_flight.last() {
            acked = seq + *len as u32;
        }
        single.inject(ack(1, acked));
    }
    panic!("the congestion window does not reach {segments} segments");
}
