//! A stack's life: what keeps it, what ends it, and that nothing hangs when it ends.

mod common;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use common::{Pair, client_on, digest, digest_of, distant_pair, pair, payload, server_on};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath::device::{Capabilities, Device, Rx, RxBatch, Tx, TxBatch, memory};
use towpath::{CloseReason, Error, Stack};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn streams_and_listeners_keep_their_stack_alive() {
    let Pair { client, server } = pair();
    let listener = server.listen("10.0.0.1:80").await.unwrap();
    drop(server);
    tokio::time::sleep(MINUTE).await;
    let (client_stream, accepted) = tokio::join!(client.connect("10.0.0.1:80"), listener.accept());
    let (mut client_stream, mut server_stream) = (client_stream.unwrap(), accepted.unwrap().0);
    drop((client, listener));
    tokio::time::sleep(MINUTE).await;
    client_stream.write_all(b"still here").await.unwrap();
    let mut buffer = [0; 10];
    server_stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"still here");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_delivered_after_the_last_handle_is_gone() {
    let Pair { client, server } = distant_pair();
    let listener = server.listen("10.0.0.1:80").await.unwrap();
    let (stream, accepted) = tokio::join!(client.connect("10.0.0.1:80"), listener.accept());
    let (mut stream, mut accepted) = (stream.unwrap(), accepted.unwrap().0);
    let data = payload(40_000, 8);
    stream.write_all(&data).await.unwrap();
    drop((stream, client));
    assert_eq!(digest(&mut accepted).await.unwrap(), digest_of(&data));
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_nobody_holds_gives_up_after_its_exit_linger() {
    let (left, right) = memory::pair(1500);
    let gone = Arc::new(AtomicBool::new(false));
    let watched = Watched { device: right, gone: Arc::clone(&gone), fault: Fault::None };
    let client = client_on(watched).exit_linger(5 * SECOND).build().unwrap();
    let server = server_on(left).build().unwrap();
    let listener = server.listen("10.0.0.1:80").await.unwrap();
    let (stream, accepted) = tokio::join!(client.connect("10.0.0.1:80"), listener.accept());
    let (mut stream, mut reader) = (stream.unwrap(), accepted.unwrap().0);
    // More than the reader's window takes: the rest cannot be delivered while nobody reads.
    let write = stream.write_all(&[1; 1024 * 1024]);
    assert!(tokio::time::timeout(SECOND, write).await.is_err());
    let start = tokio::time::Instant::now();
    drop((stream, client));
    while !gone.load(Ordering::Relaxed) {
        tokio::time::sleep(SECOND / 10).await;
    }
    let took = start.elapsed();
    assert!(took >= 5 * SECOND && took < 6 * SECOND, "{took:?}");
    // What could not be delivered is not passed off as the whole.
    let mut all = Vec::new();
    assert!(reader.read_to_end(&mut all).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn shutdown_delivers_what_was_written_and_says_so() {
    let Pair { client, server } = distant_pair();
    let listener = server.listen("10.0.0.1:80").await.unwrap();
    let (stream, accepted) = tokio::join!(client.connect("10.0.0.1:80"), listener.accept());
    let (mut stream, mut accepted) = (stream.unwrap(), accepted.unwrap().0);
    let data = payload(40_000, 8);
    stream.write_all(&data).await.unwrap();
    let start = tokio::time::Instant::now();
    let (report, read) = tokio::join!(client.shutdown(MINUTE), digest(&mut accepted));
    assert_eq!((report.delivered, report.reset), (1, 0));
    assert_eq!(read.unwrap(), digest_of(&data));
    assert!(start.elapsed() < 5 * SECOND, "neither for TIME-WAIT nor for the peer's FIN");
    // From then on everything fails, and fails at once.
    assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    let error = client.connect("10.0.0.1:80").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    assert_eq!(client.shutdown(MINUTE).await.delivered, 0);
    let census = client.census();
    assert_eq!((census.connections, census.time_wait, census.timers, census.ports), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn shutdown_resets_at_the_deadline_what_is_not_delivered_and_says_so() {
    let pair = pair();
    let (mut stuck, mut reader) = pair.connect().await;
    let (mut done, mut other) = pair.connect().await;
    let write = stuck.write_all(&[1; 1024 * 1024]);
    assert!(tokio::time::timeout(SECOND, write).await.is_err(), "nobody reads");
    done.write_all(b"delivered").await.unwrap();
    let start = tokio::time::Instant::now();
    let report = pair.client.shutdown(10 * SECOND).await;
    let took = start.elapsed();
    assert_eq!((report.delivered, report.reset), (1, 1));
    assert!(took >= 10 * SECOND && took < 11 * SECOND, "{took:?}");
    let mut all = Vec::new();
    assert!(reader.read_to_end(&mut all).await.is_err(), "a part is not the whole");
    let mut buffer = [0; 9];
    other.read_exact(&mut buffer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_resets_during_the_shutdown_has_not_been_delivered_to() {
    let pair = distant_pair();
    let (mut writer, reader) = pair.connect().await;
    let write = writer.write_all(&[1; 1024 * 1024]);
    assert!(tokio::time::timeout(SECOND, write).await.is_err(), "nobody reads");
    drop(writer);
    let client = pair.client.clone();
    let shutdown = tokio::spawn(async move { client.shutdown(10 * SECOND).await });
    tokio::time::sleep(SECOND).await;
    drop(reader);
    let report = shutdown.await.unwrap();
    assert_eq!((report.delivered, report.reset, report.failed), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn shutdown_wakes_whoever_waits() {
    let pair = pair();
    let listener = pair.server.listen("10.0.0.1:80").await.unwrap();
    let (_client, mut stream) = pair.connect().await;
    let read = tokio::spawn(async move { stream.read(&mut [0]).await.unwrap_err().kind() });
    let accept = tokio::spawn(async move { listener.accept().await.unwrap_err().kind() });
    let connecting = pair.server.connect("10.0.0.77:80");
    let connect = tokio::spawn(async move { connecting.await.unwrap_err().kind() });
    tokio::time::sleep(SECOND).await;
    pair.server.shutdown(SECOND).await;
    for waiting in [read, accept, connect] {
        let kind = tokio::time::timeout(SECOND, waiting).await.unwrap().unwrap();
        assert_eq!(kind, ErrorKind::ConnectionAborted);
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_goes_on_when_nobody_waits_for_it() {
    let pair = pair();
    let (_client, mut server) = pair.connect().await;
    let reader = tokio::spawn(async move { server.read(&mut [0]).await });
    tokio::task::yield_now().await;
    drop(tokio::time::timeout(Duration::ZERO, pair.client.shutdown(SECOND)).await);
    let ended = tokio::time::timeout(SECOND, reader).await.unwrap().unwrap();
    assert_eq!(ended.unwrap(), 0);
}

/// A device that says when it is gone, and that fails as it is told to.
struct Watched<D> {
    device: D,
    gone: Arc<AtomicBool>,
    fault: Fault,
}

#[derive(Clone)]
enum Fault {
    None,
    /// The receiving half panics, or fails, once this is set.
    Panic(Arc<AtomicBool>),
    Error(Arc<AtomicBool>),
    /// The far end of the cable goes unnoticed, as it does on a real one.
    Unnoticed,
}

struct WatchedRx {
    rx: Box<dyn Rx>,
    gone: Arc<AtomicBool>,
    fault: Fault,
}

impl<D: Device> Device for Watched<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let Watched { device, gone, fault } = *self;
        let (rx, tx) = Box::new(device).split()?;
        Ok((Box::new(WatchedRx { rx, gone, fault }), tx))
    }

    fn is_virtual_time_safe(&self) -> bool {
        self.device.is_virtual_time_safe()
    }
}

impl Rx for WatchedRx {
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RxBatch) -> Poll<io::Result<()>> {
        match &self.fault {
            Fault::Panic(now) if now.load(Ordering::Relaxed) => panic!("on purpose"),
            Fault::Error(now) if now.load(Ordering::Relaxed) => {
                Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
            }
            Fault::Unnoticed => match self.rx.poll_recv(cx, batch) {
                Poll::Ready(Err(_)) => Poll::Pending,
                received => received,
            },
            _ => self.rx.poll_recv(cx, batch),
        }
    }
}

impl Drop for WatchedRx {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// Every kind of call waits while the client's device fails; all must return.
async fn nothing_hangs_when(fault: fn(Arc<AtomicBool>) -> Fault) {
    let (left, right) = memory::pair(1500);
    let now = Arc::new(AtomicBool::new(false));
    let fault = fault(Arc::clone(&now));
    let device = Watched { device: right, gone: Arc::default(), fault };
    let client = client_on(device).build().unwrap();
    let server = server_on(left).build().unwrap();
    let pair = Pair { client, server };
    let (stream, mut far) = pair.connect().await;
    let (mut read, mut write) = stream.into_split();
    let listener = pair.client.listen("10.0.0.2:80").await.unwrap();
    let connecting = pair.client.connect("10.0.0.77:80");
    let waiting = [
        tokio::spawn(async move { read.read(&mut [0]).await.map(drop) }),
        tokio::spawn(async move { write.write_all(&[0; 10 * 1024 * 1024]).await }),
        tokio::spawn(async move { listener.accept().await.map(drop) }),
        tokio::spawn(async move { connecting.await.map(drop) }),
    ];
    tokio::time::sleep(SECOND).await;
    let stack = pair.client.clone();
    let shutdown = tokio::spawn(async move { stack.shutdown(MINUTE).await });
    now.store(true, Ordering::Relaxed);
    // A packet for the client, so that its driver looks.
    far.write_all(b"wake").await.unwrap();
    for task in waiting {
        let result = tokio::time::timeout(MINUTE, task).await.expect("hangs").unwrap();
        let kind = result.unwrap_err().kind();
        let down = [ErrorKind::NetworkDown, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
        assert!(down.contains(&kind), "{kind:?}");
    }
    tokio::time::timeout(MINUTE, shutdown).await.expect("hangs").unwrap();
    let error = pair.client.connect("10.0.0.1:80").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    assert!(pair.client.listen("10.0.0.2:81").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_hangs_when_the_device_fails() {
    nothing_hangs_when(Fault::Error).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_hangs_when_the_driver_panics() {
    nothing_hangs_when(Fault::Panic).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_that_its_device_is_gone() {
    let (left, right) = memory::pair(1500);
    let pair = Pair {
        client: client_on(right).build().unwrap(),
        server: server_on(left).build().unwrap(),
    };
    let (client, _server) = pair.connect().await;
    pair.server.shutdown(SECOND).await;
    // The far end of the cable went with its stack.
    tokio::time::sleep(SECOND).await;
    assert_eq!(client.close_reason(), Some(CloseReason::DeviceGone));
}

#[test]
fn nothing_hangs_when_the_runtime_of_the_driver_ends() {
    let (left, _right) = memory::pair(1500);
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stack = driver.block_on(async { server_on(left).build().unwrap() });
    let user = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connecting = stack.connect("10.0.0.77:80");
    let waiting = user.spawn(async move { connecting.await.unwrap_err().kind() });
    user.block_on(async { tokio::task::yield_now().await });
    drop(driver);
    user.block_on(async {
        let kind = tokio::time::timeout(MINUTE, waiting).await.expect("hangs").unwrap();
        assert_eq!(kind, ErrorKind::NetworkDown);
        assert!(stack.listen("10.0.0.1:1").await.is_err());
    });
}

#[tokio::test]
async fn a_driver_on_its_own_thread_outlives_the_runtime_that_built_it() {
    let (left, right) = memory::pair(1500);
    let left = Watched { device: left, gone: Arc::default(), fault: Fault::Unnoticed };
    let server = server_on(left).build().unwrap();
    let listener = server.listen("10.0.0.1:80").await.unwrap();
    let data = payload(40_000, 5);
    let expected = digest_of(&data);
    let builder = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let client = client_on(right).own_thread().build().unwrap();
            let mut stream = client.connect("10.0.0.1:80").await.unwrap();
            stream.write_all(&data).await.unwrap();
        });
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(digest(&mut stream).await.unwrap(), expected);
    builder.join().unwrap();
}

/// A device of the real world, as far as a stack can tell.
struct Real(memory::MemoryDevice);

impl Device for Real {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        Box::new(self.0).split()
    }

    fn name(&self) -> &str {
        "real0"
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_over_a_real_device_is_refused() {
    let (left, _right) = memory::pair(1500);
    let error = server_on(Real(left)).build().unwrap_err();
    assert!(matches!(&error, Error::PausedClock { device } if device == "real0"), "{error}");
}

#[tokio::test]
async fn a_clock_that_is_paused_later_ends_a_stack_over_a_real_device() {
    let (left, _right) = memory::pair(1500);
    let stack = server_on(Real(left)).build().unwrap();
    let connecting = stack.connect("10.0.0.77:80");
    tokio::time::pause();
    let error = tokio::time::timeout(MINUTE, connecting).await.expect("hangs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

#[test]
fn a_builder_says_what_is_missing_or_wrong() {
    let device = || memory::pair(1500).0;
    assert!(matches!(server_on(device()).build(), Err(Error::NoRuntime)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    assert!(matches!(Stack::builder().build(), Err(Error::NoDevice)));
    let wrong = Stack::builder().device(device()).address("10.0.0.1");
    assert!(matches!(wrong.build(), Err(Error::InvalidAddress { text }) if text == "10.0.0.1"));
    let wrong = Stack::builder().device(device()).address("224.0.0.1/4");
    assert!(matches!(wrong.build(), Err(Error::Unusable { .. })));
    let small = Stack::builder().device(memory::pair(1000).0).address("fd00::1/64");
    assert!(matches!(small.build(), Err(Error::MtuTooSmall { needed: 1280, family: 6, .. })));
    let failing = Stack::builder().open_device(|| Err::<memory::MemoryDevice, _>("no such thing"));
    assert_eq!(failing.build().unwrap_err().to_string(), "no such thing");
    let failing = Stack::builder().open_device(|| Err::<memory::MemoryDevice, _>("nor there"));
    assert_eq!(failing.own_thread().build().unwrap_err().to_string(), "nor there");
}

/// A device whose sending half panics once.
struct PanicsOnce(memory::MemoryDevice);

struct PanicsOnceTx(Box<dyn Tx>, AtomicBool);

impl Device for PanicsOnce {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn split(self: Box<Self>) -> io::Result<(Box<dyn Rx>, Box<dyn Tx>)> {
        let (rx, tx) = Box::new(self.0).split()?;
        Ok((rx, Box::new(PanicsOnceTx(tx, AtomicBool::new(false)))))
    }

    fn is_virtual_time_safe(&self) -> bool {
        true
    }
}

impl Tx for PanicsOnceTx {
    fn try_send(&self, batch: &mut TxBatch) -> io::Result<usize> {
        assert!(self.1.swap(true, Ordering::Relaxed), "on purpose");
        self.0.try_send(batch)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_panics_in_a_writer_loses_a_packet_and_not_the_turn() {
    let (left, right) = memory::pair(1500);
    let client = client_on(PanicsOnce(right)).build().unwrap();
    let pair = Pair { client, server: server_on(left).build().unwrap() };
    let listener = pair.listen().await;
    let to = listener.local_addr().unwrap();
    // The SYN is lost in the panic; the connection's future is dropped by it.
    let connecting = pair.client.connect(to);
    assert!(tokio::spawn(connecting).await.unwrap_err().is_panic());
    let (client, mut server) = pair.connect_to(&listener).await;
    drop(client);
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
}
