//! Options and readiness in tokio's words and the engine's.

use std::io;

use tokio::io::{Interest, Ready};
use towpath_engine::{Config, Readiness, SocketError, SocketOptions};

use crate::error::io_error;
use crate::waiters::Direction;

/// When an idle connection is probed, and when it is given up.
pub use towpath_engine::KeepAlive;

/// What ends a wait for `interest`.
pub(crate) fn readiness_of(interest: Interest) -> Readiness {
    let mut readiness = Readiness::ERROR;
    if interest.is_readable() {
        readiness |= Direction::Read.interest();
    }
    if interest.is_writable() {
        readiness |= Direction::Write.interest();
    }
    readiness
}

/// What a wait for `interest` found. An error makes every call return at once, so it is readiness
/// for all that was asked.
pub(crate) fn ready_of(readiness: Readiness, interest: Interest) -> Ready {
    let mut ready = Ready::EMPTY;
    let mut add = |found: bool, what: Ready| {
        if found {
            ready |= what;
        }
    };
    let error = readiness.contains(Readiness::ERROR);
    if interest.is_readable() {
        add(error || readiness.contains(Readiness::READABLE), Ready::READABLE);
        add(error || readiness.contains(Readiness::READ_CLOSED), Ready::READ_CLOSED);
    }
    if interest.is_writable() {
        add(error || readiness.contains(Readiness::WRITABLE), Ready::WRITABLE);
        add(error || readiness.contains(Readiness::WRITE_CLOSED), Ready::WRITE_CLOSED);
    }
    if interest.is_error() {
        add(error, Ready::ERROR);
    }
    ready
}

/// A time to live that may be sent.
pub(crate) fn valid_ttl(ttl: u32) -> io::Result<u8> {
    match u8::try_from(ttl) {
        Ok(ttl) if ttl > 0 => Ok(ttl),
        _ => Err(io_error(SocketError::InvalidInput)),
    }
}

/// The time to live that is sent.
pub(crate) fn ttl(options: &SocketOptions, config: &Config) -> u32 {
    match options.ttl {
        Some(ttl) => ttl.into(),
        None => configured(config, "ip_default_ttl"),
    }
}

/// The size of the send buffer, in bytes, that a connection begins with.
pub(crate) fn send_buffer(options: &SocketOptions, config: &Config) -> u32 {
    match options.send_buffer {
        Some(size) => u32::try_from(size).unwrap_or(u32::MAX),
        None => configured_at(config, "tcp_wmem", 1),
    }
}

fn configured(config: &Config, name: &str) -> u32 {
    configured_at(config, name, 0)
}

/// The number at `position` in a setting's value.
fn configured_at(config: &Config, name: &str, position: usize) -> u32 {
    let value = config.iter().find(|setting| setting.name == name).map(|setting| setting.value);
    let number = value.as_deref().and_then(|value| value.split(' ').nth(position)?.parse().ok());
    debug_assert!(number.is_some(), "{name} has a number at {position}");
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_reported_for_what_was_asked() {
        let all = [
            (Readiness::READABLE, Ready::READABLE),
            (Readiness::READ_CLOSED, Ready::READ_CLOSED),
            (Readiness::WRITABLE, Ready::WRITABLE),
            (Readiness::WRITE_CLOSED, Ready::WRITE_CLOSED),
        ];
        for (readiness, ready) in all {
            assert_eq!(ready_of(readiness, Interest::READABLE | Interest::WRITABLE), ready);
            let reading = ready.is_readable() || ready.is_read_closed();
            let other = if reading { Interest::WRITABLE } else { Interest::READABLE };
            assert_eq!(ready_of(readiness, other), Ready::EMPTY);
            let own = if reading { Interest::READABLE } else { Interest::WRITABLE };
            assert!(readiness_of(own).contains(readiness));
            assert!(!readiness_of(other).intersects(readiness));
        }
        // An error lets whoever waits go on, to find it.
        assert!(ready_of(Readiness::ERROR, Interest::READABLE).is_readable());
        assert!(ready_of(Readiness::ERROR, Interest::WRITABLE).is_writable());
        assert!(readiness_of(Interest::READABLE).contains(Readiness::ERROR));
    }

    #[test]
    fn what_was_not_set_is_the_configurations() {
        let config = Config::default();
        let mut options = SocketOptions::default();
        assert_eq!((ttl(&options, &config), send_buffer(&options, &config)), (64, 16_384));
        (options.ttl, options.send_buffer) = (Some(9), Some(5000));
        assert_eq!((ttl(&options, &config), send_buffer(&options, &config)), (9, 5000));
    }

    #[test]
    fn a_time_to_live_is_from_1_to_255() {
        assert_eq!(valid_ttl(255).unwrap(), 255);
        for ttl in [0, 256, u32::MAX] {
            assert_eq!(valid_ttl(ttl).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
