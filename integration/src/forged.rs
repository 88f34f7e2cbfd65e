//! SYNs from addresses whose host never sent one, through a raw socket of the kernel's
//! (raw(7)): whoever answers them answers nobody.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use towpath_wire::ip::Ecn;
use towpath_wire::tcp::{ChecksumEmit, Flags, Options, Segment, Timestamps};
use towpath_wire::{IpHeader, Protocol, SeqNumber};

/// `IPPROTO_RAW`: the whole packet is ours.
const RAW: i32 = 255;

/// A raw socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Forger(Socket);

impl Forger {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open() -> io::Result<Forger> {
        Socket::new(Domain::IPV4, Type::RAW, Some(SocketProtocol::from(RAW))).map(Forger)
    }

    /// Sends a SYN with the options of Linux.
    ///
    /// # Errors
    ///
    /// The system's; `ENOBUFS` when the interface's queue is full.
    pub fn syn(&self, from: SocketAddrV4, to: SocketAddrV4, seq: u32) -> io::Result<()> {
        let (src, dst): (IpAddr, IpAddr) = ((*from.ip()).into(), (*to.ip()).into());
        let segment = Segment {
            src_port: from.port(),
            dst_port: to.port(),
            seq: SeqNumber(seq),
            ack: SeqNumber(0),
            flags: Flags::SYN,
            window: 64_240,
            urgent: 0,
            options: Options {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: Some(Timestamps { value: seq, echo: 0 }),
                ..Options::default()
            },
        };
        let header = IpHeader {
            src,
            dst,
            protocol: Protocol::TCP,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        };
        let (ip_len, tcp_len) = (header.header_len(), segment.header_len());
        let mut packet = vec![0; ip_len + tcp_len];
        header.emit(tcp_len, &mut packet);
        segment.emit(src, dst, [], 0, ChecksumEmit::Full, &mut packet[ip_len..]);
        self.0.send_to(&packet, &SocketAddr::from(to).into()).map(|_| ())
    }
}
