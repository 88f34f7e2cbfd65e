//! The server: one function for every stack, with the buffers and the runtime the same.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use towpath::net::{TcpListener as OurListener, TcpStream as OurStream};

use super::meter::Tally;
use super::plan::{BUFFER_BYTES, Workload};
use crate::payload::Payload;

/// Serves one connection until the client ends it.
///
/// # Errors
///
/// That of a read or write.
pub async fn serve<S>(mut stream: S, workload: Workload, tally: &Tally) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match workload {
        Workload::Upload => {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                match stream.read(&mut buffer).await? {
                    0 => return stream.shutdown().await,
                    count => tally.add(count),
                }
            }
        }
        Workload::Download => {
            let data: Vec<u8> = Payload::new(5, BUFFER_BYTES as u64).flatten().collect();
            loop {
                stream.write_all(&data).await?;
                tally.add(data.len());
            }
        }
        Workload::Rr => {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                match stream.read(&mut buffer).await? {
                    0 => return stream.shutdown().await,
                    count => {
                        stream.write_all(&buffer[..count]).await?;
                        tally.add(count);
                    }
                }
            }
        }
    }
}

/// What listens, whoever's TCP is below.
pub trait Listener {
    /// What it gives.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, without Nagle's delay.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

impl Listener for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn next(&self) -> io::Result<Self::Stream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for OurListener {
    type Stream = OurStream;

    async fn next(&self) -> io::Result<Self::Stream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Accepts for ever, a task for each connection. A client that goes while the server writes to it is
/// how a download ends; everything else that fails is told.
///
/// # Errors
///
/// That of accepting.
pub async fn accept_all<L: Listener>(
    listener: L,
    workload: Workload,
    tally: Arc<Tally>,
) -> io::Result<()> {
    loop {
        let stream = listener.next().await?;
        let tally = Arc::clone(&tally);
        tokio::spawn(async move {
            let Err(error) = serve(stream, workload, &tally).await else { return };
            let is_gone =
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
            if !(is_gone && workload == Workload::Download) {
                eprintln!("speed: serving {}: {error}", workload.word());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_is_counted_to_its_last_byte() {
        let (mut client, server) = tokio::io::duplex(1_000);
        let tally = Tally::default();
        let write = async {
            client.write_all(&[1; 12_345]).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let (served, ()) = tokio::join!(serve(server, Workload::Upload, &tally), write);
        served.unwrap();
        assert_eq!(tally.bytes(), 12_345);
    }

    #[tokio::test]
    async fn a_ping_comes_back_as_it_was() {
        let (mut client, server) = tokio::io::duplex(1_000);
        let tally = Tally::default();
        let ping = async move {
            let mut back = [0; 5];
            client.write_all(b"hello").await.unwrap();
            client.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"hello");
        };
        let (served, ()) = tokio::join!(serve(server, Workload::Rr, &tally), ping);
        served.unwrap();
        assert_eq!(tally.bytes(), 5);
    }
}
