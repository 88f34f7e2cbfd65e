//! A reset in mid-transfer is an error at the other end, never a clean end of stream.
#![cfg(target_os = "linux")]

mod support;

use std::io::ErrorKind;

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath::CloseReason;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, read_until_error, receive_exactly, send, write_until_error};
use towpath_integration::scene::Opener;

/// How far the transfer gets.
const BYTES: u64 = 300_000;

/// The reader resets a writer that has more to say. The writer is given back.
async fn reader_resets<W: Peer>(mut writer: W, mut reader: impl Peer, abort: Abort) -> W {
    let reading = async move {
        receive_exactly(&mut reader, BYTES).await.expect("the beginning");
        match abort {
            Abort::ZeroLinger => reader.set_zero_linger().expect("zero linger"),
            // More is under way or here already: dropping the reader discards it.
            Abort::UnreadData => {}
        }
        drop(reader);
    };
    let (error, ()) = futures::future::join(write_until_error(&mut writer), reading).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{abort:?}: {error}");
    writer
}

/// The writer resets a reader that waits for more. The reader is given back.
async fn writer_resets<R: Peer>(mut writer: impl Peer, mut reader: R) -> R {
    let payload = Payload::new(1, BYTES);
    let (arrived, heard) = tokio::sync::oneshot::channel();
    let writing = async move {
        send(&mut writer, payload).await.expect("writing");
        writer.flush().await.expect("flushing");
        heard.await.expect("the reader has read");
        writer.set_zero_linger().expect("zero linger");
        drop(writer);
    };
    let reading = async {
        let sum = receive_exactly(&mut reader, BYTES).await.expect("the beginning");
        assert_eq!(sum, Payload::new(1, BYTES).sum());
        arrived.send(()).expect("the writer waits");
        read_until_error(&mut reader).await
    };
    let (error, ()) = futures::future::join(reading, writing).await;
    let error = error.expect("a reset is no clean end of stream");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    reader
}

/// How the reader goes.
#[derive(Clone, Copy, Debug)]
enum Abort {
    ZeroLinger,
    UnreadData,
}

const ABORTS: [Abort; 2] = [Abort::ZeroLinger, Abort::UnreadData];

// Shows: 9293 MUST-12
#[test]
fn our_writer_learns_that_the_kernel_has_reset() {
    scenario("our_writer_learns_that_the_kernel_has_reset").play(async |scene| {
        for opener in Opener::ALL {
            for abort in ABORTS {
                let (ours, kernels) = scene.pair(opener).await;
                let ours = reader_resets(ours, kernels, abort).await;
                assert_eq!(ours.close_reason(), Some(CloseReason::PeerReset));
            }
        }
    });
}

// Shows: 9293 MUST-12, I-23
#[test]
fn our_reader_learns_that_the_kernel_has_reset() {
    scenario("our_reader_learns_that_the_kernel_has_reset").play(async |scene| {
        for opener in Opener::ALL {
            let (ours, kernels) = scene.pair(opener).await;
            let ours = writer_resets(kernels, ours).await;
            assert_eq!(ours.close_reason(), Some(CloseReason::PeerReset));
        }
    });
}

// Shows: 9293 SHLD-3
#[test]
fn the_kernels_writer_learns_that_we_have_reset() {
    scenario("the_kernels_writer_learns_that_we_have_reset").play(async |scene| {
        for opener in Opener::ALL {
            for abort in ABORTS {
                let (ours, kernels) = scene.pair(opener).await;
                reader_resets(kernels, ours, abort).await;
            }
        }
    });
}

// Shows: 9293 SHLD-3, RFC9293 s3.10.5
#[test]
fn the_kernels_reader_learns_that_we_have_reset() {
    scenario("the_kernels_reader_learns_that_we_have_reset").play(async |scene| {
        for opener in Opener::ALL {
            let (ours, kernels) = scene.pair(opener).await;
            writer_resets(ours, kernels).await;
        }
    });
}
