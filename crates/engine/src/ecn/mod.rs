//! Explicit congestion notification: what the network marks, the receiver tells, and the sender
//! heeds. Classic ECN (RFC 3168) says once a round trip that something was marked; accurate ECN
//! (RFC 9768) says how much.
//!
//! Owns the form that was agreed on, what is to be fed back, and what was heard. That marks mean
//! congestion is `congestion`'s business; when an acknowledgment leaves is the ACK policy's.

pub(crate) mod accurate;
pub(crate) mod classic;
pub(crate) mod negotiate;
pub(crate) mod option;

use towpath_wire::ip::Ecn as Codepoint;
use towpath_wire::tcp::{Flags, Segment};

use self::accurate::{Accurate, Echo};
use self::classic::Classic;
use self::negotiate::Agreement;
use crate::config::EcnForm;

/// ECN of one connection.
#[derive(Debug, Default)]
pub(crate) enum Ecn {
    /// Not agreed on.
    #[default]
    Off,
    Classic(Classic),
    Accurate(Box<Accurate>),
}

/// What an arriving segment asks of the ACK policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hurry {
    None,
    /// Acknowledge at once.
    Now,
    /// Acknowledge at once, and the next ones too.
    Quick,
}

/// What kind of segment leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Data for the first time.
    New,
    /// Data again, or a probe of the window.
    Again,
    /// No data.
    Bare,
}

impl Ecn {
    /// `every_mark` is whether the congestion control answers each mark by itself.
    pub(crate) fn new(agreement: Agreement, every_mark: bool) -> Ecn {
        match agreement {
            Agreement::Off => Ecn::Off,
            Agreement::Classic => Ecn::Classic(Classic::new(every_mark)),
            Agreement::Accurate(start) => Ecn::Accurate(Box::new(Accurate::new(start))),
        }
    }

    /// Which form it is.
    pub(crate) fn form(&self) -> EcnForm {
        match self {
            Ecn::Off => EcnForm::Off,
            Ecn::Classic(_) => EcnForm::Classic,
            Ecn::Accurate(_) => EcnForm::Accurate,
        }
    }

    pub(crate) fn accurate(&self) -> Option<&Accurate> {
        match self {
            Ecn::Accurate(accurate) => Some(accurate),
            _ => None,
        }
    }

    pub(crate) fn accurate_mut(&mut self) -> Option<&mut Accurate> {
        match self {
            Ecn::Accurate(accurate) => Some(accurate),
            _ => None,
        }
    }

    /// An acceptable segment arrived, `segments` of them joined into one.
    // Implements: RFC9768 s3.2b, RFC3168 s6.1.5
    pub(crate) fn on_segment(
        &mut self,
        codepoint: Codepoint,
        segments: u32,
        text_len: u32,
    ) -> Hurry {
        match self {
            Ecn::Accurate(accurate) => accurate.on_segment(codepoint, segments, text_len),
            _ => Hurry::None,
        }
    }

    /// The ACK of an acceptable segment is looked at: the peer may say that it has slowed down.
    pub(crate) fn on_flags(&mut self, segment: &Segment, text_len: usize) -> Hurry {
        match self {
            Ecn::Classic(classic) if segment.flags.contains(Flags::CWR) => {
                classic.on_reduced(segment.sequence_len(text_len) > 0)
            }
            _ => Hurry::None,
        }
    }

    /// Text is about to be taken that arrived with this codepoint: the flags with which everything
    /// before it must be acknowledged first, if its acknowledgment would say otherwise.
    pub(crate) fn before_change(&self, codepoint: Codepoint) -> Option<Flags> {
        match self {
            Ecn::Classic(classic) => classic.before_change(codepoint),
            _ => None,
        }
    }

    /// Text of such a segment is taken.
    pub(crate) fn on_text(&mut self, codepoint: Codepoint) -> Hurry {
        match self {
            Ecn::Off => Hurry::None,
            Ecn::Classic(classic) => classic.on_text(codepoint),
            Ecn::Accurate(accurate) => accurate.on_text(codepoint),
        }
    }

    /// How many segments were marked, as an acceptable ACK tells; with classic ECN all that it
    /// delivers, if it tells of any.
    pub(crate) fn marked(&mut self, flags: Flags, echo: &Echo<'_>) -> Marked {
        match self {
            Ecn::Off => Marked::default(),
            Ecn::Classic(classic) => {
                let told = flags.contains(Flags::ECE) && !flags.contains(Flags::SYN);
                classic.count(told, echo.delivered_segments);
                Marked {
                    segments: if told { echo.delivered_segments } else { 0 },
                    congestion: told,
                }
            }
            Ecn::Accurate(accurate) => {
                let segments = accurate.on_ack(flags, echo);
                Marked { segments, congestion: segments > 0 }
            }
        }
    }

    /// The window was reduced, for whatever reason: with classic ECN the peer is told.
    // Implements: RFC3168 s6.1.2b, RFC9768 s3.1.5c
    pub(crate) fn on_reduced(&mut self) {
        if let Ecn::Classic(classic) = self {
            classic.owe_reduced();
        }
    }

    /// The reduction was not necessary, and is undone: there is nothing to tell.
    pub(crate) fn on_reduction_undone(&mut self) {
        if let Ecn::Classic(classic) = self {
            classic.owe_nothing();
        }
    }

    /// The codepoint and the flags of a segment that leaves.
    pub(crate) fn stamp(&mut self, leaving: Leaving) -> (Codepoint, Flags) {
        match self {
            Ecn::Off => (Codepoint::NotEct, Flags::empty()),
            Ecn::Classic(classic) => classic.stamp(leaving),
            Ecn::Accurate(accurate) => accurate.stamp(leaving),
        }
    }

    /// Whether something arrived that can be marked.
    pub(crate) fn is_seen(&self) -> bool {
        match self {
            Ecn::Off => false,
            Ecn::Classic(classic) => classic.is_seen(),
            Ecn::Accurate(accurate) => accurate.is_seen(),
        }
    }

    /// Segments that were delivered with a mark.
    pub(crate) fn delivered_ce(&self) -> u32 {
        match self {
            Ecn::Off => 0,
            Ecn::Classic(classic) => classic.delivered_ce(),
            Ecn::Accurate(accurate) => accurate.delivered_ce(),
        }
    }
}

/// What an acknowledgment told of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) segments: u32,
    /// It is a sign of congestion.
    pub(crate) congestion: bool,
}
