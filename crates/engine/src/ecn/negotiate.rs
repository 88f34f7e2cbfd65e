//! Which form of ECN two sides agree on: RFC 3168 section 6.1.1 and RFC 9768 section 3.1.

use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{AccEcn, Flags};

use super::option::OptionSeen;
use crate::config::{Config, EcnForm};

/// What was agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Agreement {
    #[default]
    Off,
    Classic,
    Accurate(Start),
}

/// What accurate ECN begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The codepoint with which the peer's SYN, or SYN-ACK, arrived.
    pub(crate) syn_arrived: Codepoint,
    /// It was marked, and that is to be counted.
    pub(crate) received_ce: bool,
    /// The peer says that ours was marked.
    pub(crate) delivered_ce: bool,
    pub(crate) option: OptionSeen,
    pub(crate) failures: Failures,
    /// Segments that are to carry the option in any case.
    pub(crate) option_demand: u8,
    /// It was we who asked: our first ACK says with which codepoint the SYN-ACK arrived, and the
    /// peer's first segment that is handed on is not the one that said so of our SYN-ACK.
    pub(crate) active: bool,
}

/// What of the feedback cannot be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    /// The peer may not get our three bits.
    pub(crate) bits_sent: bool,
    /// We may not get the peer's.
    pub(crate) bits_received: bool,
    /// The peer may not get segments with our option.
    pub(crate) option_sent: bool,
    /// The peer's option is mangled.
    pub(crate) option_received: bool,
}

/// The three bits as a number: AE, CWR, ECE.
pub(crate) fn number(flags: Flags) -> u8 {
    ((flags.bits() >> 6) & 0b111) as u8
}

/// The three bits of a number.
pub(crate) fn bits(number: u32) -> Flags {
    Flags::from_bits_truncate(((number & 0b111) as u16) << 6)
}

/// The flags of our SYN; the first of its retransmissions still asks for accurate ECN, none for
/// classic ECN: the path may drop what asks.
// Implements: RFC9768 s3.1.1a, RFC9768 s3.1.4a, RFC3168 s6.1.1a, RFC3168 s6.1.1.1
pub(crate) fn syn_flags(config: &Config, wish: EcnForm, retransmissions: u32) -> Flags {
    let classic = Flags::ECE | Flags::CWR;
    let falls_back = |after: u32| config.tcp_ecn_fallback && retransmissions > after;
    match wish {
        EcnForm::Classic if !falls_back(0) => classic,
        EcnForm::Accurate if !falls_back(1) => classic | Flags::AE,
        _ => Flags::empty(),
    }
}

/// What the peer says with its codes of the codepoint with which our SYN, or SYN-ACK, arrived.
fn told_codepoint(number: u8) -> Codepoint {
    match number {
        0b010 => Codepoint::NotEct,
        0b110 => Codepoint::Ce,
        0b000 | 0b100 => Codepoint::Ect0,
        _ => Codepoint::Ect1,
    }
}

/// The code for the codepoint with which a SYN, or SYN-ACK, arrived (RFC 9768 table 2).
// Implements: RFC9768 s3.1.1b, RFC9768 s3.2.2.1
pub(crate) fn reflected(arrived: Codepoint) -> Flags {
    bits(match arrived {
        Codepoint::NotEct => 0b010,
        Codepoint::Ect1 => 0b011,
        Codepoint::Ect0 => 0b100,
        Codepoint::Ce => 0b110,
    })
}

/// Whether a network that marks can have turned one codepoint into the other.
// Implements: RFC9768 s3.2.2.3/4
fn is_possible(sent: Codepoint, arrived: Codepoint) -> bool {
    sent == arrived
        || sent != Codepoint::NotEct && arrived != Codepoint::NotEct && sent != Codepoint::Ce
}

/// Whether the peer's code for the codepoint of what we sent can be true; ours are all Not-ECT.
fn is_true(config: &Config, number: u8) -> bool {
    !config.tcp_ecn_fallback || is_possible(Codepoint::NotEct, told_codepoint(number))
}

/// A SYN-ACK answers our SYN.
// Implements: RFC9768 s3.1.2a, RFC3168 s6.1.1a, RFC3168 s6.1.1b
pub(crate) fn on_syn_ack(
    config: &Config,
    wish: EcnForm,
    flags: Flags,
    arrived: Codepoint,
    option: Option<&AccEcn>,
) -> Agreement {
    let code = number(flags);
    match (wish, code) {
        (EcnForm::Off, _) => Agreement::Off,
        (EcnForm::Classic, _) if code & 0b011 == 0b001 => Agreement::Classic,
        (EcnForm::Classic, _) => Agreement::Off,
        (EcnForm::Accurate, 0b000 | 0b111) => Agreement::Off,
        (EcnForm::Accurate, 0b001) => Agreement::Classic,
        (EcnForm::Accurate, _) => {
            let mut failures = Failures::default();
            // 101 is reserved: it tells nothing of the codepoint.
            let told = code != 0b101;
            let marked = arrived == Codepoint::Ce;
            if marked && told && !is_true(config, code) {
                failures.bits_received = true;
            }
            let option = option.map_or(OptionSeen::No, OptionSeen::first);
            failures.option_received = option == OptionSeen::Mangled;
            Agreement::Accurate(Start {
                syn_arrived: arrived,
                received_ce: marked && !failures.bits_received,
                delivered_ce: false,
                option,
                failures,
                option_demand: if option == OptionSeen::No { 0 } else { 2 },
                active: true,
            })
        }
    }
}

