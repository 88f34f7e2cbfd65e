//! `towpath-soak`: random runs of the lab, many seeds on all processors. `cargo xtask lab-soak`
//! builds and starts it.
//!
//! A seed that fails is printed with its reason and the command that plays it again, with its
//! packets. Ends with 0 if all are right, 1 if one is not, 2 if the arguments are wrong.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use towpath_lab::soak::{Keep, soak};

const HELP: &str = "\
towpath-soak [--seeds N] [--from SEED] [--threads N]
towpath-soak --replay SEED

Plays N seeds (1000) from SEED on (0), on N threads (as many as there are processors), or one with
its packets printed when it fails.";

thread_local! {
    /// What the last panic of this thread said.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Arguments {
    seeds: u64,
    from: u64,
    threads: usize,
    replay: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("towpath-soak: {what}; see --help");
            return ExitCode::from(2);
        }
    };
    match arguments.replay {
        Some(seed) => replay(seed),
        None => run(&arguments),
    }
}

fn read(arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut read = Arguments { seeds: 1000, from: 0, threads, replay: None };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        let known = ["--seeds", "--from", "--threads", "--replay"];
        if !known.contains(&name.as_str()) {
            return Err(format!("{name} is not known"));
        }
        let value = arguments.next().ok_or_else(|| format!("{name} wants a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{name} {value}: want a number"))?;
        match name.as_str() {
            "--seeds" => read.seeds = number,
            "--from" => read.from = number,
            "--threads" => read.threads = (number as usize).clamp(1, 1024),
            _ => read.replay = Some(number),
        }
    }
    Ok(Some(read))
}

fn replay(seed: u64) -> ExitCode {
    match soak(seed, Keep::Trace) {
        Ok(soaked) => {
            println!("right: {} packets in {:?}", soaked.packets, soaked.time);
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        PANIC.with(|panic| *panic.borrow_mut() = info.to_string());
    }));
    let begun = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let (failed, packets) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    match std::panic::catch_unwind(|| soak(seed, Keep::Nothing)) {
                        Ok(Ok(soaked)) => {
                            packets.fetch_add(soaked.packets, Ordering::Relaxed);
                        }
                        Ok(Err(what)) => tell(&failed, seed, &what),
                        Err(_) => PANIC.with(|panic| tell(&failed, seed, &panic.borrow())),
                    }
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let failed = failed.into_inner();
    println!(
        "{} seeds from {}: {failed} failed; {:.1} seeds/s, {:.0} packets/s",
        arguments.seeds,
        arguments.from,
        arguments.seeds as f64 / seconds,
        packets.into_inner() as f64 / seconds,
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(failed: &AtomicU64, seed: u64, what: &str) {
    failed.fetch_add(1, Ordering::Relaxed);
    println!("seed {seed} failed: {what}\n  again: cargo xtask lab-soak --replay {seed}\n");
}
