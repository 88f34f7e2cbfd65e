//! The application writes: room is charged, bytes are appended, and whoever was turned away hears
//! when there is room again.

use bytes::Bytes;

use super::state::StateName;
use super::{Connection, Context};
use crate::config::Config;
use crate::error::SocketError;
use crate::event::Readiness;
use crate::send::buffer::SMALL_WRITE;
use crate::send::marks::SendFlags;

impl Connection {
    /// Charges room for a write; the bytes follow with `commit_send`.
    pub(crate) fn reserve_send(
        &mut self,
        config: &Config,
        wanted: usize,
    ) -> Result<usize, SocketError> {
        self.check_writable()?;
        // A large write does not begin with a few bytes: each grant becomes a chunk, and a segment
        // carries only so many.
        let room = self.send.buffer().room();
        let below_limit = self.room_below_unsent_limit(config);
        if room < wanted.min(self.least_room()) || wanted > 0 && below_limit == 0 {
            self.user.wants_room = true;
            return Err(SocketError::WouldBlock);
        }
        let granted = self.send.buffer_mut().reserve(wanted.min(below_limit));
        self.note_room(config);
        Ok(granted)
    }

    /// Appends what was reserved.
    pub(crate) fn commit_send(
        &mut self,
        context: &Context<'_>,
        reserved: usize,
        data: Bytes,
        flags: SendFlags,
    ) -> Result<(), SocketError> {
        self.send.buffer_mut().release(reserved);
        self.check_writable()?;
        debug_assert!(data.len() <= reserved);
        let len = data.len();
        self.send.buffer_mut().append(data);
        self.on_written(len, flags);
        if len < reserved {
            self.check_room(context.config);
        }
        Ok(())
    }

    /// Appends a copy of a few bytes, as many as there is room for.
    pub(crate) fn send_small(
        &mut self,
        config: &Config,
        data: &[u8],
        flags: SendFlags,
    ) -> Result<usize, SocketError> {
        self.check_writable()?;
        let wanted = data.len().min(SMALL_WRITE).min(self.room_below_unsent_limit(config));
        let granted = self.send.buffer_mut().reserve(wanted);
        if granted == 0 && !data.is_empty() {
            self.user.wants_room = true;
            return Err(SocketError::WouldBlock);
        }
        self.send.buffer_mut().release(granted);
        self.send.buffer_mut().append_small(&data[..granted]);
        // What did not fit will follow: the mark of the write's end is not here.
        let flags =
            SendFlags { end_of_record: flags.end_of_record && granted == data.len(), ..flags };
        self.on_written(granted, flags);
        self.note_room(config);
        Ok(granted)
    }

    /// The stack has no memory for what is to be written: tells when there is some.
    pub(crate) fn refuse_write(&mut self) -> SocketError {
        match self.check_writable() {
            Ok(()) => {
                self.user.wants_memory = true;
                SocketError::WouldBlock
            }
            Err(error) => error,
        }
    }

    /// The stack has memory again.
    pub(crate) fn on_memory(&mut self, config: &Config) {
        if core::mem::take(&mut self.user.wants_memory) {
            self.user.wants_room = true;
            self.check_room(config);
        }
    }

    fn on_written(&mut self, len: usize, flags: SendFlags) {
        let room = self.window().saturating_sub(self.recovery.pipe());
        self.send.on_written(len, flags, room);
    }

    /// The room with which the connection counts as writable: what a write is never refused.
    fn least_room(&self) -> usize {
        self.send.buffer().capacity().clamp(1, SMALL_WRITE)
    }

    /// TCP_NOTSENT_LOWAT: what may be written until so much waits to be sent, in whole segments.
    fn room_below_unsent_limit(&self, config: &Config) -> usize {
        let limit = u64::from(self.user.options.unsent_limit(config));
        let segment = u64::from(self.send.segment_size()).max(1);
        let room = limit.saturating_sub(self.send.unsent());
        usize::try_from(room.div_ceil(segment).saturating_mul(segment)).unwrap_or(usize::MAX)
    }

    /// Whether a writer is told of the room there is: also half of TCP_NOTSENT_LOWAT must be free, or
    /// it would be woken for crumbs.
    pub(super) fn is_room_worth_a_wake(&self, config: &Config) -> bool {
        let limit = u64::from(self.user.options.unsent_limit(config));
        self.send.buffer().room() >= self.least_room()
            && self.send.unsent().saturating_mul(2) < limit
    }

    /// After a grant: who waits for readiness without having been turned away is told as well.
    fn note_room(&mut self, config: &Config) {
        self.user.wants_room |= !self.is_room_worth_a_wake(config);
    }

    fn check_writable(&mut self) -> Result<(), SocketError> {
        if let Some(error) = self.user.error.take() {
            return Err(error);
        }
        match self.state.name() {
            StateName::SynSent | StateName::SynReceived => Err(SocketError::WouldBlock),
            _ if self.user.write_shut || !self.state.may_send() => Err(SocketError::BrokenPipe),
            _ => Ok(()),
        }
    }

    /// There may be room again: tells whoever was turned away, once there is enough to be worth it.
    pub(super) fn check_room(&mut self, config: &Config) {
        if !self.user.wants_room {
            return;
        }
        let buffer = self.send.buffer();
        if buffer.room() >= buffer.capacity() / 3 && self.is_room_worth_a_wake(config) {
            self.user.wants_room = false;
            self.user.raise(Readiness::WRITABLE);
        }
    }
}
