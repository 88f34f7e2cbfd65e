//! Whatever arrives, in whatever order with whatever calls: no panic, no endless poll, no packet
//! that breaks the link's MTU or the header's room for options, and nothing left behind.
//!
//! Segments are random, but most continue what the endpoint itself last said, so that they get past
//! the handshake and into every state. Each run prints its seed if it fails.

use std::time::Duration;

use bytes::Bytes;
use towpath_engine::wire::ip::Ecn;
use towpath_engine::wire::tcp::{Flags, Options, SackBlock, Segment, Timestamps};
use towpath_engine::wire::{IpHeader, Protocol, SeqNumber};
use towpath_engine::{
    Arrival, ArrivalSource, Chunks, Config, ConnectRequest, ConnectionId, Endpoint, Instant,
    ListenRequest, ListenerId, Output, Secrets, SendFlags, Transmit, TransmitBody,
};

const MTU: usize = 1500;
const SEEDS: u64 = 1000;
const STEPS: u32 = 400;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Mostly zero, else a little or far off in either direction.
    fn jitter(&mut self) -> u32 {
        match self.below(8) {
            0 => 1,
            1 => u32::MAX,
            2 => self.below(3000) as u32,
            3 => (self.below(3000) as u32).wrapping_neg(),
            4 => self.next() as u32,
            _ => 0,
        }
    }
}

/// What a peer would say next, had it heard the endpoint.
#[derive(Clone, Copy)]
struct Thread {
    endpoint_port: u16,
    peer_port: u16,
    seq: SeqNumber,
    ack: SeqNumber,
    timestamps: Option<Timestamps>,
}

struct Run {
    random: Random,
    endpoint: Endpoint,
    listener: ListenerId,
    held: Vec<ConnectionId>,
    threads: Vec<Thread>,
    now: Instant,
}

