//! A stack's life: running, closing, ended; and what its end reports.
//!
//! Closing is what the end of a process is to the kernel: every connection is closed as its owner
//! would close it (FIN behind what was written, or a reset over unread data), and what was written
//! is still delivered, until a deadline. TIME-WAIT is not waited for. The engine does the closing;
//! the steps are taken by the driver.

use std::time::Duration;

use tokio::sync::oneshot;
use towpath_engine::{CloseReason, ConnectionId, Endpoint, Instant, SocketError, StateName};

/// Connections closed in one hold of the lock.
const CLOSES_PER_HOLD: usize = 64;

/// How long the last resets may wait for a device that takes no packets.
const FLUSH: Duration = Duration::from_millis(200);

/// What [`Stack::shutdown`](crate::Stack::shutdown) came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that still had bytes or a FIN to deliver, and delivered them: the peer
    /// acknowledged all.
    pub delivered: usize,
    /// Connections that had not delivered everything at the deadline, and were reset.
    pub reset: usize,
    /// Connections that ended otherwise before everything was delivered: the peer reset them, or
    /// did not answer.
    pub failed: usize,
}

/// Where a stack is in its life.
#[derive(Debug)]
pub(crate) enum Life {
    /// Everything goes.
    Running,
    /// Nothing new; what was written is being delivered.
    Closing(Closing),
    /// Nothing goes any more.
    Ended {
        /// Why.
        reason: CloseReason,
        /// Whether the engine may still be asked.
        soundness: Soundness,
    },
}

/// Whether the engine's state can be trusted at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Soundness {
    /// It can: what was received can still be read.
    Sound,
    /// The driver unwound, perhaps out of the engine.
    Doubtful,
}

/// The state of closing.
#[derive(Debug)]
pub(crate) struct Closing {
    deadline: Instant,
    step: Step,
    report: ShutdownReport,
    to: Vec<oneshot::Sender<ShutdownReport>>,
}

#[derive(Debug)]
enum Step {
    /// Listeners and connections are still to be closed.
    Begin,
    /// These connections are still to be closed.
    Close(Vec<ConnectionId>),
    /// All are closed; this many had something to deliver.
    Deliver {
        /// Connections that had something to deliver.
        expected: usize,
        /// The engine's count of failed ones at that time.
        failed: u64,
    },
    /// The deadline has come: these are still to be reset.
    Reset(Vec<ConnectionId>),
    /// The last resets are on their way out.
    Flush { until: Instant },
    /// What is left is being forgotten.
    Forget,
}

impl Life {
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Life::Ended { .. })
    }

    /// What calls on existing connections and listeners fail with, if the engine is not to answer.
    /// When the device is gone it is: bytes that arrived before are still there to be read.
    pub(crate) fn error_of_calls(&self) -> Option<SocketError> {
        match self {
            Life::Running => None,
            Life::Closing(_) => Some(SocketError::ConnectionAborted),
            Life::Ended { reason: CloseReason::DeviceGone, soundness: Soundness::Sound } => None,
            Life::Ended { reason, .. } => {
                Some(reason.error().unwrap_or(SocketError::ConnectionAborted))
            }
        }
    }

    /// Begins to close, or makes a closing that is under way at least as urgent. Gives `to` back
    /// if there is nothing left to report on; dropping it tells its receiver.
    pub(crate) fn begin_closing(
        &mut self,
        deadline: Instant,
        to: Option<oneshot::Sender<ShutdownReport>>,
    ) -> Option<oneshot::Sender<ShutdownReport>> {
        match self {
            Life::Running => {
                *self = Life::Closing(Closing {
                    deadline,
                    step: Step::Begin,
                    report: ShutdownReport::default(),
                    to: Vec::from_iter(to),
                });
                None
            }
            Life::Closing(closing) => {
                closing.deadline = closing.deadline.min(deadline);
                closing.to.extend(to);
                None
            }
            Life::Ended { .. } => to,
        }
    }
}

/// What the driver does after a step of closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Takes the next step soon: connections are still to be closed.
    More,
    /// Wakes all waiters: their calls fail from here on. Then as `More`.
    Begun,
    /// Waits for this instant or for acknowledgments.
    Wait(Instant),
    /// Ends.
    Over,
}

/// What the driver knows of the engine and the way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet {
    /// The engine has nothing more to say for now.
    pub(crate) is_idle: bool,
    /// That, and all its packets were handed to the device.
    pub(crate) is_flushed: bool,
}

impl Closing {
    /// Nobody asked for a report.
    pub(crate) fn nothing() -> Closing {
        Closing {
            deadline: Instant::FAR_FUTURE,
            step: Step::Begin,
            report: ShutdownReport::default(),
            to: Vec::new(),
        }
    }

    /// Takes one step.
    pub(crate) fn advance(
        &mut self,
        endpoint: &mut Endpoint,
        now: Instant,
        Quiet { is_idle, is_flushed }: Quiet,
    ) -> Progress {
        match &mut self.step {
            Step::Begin => {
                self.step = Step::Close(endpoint.connections().collect());
                Progress::Begun
            }
            Step::Close(left) => {
                for id in left.split_off(left.len().saturating_sub(CLOSES_PER_HOLD)) {
                    endpoint.close(now, id);
                }
                if left.is_empty() {
                    self.step = Step::Deliver {
                        expected: endpoint.undelivered(),
                        failed: endpoint.counters().orphans_failed,
                    };
                }
                Progress::More
            }
            Step::Deliver { .. } => {
                let left = endpoint.undelivered();
                if left > 0 && now < self.deadline {
                    return Progress::Wait(self.deadline);
                }
                self.count_resets(endpoint);
                let late = if left > 0 { endpoint.connections().collect() } else { Vec::new() };
                self.step = Step::Reset(late);
                Progress::More
            }
            Step::Reset(late) => {
                for id in late.split_off(late.len().saturating_sub(CLOSES_PER_HOLD)) {
                    // A peer that has everything is left in peace: a reset could make it discard
                    // what its application has not read yet.
                    if endpoint.state(id) != Some(StateName::FinWait2) {
                        endpoint.abort(now, id);
                    }
                }
                if late.is_empty() {
                    self.step = Step::Flush { until: now + FLUSH };
                }
                Progress::More
            }
            Step::Flush { until } => {
                if !is_flushed && now < *until {
                    return Progress::Wait(*until);
                }
                // Without a word to the peers.
                endpoint.abort_all(now, CloseReason::DeviceGone);
                self.step = Step::Forget;
                Progress::More
            }
            Step::Forget => {
                if is_idle {
                    Progress::Over
                } else {
                    Progress::More
                }
            }
        }
    }

    /// Fills the report: what has not delivered everything by now will be reset.
    pub(crate) fn count_resets(&mut self, endpoint: &Endpoint) {
        let left = endpoint.undelivered();
        match self.step {
            Step::Deliver { expected, failed } => {
                let failed = endpoint.counters().orphans_failed.saturating_sub(failed);
                self.report.failed = usize::try_from(failed).unwrap_or(usize::MAX);
                self.report.delivered =
                    expected.saturating_sub(left).saturating_sub(self.report.failed);
                self.report.reset = left;
            }
            Step::Begin | Step::Close(_) => self.report.reset = left,
            Step::Reset(_) | Step::Flush { .. } | Step::Forget => {}
        }
    }

    /// Sends the report to all who asked. After unlocking: this wakes them.
    pub(crate) fn send(self) {
        for to in self.to {
            // Who dropped the future of `shutdown` does not want it.
            let _ = to.send(self.report);
        }
    }
}
