//! A listener for axum whose streams note the states that their connection passes through.
//!
//! A state is looked at where a program could look: after each call on the stream. What comes
//! before `accept` (LISTEN, SYN-RECEIVED) and after the stream is dropped is not seen.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::Listener;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use towpath::StateName;
use towpath::net::{TcpListener, TcpStream};

/// A listener whose streams are watched.
#[derive(Debug)]
pub struct Watched {
    listener: TcpListener,
    notes: Notes,
}

/// What was noted, of one connection after the other.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<Vec<StateName>>>>);

impl Watched {
    /// Watches the streams that `listener` accepts.
    pub fn new(listener: TcpListener) -> Watched {
        Watched { listener, notes: Notes::default() }
    }

    /// The notes, readable while the listener is in use.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }
}

impl Notes {
    /// The states of each connection, in the order of accepting.
    pub fn paths(&self) -> Vec<Vec<StateName>> {
        self.0.lock().clone()
    }
}

impl Listener for Watched {
    type Io = WatchedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (WatchedStream, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let index = {
            let mut paths = self.notes.0.lock();
            paths.push(Vec::new());
            paths.len() - 1
        };
        let stream = WatchedStream { stream, notes: self.notes.clone(), index };
        stream.note();
        (stream, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream that notes its states.
#[derive(Debug)]
pub struct WatchedStream {
    stream: TcpStream,
    notes: Notes,
    index: usize,
}

impl WatchedStream {
    fn note(&self) {
        let Some(state) = self.stream.state() else { return };
        let mut paths = self.notes.0.lock();
        if let Some(path) = paths.get_mut(self.index)
            && path.last() != Some(&state)
        {
            path.push(state);
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note();
        result
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note();
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.note();
        result
    }
}
