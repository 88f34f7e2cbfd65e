//! The shell commands of scripts that mean something to a stack without a shell: settings, counters,
//! and what is needless here. Any other command is unsupported.

use std::collections::BTreeMap;

use towpath_engine::Counters;

use super::disk;
use super::sysctl::{self, Settled};
use crate::drill::verdict::Stop;

/// What the tests of Linux's own tree set before each script (their `defaults.sh`), as far as it
/// differs from a fresh kernel or is worth saying.
const DEFAULTS: &[(&str, &str)] = &[
    ("tcp_rmem", "4096 540000 15728640"),
    ("tcp_wmem", "4096 262144 4194304"),
    ("tcp_timestamps", "1"),
    ("tcp_syn_retries", "5"),
    ("tcp_synack_retries", "5"),
    ("tcp_frto", "2"),
    ("tcp_sack", "1"),
    ("tcp_dsack", "1"),
    ("tcp_fack", "0"),
    ("tcp_reordering", "3"),
    ("tcp_slow_start_after_idle", "0"),
    ("tcp_early_retrans", "4"),
    ("tcp_recovery", "1"),
    ("tcp_tso_win_divisor", "3"),
    ("tcp_ecn", "0"),
    ("tcp_pacing_ss_ratio", "200"),
    ("tcp_pacing_ca_ratio", "120"),
    ("tcp_notsent_lowat", "4294967295"),
    ("tcp_syncookies", "1"),
];

/// The congestion control that the same file asks for.
const DEFAULT_CONGESTION_CONTROL: &str = "cubic";
/// Where Linux has the settings of CUBIC that no `sysctl` knows.
const CUBIC_PARAMETERS: &str = "/sys/module/tcp_cubic/parameters/";

/// What commands find on the host that they run on.
pub(super) trait Machine {
    /// Changes a setting of the stack; why it cannot be, otherwise.
    fn set(&mut self, name: &str, value: &str) -> Result<Settled, String>;
    /// Whether a socket listens on a port.
    fn listens_on(&self, port: u16) -> bool;
    /// The device's MTU is another from now on.
    fn set_mtu(&mut self, mtu: usize) -> Result<(), String>;
    /// The stack's counters.
    fn counters(&self) -> &Counters;
    /// The lengths of the files that commands have made.
    fn files(&mut self) -> &mut BTreeMap<String, u64>;
}

/// What is left of earlier commands.
#[derive(Debug, Default)]
pub(super) struct Shell {
    /// The counters when they were last shown.
    shown: BTreeMap<&'static str, u64>,
    /// What a failed script's reader should know.
    pub(super) remarks: Vec<String>,
}

impl Shell {
    /// Runs the text of a command, line by line and part by part.
    ///
    /// # Errors
    ///
    /// A part that fails as the shell's would, or is not known.
    pub(super) fn run(&mut self, text: &str, machine: &mut dyn Machine) -> Result<(), Stop> {
        let joined = text.replace("\\\n", " ");
        for part in joined.split(['\n', ';']).flat_map(|line| line.split("&&")) {
            let part = part.split('#').next().unwrap_or_default();
            let mut outcome = Ok(());
            for alternative in part.split("||").map(str::trim).filter(|part| !part.is_empty()) {
                outcome = self.part(alternative, machine);
                if !matches!(outcome, Err(Stop::Fail(_))) {
                    break;
                }
            }
            outcome?;
        }
        Ok(())
    }

