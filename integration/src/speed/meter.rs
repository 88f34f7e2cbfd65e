//! What a run costs, read from the system at two moments: processors (proc_stat(5), getrusage(2)),
//! interfaces and segments sent again.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Payload that one process's connections moved, all together.
#[derive(Debug, Default)]
pub struct Tally {
    bytes: AtomicU64,
}

impl Tally {
    /// More of it.
    pub fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How much so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// Busy time of all processors since the system began; a tick is ten milliseconds mostly.
    pub machine: Duration,
    /// Of this process.
    pub own: Duration,
    /// Packets that the interfaces of this namespace dropped instead of sending.
    pub tx_dropped: u64,
}

impl Moment {
    /// Now.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read or is not understood.
    pub fn now() -> anyhow::Result<Moment> {
        let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let ticks = busy_ticks(&stat).context("the first line of /proc/stat")?;
        let frequency = sysconf(SysconfVar::CLK_TCK)?.context("clock ticks per second")?;
        let interfaces = fs::read_to_string("/proc/thread-self/net/dev").context("net/dev")?;
        Ok(Moment {
            at: Instant::now(),
            machine: Duration::from_secs_f64(ticks as f64 / frequency as f64),
            own: own_cpu()?,
            tx_dropped: tx_dropped(&interfaces),
        })
    }
}

/// CPU of this process, user's and system's.
///
/// # Errors
///
/// None that getrusage(2) knows of.
pub fn own_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| {
        let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    Ok(micros(usage.user_time()) + micros(usage.system_time()))
}

/// Keeps this process, which has one thread yet, to this processor; `None` leaves it as it is.
///
/// # Errors
///
/// When there is no such processor, or the process may not use it.
pub fn pin(processor: Option<usize>) -> anyhow::Result<()> {
    let Some(processor) = processor else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(processor)?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("processor {processor} for this process alone"))
}

/// `cpu user nice system idle iowait irq softirq ...`: what others do at low priority (nice) and
/// waiting are not ours.
fn busy_ticks(stat: &str) -> Option<u64> {
    let mut words = stat.lines().next()?.split_whitespace();
    if words.next()? != "cpu" {
        return None;
    }
    let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    [0, 2, 5, 6].iter().map(|&index| ticks.get(index).copied()).sum()
}

/// Two lines of heading, then `name: 8 numbers of receiving, bytes packets errs drop ...`.
fn tx_dropped(interfaces: &str) -> u64 {
    let of_one = |line: &str| {
        let (_, numbers) = line.split_once(':')?;
        numbers.split_whitespace().nth(11)?.parse::<u64>().ok()
    };
    interfaces.lines().skip(2).filter_map(of_one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_user_system_irq_and_softirq() {
        assert_eq!(busy_ticks("cpu  1 20 300 4000 50000 600000 7000000 8 9 10\ncpu0 ..."), {
            Some(1 + 300 + 600_000 + 7_000_000)
        });
        for text in ["", "cpu0 1 2 3 4 5 6 7", "cpu 1 2 3"] {
            assert_eq!(busy_ticks(text), None, "{text}");
        }
    }

    #[test]
    fn packets_dropped_on_their_way_out_are_those_of_all_interfaces() {
        let text = "Inter-|   Receive\n face |bytes\n\
                    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                    towpath0:1 2 3 4 5 6 7 8 9 10 11 30 13 14 15 16\n";
        assert_eq!(tx_dropped(text), 42);
    }

    #[test]
    fn time_and_work_move_on() {
        let before = Moment::now().unwrap();
        let mut sum = 0_u64;
        while before.at.elapsed() < Duration::from_millis(60) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = Moment::now().unwrap();
        assert!(after.own > before.own && after.machine >= before.machine, "{before:?} {after:?}");
    }
}
