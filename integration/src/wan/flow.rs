//! What both ends of a flow do with their stream, whoever's TCP is below: write as fast as they may,
//! or read, compare every byte, and note when how many had come.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout_at;

use super::relay::BUCKET_MS;
use crate::payload::Payload;
use crate::peer::Peer;

/// What is sent, by every flow.
const PAYLOAD_SEED: u64 = 4;

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// How long a flow may take to be opened, and to be seen at the other end, before it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// When a flow began and how long it is to last. Both ends have a clone.
#[derive(Clone, Debug)]
pub struct Span {
    start: Arc<OnceLock<Instant>>,
    duration: Duration,
}

impl Span {
    /// One that has not begun.
    pub fn new(duration: Duration) -> Span {
        Span { start: Arc::default(), duration }
    }

    /// The connection is open: it begins now.
    pub fn begin(&self) {
        self.start.get_or_init(Instant::now);
    }

    /// When it is over; far off as long as it has not begun.
    fn end(&self) -> tokio::time::Instant {
        match self.start.get() {
            Some(start) => (*start + self.duration).into(),
            None => tokio::time::Instant::now() + PATIENCE,
        }
    }

    /// How long ago it began; `None` when it is over.
    fn elapsed(&self) -> Option<Duration> {
        let elapsed = self.start.get()?.elapsed();
        (elapsed < self.duration).then_some(elapsed)
    }
}

/// Writes until the span is over, and returns how many bytes were taken.
///
/// # Errors
///
/// That of the write.
pub async fn write_for(stream: &mut impl Peer, span: &Span) -> io::Result<u64> {
    let end = span.end();
    let mut written = 0;
    for mut chunk in Payload::new(PAYLOAD_SEED, u64::MAX) {
        while !chunk.is_empty() {
            let Ok(taken) = timeout_at(end, stream.write(&chunk)).await else { return Ok(written) };
            let taken = taken?;
            written += taken as u64;
            drop(chunk.split_to(taken));
        }
    }
    Ok(written)
}

/// What arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// How many bytes.
    pub bytes: u64,
    /// How many in each [`BUCKET_MS`] since the beginning.
    pub series: Vec<u64>,
}

/// Reads until the span is over, and compares.
///
/// # Errors
///
/// That of the read; `InvalidData` when a byte is not the one that was sent; `UnexpectedEof` when the
/// stream ends.
pub async fn read_for(stream: &mut impl Peer, span: &Span) -> io::Result<Arrived> {
    let mut expected = Expected::new();
    let mut arrived = Arrived::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        // Before the first byte it may not have begun.
        let Ok(read) = timeout_at(span.end(), stream.read(&mut buffer)).await else { break };
        let read = read?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(elapsed) = span.elapsed() else { break };
        expected.compare(&buffer[..read])?;
        arrived.bytes += read as u64;
        let bucket = (elapsed.as_millis() / u128::from(BUCKET_MS)) as usize;
        if bucket >= arrived.series.len() {
            arrived.series.resize(bucket + 1, 0);
        }
        arrived.series[bucket] += read as u64;
    }
    Ok(arrived)
}

/// Writes so many bytes, and the end of the stream, and waits until the other end has ended it too.
///
/// # Errors
///
/// That of the write or the read.
pub async fn write_whole(stream: &mut impl Peer, bytes: u64) -> io::Result<()> {
    for chunk in Payload::new(PAYLOAD_SEED, bytes) {
        stream.write_all(&chunk).await?;
    }
    stream.shutdown().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the reader wrote")),
    }
}

/// Reads so many bytes, compares, and returns when the last one was there; then waits for the end.
///
/// # Errors
///
/// As [`read_for`].
pub async fn read_whole(stream: &mut impl Peer, bytes: u64) -> io::Result<Instant> {
    let mut expected = Expected::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut left = bytes;
    while left > 0 {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        expected.compare(&buffer[..read])?;
        left = left.checked_sub(read as u64).ok_or(io::ErrorKind::InvalidData)?;
    }
    let there = Instant::now();
    match stream.read(&mut buffer).await? {
        0 => Ok(there),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "more than was sent")),
    }
}

/// The bytes that are to come.
struct Expected {
    payload: Payload,
    chunk: Bytes,
    compared: u64,
}

impl Expected {
    fn new() -> Expected {
        let payload = Payload::new(PAYLOAD_SEED, u64::MAX);
        Expected { payload, chunk: Bytes::new(), compared: 0 }
    }

    fn compare(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.chunk.is_empty() {
                self.chunk = self.payload.next().unwrap_or_default();
            }
            let len = bytes.len().min(self.chunk.len());
            let (now, later) = bytes.split_at(len);
            if len == 0 || now != &*self.chunk.split_to(len) {
                let message = format!("wrong bytes at {} or soon after", self.compared);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            self.compared += len as u64;
            bytes = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_across_chunks_and_a_wrong_one_is_told() {
        let sent: Vec<u8> = Payload::new(PAYLOAD_SEED, 200_000).flatten().collect();
        let mut expected = Expected::new();
        sent.chunks(70_001).for_each(|piece| expected.compare(piece).unwrap());
        let mut expected = Expected::new();
        expected.compare(&sent[..100_000]).unwrap();
        let error = expected.compare(&sent[100_001..100_100]).unwrap_err();
        assert!(error.to_string().contains("100000"), "{error}");
    }
}
