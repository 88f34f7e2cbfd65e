//! TCP options as bytes, exactly as a script writes them and as the stack sent them. The codec of
//! `towpath_wire` keeps meanings, not layouts; here the layout is what is compared.

use core::fmt::Write;

use crate::drill::ast::TcpOption;

const EOL: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const MD5: u8 = 19;
const FAST_OPEN: u8 = 34;
const ACC_ECN_E0B_FIRST: u8 = 172;
const ACC_ECN_E1B_FIRST: u8 = 174;
const EXPERIMENT: u8 = 254;
const FAST_OPEN_MAGIC: [u8; 2] = [0xF9, 0x89];

/// One option as it stands in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The language has a word for it.
    Known(TcpOption),
    /// It has none: the bytes.
    Raw(Vec<u8>),
}

/// The bytes of a list.
pub(super) fn encode(options: &[TcpOption]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for option in options {
        let (kind, data) = match option {
            TcpOption::Nop => {
                bytes.push(NOP);
                continue;
            }
            TcpOption::Eol => {
                bytes.push(EOL);
                continue;
            }
            TcpOption::Mss(mss) => (MSS, mss.to_be_bytes().to_vec()),
            TcpOption::WindowScale(shift) => (WINDOW_SCALE, vec![*shift]),
            TcpOption::SackPermitted => (SACK_PERMITTED, Vec::new()),
            TcpOption::Sack(blocks) => {
                let edges = blocks.iter().flat_map(|(left, right)| [*left, *right]);
                (SACK, edges.flat_map(u32::to_be_bytes).collect())
            }
            TcpOption::Timestamps { val, ecr } => {
                (TIMESTAMPS, [val.to_be_bytes(), ecr.to_be_bytes()].concat())
            }
            TcpOption::FastOpen(cookie) => (FAST_OPEN, cookie.clone()),
            TcpOption::FastOpenExperimental(cookie) => {
                (EXPERIMENT, [&FAST_OPEN_MAGIC[..], cookie].concat())
            }
            TcpOption::Md5(digest) => (MD5, digest.clone()),
            TcpOption::AccEcn { e1b_first, counters } => {
                let kind = if *e1b_first { ACC_ECN_E1B_FIRST } else { ACC_ECN_E0B_FIRST };
                let low = |counter: &u32| counter.to_be_bytes()[1..].to_vec();
                (kind, counters.iter().flat_map(low).collect())
            }
        };
        bytes.push(kind);
        bytes.push(u8::try_from(data.len() + 2).unwrap_or(u8::MAX));
        bytes.extend(data);
    }
    bytes
}

/// What puts pieces in an order that does not depend on where they stood.
pub(super) fn sort_key(piece: &Piece) -> Vec<u8> {
    match piece {
        Piece::Known(option) => encode(std::slice::from_ref(option)),
        Piece::Raw(bytes) => bytes.clone(),
    }
}

/// The options of a header. What is cut off or unknown stays bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        let single = match *kind {
            EOL => Some(TcpOption::Eol),
            NOP => Some(TcpOption::Nop),
            _ => None,
        };
        if let Some(option) = single {
            pieces.push(Piece::Known(option));
            bytes = rest;
            continue;
        }
        let len = rest.first().map_or(0, |len| usize::from(*len));
        if len < 2 || len > bytes.len() {
            pieces.push(Piece::Raw(bytes.to_vec()));
            break;
        }
        let (option, after) = bytes.split_at(len);
        let known = known(*kind, &option[2..]);
        pieces.push(known.map_or_else(|| Piece::Raw(option.to_vec()), Piece::Known));
        bytes = after;
    }
    pieces
}

