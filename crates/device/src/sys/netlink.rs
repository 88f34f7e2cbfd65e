//! rtnetlink(7), as far as it is needed: the one setting of an interface that an ioctl does not
//! make everywhere.
//!
//! SIOCSIFTXQLEN asks for CAP_NET_ADMIN in the machine's first user namespace; RTM_SETLINK asks for
//! it in the user namespace that owns the network, where the root of a container has it.
//!
//! Owns the bytes of one request and of its answer. A message is a `nlmsghdr`, an `ifinfomsg` and
//! one attribute, all in the machine's byte order, each a multiple of four bytes long.
#![deny(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};

use libc::c_int;

/// A `nlmsghdr`, and an `ifinfomsg` as well.
const HEADER_LEN: usize = 16;
/// The header of an attribute, and its 32 bits.
const ATTRIBUTE_LEN: usize = 8;
const REQUEST_LEN: usize = 2 * HEADER_LEN + ATTRIBUTE_LEN;
/// What an answer repeats of the request to tell it from others.
const SEQUENCE: u32 = 1;
/// An answer with an error repeats the request behind a header and a number.
const LONGEST_ANSWER: usize = 2 * HEADER_LEN + REQUEST_LEN;

/// Sets the length of the transmit queue of the interface with this index.
pub(super) fn set_tx_queue_len(index: c_int, packets: u32) -> io::Result<()> {
    let socket = super::datagram_socket(libc::AF_NETLINK, libc::NETLINK_ROUTE)?;
    let mut socket = File::from(socket);
    // The kernel takes a message whole, and has answered it before the call returns.
    let written = socket.write(&set_link_request(index, libc::IFLA_TXQLEN, packets))?;
    debug_assert_eq!(written, REQUEST_LEN);
    let mut answer = [0; LONGEST_ANSWER];
    let len = socket.read(&mut answer)?;
    verdict(answer.get(..len).unwrap_or_default())
}

/// RTM_SETLINK with one attribute of 32 bits.
fn set_link_request(index: c_int, attribute: u16, value: u32) -> [u8; REQUEST_LEN] {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut request = [0; REQUEST_LEN];
    // Zero is right for the rest: the sender's address, and of the interface the family, the type,
    // the flags and which flags to change.
    let fields: [(usize, &[u8]); 7] = [
        (0, &(REQUEST_LEN as u32).to_ne_bytes()),
        (4, &libc::RTM_SETLINK.to_ne_bytes()),
        (6, &flags.to_ne_bytes()),
        (8, &SEQUENCE.to_ne_bytes()),
        (20, &index.to_ne_bytes()),
        (32, &attribute_header(attribute)),
        (36, &value.to_ne_bytes()),
    ];
    for (at, bytes) in fields {
        request[at..at + bytes.len()].copy_from_slice(bytes);
    }
    request
}

fn attribute_header(attribute: u16) -> [u8; 4] {
    let [a, b] = (ATTRIBUTE_LEN as u16).to_ne_bytes();
    let [c, d] = attribute.to_ne_bytes();
    [a, b, c, d]
}

/// What an acknowledgement says: NLMSG_ERROR with zero, or with an error number made negative.
fn verdict(answer: &[u8]) -> io::Result<()> {
    let kind = field(answer, 4).map(u16::from_ne_bytes);
    let sequence = field(answer, 8).map(u32::from_ne_bytes);
    let code = field(answer, HEADER_LEN).map(i32::from_ne_bytes);
    match (kind, sequence, code) {
        (Some(kind), Some(SEQUENCE), Some(code)) if c_int::from(kind) == libc::NLMSG_ERROR => {
            match code {
                0 => Ok(()),
                code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
            }
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no acknowledgement of the kernel's")),
    }
}

fn field<const N: usize>(answer: &[u8], at: usize) -> Option<[u8; N]> {
    answer.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_cannot_be_set() {
        let error = set_tx_queue_len(c_int::MAX, 1000).unwrap_err();
        // Who may set no interface at all is refused before it is looked for.
        let code = error.raw_os_error();
        assert!(matches!(code, Some(libc::ENODEV | libc::EPERM)), "{error}");
    }

    #[test]
    fn only_an_acknowledgement_of_the_request_counts() {
        let answer = |kind: c_int, sequence: u32, code: i32| {
            let mut answer = [0; 36];
            answer[4..6].copy_from_slice(&(kind as u16).to_ne_bytes());
            answer[8..12].copy_from_slice(&sequence.to_ne_bytes());
            answer[16..20].copy_from_slice(&code.to_ne_bytes());
            answer
        };
        let right = answer(libc::NLMSG_ERROR, SEQUENCE, 0);
        assert!(verdict(&right).is_ok());
        assert!(verdict(&right[..20]).is_ok());
        let refused = verdict(&answer(libc::NLMSG_ERROR, SEQUENCE, -libc::EPERM)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        for (what, answer) in [
            ("nothing", &[][..]),
            ("an answer cut short", &right[..19]),
            ("a message that is none", &answer(libc::NLMSG_DONE, SEQUENCE, 0)),
            ("an answer to another", &answer(libc::NLMSG_ERROR, SEQUENCE + 1, 0)),
        ] {
            let error = verdict(answer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
        }
        assert!(verdict(&answer(libc::NLMSG_ERROR, SEQUENCE, i32::MIN)).is_err());
    }
}
