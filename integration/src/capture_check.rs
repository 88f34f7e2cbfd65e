//! A second opinion on what we send: `tshark` reads a capture of ours and judges every packet.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What tshark says of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// Frames with a TCP segment.
    pub segments: usize,
    /// Of those, with both checksums good (IPv6 has the one).
    pub good_checksums: usize,
    /// Frames that are malformed or that an expert's note calls an error, in tshark's words.
    pub complaints: Vec<String>,
}

/// Whether `tshark` starts here.
///
/// # Errors
///
/// Why not, and what helps, in one line.
pub fn find() -> Result<(), String> {
    let mut version = tshark();
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    match version.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("tshark --version ended with {status}: install tshark anew")),
        Err(error) => Err(format!("starting tshark: {error}: install it (package tshark)")),
    }
}

/// Without what this user configured.
pub(crate) fn tshark() -> Command {
    let mut command = Command::new("tshark");
    command.stdin(Stdio::null()).env("WIRESHARK_CONFIG_DIR", "/nonexistent");
    command
}

/// Has the capture at `path` judged.
///
/// # Errors
///
/// When tshark fails, does not understand the file, or answers something else than was asked.
pub fn judge(path: &Path) -> io::Result<Opinion> {
    let mut command = tshark();
    command.arg("-r").arg(path);
    command.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    command.args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=f"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("tshark: {}: {}", output.status, words.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut opinion = Opinion::default();
    for line in text.lines() {
        opinion.take(line)?;
    }
    Ok(opinion)
}

const FIELDS: [&str; 7] = [
    "frame.number",
    "ip.version",
    "ip.checksum.status",
    "tcp.checksum.status",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
];

/// `ip.checksum.status` and `tcp.checksum.status`, in tshark's numbers.
const GOOD: &str = "1";

/// `PI_ERROR` of tshark's expert notes.
const ERROR: u32 = 0x0080_0000;

impl Opinion {
    fn take(&mut self, line: &str) -> io::Result<()> {
        let words: Vec<_> = line.splitn(FIELDS.len(), '|').collect();
        let [number, version, ip, tcp, malformed, severity, message] = words[..] else {
            return Err(io::Error::other(format!("a line of tshark's: {line:?}")));
        };
        if !tcp.is_empty() {
            self.segments += 1;
            if tcp == GOOD && (ip == GOOD || version != "4") {
                self.good_checksums += 1;
            }
        }
        let is_error = severity.parse().is_ok_and(|severity: u32| severity >= ERROR);
        if !malformed.is_empty() || is_error {
            self.complaints.push(format!("frame {number}: {malformed} {message}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_checksum_a_malformed_frame_and_an_error_are_noticed() {
        let mut opinion = Opinion::default();
        for line in [
            "1|4|1|1|||",
            "2|6||1||2097152|a chat",
            "3|4|1|0||8388608|bad checksum",
            "4|4|0|1|||",
            "5|4|1||Malformed||",
        ] {
            opinion.take(line).unwrap();
        }
        assert_eq!((opinion.segments, opinion.good_checksums), (4, 2));
        assert_eq!(opinion.complaints, ["frame 3:  bad checksum", "frame 5: Malformed "]);
        assert!(opinion.take("7|4").is_err());
    }
}
