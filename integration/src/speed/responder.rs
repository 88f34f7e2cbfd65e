//! The smallest TCP that answers over a TUN interface: what the device and the kernel allow at best,
//! beside which a whole stack is seen.
//!
//! It is honest where that counts: every byte is in order or not counted, what it sends carries a
//! checksum, and what the client reads really left. It has no timers and does nothing for anybody
//! else: no options but window scale and MSS, no verification of checksums, no loss recovery but going
//! back to the first unacknowledged byte at the third duplicate acknowledgment.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use towpath_wire::Protocol;
use towpath_wire::checksum::{Sum, pseudo_header};

use super::meter::Tally;
use super::plan::Workload;

/// The headers of a segment without options.
const HEADERS: usize = 40;

/// Windows that we offer are multiples of 16: 1 MiB a connection, so that eight of them fit in the
/// interface's queue.
const WINDOW_SCALE: u8 = 4;

/// So many packets are read before they are answered, or written before more are read.
const BATCH: usize = 64;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Answers for ever.
///
/// # Errors
///
/// That of the interface.
pub fn run(tun: File, mtu: usize, workload: Workload, tally: &Tally) -> io::Result<()> {
    let mut responder = Responder {
        tun,
        flows: HashMap::new(),
        workload,
        packet: vec![0; mtu],
        mss: mtu - HEADERS,
    };
    let mut arrived = vec![0; 65_536];
    loop {
        let mut is_full = true;
        for _ in 0..BATCH {
            match responder.tun.read(&mut arrived) {
                Ok(len) => responder.take(&arrived[..len], tally)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    is_full = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let is_waiting = !responder.answer(tally)?;
        if is_waiting && !is_full {
            let tun = responder.tun.as_fd();
            poll(&mut [PollFd::new(tun, PollFlags::POLLIN)], PollTimeout::NONE)?;
        }
    }
}

/// A connection. Sequence numbers wrap.
#[derive(Debug)]
struct Flow {
    client: [u8; 4],
    server: [u8; 4],
    ports: (u16, u16),
    rcv_nxt: u32,
    owes_ack: bool,
    snd_una: u32,
    snd_nxt: u32,
    /// What the client takes, and by how many bits its windows are scaled.
    window: u32,
    scale: u8,
    duplicates: u32,
}

struct Responder {
    tun: File,
    /// By the client's address and both ports.
    flows: HashMap<([u8; 4], u16, u16), Flow>,
    workload: Workload,
    /// The next packet to leave.
    packet: Vec<u8>,
    mss: usize,
}

impl Responder {
    /// Takes a packet. What it owes for it, it mostly pays in [`answer`](Responder::answer).
    fn take(&mut self, packet: &[u8], tally: &Tally) -> io::Result<()> {
        let Some(Arrived { client, server, ports, seq, ack, flags, window, scale, text }) =
            parse(packet)
        else {
            return Ok(());
        };
        let key = (client, ports.0, ports.1);
        if flags & SYN != 0 {
            let rcv_nxt = seq.wrapping_add(1);
            let (snd_una, snd_nxt) = (1, 1);
            let window = u32::from(window);
            let flow = Flow {
                client,
                server,
                ports,
                rcv_nxt,
                owes_ack: false,
                snd_una,
                snd_nxt,
                window,
                scale,
                duplicates: 0,
            };
            emit(&mut self.packet, &self.tun, &flow, 0, SYN | ACK, 0, self.mss)?;
            self.flows.insert(key, flow);
            return Ok(());
        }
        let Some(flow) = self.flows.get_mut(&key) else { return Ok(()) };
        if flags & RST != 0 {
            self.flows.remove(&key);
            return Ok(());
        }
        let is_same = flow.window == u32::from(window) << flow.scale;
        flow.window = u32::from(window) << flow.scale;
        let acknowledged = ack.wrapping_sub(flow.snd_una);
        if acknowledged > 0 && acknowledged <= flow.snd_nxt.wrapping_sub(flow.snd_una) {
            (flow.snd_una, flow.duplicates) = (ack, 0);
        } else if acknowledged == 0 && text.is_empty() && is_same && flow.snd_nxt != flow.snd_una {
            flow.duplicates += 1;
            if flow.duplicates == 3 {
                flow.snd_nxt = flow.snd_una;
            }
        }
        if seq != flow.rcv_nxt {
            // Comes out of order or again: not counted, and told.
            flow.owes_ack |= !text.is_empty();
            return Ok(());
        }
        if !text.is_empty() {
            flow.rcv_nxt = seq.wrapping_add(text.len() as u32);
            flow.owes_ack = true;
            tally.add(text.len());
            if self.workload == Workload::Rr && text.len() <= self.mss {
                self.packet[HEADERS..HEADERS + text.len()].copy_from_slice(text);
                emit(&mut self.packet, &self.tun, flow, flow.snd_nxt, PSH | ACK, text.len(), 0)?;
                flow.snd_nxt = flow.snd_nxt.wrapping_add(text.len() as u32);
                flow.owes_ack = false;
            }
        }
        if flags & FIN != 0 {
            flow.rcv_nxt = flow.rcv_nxt.wrapping_add(1);
            emit(&mut self.packet, &self.tun, flow, flow.snd_nxt, FIN | ACK, 0, 0)?;
            self.flows.remove(&key);
        }
        Ok(())
    }

    /// Sends what is owed and may be sent, and returns whether there is more.
    fn answer(&mut self, tally: &Tally) -> io::Result<bool> {
        let mut has_more = false;
        for flow in self.flows.values_mut() {
            if self.workload == Workload::Download {
                let mut sent = 0;
                let room = |flow: &Flow| {
                    flow.window.saturating_sub(flow.snd_nxt.wrapping_sub(flow.snd_una)) as usize
                };
                while sent < BATCH && room(flow) >= self.mss {
                    emit(&mut self.packet, &self.tun, flow, flow.snd_nxt, ACK, self.mss, 0)?;
                    flow.snd_nxt = flow.snd_nxt.wrapping_add(self.mss as u32);
                    tally.add(self.mss);
                    sent += 1;
                }
                has_more |= sent == BATCH;
                flow.owes_ack &= sent == 0;
            }
            if std::mem::take(&mut flow.owes_ack) {
                emit(&mut self.packet, &self.tun, flow, flow.snd_nxt, ACK, 0, 0)?;
            }
        }
        Ok(has_more)
    }
}

/// What a segment says.
struct Arrived<'a> {
    client: [u8; 4],
    server: [u8; 4],
    ports: (u16, u16),
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    scale: u8,
    text: &'a [u8],
}

/// TCP over IPv4 without options of its own; `None` is something else.
fn parse(packet: &[u8]) -> Option<Arrived<'_>> {
    if packet.first() != Some(&0x45) || packet.get(9) != Some(&6) {
        return None;
    }
    let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let tcp = packet.get(20..total)?;
    let u16_at = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    Some(Arrived {
        client: packet[12..16].try_into().ok()?,
        server: packet[16..20].try_into().ok()?,
        ports: (u16_at(0)?, u16_at(2)?),
        seq: u32_at(4)?,
        ack: u32_at(8)?,
        flags: *tcp.get(13)?,
        window: u16_at(14)?,
        scale: scale(tcp.get(20..header)?).min(14),
        text: tcp.get(header..)?,
    })
}

