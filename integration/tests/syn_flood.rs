//! A flood of SYNs from addresses whose hosts never sent one: the kernel's clients get through,
//! and what the stack holds is bounded.
#![cfg(target_os = "linux")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::scenario;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream as KernelStream;
use towpath_integration::forged::Forger;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{echo, receive, send};
use towpath_integration::scene::soon;

const SYNS: u32 = 20_000;

/// In bursts with short rests, as a flood over a real link: for about three seconds.
const BURST: u32 = 100;
const REST: Duration = Duration::from_millis(15);

/// What a listener is told to keep of half-open connections. As on Linux one more is kept.
const BACKLOG: usize = 256;

const CLIENTS: u64 = 12;
const BYTES: u64 = 20_000;

/// Grows by what 20,000 records of the smallest kind would never stay under.
const GROWTH: u64 = 24 << 20;

/// Sends them all, from everywhere on the interface's network but from who is there.
fn flood(to: SocketAddrV4, over: &AtomicBool) {
    let forger = Forger::open().expect("a raw socket");
    // A linear congruential generator: the order matters to nobody.
    let mut random: u32 = 1;
    for number in 1..=SYNS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let host = 3 + (random >> 24) % 250;
        let port = 1024 + (random >> 8 & 0x7fff) as u16;
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, host as u8), port);
        // A queue that is full loses one, as a link would.
        if let Err(error) = forger.syn(from, to, random) {
            assert_eq!(error.raw_os_error(), Some(nix::libc::ENOBUFS), "{error}");
        }
        if number % BURST == 0 {
            std::thread::sleep(REST);
        }
    }
    over.store(true, Ordering::Release);
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("reading /proc");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

async fn client(at: SocketAddr, seed: u64) -> Duration {
    let begun = Instant::now();
    let mut stream = KernelStream::connect(at).await.expect("a client gets through");
    let took = begun.elapsed();
    let payload = Payload::new(seed, BYTES);
    send(&mut stream, payload.clone()).await.expect("sending");
    stream.shutdown().await.expect("shutting down");
    assert_eq!(receive(&mut stream).await.expect("receiving"), payload.sum());
    took
}

// Shows: I-12, RFC4987 s3
#[test]
fn kernel_clients_get_through_a_flood_of_forged_syns() {
    scenario("kernel_clients_get_through_a_flood_of_forged_syns")
        .without_capture()
        .config(|config| config.somaxconn(BACKLOG))
        .play(async |scene| {
            let (listener, at) = scene.our_listener().await;
            let SocketAddr::V4(to) = at else { panic!("IPv4: {at}") };
            let serving = tokio::spawn(async move {
                for _ in 0..CLIENTS {
                    let (mut stream, _) = listener.accept().await.expect("accepting");
                    tokio::spawn(async move { echo(&mut stream).await.expect("echoing") });
                }
                listener
            });
            let before = resident();
            let over = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&over);
            let flooding = std::thread::spawn(move || flood(to, &told));
            let census = || scene.stack.census();
            soon("the flood is there", || census().half_open > BACKLOG / 2, String::new).await;
            let mut took = Vec::new();
            let mut most = 0;
            for seed in 0..CLIENTS {
                took.push(client(at, seed).await);
                most = most.max(census().half_open);
            }
            println!("connecting took {took:?}; up to {most} half open");
            while !over.load(Ordering::Acquire) {
                most = most.max(census().half_open);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            flooding.join().expect("flooding");
            assert!(most <= BACKLOG + 1, "{most} half open");
            let sent = scene.stack.counters().get("TcpExtSyncookiesSent");
            assert!(sent > Some(u64::from(SYNS) / 2), "{sent:?} cookies for {SYNS} SYNs");
            let grown = resident().saturating_sub(before);
            assert!(grown < GROWTH, "{grown} bytes more");
            drop(serving.await.expect("no panic"));
        });
}
