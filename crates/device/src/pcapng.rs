//! A capture file writer: pcapng, one interface of raw IP packets, nanosecond times.
//!
//! Written from the IETF draft "PCAP Now Generic (pcapng) Capture File Format"
//! (draft-ietf-opsawg-pcapng): a Section Header Block, one Interface Description Block with
//! `if_tsresol` = 9, and an Enhanced Packet Block for each packet with its direction in
//! `epb_flags` and, where there is something to say, an `opt_comment`. Numbers are written
//! little-endian; the byte-order magic says so.

use std::io::{self, Write};

/// Which way a packet went, seen from the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the stack.
    Inbound,
    /// From the stack to the device.
    Outbound,
}

const SECTION_HEADER_BLOCK: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION_BLOCK: u32 = 1;
const ENHANCED_PACKET_BLOCK: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const SECTION_LENGTH_UNKNOWN: u64 = u64::MAX;
/// The packet begins with its IPv4 or IPv6 header.
const LINKTYPE_RAW: u16 = 101;
const NO_SNAP_LENGTH: u32 = 0;
const NANOSECOND_RESOLUTION: u8 = 9;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const EPB_FLAGS: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_TSRESOL: u16 = 9;

/// Writes packets to a pcapng file, without buffering of its own: one `write_all` for each packet.
///
/// ```
/// use towpath_device::pcapng::{Direction, PcapngWriter};
///
/// # fn main() -> std::io::Result<()> {
/// let mut capture = PcapngWriter::new(Vec::new(), "tun0")?;
/// let now_ns = 1_700_000_000_000_000_000;
/// capture.write_packet(now_ns, Direction::Inbound, &[0x45, 0, 0, 20], Some("cut short"))?;
/// let file: Vec<u8> = capture.into_inner();
/// assert_eq!(file[..4], 0x0a0d_0d0a_u32.to_le_bytes());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PcapngWriter<W> {
    writer: W,
    block: Block,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins a file: section header and the description of one interface.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn new(writer: W, interface_name: &str) -> io::Result<Self> {
        let mut this = Self { writer, block: Block::default() };

        this.block.begin(SECTION_HEADER_BLOCK);
        this.block.u32(BYTE_ORDER_MAGIC);
        this.block.u16(1); // major version
        this.block.u16(0); // minor version
        this.block.u64(SECTION_LENGTH_UNKNOWN);
        this.block.option(SHB_USERAPPL, concat!("towpath ", env!("CARGO_PKG_VERSION")).as_bytes());
        this.block.option(OPT_END, &[]);
        this.write_block()?;

        this.block.begin(INTERFACE_DESCRIPTION_BLOCK);
        this.block.u16(LINKTYPE_RAW);
        this.block.u16(0); // reserved
        this.block.u32(NO_SNAP_LENGTH);
        this.block.option(IF_NAME, text(interface_name));
        this.block.option(IF_TSRESOL, &[NANOSECOND_RESOLUTION]);
        this.block.option(OPT_END, &[]);
        this.write_block()?;
        Ok(this)
    }

    /// Appends a packet seen `timestamp_ns` nanoseconds after the Unix epoch.
    ///
    /// # Errors
    ///
    /// When writing fails; the file then ends in the middle of a block.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a packet that no block can hold.
    pub fn write_packet(
        &mut self,
        timestamp_ns: u64,
        direction: Direction,
        packet: &[u8],
        comment: Option<&str>,
    ) -> io::Result<()> {
        // The block's length field counts the packet, the options and about 50 bytes more.
        let longest = u32::MAX - 2 * u32::from(u16::MAX);
        let len = u32::try_from(packet.len())
            .ok()
            .filter(|&len| len <= longest)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "packet above 4 GiB"))?;

        self.block.begin(ENHANCED_PACKET_BLOCK);
        self.block.u32(0); // interface
        self.block.u32((timestamp_ns >> 32) as u32);
        self.block.u32(timestamp_ns as u32);
        self.block.u32(len); // captured
        self.block.u32(len); // original
        self.block.padded(packet);
        let flags: u32 = match direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        self.block.option(EPB_FLAGS, &flags.to_le_bytes());
        if let Some(comment) = comment {
            self.block.option(OPT_COMMENT, text(comment));
        }
        self.block.option(OPT_END, &[]);
        self.write_block()
    }

    /// Flushes the underlying writer.
    ///
    /// # Errors
    ///
    /// When flushing fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Gives the underlying writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.block.finish();
        self.writer.write_all(&self.block.bytes)
    }
}

/// The bytes of as much of `text` as an option holds, cut at a character.
fn text(text: &str) -> &[u8] {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}

/// A block under construction: type, length, body, options, length again.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
}

impl Block {
    fn begin(&mut self, kind: u32) {
        self.bytes.clear();
        self.u32(kind);
        self.u32(0); // the length, filled in by `finish`
    }

    fn finish(&mut self) {
        let length = (self.bytes.len() + 4) as u32;
        self.bytes[4..8].copy_from_slice(&length.to_le_bytes());
        self.u32(length);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends `data`, filled up with zeros to a multiple of four.
    fn padded(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// `data` is at most 65,535 bytes.
    fn option(&mut self, code: u16, data: &[u8]) {
        debug_assert!(data.len() <= usize::from(u16::MAX));
        self.u16(code);
        self.u16(data.len() as u16);
        self.padded(data);
    }
}
