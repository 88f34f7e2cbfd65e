//! The relay: what stands between the two namespaces of a WAN test, and makes a long way of them.
//!
//! It owns two TUN interfaces' packets and one [`Link`] each way. Loss, duplication and the rest are
//! the link's and go by the number of the packet, so that two runs with one seed lose the same
//! numbers. What is the relay's own is the clock: one thread, which sleeps in ppoll(2) until the next
//! packet arrives or is due, to the nanosecond; tokio's timers would round each up to a millisecond.
//!
//! A packet is never handed over before it is due. How much later it was is in the [`Report`]: the
//! figures of a run whose relay was late are not to be trusted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};
use towpath_netem::{Link, LinkConfig, LinkError, LinkStatistics};

/// The most packets that are taken from one side before those that are due have their turn.
const READ_BURST: usize = 16;

/// The longest packet that IP can say.
const LONGEST_PACKET: usize = 65_535;

/// How long before a packet is due the relay asks to be woken; the rest it waits awake. Being woken
/// takes 20 microseconds in a virtual machine, of which these are given back.
const WAKE_UP_NS: u64 = 15_000;

/// What a report's series counts in.
pub const BUCKET_MS: u64 = 10;

/// The most numbers of lost packets that are kept.
const LOST_NUMBERS: usize = 1 << 16;

/// What a relay does to its packets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From the near side to the far one: where the data go.
    pub out: LinkConfig,
    /// From the far side to the near one.
    pub back: LinkConfig,
    /// Decides what is lost and so on, differently each way.
    pub seed: u64,
}

/// What a relay did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// From the near side to the far one.
    pub out: Direction,
    /// From the far side to the near one.
    pub back: Direction,
    /// How late packets were handed over.
    pub lateness: Lateness,
    /// How long it ran.
    pub ran_ms: u64,
    /// How long it was on a processor.
    pub cpu_ms: u64,
}

/// What a relay did one way. Bytes are those of whole IP packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// Packets that came.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The longest of them: above the MTU if somebody left segmentation to us.
    pub longest_bytes: u64,
    /// Packets that the loss took: by chance, in bursts, by their number or as acknowledgments.
    pub lost: u64,
    /// Packets that an outage took.
    pub lost_in_outages: u64,
    /// Packets that found the queue full.
    pub overflowed: u64,
    /// Packets that the queue dropped by its own rules.
    pub managed: u64,
    /// Packets that the policer dropped.
    pub policed: u64,
    /// The bytes of all these.
    pub missing_bytes: u64,
    /// Packets that the queue marked.
    pub marked: u64,
    /// Copies that were made.
    pub duplicated: u64,
    /// Packets that were held back.
    pub reordered: u64,
    /// Packets of which a bit was turned over.
    pub corrupted: u64,
    /// Packets, copies included, that were handed over.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Packets that the kernel did not take when they were handed over: its interface was gone.
    pub refused: u64,
    /// Packets that were under way at the end.
    pub under_way: u64,
    /// Which packets the loss took, counted from 0, in order; the first ones if they are many.
    pub lost_numbers: Vec<u64>,
    /// Bytes handed over in each [`BUCKET_MS`] since the start.
    pub series: Vec<u64>,
}

impl Direction {
    /// Packets that did not arrive.
    pub fn missing(&self) -> u64 {
        self.lost + self.lost_in_outages + self.overflowed + self.managed + self.policed
    }

    /// The most bytes that were handed over in a second.
    pub fn fullest_second_bytes(&self) -> u64 {
        let second = (1_000 / BUCKET_MS) as usize;
        self.series.windows(second).map(|window| window.iter().sum()).max().unwrap_or_default()
    }

    /// Whether every packet that came is accounted for.
    pub fn adds_up(&self) -> bool {
        self.packets + self.duplicated == self.missing() + self.delivered + self.under_way
    }
}

