//! The TCP header, RFC 9293 section 3.1, as a value.
//!
//! Owns the fixed fields, their checks and the checksum. The payload travels beside the segment.
//! Which segment is acceptable, and what its window means, is the engine's to know.

pub mod flags;
mod layout;
pub mod options;
pub mod window;

pub use flags::Flags;
pub use options::{
    AccEcn, AccEcnOrder, FastOpen, Options, OptionsReport, SackBlock, SackBlocks, Timestamps,
    max_sack_blocks,
};
pub use window::{MAX_WINDOW, WindowScale};

use crate::checksum::pseudo_header;
use crate::{Malformed, Protocol, SeqNumber};
use pnet_packet::tcp::{MutableTcpPacket, TcpPacket};
use std::fmt;
use std::net::IpAddr;

/// A header without options.
pub const MIN_HEADER_LEN: usize = 20;

/// A TCP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Never 0 in a segment that was parsed.
    pub src_port: u16,
    /// Never 0 in a segment that was parsed.
    pub dst_port: u16,
    /// The number of the first byte, or of the SYN.
    pub seq: SeqNumber,
    /// The next number expected. Zero on both ways through the codec unless ACK is set.
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: Flags,
    /// The window field as it stands in the header, not scaled.
    pub window: u16,
    /// The urgent pointer, an offset from `seq` that may lie beyond the data. Zero on both ways
    /// through the codec unless URG is set.
    pub urgent: u16,
    /// The options.
    pub options: Options,
}

/// Who vouches for the checksum of an arriving segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChecksumState {
    /// Nobody has: compute it.
    Verify,
    /// The device has, or the segment comes from this host with a partial checksum.
    Trusted,
}

/// What goes into the checksum field of a segment that leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChecksumEmit {
    /// The checksum.
    Full,
    /// The sum of the pseudo-header, folded and not complemented; the device adds the rest and
    /// complements.
    Partial,
}

impl Segment {
    /// Reads the header of `bytes`, a TCP header and its payload, and says where the payload
    /// begins.
    ///
    /// # Errors
    ///
    /// The [`Malformed`] that names the first check which failed: fixed header, data offset, ports,
    /// checksum. Options cannot fail, see [`Options::parse`].
    // Implements: 9293 MUST-3, 9293 MUST-5, RFC9293 s3.1a, RFC9293 s3.1b, H-12, H-17, H-18, H-56
    pub fn parse(
        bytes: &[u8],
        src: IpAddr,
        dst: IpAddr,
        checksum: ChecksumState,
    ) -> Result<(Segment, usize), Malformed> {
        let view = TcpPacket::new(bytes).ok_or(Malformed::Truncated)?;
        let header_len = usize::from(view.get_data_offset()) * 4;
        // Also refuses an offset below 5: the range would end before it begins.
        let options = bytes.get(MIN_HEADER_LEN..header_len).ok_or(Malformed::DataOffset)?;
        if view.get_source() == 0 || view.get_destination() == 0 {
            return Err(Malformed::ZeroPort);
        }
        if checksum == ChecksumState::Verify && !is_intact(bytes, src, dst) {
            return Err(Malformed::Checksum);
        }
        let flags = Flags::from_bits_truncate(
            u16::from(view.get_reserved()) << 8 | u16::from(view.get_flags()),
        );
        let segment = Segment {
            src_port: view.get_source(),
            dst_port: view.get_destination(),
            seq: SeqNumber(view.get_sequence()),
            ack: SeqNumber(if flags.contains(Flags::ACK) { view.get_acknowledgement() } else { 0 }),
            flags,
            window: view.get_window(),
            urgent: if flags.contains(Flags::URG) { view.get_urgent_ptr() } else { 0 },
            options: Options::parse(options),
        };
        Ok((segment, header_len))
    }

    /// The bytes that [`emit`](Self::emit) writes: 20 to 60, a multiple of 4.
    pub fn header_len(&self) -> usize {
        MIN_HEADER_LEN + self.options.encoded_len()
    }

