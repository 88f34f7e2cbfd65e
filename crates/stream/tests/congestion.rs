//! Congestion control by name and of one's own, and pacing under tokio's timers.

mod common;
#[path = "../examples/own_congestion_control.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example has a main of its own")]
mod own;

use std::io::ErrorKind;
use std::time::Duration;

use common::{digest, distant_pair, impaired_pair, pair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use towpath::congestion::{AckSample, Controller, CustomControl};
use towpath::device::netem::LinkConfig;
use towpath::net::TcpStream;
use towpath::{CloseReason, CongestionControl};

/// Sends `bytes` and waits until the other side has all of them: bytes per second.
async fn rate_of(mut client: TcpStream, mut server: TcpStream, bytes: usize) -> f64 {
    let start = Instant::now();
    let reader = tokio::spawn(async move { digest(&mut server).await.map(|_| server) });
    client.write_all(&vec![1; bytes]).await.unwrap();
    client.shutdown().await.unwrap();
    reader.await.unwrap().unwrap();
    bytes as f64 / start.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_pacing_rate_is_reached_and_kept_under_timers_with_a_grain_of_a_millisecond() {
    for control in [CongestionControl::Cubic, CongestionControl::Bbr] {
        for rate in [200_000, 1_000_000, 5_000_000, 12_500_000, 50_000_000] {
            let pair = distant_pair();
            let (client, server) = pair.connect().await;
            client.set_congestion_control(control).unwrap();
            client.set_max_pacing_rate(Some(rate)).unwrap();
            assert_eq!(client.max_pacing_rate().unwrap(), Some(rate));
            let seen = rate_of(client, server, rate as usize * 4).await;
            let share = seen / rate as f64;
            // The first ten segments are not paced: 1.8 % of the smallest of these.
            assert!((0.95..=1.02).contains(&share), "{control:?} {rate}: {share:.3}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bbr_fills_a_path_under_timers_with_a_grain_of_a_millisecond() {
    for (control, least) in [(CongestionControl::Bbr, 0.9), (CongestionControl::Bbr3, 0.8)] {
        let link = LinkConfig::new()
            .delay(Duration::from_millis(20))
            .rate_bits_per_second(Some(100_000_000))
            .queue_packets(500_000 / 1500);
        let pair = impaired_pair(link, 5);
        let (client, server) = pair.connect().await;
        client.set_congestion_control(control).unwrap();
        let share = rate_of(client, server, 60_000_000).await * 8.0 / 100e6 * 1500.0 / 1448.0;
        println!("{}: {share:.3} of the path", control.name());
        assert!(share >= least, "{control:?}: {share:.3}");
    }
}

// Real time: other work on the machine may slow it, but nothing may speed it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pacing_rate_is_kept_in_real_time() {
    let pair = pair();
    let (client, server) = pair.connect().await;
    let rate = 12_500_000;
    client.set_max_pacing_rate(Some(rate)).unwrap();
    let share = rate_of(client, server, 12_500_000).await / rate as f64;
    println!("{share:.3} of the rate");
    assert!((0.5..=1.01).contains(&share), "{share:.3}");
}

#[tokio::test(start_paused = true)]
async fn a_congestion_control_of_ones_own_keeps_the_queue_short() {
    let (vegas, short) = own::transfer(CongestionControl::Custom(&own::VEGAS)).await.unwrap();
    let (cubic, long) = own::transfer(CongestionControl::Cubic).await.unwrap();
    assert!(vegas > 9.0 && cubic > 9.0, "{vegas:.1} and {cubic:.1} Mbit/s");
    assert!(short < Duration::from_millis(55), "{short:?}");
    assert!(long > Duration::from_millis(100), "{long:?}");
}

#[derive(Debug)]
struct Fragile(u32);

impl Controller for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }
    fn window(&self) -> u64 {
        10_000
    }
    fn on_ack(&mut self, _sample: &AckSample) {
        self.0 += 1;
        assert!(self.0 < 5, "the controller is tired");
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_panics_takes_its_own_connection_with_it_and_no_other() {
    let pair = pair();
    let (mut fragile, mut its_peer) = pair.connect().await;
    let (mut sound, mut other_peer) = pair.connect().await;
    static FRAGILE: CustomControl = CustomControl::new("fragile", &|_| Box::new(Fragile(0)));
    fragile.set_congestion_control(CongestionControl::Custom(&FRAGILE)).unwrap();
    let reader = tokio::spawn(async move { digest(&mut its_peer).await });
    let error = async {
        loop {
            if let Err(error) = fragile.write_all(&[1; 10_000]).await {
                return error;
            }
        }
    }
    .await;
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert_eq!(fragile.close_reason(), Some(CloseReason::CongestionControl));
    assert_eq!(reader.await.unwrap().err().unwrap().kind(), ErrorKind::ConnectionReset);
    sound.write_all(b"still here").await.unwrap();
    let mut heard = [0; 10];
    other_peer.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still here");
}
