//! An option changes while the connection lives: what follows from it at once.

use core::time::Duration;

use super::options::SocketOptions;
use super::state::StateName;
use super::{Connection, Context};
use crate::config::Config;
use crate::congestion::{Congestion, Start};
use crate::event::Readiness;
use crate::instant::Instant;
use crate::recv::room::Room;

/// What an application asks of acknowledgments by TCP_QUICKACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuickAck {
    /// They wait for an answer that can carry them.
    Off,
    /// They do not; one that waits goes now.
    On,
    /// The one that waits goes now, later ones wait (Linux's even values but zero).
    Once,
}

impl Connection {
    /// The options, TCP_QUICKACK as the conversation has it.
    pub(crate) fn options(&self) -> SocketOptions {
        SocketOptions { quickack: !self.recv.policy().is_interactive(), ..self.user.options }
    }

    pub(crate) fn set_options(
        &mut self,
        now: Instant,
        context: &Context<'_>,
        options: SocketOptions,
    ) {
        let config = context.config;
        let before = self.options();
        self.user.options = options;
        if options.quickack != before.quickack {
            self.set_quick_ack(if options.quickack { QuickAck::On } else { QuickAck::Off });
        }
        // Asked for again, it lets go again what waits.
        if options.nodelay || before.nodelay {
            self.send.set_nodelay(options.nodelay);
        }
        if options.cork != before.cork {
            self.send.set_cork(options.cork);
        }
        let room = Room::new(config, &options);
        if room != Room::new(config, &before) {
            self.recv.set_room(&room);
        }
        self.recv.set_low_water(options.rcvlowat);
        if self.recv.is_readable() && options.rcvlowat < before.rcvlowat {
            self.user.raise(Readiness::READABLE);
        }
        self.grow_send_buffer(config);
        // A smaller limit can end readiness without a write.
        self.note_room(config);
        self.check_room(config);
        if options.congestion != before.congestion && self.state.is_synchronized() {
            let controller = self.congestion.controller();
            let (window, threshold) = (controller.window(), controller.slow_start_threshold());
            self.choose_congestion_control(now, config, window, threshold);
        }
        let keep_alive = options.keep_alive(config);
        if keep_alive != before.keep_alive(config) && self.state.is_synchronized() {
            if before.keepalive != options.keepalive {
                self.keep_alive_probes = 0;
            }
            self.arm_keep_alive(now, config);
        }
    }

    /// TCP_QUICKACK.
    // Implements: 9293 SHLD-18
    pub(crate) fn set_quick_ack(&mut self, wish: QuickAck) {
        let policy = self.recv.policy_mut();
        policy.set_interactive(wish == QuickAck::Off);
        let may = matches!(self.state.name(), StateName::Established | StateName::CloseWait);
        if wish != QuickAck::Off && may {
            let policy = self.recv.policy_mut();
            if policy.is_pending() {
                policy.owe_now();
                policy.set_interactive(wish == QuickAck::Once);
            }
        }
    }

    /// A congestion control begins with this window and threshold.
    pub(super) fn choose_congestion_control(
        &mut self,
        now: Instant,
        config: &Config,
        window: u64,
        slow_start_threshold: u64,
    ) {
        let choice = self.user.options.congestion_control(config);
        let start = Start {
            now,
            window,
            slow_start_threshold,
            mss: self.send.segment_size(),
            alternative_backoff: config.abe,
            srtt: self.rtt.srtt(),
            min_rtt: self.rtt.min(),
            sack: self.sack,
            delivered_total: self.recovery.rate().delivered(),
            seed: self.seed,
        };
        self.congestion = Congestion::new(choice, config, &start);
    }

    /// How long until the user's patience ends that began at `since`; `None` without TCP_USER_TIMEOUT.
    // Implements: 9293 MUST-21, RFC9293 s3.10.8a
    pub(super) fn patience(&self, now: Instant, since: Instant) -> Option<Duration> {
        let limit = self.user.options.user_timeout()?;
        Some((since + limit).saturating_since(now))
    }
}
