//! One run: its flows through a fresh lane, from opening the connections to the relay's report.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::sync::{Barrier, oneshot};
use tokio::time::timeout;
use towpath::Stack;

use super::ends::{self, End, Sending, Tcp};
use super::flow::{Arrived, PATIENCE, Span, read_for, read_whole, write_for, write_whole};
use super::lane::{Lane, Side, Way};
use super::relay::Report;

/// Where the first flow's receiver listens; the next one a port higher.
const FIRST_PORT: u16 = 5001;

/// How long a stack may take to end.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Which data flow: from the near side to the far one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Whose TCP sends.
    pub sender: Tcp,
    /// Whose TCP receives.
    pub receiver: Tcp,
    /// The sender's congestion control.
    pub congestion: String,
}

/// `SENDER:RECEIVER:CONGESTION_CONTROL`, as in `towpath:kernel:cubic`.
impl FromStr for Flow {
    type Err = String;

    fn from_str(text: &str) -> Result<Flow, String> {
        let words: Vec<_> = text.split(':').collect();
        let [sender, receiver, congestion] = words[..] else {
            return Err(format!("{text:?} is not SENDER:RECEIVER:CONGESTION_CONTROL"));
        };
        let tcp = |word| <Tcp as clap::ValueEnum>::from_str(word, false);
        let congestion = congestion.to_owned();
        Ok(Flow { sender: tcp(sender)?, receiver: tcp(receiver)?, congestion })
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.sender.word(), self.receiver.word(), self.congestion)
    }
}

/// What the flows of a run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Send as fast as they may for so long.
    Bulk(Duration),
    /// Send so many bytes on a connection of their own, and that again and again.
    Whole {
        /// How many bytes.
        bytes: u64,
        /// How many connections.
        times: u32,
    },
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The way.
    pub way: Way<'a>,
    /// What flows on it.
    pub flows: Vec<Flow>,
    /// What the flows do.
    pub task: Task,
    /// Settings of both the kernels and Towpath, by sysctl name.
    pub settings: Vec<(String, String)>,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What came of its flows, in the order of the plan.
    pub flows: Vec<FlowOutcome>,
    /// What the relay did.
    pub relay: Report,
    /// What a sending Towpath counted, by Linux's names; without those that are zero.
    pub sender_counters: BTreeMap<String, u64>,
    /// What a receiving Towpath counted.
    pub receiver_counters: BTreeMap<String, u64>,
}

/// What came of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowOutcome {
    /// Payload bytes that the receiving program had read within the time.
    pub bytes: u64,
    /// That, by the time: Mbit/s.
    pub goodput_mbps: f64,
    /// What the sender told at the end.
    pub sending: Sending,
    /// Payload bytes that were read in each 10 ms since the connection was open.
    pub series: Vec<u64>,
    /// From the call of `connect` to the last byte's arrival, of each connection; of [`Task::Whole`].
    pub completion_ms: Vec<f64>,
}

/// Runs it, in the namespace of the calling thread, in which there is nothing yet.
///
/// # Errors
///
/// When a step fails, a flow fails, or a byte arrives that was not sent.
///
/// # Panics
///
/// When the kernel refuses a setting or gives no namespace.
pub fn run(relay: &Path, plan: &Plan<'_>) -> anyhow::Result<Outcome> {
    let sysctls = plan.settings.iter().map(|(name, value)| (full_name(name), value.clone()));
    let sysctls: Vec<_> = sysctls.collect();
    let lane = Lane::build(relay, &plan.way, &sysctls)?;
    let (listening, listens) = oneshot::channel();
    let meetings: Vec<_> = plan.flows.iter().map(|_| Meeting::new(plan.task)).collect();
    let (lane_now, meetings) = (&lane, &meetings);
    let sides = std::thread::scope(|scope| {
        let far = scope.spawn(move || {
            let network = lane_now.network(Side::Far);
            network.within(move || block_on(receive(plan, meetings, listening)))
        });
        let near = scope.spawn(move || {
            let network = lane_now.network(Side::Near);
            network.within(move || block_on(send(plan, meetings, listens)))
        });
        (near.join(), far.join())
    });
    let (Ok(near), Ok(far)) = sides else { bail!("an end of the run panicked") };
    let relay = lane.finish()?;
    let ((sent, sender_counters), (received, receiver_counters)) = match (near, far) {
        (Ok(near), Ok(far)) => (near, far),
        // The one that failed first made the other fail.
        (near, far) => bail!("sending: {:?}; receiving: {:?}", near.err(), far.err()),
    };
    let flows = sent.into_iter().zip(received);
    let flows = flows.map(|(sent, received)| outcome(plan.task, sent, received)).collect();
    Ok(Outcome { flows, relay, sender_counters, receiver_counters })
}

