//! What two SYNs agree on: MSS, window scale, SACK, timestamps (RFC 9293 section 3.2, RFC 7323
//! sections 2.2 and 3.2, RFC 2018 section 2). An option is on only if both sides asked for it.

use core::time::Duration;

use towpath_wire::SeqNumber;
use towpath_wire::tcp::{Options, Timestamps as TimestampsOption};

use crate::config::Config;
use crate::ecn::negotiate::Agreement;
use crate::instant::Instant;
use crate::recv::room::Room;
use crate::recv::window::ReceiveWindow;
use crate::send::mss::TIMESTAMPS_LEN;

/// What our SYN says of our receiving side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    pub(crate) shift: u8,
    pub(crate) window: u16,
}

impl Offer {
    pub(crate) fn new(mss: u16, window: &ReceiveWindow) -> Offer {
        Offer { mss, shift: window.scale().shift(), window: window.syn_field() }
    }
}

/// The options of our SYN.
// Implements: 9293 SHLD-5, RFC7323 s3.2d
pub(crate) fn syn_options(config: &Config, offer: &Offer, timestamp: u32) -> Options {
    Options {
        mss: Some(offer.mss),
        window_scale: config.tcp_window_scaling.then_some(offer.shift),
        sack_permitted: config.tcp_sack,
        timestamps: config.tcp_timestamps.then_some(TimestampsOption { value: timestamp, echo: 0 }),
        ..Options::default()
    }
}

/// The window that a SYN offers, in segments that carry timestamps or do not.
pub(crate) fn receive_window(
    config: &Config,
    room: &Room,
    mss: u16,
    timestamps: bool,
) -> ReceiveWindow {
    let options = if timestamps { TIMESTAMPS_LEN } else { 0 };
    let mss = u32::from(mss).saturating_sub(options);
    ReceiveWindow::initial(room, mss, config.tcp_window_scaling)
}

/// What was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The peer's MSS option.
    pub(crate) mss: Option<u16>,
    /// The peer's shift; `None` if scaling is off in both directions.
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    /// The peer's TSval.
    pub(crate) timestamp: Option<u32>,
}

impl Agreed {
    /// The bytes of options in each segment.
    pub(crate) fn options_len(&self) -> u32 {
        if self.timestamp.is_some() { TIMESTAMPS_LEN } else { 0 }
    }

    /// What the peer's SYN and our wishes give.
    // Implements: RFC7323 s2.2a, RFC7323 s2.2b, RFC7323 s3.2a, RFC2018 s3b, 9293 MUST-14
    pub(crate) fn new(config: &Config, peer: &Options) -> Agreed {
        Agreed {
            mss: peer.mss,
            window_scale: peer.window_scale.filter(|_| config.tcp_window_scaling),
            sack: peer.sack_permitted && config.tcp_sack,
            timestamp: peer
                .timestamps
                .filter(|_| config.tcp_timestamps)
                .map(|timestamps| timestamps.value),
        }
    }

    /// The options of a SYN-ACK: only what the SYN had.
    pub(crate) fn syn_ack_options(
        &self,
        config: &Config,
        offer: &Offer,
        timestamp: u32,
    ) -> Options {
        let mut options = syn_options(config, offer, timestamp);
        options.window_scale = options.window_scale.filter(|_| self.window_scale.is_some());
        options.sack_permitted = self.sack;
        options.timestamps = self.timestamp.map(|echo| TimestampsOption { value: timestamp, echo });
        options
    }
}

/// A complete handshake: the only thing that a connection's spaces are set up from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    pub(crate) iss: SeqNumber,
    pub(crate) irs: SeqNumber,
    /// The peer's window, scaled.
    pub(crate) window: u32,
    /// The sequence number of the segment that set the window.
    pub(crate) window_seq: SeqNumber,
    pub(crate) agreed: Agreed,
    pub(crate) timestamp_offset: u32,
    /// When the peer's TSval arrived.
    pub(crate) timestamp_at: Instant,
    /// The time from our SYN to its acknowledgment, if Karn allows it.
    pub(crate) rtt: Option<Duration>,
    /// How often our SYN or SYN-ACK was sent again.
    pub(crate) retransmissions: u32,
    /// What was agreed of ECN.
    pub(crate) ecn: Agreement,
    /// What our SYN-ACK said of our window, where that is remembered: the listener's options may be
    /// others by now.
    pub(crate) promised: Option<Offer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer { mss: 1460, shift: 10, window: 64_240 };

    // Shows: RFC7323 s2.2a, RFC7323 s3.2a, RFC2018 s3b
    #[test]
    fn a_syn_ack_has_only_what_the_syn_had() {
        let config = Config::default();
        for bits in 0..8u8 {
            let peer = Options {
                mss: Some(1400),
                window_scale: (bits & 1 != 0).then_some(3),
                sack_permitted: bits & 2 != 0,
                timestamps: (bits & 4 != 0).then_some(TimestampsOption { value: 77, echo: 0 }),
                ..Options::default()
            };
            let agreed = Agreed::new(&config, &peer);
            let answer = agreed.syn_ack_options(&config, &OFFER, 5);
            assert_eq!(answer.mss, Some(1460));
            assert_eq!(answer.window_scale.is_some(), peer.window_scale.is_some());
            assert_eq!(answer.sack_permitted, peer.sack_permitted);
            assert_eq!(
                answer.timestamps,
                peer.timestamps.map(|_| TimestampsOption { value: 5, echo: 77 })
            );
        }
    }

    #[test]
    fn what_is_switched_off_is_neither_offered_nor_accepted() {
        let config =
            Config::default().tcp_sack(false).tcp_timestamps(false).tcp_window_scaling(false);
        let offer = syn_options(&config, &OFFER, 5);
        assert_eq!(offer, Options { mss: Some(1460), ..Options::default() });
        let peer = syn_options(&Config::default(), &OFFER, 5);
        let agreed = Agreed::new(&config, &peer);
        assert_eq!(agreed.syn_ack_options(&config, &OFFER, 5), offer);
    }
}
