//! The bytes that a side has sent, as its judge keeps them: those that may come again.
//!
//! Of what the peer has acknowledged only the last mebibyte is kept, so that a stream may be long; a
//! retransmission of what is older is not compared.

/// Acknowledged bytes that are kept.
const KEPT_ACKED: u64 = 1 << 20;

/// A stream of bytes from offset 0 on.
#[derive(Debug, Default)]
pub(super) struct SentText {
    /// The offset of the first byte that is kept.
    base: u64,
    kept: Vec<u8>,
}

impl SentText {
    /// How many bytes there are in all.
    pub(super) fn len(&self) -> u64 {
        self.base + self.kept.len() as u64
    }

    /// Bytes at `start` are sent, at most at the end of what there is: those that were sent before
    /// have to be the same.
    ///
    /// # Errors
    ///
    /// The range of those that were and are not.
    pub(super) fn send(&mut self, start: u64, text: &[u8]) -> Result<(), (u64, u64)> {
        let known = self.len().saturating_sub(start).min(text.len() as u64);
        let (again, new) = text.split_at(known as usize);
        let forgotten = self.base.saturating_sub(start).min(known);
        let at = (start + forgotten).saturating_sub(self.base) as usize;
        let again = &again[forgotten as usize..];
        if self.kept.get(at..at + again.len()) != Some(again) {
            return Err((start, start + known));
        }
        self.kept.extend_from_slice(new);
        Ok(())
    }

    /// The peer has acknowledged all before `offset`.
    pub(super) fn on_acked(&mut self, offset: u64) {
        let old = offset.min(self.len()).saturating_sub(KEPT_ACKED).saturating_sub(self.base);
        // Seldom, so that moving what stays costs little a byte.
        if old > KEPT_ACKED && old as usize > self.kept.len() / 2 {
            self.kept.drain(..old as usize);
            self.base += old;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_with_those_that_are_kept() {
        let mut sent = SentText::default();
        let text: Vec<u8> = (0..4 << 20).map(|at: u32| (at / 7) as u8).collect();
        sent.send(0, &text).unwrap();
        sent.send(100, &text[100..300]).unwrap();
        assert_eq!(sent.send(100, &text[101..300]), Err((100, 299)));
        let len = text.len() as u64;
        sent.on_acked(len);
        assert_eq!(sent.len(), len);
        assert_eq!(sent.kept.len() as u64, KEPT_ACKED);
        // Older ones are not known any more, and the rest of the segment is.
        let edge = text.len() - KEPT_ACKED as usize;
        sent.send(0, &[0xff; 10]).unwrap();
        sent.send(edge as u64 - 10, &text[edge - 10..edge + 10]).unwrap();
        assert!(sent.send(edge as u64 - 10, &[0xff; 20]).is_err());
        sent.send(len - 5, &[&text[text.len() - 5..], b"more"].concat()).unwrap();
        assert_eq!(sent.len(), len + 4);
        assert!(sent.send(len, b"less").is_err());
    }
}
