//! What an application does with a connection: a behaviour made of tracks that run side by side,
//! each a list of actions done one after the other.
//!
//! A flow is woken by the engine's events only, as a task is by its waker: an event that is not
//! told leaves it asleep, and the test sees it. What it reads is checked byte by byte.

use core::time::Duration;

use bytes::Bytes;
use towpath_engine::{
    ConnectionId, Endpoint, Instant, Readiness, SendFlags, SocketError, SocketOptions,
};

use crate::pattern::{Numbers, Pattern};

/// One thing that an application does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Writes this many bytes.
    Send(u64),
    /// Writes as much as is taken for so long.
    SendFor(Duration),
    /// Reads this many bytes.
    Receive(u64),
    /// Reads to the end of the stream.
    ReceiveToEnd,
    /// Sends back what it reads, to the end of the stream.
    Echo,
    /// Shuts the sending direction.
    Shutdown,
    /// Waits.
    Sleep(Duration),
    /// Changes the options.
    Options(Box<SocketOptions>),
    /// Waits until the other tracks are done, and closes.
    Close,
    /// Waits until the other tracks are done, and resets.
    Abort,
}

/// What an application does with a connection.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    tracks: Vec<Vec<Action>>,
    wants_echo: bool,
    call_bytes: Option<usize>,
}

impl Behaviour {
    /// Nothing.
    pub fn new() -> Behaviour {
        Behaviour::default()
    }

    /// Also does these, one after the other, beside what it does already.
    #[must_use]
    pub fn track(mut self, actions: impl IntoIterator<Item = Action>) -> Behaviour {
        self.tracks.push(actions.into_iter().collect());
        self
    }

    /// Sends and receives so many bytes at the same time, each direction to its end, and closes.
    pub fn exchange(sends: u64, receives: u64) -> Behaviour {
        Behaviour::new()
            .track([Action::Send(sends), Action::Shutdown])
            .track([Action::Receive(receives), Action::ReceiveToEnd])
            .track([Action::Close])
    }

    /// Expects to read what it has written.
    #[must_use]
    pub fn wants_echo(mut self) -> Behaviour {
        self.wants_echo = true;
        self
    }

    /// Writes and reads so much at a time; without this every call has a size of its own.
    #[must_use]
    pub fn call_bytes(mut self, bytes: usize) -> Behaviour {
        self.call_bytes = Some(bytes);
        self
    }

    /// Sends back all it reads, then closes.
    pub fn echo() -> Behaviour {
        Behaviour::new().track([Action::Echo, Action::Close])
    }
}

/// A connection with its application.
#[derive(Debug)]
pub struct Flow {
    id: ConnectionId,
    tracks: Vec<Track>,
    sends: Pattern,
    receives: Pattern,
    sent: u64,
    received: u64,
    end_seen: bool,
    error: Option<SocketError>,
    connected: bool,
    closed: bool,
    /// Bytes that an echo has read and not written.
    held: Option<Bytes>,
    numbers: Numbers,
    call_bytes: Option<usize>,
    /// When the last byte so far was read.
    last_read_at: Option<Instant>,
}

#[derive(Debug)]
struct Track {
    actions: Vec<Action>,
    at: usize,
    /// Bytes of the present action that are done.
    done: u64,
    wakes_at: Option<Instant>,
}

/// What became of one step of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Blocked,
    Progress,
}

impl Flow {
    pub(crate) fn new(
        id: ConnectionId,
        behaviour: &Behaviour,
        (sends, receives): (Pattern, Pattern),
        seed: u64,
    ) -> Flow {
        let track = |actions: &Vec<Action>| Track {
            actions: actions.clone(),
            at: 0,
            done: 0,
            wakes_at: None,
        };
        Flow {
            id,
            tracks: behaviour.tracks.iter().map(track).collect(),
            sends,
            receives: if behaviour.wants_echo { sends } else { receives },
            sent: 0,
            received: 0,
            end_seen: false,
            error: None,
            connected: false,
            closed: false,
            held: None,
            numbers: Numbers::new(seed),
            call_bytes: behaviour.call_bytes,
            last_read_at: None,
        }
    }

