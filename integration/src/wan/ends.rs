//! The two kinds of TCP at the ends of a flow, and what each tells of its sending: the kernel's
//! through `ss`, Towpath's through `TcpInfo`. Beyond opening and asking they are used alike.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::net::{TcpSocket as KernelSocket, TcpStream as KernelStream};
use towpath::net::TcpStream as OurStream;
use towpath::{Config, Stack, TunDevice};

use super::lane::Side;
use crate::peer::Peer;
use crate::scene::Connection;
use crate::socket_statistics::Statistics;

/// Whose TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tcp {
    /// The Linux kernel's.
    Kernel,
    /// Towpath's.
    Towpath,
}

impl Tcp {
    /// Its address on this side.
    pub fn ip(self, side: Side) -> std::net::IpAddr {
        match self {
            Tcp::Kernel => side.kernel_ip(),
            Tcp::Towpath => side.our_ip(),
        }
    }

    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Tcp::Kernel => "kernel",
            Tcp::Towpath => "towpath",
        }
    }
}

/// What a sender tells at the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: u64,
    /// Payload bytes sent again.
    pub bytes_retrans: u64,
    /// The congestion window, in segments.
    pub cwnd_segments: u64,
    /// The least round-trip time.
    pub min_rtt_ms: f64,
    /// The time during which there was something to send or to be acknowledged.
    pub busy_ms: f64,
    /// Of that, held back by the receive window.
    pub rwnd_limited_ms: f64,
    /// Of that, starved by the send buffer.
    pub sndbuf_limited_ms: f64,
}

/// A stream whose connection can be asked.
pub trait End: Peer {
    /// What its sender did so far. `stack` is the one that it belongs to, if any.
    ///
    /// # Errors
    ///
    /// When the connection is no more.
    fn sending(&self, stack: Option<&Stack>) -> io::Result<Sending>;
}

impl End for KernelStream {
    fn sending(&self, _: Option<&Stack>) -> io::Result<Sending> {
        let connection = Connection { kernels: self.local_addr()?, ours: self.peer_addr()? };
        Ok(told_by_ss(&Statistics::of(&connection)))
    }
}

impl End for OurStream {
    fn sending(&self, stack: Option<&Stack>) -> io::Result<Sending> {
        let stack = stack.ok_or_else(|| io::Error::other("a stream without its stack"))?;
        let (now, info) = (stack.now(), self.info()?);
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        Ok(Sending {
            bytes_sent: info.bytes_sent,
            bytes_retrans: info.bytes_retrans,
            cwnd_segments: info.snd_cwnd_segments,
            min_rtt_ms: ms(info.min_rtt.unwrap_or_default()),
            busy_ms: ms(info.chronograph.busy_time(now)),
            rwnd_limited_ms: ms(info.chronograph.window_limited(now)),
            sndbuf_limited_ms: ms(info.chronograph.buffer_limited(now)),
        })
    }
}

/// `ss` leaves out what is zero.
fn told_by_ss(statistics: &Statistics) -> Sending {
    let number = |name: &str| -> f64 {
        let text = statistics.value(name).unwrap_or("0");
        let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse().unwrap_or_default()
    };
    Sending {
        bytes_sent: number("bytes_sent") as u64,
        bytes_retrans: number("bytes_retrans") as u64,
        cwnd_segments: number("cwnd") as u64,
        min_rtt_ms: number("minrtt"),
        busy_ms: number("busy"),
        rwnd_limited_ms: number("rwnd_limited"),
        sndbuf_limited_ms: number("sndbuf_limited"),
    }
}

/// A stack on this side, in whose namespace the calling thread is.
///
/// # Errors
///
/// When it knows no such congestion control or other setting, or there is no interface.
pub fn stack(side: Side, settings: &[(String, String)]) -> anyhow::Result<Stack> {
    let config = config(settings)?;
    let device = TunDevice::open(side.door()).context("opening Towpath's interface")?;
    let address = format!("{}/24", side.our_ip());
    let stack = Stack::builder().device(device).config(config).address(address).default_route();
    stack.build().context("building the stack")
}

/// The default numbers with these changed.
///
/// # Errors
///
/// For a name or value that Towpath does not have.
pub fn config(settings: &[(String, String)]) -> anyhow::Result<Config> {
    let mut config = Config::default();
    for (name, value) in settings {
        config.set_by_name(name, value)?;
    }
    Ok(config)
}

/// Opens a connection by the kernel, with this congestion control.
///
/// # Errors
///
/// When the kernel has no such congestion control, or that of connecting.
pub async fn kernel_connect(to: SocketAddr, congestion: &str) -> anyhow::Result<KernelStream> {
    let socket = KernelSocket::new_v4()?;
    SockRef::from(&socket)
        .set_tcp_congestion(congestion.as_bytes())
        .with_context(|| format!("the kernel's {congestion}"))?;
    socket.connect(to).await.with_context(|| format!("connecting to {to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ss_says_is_read_with_its_units_and_zero_where_it_is_silent() {
        let line = "ts cubic minrtt:40.021 cwnd:57 bytes_sent:900 bytes_retrans:70 busy:2004ms \
                    rwnd_limited:3ms(0.1%)";
        let sending = told_by_ss(&Statistics::from(line));
        assert_eq!(
            (sending.bytes_sent, sending.bytes_retrans, sending.cwnd_segments),
            (900, 70, 57)
        );
        assert_eq!((sending.min_rtt_ms, sending.busy_ms), (40.021, 2004.0));
        assert_eq!((sending.rwnd_limited_ms, sending.sndbuf_limited_ms), (3.0, 0.0));
    }
}