fn known(kind: u8, data: &[u8]) -> Option<TcpOption> {
    let word = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
    Some(match (kind, data) {
        (MSS, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
        (WINDOW_SCALE, [shift]) => TcpOption::WindowScale(*shift),
        (SACK_PERMITTED, []) => TcpOption::SackPermitted,
        (SACK, data) if data.len() % 8 == 0 => {
            let edges: Vec<u32> = data.as_chunks::<4>().0.iter().map(word).collect();
            TcpOption::Sack(edges.as_chunks::<2>().0.iter().map(|[l, r]| (*l, *r)).collect())
        }
        (TIMESTAMPS, data) if data.len() == 8 => {
            let (words, _) = data.as_chunks::<4>();
            TcpOption::Timestamps { val: word(&words[0]), ecr: word(&words[1]) }
        }
        (MD5, digest) => TcpOption::Md5(digest.to_vec()),
        (FAST_OPEN, cookie) => TcpOption::FastOpen(cookie.to_vec()),
        (EXPERIMENT, [a, b, cookie @ ..]) if [*a, *b] == FAST_OPEN_MAGIC => {
            TcpOption::FastOpenExperimental(cookie.to_vec())
        }
        (ACC_ECN_E0B_FIRST | ACC_ECN_E1B_FIRST, data) if data.len() % 3 == 0 => {
            let counter = |bytes: &[u8; 3]| u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            TcpOption::AccEcn {
                e1b_first: kind == ACC_ECN_E1B_FIRST,
                counters: data.as_chunks::<3>().0.iter().map(counter).collect(),
            }
        }
        _ => return None,
    })
}

/// A list as scripts write it, without the angle brackets.
pub(super) fn show<'p>(pieces: impl IntoIterator<Item = &'p Piece>) -> String {
    let words: Vec<String> = pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Known(option) => word(option),
            Piece::Raw(bytes) => format!("raw {}", hex(bytes)),
        })
        .collect();
    words.join(",")
}

fn word(option: &TcpOption) -> String {
    match option {
        TcpOption::Nop => "nop".to_owned(),
        TcpOption::Eol => "eol".to_owned(),
        TcpOption::Mss(mss) => format!("mss {mss}"),
        TcpOption::WindowScale(shift) => format!("wscale {shift}"),
        TcpOption::SackPermitted => "sackOK".to_owned(),
        TcpOption::Sack(blocks) => blocks.iter().fold("sack".to_owned(), |mut text, (l, r)| {
            let _ = write!(text, " {l}:{r}");
            text
        }),
        TcpOption::Timestamps { val, ecr } => format!("TS val {val} ecr {ecr}"),
        TcpOption::FastOpen(cookie) => format!("FO {}", hex(cookie)),
        TcpOption::FastOpenExperimental(cookie) => format!("FOEXP {}", hex(cookie)),
        TcpOption::Md5(digest) => format!("md5 {}", hex(digest)),
        TcpOption::AccEcn { e1b_first, counters } => {
            let names = if *e1b_first { ["e1b", "ceb", "e0b"] } else { ["e0b", "ceb", "e1b"] };
            names.iter().zip(counters).fold("ECN".to_owned(), |mut text, (name, counter)| {
                let _ = write!(text, " {name} {counter}");
                text
            })
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read_back_as_it_was_written() {
        let options = [
            TcpOption::Mss(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { val: 7, ecr: u32::MAX },
            TcpOption::Nop,
            TcpOption::WindowScale(8),
            TcpOption::Sack(vec![(1, 2), (u32::MAX, 5)]),
            TcpOption::FastOpen(vec![1, 2, 3, 4]),
            TcpOption::FastOpenExperimental(vec![]),
            TcpOption::Md5(vec![9; 16]),
            TcpOption::AccEcn { e1b_first: true, counters: vec![1, 0xff_ffff] },
            TcpOption::Eol,
        ];
        let pieces = decode(&encode(&options));
        let known: Vec<Piece> = options.into_iter().map(Piece::Known).collect();
        assert_eq!(pieces, known);
    }

    #[test]
    fn what_has_no_word_stays_bytes() {
        assert_eq!(
            decode(&[99, 3, 7, 1]),
            [Piece::Raw(vec![99, 3, 7]), Piece::Known(TcpOption::Nop)]
        );
        assert_eq!(decode(&[2, 9, 7]), [Piece::Raw(vec![2, 9, 7])]);
        assert_eq!(show(&decode(&[99, 3, 7])), "raw 630307");
    }
}