    fn part(&mut self, part: &str, machine: &mut dyn Machine) -> Result<(), Stop> {
        let unknown = || Stop::unsupported(format!("command `{part}`"));
        let words: Vec<&str> = part.split_whitespace().collect();
        let (first, rest) = words.split_first().ok_or_else(unknown)?;
        let rest = before_redirection(rest);
        let name = first.rsplit('/').next().unwrap_or(first);
        match (name, rest) {
            ("defaults.sh" | "set_defaults.sh", []) => self.defaults(machine),
            ("sysctl" | "set_sysctls.py", _) => settings(part, first.len(), machine),
            ("echo", _) if part.contains("/proc/sys/") || part.contains(CUBIC_PARAMETERS) => {
                let (value, name) = part[first.len()..].split_once('>').ok_or_else(unknown)?;
                settle(name.trim(), value.trim().trim_matches(['"', '\'']), machine)
            }
            // There are no cached routes or metrics between connections.
            ("ip", ["tcp_metrics", "flush", ..] | ["route", "flush", "cache", ..]) => Ok(()),
            ("ip", ["link", "set", words @ ..]) | ("ifconfig", words) => {
                link(words).ok_or_else(unknown).and_then(|mtu| set_mtu(mtu, machine))
            }
            ("ip", ["route" | "ro" | "r", "add" | "append" | "change" | "replace", words @ ..]) => {
                route(words, machine).ok_or_else(unknown)?
            }
            // What leaves the stack is seen as it leaves.
            ("tc", ["qdisc", "add" | "replace" | "change", words @ ..])
                if is_plain_queue(words) =>
            {
                Ok(())
            }
            ("tc", ["qdisc", "del" | "delete", ..]) => Ok(()),
            // Modules are there or not: what a script asks of one is found missing where it asks.
            ("sleep" | "true" | "sync" | ":" | "modprobe", _) => Ok(()),
            ("false", _) => Err(Stop::fail("the command `false` fails")),
            ("rm" | "touch" | "dd" | "truncate", _) => {
                disk::command(name, rest, machine.files()).ok_or_else(unknown)
            }
            ("nstat", _) => self.nstat(part, machine.counters()).ok_or_else(unknown)?,
            // Segments leave one by one and are never joined or held back.
            ("ethtool", ["-K", ..]) => Ok(()),
            ("grep", _) if part.contains("/proc/net/tcp") => {
                let port = listening_port(part).ok_or_else(unknown)?;
                if machine.listens_on(port) {
                    Ok(())
                } else {
                    Err(Stop::fail(format!("nobody listens on port {port}")))
                }
            }
            // Settings are a script's own here: there is nothing to put back.
            (name, _) if name.starts_with("sysctl_restore_") => Ok(()),
            _ => Err(unknown()),
        }
    }

    fn defaults(&mut self, machine: &mut dyn Machine) -> Result<(), Stop> {
        for (name, value) in DEFAULTS {
            settle(name, value, machine)?;
        }
        if machine.set("tcp_congestion_control", DEFAULT_CONGESTION_CONTROL).is_err() {
            self.remarks.push(format!(
                "defaults.sh asks for {DEFAULT_CONGESTION_CONTROL}, which is not built: the \
                 default congestion control was used"
            ));
        }
        Ok(())
    }

    /// `nstat` shows what has changed since it last did, and `-s` does not count as showing. `None`
    /// for a use of it that is not known.
    fn nstat(&mut self, part: &str, counters: &Counters) -> Option<Result<(), Stop>> {
        let mut pipe = part.split('|').map(str::trim);
        let own = pipe.next()?;
        let options: Vec<&str> =
            own.split_whitespace().skip(1).take_while(|word| *word != ">").collect();
        let keeps = options.contains(&"-s");
        if options.iter().any(|option| !matches!(*option, "-s" | "-n" | "-z")) {
            return None;
        }
        let now: BTreeMap<&'static str, u64> = counters.iter().collect();
        let changed: Vec<(&str, u64)> = now
            .iter()
            .map(|(name, value)| {
                let before = self.shown.get(name).copied().unwrap_or(0);
                (*name, value.saturating_sub(before))
            })
            .filter(|(_, change)| *change > 0)
            .collect();
        if !keeps {
            self.shown = now.clone();
        }
        let Some(search) = pipe.next() else { return Some(Ok(())) };
        let wanted = search.strip_prefix("grep")?.split('>').next()?.trim();
        let wanted = wanted.strip_prefix("-q").unwrap_or(wanted).trim().trim_matches('"');
        if wanted.is_empty() || wanted.contains(['*', '[', '\\', ' ']) {
            return None;
        }
        if !now.keys().any(|name| name.contains(wanted)) {
            return Some(Err(Stop::unsupported(format!("counter {wanted}"))));
        }
        let found: Vec<&(&str, u64)> =
            changed.iter().filter(|(name, _)| name.contains(wanted)).collect();
        let count = match pipe.next() {
            None => None,
            Some(second) => {
                let text = second.strip_prefix("grep")?.trim().strip_prefix("-q")?.trim();
                Some(text.trim_matches(['"', '\'']).trim().parse::<u64>().ok()?)
            }
        };
        if pipe.next().is_some() {
            return None;
        }
        let good = found.iter().any(|(_, change)| count.is_none_or(|count| count == *change));
        let seen = found.first().map_or(0, |(_, change)| *change);
        Some(if good {
            Ok(())
        } else {
            let expected = count.map_or_else(|| "more".to_owned(), |count| count.to_string());
            Err(Stop::fail(format!("counter {wanted} is {seen}, expected {expected}")))
        })
    }
}

