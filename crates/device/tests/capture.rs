//! Captures, read back by a parser that is not ours, and by tshark where there is one.

#[path = "support/skip.rs"]
mod skip;
mod support;

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, PcapNGReader};
use pcap_parser::{OptionCode, traits::PcapReaderIterator};
use skip::skip;
use support::{batch, halves, numbered, receive_exactly, send_all};
use towpath_device::pcapng::{Direction, PcapngWriter};
use towpath_device::{Captured, memory};

/// A packet as the parser reads it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    time_ns: u64,
    direction: Direction,
    data: Vec<u8>,
    comment: Option<String>,
}

/// Reads a capture; panics at anything that is not what the writer promises.
fn read(file: &[u8]) -> Vec<Seen> {
    let mut reader = PcapNGReader::new(1 << 20, file).expect("a section header");
    let mut seen = Vec::new();
    let mut kinds = Vec::new();
    loop {
        match reader.next() {
            Ok((used, PcapBlockOwned::NG(block))) => {
                kinds.push(match &block {
                    Block::SectionHeader(header) => {
                        assert_eq!((header.major_version, header.minor_version), (1, 0));
                        "SHB"
                    }
                    Block::InterfaceDescription(interface) => {
                        assert_eq!(interface.linktype, Linktype::RAW);
                        assert_eq!(interface.if_tsresol, 9);
                        "IDB"
                    }
                    Block::EnhancedPacket(packet) => {
                        assert_eq!(packet.caplen, packet.origlen);
                        let option = |code| {
                            let mut options = packet.options.iter();
                            options.find(|option| option.code == code).map(|option| {
                                option.as_bytes().expect("an option holds what it says").to_vec()
                            })
                        };
                        seen.push(Seen {
                            time_ns: u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
                            direction: match option(OptionCode(2)).as_deref() {
                                Some([1, 0, 0, 0]) => Direction::Inbound,
                                Some([2, 0, 0, 0]) => Direction::Outbound,
                                other => panic!("epb_flags {other:?}"),
                            },
                            data: packet.packet_data().to_vec(),
                            comment: option(OptionCode::Comment)
                                .map(|text| String::from_utf8(text).expect("UTF-8")),
                        });
                        "EPB"
                    }
                    other => panic!("unexpected block {other:?}"),
                });
                reader.consume(used);
            }
            Ok(_) => panic!("not pcapng"),
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => reader.refill().expect("more to read"),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(kinds[..2], ["SHB", "IDB"]);
    assert!(kinds[2..].iter().all(|&kind| kind == "EPB"));
    seen
}

#[test]
fn a_parser_that_is_not_ours_reads_back_what_was_written() {
    let mut expected = Vec::new();
    let mut writer = PcapngWriter::new(Vec::new(), "tun0").unwrap();
    // Every remainder of lengths by four, for the padding.
    for (at, len) in [0, 1, 2, 3, 4, 20, 1500, 65_535].into_iter().enumerate() {
        let packet = Seen {
            time_ns: 1_700_000_000_123_456_789 + at as u64 * 4_294_967_295,
            direction: if at % 2 == 0 { Direction::Inbound } else { Direction::Outbound },
            data: (0..len).map(|byte| (byte % 253) as u8).collect(),
            comment: [None, Some("drop: bad checksum"), Some("é"), Some("")][at % 4]
                .map(String::from),
        };
        let comment = packet.comment.as_deref();
        writer.write_packet(packet.time_ns, packet.direction, &packet.data, comment).unwrap();
        expected.push(packet);
    }
    assert_eq!(read(&writer.into_inner()), expected);
}

#[test]
fn a_comment_that_does_not_fit_is_cut_between_two_characters() {
    let mut writer = PcapngWriter::new(Vec::new(), "tun0").unwrap();
    // Two bytes a character and an odd limit: the last one would be cut in half.
    let comment = "é".repeat(40_000);
    writer.write_packet(0, Direction::Inbound, &[0x45], Some(&comment)).unwrap();
    let seen = read(&writer.into_inner());
    assert_eq!(seen[0].comment.as_deref(), Some("é".repeat(32_767).as_str()));
}

/// A file in memory that can be read while it is written, and can be full.
#[derive(Clone, Debug)]
struct SharedFile {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl SharedFile {
    fn new(room: usize) -> Self {
        Self { bytes: Arc::default(), room }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Write for SharedFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut bytes = self.bytes.lock().unwrap();
        if bytes.len() + data.len() > self.room {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[tokio::test]
async fn a_captured_device_records_what_passes_and_nothing_that_did_not() {
    let file = SharedFile::new(usize::MAX);
    let (left, right) = memory::pair_with_queue(1500, 2);
    let left = Captured::new(left, file.clone()).unwrap();
    let handle = left.handle();
    let (mut rx, tx) = halves(left);
    let (mut far_rx, far_tx) = halves(right);
    let before = now_ns();

    // There is room for two of three; the third passes when there is room again.
    let mut packets = batch((0..3).map(|n| numbered(n, 40 + n as usize)));
    assert_eq!(tx.try_send(&mut packets).unwrap(), 2);
    assert!(tx.try_send(&mut packets).is_err());
    assert_eq!(read(&file.bytes()).len(), 2);
    receive_exactly(&mut *far_rx, 2).await.unwrap();
    send_all(&*far_tx, [numbered(7, 60)]).await.unwrap();
    assert_eq!(read(&file.bytes()).len(), 2, "what has not been received is not recorded");
    receive_exactly(&mut *rx, 1).await.unwrap();
    assert_eq!(tx.try_send(&mut packets).unwrap(), 1);
    handle.flush().unwrap();

    let seen = read(&file.bytes());
    let passed: Vec<(Direction, Bytes)> =
        seen.iter().map(|seen| (seen.direction, Bytes::from(seen.data.clone()))).collect();
    assert_eq!(
        passed,
        [
            (Direction::Outbound, numbered(0, 40)),
            (Direction::Outbound, numbered(1, 41)),
            (Direction::Inbound, numbered(7, 60)),
            (Direction::Outbound, numbered(2, 42)),
        ]
    );
    let times: Vec<u64> = seen.iter().map(|seen| seen.time_ns).collect();
    assert!(times.is_sorted() && times[0] >= before && times[3] <= now_ns(), "{times:?}");
}

#[tokio::test]
async fn a_capture_that_cannot_be_written_ends_and_the_device_goes_on() {
    let file = SharedFile::new(300);
    let (left, right) = memory::pair(1500);
    let left = Captured::new(left, file.clone()).unwrap();
    let handle = left.handle();
    let (_rx, tx) = halves(left);
    let (mut far_rx, _far_tx) = halves(right);
    // The second packet does not fit, the third would.
    let packets = [numbered(0, 40), numbered(1, 1000), numbered(2, 4)];
    send_all(&*tx, packets.clone()).await.unwrap();
    assert_eq!(receive_exactly(&mut *far_rx, 3).await.unwrap(), packets);
    assert_eq!(handle.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(read(&file.bytes()).len(), 1, "nothing is written behind the failure");
}

#[test]
fn tshark_reads_the_same() {
    let tshark = |file: &[u8]| -> io::Result<String> {
        let fields = [
            "frame.time_epoch",
            "frame.packet_flags_direction",
            "frame.len",
            "ip.src",
            "frame.comment",
        ];
        let mut child = Command::new("tshark")
            .args(["-r", "-", "-T", "fields", "-E", "separator=|"])
            .args(fields.iter().flat_map(|field| ["-e", field]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().expect("piped").write_all(file)?;
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };

    let mut packet = vec![0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 253, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    let mut writer = PcapngWriter::new(Vec::new(), "tun0").unwrap();
    writer.write_packet(1_700_000_000_123_456_789, Direction::Inbound, &packet, None).unwrap();
    packet[15] = 9;
    let comment = Some("a word");
    writer.write_packet(1_700_000_000_123_456_790, Direction::Outbound, &packet, comment).unwrap();
    match tshark(&writer.into_inner()) {
        Ok(lines) => {
            let lines: Vec<&str> = lines.lines().collect();
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(
                lines[0].contains("123456789") && lines[0].contains("|20|192.0.2.1|"),
                "{lines:?}"
            );
            assert!(
                lines[1].contains("123456790") && lines[1].contains("|192.0.2.9|a word"),
                "{lines:?}"
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skip("tshark", "tshark_reads_the_same", &format!("tshark: {error}: install it"));
        }
        Err(error) => panic!("tshark: {error}"),
    }
}
