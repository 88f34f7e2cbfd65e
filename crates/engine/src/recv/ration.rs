//! Receiving while the stack has no memory: what is kept, what is given up, and how the budget counts
//! it (RFC 2018 section 8 lets a receiver give up what it reported, if it must).

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
        let pruned = self.assembler.has_hole();
        if pruned {
            garbage.add_reassembly(self.assembler.clear_waiting());
            self.sack.clear();
            self.policy.forget_blocks();
        }
        let in_order = seq.at_or_before(self.nxt());
        Ration { pruned, may_keep: in_order && (pruned || self.readable() == 0) }
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
