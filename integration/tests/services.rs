//! `towpath services` echoes to a client of the kernel's.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::scenario;
use tokio::io::AsyncWriteExt;
use towpath_integration::payload::Payload;
use towpath_integration::peer::{receive, send};
use towpath_integration::runtime::Flavour;
use towpath_integration::skip::{Need, skip};

const BYTES: u64 = 4 << 20;

/// The program beside this package's own: cargo tells a test the paths of its package's only.
fn towpath() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_enter")).with_file_name("towpath")
}

/// Ends the services as a user would, also when the test fails.
struct Services(Child);

impl Services {
    fn end(&mut self) {
        if let Ok(id) = i32::try_from(self.0.id()) {
            // If it has ended already, its status tells.
            let _ = kill(Pid::from_raw(id), Signal::SIGINT);
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn the_command_echoes_to_a_client_of_the_kernel() {
    let name = "the_command_echoes_to_a_client_of_the_kernel";
    let program = towpath();
    if !program.is_file() {
        let reason = "there is no program towpath beside the tests: cargo build -p towpath-cli";
        return skip(Need::Towpath, name, reason);
    }
    scenario(name).play_bare(async |stage| {
        let mut command = stage.command(&program);
        command.args(["services", "--tun", "services0"]);
        command.args(["--address", "10.78.0.2/24", "--address", "fd78::2/64"]);
        command.args([
            "--cpus",
            match stage.flavour() {
                Flavour::CurrentThread => "1",
                Flavour::FourWorkers => "4",
            },
        ]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the command");
        let mut words = BufReader::new(child.stdout.take().expect("its output"));
        let mut services = Services(child);
        let mut line = String::new();
        words.read_line(&mut line).expect("a line");
        assert_eq!(line, "READY 10.78.0.2 fd78::2\n");

        for server in ["10.78.0.2:7", "[fd78::2]:7"] {
            let stream = tokio::net::TcpStream::connect(server).await.expect("connecting");
            let (mut read, mut write) = stream.into_split();
            let payload = Payload::new(1, BYTES);
            let sending = async {
                send(&mut write, payload.clone()).await?;
                write.shutdown().await
            };
            let ends = futures::future::try_join(sending, receive(&mut read)).await;
            let ((), echoed) = ends.expect("the exchange");
            assert_eq!(echoed, payload.sum());
        }
        services.end();
        let status = services.0.wait().expect("waiting");
        assert!(status.success(), "{status}");
    });
}
