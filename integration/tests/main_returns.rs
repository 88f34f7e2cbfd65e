//! A program that returns from `main` right after `write_all` has sent what it wrote.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use support::scenario;
use towpath_integration::payload::Payload;
use towpath_integration::peer::receive;
use towpath_integration::scene::Family;

/// The program ends when the last byte is acknowledged, long before its exit linger of 10 s.
const LATEST_EXIT: Duration = Duration::from_secs(5);

#[test]
fn what_was_written_arrives_although_main_returns() {
    scenario("what_was_written_arrives_although_main_returns").play_bare(async |stage| {
        // A byte, what fits a buffer, and what does not.
        for bytes in [1, 100_000, 8 << 20] {
            // The address comes with the program's interface.
            let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("listening");
            let port = listener.local_addr().expect("an address").port();
            let to = format!("{}:{port}", Family::V4.kernel_ip());
            let mut program = stage.command(env!("CARGO_BIN_EXE_write_and_return"));
            let mut child = program.args([to, bytes.to_string()]).spawn().expect("the program");
            let (mut stream, _) = listener.accept().await.expect("the program connects");
            let arrived = receive(&mut stream).await.expect("a clean end of stream");
            assert_eq!(arrived, Payload::new(1, bytes).sum());
            let begun = Instant::now();
            drop(stream);
            let status = loop {
                if let Some(status) = child.try_wait().expect("waiting") {
                    break status;
                }
                assert!(begun.elapsed() < LATEST_EXIT, "the program does not end");
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            assert!(status.success(), "{status}");
        }
    });
}
