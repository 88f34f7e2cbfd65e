//! One run: the server in this process, in its namespace; the client in a process of its own, which
//! says when the time that counts begins and ends.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use towpath::Stack;

use super::meter::{self, Moment, Tally};
use super::plan::{CONGESTION_CONTROL, Outcome, Plan, Side, Told, Workload};
use super::responder;
use super::server;
use super::site::{self, Site};
use crate::kernel_counters;
use crate::runtime::Flavour;

/// How long the machine is watched before a run, to know what others do on it.
const BASELINE: Duration = Duration::from_millis(500);

/// Makes a run. The process has entered its namespace and has one thread.
///
/// # Errors
///
/// When the server or the client fails, or nothing was transferred.
pub fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let site = Site::build(plan);
    meter::pin(plan.pin.servers())?;
    let runtime = Flavour::CurrentThread.build()?;
    let tally = Arc::new(Tally::default());
    let outcome = runtime.block_on(async {
        let at = SocketAddr::new(site.server, 0);
        match plan.side {
            Side::Veth | Side::Loopback => {
                let listener = TcpListener::bind(at).await?;
                // Those that are accepted have it from the listener.
                SockRef::from(&listener)
                    .set_tcp_congestion(CONGESTION_CONTROL.as_bytes())
                    .with_context(|| format!("the kernel's {CONGESTION_CONTROL}"))?;
                let address = listener.local_addr()?;
                let serving = server::accept_all(listener, plan.workload, Arc::clone(&tally));
                measure(plan, &site, address, None, tally, serving).await
            }
            Side::TowpathPlain => {
                let stack = site::stack(plan.mtu)?;
                let listener = stack.listen(at).await?;
                let address = listener.local_addr()?;
                let serving = server::accept_all(listener, plan.workload, Arc::clone(&tally));
                measure(plan, &site, address, Some(stack), tally, serving).await
            }
            Side::ResponderPlain => {
                let tun = site::bare_interface(plan.mtu)?;
                // It answers at any port.
                let address = SocketAddr::new(site.server, 7);
                let (mtu, workload) = (usize::try_from(plan.mtu)?, plan.workload);
                let (ended, has_ended) = oneshot::channel();
                let counted = Arc::clone(&tally);
                thread::spawn(move || {
                    // Only fails when the run is over.
                    let _ = ended.send(responder::run(tun, mtu, workload, &counted));
                });
                let serving = async { has_ended.await.map_err(io::Error::other)? };
                measure(plan, &site, address, None, tally, serving).await
            }
        }
    })?;
    ensure!(outcome.bytes > 0, "nothing was transferred");
    Ok(outcome)
}

/// Watches the machine, then has the client work while `serving` goes on.
async fn measure(
    plan: &Plan,
    site: &Site,
    address: SocketAddr,
    stack: Option<Stack>,
    tally: Arc<Tally>,
    serving: impl Future<Output = io::Result<()>>,
) -> anyhow::Result<Outcome> {
    let start = Moment::now()?;
    tokio::time::sleep(BASELINE).await;
    let end = Moment::now()?;
    let idle = (end.machine - start.machine).as_secs_f64() / (end.at - start.at).as_secs_f64();

    let mut client = start_client(plan, site, address)?;
    let stdout = client.stdout.take().context("the client's output")?;
    let (done, is_done) = oneshot::channel();
    let (workload, side) = (plan.workload, plan.side);
    thread::spawn(move || {
        let watched = watch(stdout, client, side, stack.as_ref(), &tally);
        // Only fails when the server failed before, and that is told.
        let _ = done.send(watched.map(|watched| watched.outcome(workload, idle)));
    });
    tokio::select! {
        failed = serving => { failed.context("accepting")?; anyhow::bail!("the server ended") }
        outcome = is_done => outcome.context("watching the client")?,
    }
}

/// The client is started from the main thread, with whose end it ends.
fn start_client(plan: &Plan, site: &Site, address: SocketAddr) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("this program's path")?);
    command.args(["client", "--workload", plan.workload.word(), "--server", &address.to_string()]);
    command.args(["--flows", &plan.flows.to_string(), "--seconds", &plan.seconds.to_string()]);
    if let Some(network) = &site.client {
        command.args(["--namespace", &network.path()]);
    }
    // The processor is inherited otherwise.
    command.args(["--pin", plan.pin.word()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting the client")
}

/// The two moments between which is measured.
struct Watched {
    before: Seen,
    after: Seen,
    told: Told,
}

/// All that is read at one of them.
struct Seen {
    moment: Moment,
    bytes: u64,
    retransmitted: Option<u64>,
}

impl Seen {
    fn now(side: Side, stack: Option<&Stack>, tally: &Tally) -> anyhow::Result<Seen> {
        let retransmitted = match (stack, side) {
            (Some(stack), _) => {
                let counters = stack.counters();
                counters.iter().find(|(name, _)| *name == "TcpRetransSegs").map(|(_, it)| it)
            }
            (None, Side::Veth) => Some(kernel_counters::read("Tcp", "RetransSegs")),
            (None, _) => None,
        };
        Ok(Seen { moment: Moment::now()?, bytes: tally.bytes(), retransmitted })
    }
}

fn watch(
    stdout: ChildStdout,
    mut client: Child,
    side: Side,
    stack: Option<&Stack>,
    tally: &Tally,
) -> anyhow::Result<Watched> {
    let mut lines = BufReader::new(stdout).lines();
    let mut line = || lines.next().context("the client ended early")?.context("the client's words");
    ensure!(line()? == "begin", "the client did not begin");
    let before = Seen::now(side, stack, tally)?;
    ensure!(line()? == "end", "the client did not end");
    let after = Seen::now(side, stack, tally)?;
    let told = line()?;
    let told =
        serde_json::from_str(&told).with_context(|| format!("the client's report: {told}"))?;
    let status = client.wait()?;
    ensure!(status.success(), "the client ended with {status}");
    Ok(Watched { before, after, told })
}

impl Watched {
    fn outcome(self, workload: Workload, idle: f64) -> Outcome {
        let Watched { before, after, told } = self;
        let seconds = (after.moment.at - before.moment.at).as_secs_f64();
        let machine = (after.moment.machine - before.moment.machine).as_secs_f64();
        let (bytes, counted) = match workload {
            Workload::Upload => (after.bytes - before.bytes, seconds),
            Workload::Download | Workload::Rr => (told.bytes, told.seconds),
        };
        Outcome {
            seconds: counted,
            bytes,
            machine_cpu: machine - idle * seconds,
            idle_baseline: idle,
            server_cpu: (after.moment.own - before.moment.own).as_secs_f64(),
            server_retransmitted: after.retransmitted.zip(before.retransmitted).map(|(b, a)| b - a),
            tx_dropped: after.moment.tx_dropped - before.moment.tx_dropped,
            client: told,
        }
    }
}
