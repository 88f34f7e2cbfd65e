//! Every number that can be chosen: with unit, default, source, and Linux's `sysctl` name where
//! Linux has one.
//!
//! The defaults are Linux's of version 6.18 (see `docs/decisions/linux-profile.md`). A value is set
//! by builder method or by name; [`Config::validate`] judges them together.

mod limits;

use core::time::Duration;

use thiserror::Error;

pub use self::limits::{EcnForm, EcnUse, MemoryLimits, PortSet, SynCookies, TimeWaitReuse};
use crate::congestion::{CustomControl, HyStart};

/// A setting that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No setting has this name.
    #[error("unknown setting `{0}`")]
    Unknown(String),
    /// The value cannot be read, or is out of range.
    #[error("{name}: `{value}` is not {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// Two settings contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// The least, the initial and the greatest size of a buffer, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// Granted even when memory is short.
    pub min: usize,
    /// What a connection begins with.
    pub default: usize,
    /// What it may grow to.
    pub max: usize,
}

/// Which congestion control a connection uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CongestionControl {
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 8257, for networks that mark early: ECN is asked for and accepted whatever `tcp_ecn` says.
    Dctcp,
    /// RFC 5681 with byte counting.
    Reno,
    /// BBR, version 1, as Linux's of that name.
    Bbr,
    /// BBR, version 3: draft-ietf-ccwg-bbr.
    Bbr3,
    /// A user's own.
    Custom(&'static CustomControl),
}

impl CongestionControl {
    /// All that there are but a user's own, in the order in which a list shows them.
    pub const ALL: &[CongestionControl] = &[
        CongestionControl::Cubic,
        CongestionControl::Dctcp,
        CongestionControl::Reno,
        CongestionControl::Bbr,
        CongestionControl::Bbr3,
    ];

