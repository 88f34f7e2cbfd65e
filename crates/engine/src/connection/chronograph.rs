//! What a sender spends its time on: busy, held back by the peer's window, or starved by its own
//! buffer (Linux's `tcpi_busy_time`, `tcpi_rwnd_limited`, `tcpi_sndbuf_limited`).
//!
//! Owns the times; what limits the sender at the moment is the connection's judgment.

use core::time::Duration;

use crate::instant::Instant;

/// What the sender is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Something is written and not acknowledged, and goes as congestion control allows.
    Busy,
    /// The peer's window is what holds it back.
    WindowLimited,
    /// All that was written is on its way, and the buffer takes no more.
    BufferLimited,
}

/// The time that a connection spent on sending, and what limited it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chronograph {
    running: Option<(Activity, Instant)>,
    busy: Duration,
    window_limited: Duration,
    buffer_limited: Duration,
}

impl Chronograph {
    /// The sender is at this from now on; `None` is idle.
    pub(crate) fn switch(&mut self, now: Instant, activity: Option<Activity>) {
        if self.running.map(|(running, _)| running) == activity {
            return;
        }
        if let Some((ended, since)) = self.running {
            *self.total(ended) += now - since;
        }
        self.running = activity.map(|activity| (activity, now));
    }

    /// The time during which something was written and not acknowledged.
    pub fn busy_time(&self, now: Instant) -> Duration {
        let running = self.running.map_or(Duration::ZERO, |(_, since)| now.saturating_since(since));
        self.busy + self.window_limited + self.buffer_limited + running
    }

    /// Of that, the time during which the peer's window held it back.
    pub fn window_limited(&self, now: Instant) -> Duration {
        self.window_limited + self.running_for(now, Activity::WindowLimited)
    }

    /// Of that, the time during which the send buffer was too small.
    pub fn buffer_limited(&self, now: Instant) -> Duration {
        self.buffer_limited + self.running_for(now, Activity::BufferLimited)
    }

    fn running_for(&self, now: Instant, activity: Activity) -> Duration {
        match self.running {
            Some((running, since)) if running == activity => now.saturating_since(since),
            _ => Duration::ZERO,
        }
    }

    fn total(&mut self, activity: Activity) -> &mut Duration {
        match activity {
            Activity::Busy => &mut self.busy,
            Activity::WindowLimited => &mut self.window_limited,
            Activity::BufferLimited => &mut self.buffer_limited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_is_all_of_it_and_each_limit_its_part() {
        let at = Instant::from_millis;
        let ms = Duration::from_millis;
        let mut chronograph = Chronograph::default();
        chronograph.switch(at(10), Some(Activity::Busy));
        chronograph.switch(at(15), Some(Activity::Busy));
        chronograph.switch(at(20), Some(Activity::WindowLimited));
        chronograph.switch(at(50), Some(Activity::BufferLimited));
        chronograph.switch(at(60), None);
        chronograph.switch(at(100), Some(Activity::WindowLimited));
        let seen = |chronograph: &Chronograph, now| {
            [
                chronograph.busy_time(at(now)),
                chronograph.window_limited(at(now)),
                chronograph.buffer_limited(at(now)),
            ]
        };
        assert_eq!(seen(&chronograph, 105), [ms(55), ms(35), ms(10)]);
        chronograph.switch(at(110), None);
        assert_eq!(seen(&chronograph, 900), [ms(60), ms(40), ms(10)]);
    }
}
