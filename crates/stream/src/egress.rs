//! The way out: a bounded FIFO of packets, and one sender at a time.
//!
//! Packets are appended while the shard's lock is held, so their order is fixed there. Who then
//! finds nobody sending takes the turn: a bounded load out of the FIFO, unlock, headers and
//! checksums, the device, lock, and again until the FIFO is empty. Who finds the turn taken leaves:
//! the sender will see what was appended. On a full device, or when a writer has sent enough for
//! others, the turn passes to the driver, which is woken. While the FIFO is full the engine is not
//! asked for packets, so nothing is stamped as sent that was not.
//!
//! [`Egress`] is the part under the lock and decides; [`Sending`] is the turn itself, outside the
//! lock. What a packet looks like is `towpath-wire`'s business; when it is made, the engine's.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use towpath_device::{TX_HEADER_BYTES, TX_PAYLOAD_SLICES, TxBatch, TxPacket};
use towpath_engine::{Transmit, TransmitBody};
use towpath_wire::icmp::IcmpMessage;
use towpath_wire::tcp::ChecksumEmit;

use crate::shared::Shared;

/// Packets taken from the FIFO at once. As many as are encoded and written between two holds of the
/// lock: enough to amortise it, few enough that the FIFO's order reaches the device soon.
const LOAD_PACKETS: usize = 16;

/// Loads that one turn sends before it leaves the rest to the driver: a writer does not become the
/// stack's sender for as long as others write, and the driver goes on to what has arrived.
const LOADS_OF_A_TURN: usize = 4;

/// Who is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nobody; so there is nothing to send, or it has just been appended.
    Free,
    /// A task or the driver, outside the lock at this moment.
    Taken,
    /// The driver, when it next runs or when the device takes packets again.
    Driver,
}

/// Who asks for the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A task that has just appended.
    Task,
    /// The driver.
    Driver,
}

/// The FIFO and the turn: under the shard's lock.
#[derive(Debug)]
pub(crate) struct Egress {
    fifo: VecDeque<Transmit>,
    /// Between two turns: packets that the device did not take, then empty buffers for reuse.
    spare: Load,
    turn: Turn,
    limit: usize,
    starved: bool,
}

/// What travels with the turn.
#[derive(Debug, Default)]
pub(crate) struct Load {
    transmits: Vec<Transmit>,
    packets: TxBatch,
}

/// Why a load comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// All of it was taken by the device.
    Sent,
    /// The device is full.
    Blocked,
    /// All of it was taken, and the sender has done its share.
    Tired,
}

/// What the sender does after its load came back.
#[derive(Debug)]
enum Next {
    /// Sends this.
    Send(Load),
    /// Leaves; the driver has to be woken, or not.
    Leave { wake_driver: bool },
}

impl Egress {
    pub(crate) fn new(limit: usize) -> Egress {
        Egress {
            fifo: VecDeque::new(),
            spare: Load::default(),
            turn: Turn::Free,
            limit,
            starved: false,
        }
    }

    /// Whether the engine may be asked for a packet. A refusal is remembered: the driver asks the
    /// engine again once there is room.
    pub(crate) fn has_room(&mut self) -> bool {
        let room = self.fifo.len() + self.spare.packets.len() < self.limit;
        self.starved |= !room;
        room
    }

    /// Whether packets wait in the engine for room here.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }

    /// Forgets the refusal: the driver is about to ask the engine again.
    pub(crate) fn ask_again(&mut self) {
        self.starved = false;
    }

    pub(crate) fn push(&mut self, transmit: Transmit) {
        self.fifo.push_back(transmit);
    }

    /// Whether everything was handed to the device.
    pub(crate) fn is_idle(&self) -> bool {
        self.turn == Turn::Free && self.fifo.is_empty()
    }

    /// Whether the driver has the turn.
    pub(crate) fn is_the_drivers(&self) -> bool {
        self.turn == Turn::Driver
    }

