//! How connections end: Linux's closing semantics, as an application sees them.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::{Pair, digest, digest_of, distant_pair, impaired_pair, pair, pair_with, payload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::ToSocketAddrs;
use towpath::device::netem::LinkConfig;
use towpath::net::TcpStream;
use towpath::{CloseReason, Config};

async fn read_error(stream: &mut TcpStream) -> ErrorKind {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap_err().kind()
}

// Shows: 9293 MUST-12
#[tokio::test(start_paused = true)]
async fn each_direction_is_closed_by_itself() {
    let pair = pair();
    let (mut client, mut server) = pair.connect().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    // The other direction is still open, for long.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let answer = payload(300_000, 2);
    let (written, read) = tokio::join!(
        async {
            server.write_all(&answer).await?;
            server.shutdown().await
        },
        digest(&mut client)
    );
    written.unwrap();
    assert_eq!(read.unwrap(), digest_of(&answer));
    let error = client.write(b"too late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    drop((client, server));
    pair.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_connect_to_a_port_without_a_listener_is_refused() {
    let pair = pair();
    let error = pair.client.connect("10.0.0.1:81").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    #[cfg(unix)]
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    assert_eq!(pair.client.census().connections, 0);
    assert_eq!(pair.client.census().ports, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_nobody_answers_times_out_and_never_before() {
    let config = Config::default().tcp_syn_retries(2);
    let pair = pair_with(config);
    let start = tokio::time::Instant::now();
    let error = pair.client.connect("10.0.0.77:80").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    // As Linux: what two retries would take had each been doubled, though the first time-outs are
    // of a second each: 1 + 2 + 4 s.
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(pair.client.census().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connect_to_where_no_route_leads_fails_at_once() {
    let error = pair().client.connect("192.0.2.1:80").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
}

async fn connect_error(pair: &Pair, to: impl ToSocketAddrs) -> ErrorKind {
    pair.client.connect(to).await.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn of_several_addresses_each_is_tried_and_the_last_error_told() {
    let pair = pair();
    let listener = pair.listen().await;
    let good = listener.local_addr().unwrap();
    let refused = "10.0.0.1:9".parse().unwrap();
    let unreachable = "192.0.2.1:9".parse().unwrap();
    assert_eq!(
        connect_error(&pair, &[refused, unreachable][..]).await,
        ErrorKind::NetworkUnreachable
    );
    assert_eq!(
        connect_error(&pair, &[unreachable, refused][..]).await,
        ErrorKind::ConnectionRefused
    );
    assert!(pair.client.connect(&[refused, unreachable, good][..]).await.is_ok());
    assert_eq!(connect_error(&pair, &[][..]).await, ErrorKind::InvalidInput);
}

// Shows: RFC9293 s3.10.4
#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_drop_is_delivered_and_then_the_end() {
    let pair = impaired_pair(LinkConfig::new().delay(Duration::from_millis(20)).loss(0.02), 3);
    let (mut client, mut server) = pair.connect().await;
    let data = payload(200_000, 5);
    let write_and_drop = async {
        client.write_all(&data).await.unwrap();
        drop(client);
    };
    let ((), read) = tokio::join!(write_and_drop, digest(&mut server));
    assert_eq!(read.unwrap(), digest_of(&data));
    drop(server);
    pair.settle().await;
}

// Shows: 9293 SHLD-3, RFC2525 2.17
#[tokio::test(start_paused = true)]
async fn a_drop_with_unread_data_resets_and_one_with_everything_read_does_not() {
    let pair = pair();
    for (read, reset) in [(false, true), (true, false)] {
        let (mut client, mut server) = pair.connect().await;
        client.write_all(b"data").await.unwrap();
        server.readable().await.unwrap();
        if read {
            server.read_exact(&mut [0; 4]).await.unwrap();
        }
        drop(server);
        if reset {
            assert_eq!(read_error(&mut client).await, ErrorKind::ConnectionReset);
            assert_eq!(client.close_reason(), Some(CloseReason::PeerReset));
        } else {
            assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn zero_linger_makes_a_drop_a_reset() {
    let pair = pair();
    let (client, mut server) = pair.connect().await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(read_error(&mut server).await, ErrorKind::ConnectionReset);
    drop(server);
    pair.settle().await;
    assert_eq!(pair.client.census().time_wait, 0, "a reset connection waits for nothing");
}

// Shows: 9293 MUST-12
#[tokio::test(start_paused = true)]
async fn a_reset_is_an_error_for_whoever_waits_and_never_the_end_of_the_stream() {
    let pair = pair();
    let (client, server) = pair.connect().await;
    server.set_zero_linger().unwrap();
    let (mut read, mut write) = client.into_split();
    let reader = tokio::spawn(async move { read.read(&mut [0; 1]).await });
    // Fills the window, so that the writer waits as well.
    let writer = tokio::spawn(async move {
        loop {
            write.write_all(&[0; 65_536]).await?;
        }
        #[allow(unreachable_code)]
        std::io::Result::Ok(())
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!reader.is_finished() && !writer.is_finished());
    drop(server);
    let results = [reader.await.unwrap().map(drop), writer.await.unwrap()];
    let kinds = results.map(|result| result.unwrap_err().kind());
    assert!(kinds.contains(&ErrorKind::ConnectionReset), "{kinds:?}");
    let allowed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.iter().all(|kind| allowed.contains(kind)), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_listener_resets_who_waits_and_refuses_who_comes() {
    let pair = pair();
    let listener = pair.listen().await;
    let to = listener.local_addr().unwrap();
    let mut waiting = pair.client.connect(to).await.unwrap();
    drop(listener);
    assert_eq!(read_error(&mut waiting).await, ErrorKind::ConnectionReset);
    assert_eq!(connect_error(&pair, to).await, ErrorKind::ConnectionRefused);
    // The address is free again at once.
    pair.server.listen(to).await.unwrap();
    drop(waiting);
    pair.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_has_one_listener() {
    let pair = pair();
    let listener = pair.listen().await;
    let error = pair.server.listen(listener.local_addr().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let error = pair.server.listen("10.0.0.9:80").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_owned_writing_half_sends_fin_and_forgetting_it_does_not() {
    let pair = pair();
    for (forget, end) in [(false, true), (true, false)] {
        let (client, mut server) = pair.connect().await;
        let (read, write) = client.into_split();
        if forget {
            write.forget();
        } else {
            drop(write);
        }
        let minute = Duration::from_secs(60);
        let ended = tokio::time::timeout(minute, server.read(&mut [0; 1])).await;
        assert_eq!(ended.is_ok(), end);
        drop(read);
    }
}

// Shows: H-79
#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_stops_the_writer_and_lets_it_go_on_later() {
    let pair = pair();
    let (mut client, mut server) = pair.connect().await;
    let data = payload(8 * 1024 * 1024, 4);
    let expected = digest_of(&data);
    let writer = tokio::spawn(async move {
        client.write_all(&data).await.unwrap();
        client.shutdown().await.unwrap();
    });
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(!writer.is_finished(), "8 MiB cannot be on their way");
    let held = pair.client.census().send_bytes + pair.server.census().receive_bytes;
    assert!(held < 8 * 1024 * 1024, "{held}");
    assert_eq!(digest(&mut server).await.unwrap(), expected);
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_after_an_exact_fill_is_woken() {
    let pair = distant_pair();
    let (client, mut server) = pair.connect().await;
    // Takes exactly what there is room for, and is not turned away.
    let written = client.try_write(&[1; 1 << 20]).unwrap();
    let read = tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while server.read(&mut buffer).await.unwrap() > 0 {}
    });
    // A time-out would prove nothing: it polls once more when it is over, and finds room.
    let began = tokio::time::Instant::now();
    tokio::time::timeout(Duration::from_secs(10), client.writable()).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "nobody said that there is room");
    assert!(written > 0 && client.try_write(&[1; 512]).unwrap() > 0);
    drop(client);
    read.await.unwrap();
}
