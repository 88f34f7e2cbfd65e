//! What the receiver has offered stands: the window of RFC 7323 section 2.4, which keeps what earlier
//! ACKs promised, and the window that stays alive while it is full (RFC 2525 section 2.12).

mod support;

use support::{accept_from, accepted, ms, secs};
use towpath_engine::{BufferSizes, Config, ConnectionId};
use towpath_lab::segment::{ack, data, syn};
use towpath_lab::single::{Single, for_each_server};

/// The right edge that the packets sent since the last call offer at most, as a number of the peer's.
fn offered(single: &mut Single, id: ConnectionId) -> Option<u32> {
    let first = single.packet(&data(0, 0, 1)).segment.seq;
    let scale = single.endpoint().info(id).unwrap().rcv_wscale;
    let edge = |packet: &towpath_lab::packet::Packet| {
        packet.segment.ack.distance_from(first) + (u32::from(packet.segment.window) << scale)
    };
    single.take_packets().iter().map(|(_, packet)| edge(packet)).max()
}

// Shows: RFC7323 s2.4a, RFC7323 s2.4b
#[test]
fn every_byte_that_was_ever_offered_is_taken() {
    let rmem = BufferSizes { min: 4096, default: 60_001, max: 120_000_000 };
    for (config, its_syn) in [
        (Config::default(), syn().mss(1000).wscale(7)),
        (Config::default().tcp_rmem(rmem), syn().mss(1000).wscale(7)),
        (Config::default(), syn().mss(1000)),
    ] {
        for_each_server(&config, |single| {
            let id = accept_from(single, its_syn.clone());
            // Nobody reads. Odd sizes, so that the scale does not divide what is left.
            let (mut next, mut edge) = (1, 0);
            for len in [999, 1, 501, 73, 1000, 333] {
                single.inject(data(next, len, 1));
                next += len as u32;
                single.advance(ms(300));
                edge = edge.max(offered(single, id).unwrap_or(0));
            }
            assert!(edge > next + 1000, "{edge}");
            while next < edge {
                let len = (edge - next).min(1000);
                single.inject(data(next, len as usize, 1));
                next += len;
                single.take_packets();
            }
            single.advance(secs(1));
            single.inject(data(next - 1, 1, 1));
            let acked = offered(single, id).expect("an answer to an old byte");
            assert!(acked >= edge, "offered up to {edge}, and then only {acked}");
            single.read(id, next as usize - 1);
            single.take_packets();
        });
    }
}

// Shows: RFC2525 2.12
#[test]
fn acks_count_and_data_goes_on_after_a_probe_has_filled_the_last_byte() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut next = 1;
        while let len @ 1.. = (single.endpoint().info(id).unwrap().rcv_wnd as usize).min(1000) {
            single.inject(data(next, len, 1));
            next += len as u32;
        }
        single.advance(secs(1));
        single.take_packets();
        single.write(id, 3000);
        single.take_packets();
        // Too little to tell of; the probe's byte may find room, and whether it does is not the point.
        assert_eq!(single.try_read(id, 1), Ok(1));
        let probe = next;
        for _ in 0..3 {
            single.inject(data(probe, 1, 1));
            single.advance(secs(1));
        }
        single.take_packets();
        next = 1 + single.endpoint().info(id).unwrap().bytes_received as u32;
        assert!((probe..=probe + 1).contains(&next), "{next}, probed with {probe}");
        single.inject(ack(next, 3001));
        assert_eq!(single.endpoint().info(id).unwrap().unacked_bytes, 0, "the ACK is discarded");
        single.read(id, next as usize - 2);
        single.take_packets();
        single.inject(data(next, 1000, 3001));
        single.read(id, 1000);
        single.take_packets();
    });
}
