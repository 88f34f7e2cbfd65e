//! An echo server and its client in one process: two stacks with a cable between them, no
//! privilege and no kernel.
//!
//! ```text
//! cargo run -p towpath --example echo
//! RUST_LOG=towpath=debug cargo run -p towpath --example echo
//! ```

use std::error::Error;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath::Stack;
use towpath::device::memory;
use towpath::net::{TcpListener, TcpStream};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let (left, right) = memory::pair(1500);
    let server = Stack::builder().device(left).address("10.0.0.1/24").build()?;
    let client = Stack::builder().device(right).address("10.0.0.2/24").build()?;

    // Inside `server.spawn` the ambient stack is the server's: this is code for `tokio::net`.
    let bound = server.spawn(async { TcpListener::bind("10.0.0.1:7").await }).await??;
    server.spawn(async move {
        loop {
            let (stream, peer) = bound.accept().await?;
            println!("server: connection from {peer}");
            tokio::spawn(echo(stream));
        }
        #[allow(unreachable_code)]
        std::io::Result::Ok(())
    });

    let echoed = client.scope(talk()).await?;
    println!("client: got back {echoed:?}");

    let report = client.shutdown(std::time::Duration::from_secs(5)).await;
    println!("client: {report:?}");
    Ok(())
}

async fn echo(mut stream: TcpStream) -> std::io::Result<u64> {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await
}

async fn talk() -> std::io::Result<String> {
    let mut stream = TcpStream::connect("10.0.0.1:7").await?;
    stream.write_all(b"the same again, please").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
