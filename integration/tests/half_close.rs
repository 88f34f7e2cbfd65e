//! A direction that is shut down says end of stream; the other one stays open.
#![cfg(target_os = "linux")]

mod support;

use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{Peer, receive, send};
use towpath_integration::scene::Opener;

const BYTES: u64 = 1 << 20;

/// The first asks and shuts down; the second reads the whole question, and answers only then.
async fn ask_and_answer(mut first: impl Peer, mut second: impl Peer) {
    let question = Payload::new(1, BYTES);
    let answer = Payload::new(2, BYTES);
    let asking = async {
        send(&mut first, question.clone()).await.expect("asking");
        first.shutdown().await.expect("shutting down");
        receive(&mut first).await.expect("the answer")
    };
    let answering = async {
        let asked = receive(&mut second).await.expect("the question");
        send(&mut second, answer.clone()).await.expect("answering");
        second.shutdown().await.expect("shutting down");
        asked
    };
    let (answered, asked) = futures::future::join(asking, answering).await;
    assert_eq!(asked, question.sum(), "the question");
    assert_eq!(answered, answer.sum(), "the answer");
}

// Shows: RFC9293 s3.10.4
#[test]
fn the_kernel_answers_after_our_direction_has_ended() {
    scenario("the_kernel_answers_after_our_direction_has_ended").play(async |scene| {
        for opener in Opener::ALL {
            let (ours, kernels) = scene.pair(opener).await;
            ask_and_answer(ours, kernels).await;
        }
    });
}

// Shows: RFC9293 s3.10.7.4v
#[test]
fn we_answer_after_the_kernels_direction_has_ended() {
    scenario("we_answer_after_the_kernels_direction_has_ended").play(async |scene| {
        for opener in Opener::ALL {
            let (ours, kernels) = scene.pair(opener).await;
            ask_and_answer(kernels, ours).await;
        }
    });
}