/// How late packets were handed over, in nanoseconds behind the link's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// Half of them were no later.
    pub median_ns: u64,
    /// 99 of 100 were no later.
    pub p99_ns: u64,
    /// 999 of 1,000 were no later.
    pub p999_ns: u64,
    /// None was later.
    pub largest_ns: u64,
}

/// Counts latenesses by the microsecond.
struct Histogram {
    counts: Vec<u64>,
    largest_ns: u64,
}

/// Later than this is counted as this; the largest is exact all the same.
const HISTOGRAM_US: usize = 20_000;

impl Histogram {
    fn new() -> Histogram {
        Histogram { counts: vec![0; HISTOGRAM_US + 1], largest_ns: 0 }
    }

    fn add(&mut self, late_ns: u64) {
        let micros = usize::try_from(late_ns.div_ceil(1_000)).unwrap_or(HISTOGRAM_US);
        self.counts[micros.min(HISTOGRAM_US)] += 1;
        self.largest_ns = self.largest_ns.max(late_ns);
    }

    fn quantile_ns(&self, thousandths: u64) -> u64 {
        let wanted = (self.counts.iter().sum::<u64>() * thousandths).div_ceil(1_000);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        (found.unwrap_or_default() as u64 * 1_000).min(self.largest_ns)
    }

    fn summary(&self) -> Lateness {
        Lateness {
            median_ns: self.quantile_ns(500),
            p99_ns: self.quantile_ns(990),
            p999_ns: self.quantile_ns(999),
            largest_ns: self.largest_ns,
        }
    }
}

/// One way through the relay.
struct Way {
    link: Link<Vec<u8>>,
    told: Direction,
}

impl Way {
    fn new(config: LinkConfig, seed: u64) -> Result<Way, LinkError> {
        Ok(Way { link: Link::new(config, seed)?, told: Direction::default() })
    }

    fn offer(&mut self, now_ns: u64, packet: &[u8]) {
        let before = lost(&self.link.statistics());
        let bytes = packet.len() as u64;
        self.link.offer(now_ns, packet.to_vec());
        let is_lost = lost(&self.link.statistics()) > before;
        let told = &mut self.told;
        if is_lost && told.lost_numbers.len() < LOST_NUMBERS {
            told.lost_numbers.push(told.packets);
        }
        told.longest_bytes = told.longest_bytes.max(bytes);
        told.packets += 1;
        told.bytes += bytes;
    }

    fn deliver(&mut self, now_ns: u64, to: &File, histogram: &mut Histogram) {
        while let Some(due_ns) = self.link.next_delivery_ns() {
            let Some(packet) = self.link.deliver(now_ns) else { return };
            histogram.add(now_ns.saturating_sub(due_ns));
            let bytes = packet.len() as u64;
            self.told.delivered_bytes += bytes;
            let bucket = (now_ns / (BUCKET_MS * 1_000_000)) as usize;
            if bucket >= self.told.series.len() {
                self.told.series.resize(bucket + 1, 0);
            }
            self.told.series[bucket] += bytes;
            // An interface is down before it is gone. Nothing else keeps it from taking a packet.
            if (&mut &*to).write(&packet).is_err() {
                self.told.refused += 1;
            }
        }
    }

    fn finish(self) -> Direction {
        let statistics = self.link.statistics();
        Direction {
            lost: lost(&statistics),
            lost_in_outages: statistics.lost_in_outages,
            overflowed: statistics.overflowed,
            managed: statistics.managed,
            policed: statistics.policed,
            missing_bytes: statistics.dropped_bytes,
            marked: statistics.marked,
            duplicated: statistics.duplicated,
            reordered: statistics.reordered,
            corrupted: statistics.corrupted,
            delivered: statistics.delivered,
            under_way: self.link.in_flight() as u64,
            ..self.told
        }
    }
}

/// Packets that the loss took, whatever its pattern.
fn lost(statistics: &LinkStatistics) -> u64 {
    statistics.lost + statistics.lost_by_number + statistics.lost_in_bursts + statistics.lost_acks
}

