//! SYN cookies: a passive open that is remembered by the peer (RFC 4987 section 3.6 and appendix A,
//! in Linux's form, so that what is on the wire is known).
//!
//! Our initial sequence number says in its upper 8 bits in which minute it was made, and in its
//! lower 24 the peer's MSS, by an index into a table; both lie under keyed hashes of the four
//! numbers. The window scale and SACK are in the low bits of our timestamp, where the peer sent one,
//! and come back with its echo; without timestamps they are lost. Each minute has a key of its own,
//! and a cookie is good in its minute and the next.
//!
//! Deviates: the peer's initial number is hashed as well. In Linux's form a segment that begins a few
//! bytes later passes for one with another MSS, and those bytes would be lost without a word.
//!
//! A blind guess is right with a probability of 12 in 2^32: six entries of the table, two minutes.

use towpath_wire::SeqNumber;
use towpath_wire::tcp::Options;

use super::table::FourTuple;
use crate::config::Config;
use crate::connection::negotiate::Agreed;
use crate::instant::Instant;
use crate::secrets::Secrets;
use crate::timestamps;

/// The time for which one key makes cookies, in seconds.
const PERIOD_SECS: u64 = 60;
/// Periods in which a cookie is good: the one that made it, and the next.
const PERIODS: u32 = 2;
/// How long after its last cookie a listener looks at what may be one (RFC 4987 appendix A).
pub(crate) const VALID: core::time::Duration =
    core::time::Duration::from_secs(PERIOD_SECS * PERIODS as u64);

/// Bits of a cookie below the minute.
const HASH_BITS: u32 = 24;
const HASH_MASK: u32 = (1 << HASH_BITS) - 1;

/// What the peer's MSS is rounded down to. From 536 and 1220 upwards Linux's figures; below those
/// Linux rounds up, and a peer gets larger segments than it takes (RFC 9293 MUST-16).
const MSS_V4: [u16; 6] = [48, 256, 536, 1300, 1440, 1460];
const MSS_V6: [u16; 6] = [48, 536, 1220, 1420, 1440, 8940];

/// Bits of the timestamp that hold options.
const OPTION_BITS: u32 = 6;
/// The shift of the peer's window; all ones without scaling.
const SCALE_MASK: u32 = 0xf;
const SACK: u32 = 1 << 4;
// Bit 5 is Linux's for ECN, which is not negotiated here: always zero.

/// What is agreed with a SYN that gets a cookie: without timestamps only the MSS.
// Implements: RFC4987 A-a, Linux cookie ts
pub(crate) fn agree(config: &Config, tuple: &FourTuple, peer: &Options) -> Agreed {
    let agreed = Agreed::new(config, peer);
    let mss = Some(table(tuple)[mss_index(tuple, agreed.mss)]);
    match agreed.timestamp {
        Some(_) => Agreed { mss, ..agreed },
        None => Agreed { mss, window_scale: None, sack: false, timestamp: None },
    }
}

/// The initial sequence number that answers a SYN.
// Implements: RFC4987 A-a, Linux cookie, Cookie r4
pub(crate) fn make(
    secrets: &Secrets,
    now: Instant,
    tuple: &FourTuple,
    irs: SeqNumber,
    mss: Option<u16>,
) -> SeqNumber {
    let minute = period(now);
    let index = mss_index(tuple, mss) as u32;
    let hidden = secrets.cookie_digest(tuple, irs, minute).wrapping_add(index) & HASH_MASK;
    SeqNumber(
        secrets
            .cookie_offset(tuple)
            .wrapping_add(irs.0)
            .wrapping_add((minute as u32) << HASH_BITS)
            .wrapping_add(hidden),
    )
}

/// The MSS in a cookie, if it is one of ours and not too old. What a segment that acknowledges it
/// begins with, less one, is `irs`.
// Implements: RFC4987 A-c, Linux cookie
pub(crate) fn check(
    secrets: &Secrets,
    now: Instant,
    tuple: &FourTuple,
    irs: SeqNumber,
    cookie: SeqNumber,
) -> Option<u16> {
    let bare = cookie.0.wrapping_sub(secrets.cookie_offset(tuple)).wrapping_sub(irs.0);
    let age = (period(now) as u32).wrapping_sub(bare >> HASH_BITS) & (u32::MAX >> HASH_BITS);
    if age >= PERIODS {
        return None;
    }
    let minute = period(now).checked_sub(u64::from(age))?;
    let index = bare.wrapping_sub(secrets.cookie_digest(tuple, irs, minute)) & HASH_MASK;
    // Nothing is compared with a secret: the index is within the table, or it is not.
    table(tuple).get(index as usize).copied()
}

