//! Options that act while nobody calls: keep-alive, user time-out, linger. Under a paused clock.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::cut::pair_with_scissors;
use common::distant_pair;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use towpath::{CloseReason, KeepAlive};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

// Shows: 9293 MUST-24, 9293 MUST-27
#[tokio::test(start_paused = true)]
async fn keep_alive_gives_up_a_vanished_peer_and_keeps_one_that_answers() {
    let (pair, scissors) = pair_with_scissors();
    let (mut client, server) = pair.connect().await;
    let times = KeepAlive { time: secs(60), interval: secs(10), probes: 5 };
    client.set_keepalive(Some(times)).unwrap();
    assert_eq!(client.keepalive().unwrap(), Some(times));
    // An answer each minute; the last one is half a minute old.
    let idle = tokio::time::timeout(secs(3570), client.read(&mut [0; 1])).await;
    assert!(idle.is_err(), "an idle peer is no dead one: {idle:?}");
    let probes = |stack: &towpath::Stack| stack.counters().get("TcpExtTCPKeepAlive");
    assert!(probes(&pair.client).is_some_and(|count| (55..=60).contains(&count)));
    // The peer forgets the connection without a word.
    let began = Instant::now();
    scissors.cut();
    let error = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(client.close_reason(), Some(CloseReason::KeepAlive { probes: 5 }));
    // 60 s after the last answer the first probe, and five times 10 s.
    let took = began.elapsed();
    assert!(took > secs(79) && took < secs(82), "{took:?}");
    drop(server);
}

// Shows: 9293 MUST-21
#[tokio::test(start_paused = true)]
async fn a_user_timeout_ends_a_write_that_nobody_acknowledges() {
    let (pair, scissors) = pair_with_scissors();
    let (mut client, _server) = pair.connect().await;
    client.set_user_timeout(Some(secs(5))).unwrap();
    assert_eq!(client.user_timeout().unwrap(), Some(secs(5)));
    scissors.cut();
    let began = Instant::now();
    client.write_all(b"anybody?").await.unwrap();
    let error = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    // From the first time-out, a fifth of a second after the write.
    let took = began.elapsed();
    assert!(took > secs(5) && took < Duration::from_millis(5_500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn linger_zero_resets_and_any_other_linger_delivers() {
    for linger in [None, Some(secs(5)), Some(Duration::ZERO)] {
        let pair = distant_pair();
        let (mut client, mut server) = pair.connect().await;
        client.set_linger(linger).unwrap();
        assert_eq!(client.linger().unwrap(), linger);
        client.write_all(&[7; 10_000]).await.unwrap();
        let began = Instant::now();
        drop(client);
        assert_eq!(began.elapsed(), Duration::ZERO, "a drop never waits");
        let mut all = Vec::new();
        let end = server.read_to_end(&mut all).await.map_err(|error| error.kind());
        match linger {
            Some(Duration::ZERO) => assert_eq!(end, Err(ErrorKind::ConnectionReset)),
            _ => assert_eq!(end, Ok(10_000)),
        }
    }
}
