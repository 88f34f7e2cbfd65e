//! An axum service behind a TUN interface: the kernel's own clients reach it.
//!
//! Needs CAP_NET_ADMIN, in a network namespace of its own for example:
//!
//! ```text
//! cargo build -p towpath --example axum_hello --features axum-08
//! sudo unshare -n target/debug/examples/axum_hello &
//! sudo nsenter -n -t $(pgrep axum_hello) curl http://10.77.0.2/
//! ```

use std::error::Error;

use axum::Router;
use axum::routing::get;
use towpath::net::TcpListener;
use towpath::{Stack, TunConfig, TunDevice};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    // The kernel's side of the interface is 10.77.0.1; ours, 10.77.0.2, is Towpath's alone.
    let tun = || TunDevice::open(TunConfig::new("towpath0").address([10, 77, 0, 1].into(), 24));
    Stack::builder().open_device(tun).address("10.77.0.2/24").default_route().build_default()?;

    // From here on, a program for tokio.
    let app = Router::new().route("/", get(|| async { "Hello from user space\n" }));
    let listener = TcpListener::bind("10.77.0.2:80").await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