/// The timestamp of a SYN-ACK with a cookie: the clock's latest value, not after now, that ends in
/// the options.
// Implements: Linux cookie ts
pub(crate) fn timestamp(now: Instant, offset: u32, agreed: &Agreed) -> u32 {
    let scale = agreed.window_scale.map_or(SCALE_MASK, |shift| u32::from(shift.min(14)));
    let options = scale | if agreed.sack { SACK } else { 0 };
    let clock = timestamps::clock(now, 0);
    let step = 1 << OPTION_BITS;
    let value = (clock & !(step - 1)) | options;
    let value = if value > clock { value.wrapping_sub(step) } else { value };
    value.wrapping_add(offset)
}

/// What was agreed, from the cookie's MSS and the options of the segment that acknowledges it.
/// Nothing if it names options that are switched off, which we cannot have agreed to.
// Implements: Linux cookie ts
pub(crate) fn recall(config: &Config, mss: u16, offset: u32, options: &Options) -> Option<Agreed> {
    let mss = Some(mss);
    let Some(timestamps) = options.timestamps else {
        return Some(Agreed { mss, window_scale: None, sack: false, timestamp: None });
    };
    // As Linux: zero is no echo of ours but of a peer that does not echo, with a shift of zero.
    let bits = match timestamps.echo {
        0 => 0,
        echo => echo.wrapping_sub(offset),
    };
    let scale = bits & SCALE_MASK;
    let window_scale = (scale != SCALE_MASK).then_some(scale as u8);
    let sack = bits & SACK != 0;
    let possible = config.tcp_timestamps
        && (config.tcp_sack || !sack)
        && (config.tcp_window_scaling || window_scale.is_none());
    possible.then_some(Agreed { mss, window_scale, sack, timestamp: Some(timestamps.value) })
}

fn period(now: Instant) -> u64 {
    now.as_millis() / (PERIOD_SECS * 1000)
}

fn table(tuple: &FourTuple) -> &'static [u16; 6] {
    if tuple.remote_ip.is_ipv4() { &MSS_V4 } else { &MSS_V6 }
}

