//! Enters a network namespace and becomes the program that is named: `enter KIND PROGRAM ARGUMENT..`
//! with the kind of `towpath_integration::namespace`. `enter --try KIND` tells whether that works;
//! `enter --stay PROGRAM ARGUMENT..` becomes the program where it is.
//!
//! libtest's own process cannot do it: it has several threads. And what enters and then becomes the
//! program keeps its process id, so that the parent knows whom to end.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, ExitCode};

    use clap::ValueEnum;
    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::Signal;
    use towpath_integration::namespace::{self, Kind};
    use towpath_integration::scenario::tun_config;

    pub(super) fn main() -> ExitCode {
        let mut words = std::env::args_os().skip(1);
        let Some(first) = words.next().and_then(|word| word.into_string().ok()) else {
            return refuse("KIND PROGRAM ARGUMENT.. or --try KIND");
        };
        let kind = match first.as_str() {
            "--stay" => None,
            "--try" => {
                let kind = words.next().and_then(|word| kind(word.to_str()?));
                let Some(kind) = kind else { return refuse("--try own or --try user") };
                return namespace::answer(kind, tun_config());
            }
            word => match kind(word) {
                Some(kind) => Some(kind),
                None => return refuse("a kind is own or user"),
            },
        };
        become_program(kind, words)
    }

    fn kind(word: &str) -> Option<Kind> {
        Kind::from_str(word, false).ok()
    }

    fn refuse(usage: &str) -> ExitCode {
        eprintln!("enter: usage: {usage}");
        ExitCode::from(2)
    }

    fn become_program(kind: Option<Kind>, mut words: impl Iterator<Item = OsString>) -> ExitCode {
        let Some(program) = words.next() else { return refuse("no program is named") };
        // A test that is interrupted leaves nobody behind.
        if let Err(errno) = set_pdeathsig(Signal::SIGKILL) {
            eprintln!("enter: prctl(PR_SET_PDEATHSIG): {errno}");
            return ExitCode::from(2);
        }
        if let Some(Err(error)) = kind.map(namespace::enter) {
            eprintln!("enter: {error}");
            return ExitCode::from(2);
        }
        let error = Command::new(&program).args(words).exec();
        eprintln!("enter: starting {}: {error}", program.display());
        ExitCode::from(2)
    }
}
