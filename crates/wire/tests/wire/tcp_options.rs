//! TCP options: what a peer may send, legal or not, and what we send.

use crate::values::{any_options, hex, options, padded_len};
use arrayvec::ArrayVec;
use proptest::prelude::*;
use towpath_wire::SeqNumber;
use towpath_wire::tcp::options::MAX_LEN;
use towpath_wire::tcp::{
    AccEcn, AccEcnOrder, FastOpen, Options, OptionsReport, SackBlock, Timestamps, max_sack_blocks,
};

fn emitted(options: &Options) -> Vec<u8> {
    let mut bytes = vec![0xA5; options.encoded_len()];
    options.emit(&mut bytes);
    bytes
}

fn block(left: u32, right: u32) -> SackBlock {
    SackBlock { left: SeqNumber(left), right: SeqNumber(right) }
}

fn mss(mss: u16) -> Options {
    Options { mss: Some(mss), ..Options::default() }
}

fn clean() -> OptionsReport {
    OptionsReport::default()
}

fn cut_short() -> OptionsReport {
    OptionsReport { truncated: true, ..OptionsReport::default() }
}

fn invalid(count: u8) -> OptionsReport {
    OptionsReport { invalid: count, ..OptionsReport::default() }
}

fn unknown(count: u8) -> OptionsReport {
    OptionsReport { unknown: count, ..OptionsReport::default() }
}

#[test]
fn each_known_option_is_read() {
    // Shows: 9293 MUST-4
    let timestamps = Some(Timestamps { value: 0x0102_0304, echo: 0xF1F2_F3F4 });
    let cookie: ArrayVec<u8, 16> = [9, 8, 7, 6].into_iter().collect();
    let fast_open = |cookie: &ArrayVec<u8, 16>, experimental| {
        Some(FastOpen { cookie: cookie.clone(), experimental })
    };
    let rows: [(&str, &str, Options); 13] = [
        ("none", "", Options::default()),
        ("no-operations, MSS, end", "01 01 0204 05b4 00", mss(1460)),
        ("window scale", "0303 07", Options { window_scale: Some(7), ..Options::default() }),
        (
            "a shift above 14 comes raw",
            "0303 ff",
            Options { window_scale: Some(255), ..Options::default() },
        ),
        ("SACK permitted", "0402", Options { sack_permitted: true, ..Options::default() }),
        ("timestamps", "080a 01020304 f1f2f3f4", Options { timestamps, ..Options::default() }),
        (
            "one SACK block",
            "050a 00000001 00000003",
            Options { sack: [block(1, 3)].into_iter().collect(), ..Options::default() },
        ),
        (
            "a SACK block over the wrap",
            "050a fffffff0 00000010",
            Options {
                sack: [block(0xFFFF_FFF0, 0x10)].into_iter().collect(),
                ..Options::default()
            },
        ),
        (
            "fast open request",
            "2202",
            Options { fast_open: fast_open(&ArrayVec::new(), false), ..Options::default() },
        ),
        (
            "fast open cookie",
            "2206 09080706",
            Options { fast_open: fast_open(&cookie, false), ..Options::default() },
        ),
        (
            "fast open of the experiment",
            "fe08 f989 09080706",
            Options { fast_open: fast_open(&cookie, true), ..Options::default() },
        ),
        (
            "accurate ECN, kind 172",
            "ac08 000001 fffffe",
            Options {
                acc_ecn: Some(AccEcn {
                    order: AccEcnOrder::Ect0First,
                    counters: [1, 0xFF_FFFE].into_iter().collect(),
                }),
                ..Options::default()
            },
        ),
        (
            "accurate ECN, kind 174, empty",
            "ae02",
            Options {
                acc_ecn: Some(AccEcn { order: AccEcnOrder::Ect1First, counters: ArrayVec::new() }),
                ..Options::default()
            },
        ),
    ];
    for (name, bytes, expected) in rows {
        assert_eq!(Options::parse_with_report(&hex(bytes)), (expected, clean()), "{name}");
    }
}

