//! A future that is dropped has done nothing, and leaves nothing behind.

mod common;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use common::pair;
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const WHILE: Duration = Duration::from_secs(3);

async fn cancelled<F: Future>(future: F) {
    assert!(timeout(WHILE, future).await.is_err(), "was to be cancelled while it waited");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connect_frees_its_record_and_its_port() {
    let pair = pair();
    // Nobody is there.
    cancelled(pair.client.connect("10.0.0.77:80")).await;
    let census = pair.client.census();
    assert_eq!((census.connections, census.ports, census.timers), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_is_never_polled_opens_nothing() {
    let pair = pair();
    drop(pair.client.connect("10.0.0.77:80"));
    assert_eq!(pair.client.counters().get("TcpActiveOpens"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_accept_loses_no_connection() {
    let pair = pair();
    let listener = pair.listen().await;
    cancelled(listener.accept()).await;
    let (client, accepted) =
        tokio::join!(pair.client.connect(listener.local_addr().unwrap()), listener.accept());
    assert_eq!(accepted.unwrap().1, client.unwrap().local_addr().unwrap());
}

#[tokio::test(start_paused = true)]
async fn dropped_reads_peeks_and_waits_lose_no_byte() {
    let (mut client, mut server) = pair().connect().await;
    let mut buffer = [0; 8];
    for _ in 0..3 {
        cancelled(server.readable()).await;
        cancelled(server.peek(&mut buffer)).await;
        cancelled(server.read(&mut buffer)).await;
    }
    client.write_all(b"bytes").await.unwrap();
    server.read_exact(&mut buffer[..5]).await.unwrap();
    assert_eq!(&buffer[..5], b"bytes");
}

#[tokio::test(start_paused = true)]
async fn dropped_writes_have_written_all_or_nothing() {
    let (mut client, mut server) = pair().connect().await;
    let mut written = 0_usize;
    // Until the window is full: that write is cancelled, and has written nothing.
    while let Ok(count) = timeout(WHILE, client.write(&[1; 5000])).await {
        written += count.unwrap();
    }
    client.shutdown().await.unwrap();
    let mut all = Vec::new();
    server.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), written);
}

#[tokio::test(start_paused = true)]
async fn every_task_that_waits_for_a_stream_is_woken() {
    let (mut client, server) = pair().connect().await;
    let server = std::sync::Arc::new(server);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move { server.readable().await })
        })
        .collect();
    // One of them goes away while it waits.
    tokio::time::sleep(WHILE).await;
    waiting[4].abort();
    client.write_all(b"!").await.unwrap();
    for (index, task) in waiting.into_iter().enumerate() {
        match task.await {
            Ok(result) => result.unwrap(),
            Err(error) => assert!(index == 4 && error.is_cancelled()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_tasks_accept_from_one_listener() {
    let pair = pair();
    let listener = std::sync::Arc::new(pair.listen().await);
    let to = listener.local_addr().unwrap();
    let accepting: Vec<_> = (0..20)
        .map(|_| {
            let listener = std::sync::Arc::clone(&listener);
            tokio::spawn(async move { listener.accept().await.unwrap().1 })
        })
        .collect();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(pair.client.connect(to).await.unwrap());
    }
    let mut peers = Vec::new();
    for task in accepting {
        peers.push(task.await.unwrap());
    }
    let mut locals: Vec<_> = clients.iter().map(|stream| stream.local_addr().unwrap()).collect();
    peers.sort();
    locals.sort();
    assert_eq!(peers, locals);
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_a_stream_of_connections() {
    let pair = pair();
    let listener = pair.listen().await;
    let to = listener.local_addr().unwrap();
    let mut incoming = pin!(listener.into_incoming());
    for _ in 0..3 {
        let (client, accepted) = tokio::join!(pair.client.connect(to), incoming.try_next());
        let accepted = accepted.unwrap().unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), client.unwrap().local_addr().unwrap());
    }
    pair.server.shutdown(Duration::ZERO).await;
    assert!(incoming.try_next().await.is_err());
    assert!(incoming.try_next().await.unwrap().is_none());
}
