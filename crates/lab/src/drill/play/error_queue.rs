//! A socket's error queue: what has become of what it wrote, told by `SO_TIMESTAMPING` and
//! `MSG_ZEROCOPY`. Linux keeps both above TCP, as is done here: the engine is only asked how far a
//! connection's text is sent and acknowledged.
//!
//! What a write with `MSG_ZEROCOPY` gives is copied into the stack, and each notice says so
//! (`SO_EE_CODE_ZEROCOPY_COPIED`), which is what Linux says of a device that copies.

use std::collections::VecDeque;

use towpath_engine::{ConnectionId, Endpoint, StateName};

const TX_SOFTWARE: i64 = 1 << 1;
const SOFTWARE: i64 = 1 << 4;
const OPT_ID: i64 = 1 << 7;
const TX_SCHED: i64 = 1 << 8;
const TX_ACK: i64 = 1 << 9;
const OPT_TSONLY: i64 = 1 << 11;
const OPT_ID_TCP: i64 = 1 << 16;

/// The bits of `SO_TIMESTAMPING` that are built: those about what is sent, by the host's own clock.
pub(super) const STAMPING: i64 =
    TX_SOFTWARE | SOFTWARE | OPT_ID | TX_SCHED | TX_ACK | OPT_TSONLY | OPT_ID_TCP;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Calls that were numbered so, the first and the last of them, are done with.
    ZeroCopy { first: u32, last: u32 },
    /// A byte went to the device, left it or was acknowledged.
    Stamp { what: Stamp, key: u32, has_text: bool },
}

/// Linux's `SCM_TSTAMP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    Sent = 0,
    Scheduled = 1,
    Acknowledged = 2,
}

/// An entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) origin: Origin,
    /// When, in script time.
    pub(super) at: i64,
}

/// The end of a write about which something is to be told.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Bytes that were written up to it.
    end: u64,
    /// The number of the call, of one with `MSG_ZEROCOPY`.
    zerocopy: Option<u32>,
    /// The bits of `SO_TIMESTAMPING` when it was written.
    stamping: i64,
    sent: bool,
}

/// The queue, and what will come into it.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorQueue {
    /// `SO_ZEROCOPY`
    pub(super) zerocopy: bool,
    stamping: i64,
    /// The byte from which keys count.
    key_base: u64,
    written: u64,
    next_call: u32,
    marks: VecDeque<Mark>,
    notices: VecDeque<Notice>,
}

impl ErrorQueue {
    /// That of a socket which a listener with this queue gives.
    pub(super) fn of_accepted(&self) -> ErrorQueue {
        ErrorQueue { zerocopy: self.zerocopy, stamping: self.stamping, ..ErrorQueue::default() }
    }

    /// `SO_TIMESTAMPING`, of a socket with this much unacknowledged text.
    pub(super) fn set_stamping(&mut self, stamping: i64, unacknowledged: u64) {
        if stamping & OPT_ID != 0 && self.stamping & OPT_ID == 0 {
            let from_here = stamping & OPT_ID_TCP != 0;
            let back = if from_here { 0 } else { unacknowledged };
            self.key_base = self.written.saturating_sub(back);
        }
        self.stamping = stamping;
    }

    pub(super) fn stamping(&self) -> i64 {
        self.stamping
    }

    /// Whether times are told with the notices about stamps.
    pub(super) fn tells_times(&self) -> bool {
        self.stamping & SOFTWARE != 0
    }

    /// Whether these bits of `SO_TIMESTAMPING` number bytes, which needs a connection.
    pub(super) fn begins_to_number(&self, stamping: i64) -> bool {
        stamping & OPT_ID != 0 && self.stamping & OPT_ID == 0
    }