    /// Gives the turn to `sender` if there is something to send and nobody is sending.
    pub(crate) fn claim(&mut self, sender: Sender) -> Option<Load> {
        let may = match self.turn {
            Turn::Free => !self.fifo.is_empty(),
            Turn::Driver => sender == Sender::Driver,
            Turn::Taken => false,
        };
        if !may {
            return None;
        }
        self.turn = Turn::Taken;
        let mut load = std::mem::take(&mut self.spare);
        if load.packets.is_empty() {
            let count = self.fifo.len().min(LOAD_PACKETS);
            load.transmits.extend(self.fifo.drain(..count));
        }
        Some(load)
    }

    /// Drops all that waits and gives it to the caller, who drops it after unlocking.
    pub(crate) fn take_all(&mut self) -> (VecDeque<Transmit>, Load) {
        self.starved = false;
        (std::mem::take(&mut self.fifo), std::mem::take(&mut self.spare))
    }

    /// Takes a load back, with what the device left of it.
    fn give_back(&mut self, load: Load, outcome: Outcome) -> Next {
        debug_assert_eq!(self.turn, Turn::Taken, "only who has the turn gives it back");
        self.spare = load;
        let rest = !self.spare.packets.is_empty() || !self.fifo.is_empty();
        self.turn = match outcome {
            Outcome::Blocked => Turn::Driver,
            Outcome::Tired if rest => Turn::Driver,
            Outcome::Sent | Outcome::Tired => Turn::Free,
        };
        match self.turn {
            Turn::Free => match self.claim(Sender::Task) {
                Some(load) => Next::Send(load),
                None => Next::Leave { wake_driver: self.starved },
            },
            Turn::Driver | Turn::Taken => Next::Leave { wake_driver: true },
        }
    }

    /// The sender unwound out of the device: its load is lost, as packets can be.
    fn abandon(&mut self) {
        self.turn = Turn::Free;
    }
}

/// The turn, outside the lock. Dropped by an unwind it gives the turn back.
pub(crate) struct Sending<'a> {
    shared: &'a Shared,
    sender: Sender,
    load: Option<Load>,
}