#[test]
fn an_illegal_length_ends_the_walk_and_keeps_what_was_read() {
    // Shows: 9293 MUST-7, H-14
    let rows = [
        ("window scale of length 0", "0204 05b4 0300 07"),
        ("window scale of length 1", "0204 05b4 0301 07"),
        ("timestamps of length 0", "0204 05b4 0800"),
        ("unknown option of length 0", "0204 05b4 fd00 0303 07"),
        ("unknown option of length 1", "0204 05b4 fd01 0303 07"),
        ("length 40 in 4 bytes", "0204 05b4 0828 0000"),
        ("length 255", "0204 05b4 08ff 0303 07"),
        ("one byte past the end", "0204 05b4 0304 07"),
        ("the kind is the last byte", "0204 05b4 08"),
        ("the unknown kind is the last byte", "0204 05b4 fd"),
    ];
    for (name, bytes) in rows {
        assert_eq!(Options::parse_with_report(&hex(bytes)), (mss(1460), cut_short()), "{name}");
    }
}

#[test]
fn every_kind_with_every_length_at_every_cut_keeps_the_option_before_it() {
    // Shows: 9293 MUST-7, H-14
    for kind in 0..=255u8 {
        for length in 0..=255u8 {
            for tail in [0, 1, 2, 7, 16, 33] {
                let mut bytes = vec![3, 3, 9, kind, length];
                bytes.resize(5 + tail, 1);
                let options = Options::parse(&bytes);
                let replaced = kind == 3 && length == 3 && tail >= 1;
                let expected = if replaced { 1 } else { 9 };
                assert_eq!(options.window_scale, Some(expected), "kind {kind} length {length}");
            }
        }
    }
}

#[test]
fn a_known_option_of_a_wrong_length_is_skipped_by_its_length() {
    // Shows: 9293 MUST-7, H-16, RFC2018 s3a, RFC7413 s4.1.1
    let rows = [
        ("MSS of 3", "0203 05 0204 05b4"),
        ("MSS of 5", "0205 0505 05 0204 05b4"),
        ("MSS of 2", "0202 0204 05b4"),
        ("window scale of 2", "0302 0204 05b4"),
        ("window scale of 4", "0304 0707 0204 05b4"),
        ("SACK permitted of 3", "0403 01 0204 05b4"),
        ("timestamps of 9", "0809 01020304050607 0204 05b4"),
        ("timestamps of 11", "080b 010203040506070809 0204 05b4"),
        ("SACK of 2, without a block", "0502 0204 05b4"),
        ("SACK of 3", "0503 01 0204 05b4"),
        ("SACK of 9", "0509 01010101010101 0204 05b4"),
        ("SACK of 11", "050b 000000010000000300 0204 05b4"),
        ("fast open cookie of 1 byte", "2203 01 0204 05b4"),
        ("fast open cookie of 2 bytes", "2204 0101 0204 05b4"),
        ("fast open cookie of 3 bytes", "2205 010101 0204 05b4"),
        ("fast open cookie of 17 bytes", "2213 0101010101010101010101010101010101 0204 05b4"),
        ("fast open cookie of 18 bytes", "2214 010101010101010101010101010101010101 0204 05b4"),
        ("fast open experiment with 5 bytes", "fe09 f989 0101010101 0204 05b4"),
    ];
    for (name, bytes) in rows {
        assert_eq!(Options::parse_with_report(&hex(bytes)), (mss(1460), invalid(1)), "{name}");
    }
}

#[test]
fn an_unknown_option_is_skipped_by_its_length() {
    // Shows: 9293 MUST-6, RFC6994, RFC2385, RFC5925, RFC8684, RFC7805/6247
    let rows = [
        ("kind 253 of 8 bytes", "fd08 010203040506 0204 05b4"),
        ("kind 254 without the magic of fast open", "fe08 010203040506 0204 05b4"),
        ("kind 254 too short for a magic", "fe03 f9 0204 05b4"),
        ("MD5, kind 19", "1312 00112233445566778899aabbccddeeff 0204 05b4"),
        ("authentication, kind 29", "1d08 010203040506 0204 05b4"),
        ("multipath, kind 30", "1e0c 00810102030405060708 0204 05b4"),
        ("echo, kind 6", "0606 01020304 0204 05b4"),
        ("echo reply, kind 7", "0706 01020304 0204 05b4"),
        ("partial order, kind 9", "0902 0204 05b4"),
        ("connection count, kind 11", "0b06 01020304 0204 05b4"),
        ("alternate checksum, kind 14", "0e03 01 0204 05b4"),
        ("of two bytes only", "fd02 0204 05b4"),
        ("its data looks like end of list", "fd04 0000 0204 05b4"),
    ];
    for (name, bytes) in rows {
        assert_eq!(Options::parse_with_report(&hex(bytes)), (mss(1460), unknown(1)), "{name}");
    }
}

