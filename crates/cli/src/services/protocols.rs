//! The three services.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use towpath::net::TcpStream;

/// How much is read at once: what a bulk transfer on a fast link brings between two wake-ups.
const BUFFER: usize = 256 * 1024;

/// RFC 864 names lines of 72 characters, each beginning one character later.
const LINE: usize = 72;

/// The 95 printable characters of ASCII, from the space.
const PRINTABLE: usize = 95;

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Sends back what it receives (RFC 862).
    Echo,
    /// Throws away what it receives (RFC 863).
    Discard,
    /// Sends characters until the peer closes, and throws away what it receives (RFC 864).
    Chargen,
}

impl Protocol {
    pub(super) const ALL: [Protocol; 3] = [Protocol::Echo, Protocol::Discard, Protocol::Chargen];

    pub(super) fn port(self) -> u16 {
        match self {
            Protocol::Echo => 7,
            Protocol::Discard => 9,
            Protocol::Chargen => 19,
        }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self, mut stream: TcpStream) -> io::Result<()> {
        let (read, write) = stream.split();
        match self {
            Protocol::Echo => echo(read, write).await,
            Protocol::Discard => discard(read).await,
            Protocol::Chargen => chargen(read, write).await,
        }
    }
}

async fn echo(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match read.read(&mut buffer).await? {
            0 => return write.shutdown().await,
            count => write.write_all(&buffer[..count]).await?,
        }
    }
}

async fn discard(mut read: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while read.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn chargen(
    read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let pattern = pattern();
    let generate = async {
        loop {
            write.write_all(&pattern).await?;
        }
    };
    tokio::select! {
        // "Until the calling user terminates the connection": the peer's FIN, or a reset.
        ended = discard(read) => ended,
        failed = generate => failed,
    }
}

/// All 95 lines: from then on they repeat.
fn pattern() -> Vec<u8> {
    let line = |first: usize| {
        let characters = (first..first + LINE).map(|index| b' ' + (index % PRINTABLE) as u8);
        characters.chain(*b"\r\n")
    };
    (0..PRINTABLE).flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[test]
    fn the_characters_are_the_rfcs() {
        let text = String::from_utf8(pattern()).unwrap();
        let lines: Vec<_> = text.split_terminator("\r\n").collect();
        // The first and third lines of RFC 864's example, of whose characters each is one later.
        let first = r##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##;
        let third = r##""#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghi"##;
        assert_eq!((lines[0], lines[2]), (first, third));
        assert_eq!(lines.len(), 95);
        assert!(lines.iter().all(|line| line.len() == 72));
        assert!(lines[94].starts_with("~ !"), "then they begin again");
    }

    #[tokio::test]
    async fn an_echo_ends_when_its_peer_has_ended() {
        let (mut near, far) = duplex(64);
        let (read, write) = tokio::io::split(far);
        let service = tokio::spawn(echo(read, write));
        near.write_all(b"the same").await.unwrap();
        near.shutdown().await.unwrap();
        let mut back = String::new();
        near.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "the same");
        service.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn characters_are_generated_until_the_peer_ends() {
        let (mut near, far) = duplex(64);
        let (read, write) = tokio::io::split(far);
        let service = tokio::spawn(chargen(read, write));
        let mut some = vec![0; 20_000];
        near.read_exact(&mut some).await.unwrap();
        let expected: Vec<u8> = pattern().into_iter().cycle().take(some.len()).collect();
        assert_eq!(some, expected);
        near.write_all(b"ignored").await.unwrap();
        near.shutdown().await.unwrap();
        service.await.unwrap().unwrap();
    }
}
