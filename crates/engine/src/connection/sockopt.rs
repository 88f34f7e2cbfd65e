//! `setsockopt` and `getsockopt` in Linux's words: names, whole numbers, ranges, and what is read back.
//!
//! [`SocketOptions`] has values with units; here is what a number of Linux's means for them, so that
//! whoever translates socket calls need not know it.

use core::time::Duration;

use super::options::{FinWait2, SocketOptions, time_of};
use crate::config::Config;
use crate::error::SocketError;
use crate::recv::room;

/// Linux's MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL, in seconds.
const LONGEST_KEEP_ALIVE: i32 = 32_767;
/// Linux's MAX_TCP_KEEPCNT and MAX_TCP_SYNCNT.
const MOST_RETRIES: i32 = 127;
/// Linux's TCP_MIN_MSS and MAX_TCP_WINDOW.
const SEGMENT_SIZES: core::ops::RangeInclusive<i32> = 88..=32_767;
/// Linux's TCP_FIN_TIMEOUT_MAX, in seconds.
const LONGEST_FIN_WAIT_2: i32 = 120;

impl SocketOptions {
    /// Sets the option of this name to Linux's number for it. TCP_QUICKACK is a call of its own on a
    /// connection ([`Endpoint::set_quick_ack`](crate::Endpoint::set_quick_ack)); SO_LINGER and
    /// TCP_CONGESTION are not numbers: they are fields.
    ///
    /// # Errors
    ///
    /// `InvalidInput` (EINVAL) out of Linux's range; `ProtocolUnreachable` (ENOPROTOOPT) for a name
    /// that is not here.
    pub fn set_by_name(&mut self, name: &str, value: i32) -> Result<(), SocketError> {
        match name {
            "TCP_NODELAY" => self.nodelay = value != 0,
            "TCP_CORK" => self.cork = value != 0,
            "TCP_QUICKACK" => self.quickack = value != 0,
            "SO_KEEPALIVE" => self.keepalive = value != 0,
            "TCP_KEEPIDLE" => {
                self.keepalive_time = Some(seconds(within(value, 1..=LONGEST_KEEP_ALIVE)?));
            }
            "TCP_KEEPINTVL" => {
                self.keepalive_interval = Some(seconds(within(value, 1..=LONGEST_KEEP_ALIVE)?));
            }
            "TCP_KEEPCNT" => self.keepalive_probes = Some(within(value, 1..=MOST_RETRIES)?),
            "TCP_SYNCNT" => self.syn_retries = Some(within(value, 1..=MOST_RETRIES)?),
            "TCP_USER_TIMEOUT" => {
                let millis = u64::from(within(value, 0..=i32::MAX)?);
                self.user_timeout = (millis > 0).then(|| Duration::from_millis(millis));
            }
            "TCP_NOTSENT_LOWAT" => self.notsent_lowat = Some(value as u32).filter(|v| *v > 0),
            "TCP_MAXSEG" if value == 0 => self.max_segment = None,
            "TCP_MAXSEG" => self.max_segment = u16::try_from(within(value, SEGMENT_SIZES)?).ok(),
            "TCP_WINDOW_CLAMP" => {
                self.window_clamp = u32::try_from(value).ok().filter(|clamp| *clamp > 0);
            }
            "TCP_LINGER2" => {
                self.fin_wait_2 = match value {
                    ..0 => FinWait2::NotAtAll,
                    0 => FinWait2::Default,
                    _ => FinWait2::For(seconds(value.min(LONGEST_FIN_WAIT_2).unsigned_abs())),
                };
            }
            "TCP_DEFER_ACCEPT" => {
                self.defer_accept = (value > 0).then(|| seconds(value.unsigned_abs()));
            }
            // As Linux, a negative size counts as a very large one.
            "SO_RCVBUF" => self.receive_buffer = Some(value as u32 as usize),
            "SO_SNDBUF" => self.send_buffer = Some(value as u32 as usize),
            "SO_RCVLOWAT" => {
                let bytes = if value < 0 { i32::MAX } else { value.max(1) };
                self.rcvlowat = bytes.unsigned_abs() as usize;
            }
            // The ECN bits are not the application's.
            "IP_TOS" => self.tos = value as u8 & !0b11,
            "IPV6_TCLASS" if value == -1 => self.tos = 0,
            "IPV6_TCLASS" => self.tos = within(value, 0..=255)? as u8 & !0b11,
            "IP_TTL" | "IPV6_UNICAST_HOPS" if value == -1 => self.ttl = None,
            "IP_TTL" => self.ttl = Some(within(value, 1..=255)? as u8),
            "IPV6_UNICAST_HOPS" => self.ttl = Some(within(value, 0..=255)? as u8),
            _ => return Err(SocketError::ProtocolUnreachable),
        }
        Ok(())
    }

