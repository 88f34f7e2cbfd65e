//! What a socket's error queue tells of its writes: numbers of those with MSG_ZEROCOPY, and times.

use crate::{PLAIN, fails, passes, unsupported};

/// Reads one notice.
fn notice(data: &str, result: &str) -> String {
    format!(
        "  +0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,0}}], msg_flags=MSG_ERRQUEUE, \
               msg_control=[{{cmsg_level=CMSG_LEVEL_IP, cmsg_type=CMSG_TYPE_RECVERR, \
               cmsg_data={{{data}}}}}]}}, MSG_ERRQUEUE) = {result}\n"
    )
}

fn copied(first: u32, last: u32) -> String {
    notice(
        &format!(
            "ee_errno=0, ee_origin=SO_EE_ORIGIN_ZEROCOPY, ee_type=0, \
             ee_code=SO_EE_CODE_ZEROCOPY_COPIED, ee_info={first}, ee_data={last}"
        ),
        "0",
    )
}

const ZEROCOPY: &str = "  +0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0\n";
const TWO_WRITES: &str = "  +0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
  +0 > P. 1:1001(1000) ack 1
  +0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
  +0 > P. 1001:2001(1000) ack 1
";
const NONE: &str = "  +0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{...,0}], msg_flags=0,
               msg_control=[]}, MSG_ERRQUEUE) = -1 EAGAIN (nothing)\n";

#[test]
fn writes_without_a_copy_are_numbered_and_told_when_they_are_acknowledged() {
    let start = format!("{PLAIN}{ZEROCOPY}{TWO_WRITES}");
    passes(&start, NONE);
    let half = format!("{start}  +0 < . 1:1(0) ack 1001 win 32792\n");
    passes(&half, &format!("{}{NONE}", copied(0, 0)));
    fails(&half, &copied(0, 1), "ee_data 0, expected 1");
    fails(
        &half,
        &copied(0, 0).replace("ZEROCOPY_COPIED", "TXTIME_MISSED"),
        "ee_code 1, expected 2",
    );
    let all = format!("{half}  +0 < . 1:1(0) ack 2001 win 32792\n");
    passes(&all, &format!("{}{NONE}", copied(0, 1)));
    fails(&all, &copied(0, 0), "ee_data 1, expected 0");
    let apart = format!("{half}{}  +0 < . 1:1(0) ack 2001 win 32792\n", copied(0, 0));
    passes(&apart, &format!("{}{NONE}", copied(1, 1)));
}

#[test]
fn without_the_option_the_flag_means_nothing() {
    let all = format!("{PLAIN}{TWO_WRITES}  +0 < . 1:1(0) ack 2001 win 32792\n");
    passes(&all, NONE);
}

#[test]
fn a_reset_ends_the_use_of_what_was_written() {
    let reset = format!("{PLAIN}{ZEROCOPY}{TWO_WRITES}  +0 < R. 1:1(0) ack 1 win 0\n");
    passes(&reset, &copied(0, 1));
}

#[test]
fn more_pieces_than_a_segment_of_linux_has_places_are_not_built() {
    let message = |pieces: usize| {
        let vectors = vec!["{...,1}"; pieces].join(",");
        format!(
            "{ZEROCOPY}+0 sendmsg(4, {{msg_name(...)=..., msg_iov({pieces})=[{vectors}],
             msg_flags=0}}, MSG_ZEROCOPY) = {pieces}\n"
        )
    };
    passes(PLAIN, &message(17));
    unsupported(PLAIN, &message(18), "MSG_ZEROCOPY of more than 17 pieces");
}

#[test]
fn an_entry_of_the_queue_is_an_error_for_those_who_wait() {
    let waits = "  +0 epoll_create(1) = 5
  +0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLOUT|EPOLLET, fd=4}) = 0
  +0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1