    /// The connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Bytes written.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes read, every one of them right.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// When the last byte so far was read.
    pub fn last_read_at(&self) -> Option<Instant> {
        self.last_read_at
    }

    /// Whether the end of the stream was read.
    pub fn end_seen(&self) -> bool {
        self.end_seen
    }

    /// The first error that a call gave.
    pub fn error(&self) -> Option<SocketError> {
        self.error
    }

    /// Whether everything is done, or an error ended it.
    pub fn is_done(&self) -> bool {
        self.error.is_some() || self.tracks.iter().all(|track| track.at == track.actions.len())
    }

    /// When a sleeping track goes on.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.tracks.iter().filter_map(|track| track.wakes_at).min()
    }

    /// Does what can be done now.
    pub(crate) fn run(&mut self, now: Instant, endpoint: &mut Endpoint) {
        if !self.connected {
            if !endpoint.readiness(self.id).contains(Readiness::CONNECTED) {
                return;
            }
            self.connected = true;
            if let Some(error) = endpoint.take_error(self.id) {
                self.fail(now, endpoint, error);
            }
        }
        // A track may wait for another: go round until all are blocked.
        while (0..self.tracks.len()).any(|index| self.run_track(now, endpoint, index)) {}
    }

    /// Does what one track can do now, and says whether an action was completed.
    fn run_track(&mut self, now: Instant, endpoint: &mut Endpoint, index: usize) -> bool {
        let mut advanced = false;
        while self.error.is_none() {
            let track = &mut self.tracks[index];
            let Some(action) = track.actions.get(track.at).cloned() else { break };
            match self.act(now, endpoint, index, &action) {
                Ok(Step::Done) => {
                    let track = &mut self.tracks[index];
                    track.at += 1;
                    track.done = 0;
                    advanced = true;
                }
                Ok(Step::Progress) => {}
                Ok(Step::Blocked) => break,
                Err(error) => self.fail(now, endpoint, error),
            }
        }
        advanced
    }

    fn fail(&mut self, now: Instant, endpoint: &mut Endpoint, error: SocketError) {
        self.error.get_or_insert(error);
        self.tracks.iter_mut().for_each(|track| track.wakes_at = None);
        if !self.closed {
            self.closed = true;
            endpoint.close(now, self.id);
        }
    }

    fn act(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        index: usize,
        action: &Action,
    ) -> Result<Step, SocketError> {
        match action {
            Action::Send(len) => self.send(now, endpoint, index, *len),
            Action::SendFor(time) => {
                let ends_at = *self.tracks[index].wakes_at.get_or_insert(now + *time);
                if now >= ends_at {
                    self.tracks[index].wakes_at = None;
                    return Ok(Step::Done);
                }
                self.send(now, endpoint, index, u64::MAX)
            }
            Action::Receive(len) => {
                let left = len - self.tracks[index].done;
                if left == 0 {
                    return Ok(Step::Done);
                }
                match self.receive(now, endpoint, left)? {
                    None => Ok(Step::Blocked),
                    Some(bytes) if bytes.is_empty() => {
                        panic!("the stream ended {left} bytes early")
                    }
                    Some(bytes) => {
                        self.tracks[index].done += bytes.len() as u64;
                        Ok(Step::Progress)
                    }
                }
            }
            Action::ReceiveToEnd => match self.receive(now, endpoint, u64::MAX)? {
                None => Ok(Step::Blocked),
                Some(bytes) if bytes.is_empty() => Ok(Step::Done),
                Some(_) => Ok(Step::Progress),
            },
            Action::Echo => self.echo(now, endpoint),
            Action::Shutdown => endpoint.shutdown_send(now, self.id).map(|()| Step::Done),
            Action::Options(options) => {
                endpoint.set_options(now, self.id, **options).map(|()| Step::Done)
            }
            Action::Sleep(time) => {
                let track = &mut self.tracks[index];
                let wakes_at = *track.wakes_at.get_or_insert(now + *time);
                if now < wakes_at {
                    return Ok(Step::Blocked);
                }
                track.wakes_at = None;
                Ok(Step::Done)
            }
            Action::Close | Action::Abort => {
                let others_done = self
                    .tracks
                    .iter()
                    .enumerate()
                    .all(|(other, track)| other == index || track.at == track.actions.len());
                if !others_done {
                    return Ok(Step::Blocked);
                }
                self.closed = true;
                match action {
                    Action::Close => endpoint.close(now, self.id),
                    _ => endpoint.abort(now, self.id),
                }
                Ok(Step::Done)
            }
        }
    }

    /// Writes of different sizes, by both ways in.
    fn send(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        index: usize,
        len: u64,
    ) -> Result<Step, SocketError> {
        let left = len - self.tracks[index].done;
        if left == 0 {
            return Ok(Step::Done);
        }
        let size = match (self.call_bytes, self.numbers.below(4)) {
            (Some(bytes), _) => bytes as u64,
            (None, 0) => 1 + self.numbers.below(512),
            (None, 1) => 1 + self.numbers.below(4096),
            (None, _) => 1 + self.numbers.below(65_536),
        };
        let size = size.min(left) as usize;
        let (sends, sent) = (self.sends, self.sent);
        let text = |len| sends.bytes(sent, len);
        let written = match write(now, endpoint, self.id, size, text) {
            Ok(written) => written,
            Err(SocketError::WouldBlock) => return Ok(Step::Blocked),
            Err(error) => return Err(error),
        };
        self.sent += written as u64;
        self.tracks[index].done += written as u64;
        Ok(Step::Progress)
    }

    /// Reads and checks; nothing if it would block.
    fn receive(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        max: u64,
    ) -> Result<Option<Bytes>, SocketError> {
        let any = 1 + self.numbers.below(65_536);
        let most = self.call_bytes.map_or(any, |bytes| bytes as u64).min(max) as usize;
        let chunks = match endpoint.receive(now, self.id, most) {
            Ok(chunks) => chunks,
            Err(SocketError::WouldBlock) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = Bytes::from(chunks.to_vec());
        if let Some(at) = self.receives.first_difference(self.received, &bytes) {
            panic!("{:?}: byte {at} was delivered wrong", self.id);
        }
        self.received += bytes.len() as u64;
        self.end_seen |= bytes.is_empty();
        if !bytes.is_empty() {
            self.last_read_at = Some(now);
        }
        Ok(Some(bytes))
    }

    fn echo(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<Step, SocketError> {
        let bytes = match self.held.take() {
            Some(bytes) => bytes,
            None => match self.receive(now, endpoint, u64::MAX)? {
                None => return Ok(Step::Blocked),
                Some(bytes) if bytes.is_empty() => return Ok(Step::Done),
                Some(bytes) => bytes,
            },
        };
        let written = match write(now, endpoint, self.id, bytes.len(), |len| bytes.slice(..len)) {
            Ok(written) => written,
            Err(SocketError::WouldBlock) => {
                self.held = Some(bytes);
                return Ok(Step::Blocked);
            }
            Err(error) => return Err(error),
        };
        self.sent += written as u64;
        if written < bytes.len() {
            self.held = Some(bytes.slice(written..));
        }
        Ok(Step::Progress)
    }
}

/// A write as the stream crate does it: small ones are copied in, others reserved and committed.
/// `text` gives as many bytes as there is room for.
fn write(
    now: Instant,
    endpoint: &mut Endpoint,
    id: ConnectionId,
    len: usize,
    text: impl FnOnce(usize) -> Bytes,
) -> Result<usize, SocketError> {
    if len <= 512 {
        return endpoint.send_small(now, id, &text(len), SendFlags::default());
    }
    let reserved = endpoint.reserve_send(id, len)?;
    endpoint.commit_send(now, id, reserved, text(reserved), SendFlags::default())?;
    Ok(reserved)
}
