//! A receiver whose window shuts, shrinks and opens again, on either side: nothing stalls, nothing
//! is lost, and the probes meanwhile are the kernel's in kind and are answered.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use socket2::SockRef;
use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath_integration::dissect::{Seen, flags};
use towpath_integration::network::Network;
use towpath_integration::payload::{Digest, Payload, Sum};
use towpath_integration::peer::{receive, send};
use towpath_integration::scene::{Connection, Opener, Scene, soon};
use towpath_integration::skip::Need;

const BYTES: u64 = 1 << 20;

/// A reader that takes some and rests, so that the window is shut again and again.
async fn read_in_steps(
    reader: &mut (impl tokio::io::AsyncRead + Unpin),
    rest: Duration,
) -> std::io::Result<Sum> {
    let mut digest = Digest::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        for _ in 0..4 {
            match reader.read(&mut buffer).await? {
                0 => return Ok(digest.finish()),
                count => digest.update(&buffer[..count]),
            }
        }
        tokio::time::sleep(rest).await;
    }
}

/// How often the right edge that `of`'s receiver offers moves left, and by how much at most. The
/// window in a segment after the handshake is scaled.
fn retreats(segments: &[Seen], of: &Connection, by_us: bool) -> (usize, u32) {
    let theirs = |seen: &&Seen| seen.belongs_to(of) && seen.is_ours_in(of) == by_us;
    let shift = segments.iter().filter(theirs).find_map(|seen| seen.window_scale).unwrap_or(0);
    let edges = segments
        .iter()
        .filter(theirs)
        .filter(|seen| !seen.has(flags::SYN) && !seen.has(flags::RST))
        .map(|seen| seen.ack.wrapping_add(seen.window << shift));
    let mut furthest: Option<u32> = None;
    let (mut count, mut most) = (0, 0);
    for edge in edges {
        let back = furthest.map_or(0, |furthest| furthest.wrapping_sub(edge) as i32);
        if back > 0 {
            count += 1;
            most = most.max(back as u32);
        } else {
            furthest = Some(edge);
        }
    }
    (count, most)
}

/// With `tcp_shrink_window` the kernel takes back what it has offered when its buffer is full.
async fn the_kernel_shrinks(scene: &Scene) {
    Network::here().sysctl("net.ipv4.tcp_shrink_window", "1");
    let mut shrunk = 0;
    for opener in Opener::ALL {
        let (mut ours, mut kernels) = scene.pair(opener).await;
        let connection = Connection::of(&ours);
        // What is there is more than the buffer that the kernel has from now on.
        SockRef::from(&kernels).set_recv_buffer_size(4096).expect("SO_RCVBUF");
        let payload = Payload::new(1, BYTES);
        let sending = async {
            send(&mut ours, payload.clone()).await?;
            ours.shutdown().await
        };
        let reading = read_in_steps(&mut kernels, Duration::from_millis(5));
        let ((), arrived) = futures::future::try_join(sending, reading).await.expect("a transfer");
        assert_eq!(arrived, payload.sum(), "{opener:?}");
        let (count, most) = retreats(&scene.segments(), &connection, false);
        println!("{opener:?}: the edge went back {count} times, by up to {most} bytes");
        shrunk += count;
    }
    assert!(shrunk > 0, "the kernel has not shrunk its window");
}

// Shows: I-15, 9293 MUST-34, 9293 SHLD-16
#[test]
fn our_writer_survives_a_window_that_the_kernel_takes_back() {
    scenario("our_writer_survives_a_window_that_the_kernel_takes_back")
        .needs([Need::Tshark])
        .play(the_kernel_shrinks);
}

/// Zero-window probes are empty, lie before the window, and are answered with the window as it is.
fn assert_probed(segments: &[Seen], of: &Connection, by_us: bool) -> usize {
    let mine: Vec<_> = segments.iter().filter(|seen| seen.belongs_to(of)).collect();
    let mut count = 0;
    for (index, probe) in mine.iter().enumerate() {
        let (before, after) = (&mine[..index], &mine[index + 1..]);
        let is_from_prober = |seen: &&&&Seen| seen.is_ours_in(of) == by_us;
        let told = before.iter().rev().find(|seen| !is_from_prober(&seen));
        let is_shut = told.is_some_and(|told| told.window == 0);
        if probe.is_ours_in(of) != by_us || !is_shut || probe.len > 0 || probe.flags != flags::ACK {
            continue;
        }
        let told = told.expect("a shut window");
        assert_eq!(probe.seq, told.ack.wrapping_sub(1), "{probe:?}");
        let answer = after.iter().find(|seen| !is_from_prober(&seen)).expect("an answer");
        assert_eq!((answer.ack, answer.len), (told.ack, 0), "{answer:?}");
        count += 1;
    }
    count
}

/// A kernel reader with a tiny buffer stops, then goes on; and ours.
// Shows: I-16, 9293 MUST-35, 9293 MUST-36
#[test]
fn a_shut_window_is_probed_alike_and_answered_on_both_sides() {
    scenario("a_shut_window_is_probed_alike_and_answered_on_both_sides")
        .needs([Need::Tshark])
        .config(|config| {
            config.tcp_rmem(towpath::BufferSizes { min: 4096, default: 16_384, max: 16_384 })
        })
        .side_by_side()
        .play(async |scene| {
            let tiny = Network::here().socket((scene.kernel_ip(), 0).into());
            tiny.set_recv_buffer_size(4096).expect("SO_RCVBUF");
            let listener = tiny.listen(1).expect("listening");
            let at = listener.local_addr().expect("an address");
            let ends = futures::future::try_join(scene.stack.connect(at), listener.accept()).await;
            let (mut our_writer, (mut kernel_reader, _)) = ends.expect("connecting");
            let (mut our_reader, mut kernel_writer) = scene.pair(Opener::Kernel).await;
            let (to_the_kernel, to_us) = (Connection::of(&our_writer), Connection::of(&our_reader));
            let payload = Payload::new(1, 300_000);
            let saying = async {
                send(&mut our_writer, payload.clone()).await?;
                our_writer.shutdown().await
            };
            let kernel_saying = async {
                send(&mut kernel_writer, payload.clone()).await?;
                kernel_writer.shutdown().await
            };
            let hearing = async {
                // Time for a few probes, at 0.2, 0.6, 1.4 and 3.0 s: nothing else happens.
                tokio::time::sleep(Duration::from_secs(3)).await;
                futures::future::try_join(receive(&mut kernel_reader), receive(&mut our_reader))
                    .await
            };
            let ends = futures::future::try_join3(saying, kernel_saying, hearing).await;
            let ((), (), (at_the_kernel, at_us)) = ends.expect("transfers");
            assert_eq!((at_the_kernel, at_us), (payload.clone().sum(), payload.sum()));
            let segments = scene.segments();
            let ours = assert_probed(&segments, &to_the_kernel, true);
            let kernels = assert_probed(&segments, &to_us, false);
            assert!(ours >= 2 && kernels >= 2, "probes: ours {ours}, the kernel's {kernels}");
            assert_eq!(retreats(&segments, &to_us, true), (0, 0), "our window never shrinks");
            drop((our_writer, our_reader, kernel_writer, kernel_reader));
            let census = || scene.stack.census();
            soon("all is closed", || census().connections == 0, || format!("{:?}", census())).await;
        });
}