#[test]
fn nothing_behind_the_end_of_the_list_counts() {
    // Shows: 9293 MUST-69, H-20
    let rows = [
        ("end first", "00 0204 05b4", Options::default()),
        ("end after MSS, then window scale", "0204 05b4 00 0303 07", mss(1460)),
        ("end after MSS, then an illegal length", "0204 05b4 00 0300", mss(1460)),
        ("40 no-operations", &"01".repeat(40), Options::default()),
        ("40 ends", &"00".repeat(40), Options::default()),
    ];
    for (name, bytes, expected) in rows {
        assert_eq!(Options::parse_with_report(&hex(bytes)), (expected, clean()), "{name}");
    }
}

#[test]
fn bytes_beyond_a_header_are_not_looked_at() {
    // Shows: H-14
    let mut bytes = vec![1; 2 * MAX_LEN];
    bytes[MAX_LEN..MAX_LEN + 3].copy_from_slice(&[3, 3, 7]);
    assert_eq!(Options::parse_with_report(&bytes), (Options::default(), clean()));
    let mut bytes = vec![1; 2 * MAX_LEN];
    bytes[MAX_LEN - 2..MAX_LEN + 1].copy_from_slice(&[3, 3, 7]);
    assert_eq!(Options::parse_with_report(&bytes), (Options::default(), cut_short()));
}

#[test]
fn an_option_is_read_at_every_alignment() {
    // Shows: 9293 MUST-64
    for no_operations in 0..=30 {
        let mut bytes = vec![1; no_operations];
        bytes.extend(hex("080a 01020304 f1f2f3f4"));
        let options = Options::parse(&bytes);
        let expected = Timestamps { value: 0x0102_0304, echo: 0xF1F2_F3F4 };
        assert_eq!(options.timestamps, Some(expected), "behind {no_operations} no-operations");
    }
}

#[test]
fn of_two_options_of_a_kind_the_last_valid_one_counts() {
    // Shows: H-19
    let rows = [
        ("two MSS", "0204 0200 0204 05b4", mss(1460), clean()),
        ("an MSS and then a broken one", "0204 05b4 0203 01", mss(1460), invalid(1)),
        ("an MSS and then an MSS of zero", "0204 05b4 0204 0000", mss(1460), invalid(1)),
        (
            "two window scales",
            "0303 01 0303 02",
            Options { window_scale: Some(2), ..Options::default() },
            clean(),
        ),
        (
            "two lists of SACK blocks do not mix",
            "050a 00000001 00000002 050a 00000005 00000006",
            Options { sack: [block(5, 6)].into_iter().collect(), ..Options::default() },
            clean(),
        ),
        (
            "SACK blocks and then none that goes forward",
            "050a 00000001 00000002 050a 00000006 00000005",
            Options { sack: [block(1, 2)].into_iter().collect(), ..Options::default() },
            invalid(1),
        ),
        (
            "SACK permitted twice",
            "0402 0402",
            Options { sack_permitted: true, ..Options::default() },
            clean(),
        ),
    ];
    for (name, bytes, expected, report) in rows {
        assert_eq!(Options::parse_with_report(&hex(bytes)), (expected, report), "{name}");
    }
}

#[test]
fn an_mss_of_zero_counts_as_none() {
    // Shows: H-15
    assert_eq!(Options::parse_with_report(&hex("0204 0000")), (Options::default(), invalid(1)));
    assert_eq!(Options::parse(&hex("0204 0001")), mss(1));
}

#[test]
fn a_sack_block_that_does_not_go_forward_is_passed_over_alone() {
    // Shows: H-16
    let rows = [
        ("empty", "051200000005000000050000000100000003"),
        ("backwards", "051200000005000000040000000100000003"),
        ("of half the sequence space", "051200000000800000000000000100000003"),
        ("of more than half", "051200000000ffffffff0000000100000003"),
    ];
    for (name, bytes) in rows {
        let (options, report) = Options::parse_with_report(&hex(bytes));
        assert_eq!(options.sack.as_slice(), [block(1, 3)], "{name}");
        assert_eq!(report, invalid(1), "{name}");
    }
}

