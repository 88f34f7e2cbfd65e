//! `towpath services`: echo, discard and chargen on a TUN interface.
//!
//! Inside Towpath everything is routed through that interface; of the host nothing is changed but
//! an interface that this command made, which goes with it. Others measure against this command:
//! its words are stable.

mod protocols;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use towpath::net::TcpListener;
use towpath::{Config, Stack, TunConfig, TunDevice};

use self::protocols::Protocol;
use crate::exit::Failure;
use crate::prefix::Prefix;
use crate::settings;

/// How long what was written is still delivered after a signal.
const LEAVE: Duration = Duration::from_secs(1);

/// Serve echo, discard and chargen (RFC 862, 863, 864; ports 7, 9, 19) on a TUN interface
///
/// If the interface exists it is attached to and left as it is; if not it is created, with an MTU
/// of 1500, brought up, and removed on exit. Prints `READY` and the addresses when it listens. Ends
/// with Ctrl-C or SIGTERM. RUST_LOG (such as towpath=debug) logs to standard error.
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// The interface
    #[arg(long, value_name = "NAME")]
    tun: String,

    /// An address of the services, such as 10.77.0.2/24 or fd00::2/64; may be given again
    #[arg(long = "address", value_name = "ADDRESS/PREFIX", required = true)]
    addresses: Vec<Prefix>,

    /// The kernel's address, if the interface is created; may be given again; by default the first
    /// other host of each address's prefix
    #[arg(long = "kernel-address", value_name = "ADDRESS")]
    kernel_addresses: Vec<IpAddr>,

    /// Sets a number of the protocol by Linux's sysctl name, such as tcp_syn_retries=3, or by its
    /// towpath.* name; may be given again
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,

    /// Worker threads: 1 is a current-thread runtime, more a multi-thread one
    #[arg(long, value_name = "N", default_value = "1")]
    cpus: NonZeroUsize,
}

impl Services {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = settings::config(&self.settings)?;
        check(&self.addresses)?;
        let kernel = kernel_side(&self.addresses, &self.kernel_addresses)?;
        let runtime = match self.cpus.get() {
            1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            cpus => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(cpus)
                .enable_all()
                .build(),
        };
        let runtime = runtime.map_err(|error| Failure::refused(format!("tokio: {error}")))?;
        // The main task runs on a worker like all others.
        let task = runtime.spawn(self.serve(config, kernel));
        runtime.block_on(task).unwrap_or_else(|error| Err(Failure::failed(error)))
    }

    async fn serve(self, config: Config, kernel: Vec<Prefix>) -> Result<(), Failure> {
        // Before anything is made, so that a signal always unmakes it.
        let listen = |kind| signal(kind).map_err(Failure::refused);
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;

        let device = self.open(&kernel)?;
        let mut builder = Stack::builder().device(device).config(config).default_route();
        for address in &self.addresses {
            builder = builder.address(address.to_string());
        }
        let stack = builder.build().map_err(Failure::refused)?;
        let mut listeners = Vec::new();
        for address in &self.addresses {
            for protocol in Protocol::ALL {
                let at = SocketAddr::new(address.address, protocol.port());
                let listener = stack
                    .listen(at)
                    .await
                    .map_err(|error| Failure::refused(format!("listening on {at}: {error}")))?;
                listeners.push((protocol, listener));
            }
        }
        ready(&self.addresses)?;

        let mut serving = tokio::task::JoinSet::new();
        for (protocol, listener) in listeners {
            serving.spawn(accept(protocol, listener));
        }
        let ended = tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            // A listener ends only when its stack does.
            Some(ended) = serving.join_next() => {
                let why = ended.map_or_else(|error| error.to_string(), |error| error.to_string());
                Err(Failure::failed(format!("{}: {why}: was the interface removed?", self.tun)))
            }
        };
        let report = stack.shutdown(LEAVE).await;
        tracing::info!(?report, "left");
        ended
    }

    fn open(&self, kernel: &[Prefix]) -> Result<TunDevice, Failure> {
        let mut tun = TunConfig::new(&self.tun);
        for prefix in kernel {
            tun = tun.address(prefix.address, prefix.len);
        }
        let device = TunDevice::open(tun).map_err(Failure::refused)?;
        for warning in device.warnings() {
            eprintln!("towpath: warning: {warning}");
        }
        Ok(device)
    }
}

async fn accept(protocol: Protocol, listener: TcpListener) -> std::io::Error {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(async move {
                    if let Err(error) = protocol.serve(stream).await {
                        tracing::debug!(%peer, ?protocol, %error, "connection failed");
                    }
                });
            }
            Err(error) => return error,
        }
    }
}

