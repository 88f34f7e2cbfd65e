//! The options of a socket: what `setsockopt` sets, as plain values with units.
//!
//! They may be set before the connection exists; a listener hands its own to the connections that it
//! accepts, as Linux's do. What an option does is written where it acts; what Linux's numbers for it
//! mean is `sockopt`'s.

use core::time::Duration;

use crate::config::{Config, CongestionControl, EcnForm, EcnUse};
use crate::send::mss;

/// The options of a socket. Those that are `None` follow the stack's [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// TCP_NODELAY: small segments go at once.
    pub nodelay: bool,
    /// TCP_CORK: no segment goes that is not full, until it is cleared. It outlasts `nodelay`, but
    /// setting `nodelay` lets go what waits.
    pub cork: bool,
    /// TCP_QUICKACK: whether ACKs need not wait for an answer to carry them. What a connection begins
    /// with; later it follows the conversation, and reading it tells where that stands.
    pub quickack: bool,
    /// SO_LINGER: `None` is off, zero resets at close, more is how long a blocking close waits for
    /// everything to be acknowledged (see [`Endpoint::is_lingering`](crate::Endpoint::is_lingering)).
    pub linger: Option<Duration>,
    /// SO_KEEPALIVE.
    pub keepalive: bool,
    /// TCP_KEEPIDLE: idle time before the first probe; `tcp_keepalive_time` if `None`.
    pub keepalive_time: Option<Duration>,
    /// TCP_KEEPINTVL: time between probes; `tcp_keepalive_intvl` if `None`.
    pub keepalive_interval: Option<Duration>,
    /// TCP_KEEPCNT: unanswered probes that end the connection; `tcp_keepalive_probes` if `None`.
    pub keepalive_probes: Option<u32>,
    /// TCP_USER_TIMEOUT: how long what was sent, a closed window or keep-alive probes may go
    /// without an answer that helps; retries decide if `None`.
    pub user_timeout: Option<Duration>,
    /// TCP_NOTSENT_LOWAT, in bytes: not writable while so much waits to be sent;
    /// `tcp_notsent_lowat` if `None`.
    pub notsent_lowat: Option<u32>,
    /// TCP_SYNCNT: how often a SYN is sent again, or a SYN-ACK of a listener; `tcp_syn_retries` or
    /// `tcp_synack_retries` if `None`.
    pub syn_retries: Option<u32>,
    /// TCP_MAXSEG, in bytes: an upper bound for the MSS that is announced, and for the segments that
    /// are sent.
    pub max_segment: Option<u16>,
    /// TCP_WINDOW_CLAMP, in bytes: the most that is ever offered.
    pub window_clamp: Option<u32>,
    /// TCP_LINGER2: how long an orphan waits for the peer's FIN.
    pub fin_wait_2: FinWait2,
    /// TCP_DEFER_ACCEPT, of a listener: a connection is accepted when data has come, and at the
    /// latest after so long. Linux counts it in SYN-ACK time-outs.
    pub defer_accept: Option<Duration>,
    /// SO_RCVBUF, in bytes as the application asks. As on Linux twice as much is memory and half of
    /// that is window; growing by itself within `tcp_rmem` if `None`.
    pub receive_buffer: Option<usize>,
    /// SO_RCVLOWAT, in bytes: readable when so much is there.
    pub rcvlowat: usize,
    /// SO_SNDBUF, in bytes as the application asks: as on Linux the buffer takes twice as much, held
    /// within `tcp_wmem`; grown as needed if `None`.
    pub send_buffer: Option<usize>,
    /// IP_TOS or IPV6_TCLASS. The two ECN bits are the protocol's: they are not taken from here.
    pub tos: u8,
    /// IP_TTL or IPV6_UNICAST_HOPS; the stack's default if `None`.
    pub ttl: Option<u8>,
    /// SO_MAX_PACING_RATE, in bytes of payload per second: segments leave spread over the time, and
    /// not faster than this, whatever the congestion control. `None` is no such limit.
    pub max_pacing_rate: Option<u64>,
    /// TCP_CONGESTION; `tcp_congestion_control` if `None`.
    pub congestion: Option<CongestionControl>,
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            nodelay: false,
            cork: false,
            quickack: true,
            linger: None,
            keepalive: false,
            keepalive_time: None,
            keepalive_interval: None,
            keepalive_probes: None,
            user_timeout: None,
            notsent_lowat: None,
            syn_retries: None,
            max_segment: None,
            window_clamp: None,
            fin_wait_2: FinWait2::Default,
            defer_accept: None,
            receive_buffer: None,
            rcvlowat: 1,
            send_buffer: None,
            tos: 0,
            ttl: None,
            max_pacing_rate: None,
            congestion: None,
        }
    }
}