#[test]
fn accurate_ecn_takes_whole_counters_of_any_length() {
    // Shows: RFC9768 s3.2.3a
    let rows: [(&str, &str, &[u32]); 7] = [
        ("length 2", "ac02", &[]),
        ("length 4", "ac04 0000", &[]),
        ("length 5", "ac05 000001", &[1]),
        ("length 7", "ac07 000001 ffff", &[1]),
        ("length 8", "ac08 000001 000002", &[1, 2]),
        ("length 11", "ac0b 000001 000002 ffffff", &[1, 2, 0xFF_FFFF]),
        ("length 14", "ac0e 000001 000002 000003 000004", &[1, 2, 3]),
    ];
    for (name, bytes, counters) in rows {
        let options = Options::parse(&hex(bytes));
        let seen = options.acc_ecn.as_ref().map(|acc_ecn| acc_ecn.counters.as_slice());
        assert_eq!(seen, Some(counters), "{name}");
    }
}

#[test]
fn what_we_send_has_the_layout_of_linux() {
    // Shows: RFC7323 D/E, 9293 MUST-68
    let everything = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 1, echo: 2 }),
        ..Options::default()
    };
    let sack = || [block(1, 2), block(3, 4)].into_iter().collect();
    let cookie = |cookie: &[u8]| {
        Some(FastOpen { cookie: cookie.iter().copied().collect(), experimental: false })
    };
    let acc_ecn = |counters: &[u32]| {
        Some(AccEcn { order: AccEcnOrder::Ect0First, counters: counters.iter().copied().collect() })
    };
    let rows = [
        ("a full SYN", everything.clone(), "0204 05b4 0402 080a 00000001 00000002 01 0303 07"),
        (
            "no timestamps",
            Options { timestamps: None, ..everything.clone() },
            "0204 05b4 0101 0402 01 0303 07",
        ),
        (
            "no SACK-permitted",
            Options { sack_permitted: false, ..everything.clone() },
            "0204 05b4 0101 080a 00000001 00000002 01 0303 07",
        ),
        (
            "a data segment",
            Options { timestamps: everything.timestamps, ..Options::default() },
            "0101 080a 00000001 00000002",
        ),
        (
            "SACK",
            Options { sack: sack(), ..Options::default() },
            "0101 0512 00000001 00000002 00000003 00000004",
        ),
        (
            "SACK behind timestamps",
            Options { sack: sack(), timestamps: everything.timestamps, ..Options::default() },
            "0101 080a 00000001 00000002 0101 0512 00000001 00000002 00000003 00000004",
        ),
        (
            "fast open is padded behind",
            Options { fast_open: cookie(&[]), ..everything.clone() },
            "0204 05b4 0402 080a 00000001 00000002 01 0303 07 2202 0101",
        ),
        (
            "a full SYN with the longest cookie",
            Options { fast_open: cookie(&[5; 16]), ..everything.clone() },
            "0204 05b4 0402 080a 00000001 00000002 01 0303 07 2212 05050505050505050505050505050505 \
             0101",
        ),
        (
            "a SYN-ACK with accurate ECN",
            Options { acc_ecn: acc_ecn(&[1, 0, 1]), ..everything.clone() },
            "0204 05b4 0402 080a 00000001 00000002 ac0b 000001 000000 000001 01 01 0303 07",
        ),
        (
            "accurate ECN between timestamps and SACK",
            Options {
                acc_ecn: acc_ecn(&[1, 2]),
                timestamps: everything.timestamps,
                sack: sack(),
                ..Options::default()
            },
            "0101 080a 00000001 00000002 ac08 000001 000002 \
             0101 0512 00000001 00000002 00000003 00000004",
        ),
        (
            "a counter is cut to 24 bits",
            Options { acc_ecn: acc_ecn(&[0x0100_0005]), ..Options::default() },
            "ac05 000005 010101",
        ),
    ];
    for (name, options, bytes) in rows {
        assert_eq!(emitted(&options), hex(bytes), "{name}");
    }
    assert_eq!(everything.encoded_len(), 20, "a full SYN leaves half of the room");
}