fn ready(addresses: &[Prefix]) -> Result<(), Failure> {
    let list: Vec<_> = addresses.iter().map(|prefix| prefix.address.to_string()).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "READY {}", list.join(" "))
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("standard output: {error}")))
}

/// What the addresses of the services cannot be.
fn check(addresses: &[Prefix]) -> Result<(), Failure> {
    for (index, own) in addresses.iter().enumerate() {
        let ip = own.address;
        let problem = if ip.is_multicast() || ip.is_unspecified() {
            "no host has it: give the address of one host"
        } else if ip.is_loopback() {
            "it is every host's own: give one that the kernel can send to"
        } else if addresses[..index].iter().any(|earlier| earlier.address == ip) {
            "it is given twice: give it once"
        } else {
            continue;
        };
        return Err(Failure::refused(format!("--address {own}: {problem}")));
    }
    Ok(())
}

/// The kernel's addresses: those given, each with the prefix of the network that it is in, else the
/// first other host of each address's network.
fn kernel_side(addresses: &[Prefix], given: &[IpAddr]) -> Result<Vec<Prefix>, Failure> {
    for kernel in given {
        if let Some(own) = addresses.iter().find(|own| own.address == *kernel) {
            return Err(Failure::refused(format!(
                "--kernel-address {kernel}: it is the services' own {own}: give another host of \
                 the prefix"
            )));
        }
        if !addresses.iter().any(|own| own.contains(*kernel)) {
            return Err(Failure::refused(format!(
                "--kernel-address {kernel}: it is in the prefix of no --address, so neither side \
                 would find the other: give a host of one of them"
            )));
        }
    }
    let mut kernel: Vec<Prefix> = Vec::new();
    for own in addresses {
        let mut here: Vec<_> = given.iter().copied().filter(|ip| own.contains(*ip)).collect();
        if here.is_empty() {
            let taken = |ip| addresses.iter().any(|other| other.address == ip);
            match own.first_other_host() {
                Some(ip) if !taken(ip) => here.push(ip),
                _ => {
                    return Err(Failure::refused(format!(
                        "--address {own}: no host of its prefix is left for the kernel's side: \
                         say one with --kernel-address, or give a shorter prefix"
                    )));
                }
            }
        }
        for address in here {
            if !kernel.iter().any(|known| known.address == address) {
                kernel.push(Prefix { address, len: own.len });
            }
        }
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(addresses: &[&str], kernel: &[&str]) -> Result<Vec<String>, String> {
        let addresses: Vec<Prefix> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let kernel: Vec<IpAddr> = kernel.iter().map(|text| text.parse().unwrap()).collect();
        kernel_side(&addresses, &kernel)
            .map(|kernel| kernel.iter().map(ToString::to_string).collect())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_kernels_side_is_the_given_address_or_the_first_other_host_of_each_family() {
        let both = ["10.77.0.2/24", "fd00::2/64"];
        assert_eq!(sides(&both, &[]).unwrap(), ["10.77.0.1/24", "fd00::1/64"]);
        assert_eq!(sides(&both, &["10.77.0.9"]).unwrap(), ["10.77.0.9/24", "fd00::1/64"]);
        // Two addresses of one network share the kernel's.
        let two = ["10.77.0.2/24", "10.77.0.3/24"];
        assert_eq!(sides(&two, &[]).unwrap(), ["10.77.0.1/24"]);
    }

    #[test]
    fn an_address_that_the_services_cannot_have_is_refused() {
        let refused = |texts: &[&str]| {
            let addresses: Vec<Prefix> = texts.iter().map(|text| text.parse().unwrap()).collect();
            check(&addresses).is_err()
        };
        assert!(!refused(&["10.0.0.1/24", "fd00::1/64"]));
        for texts in [
            &["224.0.0.1/4"][..],
            &["0.0.0.0/8"],
            &["::/64"],
            &["127.0.0.1/8"],
            &["10.0.0.1/24", "10.0.0.1/16"],
        ] {
            assert!(refused(texts), "{texts:?}");
        }
    }

    #[test]
    fn a_kernels_side_that_cannot_work_is_refused_with_a_remedy() {
        for (addresses, kernel, remedy) in [
            (&["10.0.0.1/32"][..], &[][..], "shorter prefix"),
            (&["10.77.0.2/24"], &["10.77.0.2"], "another host"),
            (&["10.77.0.2/24"], &["10.78.0.2"], "a host of one of them"),
            (&["10.0.0.4/31", "10.0.0.5/31"], &[], "--kernel-address"),
        ] {
            let error = sides(addresses, kernel).unwrap_err();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