/// TCP_LINGER2: how long a connection that nobody holds waits in FIN-WAIT-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FinWait2 {
    /// `tcp_fin_timeout`.
    #[default]
    Default,
    /// So long.
    For(Duration),
    /// Not at all: the peer gets a reset.
    NotAtAll,
}

/// Keep-alive of one connection (RFC 9293 section 3.8.4; off by default). Times below
/// a millisecond count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle time before the first probe.
    pub time: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes that end the connection.
    pub probes: u32,
}

impl SocketOptions {
    /// The congestion control of a connection with these options.
    pub(crate) fn congestion_control(&self, config: &Config) -> CongestionControl {
        self.congestion.unwrap_or(config.tcp_congestion_control)
    }

    /// Which forms of ECN it speaks: DCTCP wants it in any case.
    pub(crate) fn ecn(&self, config: &Config) -> EcnUse {
        let mut ecn = config.tcp_ecn;
        if self.congestion_control(config) == CongestionControl::Dctcp {
            if ecn.accept == EcnForm::Off {
                ecn.accept = EcnForm::Classic;
            }
            if ecn.request == EcnForm::Off {
                ecn.request = EcnForm::Classic;
            }
        }
        ecn
    }

    /// The keep-alive that these options give, if it is on.
    // Implements: 9293 MUST-24, 9293 MUST-25, 9293 MUST-27, 9293 MUST-28
    pub fn keep_alive(&self, config: &Config) -> Option<KeepAlive> {
        // A timer of no time at all would never let go of its loop.
        let shortest = Duration::from_millis(1);
        self.keepalive.then(|| KeepAlive {
            time: self.keepalive_time.unwrap_or(config.tcp_keepalive_time).max(shortest),
            interval: self.keepalive_interval.unwrap_or(config.tcp_keepalive_intvl).max(shortest),
            probes: self.keepalive_probes.unwrap_or(config.tcp_keepalive_probes),
        })
    }

    /// Sets keep-alive with all its numbers, or switches it off and leaves them.
    pub fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>) {
        self.keepalive = keep_alive.is_some();
        if let Some(KeepAlive { time, interval, probes }) = keep_alive {
            self.keepalive_time = Some(time);
            self.keepalive_interval = Some(interval);
            self.keepalive_probes = Some(probes);
        }
    }

    /// How much may wait unsent while the socket is writable, in bytes.
    pub(crate) fn unsent_limit(&self, config: &Config) -> u32 {
        self.notsent_lowat.filter(|limit| *limit > 0).unwrap_or(config.tcp_notsent_lowat)
    }

    pub(crate) fn user_timeout(&self) -> Option<Duration> {
        self.user_timeout.filter(|limit| !limit.is_zero())
    }

    /// The MSS to announce to `remote` over a link of this MTU.
    pub(crate) fn advertised_mss(&self, remote: core::net::IpAddr, mtu: usize) -> u16 {
        let by_link = mss::advertised(remote, mtu);
        by_link.min(self.max_segment.unwrap_or(u16::MAX))
    }

    /// The TTL or hop limit of what is sent. A packet with zero is never sent (RFC 1122 section
    /// 3.2.1.7), though Linux takes it for IPv6: the stack's default stands for it.
    pub(crate) fn hop_limit(&self, config: &Config) -> u8 {
        self.ttl.filter(|ttl| *ttl > 0).unwrap_or(config.ip_default_ttl)
    }

    /// The type of service without the ECN bits.
    pub(crate) fn dscp(&self) -> u8 {
        self.tos >> 2
    }

    pub(crate) fn fin_timeout(&self, config: &Config) -> Option<Duration> {
        match self.fin_wait_2 {
            FinWait2::Default => Some(config.tcp_fin_timeout),
            FinWait2::For(time) if time.is_zero() => Some(config.tcp_fin_timeout),
            FinWait2::For(time) => Some(time),
            FinWait2::NotAtAll => None,
        }
    }

    /// SYN-ACK time-outs for which a bare ACK does not complete a handshake.
    pub(crate) fn deferring_timeouts(&self, config: &Config) -> u32 {
        self.defer_accept.map_or(0, |time| timeouts_in(time, config))
    }
}

/// How many time-outs of a SYN-ACK it takes until `time` has passed, at most 255.
fn timeouts_in(time: Duration, config: &Config) -> u32 {
    (1..=255).find(|count| time_of(*count, config) >= time).unwrap_or(255)
        * u32::from(!time.is_zero())
}

/// When the `count`-th time-out of a SYN-ACK is over.
pub(super) fn time_of(count: u32, config: &Config) -> Duration {
    let once =
        |doublings| crate::rtt::backed_off(crate::rtt::INITIAL_RTO, doublings, config.rto_max);
    (0..count).map(once).sum()
}
