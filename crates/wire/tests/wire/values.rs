//! Values to test with: strategies over every Repr, and packets made of them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use towpath_wire::ip::Ecn;
use towpath_wire::tcp::{
    AccEcn, AccEcnOrder, ChecksumEmit, FastOpen, Flags, Options, SackBlock, Segment, Timestamps,
};
use towpath_wire::{IpHeader, Protocol, SeqNumber};

pub(crate) const V4: (IpAddr, IpAddr) =
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)));
pub(crate) const V6: (IpAddr, IpAddr) = (
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0xFFFF, 0, 0, 0xFE00, 0x12)),
);

/// Bytes from hexadecimal digits; blanks are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(src, dst)| (IpAddr::V4(src), IpAddr::V4(dst))),
        any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(src, dst)| (IpAddr::V6(src), IpAddr::V6(dst))),
    ]
}

pub(crate) fn ip_header() -> impl Strategy<Value = IpHeader> {
    (addresses(), any::<(u8, u8, u8, u8, u16, bool)>(), 0u32..1 << 20).prop_map(
        |((src, dst), (protocol, hop_limit, dscp, ecn, id, dont_fragment), flow_label)| {
            let v4 = dst.is_ipv4();
            // The numbers of IPv6 extension headers do not name an upper layer.
            let protocol = if matches!(protocol, 0 | 43 | 44 | 60) { 6 } else { protocol };
            IpHeader {
                src,
                dst,
                protocol: Protocol(protocol),
                hop_limit,
                dscp: dscp & 0x3F,
                ecn: Ecn::from_bits(ecn),
                identification: if v4 { id } else { 0 },
                dont_fragment: dont_fragment || !v4,
                flow_label: if v4 { 0 } else { flow_label },
            }
        },
    )
}

pub(crate) fn sack_block() -> impl Strategy<Value = SackBlock> {
    (any::<u32>(), 1u32..1 << 31).prop_map(|(left, len)| {
        let left = SeqNumber(left);
        SackBlock { left, right: left + len }
    })
}

fn fast_open() -> impl Strategy<Value = FastOpen> {
    let cookie = prop_oneof![Just(0usize), (2usize..=8).prop_map(|pairs| pairs * 2)]
        .prop_flat_map(|len| vec(any::<u8>(), len));
    (cookie, any::<bool>()).prop_map(|(cookie, experimental)| FastOpen {
        cookie: cookie.into_iter().collect(),
        experimental,
    })
}

fn acc_ecn() -> impl Strategy<Value = AccEcn> {
    (vec(0u32..1 << 24, 0..=3), any::<bool>()).prop_map(|(counters, ect0_first)| AccEcn {
        order: if ect0_first { AccEcnOrder::Ect0First } else { AccEcnOrder::Ect1First },
        counters: counters.into_iter().collect(),
    })
}

/// Any options, whether they fit a header or not.
pub(crate) fn any_options() -> impl Strategy<Value = Options> {
    (
        option::of(1u16..),
        option::of(any::<u8>()),
        any::<bool>(),
        option::of(any::<(u32, u32)>()),
        vec(sack_block(), 0..=4),
        option::weighted(0.2, fast_open()),
        option::weighted(0.2, acc_ecn()),
    )
        .prop_map(
            |(mss, window_scale, sack_permitted, timestamps, sack, fast_open, acc_ecn)| Options {
                mss,
                window_scale,
                sack_permitted,
                timestamps: timestamps.map(|(value, echo)| Timestamps { value, echo }),
                sack: sack.into_iter().collect(),
                fast_open,
                acc_ecn,
            },
        )
}

/// What the options take when each is padded to four bytes, counted here by itself; counters of ECN
/// and SACK blocks right behind them are padded together.
pub(crate) fn padded_len(options: &Options) -> usize {
    let fast_open = options.fast_open.as_ref().map_or(0, |fast_open| {
        (fast_open.cookie.len() + if fast_open.experimental { 4 } else { 2 }).next_multiple_of(4)
    });
    let acc_ecn = options.acc_ecn.as_ref().map_or(0, |acc_ecn| 2 + 3 * acc_ecn.counters.len());
    let sack = if options.sack.is_empty() { 0 } else { 2 + 8 * options.sack.len() };
    let nothing_between = options.window_scale.is_none()
        && options.fast_open.is_none()
        && (!options.sack_permitted || options.timestamps.is_some());
    let both = if nothing_between {
        (acc_ecn + sack).next_multiple_of(4)
    } else {
        acc_ecn.next_multiple_of(4) + sack.next_multiple_of(4)
    };
    let timestamps = match (options.timestamps.is_some(), options.sack_permitted) {
        (true, _) => 12,
        (false, true) => 4,
        (false, false) => 0,
    };
    4 * usize::from(options.mss.is_some())
        + 4 * usize::from(options.window_scale.is_some())
        + timestamps
        + fast_open
        + both
}

/// Options that fit a header.
pub(crate) fn options() -> impl Strategy<Value = Options> {
    any_options().prop_filter("fits 40 bytes", |options| padded_len(options) <= 40)
}

pub(crate) fn segment_with(
    options: impl Strategy<Value = Options>,
) -> impl Strategy<Value = Segment> {
    (1u16.., 1u16.., any::<(u32, u32, u16, u16, u16)>(), options).prop_map(
        |(src_port, dst_port, (seq, ack, flags, window, urgent), options)| {
            let flags = Flags::from_bits_truncate(flags);
            Segment {
                src_port,
                dst_port,
                seq: SeqNumber(seq),
                ack: SeqNumber(if flags.contains(Flags::ACK) { ack } else { 0 }),
                flags,
                window,
                urgent: if flags.contains(Flags::URG) { urgent } else { 0 },
                options,
            }
        },
    )
}

pub(crate) fn segment() -> impl Strategy<Value = Segment> {
    segment_with(options())
}

pub(crate) fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(vec![]), vec(any::<u8>(), 1..64), vec(any::<u8>(), 1400..1500)]
}

/// The segment and its payload as bytes, with the full checksum.
pub(crate) fn segment_bytes(
    segment: &Segment,
    (src, dst): (IpAddr, IpAddr),
    payload: &[u8],
) -> Vec<u8> {
    // Set before: what emit leaves alone would show.
    let mut bytes = vec![0xA5; segment.header_len()];
    segment.emit(src, dst, [payload], payload.len(), ChecksumEmit::Full, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// A whole packet.
pub(crate) fn packet_bytes(header: &IpHeader, upper: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xA5; header.header_len()];
    header.emit(upper.len(), &mut bytes);
    bytes.extend_from_slice(upper);
    bytes
}

pub(crate) fn tcp_header_to((src, dst): (IpAddr, IpAddr)) -> IpHeader {
    IpHeader {
        src,
        dst,
        protocol: Protocol::TCP,
        hop_limit: 64,
        dscp: 0,
        ecn: Ecn::NotEct,
        identification: 0,
        dont_fragment: true,
        flow_label: 0,
    }
}

pub(crate) fn plain_segment() -> Segment {
    Segment {
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNumber(1000),
        ack: SeqNumber(2000),
        flags: Flags::ACK,
        window: 502,
        urgent: 0,
        options: Options::default(),
    }
}