/// The window scale among these options; 0 where there is none.
fn scale(mut options: &[u8]) -> u8 {
    loop {
        match *options {
            [3, 3, scale, ..] => return scale,
            [1, ref rest @ ..] => options = rest,
            [kind, len, ..] if kind > 1 && len > 1 && options.len() >= usize::from(len) => {
                options = &options[usize::from(len)..];
            }
            _ => return 0,
        }
    }
}

/// Sends a segment whose text stands in the packet already. With a SYN goes this MSS.
fn emit(
    packet: &mut [u8],
    mut tun: &File,
    flow: &Flow,
    seq: u32,
    flags: u8,
    text: usize,
    mss: usize,
) -> io::Result<()> {
    let options = if flags & SYN == 0 { 0 } else { 8 };
    let total = HEADERS + options + text;
    let (ip, tcp) = packet[..total].split_at_mut(20);
    ip.copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    ip[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    ip[12..16].copy_from_slice(&flow.server);
    ip[16..20].copy_from_slice(&flow.client);
    let checksum = Sum::new().add_bytes(ip).finish();
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());

    tcp[0..2].copy_from_slice(&flow.ports.1.to_be_bytes());
    tcp[2..4].copy_from_slice(&flow.ports.0.to_be_bytes());
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&flow.rcv_nxt.to_be_bytes());
    tcp[12] = ((20 + options) as u8) << 2;
    tcp[13] = flags;
    // In a SYN it is not scaled.
    tcp[14..20].copy_from_slice(&[0xff, 0xff, 0, 0, 0, 0]);
    if options > 0 {
        let [high, low] = (mss as u16).to_be_bytes();
        tcp[20..28].copy_from_slice(&[2, 4, high, low, 1, 3, 3, WINDOW_SCALE]);
    }
    let (from, to) = (Ipv4Addr::from(flow.server).into(), Ipv4Addr::from(flow.client).into());
    let sum = pseudo_header(from, to, Protocol::TCP, (total - 20) as u32).add_bytes(tcp);
    tcp[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    tun.write_all(&packet[..total])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_scale_is_found_behind_other_options_and_never_beyond_them() {
        for (options, expected) in [
            (&[][..], 0),
            (&[2, 4, 5, 180, 1, 3, 3, 10], 10),
            (&[4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7], 7),
            (&[2, 40, 3, 3, 9], 0),
            (&[2, 0, 3, 3, 9], 0),
            (&[3, 3], 0),
            (&[0, 3, 3, 9], 0),
        ] {
            assert_eq!(scale(options), expected, "{options:?}");
        }
    }

    #[test]
    fn what_is_no_tcp_over_ipv4_is_nothing() {
        for packet in [&[][..], &[0x45; 19], &[0x60; 60], &[0x45, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 6]]
        {
            assert!(parse(packet).is_none(), "{packet:?}");
        }
    }
}
