//! Receiving while the stack or the socket has no memory: what is kept, what is given up, and how the
//! budget counts it (RFC 2018 section 8 lets a receiver give up what it reported, if it must).

use towpath_wire::SeqNumber;

use super::RecvSpace;
use crate::garbage::Garbage;
use crate::memory::Supply;

/// What a piece behind a hole takes beside its bytes.
const PIECE: usize = 96;

/// What becomes of a segment's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ration {
    /// What waited behind holes was given up.
    pub(crate) pruned: bool,
    /// The text may be kept.
    pub(crate) may_keep: bool,
}

impl RecvSpace {
    /// There is no memory for the text at `seq`. What waits behind holes goes first: the peer has it
    /// still. Text in order is kept if nothing waits to be read, so that a reader never starves, or
    /// if something went for it. What was acknowledged stays in any case.
    pub(crate) fn ration(&mut self, seq: SeqNumber, garbage: &mut Garbage) -> Ration {
        let pruned = self.give_up_waiting(garbage);
        let in_order = seq.at_or_before(self.nxt());
        Ration { pruned, may_keep: in_order && (pruned || self.readable() == 0) }
    }

    /// More is kept than the socket's memory allows (SO_RCVBUF), and text at `seq` is to come, which is
    /// in the window. What can be done is done, from the harmless to the harsh: the buffer grows, what
    /// it has is put together, what waits behind holes goes. Text in order that still finds no memory
    /// closes the window, though it was open (Linux; RFC 9293 SHLD-14 discourages it).
    pub(crate) fn squeeze(&mut self, seq: SeqNumber, garbage: &mut Garbage) -> Ration {
        self.policy.stop_quick();
        self.window.squeeze(self.held(), self.advertised_mss());
        let mut ration = Ration { pruned: false, may_keep: true };
        if self.window.is_exceeded() {
            ration.pruned = self.give_up_waiting(garbage);
        }
        if self.window.is_exceeded() {
            let in_order = seq.at_or_before(self.nxt());
            ration.may_keep = in_order && self.readable() == 0;
            if in_order {
                self.window.refuse();
                self.policy.owe_now();
            }
        }
        ration
    }

    /// Whether the socket's own memory is used up.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.window.is_exceeded()
    }

    fn give_up_waiting(&mut self, garbage: &mut Garbage) -> bool {
        let has_hole = self.assembler.has_hole();
        if has_hole {
            self.window.on_gone(self.assembler.waiting(), self.held());
            garbage.add_reassembly(self.assembler.clear_waiting());
            self.sack.clear();
            self.policy.forget_blocks();
        }
        has_hole
    }

    /// How the stack's memory is.
    pub(crate) fn on_supply(&mut self, supply: Supply) {
        self.window.set_short(supply != Supply::Plenty);
    }

    /// What the stack's budget counts for the bytes that are kept.
    pub(crate) fn charge(&self) -> usize {
        self.held() + self.assembler.pieces() * PIECE
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use core::time::Duration;

    use super::super::room::Room;
    use super::super::window::ReceiveWindow;
    use super::super::{Surroundings, Text};
    use super::*;
    use crate::chunks::Chunks;
    use crate::config::Config;
    use crate::connection::options::SocketOptions;
    use crate::instant::Instant;

    const IRS: SeqNumber = SeqNumber(u32::MAX - 2);
    const AROUND: Surroundings = Surroundings {
        rto: Duration::from_millis(300),
        ack_due: None,
        srtt: None,
        sack: true,
        dsack: true,
    };

    fn arrive(recv: &mut RecvSpace, seq: SeqNumber, data: &'static [u8]) {
        let payload = Chunks::from(Bytes::from_static(data));
        let segment_len = data.len() as u32;
        let text = Text { seq, payload, fin: false, push: false, segment_len };
        recv.on_text(Instant::ZERO, text, AROUND);
    }

    fn space() -> RecvSpace {
        let config = Config::default();
        let room = Room::new(&config, &SocketOptions::default());
        let window = ReceiveWindow::initial(&room, 1460, true);
        let mut recv = RecvSpace::new(Instant::ZERO, &config, &room, window, 1460);
        recv.on_handshake(IRS, true, 0);
        recv
    }

    // Shows: RFC2018 s8, H-69
    #[test]
    fn what_is_given_up_is_not_reported_any_more_nor_charged() {
        let mut recv = space();
        arrive(&mut recv, IRS + 1, b"abc");
        arrive(&mut recv, IRS + 10, b"xyz");
        arrive(&mut recv, IRS + 20, b"xyz");
        assert_eq!(recv.charge(), 9 + 2 * PIECE);
        let mut garbage = Garbage::default();
        let ration = recv.ration(IRS + 30, &mut garbage);
        assert_eq!(ration, Ration { pruned: true, may_keep: false });
        assert!(!garbage.is_empty());
        assert_eq!((recv.charge(), recv.nxt()), (3, IRS + 4));
        // Two ACKs were owed for the two holes: neither tells of what is gone.
        for _ in 0..3 {
            let fields = recv.acknowledge(3);
            assert!(fields.sack.is_empty(), "{fields:?}");
            assert_eq!(fields.ack, IRS + 4);
        }
    }

    // Shows: H-39
    #[test]
    fn text_in_order_is_kept_for_a_reader_with_nothing_to_read_or_instead_of_something() {
        let mut garbage = Garbage::default();
        let mut recv = space();
        let kept = Ration { pruned: false, may_keep: true };
        let lost = Ration { pruned: false, may_keep: false };
        assert_eq!(recv.ration(IRS + 2, &mut garbage), lost);
        assert_eq!(recv.ration(IRS + 1, &mut garbage), kept);
        arrive(&mut recv, IRS + 1, b"abc");
        assert_eq!(recv.ration(IRS + 4, &mut garbage), lost);
        arrive(&mut recv, IRS + 10, b"xyz");
        let instead = Ration { pruned: true, may_keep: true };
        assert_eq!(recv.ration(IRS + 4, &mut garbage), instead);
        recv.read(Instant::ZERO, 3);
        assert_eq!(recv.ration(IRS + 4, &mut garbage), kept);
        // What repeats some of it and goes on is in order as well.
        assert_eq!(recv.ration(IRS + 2, &mut garbage), kept);
    }
}