/// The port in `grep " 0A " /proc/net/tcp ... | grep ":PORT"`: 0A is LISTEN, the port is hexadecimal.
fn listening_port(part: &str) -> Option<u16> {
    let (state, port) = part.split_once('|')?;
    let is_listen = state.contains("\" 0A \"") || state.contains("' 0A '");
    let port = port.trim().strip_prefix("grep")?.trim().trim_matches(['"', '\'']);
    u16::from_str_radix(port.strip_prefix(':')?, 16).ok().filter(|_| is_listen)
}

/// The words before the first that sends output elsewhere.
fn before_redirection<'w, 't>(words: &'w [&'t str]) -> &'w [&'t str] {
    let redirects = |word: &&str| word.trim_start_matches(['0', '1', '2', '&']).starts_with('>');
    let end = words.iter().position(redirects).unwrap_or(words.len());
    words.get(..end).unwrap_or(words)
}

/// A queue from which packets leave in their order, none delayed, none dropped.
fn is_plain_queue(words: &[&str]) -> bool {
    words.iter().any(|word| matches!(*word, "pfifo" | "pfifo_fast" | "noqueue"))
        && !words.contains(&"limit")
}

/// The MTU in `[dev] tun0 mtu N` or `mtu N dev tun0`, `None` for another change of a link.
fn link(words: &[&str]) -> Option<usize> {
    let mut mtu = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "dev" => {}
            "mtu" => mtu = Some(words.next()?.parse().ok()?),
            device if device.starts_with("tun") => {}
            _ => return None,
        }
    }
    mtu
}

fn set_mtu(mtu: usize, machine: &mut dyn Machine) -> Result<(), Stop> {
    machine.set_mtu(mtu).map_err(Stop::Fail)
}

/// `DEST [via GATEWAY] [dev DEVICE] METRIC VALUE ...`: there is one route, whose metrics are the
/// stack's settings. `None` for a metric that the stack does not have.
fn route(words: &[&str], machine: &mut dyn Machine) -> Option<Result<(), Stop>> {
    let (_destination, mut words) = words.split_first()?;
    while let [name, value, rest @ ..] = words {
        let done = match *name {
            "via" | "dev" | "proto" | "scope" | "src" | "metric" | "table" => Ok(()),
            "initcwnd" => settle("towpath.initial_window", value, machine),
            "rto_min" => {
                let micros = match value.strip_suffix("ms") {
                    Some(millis) => millis.parse::<u64>().ok()?.checked_mul(1000)?,
                    None => value.strip_suffix('s')?.parse::<u64>().ok()?.checked_mul(1_000_000)?,
                };
                settle("tcp_rto_min_us", &micros.to_string(), machine)
            }
            "congctl" => settle("tcp_congestion_control", value, machine),
            "mtu" => set_mtu(value.parse().ok()?, machine),
            _ => return None,
        };
        if done.is_err() {
            return Some(done);
        }
        words = rest;
    }
    words.is_empty().then_some(Ok(()))
}

