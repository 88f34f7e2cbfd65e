//! A congestion control of one's own: TCP Vegas (Brakmo and Peterson, 1995), which slows down when
//! a queue grows, before anything is lost.
//!
//! ```text
//! cargo run -p towpath --example own_congestion_control
//! ```

use std::error::Error;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath::congestion::{AckSample, CongestionEvent, Controller, CustomControl, Start};
use towpath::device::netem::LinkConfig;
use towpath::device::{Impaired, memory};
use towpath::net::TcpListener;
use towpath::{Config, CongestionControl, Stack};

/// With fewer segments in the queue the window grows, with more it shrinks.
const FEW: u64 = 2;
const MANY: u64 = 4;

/// What goes into [`Config::tcp_congestion_control`], or into a socket's options, as
/// [`CongestionControl::Custom`].
pub static VEGAS: CustomControl = CustomControl::new("vegas", &|start| Box::new(Vegas::new(start)));

#[derive(Debug)]
struct Vegas {
    window: u64,
    mss: u64,
    slow_start: bool,
    /// The least round-trip time of all, and of this round.
    base: Duration,
    least: Duration,
    /// The round is over when everything sent before this is acknowledged.
    round_end: u64,
}

impl Vegas {
    fn new(start: &Start) -> Vegas {
        Vegas {
            window: start.window(),
            mss: start.mss().into(),
            slow_start: true,
            base: start.min_rtt().unwrap_or(Duration::MAX),
            least: Duration::MAX,
            round_end: 0,
        }
    }

    /// How much of the window waits in a queue, in segments.
    fn queued(&self) -> u64 {
        let waiting = self.least.saturating_sub(self.base).as_nanos();
        let queued = u128::from(self.window) * waiting / self.least.as_nanos().max(1);
        u64::try_from(queued).unwrap_or(u64::MAX) / self.mss.max(1)
    }
}

impl Controller for Vegas {
    fn name(&self) -> &'static str {
        "vegas"
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn on_ack(&mut self, sample: &AckSample) {
        if let Some(rtt) = sample.rtt() {
            self.base = self.base.min(rtt);
            self.least = self.least.min(rtt);
        }
        if self.slow_start && sample.may_grow() {
            self.window += sample.acked_bytes();
        }
        if sample.acked_to() < self.round_end {
            return;
        }
        self.round_end = sample.sent_to();
        match self.queued() {
            0..FEW if self.slow_start => {}
            0..FEW if sample.may_grow() => self.window += self.mss,
            0..FEW | FEW..=MANY => self.slow_start = false,
            _ => {
                self.slow_start = false;
                self.window = self.window.saturating_sub(self.mss).max(2 * self.mss);
            }
        }
        self.least = Duration::MAX;
    }

    fn on_congestion(&mut self, _event: &CongestionEvent) {
        self.slow_start = false;
        self.window = (self.window / 2).max(2 * self.mss);
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    for control in [CongestionControl::Cubic, CongestionControl::Custom(&VEGAS)] {
        let (megabits, round_trip) = transfer(control).await?;
        println!("{:6} {megabits:4.1} Mbit/s, round trip {round_trip:?}", control.name());
    }
    Ok(())
}

/// Sends 10 MB over 10 Mbit/s and 20 ms each way, in virtual time: the rate and the round-trip time
/// at the end, in which the queue shows.
pub async fn transfer(control: CongestionControl) -> Result<(f64, Duration), Box<dyn Error>> {
    const BYTES: usize = 10_000_000;
    let (left, right) = memory::pair(1500);
    let link = LinkConfig::new()
        .delay(Duration::from_millis(20))
        .rate_bits_per_second(Some(10_000_000))
        .queue_packets(200);
    let far = Impaired::new(left, link.clone(), link, 1)?;
    let config = Config::default().tcp_congestion_control(control);
    let client = Stack::builder().device(far).address("10.0.0.1/24").config(config).build()?;
    let server = Stack::builder().device(right).address("10.0.0.2/24").build()?;

    let listener = server.spawn(async { TcpListener::bind("10.0.0.2:9").await }).await??;
    let reader = server.spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    });
    let mut stream = client.connect("10.0.0.2:9").await?;
    let start = tokio::time::Instant::now();
    stream.write_all(&vec![7; BYTES]).await?;
    stream.shutdown().await?;
    let rtt = stream.info()?.rtt.unwrap_or_default();
    // The end of the stream comes back when everything has arrived.
    stream.read_to_end(&mut Vec::new()).await?;
    let took = start.elapsed();
    assert_eq!(reader.await??, BYTES as u64);
    Ok((BYTES as f64 * 8.0 / 1e6 / took.as_secs_f64(), rtt))
}
