//! Whether a packet that the stack has sent is the one that the script expects: field by field, in
//! the language's order, and beyond it the payload's bytes and the timestamp's echo. Checksums were
//! verified when the packet was read.

use super::clock::tolerance;
use super::live::{Live, Side};
use super::options::{Piece, show, sort_key};
use super::seen::{Seen, first_nonzero};
use crate::drill::ast::{IpInfo, Options, Tcp, TcpFlags, TcpOption, Tos};
use crate::drill::settings::Settings;

/// Compares `seen` with what is written. Learns initial numbers and timestamps on the way, so that
/// the segment that tells them is compared with itself in these.
///
/// # Errors
///
/// The first field that differs.
pub(super) fn check(
    settings: &Settings,
    ip: &IpInfo,
    tcp: &Tcp,
    seen: &Seen,
    live: &mut Live,
) -> Result<(), String> {
    check_ip(ip, seen)?;
    if let (Some(script), true) = (ip.flow_label, seen.src.is_ipv6()) {
        live.check_flow_label(script, seen.flow_label)?;
    }
    if seen.flags.syn && tcp.flags.syn {
        live.on_local_syn(seen.seq, tcp.seq);
    }
    check_fields(settings, tcp, seen, live)?;
    check_options(settings, tcp, seen, live)?;
    if seen.len() != tcp.len {
        return Err(format!("payload of {} bytes, expected {}", seen.len(), tcp.len));
    }
    match first_nonzero(&seen.payload) {
        Some(at) => Err(format!("byte {at} of the payload is not the zero that was written")),
        None => Ok(()),
    }
}

fn check_ip(ip: &IpInfo, seen: &Seen) -> Result<(), String> {
    let ecn = seen.tos & 0b11;
    match ip.tos {
        Some(Tos::Ecn(bits)) if bits != ecn => {
            return Err(format!("ECN bits {ecn:02b}, expected {bits:02b}"));
        }
        Some(Tos::EitherEct) if !matches!(ecn, 1 | 2) => {
            return Err(format!("ECN bits {ecn:02b}, expected 01 or 10"));
        }
        Some(Tos::Byte(byte)) if byte != seen.tos => {
            return Err(format!("tos {:#04x}, expected {byte:#04x}", seen.tos));
        }
        _ => {}
    }
    match ip.ttl {
        Some(ttl) if ttl != seen.ttl => Err(format!("ttl {}, expected {ttl}", seen.ttl)),
        _ => Ok(()),
    }
}

fn check_fields(settings: &Settings, tcp: &Tcp, seen: &Seen, live: &Live) -> Result<(), String> {
    let mut wanted = tcp.flags;
    if settings.ignore_psh {
        wanted.psh = seen.flags.psh;
    }
    if wanted != seen.flags {
        return Err(format!("flags {}, expected {}", letters(seen.flags), letters(tcp.flags)));
    }
    if seen.reserved != 0 {
        return Err(format!("reserved bits {:03b}, expected none", seen.reserved));
    }
    let counting = seen.counting();
    let seq = live.to_script(Side::Local, counting, seen.seq);
    if seq != tcp.seq {
        return Err(format!("seq {seq}, expected {}", tcp.seq));
    }
    match tcp.ack {
        Some(ack) => {
            let found = live.to_script(Side::Remote, counting, seen.ack);
            if found != ack {
                return Err(format!("ack {found}, expected {ack}"));
            }
        }
        None if seen.ack != 0 => return Err(format!("ack field {}, expected 0", seen.ack)),
        None => {}
    }
    match tcp.window {
        Some(window) if window != seen.window => {
            return Err(format!("win {}, expected {window}", seen.window));
        }
        _ => {}
    }
    let urgent = tcp.urgent.unwrap_or(0);
    if urgent != seen.urgent {
        return Err(format!("urg {}, expected {urgent}", seen.urgent));
    }
    Ok(())
}

fn check_options(
    settings: &Settings,
    tcp: &Tcp,
    seen: &Seen,
    live: &mut Live,
) -> Result<(), String> {
    let wanted = match &tcp.options {
        Options::Any => return Ok(()),
        Options::None => Vec::new(),
        Options::List(options) => options.iter().cloned().map(Piece::Known).collect(),
    };
    let found = seen.script_options(live);
    let differs = || Err(format!("options <{}>, expected <{}>", show(&found), show(&wanted)));
    let (mut left, mut right) = (wanted.clone(), found.clone());
    if settings.options_as_set {
        for list in [&mut left, &mut right] {
            list.retain(|piece| !matches!(piece, Piece::Known(TcpOption::Nop | TcpOption::Eol)));
            list.sort_by_key(sort_key);
        }
    }
    if left.len() != right.len() {
        return differs();
    }
    for (wanted, found) in left.iter().zip(&right) {
        use TcpOption::Timestamps;
        if let (
            Piece::Known(Timestamps { val: script, ecr: wanted_ecr }),
            Piece::Known(Timestamps { val, ecr }),
        ) = (wanted, found)
        {
            if ecr != wanted_ecr {
                return Err(format!("ecr {ecr}, expected {wanted_ecr}"));
            }
            live.on_stamp(*script, *val);
            check_stamp(settings, *script, *val, seen.at, live)?;
        } else if wanted != found {
            return differs();
        }
    }
    Ok(())
}

