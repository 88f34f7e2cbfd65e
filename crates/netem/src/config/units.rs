//! Numbers with units, as people write them, and back so that nothing is lost.
//!
//! Times are read by `humantime`. Sizes and rates share one reader, which is exact: `bytesize`
//! reads through a floating-point number and knows no bits. What is written is one number with the
//! largest unit that leaves it whole, without blanks, so that it fits between two of a line.

use std::time::Duration;

/// 1 for none, 1000 for k, 1024 for Ki, and so on up to T.
const PREFIXES: [(&str, u64); 9] = [
    ("", 1),
    ("k", 1_000),
    ("ki", 1 << 10),
    ("m", 1_000_000),
    ("mi", 1 << 20),
    ("g", 1_000_000_000),
    ("gi", 1 << 30),
    ("t", 1_000_000_000_000),
    ("ti", 1 << 40),
];

const TIME_UNITS: [(&str, u128); 4] =
    [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// "20ms", "1.5s", "1h 30m", and "0".
pub(crate) fn read_time(text: &str) -> Option<Duration> {
    if text.trim() == "0" {
        return Some(Duration::ZERO);
    }
    humantime::parse_duration(text.trim()).ok()
}

pub(crate) fn write_time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let fits = TIME_UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(*unit));
    fits.map_or_else(String::new, |(name, unit)| format!("{}{name}", nanos / unit))
}

/// "100Mbit", "1.5 Gbit/s", "9600". In either case of letters, as in tc; not "bps", which means
/// bits to some and bytes to others.
pub(crate) fn read_rate(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("/s").unwrap_or(&text);
    read_scaled(text.strip_suffix("bit").unwrap_or(text))
}

pub(crate) fn write_rate(bits_per_second: u64) -> String {
    write_scaled(bits_per_second, "bit", ["k", "M", "G", "T"])
}

/// "500kB", "64KiB", "1.5MB", "1500". k is 1000 and Ki is 1024.
pub(crate) fn read_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    read_scaled(text.strip_suffix('b').unwrap_or(&text))
}

pub(crate) fn write_bytes(bytes: u64) -> String {
    write_scaled(bytes, "B", ["k", "M", "G", "T"])
}

/// "100 packets", "1packet".
pub(crate) fn read_packets(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = text.strip_suffix("packets").or_else(|| text.strip_suffix("packet"))?;
    number.trim_end().parse().ok()
}

pub(crate) fn write_packets(packets: u64) -> String {
    format!("{packets}packets")
}

/// "1%", "0.01". Any number reads; whether it is a probability is asked of the whole.
pub(crate) fn read_share(text: &str) -> Option<f64> {
    let text = text.trim();
    let Some(percent) = text.strip_suffix('%') else { return text.parse().ok() };
    let percent = percent.trim_end();
    // As decimal digits, so that 0.1 % is the number that 0.001 is.
    if percent.ends_with(|last: char| last.is_ascii_digit() || last == '.')
        && !percent.contains(['e', 'E'])
    {
        return format!("{percent}e-2").parse().ok();
    }
    percent.parse::<f64>().ok().map(|number| number / 100.0)
}

pub(crate) fn write_share(share: f64) -> String {
    let in_percent = (|| {
        let exact = format!("{share:e}");
        let (digits, exponent) = exact.split_once('e')?;
        let exponent = exponent.parse::<i32>().ok()? + 2;
        let percent = format!("{digits}e{exponent}").parse::<f64>().ok()?;
        Some(format!("{percent}%"))
    })();
    in_percent.filter(|text| read_share(text) == Some(share)).unwrap_or_else(|| share.to_string())
}

/// A decimal number and a prefix, already in lower case.
fn read_scaled(text: &str) -> Option<u64> {
    let text = text.trim_end();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, prefix) = text.split_at(digits_end);
    let scale = PREFIXES.iter().find(|(name, _)| *name == prefix.trim_start())?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let tens = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = u128::from(digits(fraction)?) * u128::from(scale);
    if fraction % u128::from(tens) != 0 {
        return None;
    }
    let fraction = u64::try_from(fraction / u128::from(tens)).ok()?;
    digits(whole)?.checked_mul(scale)?.checked_add(fraction)
}