/// `k=v k=v ...`, where values may be quoted. A name alone is only shown.
fn settings(part: &str, skip: usize, machine: &mut dyn Machine) -> Result<(), Stop> {
    let unknown = || Stop::unsupported(format!("command `{part}`"));
    let text = part.get(skip..).unwrap_or_default();
    let text = text.split('>').next().unwrap_or_default();
    let text = text.strip_suffix(" 2").unwrap_or(text);
    let mut any = false;
    for word in words(text) {
        match word.split_once('=') {
            Some((name, value)) => {
                let value = computed(value.trim()).ok_or_else(unknown)?;
                settle(name.trim(), &value, machine)?;
            }
            None if matches!(word.as_str(), "-q" | "-w" | "-n" | "-e" | "-qw") => continue,
            None if word.starts_with('-') => return Err(unknown()),
            None => {}
        }
        any = true;
    }
    if any { Ok(()) } else { Err(unknown()) }
}

fn settle(name: &str, value: &str, machine: &mut dyn Machine) -> Result<(), Stop> {
    let name = sysctl::short_name(name);
    machine
        .set(&name, value)
        .map(drop)
        .map_err(|why| Stop::unsupported(format!("sysctl {name}={value}: {why}")))
}

/// A value with the products in `$((...))` worked out; `None` for other arithmetic.
fn computed(value: &str) -> Option<String> {
    let Some((before, rest)) = value.split_once("$((") else { return Some(value.to_owned()) };
    let (inside, after) = rest.split_once("))")?;
    let mut factors = inside.split('*').map(|factor| factor.trim().parse::<u64>().ok());
    let product = factors.try_fold(1_u64, |product, factor| product.checked_mul(factor?))?;
    Some(format!("{before}{product}{}", computed(after)?))
}

