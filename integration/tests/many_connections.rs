//! Many connections at once, opened by either side.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use futures::future::{join, join_all, try_join};
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, echo, receive, send};

/// From each side. Together they are 200.
const CONNECTIONS: u64 = 100;

/// More than any buffer begins with, so that both directions move at once.
const BYTES: u64 = 192 * 1024;

/// Sends what no other client sends, and expects it back.
async fn client(stream: impl Peer, number: u64) {
    let payload = Payload::new(number, BYTES);
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async {
        send(&mut write, payload.clone()).await?;
        write.shutdown().await
    };
    let ((), arrived) = try_join(sending, receive(&mut read))
        .await
        .unwrap_or_else(|error| panic!("client {number}: {error}"));
    assert_eq!(arrived, payload.sum(), "client {number}");
}

async fn serve(mut stream: impl Peer) {
    echo(&mut stream).await.expect("echoing");
}

#[test]
fn two_hundred_connections_at_once_get_each_their_own_bytes() {
    scenario("two_hundred_connections_at_once_get_each_their_own_bytes")
        .without_capture()
        .time_limit(Duration::from_secs(60))
        .play(async |scene| {
            let (ours, our_address) = scene.our_listener().await;
            let (kernels, kernel_address) = scene.kernel_listener().await;
            let stack = &scene.stack;
            let mut tasks = Vec::new();
            for number in 0..CONNECTIONS {
                tasks.push(tokio::spawn(async move {
                    let stream = tokio::net::TcpStream::connect(our_address).await;
                    client(stream.expect("the kernel connects"), number).await;
                }));
                let connecting = stack.connect(kernel_address);
                tasks.push(tokio::spawn(async move {
                    let stream = connecting.await.expect("the stack connects");
                    client(stream, CONNECTIONS + number).await;
                }));
            }
            let accept_ours = async {
                let mut served = Vec::new();
                for _ in 0..CONNECTIONS {
                    let (stream, _) = ours.accept().await.expect("the stack accepts");
                    served.push(tokio::spawn(serve(stream)));
                }
                served
            };
            let accept_kernels = async {
                let mut served = Vec::new();
                for _ in 0..CONNECTIONS {
                    let (stream, _) = kernels.accept().await.expect("the kernel accepts");
                    served.push(tokio::spawn(serve(stream)));
                }
                served
            };
            let (more, yet_more) = join(accept_ours, accept_kernels).await;
            tasks.extend(more);
            tasks.extend(yet_more);
            for ended in join_all(tasks).await {
                ended.expect("no task panics");
            }
        });
}
