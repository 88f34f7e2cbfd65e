//! The main job, to be looked at: a client on the Linux kernel's TCP downloads from and uploads to
//! an axum service whose listener is Towpath's.
//!
//! ```text
//! cargo xtask demo                   # or: cargo run --release -p towpath-integration --example demo
//! RUST_LOG=debug cargo xtask demo -- --mebibytes 256 --client own
//! ```
//!
//! What a program of one's own takes from here is [`serve_over`], [`service`] and the lines of
//! [`over_tun`] that build the stack. The rest makes a private network namespace to show it in,
//! so that nothing has to be installed, and nothing is changed or left behind.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, StatusCode};
use axum::routing::{get, put};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use towpath::device::{Impaired, memory};
use towpath::net::TcpListener;
use towpath::{Stack, TunConfig, TunDevice};
use towpath_integration::http_client::HttpClient;
use towpath_integration::kernel_sockets::{KernelState, StatesSeen};
use towpath_integration::namespace::{self, Kind, Refusal};
use towpath_integration::payload::{Digest, Payload, Sum};
use towpath_integration::watched::{Notes, Watched};
use towpath_netem::LinkConfig;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Both sides' addresses: the kernel has the first, Towpath the second.
const KERNEL: [u8; 4] = [10, 77, 0, 1];
const TOWPATH: &str = "10.77.0.2:80";

/// What the random bytes depend on; the upload's differ from the download's.
const DOWNLOAD_SEED: u64 = 1;
const UPLOAD_SEED: u64 = 2;

/// What the losses of the memory link depend on.
const LINK_SEED: u64 = 3;

/// A kernel client downloads from and uploads to an axum service over Towpath.
#[derive(Debug, Parser)]
struct Arguments {
    /// How much is transferred each way.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65536))]
    mebibytes: u64,
    /// The client; without this curl where it is installed.
    #[arg(long, value_enum)]
    client: Option<HttpClient>,
    /// Does not try to make namespaces: shows the path over memory.
    #[arg(long)]
    no_namespace: bool,
    /// For the demo's own child processes: tries whether this kind of namespace is to be had.
    #[arg(long, value_enum, hide = true)]
    try_namespace: Option<Kind>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The demo narrates by itself; the library's own words come when they are asked for.
    let quiet = LevelFilter::OFF.into();
    let filter = EnvFilter::builder().with_default_directive(quiet).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if let Some(kind) = arguments.try_namespace {
        return namespace::answer(kind, tun_config());
    }
    match run(&arguments) {
        Ok(Verdict::Equal) => ExitCode::SUCCESS,
        Ok(Verdict::Different) => {
            eprintln!("demo: FAILED: what arrived is not what was sent");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::from(2)
        }
    }
}

/// Finds a place and runs there. Until the runtime is built there is one thread: the kernel gives
/// no user namespace to a process with several.
fn run(arguments: &Arguments) -> Result<Verdict, Box<dyn Error>> {
    let client = arguments.client.unwrap_or_else(HttpClient::find);
    println!("A client of the Linux kernel is served by axum over Towpath.\n");
    match find_namespace(arguments) {
        Ok(kind) => {
            namespace::enter(kind)?;
            println!("namespace  {kind}, gone when this program ends");
            tokio::runtime::Runtime::new()?.block_on(over_tun(arguments, client))
        }
        Err(reason) => {
            println!("namespace  none: the kernel's packets cannot be had here");
            let verdict =
                tokio::runtime::Runtime::new()?.block_on(over_memory(arguments, client))?;
            println!("NOT THE KERNEL PATH: {reason}");
            Ok(verdict)
        }
    }
}