";
    let start = format!("{PLAIN}{ZEROCOPY}{waits}{TWO_WRITES}");
    let poll = "  +0 poll([{fd=4, events=POLLIN, revents=POLLERR}], 1, 0) = 1\n";
    let told = "  +0 epoll_wait(5, {events=EPOLLERR|EPOLLOUT, fd=4}, 1, 0) = 1
  +0 epoll_wait(5, {events=0, ptr=0}, 1, 0) = 0
";
    passes(&start, "  +0 poll([{fd=4, events=POLLIN, revents=0}], 1, 0) = 0");
    passes(&start, &format!("  +0 < . 1:1(0) ack 2001 win 32792\n{poll}{told}"));
}

/// The stamps of a write whose last byte has this key.
fn stamp(what: &str, key: u32, nanos: u32) -> String {
    format!(
        "  +0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,0}}], \
           msg_flags=MSG_ERRQUEUE|MSG_TRUNC, msg_control=[ \
             {{cmsg_level=SOL_SOCKET, cmsg_type=SCM_TIMESTAMPING, \
               cmsg_data={{scm_sec=0,scm_nsec={nanos}}}}}, \
             {{cmsg_level=CMSG_LEVEL_IP, cmsg_type=CMSG_TYPE_RECVERR, \
               cmsg_data={{ee_errno=ENOMSG, ee_origin=SO_EE_ORIGIN_TIMESTAMPING, ee_type=0, \
               ee_code=0, ee_info={what}, ee_data={key}}}}}]}}, MSG_ERRQUEUE) = 0\n"
    )
}

#[test]
fn times_are_told_when_a_byte_is_handed_on_sent_and_acknowledged() {
    let asked = |flags: &str| {
        format!("  +0 setsockopt(4, SOL_SOCKET, SO_TIMESTAMPING, [{flags}], 4) = 0\n")
    };
    let all = "SOF_TIMESTAMPING_TX_SCHED|SOF_TIMESTAMPING_TX_SOFTWARE|SOF_TIMESTAMPING_TX_ACK|\
               SOF_TIMESTAMPING_SOFTWARE|SOF_TIMESTAMPING_OPT_ID";
    let go = "  +0 write(4, ..., 1000) = 1000
  +0 > P. 1:1001(1000) ack 1
 +.1 < . 1:1(0) ack 1001 win 32792
";
    let start = format!("{PLAIN}{}{go}", asked(all));
    let sent = [stamp("SCM_TSTAMP_SCHED", 999, 200_000_000), stamp("SCM_TSTAMP_SND", 999, 0)];
    let sent = sent.concat();
    let acked = |nanos| stamp("SCM_TSTAMP_ACK", 999, nanos);
    passes(&start, &format!("{sent}{}{NONE}", acked(300_000_000)));
    fails(&start, &format!("{sent}{}", acked(310_000_000)), "timestamp is 300000 us");
    fails(&start, &acked(300_000_000), "timestamp is 200000 us");
    let first = stamp("SCM_TSTAMP_SCHED", 1000, 0);
    fails(&start, &first, "ee_data 999, expected 1000");
    fails(&start, &first.replace("|MSG_TRUNC", ""), "msg_flags");
    let only = asked("SOF_TIMESTAMPING_TX_ACK|SOF_TIMESTAMPING_SOFTWARE");
    passes(&format!("{PLAIN}{only}{go}"), &stamp("SCM_TSTAMP_ACK", 0, 300_000_000));
    passes(&format!("{PLAIN}{go}"), NONE);
}

#[test]
fn bytes_are_numbered_where_there_is_a_connection() {
    let fresh = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n";
    let option = |result: &str| {
        format!(
            "+0 setsockopt(4, SOL_SOCKET, SO_TIMESTAMPING, [SOF_TIMESTAMPING_OPT_ID], 4) = {result}"
        )
    };
    passes(fresh, &option("-1 EINVAL"));
    passes(PLAIN, &option("0"));
}
