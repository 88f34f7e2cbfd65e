//! Linux's settings by name: those that the engine's [`Config`] has, and those that change nothing
//! here, each with its reason. All others are unsupported.

use towpath_engine::{Config, ConfigError};

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The engine has it.
    Set,
    /// Nothing depends on it.
    Needless,
}

/// Whatever the value is.
const ANY: &[&str] = &[];

/// Settings without effect on what packets and calls show here. Where values stand, it is true of
/// them only.
const NEEDLESS: &[(&str, &[&str], &str)] = &[
    ("tcp_fack", ANY, "Linux itself ignores it since 4.15"),
    ("tcp_low_latency", ANY, "Linux itself ignores it since 4.14"),
    ("tcp_tso_win_divisor", ANY, "segments are not held back to make larger ones"),
    ("tcp_min_tso_segs", ANY, "segments are not held back to make larger ones"),
    ("tcp_tso_rtt_log", ANY, "segments are not held back to make larger ones"),
    ("tcp_autocorking", ANY, "segments are not held back while others wait in the device"),
    ("tcp_limit_output_bytes", ANY, "the device takes what it is given at once"),
    ("tcp_no_metrics_save", ANY, "connections do not inherit what others measured"),
    ("tcp_nometrics_save", ANY, "connections do not inherit what others measured"),
    ("tcp_pacing_ss_ratio", ANY, "nothing is paced: the queueing discipline is pfifo"),
    ("tcp_pacing_ca_ratio", ANY, "nothing is paced: the queueing discipline is pfifo"),
    ("default_qdisc", ANY, "there is no queueing discipline"),
    ("tcp_moderate_rcvbuf", &["1"], "the receive buffer grows by itself"),
    ("tcp_mem", ANY, "one script does not run out of memory"),
    ("rmem_max", ANY, "what SO_RCVBUF may be is not bounded beside tcp_rmem"),
    ("wmem_max", ANY, "what SO_SNDBUF may be is not bounded beside tcp_wmem"),
    ("optmem_max", ANY, "no memory is kept for ancillary data"),
    ("tcp_reordering", &["3"], "this is what recovery uses"),
    ("tcp_notsent_lowat", &["4294967295"], "without a limit"),
    ("tcp_mtu_probing", &["0"], "paths are not probed"),
    ("tcp_base_mss", ANY, "paths are not probed"),
    ("tcp_early_demux", ANY, "a short cut inside the kernel"),
    ("ip_early_demux", ANY, "a short cut inside the kernel"),
    ("ip_nonlocal_bind", &["0"], "only addresses that the host has are bound to"),
    ("tcp_stdurg", &["0"], "urgent data is in line"),
    ("tcp_available_congestion_control", ANY, "only read"),
    ("tcp_allowed_congestion_control", ANY, "every script may use all there are"),
    ("tcp_thin_linear_timeouts", &["0"], "thin streams are not treated apart"),
    // The values with which the default profile was built; others are unsupported until the
    // engine has the setting.
    ("tcp_frto", &["2"], "the default profile's"),
    ("tcp_slow_start_after_idle", &["0"], "the default profile's"),
    ("tcp_early_retrans", ANY, "the default profile's recovery"),
    ("tcp_recovery", &["1"], "the default profile's recovery"),
    // Bits above the first two accept without being asked.
    (
        "tcp_fastopen",
        &["0", "1", "2", "3", "0x0", "0x1", "0x2", "0x3"],
        "a script that depends on it uses TCP_FASTOPEN or MSG_FASTOPEN",
    ),
    ("tcp_fastopen_key", ANY, "a script that depends on it uses TCP_FASTOPEN or MSG_FASTOPEN"),
];

/// A name without the folders before it: `net.ipv4.tcp_sack`, `/proc/sys/net/ipv4/tcp_sack`.
pub(super) fn short_name(name: &str) -> String {
    name.rsplit(['.', '/']).next().unwrap_or(name).to_owned()
}

/// Changes one setting.
///
/// # Errors
///
/// Why it cannot be: not known, or a value that is not built.
pub(super) fn set(config: &mut Config, name: &str, value: &str) -> Result<Settled, String> {
    // A parameter of Linux's module tcp_cubic, and what only Towpath has.
    let own = if name == "hystart_detect" { "hystart" } else { name };
    for name in [name.to_owned(), format!("towpath.{own}")] {
        match config.set_by_name(&name, value) {
            Ok(()) => return Ok(Settled::Set),
            Err(ConfigError::Unknown(_)) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
    let known = NEEDLESS.iter().find(|(known, ..)| *known == name);
    match known {
        Some((_, values, _)) if values.is_empty() || values.contains(&value) => {
            Ok(Settled::Needless)
        }
        Some((_, values, _)) => Err(format!("there is only {}", values.join(", "))),
        None => Err("not built".to_owned()),
    }
}