fn full_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("net.ipv4.{name}") }
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// What both ends of a flow know of each other.
#[derive(Clone, Debug)]
struct Meeting {
    span: Span,
    /// Both are done: neither closes before, which the other would take for a failure.
    done: Arc<Barrier>,
}

impl Meeting {
    fn new(task: Task) -> Meeting {
        let duration = match task {
            Task::Bulk(duration) => duration,
            Task::Whole { .. } => PATIENCE,
        };
        Meeting { span: Span::new(duration), done: Arc::new(Barrier::new(2)) }
    }

    async fn wait_for_the_other(&self) -> anyhow::Result<()> {
        timeout(PATIENCE, self.done.wait()).await.context("the other end is not done")?;
        Ok(())
    }
}

/// What a sender brings home.
#[derive(Debug, Default)]
struct Sent {
    sending: Sending,
    started: Vec<Instant>,
}

/// What a receiver brings home.
#[derive(Debug, Default)]
struct Received {
    arrived: Arrived,
    complete: Vec<Instant>,
}

fn outcome(task: Task, sent: Sent, received: Received) -> FlowOutcome {
    let seconds = match task {
        Task::Bulk(duration) => duration.as_secs_f64(),
        Task::Whole { .. } => f64::INFINITY,
    };
    let pairs = sent.started.iter().zip(&received.complete);
    FlowOutcome {
        bytes: received.arrived.bytes,
        goodput_mbps: received.arrived.bytes as f64 * 8.0 / 1e6 / seconds,
        sending: sent.sending,
        series: received.arrived.series,
        completion_ms: pairs.map(|(from, to)| (*to - *from).as_secs_f64() * 1_000.0).collect(),
    }
}

fn needs_stack(plan: &Plan<'_>, of: impl Fn(&Flow) -> Tcp) -> bool {
    plan.flows.iter().any(|flow| of(flow) == Tcp::Towpath)
}

async fn send(
    plan: &Plan<'_>,
    meetings: &[Meeting],
    listens: oneshot::Receiver<()>,
) -> anyhow::Result<(Vec<Sent>, BTreeMap<String, u64>)> {
    let mut stack = None;
    if needs_stack(plan, |flow| flow.sender) {
        let mut settings = plan.settings.clone();
        // One stack, one controller: that of the first.
        let ours = plan.flows.iter().find(|flow| flow.sender == Tcp::Towpath);
        let congestion = ours.map(|flow| flow.congestion.clone()).unwrap_or_default();
        settings.push(("tcp_congestion_control".to_owned(), congestion));
        stack = Some(ends::stack(Side::Near, &settings)?);
    }
    listens.await.context("nobody listens")?;
    let flows = plan.flows.iter().zip(meetings).zip(FIRST_PORT..);
    let sent = try_join_all(flows.map(async |((flow, meeting), port)| {
        let to = SocketAddr::new(flow.receiver.ip(Side::Far), port);
        match (flow.sender, &stack) {
            (Tcp::Towpath, Some(ours)) => {
                let connect = async || Ok(ours.connect(to).await?);
                send_one(plan.task, meeting, Some(ours), connect).await
            }
            _ => {
                let connect = async || ends::kernel_connect(to, &flow.congestion).await;
                send_one(plan.task, meeting, None, connect).await
            }
        }
    }))
    .await;
    let counters = end(stack).await;
    Ok((sent?, counters))
}

