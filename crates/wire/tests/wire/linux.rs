//! Packets that a Linux 6.18 kernel sent over its loopback interface (MTU 1500), read and written
//! again.
//!
//! The judge of our option layout. Their TCP checksums are partial, as a device that completes them
//! would get them: the folded sum of the pseudo-header.

use crate::values::hex;
use towpath_wire::icmp::{ErrorKind, IcmpMessage, UnreachableCode, emit_error};
use towpath_wire::ip::{HeaderChecksum, ParsedIp};
use towpath_wire::tcp::{
    ChecksumEmit, ChecksumState, FastOpen, Flags, Options, Segment, Timestamps,
};
use towpath_wire::{IpHeader, Malformed, Protocol};

fn full_syn() -> Options {
    Options {
        mss: Some(1460),
        window_scale: Some(10),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 0x527E_6E73, echo: 0 }),
        ..Options::default()
    }
}

fn timestamps(value: u32, echo: u32) -> Option<Timestamps> {
    Some(Timestamps { value, echo })
}

/// Reads the packet, checks that we write it as the kernel did, and gives the values.
fn read_and_write_again(packet: &[u8]) -> (IpHeader, Segment) {
    let ParsedIp { header, payload, .. } =
        IpHeader::parse(packet, HeaderChecksum::Verify).expect("the kernel's IP header");
    let ip_len = payload.start;
    let upper = &packet[payload];
    let (segment, data_at) =
        Segment::parse(upper, header.src, header.dst, ChecksumState::Trusted).expect("a segment");
    assert_eq!(
        Segment::parse(upper, header.src, header.dst, ChecksumState::Verify),
        Err(Malformed::Checksum),
        "a partial checksum is not a full one"
    );
    let mut written = vec![0xA5; ip_len + segment.header_len()];
    header.emit(upper.len(), &mut written);
    segment.emit(
        header.src,
        header.dst,
        [],
        upper.len() - data_at,
        ChecksumEmit::Partial,
        &mut written[ip_len..],
    );
    written.extend_from_slice(&upper[data_at..]);
    assert_eq!(written, packet, "{}", segment.display(upper.len() - data_at));
    (header, segment)
}

