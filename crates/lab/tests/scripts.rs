//! Every script of `scripts/`, for initial sequence numbers that put the wraps of the number space
//! and of signed comparison before, inside and behind the exchange, in both families.

use std::io::Write;
use std::path::{Path, PathBuf};

use towpath_lab::drill::play::InitialNumbers;
use towpath_lab::drill::run::{Options, run_file, scripts_in};
use towpath_lab::drill::verdict::Verdict;

/// The first number of the stack, and what is added to the peer's.
const NUMBERS: [(u32, u32); 4] =
    [(0, 0), (0x7fff_ffff, 0x7fff_ffff), (0xffff_ffff, 0xffff_ffff), (0xffff_ffff, 0x7fff_ffff)];

/// IPv6's header is 20 bytes longer: with an MTU to match, segments are as long as over IPv4.
const FAMILIES: [(&str, Option<&str>); 2] = [("ipv4", None), ("ipv6", Some("1520"))];

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    scripts_in(&[folder]).expect("the folder of scripts can be read")
}

#[test]
fn every_script_passes_for_all_initial_numbers_and_in_both_families() {
    let scripts = scripts();
    assert!(scripts.len() >= 12, "the scripts are not where they are looked for");
    let mut wrong = Vec::new();
    for script in &scripts {
        let wrong_before = wrong.len();
        let text = std::fs::read_to_string(script).expect("a script can be read");
        let own_family = text.lines().any(|line| line.starts_with("--ip_version"));
        for (family, mtu) in FAMILIES {
            if own_family && family != "ipv4" {
                continue;
            }
            for (local, remote_shift) in NUMBERS {
                let mut options = Options {
                    numbers: InitialNumbers { local: Some(local), remote_shift },
                    ..Options::default()
                };
                options.command_line.push(("strict_end".to_owned(), None));
                let mut set = |name: &str, value: &str| {
                    options.command_line.push((name.to_owned(), Some(value.to_owned())));
                };
                if !own_family {
                    set("ip_version", family);
                }
                if let Some(mtu) = mtu.filter(|_| !text.contains("--mtu")) {
                    set("mtu", mtu);
                }
                let played = run_file(script, &options);
                if let Verdict::Pass = played.verdict {
                    continue;
                }
                let numbers = format!("{family}, iss {local:#x}, peer's {remote_shift:#x}");
                let mut told =
                    format!("{} ({numbers}): {}", script.display(), played.verdict.reason());
                if let Verdict::Fail(failure) = &played.verdict {
                    told = format!("{told}\n{}", failure.detail);
                }
                wrong.push(told);
            }
        }
        if wrong.len() == wrong_before {
            tell_that_it_passed(script);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// For the map of requirements: see docs/testing.md.
fn tell_that_it_passed(script: &Path) {
    let Some(list) = std::env::var_os("TOWPATH_SCRIPTS_RAN") else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let name = script.strip_prefix(root).expect("a script is in the folder of scripts");
    let line = format!("crates/lab/scripts/{}\n", name.display());
    let file = std::fs::OpenOptions::new().append(true).create(true).open(list);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the list can be written");
}

#[test]
fn every_script_begins_with_what_it_shows() {
    for script in scripts() {
        let text = std::fs::read_to_string(&script).expect("a script can be read");
        assert!(text.starts_with("// Shows: "), "{} does not say what it shows", script.display());
    }
}
