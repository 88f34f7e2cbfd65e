//! The segments of a capture one by one, as `tshark` reads them: what was sent, and when.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::capture_check::tshark;
use crate::scene::Connection;

/// A TCP segment on our interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, since the capture's first packet.
    pub at: Duration,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// The control bits, FIN being 1.
    pub flags: u16,
    /// The sequence number as it stands in the header.
    pub seq: u32,
    /// The acknowledgment number as it stands in the header.
    pub ack: u32,
    /// The window as it stands in the header.
    pub window: u32,
    /// How many bytes of data it has.
    pub len: u32,
    /// The kinds of its options, in their order.
    pub option_kinds: Vec<u8>,
    /// The value of its MSS option.
    pub mss: Option<u16>,
    /// The shift of its window scale option.
    pub window_scale: Option<u8>,
    /// The TTL or hop limit.
    pub hop_limit: u8,
    /// Whether it may not be fragmented; always so in IPv6.
    pub dont_fragment: bool,
    /// What tshark thinks of it in its context: a keep-alive, a retransmission ..
    pub remarks: String,
}

/// Control bits of [`Seen::flags`].
#[allow(missing_docs, reason = "the names of RFC 9293 section 3.1")]
pub mod flags {
    pub const FIN: u16 = 0x01;
    pub const SYN: u16 = 0x02;
    pub const RST: u16 = 0x04;
    pub const PSH: u16 = 0x08;
    pub const ACK: u16 = 0x10;
    pub const ECE: u16 = 0x40;
    pub const CWR: u16 = 0x80;
    pub const AE: u16 = 0x100;
}

impl Seen {
    /// Whether it goes from one end of the connection to the other.
    pub fn belongs_to(&self, connection: &Connection) -> bool {
        self.is_ours_in(connection) || (self.from, self.to) == (connection.kernels, connection.ours)
    }

    /// Whether our end of the connection sent it.
    pub fn is_ours_in(&self, connection: &Connection) -> bool {
        (self.from, self.to) == (connection.ours, connection.kernels)
    }

    /// Whether all of these control bits are set.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Whether it opens: SYN without ACK.
    pub fn is_syn(&self) -> bool {
        self.has(flags::SYN) && !self.has(flags::ACK)
    }

    /// Whether it answers a SYN.
    pub fn is_syn_ack(&self) -> bool {
        self.has(flags::SYN | flags::ACK)
    }
}

const FIELDS: [&str; 18] = [
    "frame.time_relative",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.window_size_value",
    "tcp.len",
    "tcp.option_kind",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    "ip.ttl",
    "ipv6.hlim",
    "ip.flags.df",
];

/// Reads the capture at `path`.
///
/// # Errors
///
/// When tshark fails, does not understand the file, or answers something else than was asked.
pub fn segments(path: &Path) -> io::Result<Vec<Seen>> {
    let mut command = tshark();
    // A report of ICMP quotes a segment; it is none.
    command.arg("-r").arg(path).args(["-Y", "tcp and not icmp and not icmpv6"]);
    command.args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.args(["-e", "_ws.expert.message"]).stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("tshark: {}: {}", output.status, words.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let parse = |line: &str| {
        parse(line).ok_or_else(|| io::Error::other(format!("a line of tshark's: {line:?}")))
    };
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> Option<Seen> {
    let words: Vec<_> = line.splitn(FIELDS.len() + 1, '|').collect();
    let (fields, remarks) = words.split_at_checked(FIELDS.len())?;
    let [
        at,
        ip_src,
        ip_dst,
        ipv6_src,
        ipv6_dst,
        src_port,
        dst_port,
        flags,
        seq,
        ack,
        window,
        len,
        kinds,
        mss,
        scale,
        ttl,
        hop_limit,
        dont_fragment,
    ] = fields[..]
    else {
        return None;
    };
    let address = |v4: &str, v6: &str, port: &str| {
        let ip: IpAddr = if v4.is_empty() { v6 } else { v4 }.parse().ok()?;
        Some(SocketAddr::new(ip, port.parse().ok()?))
    };
    let optional =
        |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    Some(Seen {
        at: Duration::try_from_secs_f64(at.parse().ok()?).ok()?,
        from: address(ip_src, ipv6_src, src_port)?,
        to: address(ip_dst, ipv6_dst, dst_port)?,
        flags: u16::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?,
        seq: seq.parse().ok()?,
        ack: ack.parse().ok()?,
        window: window.parse().ok()?,
        len: len.parse().ok()?,
        option_kinds: kinds
            .split(',')
            .filter(|kind| !kind.is_empty())
            .map(|kind| kind.parse().ok())
            .collect::<Option<_>>()?,
        mss: optional(mss)?,
        window_scale: optional(scale)?.and_then(|shift: u16| u8::try_from(shift).ok()),
        hop_limit: if ttl.is_empty() { hop_limit } else { ttl }.parse().ok()?,
        dont_fragment: dont_fragment.is_empty() || dont_fragment == "1" || dont_fragment == "True",
        remarks: remarks.first()?.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_each_family_is_read() {
        let line = "0.250000000|10.77.0.1|10.77.0.2|||40000|80|0x0002|1|0|64240|0|2,4,8,1,3|1460|7|64||1|Connection establish request (SYN)";
        let seen = parse(line).unwrap();
        assert_eq!(
            (seen.at, seen.from),
            (Duration::from_millis(250), "10.77.0.1:40000".parse().unwrap())
        );
        assert_eq!(
            (seen.option_kinds.as_slice(), seen.mss),
            ([2, 4, 8, 1, 3].as_slice(), Some(1460))
        );
        assert_eq!((seen.window_scale, seen.hop_limit, seen.dont_fragment), (Some(7), 64, true));
        assert!(seen.is_syn() && !seen.is_syn_ack());
        let line = "0.5|||fd77::2|fd77::1|80|40000|0x0012|1|2|64260|0|||||60||";
        let seen = parse(line).unwrap();
        assert_eq!((seen.to, seen.hop_limit), ("[fd77::1]:40000".parse().unwrap(), 60));
        assert!(seen.is_syn_ack() && seen.remarks.is_empty());
    }

    #[test]
    fn a_line_of_something_else_is_not_a_segment() {
        for line in ["", "|||||||||||||||||||", "0.5|10.77.0.1|10.77.0.2"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