async fn send_one<E: End>(
    task: Task,
    meeting: &Meeting,
    stack: Option<&Stack>,
    connect: impl AsyncFn() -> anyhow::Result<E>,
) -> anyhow::Result<Sent> {
    let mut sent = Sent::default();
    match task {
        Task::Bulk(_) => {
            let mut stream = timeout(PATIENCE, connect()).await.context("no connection")??;
            meeting.span.begin();
            write_for(&mut stream, &meeting.span).await.context("writing")?;
            sent.sending = stream.sending(stack)?;
            meeting.wait_for_the_other().await?;
            stream.set_zero_linger()?;
        }
        Task::Whole { bytes, times } => {
            for _ in 0..times {
                sent.started.push(Instant::now());
                let mut stream = timeout(PATIENCE, connect()).await.context("no connection")??;
                let writing = write_whole(&mut stream, bytes);
                timeout(PATIENCE, writing).await.context("writing takes too long")??;
            }
        }
    }
    Ok(sent)
}

async fn receive(
    plan: &Plan<'_>,
    meetings: &[Meeting],
    listening: oneshot::Sender<()>,
) -> anyhow::Result<(Vec<Received>, BTreeMap<String, u64>)> {
    let mut stack = None;
    if needs_stack(plan, |flow| flow.receiver) {
        stack = Some(ends::stack(Side::Far, &plan.settings)?);
    }
    let mut listeners = Vec::new();
    for (flow, port) in plan.flows.iter().zip(FIRST_PORT..) {
        let at = SocketAddr::new(flow.receiver.ip(Side::Far), port);
        listeners.push(match (flow.receiver, &stack) {
            (Tcp::Towpath, Some(stack)) => Listener::Towpath(stack.listen(at).await?),
            _ => Listener::Kernel(tokio::net::TcpListener::bind(at).await?),
        });
    }
    ensure!(listening.send(()).is_ok(), "nobody sends");
    let flows = listeners.iter().zip(meetings);
    let received = try_join_all(flows.map(async |(listener, meeting)| match listener {
        Listener::Kernel(listener) => {
            receive_one(plan.task, meeting, async || Ok(listener.accept().await?.0)).await
        }
        Listener::Towpath(listener) => {
            receive_one(plan.task, meeting, async || Ok(listener.accept().await?.0)).await
        }
    }))
    .await;
    drop(listeners);
    let counters = end(stack).await;
    Ok((received?, counters))
}

enum Listener {
    Kernel(tokio::net::TcpListener),
    Towpath(towpath::net::TcpListener),
}

async fn receive_one<E: End>(
    task: Task,
    meeting: &Meeting,
    accept: impl AsyncFn() -> anyhow::Result<E>,
) -> anyhow::Result<Received> {
    let mut received = Received::default();
    match task {
        Task::Bulk(_) => {
            let mut stream = timeout(PATIENCE, accept()).await.context("nobody connects")??;
            received.arrived = read_for(&mut stream, &meeting.span).await.context("reading")?;
            meeting.wait_for_the_other().await?;
            stream.set_zero_linger()?;
        }
        Task::Whole { bytes, times } => {
            for _ in 0..times {
                let mut stream = timeout(PATIENCE, accept()).await.context("nobody connects")??;
                let reading = read_whole(&mut stream, bytes);
                let there = timeout(PATIENCE, reading).await.context("reading takes too long")?;
                received.complete.push(there.context("reading")?);
            }
        }
    }
    Ok(received)
}

/// Ends a stack and returns what it counted.
async fn end(stack: Option<Stack>) -> BTreeMap<String, u64> {
    let Some(stack) = stack else { return BTreeMap::new() };
    let counters = stack.counters();
    let counted = counters.iter().filter(|(_, value)| *value > 0);
    let counted = counted.map(|(name, value)| (name.into_owned(), value)).collect();
    stack.shutdown(SHUTDOWN).await;
    counted
}
