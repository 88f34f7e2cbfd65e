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

/// Settings without effect on what packets and calls show here. A value, where one stands, is the
/// only one of which that is true.
const NEEDLESS: &[(&str, Option<&str>, &str)] = &[
    ("tcp_fack", None, "Linux itself ignores it since 4.15"),
    ("tcp_low_latency", None, "Linux itself ignores it since 4.14"),
    ("tcp_tso_win_divisor", None, "segments are not held back to make larger ones"),
    ("tcp_min_tso_segs", None, "segments are not held back to make larger ones"),
    ("tcp_tso_rtt_log", None, "segments are not held back to make larger ones"),
    ("tcp_autocorking", None, "segments are not held back while others wait in the device"),
    ("tcp_limit_output_bytes", None, "the device takes what it is given at once"),
    ("tcp_no_metrics_save", None, "connections do not inherit what others measured"),
    ("tcp_nometrics_save", None, "connections do not inherit what others measured"),
    ("tcp_pacing_ss_ratio", None, "nothing is paced: the queueing discipline is pfifo"),
    ("tcp_pacing_ca_ratio", None, "nothing is paced: the queueing discipline is pfifo"),
    ("default_qdisc", None, "there is no queueing discipline"),
    ("tcp_moderate_rcvbuf", Some("1"), "the receive buffer grows by itself"),
    ("tcp_mem", None, "one script does not run out of memory"),
    ("rmem_max", None, "what SO_RCVBUF may be is not bounded beside tcp_rmem"),
    ("wmem_max", None, "what SO_SNDBUF may be is not bounded beside tcp_wmem"),
    ("optmem_max", None, "no memory is kept for ancillary data"),
    ("tcp_reordering", Some("3"), "this is what recovery uses"),
    ("tcp_ecn", Some("0"), "ECN is not spoken"),
    ("tcp_ecn_fallback", None, "ECN is not spoken"),
    ("tcp_notsent_lowat", Some("4294967295"), "without a limit"),
    ("tcp_mtu_probing", Some("0"), "paths are not probed"),
    ("tcp_base_mss", None, "paths are not probed"),
    ("tcp_early_demux", None, "a short cut inside the kernel"),
    ("ip_early_demux", None, "a short cut inside the kernel"),
    ("tcp_tw_reuse", Some("0"), "a port in TIME-WAIT is not chosen for a connect"),
    ("ip_nonlocal_bind", Some("0"), "only addresses that the host has are bound to"),
    ("tcp_stdurg", Some("0"), "urgent data is in line"),
    ("tcp_available_congestion_control", None, "only read"),
    ("tcp_allowed_congestion_control", None, "every script may use all there are"),
    ("tcp_thin_linear_timeouts", Some("0"), "thin streams are not treated apart"),
    // The values with which the default profile was built; others are unsupported until the
    // engine has the setting.
    ("tcp_frto", Some("2"), "the default profile's"),
    ("tcp_slow_start_after_idle", Some("0"), "the default profile's"),
    ("tcp_early_retrans", None, "the default profile's recovery"),
    ("tcp_recovery", Some("1"), "the default profile's recovery"),
    ("tcp_syncookies", Some("1"), "one script does not fill a SYN queue"),
    ("tcp_fastopen", None, "a script that depends on it uses TCP_FASTOPEN or MSG_FASTOPEN"),
    ("tcp_fastopen_key", None, "a script that depends on it uses TCP_FASTOPEN or MSG_FASTOPEN"),
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
    match config.set_by_name(name, value) {
        Ok(()) => return Ok(Settled::Set),
        Err(ConfigError::Unknown(_)) => {}
        Err(other) => return Err(other.to_string()),
    }
    let known = NEEDLESS.iter().find(|(known, ..)| *known == name);
    match known {
        Some((_, None, _)) => Ok(Settled::Needless),
        Some((_, Some(only), _)) if *only == value => Ok(Settled::Needless),
        Some((_, Some(only), _)) => Err(format!("only {only} is built")),
        None => Err("not built".to_owned()),
    }
}
