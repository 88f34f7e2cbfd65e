//! How many packets a second of real time a link carries, by what it does to them.
//!
//! ```text
//! cargo run --release -p towpath-netem --example packets_per_second
//! ```
//!
//! Packets of 1,500 bytes are offered as fast as the emulated wire takes them, so that the queue is
//! half full and some 16,000 are under way; each is taken when it is due. The figure that counts is
//! the slowest: a relay or a lab has to keep up with it in real time.

use std::time::Instant;

use bytes::Bytes;
use towpath_netem::{Link, LinkConfig, SettingsError};

const PACKETS: u64 = 3_000_000;

/// 10 Gbit/s: a packet of 1,500 bytes is 1.2 microseconds.
const SPACING_NS: u64 = 1_200;

const LINKS: [(&str, &str); 9] = [
    ("delay", "delay=20ms"),
    ("queue in bytes", "delay=20ms rate=10Gbit queue=500kB"),
    ("loss and bursts", "delay=20ms rate=10Gbit loss={random=1%,gilbert={p=0.1%,r=70%}}"),
    ("jitter", "delay=20ms rate=10Gbit jitter={spread=2ms,distribution=normal,correlation=25%}"),
    ("reordering", "delay=20ms rate=10Gbit reorder={random=5%,gap=5ms}"),
    ("duplicates, corruption", "delay=20ms rate=20Gbit duplicate=2% corrupt=1%"),
    ("step marking", "delay=20ms rate=9.99Gbit queue={bytes=500kB,mark=100kB}"),
    ("CoDel", "delay=20ms rate=9.9Gbit queue={bytes=5MB,codel={ecn=true}}"),
    (
        "everything",
        "delay=20ms rate=9.9Gbit jitter={spread=2ms,distribution=normal} queue={bytes=5MB,codel=true} \
         policer={rate=11Gbit,burst=1MB} loss={random=1%,acks=5%,gilbert={p=0.1%,r=70%}} \
         duplicate=1% corrupt=1% reorder={random=5%,positions=3} ack_compression={hold=1ms,count=8}",
    ),
];

fn main() -> Result<(), SettingsError> {
    println!("{:<24} {:>12} {:>12} {:>12}", "link", "packets/s", "delivered", "dropped");
    for (name, line) in LINKS {
        let mut link = Link::new(line.parse::<LinkConfig>()?, 42)?;
        // An ECN-capable IPv4 packet; what is not read of it may be anything.
        let mut packet = vec![0_u8; 1_500];
        packet[..12].copy_from_slice(&[0x45, 2, 5, 0xdc, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        let packet = Bytes::from(packet);
        let begin = Instant::now();
        for number in 0..PACKETS {
            let now_ns = number * SPACING_NS;
            while link.next_delivery_ns().is_some_and(|at_ns| at_ns <= now_ns) {
                std::hint::black_box(link.deliver(now_ns));
            }
            link.offer(now_ns, packet.clone());
        }
        while link.deliver(u64::MAX).is_some() {}
        let rate = PACKETS as f64 / begin.elapsed().as_secs_f64();
        let statistics = link.statistics();
        let (delivered, dropped) = (statistics.delivered, statistics.dropped());
        println!("{name:<24} {rate:>12.0} {delivered:>12} {dropped:>12}");
    }
    Ok(())
}
