//! Bytes go through whole and in order, by every way of reading and writing, on both kinds of
//! runtime.

mod common;

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Pair, digest, digest_of, distant_pair, impaired_pair, pair, payload};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use towpath::device::netem::LinkConfig;
use towpath::net::{TcpSocket, TcpStream};

const MIB: usize = 1024 * 1024;

async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let (mut read, mut write) = stream.split();
    let copied = tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await?;
    Ok(copied)
}

/// Sends `len` bytes to an echo service while reading them back.
async fn through_echo(pair: &Pair, len: usize) {
    let (client, server) = pair.connect().await;
    let echo = tokio::spawn(echo(server));
    let data = payload(len, 3);
    let expected = digest_of(&data);
    let (mut read, mut write) = client.into_split();
    let writer = tokio::spawn(async move {
        write.write_all(&data).await?;
        write.shutdown().await
    });
    assert_eq!(digest(&mut read).await.unwrap(), expected);
    writer.await.unwrap().unwrap();
    assert_eq!(echo.await.unwrap().unwrap(), len as u64);
}

#[tokio::test(start_paused = true)]
async fn an_echo_of_any_size_comes_back_whole() {
    let pair = pair();
    for len in [0, 1, 511, 512, 513, 1447, 1448, 1449, 65_535, 1_000_000] {
        through_echo(&pair, len).await;
    }
    pair.settle().await;
    let census = pair.client.census();
    assert_eq!((census.connections, census.send_bytes, census.receive_bytes), (0, 0, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn sixteen_mebibytes_each_way_on_a_current_thread_runtime() {
    through_echo(&pair(), 16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_mebibytes_each_way_on_four_workers() {
    through_echo(&pair(), 16 * MIB).await;
}

#[tokio::test(start_paused = true)]
async fn an_echo_over_a_link_with_a_delay_takes_round_trips_and_no_time_out() {
    let pair = distant_pair();
    let start = tokio::time::Instant::now();
    through_echo(&pair, MIB).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(40), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    for stack in [&pair.client, &pair.server] {
        assert_eq!(stack.counters().get("TcpRetransSegs"), Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_over_a_link_that_loses_reorders_and_corrupts_comes_back_whole() {
    let link = LinkConfig::new()
        .delay(Duration::from_millis(5))
        .loss(0.01)
        .reorder(0.05)
        .reorder_gap(Duration::from_millis(2))
        .duplicate(0.01)
        .corrupt(0.001);
    let pair = impaired_pair(link, 7);
    through_echo(&pair, 2 * MIB).await;
    assert!(pair.client.counters().get("TcpRetransSegs") > Some(0), "the link did lose packets");
}

#[tokio::test(start_paused = true)]
async fn an_echo_over_ipv6_comes_back_whole() {
    let pair = pair();
    let listener = pair.server.listen("[fd00::1]:7").await.unwrap();
    let (client, server) = pair.connect_to(&listener).await;
    assert!(client.peer_addr().unwrap().is_ipv6());
    let echo = tokio::spawn(echo(server));
    let (mut read, mut write) = client.into_split();
    let data = payload(100_000, 1);
    let (written, read) = tokio::join!(
        async {
            write.write_all(&data).await?;
            write.shutdown().await
        },
        digest(&mut read)
    );
    written.unwrap();
    assert_eq!(read.unwrap(), digest_of(&data));
    echo.await.unwrap().unwrap();
}

async fn many_tasks(tasks: u64) {
    let pair = pair();
    let listener = pair.listen().await;
    let to = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let clients: Vec<_> = (0..tasks)
        .map(|task| {
            let connect = pair.client.connect(to);
            tokio::spawn(async move {
                let mut stream = connect.await.unwrap();
                let data = payload(20_000, task);
                let mut back = vec![0; data.len()];
                let (mut read, mut write) = stream.split();
                let (written, read) =
                    tokio::join!(write.write_all(&data), read.read_exact(&mut back));
                written.unwrap();
                read.unwrap();
                assert!(data == back, "task {task} got other bytes back");
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    pair.settle().await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_tasks_of_one_thread_each_get_their_own_bytes() {
    many_tasks(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_of_four_workers_each_get_their_own_bytes() {
    many_tasks(200).await;
}

/// Many writers at once on one stack is the hardest for the order of packets on their way out: if
/// it were not kept, the receivers would see holes and ask for bytes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn packets_of_many_writers_reach_the_device_in_the_order_they_were_made() {
    let pair = pair();
    let listener = pair.listen().await;
    let mut tasks = Vec::new();
    for seed in 0..16 {
        let (mut client, mut server) = pair.connect_to(&listener).await;
        let data = payload(MIB, seed);
        let expected = digest_of(&data);
        tasks.push(tokio::spawn(async move {
            for piece in data.chunks(700) {
                client.write_all(piece).await.unwrap();
            }
            client.shutdown().await.unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            assert_eq!(digest(&mut server).await.unwrap(), expected);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let server = pair.server.counters();
    for (name, value) in server.iter().filter(|(_, value)| *value > 0) {
        println!("{name} {value}");
    }
    // A timestamp that goes back would show as the second.
    assert_eq!(server.get("TcpExtPAWSEstab"), Some(0));
    assert_eq!(server.get("TcpExtTCPOFOQueue"), Some(0), "segments arrived out of order");
}

#[tokio::test(start_paused = true)]
async fn what_is_peeked_is_still_there_to_be_read() {
    let pair = pair();
    let (mut client, mut server) = pair.connect().await;
    let mut buffer = [0; 16];
    let (peeked, written) = tokio::join!(server.peek(&mut buffer), client.write_all(b"look"));
    written.unwrap();
    assert_eq!((peeked.unwrap(), &buffer[..4]), (4, &b"look"[..]));
    assert_eq!(server.peek(&mut buffer[..2]).await.unwrap(), 2);
    let mut read = [0; 4];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"look");
    drop(client);
    assert_eq!(server.peek(&mut buffer).await.unwrap(), 0, "the end of the stream");
}

#[tokio::test(start_paused = true)]
async fn try_methods_never_wait_and_readiness_says_when_to_call_them() {
    let (client, server) = pair().connect().await;
    let would_block = |result: io::Result<usize>| {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    };
    let mut buffer = [0; 8];
    would_block(server.try_read(&mut buffer));
    would_block(server.try_io(Interest::READABLE, || panic!("not ready")));

    assert!(client.ready(Interest::WRITABLE).await.unwrap().is_writable());
    let bufs = [IoSlice::new(b"ab"), IoSlice::new(b"cdef")];
    assert_eq!(client.try_write_vectored(&bufs).unwrap(), 6);
    server.readable().await.unwrap();
    let (mut first, mut second) = ([0; 1], [0; 3]);
    let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(server.try_read_vectored(&mut bufs).unwrap(), 4);
    assert_eq!((&first, &second), (b"a", b"bcd"));
    let mut rest = Vec::with_capacity(10);
    assert_eq!(server.try_io(Interest::READABLE, || server.try_read_buf(&mut rest)).unwrap(), 2);
    assert_eq!(rest, b"ef");
    would_block(server.try_read(&mut buffer));

    // The room for writing is bounded: without a reader it ends.
    let chunk = [7; 4096];
    let mut written = 0;
    while let Ok(count) = client.try_write(&chunk) {
        written += count;
        assert!(written < 64 * MIB);
        tokio::task::yield_now().await;
    }
    would_block(client.try_write(&chunk));
    let drained = async {
        let mut read = 0;
        while read < written {
            server.readable().await.unwrap();
            read += server.try_read(&mut [0; 4096]).unwrap_or(0);
        }
    };
    drained.await;
    client.writable().await.unwrap();
    assert!(client.try_write(b"more").is_ok());
}

#[tokio::test(start_paused = true)]
async fn async_io_tries_again_until_the_closure_is_content() {
    let (mut client, server) = pair().connect().await;
    let mut seen = Vec::new();
    let gather = server.async_io(Interest::READABLE, || {
        server.try_read_buf(&mut seen)?;
        if seen.len() < 3 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(seen.len()) }
    });
    let write = async {
        for byte in [b"x", b"y", b"z"] {
            client.write_all(byte).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (gathered, ()) = tokio::join!(gather, write);
    assert_eq!(gathered.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn halves_are_reunited_only_with_their_own() {
    let pair = pair();
    let (one, _one_server) = pair.connect().await;
    let (other, _other_server) = pair.connect().await;
    let (one_read, one_write) = one.into_split();
    let (other_read, other_write) = other.into_split();
    let error = one_read.reunite(other_write).unwrap_err();
    let (one_read, other_write) = (error.0, error.1);
    let mut one = one_read.reunite(one_write).unwrap();
    one.write_all(b"still open").await.unwrap();
    assert!(other_write.reunite(other_read).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_always_ready_lets_other_tasks_run() {
    const READS: usize = 50_000;
    let (mut client, mut server) = pair().connect().await;
    client.write_all(&payload(READS, 9)).await.unwrap();
    // Until all of it has arrived.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&turns);
    let others = tokio::spawn(async move {
        loop {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    tokio::spawn(async move {
        let mut byte = [0; 1];
        for _ in 0..READS {
            server.read_exact(&mut byte).await.unwrap();
        }
    })
    .await
    .unwrap();
    others.abort();
    // Tokio's budget is 128 operations a turn.
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= READS / 128, "others had {turns} turns during {READS} reads");
}

#[tokio::test(start_paused = true)]
async fn options_are_read_back_as_they_were_set() {
    let pair = pair();
    let listener = pair.listen().await;
    let socket = pair.client.socket_v4();
    socket.set_nodelay(true).unwrap();
    socket.set_keepalive(true).unwrap();
    socket.set_send_buffer_size(50_000).unwrap();
    socket.bind("10.0.0.2:4000".parse().unwrap()).unwrap();
    assert_eq!(socket.send_buffer_size().unwrap(), 50_000);
    let error = socket.bind("10.0.0.2:4001".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "bound once");
    let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    assert_eq!(stream.local_addr().unwrap(), "10.0.0.2:4000".parse().unwrap());
    assert!(stream.nodelay().unwrap());
    assert_eq!(stream.keepalive().unwrap().unwrap().probes, 9);
    assert_eq!((stream.ttl().unwrap(), stream.linger().unwrap()), (64, None));
    stream.set_nodelay(false).unwrap();
    stream.set_ttl(9).unwrap();
    stream.set_zero_linger().unwrap();
    assert!(!stream.nodelay().unwrap());
    assert_eq!((stream.ttl().unwrap(), stream.linger().unwrap()), (9, Some(Duration::ZERO)));
    assert!(stream.set_ttl(0).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_bound_only_to_an_address_of_its_stack_and_family() {
    let pair = pair();
    let bind = |socket: TcpSocket, to: &str| {
        socket.bind(to.parse().unwrap()).map_err(|error| error.kind())
    };
    assert_eq!(bind(pair.client.socket_v4(), "10.0.0.2:0"), Ok(()));
    assert_eq!(bind(pair.client.socket_v4(), "0.0.0.0:0"), Ok(()));
    let not_available = Err(io::ErrorKind::AddrNotAvailable);
    assert_eq!(bind(pair.client.socket_v4(), "10.0.0.1:0"), not_available);
    assert_eq!(bind(pair.client.socket_v4(), "[fd00::2]:0"), Err(io::ErrorKind::InvalidInput));
    assert_eq!(bind(pair.client.socket_v6(), "[fd00::2]:0"), Ok(()));
}