/// Carries packets between two TUN descriptors that do not block until `stop` is readable or at its
/// end.
///
/// # Errors
///
/// When a link makes no sense, or ppoll(2) or an interface fails.
pub fn run(near: &File, far: &File, stop: &impl AsFd, settings: Settings) -> io::Result<Report> {
    let way = |config, seed| Way::new(config, seed).map_err(io::Error::other);
    let mut out = way(settings.out, settings.seed)?;
    let mut back = way(settings.back, !settings.seed)?;
    let mut histogram = Histogram::new();
    let mut buffer = vec![0; LONGEST_PACKET];
    let start = Instant::now();
    let now_ns = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    loop {
        out.deliver(now_ns(), far, &mut histogram);
        back.deliver(now_ns(), near, &mut histogram);
        let due = [&out, &back].into_iter().filter_map(|way| way.link.next_delivery_ns()).min();
        let wait_ns = due.map(|due_ns| due_ns.saturating_sub(now_ns() + WAKE_UP_NS));
        let [near_ready, far_ready, is_stopped] = wait(near, far, stop, wait_ns)?;
        if is_stopped {
            break;
        }
        // A side that has nothing is not asked: half of all system calls would be in vain.
        if near_ready {
            take(near, &mut out, &mut buffer, now_ns)?;
        }
        if far_ready {
            take(far, &mut back, &mut buffer, now_ns)?;
        }
    }
    let ran_ms = now_ns() / 1_000_000;
    let lateness = histogram.summary();
    Ok(Report { out: out.finish(), back: back.finish(), lateness, ran_ms, cpu_ms: cpu_ms() })
}

/// Takes what has come on one side, a burst at most.
fn take(from: &File, way: &mut Way, buffer: &mut [u8], now_ns: impl Fn() -> u64) -> io::Result<()> {
    for _ in 0..READ_BURST {
        match (&mut &*from).read(buffer) {
            Ok(len) => way.offer(now_ns(), &buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sleeps until a packet comes, one is due, or the relay is to end; tells which of the three
/// descriptors have something.
fn wait(near: &File, far: &File, stop: &impl AsFd, wait_ns: Option<u64>) -> io::Result<[bool; 3]> {
    let descriptors = [near.as_fd(), far.as_fd(), stop.as_fd()];
    let mut watched = descriptors.map(|file| PollFd::new(file, PollFlags::POLLIN));
    let timeout = wait_ns.map(|nanos| TimeSpec::from_duration(Duration::from_nanos(nanos)));
    match ppoll(&mut watched, timeout, None) {
        Ok(_) => Ok(watched.map(|file| file.any() == Some(true))),
        Err(Errno::EINTR) => Ok([false; 3]),
        Err(errno) => Err(errno.into()),
    }
}

/// How long this thread was on a processor: the first number of `/proc/thread-self/schedstat`.
fn cpu_ms() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|word| word.parse::<u64>().ok());
    nanos.unwrap_or_default() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_least_that_so_many_do_not_exceed() {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|micros| histogram.add(micros * 1_000));
        let summary = histogram.summary();
        assert_eq!((summary.median_ns, summary.p99_ns), (500_000, 990_000));
        assert_eq!((summary.p999_ns, summary.largest_ns), (999_000, 1_000_000));
    }

    #[test]
    fn a_lateness_beyond_the_histogram_is_still_the_largest() {
        let mut histogram = Histogram::new();
        histogram.add(3_000_000_000);
        assert_eq!(histogram.summary().largest_ns, 3_000_000_000);
        assert_eq!(Histogram::new().summary(), Lateness::default());
    }

    #[test]
    fn the_fullest_second_may_begin_in_any_bucket() {
        let mut series = vec![0; 250];
        series[60] = 5;
        series[159] = 7;
        series[160] = 1;
        let direction = Direction { series, ..Direction::default() };
        assert_eq!(direction.fullest_second_bytes(), 12);
    }
}