fn write_scaled(number: u64, unit: &str, prefixes: [&str; 4]) -> String {
    let mut number = number;
    let mut prefix = "";
    for larger in prefixes {
        if number == 0 || !number.is_multiple_of(1_000) {
            break;
        }
        number /= 1_000;
        prefix = larger;
    }
    format!("{number}{prefix}{unit}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_reads() {
        assert_eq!(read_time("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(read_time("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(read_time("0.25ms"), Some(Duration::from_micros(250)));
        assert_eq!(read_time("1h 30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(read_time("0"), Some(Duration::ZERO));
        for (text, rate) in [
            ("100Mbit", 100_000_000),
            ("100mbit", 100_000_000),
            ("1.5 Gbit/s", 1_500_000_000),
            ("9600", 9_600),
            ("56kbit", 56_000),
            (".5kbit", 500),
        ] {
            assert_eq!(read_rate(text), Some(rate), "{text}");
        }
        for (text, bytes) in [
            ("500kB", 500_000),
            ("500 KB", 500_000),
            ("64KiB", 65_536),
            ("1.5MB", 1_500_000),
            ("0.5KiB", 512),
            ("1500", 1_500),
            ("1500B", 1_500),
        ] {
            assert_eq!(read_bytes(text), Some(bytes), "{text}");
        }
        assert_eq!(read_packets("100 packets"), Some(100));
        assert_eq!(read_packets("1packet"), Some(1));
        assert_eq!(read_share("0.1%").map(f64::to_bits), Some(0.001_f64.to_bits()));
        assert_eq!(read_share("2.5 %"), Some(0.025));
        assert_eq!(read_share("0.3"), Some(0.3));
    }

    #[test]
    fn what_cannot_be_meant_does_not_read() {
        for text in ["", "5", "ms", "-1ms", "5 parsecs", "99999999999999999999s"] {
            assert_eq!(read_time(text), None, "{text}");
        }
        for text in ["", "bit", "100Mbps", "-1", "1e3", "1..5", "0.3bit", "20000000Tbit", "1Xbit"] {
            assert_eq!(read_rate(text), None, "{text}");
        }
        for text in ["", "B", "100 packets", "0.0001kB", "."] {
            assert_eq!(read_bytes(text), None, "{text}");
        }
        for text in ["", "packets", "-1packets", "5", "1.5 packets"] {
            assert_eq!(read_packets(text), None, "{text}");
        }
        for text in ["", "%", "a%", "one"] {
            assert_eq!(read_share(text), None, "{text}");
        }
    }

    #[test]
    fn the_largest_whole_unit_is_written() {
        assert_eq!(write_time(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(write_time(Duration::from_secs(90)), "90s");
        assert_eq!(write_time(Duration::from_nanos(1)), "1ns");
        assert_eq!(write_rate(100_000_000), "100Mbit");
        assert_eq!(write_rate(1_500_000), "1500kbit");
        assert_eq!(write_bytes(500_000), "500kB");
        assert_eq!(write_bytes(1_500), "1500B");
        assert_eq!(write_share(0.001), "0.1%");
        assert_eq!(write_share(1.0), "100%");
        assert_eq!(write_share(0.07), "7%");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(nanos: u64, number: u64, share in 0.0..=1.0_f64) {
            let time = Duration::from_nanos(nanos);
            prop_assert_eq!(read_time(&write_time(time)), Some(time));
            prop_assert_eq!(read_rate(&write_rate(number)), Some(number));
            prop_assert_eq!(read_bytes(&write_bytes(number)), Some(number));
            prop_assert_eq!(read_packets(&write_packets(number)), Some(number));
            prop_assert_eq!(read_share(&write_share(share)), Some(share));
        }
    }
}
