//! `relay`: carries packets between a TUN interface here and one in another network namespace, with
//! the delay, rate, queue, loss and so on of a link each way, on a clock of nanoseconds.
//!
//! Says `ready` on standard output when both interfaces pass packets, and what it did, in one line
//! of JSON, when its standard input has something to read or ends: so it ends with its parent.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::fs::File;
    use std::io::{ErrorKind, Write};
    use std::net::IpAddr;
    use std::os::fd::AsFd;
    use std::path::PathBuf;

    use clap::Parser;
    use nix::sched::{CloneFlags, setns};
    use nix::sys::prctl::set_timerslack;
    use towpath_device::{TunConfig, TunDevice};
    use towpath_integration::wan::relay::{self, Settings};
    use towpath_netem::LinkConfig;

    #[derive(Debug, Parser)]
    struct Arguments {
        /// The name of both interfaces.
        #[arg(long)]
        interface: String,
        /// The kernel's address on the interface here, in a /24.
        #[arg(long)]
        near: IpAddr,
        /// The kernel's address on the interface there, in a /24.
        #[arg(long)]
        far: IpAddr,
        /// The other network namespace: a path that opens it.
        #[arg(long)]
        far_namespace: PathBuf,
        /// The link from here to there.
        #[arg(long)]
        out: LinkConfig,
        /// The link from there to here.
        #[arg(long)]
        back: LinkConfig,
        /// Decides what is lost and so on.
        #[arg(long)]
        seed: u64,
    }

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        let arguments = Arguments::parse();
        // Without it the kernel may wake us 50 microseconds late.
        set_timerslack(1)?;
        // Only for opening: the interfaces register with it and are then used without.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let open = |address| -> Result<File, Box<dyn Error>> {
            let config = TunConfig::new(&arguments.interface).create().address(address, 24);
            let device = TunDevice::open(config)?;
            for warning in device.warnings() {
                eprintln!("relay: {warning}");
            }
            Ok(device.as_fd().try_clone_to_owned()?.into())
        };
        let near = open(arguments.near)?;
        setns(File::open(&arguments.far_namespace)?, CloneFlags::CLONE_NEWNET)?;
        let far = open(arguments.far)?;
        drop(entered);
        drop(runtime);

        writeln!(std::io::stdout(), "ready")?;
        let settings = Settings { out: arguments.out, back: arguments.back, seed: arguments.seed };
        let report = relay::run(&near, &far, &std::io::stdin(), settings)?;
        match writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?) {
            // The parent is gone, and so is who wanted to know.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            told => Ok(told?),
        }
    }
}