/// What a SYN asks for and gets: what a half-open connection remembers of ECN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asked {
    #[default]
    Off,
    Classic,
    Accurate {
        /// The codepoint of the SYN that came last.
        arrived: Codepoint,
        failures: Failures,
        option: OptionSeen,
    },
}

impl Asked {
    // Implements: RFC9768 s3.1.2b, RFC3168 s6.1.1a, RFC3168 s6.1.1e
    pub(crate) fn new(
        accepted: EcnForm,
        every_mark: bool,
        flags: Flags,
        arrived: Codepoint,
    ) -> Asked {
        let code = number(flags);
        if accepted == EcnForm::Accurate && !matches!(code, 0b000 | 0b011) {
            return Asked::Accurate {
                arrived,
                failures: Failures::default(),
                option: OptionSeen::No,
            };
        }
        // A SYN that can be marked asks for more than classic ECN, or its bits were played with.
        // DCTCP's can.
        let plain = arrived == Codepoint::NotEct || flags.contains(Flags::AE) || every_mark;
        if accepted != EcnForm::Off && code & 0b011 == 0b011 && plain {
            return Asked::Classic;
        }
        Asked::Off
    }

    /// Its SYN came again.
    pub(crate) fn on_syn_again(&mut self, flags: Flags, codepoint: Codepoint) {
        if let Asked::Accurate { arrived, failures, .. } = self {
            *arrived = codepoint;
            failures.bits_received |= number(flags) == 0;
        }
    }

    /// The flags of a SYN-ACK, `timeouts` of which nobody answered.
    // Implements: RFC9768 s3.1.1b, RFC9768 s3.2.3.2.2, RFC3168 s6.1.1a
    pub(crate) fn syn_ack_flags(&self, timeouts: u32) -> Flags {
        match self {
            _ if timeouts > 1 => Flags::empty(),
            Asked::Off => Flags::empty(),
            Asked::Classic => Flags::ECE,
            Asked::Accurate { arrived, .. } => reflected(*arrived),
        }
    }

    /// Whether a SYN-ACK carries the option: the first does; what has been lost may have been lost
    /// for it.
    // Implements: RFC9768 s3.2.3.2.1, RFC9768 s3.2.3.2.2
    pub(crate) fn has_option(&self, config: &Config, answers: u32) -> bool {
        matches!(self, Asked::Accurate { .. }) && config.tcp_ecn_option > 0 && answers <= 1
    }

    /// A SYN-ACK left, for the time that `answers` says.
    pub(crate) fn on_answer(&mut self, answers: u32) {
        if let Asked::Accurate { failures, .. } = self {
            // More than one was lost: perhaps for its bits.
            failures.bits_sent |= answers > 2;
        }
    }

    /// The ACK that completes the handshake.
    // Implements: RFC9768 s3.2.2.1b
    pub(crate) fn agree(
        &self,
        config: &Config,
        flags: Flags,
        has_text: bool,
        has_sack: bool,
        option: Option<&AccEcn>,
    ) -> Agreement {
        match *self {
            Asked::Off => Agreement::Off,
            Asked::Classic => Agreement::Classic,
            Asked::Accurate { arrived, mut failures, option: seen } => {
                let code = number(flags);
                let mut delivered_ce = false;
                let option = match option {
                    Some(option) if !seen.has_counters() => OptionSeen::first(option),
                    _ => seen,
                };
                failures.option_received |= option == OptionSeen::Mangled;
                match code {
                    0b000 if !has_sack => {
                        failures.bits_received = true;
                        failures.option_received = true;
                    }
                    0b000 | 0b001 | 0b101 | 0b111 => {}
                    // Data means that the bits are the counter already.
                    _ if has_text || has_sack => {}
                    _ if !is_true(config, code) => failures.bits_received = true,
                    _ => delivered_ce = told_codepoint(code) == Codepoint::Ce,
                }
                Agreement::Accurate(Start {
                    syn_arrived: arrived,
                    received_ce: false,
                    delivered_ce,
                    option,
                    failures,
                    option_demand: 1,
                    active: false,
                })
            }
        }
    }
}
