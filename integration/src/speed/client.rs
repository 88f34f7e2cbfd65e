//! The client: kernel sockets that block, a thread for each connection, in a process of its own.
//!
//! Says `begin` on standard output when the time that counts begins, and what it noticed, in one
//! line of JSON, when that time is over.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use socket2::SockRef;

use super::meter::{Tally, own_cpu};
use super::plan::{
    BUFFER_BYTES, CONGESTION_CONTROL, Exchanges, MESSAGE_BYTES, Told, WARM_UP, Workload,
};
use crate::kernel_counters;
use crate::payload::Payload;
use crate::wan::bench::statistics::quantile;

/// A connection may not stand still for longer: then the run has failed.
const PATIENCE: Duration = Duration::from_secs(10);

const WARMING: u8 = 0;
const COUNTING: u8 = 1;
const OVER: u8 = 2;

/// Makes the client's part of a run.
///
/// # Errors
///
/// When a connection cannot be opened, fails, or stands still.
pub fn run(
    server: SocketAddr,
    workload: Workload,
    flows: usize,
    duration: Duration,
) -> anyhow::Result<Told> {
    ensure!(flows > 0, "no flow, nothing to measure");
    let connect = |_| connect(server).with_context(|| format!("connecting to {server}"));
    let streams = (0..flows).map(connect).collect::<anyhow::Result<Vec<_>>>()?;
    let (phase, tally) = (AtomicU8::new(WARMING), Tally::default());
    let (phase, tally) = (&phase, &tally);
    thread::scope(|scope| {
        let start = |stream| scope.spawn(move || one_flow(stream, workload, phase, tally));
        let threads: Vec<_> = streams.into_iter().map(start).collect();
        thread::sleep(WARM_UP);
        let before = (tally.bytes(), own_cpu()?, kernel_counters::read("Tcp", "RetransSegs"));
        writeln!(io::stdout(), "begin")?;
        phase.store(COUNTING, Ordering::Relaxed);
        let start = Instant::now();
        thread::sleep(duration);
        phase.store(OVER, Ordering::Relaxed);
        let mut told = Told {
            seconds: start.elapsed().as_secs_f64(),
            bytes: tally.bytes() - before.0,
            cpu: (own_cpu()? - before.1).as_secs_f64(),
            retransmitted: kernel_counters::read("Tcp", "RetransSegs") - before.2,
            ..Told::default()
        };
        // The moment that the server's figures are taken at; the threads still end.
        writeln!(io::stdout(), "end")?;
        let mut round_trips = Vec::new();
        for thread in threads {
            let flow = thread.join().map_err(|_| anyhow::anyhow!("a flow panicked"))??;
            let waited = flow.longest_wait.as_secs_f64() * 1_000.0;
            told.longest_wait_ms = told.longest_wait_ms.max(waited);
            round_trips.extend(flow.round_trips);
        }
        if workload == Workload::Rr {
            ensure!(!round_trips.is_empty(), "not one round trip was made");
            told.exchanges = Some(exchanges(round_trips));
        }
        Ok(told)
    })
}

/// What a flow noticed in the time that counts.
#[derive(Debug, Default)]
struct Noticed {
    longest_wait: Duration,
    round_trips: Vec<Duration>,
}

impl Noticed {
    /// Notes how long a call took.
    fn note(&mut self, took: Duration, phase: &AtomicU8) {
        if phase.load(Ordering::Relaxed) == COUNTING {
            self.longest_wait = self.longest_wait.max(took);
        }
    }
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    SockRef::from(&stream).set_tcp_congestion(CONGESTION_CONTROL.as_bytes())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn one_flow(
    mut stream: TcpStream,
    workload: Workload,
    phase: &AtomicU8,
    tally: &Tally,
) -> anyhow::Result<Noticed> {
    let mut noticed = Noticed::default();
    let mut buffer: Vec<u8> = Payload::new(6, BUFFER_BYTES as u64).flatten().collect();
    while phase.load(Ordering::Relaxed) != OVER {
        let start = Instant::now();
        match workload {
            Workload::Upload => {
                tally.add(stream.write(&buffer).context("a flow stands still, or its write")?);
            }
            Workload::Download => {
                let count = stream.read(&mut buffer).context("a flow stands still, or its read")?;
                ensure!(count > 0, "the server ended a download");
                tally.add(count);
            }
            Workload::Rr => {
                let mut back = [0; MESSAGE_BYTES];
                let message = &buffer[..MESSAGE_BYTES];
                stream.write_all(message).context("a ping")?;
                stream.read_exact(&mut back).context("a pong")?;
                ensure!(back == message, "the pong is not the ping");
                tally.add(MESSAGE_BYTES);
                if phase.load(Ordering::Relaxed) == COUNTING {
                    noticed.round_trips.push(start.elapsed());
                }
            }
        }
        noticed.note(start.elapsed(), phase);
    }
    Ok(noticed)
}

fn exchanges(round_trips: Vec<Duration>) -> Exchanges {
    let micros: Vec<f64> = round_trips.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    let at = |part| quantile(micros.iter().copied(), part);
    Exchanges { count: micros.len() as u64, p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999) }
}
