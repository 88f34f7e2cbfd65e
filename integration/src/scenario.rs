//! Plays one end-to-end test in a process and a network namespace of its own, on each runtime.
//!
//! A test calls [`Scenario::play`], which does different things in two processes. In libtest's own
//! it is the *director*: for each runtime it starts its own executable again, through the launcher
//! that enters a fresh namespace, asks it for this one test, and sets it a time limit. In that
//! child it is the *stage*: nothing else runs there, so descriptors and interfaces can be counted
//! exactly, and `/proc/self/net` shows this scenario alone.
//!
//! What a failed child printed, its capture included, is kept and named; after a success nothing
//! is left.

use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use towpath::{Config, TunConfig};
use towpath_netem::LinkConfig;

use crate::inventory::Inventory;
use crate::namespace::{self, Kind, Refusal};
use crate::runtime::Flavour;
use crate::scene::{self, Family, Scene};
use crate::skip::{Need, skip};

/// Tells the child which runtime to play on.
const VARIABLE: &str = "TOWPATH_SCENE";

/// What the child's last word is. libtest is content with a filter that matches no test; this is
/// how one that ran is told from none.
const CURTAIN: &str = "the scenario was played to its end";

/// Longer than any scenario but the large ones takes on a machine that many others use.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What the child may take beyond its scenario's limit before it is ended from outside.
const GRACE: Duration = Duration::from_secs(45);

/// TIME-WAIT of the stacks under test: short, because the end of it is waited for.
const TIME_WAIT: Duration = Duration::from_millis(300);

/// A test against the kernel, before it is played.
#[derive(Debug)]
#[must_use = "a scenario does nothing until it is played"]
pub struct Scenario {
    pub(crate) name: &'static str,
    launcher: PathBuf,
    folder: PathBuf,
    time_limit: Duration,
    needs: Vec<Need>,
    order: Order,
    pub(crate) config: Config,
    pub(crate) family: Family,
    pub(crate) link: Option<(LinkConfig, u64)>,
    pub(crate) capture: Capture,
}

/// How the two runtimes take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    OneAfterTheOther,
    SideBySide,
}

/// Whether packets are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Taken,
    Omitted,
}

impl Scenario {
    /// The test function `name`. `launcher` is the program `enter`; logs and captures go to
    /// `folder`.
    pub fn new(
        name: &'static str,
        launcher: impl Into<PathBuf>,
        folder: impl Into<PathBuf>,
    ) -> Scenario {
        Scenario {
            name,
            launcher: launcher.into(),
            folder: folder.into(),
            time_limit: TIME_LIMIT,
            needs: Vec::new(),
            order: Order::OneAfterTheOther,
            config: Config::default().time_wait(TIME_WAIT),
            family: Family::V4,
            link: None,
            capture: Capture::Taken,
        }
    }

    /// Changes the stack's numbers. TIME-WAIT is short already.
    pub fn config(mut self, change: impl FnOnce(Config) -> Config) -> Scenario {
        self.config = change(self.config);
        self
    }

    /// Uses the addresses of this family.
    pub fn family(mut self, family: Family) -> Scenario {
        self.family = family;
        self
    }

    /// Puts this link between the stack and the kernel, each way.
    pub fn link(mut self, link: LinkConfig, seed: u64) -> Scenario {
        self.link = Some((link, seed));
        self
    }

    /// Records nothing: for transfers that would fill the disk.
    pub fn without_capture(mut self) -> Scenario {
        self.capture = Capture::Omitted;
        self
    }

    /// How long the scenario may take; 60 seconds unless set.
    pub fn time_limit(mut self, time_limit: Duration) -> Scenario {
        self.time_limit = time_limit;
        self
    }

    /// Skips the scenario where these programs are not to be had.
    pub fn needs(mut self, needs: impl IntoIterator<Item = Need>) -> Scenario {
        self.needs.extend(needs);
        self
    }

    /// Plays on both runtimes at the same time: for what waits more than it works.
    pub fn side_by_side(mut self) -> Scenario {
        self.order = Order::SideBySide;
        self
    }

    /// Plays `body` with a stack over a TUN interface, on both runtimes, and checks afterwards that
    /// nothing is left: records, timers, bytes and tasks of the stack, the kernel's connections,
    /// descriptors and interfaces.
    ///
    /// # Panics
    ///
    /// When `body` does, a check fails, or it takes too long.
    pub fn play(self, body: impl AsyncFnOnce(&Scene)) {
        self.play_bare(async |stage| Scene::play(stage, body).await);
    }

    /// Plays `body`, which builds its own stacks, if any.
    ///
    /// # Panics
    ///
    /// As [`play`](Scenario::play).
    pub fn play_bare(self, body: impl AsyncFnOnce(&Stage)) {
        match std::env::var(VARIABLE) {
            Ok(word) => {
                let flavour = Flavour::from_word(&word).expect("a runtime's word");
                Stage { scenario: self, flavour }.play(body);
            }
            Err(_) => self.direct(),
        }
    }