/// TSval is compared where a tick's length is known, as ticks since the first.
fn check_stamp(
    settings: &Settings,
    script: u32,
    val: u32,
    at: i64,
    live: &Live,
) -> Result<(), String> {
    let Some((first_script, first_live)) = live.first_stamp() else { return Ok(()) };
    if settings.ts_tick_micros == 0 {
        return Ok(());
    }
    let wanted = script.wrapping_sub(first_script).cast_signed();
    let found = val.wrapping_sub(first_live).cast_signed();
    let off = i64::from(found.wrapping_sub(wanted)).abs() * settings.ts_tick_micros;
    if off > tolerance(settings, at, 0) {
        let shown = first_script.wrapping_add_signed(found);
        return Err(format!("TS val {shown}, expected {script}"));
    }
    Ok(())
}

/// Flags as scripts write them, the ECN bits as letters.
pub(super) fn letters(flags: TcpFlags) -> String {
    let table = [
        (flags.fin, 'F'),
        (flags.syn, 'S'),
        (flags.rst, 'R'),
        (flags.psh, 'P'),
        (flags.ack, '.'),
        (flags.urg, 'U'),
        (flags.ace & 1 != 0, 'E'),
        (flags.ace & 2 != 0, 'W'),
        (flags.ace & 4 != 0, 'A'),
    ];
    let text: String = table.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// What a script expects, as it would write it.
pub(super) fn show_expected(tcp: &Tcp) -> String {
    let options = match &tcp.options {
        Options::None => String::new(),
        Options::Any => " <...>".to_owned(),
        Options::List(list) => {
            let pieces: Vec<Piece> = list.iter().cloned().map(Piece::Known).collect();
            format!(" <{}>", show(&pieces))
        }
    };
    let numbers = (tcp.seq, tcp.len, tcp.ack, tcp.window);
    format!("{}{options}", show_numbers(tcp.flags, numbers, tcp.urgent))
}

/// What was seen, as a script would write it.
pub(super) fn show_seen(seen: &Seen, live: &Live) -> String {
    let counting = seen.counting();
    let seq = live.to_script(Side::Local, counting, seen.seq);
    let ack = live.to_script(Side::Remote, counting, seen.ack);
    let ack = seen.flags.ack.then_some(ack);
    let urgent = seen.flags.urg.then_some(seen.urgent);
    let numbers = (seq, seen.len(), ack, Some(seen.window));
    let pieces: Vec<Piece> = seen
        .script_options(live)
        .into_iter()
        .map(|piece| match (piece, live.first_stamp()) {
            (Piece::Known(TcpOption::Timestamps { val, ecr }), Some((script, first))) => {
                let val = script.wrapping_add(val.wrapping_sub(first));
                Piece::Known(TcpOption::Timestamps { val, ecr })
            }
            (piece, _) => piece,
        })
        .collect();
    let options = if pieces.is_empty() { String::new() } else { format!(" <{}>", show(&pieces)) };
    format!("{}{options}", show_numbers(seen.flags, numbers, urgent))
}

type Numbers = (u32, u32, Option<u32>, Option<u16>);

fn show_numbers(flags: TcpFlags, numbers: Numbers, urgent: Option<u16>) -> String {
    let (seq, len, ack, window) = numbers;
    let mut text = format!("{} {seq}:{}({len})", letters(flags), seq.wrapping_add(len));
    if let Some(ack) = ack {
        text += &format!(" ack {ack}");
    }
    if let Some(window) = window {
        text += &format!(" win {window}");
    }
    if let Some(urgent) = urgent {
        text += &format!(" urg {urgent}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::seen::tests::{data, sent};
    use super::*;

    #[test]
    fn bytes_that_were_not_written_are_found() {
        let tcp = data(1, 10);
        let mut live =
            Live::new("192.168.0.1:8080".parse().unwrap(), "192.0.2.1:9".parse().unwrap(), 0);
        let mut seen = Seen::parse(0, &sent(&tcp)).unwrap().unwrap();
        let settings = Settings::default();
        let mut judge = |seen: &Seen| check(&settings, &IpInfo::default(), &tcp, seen, &mut live);
        assert_eq!(judge(&seen), Ok(()));
        let mut payload = seen.payload.to_vec();
        payload[7] = 1;
        seen.payload = payload.into();
        let told = judge(&seen).unwrap_err();
        assert!(told.starts_with("byte 7 of the payload"), "{told}");
    }

    #[test]
    fn a_number_in_a_field_that_does_not_count_is_found() {
        let flags = TcpFlags { rst: true, ..TcpFlags::default() };
        let mut live =
            Live::new("192.168.0.1:8080".parse().unwrap(), "192.0.2.1:9".parse().unwrap(), 0);
        for (ack, told) in [(0, Ok(())), (5, Err("ack field 5, expected 0".to_owned()))] {
            let bytes = sent(&Tcp { flags, ack: Some(ack), ..data(1, 0) });
            let seen = Seen::parse(0, &bytes).unwrap().unwrap();
            let wanted = Tcp { flags, ack: None, ..data(1, 0) };
            let settings = Settings::default();
            assert_eq!(check(&settings, &IpInfo::default(), &wanted, &seen, &mut live), told);
        }
    }

    #[test]
    fn bits_without_a_meaning_are_found() {
        let tcp = data(1, 0);
        let mut live =
            Live::new("192.168.0.1:8080".parse().unwrap(), "192.0.2.1:9".parse().unwrap(), 0);
        let mut seen = Seen::parse(0, &sent(&tcp)).unwrap().unwrap();
        seen.reserved = 0b100;
        let told = check(&Settings::default(), &IpInfo::default(), &tcp, &seen, &mut live);
        assert_eq!(told, Err("reserved bits 100, expected none".to_owned()));
    }
}