#[test]
fn our_bytes_are_those_of_the_kernel() {
    // Shows: RFC7323 D/E, RFC7413 s4.1.1, RFC8200 s8.1
    let cookie = |bytes: &str| {
        Some(FastOpen { cookie: hex(bytes).into_iter().collect(), experimental: false })
    };
    let rows = [
        (
            "SYN",
            "4500003c989340004006a4267f0000017f000001c44e8041b4ed77f800000000a002faf0fe300000
             020405b40402080a527e6e73000000000103030a",
            Flags::SYN,
            full_syn(),
        ),
        (
            "SYN-ACK",
            "4500003c0000400040063cba7f0000017f0000018041c44e65dd8838b4ed77f9a012fe88fe300000
             020405b40402080ae37fde41527e6e730103030a",
            Flags::SYN | Flags::ACK,
            Options { timestamps: timestamps(0xE37F_DE41, 0x527E_6E73), ..full_syn() },
        ),
        (
            "data of 5 bytes",
            "45000039989540004006a4277f0000017f000001c44e8041b4ed77f965dd88398018003ffe2d0000
             0101080a527e6e73e37fde4168656c6c6f",
            Flags::PSH | Flags::ACK,
            Options { timestamps: timestamps(0x527E_6E73, 0xE37F_DE41), ..Options::default() },
        ),
        (
            "IPv6 SYN",
            "60044616002806400000000000000000000000000000000100000000000000000000000000000001
             9804d937c5bde45100000000a002fd2000300000020405a00402080a838ed74b000000000103030a",
            Flags::SYN,
            Options { mss: Some(1440), timestamps: timestamps(0x838E_D74B, 0), ..full_syn() },
        ),
        (
            "IPv6 data of 3 bytes",
            "60044616002306400000000000000000000000000000000100000000000000000000000000000001
             9804d937c5bde452f3b07dc880180040002b00000101080a838ed74b20c31eee6f6464",
            Flags::PSH | Flags::ACK,
            Options { timestamps: timestamps(0x838E_D74B, 0x20C3_1EEE), ..Options::default() },
        ),
        (
            "SYN without timestamps",
            "4500003449b140004006f3107f0000017f000001b3fee469ab609022000000008002faf0fe280000
             020405b4010104020103030a",
            Flags::SYN,
            Options { timestamps: None, ..full_syn() },
        ),
        (
            "SYN without timestamps and SACK",
            "45000030c5ad4000400677187f0000017f0000019f709569832eb04b000000007002faf0fe240000
             020405b40103030a",
            Flags::SYN,
            Options { timestamps: None, sack_permitted: false, ..full_syn() },
        ),
        (
            "SYN without SACK",
            "4500003ce080400040065c397f0000017f000001d7a2cbb7c95d222e00000000a002faf0fe300000
             020405b40101080a7b7ef373000000000103030a",
            Flags::SYN,
            Options { timestamps: timestamps(0x7B7E_F373, 0), sack_permitted: false, ..full_syn() },
        ),
        (
            "SYN without SACK and window scale",
            "45000038ac3240004006908b7f0000017f0000019c6eec814061ec92000000009002faf0fe2c0000
             020405b40101080a6e5a089200000000",
            Flags::SYN,
            Options {
                timestamps: timestamps(0x6E5A_0892, 0),
                sack_permitted: false,
                window_scale: None,
                ..full_syn()
            },
        ),
        (
            "plain ACK",
            "4500002849b240004006f31b7f0000017f000001b3fee469ab6090230d268e0d5010003ffe1c0000",
            Flags::ACK,
            Options::default(),
        ),
        (
            "SYN that asks for a fast open cookie",
            "45000040b3d44000400688e17f0000017f000001d4aeb8a1a654983100000000b002faf0fe340000
             020405b40402080ab8b49a13000000000103030a22020101",
            Flags::SYN,
            Options { timestamps: timestamps(0xB8B4_9A13, 0), fast_open: cookie(""), ..full_syn() },
        ),
        (
            "SYN-ACK that grants it",
            "450000480000400040063cae7f0000017f000001b8a1d4ae9a0cfbbfa6549832d012fe88fe3c0000
             020405b40402080a7bde89dbb8b49a130103030a220ac39b064309e99fc70101",
            Flags::SYN | Flags::ACK,
            Options {
                timestamps: timestamps(0x7BDE_89DB, 0xB8B4_9A13),
                fast_open: cookie("c39b064309e99fc7"),
                ..full_syn()
            },
        ),
        (
            "SYN with the cookie and a byte of data",
            "45000049d62c4000400666807f0000017f000001c10ca3693d50ecb200000000d002faf0fe3d0000
             020405b40402080a11978216000000000103030a220ac39b064309e99fc7010178",
            Flags::SYN,
            Options {
                timestamps: timestamps(0x1197_8216, 0),
                fast_open: cookie("c39b064309e99fc7"),
                ..full_syn()
            },
        ),
    ];
    for (name, packet, flags, options) in rows {
        let (header, segment) = read_and_write_again(&hex(packet));
        assert_eq!(header.protocol, Protocol::TCP, "{name}");
        assert_eq!((header.hop_limit, header.dont_fragment), (64, true), "{name}");
        assert_eq!((segment.flags, segment.options), (flags, options), "{name}");
    }
}

#[test]
fn the_kernel_answers_a_datagram_to_a_closed_port_as_we_do() {
    // Shows: RFC4443 cksum, RFC4443 s2.4a, RFC791 s3.1c
    let rows = [
        (
            "45c0003c16e80000400165177f0000017f000001
             0303586e0000000045000020644240004011d8887f0000017f000001c7880009000cfe1f70696e67",
            0xC788,
            32,
        ),
        (
            "60031bc6003c3a400000000000000000000000000000000100000000000000000000000000000001
             0104c43c0000000060062a5e000c114000000000000000000000000000000001
             00000000000000000000000000000001bf8f0009000c001f70696e67",
            0xBF8F,
            52,
        ),
    ];
    for (packet, src_port, total_length) in rows {
        let packet = hex(packet);
        let ip = IpHeader::parse(&packet, HeaderChecksum::Verify).expect("the kernel's IP header");
        let (src, dst) = (ip.header.src, ip.header.dst);
        let message = &packet[ip.payload];
        let seen = IcmpMessage::parse(message, src, dst);
        let Ok(IcmpMessage::Unreachable { code: UnreachableCode::Port, quoted: Some(quoted) }) =
            seen
        else {
            panic!("an unreachable port, not {seen:?}");
        };
        assert_eq!((quoted.src_port, quoted.dst_port), (src_port, 9));
        assert_eq!((quoted.protocol, quoted.total_length), (Protocol::UDP, total_length));
        let ours = emit_error(ErrorKind::PortUnreachable, &message[8..], src, dst);
        assert_eq!(ours, message);
    }
}