/// Words as a shell splits them, with `"` and `'` taken off.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, letter) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(core::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Double {
        set: Vec<(String, String)>,
        mtu: usize,
        counters: Counters,
        files: BTreeMap<String, u64>,
    }

    impl Machine for Double {
        fn set(&mut self, name: &str, value: &str) -> Result<Settled, String> {
            self.set.push((name.to_owned(), value.to_owned()));
            Ok(Settled::Set)
        }

        fn listens_on(&self, port: u16) -> bool {
            port == 8080
        }

        fn set_mtu(&mut self, mtu: usize) -> Result<(), String> {
            self.mtu = mtu;
            Ok(())
        }

        fn counters(&self) -> &Counters {
            &self.counters
        }

        fn files(&mut self) -> &mut BTreeMap<String, u64> {
            &mut self.files
        }
    }

    fn run(text: &str) -> (Result<(), Stop>, Double) {
        let mut machine = Double::default();
        let result = Shell::default().run(text, &mut machine);
        (result, machine)
    }

    #[test]
    fn settings_are_found_in_all_their_spellings() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for (text, expected) in [
            ("sysctl -q net.ipv4.tcp_sack=0", one("tcp_sack", "0")),
            ("sysctl -q -w net.ipv4.tcp_rmem=\"1 2 3\"", one("tcp_rmem", "1 2 3")),
            ("echo \"1 2 3\" > /proc/sys/net/ipv4/tcp_rmem", one("tcp_rmem", "1 2 3")),
            ("sysctl -q net.ipv4.tcp_rmem=\"1 2 $((3*4))\"", one("tcp_rmem", "1 2 12")),
            ("sysctl -w net.core.somaxconn=5 > /dev/null 2>&1", one("somaxconn", "5")),
            (
                "./set_sysctls.py /proc/sys/net/ipv4/tcp_min_tso_segs=4",
                one("tcp_min_tso_segs", "4"),
            ),
            ("sysctl -q net.ipv4.tcp_sack=0 2>/dev/null || true", one("tcp_sack", "0")),
            ("sysctl -n net.ipv4.tcp_sack", vec![]),
            (
                "ip route change 192.0.2.1 dev tun0 initcwnd 3 rto_min 1s",
                [one("initial_window", "3"), one("tcp_rto_min_us", "1000000")].concat(),
            ),
        ] {
            let (result, machine) = run(text);
            assert_eq!(result, Ok(()), "{text}");
            assert_eq!(machine.set, expected, "{text}");
        }
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let ask = |port| run(&format!("grep \" 0A \" /proc/net/tcp | grep \":{port}\"")).0;
        assert_eq!(ask("1F90"), Ok(()));
        assert!(matches!(ask("1F91"), Err(Stop::Fail(_))));
        assert!(matches!(ask("port"), Err(Stop::Unsupported(_))));
    }

    #[test]
    fn what_is_not_known_is_named() {
        for strange in [
            "rm -rf /",
            "ip route add 192.0.2.1 dev tun0 initrwnd 3",
            "ip link set dev tun0 down",
            "tc qdisc add dev tun0 root pfifo limit 0",
            "sysctl -p",
            "true || true && curl",
        ] {
            let (result, _) = run(&format!("./defaults.sh\n{strange}"));
            let last = strange.rsplit("&& ").next().unwrap();
            assert_eq!(result, Err(Stop::Unsupported(format!("command `{last}`"))));
        }
    }

    #[test]
    fn what_fails_has_an_alternative() {
        assert_eq!(run("false || true").0, Ok(()));
        assert!(matches!(run("false").0, Err(Stop::Fail(_))));
        assert!(matches!(run("true || false ; false").0, Err(Stop::Fail(_))));
    }

    #[test]
    fn the_device_s_mtu_is_found_in_all_spellings() {
        for text in [
            "ip link set dev tun0 mtu 9000",
            "ip link set tun0 mtu 9000 2>/dev/null",
            "ip link set mtu 9000 dev tun0",
            "ifconfig tun0 mtu 9000",
            "ip route replace 192.0.2.1 dev tun0 mtu 9000",
        ] {
            let (result, machine) = run(text);
            assert_eq!((result, machine.mtu), (Ok(()), 9000), "{text}");
        }
    }

    #[test]
    fn files_are_made_of_zeros_and_go() {
        let made = "rm -f a.bin b.bin\ndd bs=2 count=5 if=/dev/zero of=a.bin status=none";
        let (result, machine) = run(&format!("{made}\ntouch b.bin ; truncate -s 7 c.bin"));
        assert_eq!(result, Ok(()));
        let files: Vec<_> = machine.files.iter().map(|(path, len)| (path.as_str(), *len)).collect();
        assert_eq!(files, [("a.bin", 10), ("b.bin", 0), ("c.bin", 7)]);
        assert_eq!(run(&format!("{made} ; rm -f a.bin")).1.files.len(), 0);
        assert!(matches!(run("dd if=/etc/passwd of=a.bin").0, Err(Stop::Unsupported(_))));
    }

    #[test]
    fn nstat_compares_what_has_changed_since_it_was_last_shown() {
        let mut shell = Shell::default();
        let mut counters = Counters::default();
        counters.timeouts = 2;
        let mut nstat = |text: &str, counters: &Counters| {
            shell.run(text, &mut Double { counters: counters.clone(), ..Double::default() })
        };
        assert_eq!(nstat("nstat -n", &counters), Ok(()));
        counters.timeouts = 5;
        let asked = "nstat -s | grep TcpExtTCPTimeouts | grep -q \" 3 \"";
        assert_eq!(nstat(asked, &counters), Ok(()));
        assert_eq!(nstat(asked, &counters), Ok(()));
        assert_eq!(nstat("nstat > /dev/null", &counters), Ok(()));
        assert!(matches!(nstat(asked, &counters), Err(Stop::Fail(_))));
        assert!(matches!(
            nstat("nstat | grep TcpExtNoSuchThing | grep -q \" 1 \"", &counters),
            Err(Stop::Unsupported(_))
        ));
    }
}