impl<'a> Sending<'a> {
    pub(crate) fn new(shared: &'a Shared, sender: Sender, load: Load) -> Sending<'a> {
        Sending { shared, sender, load: Some(load) }
    }

    /// Sends, until nothing waits, the device is full, or the sender has done its share. An error
    /// says that the device is gone.
    pub(crate) fn run(mut self) -> io::Result<()> {
        for count in 1.. {
            let Some(load) = &mut self.load else { break };
            let outcome = match send_load(self.shared, load) {
                Ok(()) if count >= LOADS_OF_A_TURN => Outcome::Tired,
                Ok(()) => Outcome::Sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Blocked,
                Err(error) => return Err(error),
            };
            let Some(load) = self.load.take() else { break };
            match self.shared.with_egress(|egress| egress.give_back(load, outcome)) {
                Next::Send(load) => self.load = Some(load),
                Next::Leave { wake_driver } => {
                    // The driver looks at the turn itself when it has sent.
                    if wake_driver && self.sender == Sender::Task {
                        self.shared.wake_driver();
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        // Still here only if the device panicked or failed for good.
        if let Some(load) = self.load.take() {
            self.shared.with_egress(Egress::abandon);
            self.shared.wake_driver();
            drop(load);
        }
    }
}

fn send_load(shared: &Shared, load: &mut Load) -> io::Result<()> {
    for transmit in load.transmits.drain(..) {
        load.packets.push_back(encode(transmit));
    }
    while !load.packets.is_empty() {
        shared.try_send(&mut load.packets)?;
    }
    Ok(())
}

/// A packet as bytes: headers and full checksum in front of the payload's chunks.
// Implements: 9293 MUST-2
fn encode(transmit: Transmit) -> TxPacket {
    let Transmit { ip, body } = transmit;
    match body {
        TransmitBody::Tcp { segment, payload, gso_size } => {
            debug_assert_eq!(gso_size, 0, "no device is told to cut segments");
            let (ip_len, tcp_len) = (ip.header_len(), segment.header_len());
            let mut header = [0; TX_HEADER_BYTES];
            ip.emit(tcp_len + payload.len(), &mut header);
            segment.emit(
                ip.src,
                ip.dst,
                payload.iter().map(|chunk| &chunk[..]),
                payload.len(),
                ChecksumEmit::Full,
                &mut header[ip_len..],
            );
            let mut packet = TxPacket::default();
            packet.header.extend(header.into_iter().take(ip_len + tcp_len));
            debug_assert!(payload.count() <= TX_PAYLOAD_SLICES, "the engine bounds the chunks");
            packet.payload.extend(payload.into_iter().take(TX_PAYLOAD_SLICES));
            packet
        }
        TransmitBody::EchoReply { ident, seq, data } => {
            let message = IcmpMessage::EchoReply { ident, seq, data: &data };
            let (ip_len, icmp_len) = (ip.header_len(), message.emit_len());
            let mut bytes = vec![0; ip_len + icmp_len];
            ip.emit(icmp_len, &mut bytes);
            message.emit(ip.src, ip.dst, &mut bytes[ip_len..]);
            TxPacket::from_bytes(Bytes::from(bytes))
        }
        TransmitBody::IcmpError { message } => {
            let mut bytes = vec![0; ip.header_len()];
            ip.emit(message.len(), &mut bytes);
            bytes.extend_from_slice(&message);
            TxPacket::from_bytes(Bytes::from(bytes))
        }
        // The engine and this crate are released together; a body that is new there is added here.
        other => {
            debug_assert!(false, "no encoding for {other:?}");
            TxPacket::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use towpath_engine::Chunks;
    use towpath_wire::ip::{Ecn, HeaderChecksum};
    use towpath_wire::tcp::{ChecksumState, Flags, Options, Segment};
    use towpath_wire::{IpHeader, Protocol, SeqNumber};

    fn transmit(src: &str, dst: &str, seq: u32, payload: &[&'static [u8]]) -> Transmit {
        let mut chunks = Chunks::new();
        payload.iter().for_each(|piece| chunks.push(Bytes::from_static(piece)));
        let ip = IpHeader {
            src: src.parse::<IpAddr>().unwrap(),
            dst: dst.parse().unwrap(),
            protocol: Protocol::TCP,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        };
        let segment = Segment {
            src_port: 1,
            dst_port: 2,
            seq: SeqNumber(seq),
            ack: SeqNumber(0),
            flags: Flags::ACK,
            window: 1,
            urgent: 0,
            options: Options::default(),
        };
        Transmit { ip, body: TransmitBody::Tcp { segment, payload: chunks, gso_size: 0 } }
    }

    fn numbered(seq: u32) -> Transmit {
        transmit("192.0.2.1", "192.0.2.2", seq, &[])
    }

    fn parse(packet: &TxPacket) -> (Segment, Vec<u8>) {
        let bytes = packet.to_bytes();
        let parsed = IpHeader::parse(&bytes, HeaderChecksum::Verify).unwrap();
        let upper = &bytes[parsed.payload.clone()];
        let (src, dst) = (parsed.header.src, parsed.header.dst);
        let (segment, at) = Segment::parse(upper, src, dst, ChecksumState::Verify).unwrap();
        assert_eq!(bytes.len(), parsed.payload.end, "no byte behind the packet");
        (segment, upper[at..].to_vec())
    }

    // Shows: 9293 MUST-2
    #[test]
    fn a_packet_has_its_chunks_in_order_and_a_checksum_over_all_of_them() {
        for (src, dst) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let payloads: [&[&'static [u8]]; 3] = [&[], &[b"odd"], &[b"a", b"bcd", b"", b"efghi"]];
            for payload in payloads {
                let (segment, data) = parse(&encode(transmit(src, dst, 7, payload)));
                assert_eq!(segment.seq, SeqNumber(7));
                assert_eq!(data, payload.concat());
            }
        }
    }

    // Shows: RFC792 echo, RFC1122 s3.2.2.6
    #[test]
    fn an_echo_reply_carries_the_requests_data() {
        for (src, dst, protocol) in [
            ("192.0.2.1", "192.0.2.2", Protocol::ICMP),
            ("2001:db8::1", "2001:db8::2", Protocol::ICMPV6),
        ] {
            let mut echo = transmit(src, dst, 0, &[]);
            echo.ip.protocol = protocol;
            let data = Bytes::from(vec![5; 1400]);
            echo.body = TransmitBody::EchoReply { ident: 8, seq: 9, data: data.clone() };
            let bytes = encode(echo).to_bytes();
            let parsed = IpHeader::parse(&bytes, HeaderChecksum::Verify).unwrap();
            let header = parsed.header;
            let message = IcmpMessage::parse(&bytes[parsed.payload], header.src, header.dst);
            assert_eq!(message, Ok(IcmpMessage::EchoReply { ident: 8, seq: 9, data: &data }));
        }
    }

    #[test]
    fn a_full_fifo_asks_for_no_more_and_the_driver_is_woken_when_there_is_room() {
        let mut egress = Egress::new(2);
        assert!(egress.has_room());
        egress.push(numbered(0));
        egress.push(numbered(1));
        assert!(!egress.has_room());
        assert!(egress.is_starved());
        let load = egress.claim(Sender::Task).unwrap();
        assert!(egress.claim(Sender::Driver).is_none(), "one sender at a time");
        let next = egress.give_back(Load { transmits: Vec::new(), ..load }, Outcome::Sent);
        assert!(matches!(next, Next::Leave { wake_driver: true }));
        assert!(egress.has_room());
    }

    /// What a model run may do next: every hold of the lock is one step.
    mod model {
        use super::*;
        use std::collections::BTreeSet;

        /// A task that appends two packets, one a hold, and sends when it gets the turn; or the
        /// driver, which sends when it is woken.
        struct Actor {
            appends: u32,
            load: Option<Load>,
            tired: usize,
        }

        pub(super) struct World {
            egress: Egress,
            tasks: Vec<Actor>,
            driver: Actor,
            driver_is_woken: bool,
            device_is_full: bool,
            fills_left: usize,
            next: u32,
            sent: Vec<u32>,
        }

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Step {
            Append(usize),
            Send(usize),
            Drive,
            DriverSends,
            DeviceFills,
            DeviceDrains,
        }

        impl World {
            pub(super) fn new(tasks: usize) -> World {
                let actor = |appends| Actor { appends, load: None, tired: 0 };
                World {
                    egress: Egress::new(100),
                    tasks: (0..tasks).map(|_| actor(2)).collect(),
                    driver: actor(0),
                    driver_is_woken: false,
                    device_is_full: false,
                    fills_left: 1,
                    next: 0,
                    sent: Vec::new(),
                }
            }

            pub(super) fn steps(&self) -> Vec<Step> {
                let mut steps = Vec::new();
                for (index, task) in self.tasks.iter().enumerate() {
                    if task.load.is_some() {
                        steps.push(Step::Send(index));
                    } else if task.appends > 0 {
                        steps.push(Step::Append(index));
                    }
                }
                if self.driver.load.is_some() {
                    steps.push(Step::DriverSends);
                } else if self.driver_is_woken {
                    steps.push(Step::Drive);
                }
                if self.device_is_full {
                    steps.push(Step::DeviceDrains);
                } else if self.fills_left > 0 {
                    steps.push(Step::DeviceFills);
                }
                steps
            }

            pub(super) fn take(&mut self, step: Step) {
                match step {
                    Step::Append(index) => {
                        self.egress.push(numbered(self.next));
                        self.next += 1;
                        self.tasks[index].appends -= 1;
                        self.tasks[index].load = self.egress.claim(Sender::Task);
                    }
                    Step::Send(index) => {
                        let task = &mut self.tasks[index];
                        let load = task.load.take().unwrap();
                        task.tired += 1;
                        let tired = task.tired >= 2;
                        let (load, woken) = self.send(load, tired);
                        self.driver_is_woken |= woken;
                        if load.is_none() {
                            self.tasks[index].tired = 0;
                        }
                        self.tasks[index].load = load;
                    }
                    Step::Drive => {
                        self.driver_is_woken = false;
                        let may = !(self.egress.is_the_drivers() && self.device_is_full);
                        if may {
                            self.driver.load = self.egress.claim(Sender::Driver);
                        }
                    }
                    Step::DriverSends => {
                        let load = self.driver.load.take().unwrap();
                        let (load, _) = self.send(load, false);
                        // The driver looks again by itself after each turn.
                        self.driver_is_woken = true;
                        self.driver.load = load;
                    }
                    Step::DeviceFills => {
                        self.device_is_full = true;
                        self.fills_left -= 1;
                    }
                    Step::DeviceDrains => {
                        self.device_is_full = false;
                        // The device wakes who waits for it: the driver.
                        self.driver_is_woken = true;
                    }
                }
            }

            fn send(&mut self, mut load: Load, tired: bool) -> (Option<Load>, bool) {
                for transmit in load.transmits.drain(..) {
                    load.packets.push_back(encode(transmit));
                }
                let outcome = if self.device_is_full {
                    Outcome::Blocked
                } else {
                    while let Some(packet) = load.packets.pop_front() {
                        self.sent.push(parse(&packet).0.seq.0);
                    }
                    if tired { Outcome::Tired } else { Outcome::Sent }
                };
                match self.egress.give_back(load, outcome) {
                    Next::Send(load) => (Some(load), false),
                    Next::Leave { wake_driver } => (None, wake_driver),
                }
            }

            pub(super) fn check(&self, path: &[Step]) {
                let turns = self.tasks.iter().filter(|task| task.load.is_some()).count()
                    + usize::from(self.driver.load.is_some());
                assert!(turns <= 1, "two send at once after {path:?}");
                assert!(self.sent.is_sorted(), "{:?} is out of order after {path:?}", self.sent);
            }

            pub(super) fn check_end(&self, path: &[Step]) {
                let all: Vec<u32> = (0..self.next).collect();
                assert_eq!(self.sent, all, "after {path:?}");
                assert!(self.egress.is_idle(), "after {path:?}");
            }
        }

        /// Runs every order of steps, each from the beginning; returns how many there are and the
        /// kinds of step that occurred.
        pub(super) fn explore(tasks: usize) -> (usize, BTreeSet<String>) {
            let (mut schedules, mut kinds) = (0, BTreeSet::new());
            let mut prefixes: Vec<Vec<Step>> = vec![Vec::new()];
            while let Some(mut path) = prefixes.pop() {
                let mut world = World::new(tasks);
                for step in &path {
                    world.take(*step);
                }
                loop {
                    world.check(&path);
                    let steps = world.steps();
                    // A device that may still fill does not keep a run from being over.
                    let over = steps.iter().all(|step| *step == Step::DeviceFills);
                    let Some((first, others)) = steps.split_first() else { break };
                    if over {
                        break;
                    }
                    for other in others {
                        prefixes.push(path.iter().copied().chain([*other]).collect());
                    }
                    kinds.insert(format!("{first:?}"));
                    path.push(*first);
                    world.take(*first);
                }
                world.check_end(&path);
                schedules += 1;
            }
            (schedules, kinds)
        }
    }

    /// Between two holds of the lock anything may happen elsewhere, and nothing else can: so these
    /// are all the orders there are.
    #[test]
    fn in_every_order_of_two_writers_the_driver_and_the_device_all_is_sent_once_and_in_order() {
        let (schedules, kinds) = model::explore(2);
        assert!(schedules > 1000, "{schedules}");
        for kind in ["Append(1)", "Send(1)", "Drive", "DriverSends", "DeviceDrains"] {
            assert!(kinds.contains(kind), "{kind} in {kinds:?}");
        }
    }
}
