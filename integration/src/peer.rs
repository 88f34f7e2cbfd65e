//! What both ends of a connection have in common, so that a test can be told once and played with
//! either end in either part: the traits of tokio, and a few calls that tokio's stream and
//! Towpath's have under the same names.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::payload::{Digest, Payload, Sum};

/// One end of a connection: the kernel's or ours.
pub trait Peer: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Its own address.
    fn local_addr(&self) -> io::Result<SocketAddr>;
    /// The other end's.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    /// Makes dropping the stream a reset.
    fn set_zero_linger(&self) -> io::Result<()>;
}

impl Peer for tokio::net::TcpStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn set_zero_linger(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Peer for towpath::net::TcpStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn set_zero_linger(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// Writes all of `payload`.
///
/// # Errors
///
/// That of the write.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), payload: Payload) -> io::Result<()> {
    for chunk in payload {
        stream.write_all(&chunk).await?;
    }
    Ok(())
}

/// Reads to the end of the stream and sums up what comes.
///
/// # Errors
///
/// That of the read.
pub async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Sum> {
    let mut digest = Digest::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(digest.finish()),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// Reads exactly so many bytes and sums them up. The end of the stream is not waited for.
///
/// # Errors
///
/// That of the read; `UnexpectedEof` when the stream ends before.
pub async fn receive_exactly(stream: &mut (impl AsyncRead + Unpin), bytes: u64) -> io::Result<Sum> {
    let sum = receive(&mut stream.take(bytes)).await?;
    if sum.bytes < bytes {
        let message = format!("the stream ended after {} of {bytes} bytes", sum.bytes);
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    Ok(sum)
}

/// Sends back what comes until the stream ends, and ends its own direction then.
///
/// # Errors
///
/// That of the read or the write.
pub async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.shutdown().await,
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// Writes zeros until that fails, and returns how.
pub async fn write_until_error(stream: &mut (impl AsyncWrite + Unpin)) -> io::Error {
    let zeros = Bytes::from_static(&[0; 64 * 1024]);
    loop {
        if let Err(error) = stream.write_all(&zeros).await {
            return error;
        }
    }
}

/// Reads until that fails, and returns how; an end of the stream is `None`.
pub async fn read_until_error(stream: &mut (impl AsyncRead + Unpin)) -> Option<io::Error> {
    receive(stream).await.err()
}