    fn direct(self) {
        let kind = match namespace_kind(&self.launcher) {
            Ok(kind) => kind,
            Err(reason) => return skip(Need::Netns, self.name, reason),
        };
        for need in &self.needs {
            if let Err(reason) = need.find() {
                return skip(*need, self.name, &reason);
            }
        }
        let before = Inventory::take().expect("reading /proc");
        let direct = |flavour| {
            if let Err(error) = self.direct_one(*kind, flavour) {
                panic!("{} on {flavour}: {error}", self.name);
            }
        };
        match self.order {
            Order::OneAfterTheOther => Flavour::ALL.map(direct),
            Order::SideBySide => thread::scope(|scope| {
                let playing = Flavour::ALL.map(|flavour| scope.spawn(move || direct(flavour)));
                playing.map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
            }),
        };
        // Of the descriptors other tests have theirs.
        let after = Inventory::take().expect("reading /proc");
        assert_eq!(before.interfaces, after.interfaces, "interfaces outside the namespace");
        assert_eq!(before.namespace, after.namespace, "this process's namespace");
    }

    fn direct_one(&self, kind: Kind, flavour: Flavour) -> Result<(), String> {
        let log = self.path(flavour, "log");
        let capture = self.path(flavour, "pcapng");
        let child = self.start(kind, flavour, &log).map_err(|error| {
            format!("starting {} (log {}): {error}", self.launcher.display(), log.display())
        })?;
        let status = wait(child, self.time_limit + GRACE);
        let text = fs::read_to_string(&log).unwrap_or_else(|error| format!("no log: {error}"));
        let told = match status {
            Ok(Some(status)) if !status.success() => format!("ended with {status}"),
            Ok(Some(_)) if text.contains(CURTAIN) => {
                // What cannot be removed does not make the scenario a failure.
                let _ = fs::remove_file(log);
                let _ = fs::remove_file(capture);
                return Ok(());
            }
            Ok(Some(_)) => "the child played nothing: is the test's name right?".to_owned(),
            Ok(None) => format!("was ended after {:?}", self.time_limit + GRACE),
            Err(error) => format!("waiting for the child: {error}"),
        };
        let capture = match self.capture {
            Capture::Taken => format!("capture: {}", capture.display()),
            Capture::Omitted => "no capture".to_owned(),
        };
        Err(format!("{told}; {capture}; log: {}\n{text}", log.display()))
    }

    fn start(&self, kind: Kind, flavour: Flavour, log: &Path) -> io::Result<Child> {
        let log = File::create(log)?;
        Command::new(&self.launcher)
            .arg(kind.word())
            .arg(std::env::current_exe()?)
            .args(["--exact", self.name, "--nocapture", "--test-threads=1"])
            .env(VARIABLE, flavour.word())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    fn path(&self, flavour: Flavour, extension: &str) -> PathBuf {
        self.folder.join(format!("{}-{flavour}.{extension}", self.name))
    }
}

/// The child's status; `None` if it had to be ended.
fn wait(mut child: Child, time_limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + time_limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The kind of namespace that is to be had here, found out once.
fn namespace_kind(launcher: &Path) -> Result<&'static Kind, &'static str> {
    static KIND: OnceLock<Result<Kind, String>> = OnceLock::new();
    let kind = KIND.get_or_init(|| {
        namespace::choose(launcher.as_os_str(), "--try", |_| ()).map_err(|refusals| {
            refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ")
        })
    });
    kind.as_ref().map_err(String::as_str)
}

/// The name of [`tun_config`]'s interface.
pub(crate) const INTERFACE: &str = "towpath0";

/// The interface between the kernel and the stack under test, with the kernel's addresses.
pub fn tun_config() -> TunConfig {
    TunConfig::new(INTERFACE)
        .create()
        .address(Family::V4.kernel_ip(), Family::V4.prefix_length())
        .address(Family::V6.kernel_ip(), Family::V6.prefix_length())
}

/// The child's side: where a scenario is played.
#[derive(Debug)]
pub struct Stage {
    pub(crate) scenario: Scenario,
    flavour: Flavour,
}

impl Stage {
    /// The runtime that the scenario is played on.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Where the capture is written to.
    pub fn capture_path(&self) -> PathBuf {
        self.scenario.path(self.flavour, "pcapng")
    }

    /// A command that runs `program` and ends with this process at the latest.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(&self.scenario.launcher);
        command.arg("--stay").arg(program);
        command
    }

    fn play(self, body: impl AsyncFnOnce(&Stage)) {
        // What a first runtime opens for the whole process, it keeps.
        drop(self.flavour.build().expect("a runtime"));
        let before = Inventory::take().expect("reading /proc");
        let runtime = self.flavour.build().expect("a runtime");
        runtime.block_on(async {
            let played = tokio::time::timeout(self.scenario.time_limit, body(&self)).await;
            played.unwrap_or_else(|_| {
                panic!("not played to its end within {:?}", self.scenario.time_limit)
            });
            let tasks = || runtime.metrics().num_alive_tasks();
            scene::soon("no task is left", || tasks() == 0, || format!("{} left", tasks())).await;
        });
        drop(runtime);
        before.assert_restored();
        println!("{CURTAIN}");
    }
}