#[test]
fn what_does_not_fit_forty_bytes_is_left_out_by_rank() {
    // Shows: RFC2018 s3a, RFC9768 s3.2.3.3a
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let blocks = |count: u32| (0..count).map(|n| block(n * 10, n * 10 + 5)).collect();
    let acc_ecn =
        Some(AccEcn { order: AccEcnOrder::Ect1First, counters: [1, 2, 3].into_iter().collect() });
    // What is given, and how many SACK blocks and counters are sent.
    let rows = [
        ("four blocks alone", None, blocks(4), None, 4, None),
        ("four blocks beside timestamps", timestamps, blocks(4), None, 3, None),
        ("counters beside timestamps", timestamps, blocks(0), acc_ecn.clone(), 0, Some(3)),
        (
            "one block leaves room for all counters",
            timestamps,
            blocks(1),
            acc_ecn.clone(),
            1,
            Some(3),
        ),
        ("two blocks cut the counters to two", timestamps, blocks(2), acc_ecn.clone(), 2, Some(2)),
        (
            "a third block yields to the counters",
            timestamps,
            blocks(3),
            acc_ecn.clone(),
            2,
            Some(2),
        ),
        ("without timestamps both fit", None, blocks(3), acc_ecn.clone(), 3, Some(3)),
        ("a fourth block does not", None, blocks(4), acc_ecn.clone(), 3, Some(3)),
    ];
    for (name, timestamps, sack, acc_ecn, blocks_sent, counters_sent) in rows {
        let given = Options { timestamps, sack, acc_ecn, ..Options::default() };
        let sent = Options::parse(&emitted(&given));
        assert_eq!(sent.sack.as_slice(), &given.sack[..blocks_sent], "{name}");
        assert_eq!(sent.acc_ecn.map(|acc_ecn| acc_ecn.counters.len()), counters_sent, "{name}");
    }
    assert_eq!((max_sack_blocks(false), max_sack_blocks(true)), (4, 3));
}

#[test]
fn options_print_as_in_tcpdump() {
    let options = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        fast_open: Some(FastOpen::default()),
        ..Options::default()
    };
    assert_eq!(
        options.to_string(),
        "mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7,tfo cookiereq,nop,nop"
    );
    let options = Options {
        sack: [block(1, 3), block(5, 9)].into_iter().collect(),
        acc_ecn: Some(AccEcn {
            order: AccEcnOrder::Ect0First,
            counters: [7, 8].into_iter().collect(),
        }),
        ..Options::default()
    };
    assert_eq!(options.to_string(), "accecn e0b 7 ceb 8,nop,nop,sack 2 {1:3}{5:9}");
}

proptest! {
    #[test]
    fn options_that_fit_come_back_as_they_were(options in options()) {
        // Shows: 9293 MUST-68
        let bytes = emitted(&options);
        prop_assert_eq!(bytes.len(), padded_len(&options));
        prop_assert_eq!(Options::parse_with_report(&bytes), (options, clean()));
    }

    #[test]
    fn no_options_take_more_than_forty_bytes(options in any_options()) {
        // Shows: RFC7323 D/E
        let bytes = emitted(&options);
        prop_assert!(bytes.len() <= MAX_LEN && bytes.len().is_multiple_of(4));
        let (sent, report) = Options::parse_with_report(&bytes);
        prop_assert_eq!(report, clean());
        // The four of fixed length are never the ones to go.
        prop_assert_eq!(
            (sent.mss, sent.window_scale, sent.sack_permitted, sent.timestamps),
            (options.mss, options.window_scale, options.sack_permitted, options.timestamps),
        );
        prop_assert!(options.sack.starts_with(&sent.sack));
        prop_assert!(sent.fast_open.is_none() || sent.fast_open == options.fast_open);
    }

    #[test]
    fn no_bytes_stop_the_walk_from_ending(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        // Shows: H-14, H-20
        let (options, report) = Options::parse_with_report(&bytes);
        prop_assert!(options.sack.iter().all(|block| block.right.after(block.left)));
        prop_assert!(options.mss != Some(0));
        prop_assert!(usize::from(report.unknown) + usize::from(report.invalid) <= MAX_LEN / 2);
    }

    #[test]
    fn a_valid_option_is_found_among_no_operations_and_unknown_ones(
        before in proptest::collection::vec((100u8..150, 0usize..5), 0..4),
        no_operations in 0usize..5,
        shift: u8,
    ) {
        // Shows: 9293 MUST-6, 9293 MUST-64
        let mut bytes = Vec::new();
        for (kind, len) in &before {
            bytes.extend([*kind, *len as u8 + 2]);
            bytes.extend(vec![0; *len]);
        }
        bytes.extend(vec![1; no_operations]);
        bytes.extend([3, 3, shift]);
        prop_assume!(bytes.len() <= MAX_LEN);
        let (options, report) = Options::parse_with_report(&bytes);
        prop_assert_eq!(options.window_scale, Some(shift));
        prop_assert_eq!(usize::from(report.unknown), before.len());
    }
}
