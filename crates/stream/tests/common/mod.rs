//! Two stacks with a cable between them.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

pub mod cut;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use towpath::device::netem::LinkConfig;
use towpath::device::{Device, Impaired, memory};
use towpath::net::{TcpListener, TcpStream};
use towpath::{Config, Stack, StackBuilder};

pub const SERVER: &str = "10.0.0.1";
pub const CLIENT: &str = "10.0.0.2";

/// A client's and a server's stack.
pub struct Pair {
    pub client: Stack,
    pub server: Stack,
}

pub fn server_on(device: impl Device) -> StackBuilder {
    Stack::builder().device(device).address("10.0.0.1/24").address("fd00::1/64").seed([1; 32])
}

pub fn client_on(device: impl Device) -> StackBuilder {
    client().device(device)
}

/// A client's stack without a device.
pub fn client() -> StackBuilder {
    Stack::builder().address("10.0.0.2/24").address("fd00::2/64").seed([2; 32])
}

pub fn pair() -> Pair {
    pair_with(Config::default())
}

pub fn pair_with(config: Config) -> Pair {
    let (left, right) = memory::pair(1500);
    Pair {
        server: server_on(left).config(config.clone()).build().unwrap(),
        client: client_on(right).config(config).build().unwrap(),
    }
}

/// A pair with a link of the client's that delays, and what else `link` says, in both directions.
pub fn impaired_pair(link: LinkConfig, seed: u64) -> Pair {
    println!("link seed: {seed}");
    let (left, right) = memory::pair(1500);
    let far = Impaired::new(right, link.clone(), link, seed).unwrap();
    Pair { server: server_on(left).build().unwrap(), client: client_on(far).build().unwrap() }
}

/// A cable that takes 10 ms each way.
pub fn distant_pair() -> Pair {
    impaired_pair(LinkConfig::default().delay(Duration::from_millis(10)), 1)
}

impl Pair {
    pub async fn listen(&self) -> TcpListener {
        self.server.listen((SERVER, 0)).await.unwrap()
    }

    /// A connection: the client's stream and the server's.
    pub async fn connect(&self) -> (TcpStream, TcpStream) {
        let listener = self.listen().await;
        self.connect_to(&listener).await
    }

    pub async fn connect_to(&self, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let to: SocketAddr = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(self.client.connect(to), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    /// Waits until nothing is left but what is in TIME-WAIT.
    pub async fn settle(&self) {
        for _ in 0..1000 {
            let empty = |stack: &Stack| {
                let census = stack.census();
                census.connections == 0 && census.half_open == 0
            };
            if empty(&self.client) && empty(&self.server) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("left over: {:?} {:?}", self.client.census(), self.server.census());
    }
}

/// Bytes that do not repeat with any period of the protocol's.
pub fn payload(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        data.extend_from_slice(&(state >> 16).to_le_bytes()[..6]);
    }
    data.truncate(len);
    data
}

/// FNV-1a over a stream to its end: its length and digest.
pub async fn digest(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(usize, u64)> {
    let (mut len, mut digest, mut buffer) = (0, FNV, vec![0; 64 * 1024]);
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok((len, digest));
        }
        len += count;
        digest = fnv(digest, &buffer[..count]);
    }
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(digest: u64, data: &[u8]) -> u64 {
    data.iter().fold(digest, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

pub fn digest_of(data: &[u8]) -> (usize, u64) {
    (data.len(), fnv(FNV, data))
}
