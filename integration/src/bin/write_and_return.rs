//! Connects through Towpath to `ADDRESS`, writes as many bytes as `BYTES` says, and returns from
//! `main` at once: what tests `main_returns`.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::net::SocketAddr;

    use towpath::net::TcpStream;
    use towpath::{Stack, TunDevice};
    use towpath_integration::payload::Payload;
    use towpath_integration::peer::send;
    use towpath_integration::scenario::tun_config;
    use towpath_integration::scene::Family;

    let mut words = std::env::args().skip(1);
    let usage = "usage: write_and_return ADDRESS BYTES";
    let to: SocketAddr = words.next().ok_or(usage)?.parse()?;
    let bytes: u64 = words.next().ok_or(usage)?.parse()?;
    let (address, prefix) = (Family::V4.our_ip(), Family::V4.prefix_length());
    Stack::builder()
        .open_device(|| TunDevice::open(tun_config()))
        .address(format!("{address}/{prefix}"))
        .build_default()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stream = TcpStream::connect(to).await?;
        send(&mut stream, Payload::new(1, bytes)).await?;
        Ok(())
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {}