fn find_namespace(arguments: &Arguments) -> Result<Kind, String> {
    if arguments.no_namespace {
        return Err("--no-namespace was given".to_owned());
    }
    let program =
        std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let told = |refusal: &Refusal| println!("namespace  {refusal}");
    namespace::choose(program.as_os_str(), "--try-namespace", told)
        .map_err(|refusals| refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; "))
}

/// The kernel's side is the interface itself, with an address that the kernel owns.
fn tun_config() -> TunConfig {
    TunConfig::new("towpath0").address(KERNEL.into(), 24)
}

/// kernel client -> TUN interface -> Towpath -> axum
async fn over_tun(arguments: &Arguments, client: HttpClient) -> Result<Verdict, Box<dyn Error>> {
    let device = TunDevice::open(tun_config())?;
    println!("device     TUN interface towpath0, the kernel's side is 10.77.0.1/24");
    let stack = Stack::builder().device(device).address("10.77.0.2/24").default_route().build()?;
    stack.set_default()?;
    println!("stack      Towpath with the address 10.77.0.2/24");

    let server = serve_over(TOWPATH).await?;
    let summary = transfer(arguments, client, server.address).await?;
    finish(stack, server, summary).await
}

/// kernel client -> forwarder on the kernel's loopback -> Towpath -> memory -> Towpath -> axum
async fn over_memory(arguments: &Arguments, client: HttpClient) -> Result<Verdict, Box<dyn Error>> {
    let (near, far) = memory::pair(1500);
    let lossy = LinkConfig::new().loss(0.01);
    let near = Impaired::new(near, lossy.clone(), lossy, LINK_SEED)?;
    println!("device     a link in memory that loses 1 % each way (seed {LINK_SEED})");
    let links = near.statistics_handle();
    let stack = Stack::builder().device(near).address("10.77.0.2/24").build()?;
    let clients = Stack::builder().device(far).address("10.77.0.1/24").build()?;
    stack.set_default()?;
    println!("stacks     Towpath with 10.77.0.2/24 serves, Towpath with 10.77.0.1/24 connects");

    let server = serve_over(TOWPATH).await?;
    let entrance = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let at = entrance.local_addr()?;
    println!("forwarder  the kernel's {at} to Towpath's {TOWPATH}");
    let forwarder = tokio::spawn(forward(entrance, clients.clone()));

    let summary = transfer(arguments, client, at).await?;
    println!("link       lost {} packets in and {} out", links.rx().lost, links.tx().lost);
    forwarder.abort();
    let verdict = finish(stack, server, summary).await;
    clients.shutdown(Duration::from_secs(5)).await;
    verdict
}

/// Copies between each connection to `entrance` and one of its own through `stack`.
async fn forward(entrance: tokio::net::TcpListener, stack: Stack) -> std::io::Result<()> {
    loop {
        let (mut near, _) = entrance.accept().await?;
        let mut far = stack.connect(TOWPATH).await?;
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
    }
}

/// A running service.
struct Server {
    address: SocketAddr,
    notes: Notes,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Serves with axum, as over `tokio::net`: what differs is the `use` of `TcpListener`. (Watching
/// the states is the demo's own; `axum::serve` takes the listener itself as well.)
async fn serve_over(address: &str) -> std::io::Result<Server> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("service    axum listens on http://{address}/");
    let listener = Watched::new(listener);
    let notes = listener.notes();
    let (stop, stopped) = oneshot::channel();
    let server = axum::serve(listener, service()).with_graceful_shutdown(async {
        // Also when the sender is dropped.
        let _ = stopped.await;
    });
    let task = tokio::spawn(server.into_future());
    Ok(Server { address, notes, stop, task })
}

fn service() -> Router {
    Router::new().route("/download/{bytes}", get(download)).route("/upload", put(upload))
}

/// As many random bytes as were asked for.
async fn download(Path(bytes): Path<u64>) -> ([(HeaderName, String); 1], Body) {
    let chunks = stream::iter(Payload::new(DOWNLOAD_SEED, bytes)).map(Ok::<_, std::io::Error>);
    ([(CONTENT_LENGTH, bytes.to_string())], Body::from_stream(chunks))
}

/// Answers with the number of bytes that came and their digest.
async fn upload(body: Body) -> Result<String, (StatusCode, String)> {
    let cut_short = |error: axum::Error| (StatusCode::BAD_REQUEST, error.to_string());
    let mut digest = Digest::default();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(cut_short)? {
        digest.update(&chunk);
    }
    Ok(digest.finish().to_string())
}

/// What came of the transfers.
struct Summary {
    download: Transfer,
    upload: Transfer,
    kernel: Vec<KernelState>,
}

/// One direction: what was sent, what arrived, how long it took.
struct Transfer {
    sent: Sum,
    arrived: Sum,
    time: Duration,
}

impl Transfer {
    fn verdict(&self) -> Verdict {
        if self.sent == self.arrived { Verdict::Equal } else { Verdict::Different }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transfer { sent, arrived, time } = self;
        let rate = arrived.bytes as f64 / 1e6 / time.as_secs_f64();
        let (sent, arrived_digest) = (sent.short(), arrived.short());
        write!(f, "{} bytes in {:.2} s ({rate:.0} MB/s), ", arrived.bytes, time.as_secs_f64())?;
        match self.verdict() {
            Verdict::Equal => write!(f, "digests equal (SHA-256 {sent})"),
            Verdict::Different => {
                write!(f, "DIGESTS DIFFER: sent {sent}, arrived {arrived_digest}")
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Equal,
    Different,
}

/// Has the client download and upload, on threads where it may block.
async fn transfer(
    arguments: &Arguments,
    client: HttpClient,
    server: SocketAddr,
) -> Result<Summary, Box<dyn Error>> {
    let bytes = arguments.mebibytes << 20;
    println!("client     {client}, on the kernel's TCP");
    let states = StatesSeen::watch(server);

    println!("download   {} MiB from the service ...", arguments.mebibytes);
    let begun = Instant::now();
    let path = format!("/download/{bytes}");
    let arrived = tokio::task::spawn_blocking(move || client.get(server, &path)).await??;
    let time = begun.elapsed();
    let sent = Payload::new(DOWNLOAD_SEED, bytes).sum();
    let download = Transfer { sent, arrived, time };

    println!("upload     {} MiB to the service ...", arguments.mebibytes);
    let begun = Instant::now();
    let payload = Payload::new(UPLOAD_SEED, bytes);
    let put = move || client.put(server, "/upload", payload);
    let arrived = tokio::task::spawn_blocking(put).await??.parse()?;
    let time = begun.elapsed();
    let upload = Transfer { sent: Payload::new(UPLOAD_SEED, bytes).sum(), arrived, time };

    Ok(Summary { download, upload, kernel: states.stop()? })
}

/// Ends the service and its stack, in this order, and says what happened.
async fn finish(stack: Stack, server: Server, summary: Summary) -> Result<Verdict, Box<dyn Error>> {
    let Summary { download, upload, kernel } = summary;
    // The service has ended by itself if the receiver is gone; the task then says why.
    let _ = server.stop.send(());
    server.task.await??;
    let report = stack.shutdown(Duration::from_secs(5)).await;
    let left = stack.census().connections;

    println!("\ndownload   {download}");
    println!("upload     {upload}");
    for (number, path) in (1..).zip(server.notes.paths()) {
        println!("states     Towpath, connection {number}: {}", joined(&path));
    }
    println!("states     kernel: {}", joined(&kernel));
    let counters = stack.counters();
    let count = |name| counters.get(name).unwrap_or(0);
    println!(
        "segments   {} in, {} out, {} of them again; {} connections left, {} reset",
        count("TcpInSegs"),
        count("TcpOutSegs") + count("TcpRetransSegs"),
        count("TcpRetransSegs"),
        left,
        report.reset,
    );
    let both = [download.verdict(), upload.verdict()];
    Ok(if both.contains(&Verdict::Different) { Verdict::Different } else { Verdict::Equal })
}

fn joined(states: &[impl fmt::Display]) -> String {
    states.iter().map(|state| state.to_string()).collect::<Vec<_>>().join(", ")
}