impl Run {
    fn new(seed: u64) -> Run {
        let config = Config::default().tcp_max_tw_buckets(8);
        let mut endpoint = Endpoint::new(config, Secrets::from_seed([seed as u8; 32]), MTU);
        endpoint.add_address([10, 0, 0, 1].into(), 24).unwrap();
        let local = "0.0.0.0:80".parse().unwrap();
        let listener = endpoint.listen(ListenRequest::new(local).backlog(3)).unwrap();
        let mut run = Run {
            random: Random(seed),
            endpoint,
            listener,
            held: Vec::new(),
            threads: Vec::new(),
            now: Instant::from_millis(1000),
        };
        if run.random.below(2) == 0 {
            let request = ConnectRequest::new("10.0.0.2:1000".parse().unwrap());
            run.held.push(run.endpoint.connect(run.now, request).unwrap());
        }
        run
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 => self.now += Duration::from_millis(self.random.below(3000)),
            1 => self.now += Duration::from_micros(self.random.below(3000)),
            2 => {
                if let Ok((id, _)) = self.endpoint.accept(self.now, self.listener) {
                    self.held.push(id);
                }
            }
            3..=5 => self.call(),
            _ => self.arrive(),
        }
        if self.random.below(3) > 0 {
            self.poll();
        }
    }

    fn call(&mut self) {
        let Some(&id) = self.held.get(self.random.below(4) as usize) else { return };
        let len = self.random.below(8000) as usize;
        let (now, endpoint) = (self.now, &mut self.endpoint);
        match self.random.below(9) {
            0..=2 => drop(endpoint.receive(now, id, len)),
            3 | 4 => {
                if let Ok(granted) = endpoint.reserve_send(id, len) {
                    let data = Bytes::from(vec![7; granted]);
                    let _ = endpoint.commit_send(now, id, granted, data, SendFlags::default());
                }
            }
            5 => drop(endpoint.send_small(now, id, &[1; 100], SendFlags::default())),
            6 => drop(endpoint.shutdown_send(now, id)),
            7 => endpoint.close(now, id),
            _ => endpoint.abort(now, id),
        }
    }

    fn arrive(&mut self) {
        let random = &mut self.random;
        let thread = match self.threads.len() as u64 {
            count if count > 0 && random.below(10) > 0 => {
                self.threads[random.below(count) as usize]
            }
            _ => Thread {
                endpoint_port: 80,
                peer_port: 1000 + random.below(3) as u16,
                seq: SeqNumber(random.next() as u32),
                ack: SeqNumber(random.next() as u32),
                timestamps: None,
            },
        };
        let flags = match random.below(8) {
            0 => Flags::from_bits_truncate(random.next() as u16),
            1 => Flags::SYN,
            2 => Flags::ACK | Flags::FIN,
            3 => Flags::RST,
            _ => Flags::ACK,
        };
        let options = options(random, flags, &thread);
        let window = match random.below(4) {
            0 => 0,
            1 => random.below(100) as u16,
            _ => random.next() as u16,
        };
        let segment = Segment {
            src_port: thread.peer_port,
            dst_port: thread.endpoint_port,
            seq: thread.seq + random.jitter(),
            ack: thread.ack + random.jitter(),
            flags,
            window,
            urgent: 0,
            options,
        };
        let ip = IpHeader {
            src: [10, 0, 0, 2].into(),
            dst: [10, 0, 0, 1].into(),
            protocol: Protocol::TCP,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            flow_label: 0,
        };
        let len = if random.below(2) == 0 { 0 } else { random.below(1500) as usize };
        let payload = Chunks::from(Bytes::from(vec![1; len]));
        let gso_size = if random.below(10) == 0 { 500 } else { 0 };
        let source = ArrivalSource::Device;
        self.endpoint.handle_segment(self.now, Arrival { ip, segment, payload, gso_size, source });
    }

    fn poll(&mut self) {
        for _ in 0..20_000 {
            match self.endpoint.poll(self.now) {
                Output::Transmit(transmit) => self.hear(&transmit),
                Output::Event(_) => {}
                Output::Wait(until, _) if until > self.now => return,
                Output::Wait(..) => {}
            }
        }
        panic!("poll does not come to an end");
    }

    fn hear(&mut self, transmit: &Transmit) {
        let TransmitBody::Tcp { segment, payload, .. } = &transmit.body else { return };
        assert!(segment.options.encoded_len() <= 40, "{transmit}");
        assert!(20 + segment.header_len() + payload.len() <= MTU, "{transmit}");
        if self.threads.len() > 8 {
            self.threads.remove(0);
        }
        self.threads.push(Thread {
            endpoint_port: segment.src_port,
            peer_port: segment.dst_port,
            seq: segment.ack,
            ack: segment.seq + segment.sequence_len(payload.len()),
            timestamps: segment.options.timestamps,
        });
    }

    /// Everybody lets go, and nobody answers any more: all records go by themselves.
    fn end(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.endpoint.close(self.now, id);
        }
        self.endpoint.close_listener(self.now, self.listener);
        for _ in 0..3000 {
            self.poll();
            let next = self.endpoint.next_deadline();
            if next == Instant::FAR_FUTURE {
                break;
            }
            self.now = self.now.max(next);
        }
        let census = self.endpoint.census();
        assert_eq!(census, Default::default());
    }
}

fn options(random: &mut Random, flags: Flags, thread: &Thread) -> Options {
    let mut options = Options::default();
    if flags.contains(Flags::SYN) {
        options.mss = (random.below(3) > 0).then(|| random.below(1600) as u16);
        options.window_scale = (random.below(3) > 0).then(|| random.below(16) as u8);
        options.sack_permitted = random.below(3) > 0;
        options.timestamps =
            (random.below(3) > 0).then(|| Timestamps { value: random.below(100) as u32, echo: 0 });
        return options;
    }
    if random.below(2) == 0 {
        let later = random.below(5) as u32;
        options.timestamps = thread
            .timestamps
            .map(|said| Timestamps { value: said.echo.wrapping_add(later), echo: said.value });
    }
    if random.below(3) == 0 {
        for _ in 0..random.below(4) {
            let left = thread.ack + random.jitter();
            let right = left + random.below(3000) as u32;
            options.sack.push(SackBlock { left, right });
        }
    }
    options
}

// Shows: H-16, H-29, H-31, H-33, H-34, H-62
#[test]
fn random_segments_and_calls_neither_panic_nor_leave_anything_behind() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            for _ in 0..STEPS {
                run.step();
            }
            run.end();
        });
        if let Err(panic) = result {
            eprintln!("the failing seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
