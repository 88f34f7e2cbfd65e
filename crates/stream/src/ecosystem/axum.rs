//! `axum::serve` over a Towpath listener: feature `axum-08`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::net::{TcpListener, TcpStream};

/// How long a refused accept waits before the next, as axum itself does with tokio's listener.
const PAUSE: Duration = Duration::from_secs(1);

impl ::axum::serve::Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match TcpListener::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    // The trait has no way to fail: a server over a stack that has ended waits
                    // for its own shutdown.
                    tracing::error!(%error, "accept failed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}
