//! The application writes: room is charged, bytes are appended, and whoever was turned away hears
//! when there is room again.

use bytes::Bytes;

use super::state::StateName;
use super::{Connection, Context};
use crate::config::Config;
use crate::error::SocketError;
use crate::event::Readiness;
use crate::send::Allowed;
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
        let granted = self.grant(config, wanted);
        if granted == 0 && wanted > 0 {
            return Err(SocketError::WouldBlock);
        }
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
        self.check_app_limited();
        self.send.buffer_mut().append(data);
        self.on_written(context.config, len, flags);
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
        let granted = self.grant(config, data.len().min(SMALL_WRITE));
        if granted == 0 && !data.is_empty() {
            return Err(SocketError::WouldBlock);
        }
        self.send.buffer_mut().release(granted);
        self.check_app_limited();
        self.send.buffer_mut().append_small(&data[..granted]);
        // What did not fit will follow: the mark of the write's end is not here.
        let flags =
            SendFlags { end_of_record: flags.end_of_record && granted == data.len(), ..flags };
        self.on_written(config, granted, flags);
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

    /// Charges what a write may have of `wanted`; who gets less is told when there is room.
    fn grant(&mut self, config: &Config, wanted: usize) -> usize {
        let limit = self.user.options.unsent_limit(config);
        let allowed = self.allowed(config);
        let granted = self.send.reserve(wanted, limit, allowed);
        self.user.was_refused = granted < wanted;
        self.user.wants_room |= granted < wanted;
        granted
    }

    fn allowed(&self, config: &Config) -> Allowed {
        Allowed {
            room: self.window().saturating_sub(self.recovery.pipe()),
            burst: self.largest_burst(config),
        }
    }

    fn on_written(&mut self, config: &Config, len: usize, flags: SendFlags) {
        let allowed = self.allowed(config);
        self.send.on_written(len, flags, allowed);
    }

    /// The room with which the connection counts as writable.
    fn least_room(&self) -> usize {
        self.send.buffer().capacity().clamp(1, SMALL_WRITE)
    }

    /// Whether a writer is told of the room there is: also half of TCP_NOTSENT_LOWAT must be free, or
    /// it would be woken for crumbs.
    pub(super) fn is_room_worth_a_wake(&self, config: &Config) -> bool {
        let limit = u64::from(self.user.options.unsent_limit(config));
        self.send.room() >= self.least_room() && self.send.unsent().saturating_mul(2) < limit
    }

    /// After a grant, or a change of options: who waits for readiness without having been turned away is told as well.
    pub(super) fn note_room(&mut self, config: &Config) {
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
        let capacity = self.send.buffer().capacity();
        if self.send.room() >= capacity / 3 && self.is_room_worth_a_wake(config) {
            self.user.wants_room = false;
            self.user.was_refused = false;
            self.user.raise(Readiness::WRITABLE);
        }
    }
}