    /// The number that Linux's `getsockopt` gives for the option of this name; `None` for a name that
    /// is not here. TCP_MAXSEG of a connection is [`TcpInfo::snd_mss`](crate::TcpInfo::snd_mss).
    pub fn get_by_name(&self, config: &Config, name: &str) -> Option<i32> {
        let keep_alive = SocketOptions { keepalive: true, ..*self }.keep_alive(config)?;
        Some(match name {
            "TCP_NODELAY" => self.nodelay.into(),
            "TCP_CORK" => self.cork.into(),
            "TCP_QUICKACK" => self.quickack.into(),
            "SO_KEEPALIVE" => self.keepalive.into(),
            "TCP_KEEPIDLE" => whole_seconds(keep_alive.time),
            "TCP_KEEPINTVL" => whole_seconds(keep_alive.interval),
            "TCP_KEEPCNT" => number(keep_alive.probes),
            "TCP_SYNCNT" => number(self.syn_retries.unwrap_or(config.tcp_syn_retries)),
            "TCP_USER_TIMEOUT" => self
                .user_timeout
                .map_or(0, |time| number(time.as_millis().min(i32::MAX as u128) as u32)),
            // What was set, not what is in force.
            "TCP_NOTSENT_LOWAT" => self.notsent_lowat.unwrap_or(0) as i32,
            "TCP_MAXSEG" => self.max_segment.unwrap_or(536).into(),
            "TCP_WINDOW_CLAMP" => number(self.window_clamp.unwrap_or(0)),
            "TCP_LINGER2" => self.fin_timeout(config).map_or(-1, whole_seconds),
            "TCP_DEFER_ACCEPT" => whole_seconds(time_of(self.deferring_timeouts(config), config)),
            "SO_RCVBUF" => number(room::memory(config, self) as u32),
            "SO_SNDBUF" => {
                let size = self.send_buffer.unwrap_or(config.tcp_wmem.default / 2);
                number(u32::try_from(size.saturating_mul(2)).unwrap_or(u32::MAX))
            }
            "SO_RCVLOWAT" => i32::try_from(self.rcvlowat).unwrap_or(i32::MAX),
            "IP_TOS" | "IPV6_TCLASS" => self.tos.into(),
            "IP_TTL" | "IPV6_UNICAST_HOPS" => self.ttl.unwrap_or(config.ip_default_ttl).into(),
            _ => return None,
        })
    }
}

fn within(value: i32, range: core::ops::RangeInclusive<i32>) -> Result<u32, SocketError> {
    if range.contains(&value) { Ok(value.unsigned_abs()) } else { Err(SocketError::InvalidInput) }
}

fn seconds(value: u32) -> Duration {
    Duration::from_secs(value.into())
}

fn whole_seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_and_read_back_as_on_linux() {
        let config = Config::default();
        for (name, set, got) in [
            ("TCP_NODELAY", 7, 1),
            ("TCP_CORK", 1, 1),
            ("SO_KEEPALIVE", 1, 1),
            ("TCP_KEEPIDLE", 60, 60),
            ("TCP_KEEPINTVL", 10, 10),
            ("TCP_KEEPCNT", 5, 5),
            ("TCP_SYNCNT", 2, 2),
            ("TCP_USER_TIMEOUT", 1500, 1500),
            ("TCP_NOTSENT_LOWAT", 4096, 4096),
            ("TCP_MAXSEG", 1000, 1000),
            ("TCP_WINDOW_CLAMP", 5000, 5000),
            ("TCP_LINGER2", 7, 7),
            ("TCP_LINGER2", -5, -1),
            ("TCP_LINGER2", 0, 60),
            ("TCP_LINGER2", 500, 120),
            // Whole time-outs of a SYN-ACK: 1 s, 3 s, 7 s, 15 s.
            ("TCP_DEFER_ACCEPT", 1, 1),
            ("TCP_DEFER_ACCEPT", 5, 7),
            ("TCP_DEFER_ACCEPT", 8, 15),
            ("TCP_DEFER_ACCEPT", 0, 0),
            ("SO_RCVBUF", 10_000, 20_000),
            ("SO_RCVBUF", 1, 2304),
            ("SO_RCVBUF", -1, 8_388_608),
            ("SO_SNDBUF", 10_000, 20_000),
            ("SO_RCVLOWAT", 0, 1),
            ("SO_RCVLOWAT", 3000, 3000),
            ("IP_TOS", 0x1f, 0x1c),
            ("IP_TTL", 9, 9),
            ("IP_TTL", -1, 64),
        ] {
            let mut options = SocketOptions::default();
            assert_eq!(options.set_by_name(name, set), Ok(()), "{name}");
            assert_eq!(options.get_by_name(&config, name), Some(got), "{name} = {set}");
        }
    }

    #[test]
    fn what_was_not_set_reads_as_the_configuration() {
        let options = SocketOptions::default();
        let got = |name| options.get_by_name(&Config::default(), name);
        for (name, value) in [
            ("TCP_KEEPIDLE", 7200),
            ("TCP_KEEPINTVL", 75),
            ("TCP_KEEPCNT", 9),
            ("TCP_SYNCNT", 6),
            ("TCP_QUICKACK", 1),
            ("SO_RCVBUF", 131_072),
            ("SO_SNDBUF", 16_384),
            ("TCP_MAXSEG", 536),
        ] {
            assert_eq!(got(name), Some(value), "{name}");
        }
        assert_eq!(got("TCP_MD5SIG"), None);
    }

    #[test]
    fn what_linux_refuses_is_refused() {
        let mut options = SocketOptions::default();
        for (name, value) in [
            ("TCP_KEEPIDLE", 0),
            ("TCP_KEEPIDLE", 32_768),
            ("TCP_KEEPINTVL", 0),
            ("TCP_KEEPCNT", 128),
            ("TCP_SYNCNT", 0),
            ("TCP_USER_TIMEOUT", -1),
            ("TCP_MAXSEG", 87),
            ("TCP_MAXSEG", 32_768),
            ("IP_TTL", 0),
            ("IPV6_TCLASS", 256),
        ] {
            let error = options.set_by_name(name, value);
            assert_eq!(error, Err(SocketError::InvalidInput), "{name} = {value}");
        }
        let unknown = options.set_by_name("TCP_MD5SIG", 1);
        assert_eq!(unknown, Err(SocketError::ProtocolUnreachable));
        assert_eq!(options, SocketOptions::default());
    }
}