    /// Linux's name of it.
    pub fn name(self) -> &'static str {
        match self {
            CongestionControl::Cubic => "cubic",
            CongestionControl::Dctcp => "dctcp",
            CongestionControl::Reno => "reno",
            CongestionControl::Bbr => "bbr",
            CongestionControl::Bbr3 => "bbr3",
            CongestionControl::Custom(custom) => custom.name(),
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<CongestionControl> {
        CongestionControl::ALL.iter().copied().find(|control| control.name() == name)
    }
}

macro_rules! config {
    ($( $(#[doc = $doc:expr])* $field:ident : $type:ty = $default:expr, $name:literal, $unit:literal, $source:literal; )*) => {
        /// The numbers of one stack.
        ///
        /// ```
        /// use towpath_engine::Config;
        ///
        /// let mut config = Config::default();
        /// config.set_by_name("tcp_syn_retries", "3")?;
        /// config.validate()?;
        /// # Ok::<(), towpath_engine::ConfigError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config { $( pub(crate) $field: $type, )* }

        impl Default for Config {
            fn default() -> Config { Config { $( $field: $default, )* } }
        }

        impl Config {
            $(
                $(#[doc = $doc])*
                #[doc = ""]
                #[doc = concat!("Name: `", $name, "`. Unit: ", $unit, ". Source: ", $source, ".")]
                #[must_use]
                pub fn $field(mut self, value: $type) -> Config { self.$field = value; self }
            )*

            /// Sets a value by its `sysctl` name, or by its `towpath.*` name where Linux has none.
            pub fn set_by_name(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
                match name.strip_prefix("net.ipv4.").unwrap_or(name) {
                    $( $name => { self.$field = Value::parse($name, value)?; } )*
                    _ => return Err(ConfigError::Unknown(name.to_owned())),
                }
                Ok(())
            }

            /// All settings, in the order of their names' topics.
            pub fn iter(&self) -> impl Iterator<Item = Setting> {
                [$( Setting { name: $name, unit: $unit, source: $source, value: Value::show(&self.$field, $name) }, )*]
                    .into_iter()
            }
        }
    };
}

/// One setting, as [`Config::iter`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Linux's `sysctl` name, or `towpath.*`.
    pub name: &'static str,
    /// What the value counts.
    pub unit: &'static str,
    /// The RFC, or whose choice it is.
    pub source: &'static str,
    /// The present value, in the form that [`Config::set_by_name`] reads.
    pub value: String,
}

config! {
    /// Receive buffer: least, initial and greatest size. The window scale is chosen for the greatest.
    tcp_rmem: BufferSizes = BufferSizes { min: 4096, default: 131_072, max: 33_554_432 }, "tcp_rmem", "bytes, three numbers", "Linux";
    /// Send buffer: least, initial and greatest size.
    tcp_wmem: BufferSizes = BufferSizes { min: 4096, default: 16_384, max: 4_194_304 }, "tcp_wmem", "bytes, three numbers", "Linux";
    /// The most that an application may ask for by SO_RCVBUF.
    rmem_max: usize = 4_194_304, "rmem_max", "bytes", "Linux, net.core.rmem_max";
    /// A socket is not writable while so much waits to be sent.
    tcp_notsent_lowat: u32 = u32::MAX, "tcp_notsent_lowat", "bytes", "Linux";
    /// Whether window scaling is offered and accepted.
    tcp_window_scaling: bool = true, "tcp_window_scaling", "0 or 1", "RFC 7323";
    /// Whether the window that we offer may move its right edge left where memory runs out, on
    /// connections that scale their windows.
    tcp_shrink_window: bool = false, "tcp_shrink_window", "0 or 1", "Linux; RFC 7323 section 2.4";
    /// Whether selective acknowledgment is offered and accepted.
    tcp_sack: bool = true, "tcp_sack", "0 or 1", "RFC 2018";
    /// Whether duplicates are reported by D-SACK.
    tcp_dsack: bool = true, "tcp_dsack", "0 or 1", "RFC 2883";
    /// Whether timestamps are offered and accepted.
    tcp_timestamps: bool = true, "tcp_timestamps", "0 or 1", "RFC 7323";
    /// How often a SYN is sent again before the connect fails.
    tcp_syn_retries: u32 = 6, "tcp_syn_retries", "retransmissions", "Linux; RFC 9293 MUST-23 asks 3 minutes";
    /// How many of a SYN's first time-outs are not doubled.
    tcp_syn_linear_timeouts: u32 = 4, "tcp_syn_linear_timeouts", "time-outs", "Linux";
    /// How often a SYN-ACK is sent again before the half-open connection goes.
    tcp_synack_retries: u32 = 5, "tcp_synack_retries", "retransmissions", "Linux";
    /// How many time-outs end an established connection, as Linux counts them (15 is 924.6 s).
    tcp_retries2: u32 = 15, "tcp_retries2", "retransmissions", "Linux; RFC 9293 SHLD-11";
    /// How many time-outs end a connection whose socket is closed.
    /// Zero means 8.
    tcp_orphan_retries: u32 = 0, "tcp_orphan_retries", "retransmissions", "Linux";
    /// How many connections there may be that no application holds; beyond, a close is a reset.
    tcp_max_orphans: usize = 65_536, "tcp_max_orphans", "connections", "Linux, where memory decides";
    /// The least value of the RTO's variance term.
    rto_min: Duration = Duration::from_millis(200), "tcp_rto_min_us", "microseconds", "Linux; RFC 6298 asks 1 s for the RTO";
    /// The greatest RTO.
    rto_max: Duration = Duration::from_secs(120), "tcp_rto_max_ms", "milliseconds", "Linux; RFC 6298 asks at least 60 s";
    /// How long a closed socket waits for the peer's FIN.
    tcp_fin_timeout: Duration = Duration::from_secs(60), "tcp_fin_timeout", "seconds", "Linux";
    /// How long a connection stays in TIME-WAIT. RFC 9293 asks for 2 x 2 minutes.
    time_wait: Duration = Duration::from_secs(60), "towpath.time_wait", "seconds", "Linux's TCP_TIMEWAIT_LEN";
    /// How many TIME-WAIT records there may be; beyond, connections are closed without one.
    tcp_max_tw_buckets: usize = 131_072, "tcp_max_tw_buckets", "records", "Linux";
    /// Whether a connect may use the four numbers of a connection in TIME-WAIT: 0 no, 1 with
    /// timestamps, 2 with timestamps on loopback addresses.
    tcp_tw_reuse: TimeWaitReuse = TimeWaitReuse::Loopback, "tcp_tw_reuse", "0, 1 or 2", "Linux; RFC 6191";
    /// How long a connection is in TIME-WAIT before a connect may use its four numbers.
    tcp_tw_reuse_delay: Duration = Duration::from_secs(1), "tcp_tw_reuse_delay", "milliseconds", "Linux";
    /// Whether a reset is ignored in TIME-WAIT.
    tcp_rfc1337: bool = true, "tcp_rfc1337", "0 or 1", "RFC 1337; 0 on Linux";
    /// The first and the last port for connects and for binds to port 0.
    ip_local_port_range: (u16, u16) = (32_768, 60_999), "ip_local_port_range", "ports, two numbers", "Linux; RFC 6056";
    /// Ports that are never chosen, only given.
    ip_local_reserved_ports: PortSet = PortSet::default(), "ip_local_reserved_ports", "ports and ranges", "Linux; RFC 6056 section 3.2";
    /// TTL, or hop limit, of what is sent.
    ip_default_ttl: u8 = 64, "ip_default_ttl", "hops", "RFC 1700, Linux";
    /// Path MTU discovery for IPv4: 0 and 3 on; 1 and 2 off, packets may be cut on their way.
    ip_no_pmtu_disc: u8 = 0, "ip_no_pmtu_disc", "0 to 3", "Linux; RFC 1191";
    /// The least path MTU that is believed for IPv4; below it packets may be cut on their way.
    min_pmtu: u16 = 552, "route.min_pmtu", "bytes", "Linux; RFC 1191 section 3 has 68";
    /// How long a reported path MTU is believed.
    mtu_expires: Duration = Duration::from_secs(600), "route.mtu_expires", "seconds", "RFC 1191 section 6.3, RFC 8201 section 5.3";
    /// How many destinations' path MTUs are kept.
    path_mtu_cache: usize = 4096, "towpath.path_mtu_cache", "destinations", "Towpath";
    /// Whether IPv6 packets carry a flow label.
    auto_flowlabels: bool = true, "net.ipv6.auto_flowlabels", "0 or 1", "RFC 6437, Linux";
    /// Without SYN cookies: of how many half-open connections of a listener the last quarter is kept
    /// free. A listener's backlog bounds them in any case.
    tcp_max_syn_backlog: usize = 2048, "tcp_max_syn_backlog", "records", "Linux";
    /// When a SYN is answered with a cookie: 0 never, 1 when the SYN queue is full, 2 always.
    tcp_syncookies: SynCookies = SynCookies::WhenFull, "tcp_syncookies", "0, 1 or 2", "Linux; RFC 4987 section 3.6";
    /// The greatest backlog that `listen` gives. It bounds the SYN queue as well.
    somaxconn: usize = 4096, "somaxconn", "connections", "Linux, net.core.somaxconn";
    /// Whether an accepted connection, its SYN-ACK first, travels in the DSCP of the peer's SYN. The
    /// last ACK stands for a SYN that a cookie answered.
    tcp_reflect_tos: bool = false, "tcp_reflect_tos", "0 or 1", "Linux";
    /// Whether a full accept queue resets the newcomer instead of letting it retry.
    tcp_abort_on_overflow: bool = false, "tcp_abort_on_overflow", "0 or 1", "Linux";
    /// Idle time before the first keep-alive probe, where a socket asks for keep-alive.
    tcp_keepalive_time: Duration = Duration::from_secs(7200), "tcp_keepalive_time", "seconds", "RFC 9293 MUST-28";
    /// Time between keep-alive probes.
    tcp_keepalive_intvl: Duration = Duration::from_secs(75), "tcp_keepalive_intvl", "seconds", "Linux";
    /// How many unanswered keep-alive probes end the connection.
    tcp_keepalive_probes: u32 = 9, "tcp_keepalive_probes", "probes", "Linux";
    /// The congestion control of new connections.
    tcp_congestion_control: CongestionControl = CongestionControl::Cubic, "tcp_congestion_control", "name", "RFC 9438, Linux";
    /// Whether marks by ECN make the window smaller by less than losses do.
    abe: bool = false, "towpath.abe", "0 or 1", "RFC 8511; Linux has none";
    /// How CUBIC leaves slow start without a loss: 5 by HyStart++ and trains of ACKs; 4 by HyStart++
    /// alone; as Linux's HyStart 1 by trains, 2 by delay, 3 by both; 0 not at all.
    hystart: HyStart = HyStart::Guarded, "towpath.hystart", "0 to 5", "RFC 9406; Linux's tcp_cubic.hystart_detect is 3";
    /// Whether the clock of timestamps ticks once a round trip, and not once a millisecond, where the
    /// network is seen to reorder: else PAWS drops what a retransmission overtakes.
    coarse_timestamps: bool = true, "towpath.coarse_timestamps", "0 or 1", "RFC 7323 section 5.4; Linux has none";
    /// Which form of ECN is accepted from peers and asked for: 0 neither; 1 classic, both ways; 2
    /// classic is accepted; 3 accurate, both ways; 4 accurate is accepted and classic asked for; 5
    /// accurate is accepted.
    tcp_ecn: EcnUse = EcnUse { accept: EcnForm::Classic, request: EcnForm::Off }, "tcp_ecn", "0 to 5", "Linux; RFC 3168, RFC 9768";
    /// Whether a SYN that is sent again, and a handshake with impossible feedback, do without ECN.
    tcp_ecn_fallback: bool = true, "tcp_ecn_fallback", "0 or 1", "Linux; RFC 3168 section 6.1.1.1";
    /// When the option of accurate ECN is sent: 0 never, 1 as seldom as may be, 2 always, 3 even where
    /// it seems to get lost.
    tcp_ecn_option: u8 = 2, "tcp_ecn_option", "0 to 3", "Linux; RFC 9768 section 3.2.3";
    /// How often in a round trip the option is sent at least, where it is sent seldom.
    tcp_ecn_option_beacon: u32 = 3, "tcp_ecn_option_beacon", "options a round trip", "Linux; RFC 9768 section 3.2.3.3";
    /// Whether a pause longer than the RTO makes the congestion window smaller.
    tcp_slow_start_after_idle: bool = true, "tcp_slow_start_after_idle", "0 or 1", "Linux; RFC 5681 section 4.1";
    /// How losses are found: 1 by RACK, else by counts alone; with 2 the reordering window does not
    /// adapt, with 4 it is not shortened by a count.
    tcp_recovery: u8 = 1, "tcp_recovery", "bits", "Linux; RFC 8985, RFC 6675";
    /// Tail loss probes: 3 and 4 on, 0 off.
    tcp_early_retrans: u8 = 3, "tcp_early_retrans", "0 to 4", "Linux; RFC 8985 section 7";
    /// Whether spurious time-outs are found by F-RTO: 0 no.
    tcp_frto: u8 = 2, "tcp_frto", "0 to 2", "Linux; RFC 5682";
    /// How many segments beyond a hole make it a loss, at first.
    tcp_reordering: u32 = 3, "tcp_reordering", "segments", "Linux; RFC 5681 section 3.2";
    /// The same at most, where the network was seen to reorder.
    tcp_max_reordering: u32 = 300, "tcp_max_reordering", "segments", "Linux";
    /// For how long the least round-trip time counts.
    tcp_min_rtt_wlen: Duration = Duration::from_secs(300), "tcp_min_rtt_wlen", "seconds", "Linux; RFC 8985 section 6.2 step 1";
    /// Segments that a burst may have at any rate.
    tcp_min_tso_segs: u32 = 2, "tcp_min_tso_segs", "segments", "Linux";
    /// Whether segments leave spread over the round trip under congestion controls that name no rate
    /// of their own (`bbr` and `bbr3` do) and without SO_MAX_PACING_RATE.
    pacing: bool = false, "towpath.pacing", "0 or 1", "Towpath; on Linux a queueing discipline of the device";
    /// How much of a window such a congestion control sends in a round trip while its window is below
    /// half of the slow-start threshold.
    tcp_pacing_ss_ratio: u32 = 200, "tcp_pacing_ss_ratio", "percent", "Linux";
    /// The same above.
    tcp_pacing_ca_ratio: u32 = 120, "tcp_pacing_ca_ratio", "percent", "Linux";
    /// How exact timers are: pacing makes no shorter waits. Zero is exact.
    pacing_grain: Duration = Duration::from_millis(1), "towpath.pacing_grain_us", "microseconds", "Towpath; tokio's timers";
    /// The least MSS that a peer can make us send with.
    tcp_min_snd_mss: u16 = 48, "tcp_min_snd_mss", "bytes", "Linux; CVE-2019-11479";
    /// The least time between two answers to segments that are out of window, and between two
    /// challenge ACKs, per connection.
    tcp_invalid_ratelimit: Duration = Duration::from_millis(500), "tcp_invalid_ratelimit", "milliseconds", "Linux; RFC 5961 section 7";
    /// How many challenge ACKs a connection sends in a second, give or take a half, beside
    /// `tcp_invalid_ratelimit`; the default is no such limit.
    tcp_challenge_ack_limit: u32 = Config::NO_CHALLENGE_ACK_LIMIT, "tcp_challenge_ack_limit", "challenge ACKs a second and connection", "Linux, where all connections share it; RFC 5961 section 7";
    /// How many ACKs of out-of-order segments may be put into one.
    tcp_comp_sack_nr: u32 = 44, "tcp_comp_sack_nr", "acknowledgments", "Linux";
    /// Segments in the initial window.
    initial_window: u32 = 10, "towpath.initial_window", "segments", "RFC 6928";
    /// Segments of one connection that may lie out of order.
    max_out_of_order: usize = 8192, "towpath.max_out_of_order", "segments", "Towpath; SegmentSmack";
    /// Connections of one stack, half-open ones not counted.
    max_connections: usize = 1_048_576, "towpath.max_connections", "connections", "Towpath";
    /// What the buffers and records of the stack may take: until pressure is over, from where there is
    /// pressure, and at most.
    memory: MemoryLimits = MemoryLimits { relief: 512 << 20, pressure: 768 << 20, limit: 1 << 30 }, "towpath.memory", "bytes, three numbers", "Towpath, after Linux's tcp_mem";
    /// Packets on their way through the stack's loopback.
    loopback_queue: usize = 1024, "towpath.loopback_queue", "packets", "Towpath";
    /// Packets that wait for the device.
    egress_queue: usize = 1024, "towpath.egress_queue", "packets", "Towpath";
    /// Arriving segments handled before the lock is released.
    segments_per_hold: usize = 16, "towpath.segments_per_hold", "segments", "Towpath";
    /// Timers handled before the lock is released.
    timers_per_hold: usize = 64, "towpath.timers_per_hold", "timers", "Towpath";
    /// The least time between two ICMP errors to one host, six at once apart; 0 is no such limit.
    icmp_ratelimit: Duration = Duration::from_millis(1000), "icmp_ratelimit", "milliseconds", "Linux; RFC 1122 section 3.2.2, RFC 4443 section 2.4";
    /// ICMP errors a second to all hosts together, give or take a few.
    icmp_msgs_per_sec: u32 = 10_000, "icmp_msgs_per_sec", "packets", "Linux";
    /// ICMP errors to all hosts together that may leave at once.
    icmp_msgs_burst: u32 = 10_000, "icmp_msgs_burst", "packets", "Linux";
    /// Echo replies a second.
    echo_replies_per_second: u32 = 1000, "towpath.echo_replies_per_second", "packets", "Towpath; RFC 1122 section 3.2.2.6";
}

impl Config {
    /// The value of `tcp_challenge_ack_limit` that sets no limit: Linux's INT_MAX.
    pub const NO_CHALLENGE_ACK_LIMIT: u32 = i32::MAX as u32;

    /// Whether IPv4 packets are sent whole or not at all, and reports of their size are heard.
    pub(crate) fn discovers_path_mtu(&self) -> bool {
        matches!(self.ip_no_pmtu_disc, 0 | 3)
    }

    /// Judges the settings together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let contradiction = |text| Err(ConfigError::Contradiction(text));
        for sizes in [self.tcp_rmem, self.tcp_wmem] {
            if sizes.min == 0 || sizes.min > sizes.default || sizes.default > sizes.max {
                return contradiction("tcp_rmem, tcp_wmem: want 0 < min <= default <= max");
            }
            if sizes.max > 1 << 30 {
                return contradiction("tcp_rmem, tcp_wmem: at most 1 GiB (RFC 7323 section 2.3)");
            }
        }
        let (first, last) = self.ip_local_port_range;
        if first == 0 || first > last {
            return contradiction("ip_local_port_range: want 0 < first <= last");
        }
        if self.rto_min.is_zero() || self.rto_min > self.rto_max {
            return contradiction("want 0 < tcp_rto_min_us <= tcp_rto_max_ms");
        }
        if self.rto_max < Duration::from_secs(1) || self.rto_max > Duration::from_secs(120) {
            return contradiction("tcp_rto_max_ms: 1000 to 120000, as Linux");
        }
        let retries = [
            self.tcp_syn_retries,
            self.tcp_syn_linear_timeouts,
            self.tcp_synack_retries,
            self.tcp_retries2,
            self.tcp_orphan_retries,
        ];
        if retries.iter().any(|retries| *retries > 127) {
            return contradiction("retries and time-outs: at most 127");
        }
        if self.tcp_reordering == 0 || self.tcp_reordering > self.tcp_max_reordering {
            return contradiction("want 0 < tcp_reordering <= tcp_max_reordering");
        }
        if self.ip_default_ttl == 0 {
            return contradiction("ip_default_ttl: a packet with TTL 0 is never sent (RFC 1122)");
        }
        if self.ip_no_pmtu_disc > 3 {
            return contradiction("ip_no_pmtu_disc: 0 to 3");
        }
        if [self.tcp_pacing_ss_ratio, self.tcp_pacing_ca_ratio]
            .iter()
            .any(|ratio| !(1..=1000).contains(ratio))
        {
            return contradiction("tcp_pacing_ss_ratio, tcp_pacing_ca_ratio: 1 to 1000, as Linux");
        }
        if self.tcp_ecn_option > 3 {
            return contradiction("tcp_ecn_option: 0 to 3");
        }
        if self.min_pmtu < 68 {
            return contradiction("route.min_pmtu: at least 68 (RFC 791)");
        }
        if self.tcp_min_snd_mss < 48 {
            return contradiction("tcp_min_snd_mss: at least 48, else options fill the segment");
        }
        if self.initial_window == 0 || self.initial_window > 1000 {
            return contradiction("towpath.initial_window: want 1 to 1000 segments");
        }
        for limit in [
            self.segments_per_hold,
            self.timers_per_hold,
            self.egress_queue,
            self.loopback_queue,
            self.path_mtu_cache,
            self.max_connections,
            self.max_out_of_order,
            self.somaxconn,
            self.tcp_max_syn_backlog,
        ] {
            if limit == 0 {
                return contradiction("a limit of zero lets nothing through: use at least 1");
            }
        }
        if self.max_connections > u32::MAX as usize {
            return contradiction("towpath.max_connections: at most 4294967295");
        }
        let MemoryLimits { relief, pressure, limit } = self.memory;
        if relief == 0 || relief > pressure || pressure > limit {
            return contradiction("towpath.memory: want 0 < relief <= pressure <= limit");
        }
        Ok(())
    }

    /// How many time-outs end a connection whose socket is closed: Linux's zero means eight, which is
    /// more than 100 seconds.
    pub(crate) fn orphan_retries(&self) -> u32 {
        if self.tcp_orphan_retries == 0 { 8 } else { self.tcp_orphan_retries }
    }

    /// `tcp_shrink_window`.
    pub fn get_shrink_window(&self) -> bool {
        self.tcp_shrink_window
    }

    /// How many packets may wait for the device.
    pub fn get_egress_queue(&self) -> usize {
        self.egress_queue
    }

    /// How many arriving segments are handled before the lock is released.
    pub fn get_segments_per_hold(&self) -> usize {
        self.segments_per_hold
    }

    /// How many timers are handled before the lock is released.
    pub fn get_timers_per_hold(&self) -> usize {
        self.timers_per_hold
    }
}

trait Value: Sized {
    fn parse(name: &'static str, text: &str) -> Result<Self, ConfigError>;
    fn show(&self, name: &'static str) -> String;
}

fn invalid(name: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Invalid { name, value: value.to_owned(), expected }
}

macro_rules! number_value {
    ($($type:ty, $expected:literal;)*) => {$(
        impl Value for $type {
            fn parse(name: &'static str, text: &str) -> Result<Self, ConfigError> {
                text.trim().parse().map_err(|_| invalid(name, text, $expected))
            }
            fn show(&self, _: &'static str) -> String { self.to_string() }
        }
    )*};
}

number_value! {
    u8, "a whole number from 0 to 255";
    u16, "a whole number from 0 to 65535";
    u32, "a whole number from 0 to 4294967295";
    usize, "a whole number";
}

impl Value for bool {
    fn parse(name: &'static str, text: &str) -> Result<bool, ConfigError> {
        match text.trim() {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(invalid(name, other, "0 or 1")),
        }
    }

    fn show(&self, _: &'static str) -> String {
        u8::from(*self).to_string()
    }
}

/// A duration is written in the unit that its name's suffix says, else in seconds.
impl Value for Duration {
    fn parse(name: &'static str, text: &str) -> Result<Duration, ConfigError> {
        let number: u64 = text.trim().parse().map_err(|_| invalid(name, text, "a whole number"))?;
        Ok(match name {
            "tcp_rto_min_us" | "towpath.pacing_grain_us" => Duration::from_micros(number),
            "tcp_rto_max_ms"
            | "tcp_invalid_ratelimit"
            | "tcp_tw_reuse_delay"
            | "icmp_ratelimit" => Duration::from_millis(number),
            _ => Duration::from_secs(number),
        })
    }

    fn show(&self, name: &'static str) -> String {
        match name {
            "tcp_rto_min_us" | "towpath.pacing_grain_us" => self.as_micros().to_string(),
            "tcp_rto_max_ms"
            | "tcp_invalid_ratelimit"
            | "tcp_tw_reuse_delay"
            | "icmp_ratelimit" => self.as_millis().to_string(),
            _ => self.as_secs().to_string(),
        }
    }
}

impl Value for BufferSizes {
    fn parse(name: &'static str, text: &str) -> Result<BufferSizes, ConfigError> {
        const EXPECTED: &str = "three whole numbers: least, initial, greatest";
        let mut numbers = [0; 3];
        let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        for number in &mut numbers {
            let word = words.next().ok_or_else(|| invalid(name, text, EXPECTED))?;
            *number = word.parse().map_err(|_| invalid(name, text, EXPECTED))?;
        }
        if words.next().is_some() {
            return Err(invalid(name, text, EXPECTED));
        }
        let [min, default, max] = numbers;
        Ok(BufferSizes { min, default, max })
    }

    fn show(&self, _: &'static str) -> String {
        format!("{} {} {}", self.min, self.default, self.max)
    }
}

impl Value for (u16, u16) {
    fn parse(name: &'static str, text: &str) -> Result<(u16, u16), ConfigError> {
        const EXPECTED: &str = "two ports: first and last";
        let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        let mut port = || words.next().and_then(|word| word.parse().ok());
        match (port(), port(), words.next()) {
            (Some(first), Some(last), None) => Ok((first, last)),
            _ => Err(invalid(name, text, EXPECTED)),
        }
    }

    fn show(&self, _: &'static str) -> String {
        format!("{} {}", self.0, self.1)
    }
}

impl Value for CongestionControl {
    fn parse(name: &'static str, text: &str) -> Result<CongestionControl, ConfigError> {
        CongestionControl::from_name(text.trim()).ok_or_else(|| {
            invalid(name, text, "the name of a congestion control: cubic, dctcp, reno, bbr, bbr3")
        })
    }

    fn show(&self, _: &'static str) -> String {
        self.name().to_owned()
    }
}

impl Value for HyStart {
    fn parse(name: &'static str, text: &str) -> Result<HyStart, ConfigError> {
        match text.trim() {
            "0" => Ok(HyStart::Off),
            "1" => Ok(HyStart::Linux { train: true, delay: false }),
            "2" => Ok(HyStart::Linux { train: false, delay: true }),
            "3" => Ok(HyStart::Linux { train: true, delay: true }),
            "4" => Ok(HyStart::PlusPlus),
            "5" => Ok(HyStart::Guarded),
            other => Err(invalid(name, other, "0 to 5")),
        }
    }

    fn show(&self, _: &'static str) -> String {
        let number = match self {
            HyStart::Off => 0,
            HyStart::Linux { train, delay } => u8::from(*train) + 2 * u8::from(*delay),
            HyStart::PlusPlus => 4,
            HyStart::Guarded => 5,
        };
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn every_setting_reads_what_it_shows() {
        let config = Config::default();
        let mut copy = Config::default();
        for setting in config.iter() {
            copy.set_by_name(setting.name, &setting.value).unwrap();
        }
        assert_eq!(copy, config);
    }

    #[test]
    fn unknown_and_unreadable_values_say_so() {
        let mut config = Config::default();
        assert!(matches!(config.set_by_name("tcp_sock", "1"), Err(ConfigError::Unknown(_))));
        assert!(matches!(config.set_by_name("tcp_sack", "2"), Err(ConfigError::Invalid { .. })));
        assert!(matches!(
            config.set_by_name("tcp_congestion_control", "vegas"),
            Err(ConfigError::Invalid { .. })
        ));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn contradictions_are_found() {
        for (name, value) in [
            ("tcp_rmem", "4096 100 50"),
            ("tcp_wmem", "0 1 2"),
            ("ip_local_port_range", "5 4"),
            ("tcp_rto_min_us", "200000000"),
            ("tcp_rto_max_ms", "18446744073709551615"),
            ("tcp_rto_max_ms", "999"),
            ("tcp_syn_retries", "4294967295"),
            ("ip_default_ttl", "0"),
            ("tcp_reordering", "0"),
            ("tcp_reordering", "301"),
            ("towpath.initial_window", "0"),
            ("towpath.egress_queue", "0"),
            ("towpath.memory", "0 1 2"),
            ("towpath.memory", "3 2 4"),
            ("towpath.memory", "1 4 3"),
        ] {
            let mut config = Config::default();
            config.set_by_name(name, value).unwrap();
            assert!(config.validate().is_err(), "{name} = {value}");
        }
    }
}
