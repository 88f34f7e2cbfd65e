//! `towpath-drill [OPTION ...] PATH ...`: runs scripts in packetdrill's language.
//!
//! Every option that a script may have at its head may stand here too, and wins. Ends with 0 if no
//! script failed (unsupported ones are printed and do not fail), 1 if one did, 2 if the command line
//! is wrong or names no script.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use towpath_lab::drill::report::Report;
use towpath_lab::drill::run::{Options, run_file, scripts_in};
use towpath_lab::drill::settings::{Refused, Settings};

const USAGE: &str = "\
usage: towpath-drill [OPTION ...] PATH ...

Runs scripts in packetdrill's language; of folders, every *.pkt below them.

  --json               one JSON array: path, verdict and reason of each script
  --verbose            every exchange, with what code blocks print
  --dry-run            read the scripts only
  --ignore-psh         do not compare PSH
  --options-as-set     do not compare order and padding of TCP options
  --strict-end         fail when packets are left at the end
  -D NAME=VALUE        a word of scripts and what it stands for
  --initial-number=N   the first initial sequence number of the stack
  --peer-shift=N       added to the initial sequence numbers that scripts give the peer

and packetdrill's own, which win over those of a script: --ip_version=, --local_ip=, --remote_ip=,
--bind_port=, --connect_port=, --mtu=, --mss=, --tolerance_usecs=, --tolerance_percent=,
--tcp_ts_tick_usecs=, --tcp_ts_ecr_scaled, --strict_segments
";

/// What the command line asks for.
struct Arguments {
    paths: Vec<PathBuf>,
    options: Options,
    json: bool,
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = match read(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => return refuse(&why),
    };
    if let Some(missing) = arguments.paths.iter().find(|path| !path.is_file() && !path.is_dir()) {
        return refuse(&format!("{} is no file and no folder", missing.display()));
    }
    let scripts = match scripts_in(&arguments.paths) {
        Ok(scripts) if scripts.is_empty() => {
            // Who reads JSON gets an array in any case.
            if arguments.json {
                println!("{}", Report::default().json());
            }
            return refuse("there is no script");
        }
        Ok(scripts) => scripts,
        Err(why) => return refuse(&why.to_string()),
    };
    // A panic is told as its script's failure.
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = Report::default();
    let mut out = io::stdout().lock();
    let mut told = Ok(());
    for script in &scripts {
        let played = run_file(script, &arguments.options);
        if arguments.json {
            report.keep(script, &played);
        } else {
            told = told.and(report.tell(&mut out, script, &played, arguments.verbose));
        }
    }
    let closing = if arguments.json { report.json() } else { report.summary() };
    // Nobody is left to be told that nobody reads.
    let _ = told.and(writeln!(out, "{closing}"));
    if report.count("fail") == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("towpath-drill: {why}; see `towpath-drill --help`");
    ExitCode::from(2)
}

/// Reads the command line; `None` asks for help.
fn read(mut words: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
    let mut arguments =
        Arguments { paths: Vec::new(), options: Options::default(), json: false, verbose: false };
    // Options are judged once here, so that a wrong one is not every script's failure.
    let mut judged = Settings::default();
    let text = |word: OsString| {
        word.into_string().map_err(|word| format!("{} is no text", word.display()))
    };
    while let Some(word) = words.next() {
        // A path may be any bytes; an option is text.
        if !word.as_encoded_bytes().starts_with(b"-") {
            arguments.paths.push(word.into());
            continue;
        }
        let word = text(word)?;
        if let Some(definition) = word.strip_prefix("-D") {
            let definition = match definition {
                "" => text(words.next().ok_or("-D wants NAME=VALUE")?)?,
                attached => attached.to_owned(),
            };
            define(&mut arguments.options, &definition)?;
            continue;
        }
        let Some(option) = word.strip_prefix("--") else {
            match word.as_str() {
                "-h" => return Ok(None),
                "-v" => arguments.verbose = true,
                _ => return Err(format!("unknown option {word}")),
            }
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        match (name, value) {
            ("help", _) => return Ok(None),
            ("json", None) => arguments.json = true,
            ("verbose", None) => arguments.verbose = true,
            ("define", Some(definition)) => define(&mut arguments.options, &definition)?,
            ("initial-number", Some(value)) => {
                arguments.options.numbers.local = Some(number(name, &value)?);
            }
            ("peer-shift", Some(value)) => {
                arguments.options.numbers.remote_shift = number(name, &value)?;
            }
            (name, value) => {
                judged.set(name, value.as_deref()).map_err(|refused| match refused {
                    Refused::Wrong(what) => what,
                    Refused::Unsupported(what) => format!("{what} is not supported"),
                })?;
                arguments.options.command_line.push((name.to_owned(), value));
            }
        }
    }
    if arguments.paths.is_empty() {
        return Err("no script is named".to_owned());
    }
    Ok(Some(arguments))
}

fn define(options: &mut Options, definition: &str) -> Result<(), String> {
    let (name, value) =
        definition.split_once('=').ok_or_else(|| format!("-D {definition}: want NAME=VALUE"))?;
    options.definitions.define(name, value);
    Ok(())
}

fn number(name: &str, value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| format!("--{name}={value}: want a number below 2^32"))
}
