//! The urgent pointer as a receiver keeps it: RCV.UP of RFC 9293 section 3.8.5, with RFC 6093's
//! meaning.
//!
//! Urgent data is ordinary data: it stays in the stream, at its place, and only its end is known in
//! advance. A read never crosses the mark, so that an application can tell that it stands there
//! (`sockatmark`). The mark is the last urgent byte, as on Linux and as BSD had it.

use super::RecvSpace;

/// Where the last urgent byte is, while the application has not read it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UrgentMark(Option<u64>);

impl UrgentMark {
    /// How many of `max` bytes from `at` on a read may take.
    pub(super) fn limit(&self, at: u64, max: usize) -> usize {
        match self.0.and_then(|mark| mark.checked_sub(at)) {
            Some(before @ 1..) => max.min(usize::try_from(before).unwrap_or(usize::MAX)),
            _ => max,
        }
    }

    /// The application has read everything below `at`.
    pub(super) fn on_read(&mut self, at: u64) {
        self.0 = self.0.filter(|mark| *mark >= at);
    }
}

impl RecvSpace {
    /// A segment at `seq` points `pointer` bytes on. Whether that is news to the application.
    // Implements: RFC9293 s3.10.7.4q, 9293 MUST-30, 9293 MUST-31
    pub(crate) fn on_urgent_pointer(&mut self, seq: towpath_wire::SeqNumber, pointer: u16) -> bool {
        let next = self.assembler.next();
        let begin = i64::from(seq.signed_distance_from(self.seq(next)));
        // The pointer names the byte behind; one that points nowhere is taken for the byte itself.
        let ahead = begin + i64::from(pointer.saturating_sub(1));
        // What has arrived is not urgent any more.
        let Some(mark) = u64::try_from(ahead).ok().map(|ahead| next + ahead) else { return false };
        let news = self.urgent.0.is_none_or(|known| mark > known);
        if news {
            self.urgent.0 = Some(mark);
        }
        news
    }

    /// How many bytes are still to be read up to the end of urgent data, the last one included.
    // Implements: 9293 MUST-33
    pub(crate) fn urgent_left(&self) -> Option<u64> {
        let at = self.read_to();
        self.urgent.0.and_then(|mark| mark.checked_sub(at)).map(|before| before + 1)
    }

    /// The offset of the next byte that the application will read.
    pub(super) fn read_to(&self) -> u64 {
        self.assembler.next() - self.assembler.readable() as u64
    }
}
