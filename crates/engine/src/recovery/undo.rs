//! Whether a recovery was necessary: Eifel by timestamps (RFC 3522), and by D-SACK (RFC 3708).
//!
//! Owns what is known of the retransmissions of the present recovery. What is restored is the
//! congestion controller's (RFC 4015).

use crate::instant::Instant;
use crate::timestamps::Echo;

/// The retransmissions of one recovery.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undo {
    /// Where the recovery began, if there is anything to undo.
    marker: Option<u64>,
    /// Segments sent again of which the peer has not reported that they arrived twice; `None` while
    /// nothing was sent again.
    unreported: Option<u64>,
    /// When something was first sent again.
    first_resent_at: Option<Instant>,
    /// Congestion is proven by other means: the window stays down.
    is_forbidden: bool,
}

impl Undo {
    /// A recovery begins at `una` with so many segments sent again on their way.
    // Implements: RFC3522 s3.2
    pub(crate) fn begin(&mut self, una: u64, resent: u64) {
        self.marker = Some(una);
        self.unreported = (resent > 0).then_some(resent);
        self.is_forbidden = false;
    }

    /// What was sent again did not tell anything, or does not any more.
    pub(crate) fn end(&mut self) {
        self.marker = None;
    }

    /// Congestion is proven: nothing of the present recovery is undone.
    pub(crate) fn forbid(&mut self) {
        self.is_forbidden = true;
    }

    pub(crate) fn marker(&self) -> Option<u64> {
        self.marker
    }

    pub(crate) fn may_restore(&self) -> bool {
        !self.is_forbidden
    }

    pub(crate) fn on_resent(&mut self, now: Instant, segments: u64) {
        self.first_resent_at.get_or_insert(now);
        self.unreported = Some(self.unreported.unwrap_or(0) + segments);
    }

    /// Nothing that was sent again is outstanding.
    pub(crate) fn forget_resent(&mut self) {
        self.first_resent_at = None;
    }

    /// The peer reports that `segments` that end at `end` arrived twice.
    // Implements: RFC3708
    pub(crate) fn on_dsack(&mut self, end: u64, segments: u64) {
        if self.marker.is_some_and(|marker| end > marker)
            && let Some(unreported) = &mut self.unreported
        {
            *unreported = unreported.saturating_sub(segments);
        }
    }

    /// All that was sent again had arrived before.
    pub(crate) fn is_all_reported(&self) -> bool {
        self.marker.is_some() && self.unreported == Some(0)
    }

    /// What arrived answers something that left before the first retransmission, or there was none.
    // Implements: RFC3522 s3.2b
    pub(crate) fn is_delayed(&self, echo: Option<Echo>, without_retransmission: bool) -> bool {
        match self.first_resent_at {
            Some(resent_at) => echo.is_some_and(|echo| echo.is_before(resent_at)),
            None => without_retransmission,
        }
    }
}