    /// Writes the header into the first [`header_len`](Self::header_len) bytes of `buffer`.
    ///
    /// `payload` gives the bytes that will follow, in pieces of any length, and is only summed;
    /// with [`ChecksumEmit::Partial`] it is not looked at. `payload_len` is their number.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than the header.
    // Implements: 9293 MUST-2, RFC9293 s3.1b, RFC8200 s8.1
    pub fn emit<'p>(
        &self,
        src: IpAddr,
        dst: IpAddr,
        payload: impl IntoIterator<Item = &'p [u8]>,
        payload_len: usize,
        checksum: ChecksumEmit,
        buffer: &mut [u8],
    ) {
        let header_len = self.header_len();
        let header = &mut buffer[..header_len];
        let [ae, low] = self.flags.bits().to_be_bytes();
        let mut view = MutableTcpPacket::new(header).expect("the buffer holds a TCP header");
        view.set_source(self.src_port);
        view.set_destination(self.dst_port);
        view.set_sequence(self.seq.0);
        view.set_acknowledgement(if self.flags.contains(Flags::ACK) { self.ack.0 } else { 0 });
        view.set_data_offset((header_len / 4) as u8);
        view.set_reserved(ae);
        view.set_flags(low);
        view.set_window(self.window);
        view.set_checksum(0);
        view.set_urgent_ptr(if self.flags.contains(Flags::URG) { self.urgent } else { 0 });
        self.options.emit(&mut header[MIN_HEADER_LEN..]);

        let upper_len = u32::try_from(header_len + payload_len)
            .expect("a segment is no longer than an IP packet can be");
        let pseudo_header = pseudo_header(src, dst, Protocol::TCP, upper_len);
        let field = match checksum {
            ChecksumEmit::Partial => pseudo_header.folded(),
            ChecksumEmit::Full => {
                let mut sum = pseudo_header.add_bytes(header);
                let mut summed = 0;
                for piece in payload {
                    sum = sum.add_bytes(piece);
                    summed += piece.len();
                }
                debug_assert_eq!(summed, payload_len, "the pieces are the payload");
                sum.finish()
            }
        };
        MutableTcpPacket::new(header).expect("the buffer holds a TCP header").set_checksum(field);
    }

    /// The sequence numbers that the segment takes with `payload_len` bytes: SYN and FIN count one
    /// each.
    pub fn sequence_len(&self, payload_len: usize) -> u32 {
        let payload_len = u32::try_from(payload_len).expect("a payload is shorter than 4 GiB");
        payload_len
            + u32::from(self.flags.contains(Flags::SYN))
            + u32::from(self.flags.contains(Flags::FIN))
    }

    /// The segment as tcpdump prints it, behind the addresses.
    ///
    /// # Examples
    ///
    /// ```
    /// use towpath_wire::SeqNumber;
    /// use towpath_wire::tcp::{Flags, Options, Segment};
    ///
    /// let segment = Segment {
    ///     src_port: 40_000,
    ///     dst_port: 80,
    ///     seq: SeqNumber(1),
    ///     ack: SeqNumber(2),
    ///     flags: Flags::PSH | Flags::ACK,
    ///     window: 502,
    ///     urgent: 0,
    ///     options: Options::default(),
    /// };
    /// assert_eq!(
    ///     segment.display(10).to_string(),
    ///     "Flags [P.], seq 1:11, ack 2, win 502, length 10",
    /// );
    /// ```
    pub fn display(&self, payload_len: usize) -> impl fmt::Display + '_ {
        Line { segment: self, payload_len }
    }
}

struct Line<'a> {
    segment: &'a Segment,
    payload_len: usize,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload_len = self.payload_len;
        let Segment { seq, ack, flags, window, urgent, options, .. } = self.segment;
        write!(f, "Flags [{flags}]")?;
        if payload_len > 0 {
            write!(f, ", seq {seq}:{}", *seq + payload_len as u32)?;
        } else if flags.intersects(Flags::SYN | Flags::FIN | Flags::RST)
            || !flags.contains(Flags::ACK)
        {
            write!(f, ", seq {seq}")?;
        }
        if flags.contains(Flags::ACK) {
            write!(f, ", ack {ack}")?;
        }
        write!(f, ", win {window}")?;
        if flags.contains(Flags::URG) {
            write!(f, ", urg {urgent}")?;
        }
        if *options != Options::default() {
            write!(f, ", options [{options}]")?;
        }
        write!(f, ", length {payload_len}")
    }
}

fn is_intact(bytes: &[u8], src: IpAddr, dst: IpAddr) -> bool {
    u32::try_from(bytes.len())
        .is_ok_and(|len| pseudo_header(src, dst, Protocol::TCP, len).add_bytes(bytes).is_intact())
}