/// The last entry that is not larger; without the option the default of RFC 9293 section 3.7.1.
// Implements: Cookie r1
fn mss_index(tuple: &FourTuple, mss: Option<u16>) -> usize {
    let default = if tuple.remote_ip.is_ipv4() { 536 } else { 1220 };
    let mss = mss.unwrap_or(default);
    table(tuple).iter().rposition(|entry| *entry <= mss).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;
    use towpath_wire::tcp::Timestamps as TimestampsOption;

    use super::*;

    fn tuple(ipv6: bool, port: u16) -> FourTuple {
        let (local, remote) =
            if ipv6 { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") };
        FourTuple {
            local_ip: local.parse().unwrap(),
            local_port: 80,
            remote_ip: remote.parse().unwrap(),
            remote_port: port,
        }
    }

    fn secrets() -> Secrets {
        Secrets::from_seed([9; 32])
    }

    const IRS: SeqNumber = SeqNumber(0xffff_ff00);

    // Shows: RFC4987 A-a, Linux cookie, Cookie r1
    #[test]
    fn a_cookie_brings_back_the_mss_rounded_down() {
        let secrets = secrets();
        for (ipv6, rows) in [
            (
                false,
                [
                    (Some(0), 48),
                    (Some(47), 48),
                    (Some(255), 48),
                    (Some(535), 256),
                    (None, 536),
                    (Some(1299), 536),
                    (Some(1439), 1300),
                    (Some(1459), 1440),
                    (Some(1460), 1460),
                    (Some(65_495), 1460),
                ],
            ),
            (
                true,
                [
                    (Some(0), 48),
                    (Some(535), 48),
                    (Some(536), 536),
                    (Some(1219), 536),
                    (None, 1220),
                    (Some(1419), 1220),
                    (Some(1439), 1420),
                    (Some(8939), 1440),
                    (Some(8940), 8940),
                    (Some(65_475), 8940),
                ],
            ),
        ] {
            let tuple = tuple(ipv6, 4000);
            for (mss, kept) in rows {
                let now = Instant::from_millis(1_000_000);
                let cookie = make(&secrets, now, &tuple, IRS, mss);
                assert_eq!(check(&secrets, now, &tuple, IRS, cookie), Some(kept), "{mss:?}");
            }
        }
    }

    // Shows: RFC4987 A-c, Linux cookie
    #[test]
    fn a_cookie_is_good_in_its_minute_and_the_next() {
        let (secrets, tuple) = (secrets(), tuple(false, 4000));
        for made in [0, 59_999, 60_000, 256 * 60_000 - 1, 300 * 60_000 + 30_000] {
            let cookie = make(&secrets, Instant::from_millis(made), &tuple, IRS, Some(1460));
            let end = (made / 60_000 + 2) * 60_000;
            let good = |at| check(&secrets, Instant::from_millis(at), &tuple, IRS, cookie);
            assert_eq!(good(made), Some(1460), "made at {made}");
            assert_eq!(good(end - 1), Some(1460), "made at {made}");
            assert_eq!(good(end), None, "made at {made}");
            // The counter of minutes has 8 bits: when it comes round, the key is another one.
            assert_eq!(good(made + 256 * 60_000), None, "made at {made}");
            if let Some(before) = (made / 60_000 * 60_000).checked_sub(1) {
                assert_eq!(good(before), None, "made at {made}");
            }
        }
    }

    // Shows: Cookie r4, H-27
    #[test]
    fn a_cookie_is_good_for_its_own_connection_only() {
        let secrets = secrets();
        let now = Instant::from_millis(90_000);
        let own = tuple(false, 4000);
        let cookie = make(&secrets, now, &own, IRS, Some(1460));
        let mut other_local = own;
        other_local.local_port = 81;
        let others = [tuple(false, 4001), tuple(true, 4000), other_local];
        for other in others {
            assert_eq!(check(&secrets, now, &other, IRS, cookie), None, "{other:?}");
        }
        // A segment that begins later is not the first: what lies before it would be lost.
        for lost in 1..1000 {
            assert_eq!(check(&secrets, now, &own, IRS + lost, cookie), None, "{lost}");
        }
        let strangers = Secrets::from_seed([10; 32]);
        assert_eq!(check(&strangers, now, &own, IRS, cookie), None);
    }

    // Shows: Cookie r4
    #[test]
    fn a_guess_is_right_as_rarely_as_the_hash_has_bits() {
        let secrets = secrets();
        let own = tuple(false, 4000);
        let now = Instant::from_millis(10 * 60_000);
        // Guesses from one that is right on: after the entries of the table none is right for long.
        let cookie = make(&secrets, now, &own, IRS, Some(0));
        let right = (0..1 << 17)
            .filter(|guess| check(&secrets, now, &own, IRS, cookie + *guess).is_some())
            .count();
        assert_eq!(right, MSS_V4.len());
    }

    #[test]
    fn the_same_syn_in_the_next_minute_gets_a_number_that_tells_nothing_of_the_first() {
        let secrets = secrets();
        let own = tuple(false, 4000);
        let digest = |minute| secrets.cookie_digest(&own, IRS, minute) & HASH_MASK;
        let digests: std::collections::BTreeSet<u32> = (0..1000).map(digest).collect();
        assert!(digests.len() > 990, "{}", digests.len());
    }

    proptest! {
        // Shows: Linux cookie ts
        #[test]
        fn options_come_back_with_the_timestamp_which_is_not_in_the_future(
            millis in 0u64..1 << 40,
            offset: u32,
            scale in prop::option::of(0u8..=14),
            sack: bool,
            value: u32,
        ) {
            let now = Instant::ZERO + Duration::from_millis(millis);
            let agreed = Agreed {
                mss: Some(1300),
                window_scale: scale,
                sack,
                timestamp: Some(value),
            };
            let sent = timestamp(now, offset, &agreed);
            let behind = timestamps::clock(now, offset).wrapping_sub(sent);
            prop_assert!(behind < 64, "{}", behind);
            let options = Options {
                timestamps: Some(TimestampsOption { value, echo: sent }),
                ..Options::default()
            };
            let config = Config::default();
            prop_assert_eq!(recall(&config, 1300, offset, &options), Some(agreed));
            let off = Config::default().tcp_sack(false);
            prop_assert_eq!(recall(&off, 1300, offset, &options).is_some(), !sack);
            let off = Config::default().tcp_window_scaling(false);
            prop_assert_eq!(recall(&off, 1300, offset, &options).is_some(), scale.is_none());
            let off = Config::default().tcp_timestamps(false);
            prop_assert_eq!(recall(&off, 1300, offset, &options), None);
        }
    }

    // Shows: Linux cookie ts
    #[test]
    fn an_echo_of_zero_says_the_same_whatever_our_offset_is() {
        let options = Options {
            timestamps: Some(TimestampsOption { value: 5, echo: 0 }),
            ..Options::default()
        };
        let agreed =
            Agreed { mss: Some(1300), window_scale: Some(0), sack: false, timestamp: Some(5) };
        for offset in [0, 1, SCALE_MASK, u32::MAX, 0x1234_5678] {
            let recalled = recall(&Config::default(), 1300, offset, &options);
            assert_eq!(recalled, Some(agreed), "{offset}");
        }
    }

    // Shows: Linux cookie ts, I-13
    #[test]
    fn without_timestamps_only_the_mss_is_agreed() {
        let config = Config::default();
        let own = tuple(false, 4000);
        let peer = Options {
            mss: Some(1400),
            window_scale: Some(7),
            sack_permitted: true,
            ..Options::default()
        };
        let bare = Agreed { mss: Some(1300), window_scale: None, sack: false, timestamp: None };
        assert_eq!(agree(&config, &own, &peer), bare);
        assert_eq!(recall(&config, 1300, 77, &Options::default()), Some(bare));
        let stamped = Options { timestamps: Some(TimestampsOption { value: 5, echo: 0 }), ..peer };
        let whole =
            Agreed { mss: Some(1300), window_scale: Some(7), sack: true, timestamp: Some(5) };
        assert_eq!(agree(&config, &own, &stamped), whole);
    }
}