    /// The connection has taken bytes.
    pub(super) fn on_written(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// A call that has written something is over.
    pub(super) fn on_call(&mut self, zerocopy: bool) {
        let zerocopy = (zerocopy && self.zerocopy).then(|| {
            let number = self.next_call;
            self.next_call = number.wrapping_add(1);
            number
        });
        let stamping = self.stamping;
        if zerocopy.is_some() || stamping & (TX_SCHED | TX_SOFTWARE | TX_ACK) != 0 {
            self.marks.push_back(Mark { end: self.written, zerocopy, stamping, sent: false });
        }
    }

    /// Looks how far the connection has come by `at`. Whether there is something new to read.
    pub(super) fn look(&mut self, endpoint: &Endpoint, id: ConnectionId, at: i64) -> bool {
        let before = self.notices.len();
        let news = self.notices.back().copied();
        if self.marks.is_empty() {
            return false;
        }
        let state = endpoint.state(id).unwrap_or(StateName::Closed);
        let closed = state == StateName::Closed;
        let Some((sent, acknowledged)) = self.progress(endpoint, id, state) else { return false };
        for place in 0..self.marks.len() {
            let mark = self.marks[place];
            if mark.end <= sent && !mark.sent {
                self.marks[place].sent = true;
                // The device gets what is sent, and has sent it, in one step.
                for (bit, what) in [(TX_SCHED, Stamp::Scheduled), (TX_SOFTWARE, Stamp::Sent)] {
                    self.stamp(mark, bit, what, at);
                }
            }
        }
        while let Some(mark) =
            self.marks.front().copied().filter(|m| closed || m.end <= acknowledged)
        {
            self.marks.pop_front();
            if !closed {
                self.stamp(mark, TX_ACK, Stamp::Acknowledged, at);
            }
            if let Some(number) = mark.zerocopy {
                self.done(number, at);
            }
        }
        self.notices.len() > before || self.notices.back().copied() != news
    }

    /// How much of what was written is sent, and how much is acknowledged; `None` before there is a
    /// connection.
    fn progress(
        &self,
        endpoint: &Endpoint,
        id: ConnectionId,
        state: StateName,
    ) -> Option<(u64, u64)> {
        if matches!(state, StateName::SynSent | StateName::SynReceived) {
            return None;
        }
        if state == StateName::Closed {
            return Some((0, 0));
        }
        let queues = endpoint.queues(id).ok()?;
        let fin = matches!(state, StateName::FinWait1 | StateName::Closing | StateName::LastAck);
        let unacknowledged = queues.unacknowledged.saturating_sub(u64::from(fin));
        let back = |bytes: u64| self.written.saturating_sub(bytes);
        Some((back(queues.unsent), back(unacknowledged)))
    }

    fn stamp(&mut self, mark: Mark, bit: i64, what: Stamp, at: i64) {
        if mark.stamping & bit == 0 {
            return;
        }
        // Keys are 32 bits wide and wrap.
        #[expect(clippy::cast_possible_truncation, reason = "keys wrap")]
        let key = mark.end.wrapping_sub(1).wrapping_sub(self.key_base) as u32;
        let key = if mark.stamping & OPT_ID == 0 { 0 } else { key };
        let has_text = mark.stamping & OPT_TSONLY == 0;
        self.notices.push_back(Notice { origin: Origin::Stamp { what, key, has_text }, at });
    }

    /// Calls that are done with one after the other make one notice.
    fn done(&mut self, number: u32, at: i64) {
        if let Some(Notice { origin: Origin::ZeroCopy { last, .. }, .. }) = self.notices.back_mut()
            && last.wrapping_add(1) == number
        {
            *last = number;
            return;
        }
        let origin = Origin::ZeroCopy { first: number, last: number };
        self.notices.push_back(Notice { origin, at });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }

    /// Takes the oldest notice.
    pub(super) fn take(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The socket has let go of its connection, and of the text: what comes next counts from its own
    /// first byte.
    pub(super) fn on_disconnected(&mut self, at: i64) {
        self.written = 0;
        self.key_base = 0;
        for number in core::mem::take(&mut self.marks).iter().filter_map(|mark| mark.zerocopy) {
            self.done(number, at);
        }
    }
}
