//! What a packet, a result or an assertion says wrong is found, and named.

use crate::{PLAIN, SERVER, fails, passes};

const WRITE: &str = "  +0 write(4, ..., 1000) = 1000\n";

#[test]
fn the_right_packet_passes() {
    passes(PLAIN, &format!("{WRITE}  +0 > P. 1:1001(1000) ack 1 win 64240"));
    passes(SERVER, &format!("{WRITE}  +0 > . 1:989(988) ack 1 <nop,nop,TS val 200 ecr 701>"));
}

#[test]
fn every_field_of_an_expected_packet_is_compared() {
    for (packet, reason) in [
        ("P. 2:1002(1000) ack 1", "seq 1, expected 2"),
        ("P. 1:1001(1000) ack 2", "ack 1, expected 2"),
        ("P 1:1001(1000)", "flags P., expected P"),
        (". 1:1001(1000) ack 1", "flags P., expected ."),
        ("FP. 1:1001(1000) ack 1", "flags P., expected FP."),
        ("PE. 1:1001(1000) ack 1", "flags P., expected P.E"),
        ("P.5 1:1001(1000) ack 1", "flags P., expected P.EA"),
        ("P. 1:1001(1000) ack 1 win 1", "win 64240, expected 1"),
        ("P. 1:1001(1000) ack 1 urg 1", "urg 0, expected 1"),
        ("P. 1:1000(999) ack 1", "payload of 1000 bytes, expected 999"),
        ("P. 1:1001(1000) ack 1 <nop,nop,nop,nop>", "options <>, expected <nop,nop,nop,nop>"),
    ] {
        fails(PLAIN, &format!("{WRITE}  +0 > {packet}"), reason);
    }
}

#[test]
fn the_ip_header_is_compared_where_it_is_written() {
    let packet = "P. 1:1001(1000) ack 1";
    for (info, reason) in [
        ("(ce)", "ECN bits 00, expected 11"),
        ("(ect01)", "ECN bits 00, expected 01 or 10"),
        ("(tos 0x10)", "tos 0x00, expected 0x10"),
        ("(ttl 63)", "ttl 64, expected 63"),
    ] {
        fails(PLAIN, &format!("{WRITE}  +0 > {info} {packet}"), reason);
    }
    passes(PLAIN, &format!("{WRITE}  +0 > (ttl 64) {packet}"));
    passes(PLAIN, &format!("{WRITE}  +0 > [noecn] {packet}"));
}

#[test]
fn options_are_compared_with_order_and_padding() {
    let syn = "
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
 +.1 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
";
    passes(syn, "  +0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 10>");
    passes(syn, "  +0 > S. 0:0(0) ack 1 <...>");
    for wrong in [
        "<mss 1461,nop,nop,sackOK,nop,wscale 10>",
        "<mss 1460,sackOK,nop,nop,nop,wscale 10>",
        "<nop,nop,sackOK,mss 1460,nop,wscale 10>",
        "<mss 1460,nop,nop,sackOK,wscale 10,nop>",
        "<mss 1460,nop,nop,sackOK,wscale 10,eol>",
        "<mss 1460,nop,nop,sackOK>",
        "",
    ] {
        let reason = "options <mss 1460,nop,nop,sackOK,nop,wscale 10>, expected <";
        fails(syn, &format!("  +0 > S. 0:0(0) ack 1 {wrong}"), reason);
    }
}

#[test]
fn an_echo_of_another_timestamp_is_found() {
    let wrong = "  +0 > . 1:989(988) ack 1 <nop,nop,TS val 200 ecr 700>";
    fails(SERVER, &format!("{WRITE}{wrong}"), "ecr 701, expected 700");
}

#[test]
fn an_echo_of_what_was_never_sent_cannot_be_injected() {
    let echo = "  +0 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 702 ecr 555>";
    fails(SERVER, echo, "ecr 555 echoes a timestamp that no outbound packet has had");
}

#[test]
fn a_write_in_segments_is_one_packet_and_too_much_is_found() {
    let write = "  +0 write(4, ..., 3000) = 3000\n";
    passes(PLAIN, &format!("{write}  +0 > P. 1:3001(3000) ack 1"));
    fails(PLAIN, &format!("{write}  +0 > P. 1:2501(2500) ack 1"), "payload of 3000 bytes");
    fails(PLAIN, &format!("{write}  +0 > P. 1:4001(4000) ack 1"), "it comes in segments");
}

#[test]
fn a_packet_that_does_not_come_is_missed() {
    fails(PLAIN, "  +0 > . 1:1(0) ack 1", "no packet comes until 2.2");
}

#[test]
fn results_and_errors_of_calls_are_compared() {
    for (call, reason) in [
        ("write(4, ..., 1000) = 999", "write returns 1000, expected 999"),
        ("write(4, ..., 1000) = -1 EAGAIN", "write returns 1000, expected -1 EAGAIN"),
        ("read(9, ..., 1) = 0", "read returns -1 EBADF, expected 0"),
        ("read(3, ..., 1) = -1 EPIPE", "read returns -1 ENOTCONN, expected -1 EPIPE"),
        ("read(4, ..., 1) = 1", "read would block"),
        ("accept(3, ..., ...) = 5", "accept would block"),
        ("socket(..., SOCK_STREAM, IPPROTO_TCP) = 4", "descriptor 4 is open already"),
        ("getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "TCP_NODELAY gives 0, expected 1"),
        ("fcntl(4, F_GETFL) = 0x802", "fcntl returns 2, expected 2050"),
        ("ioctl(4, SIOCINQ, [1]) = 0", "ioctl gives 0, expected 1"),
        (
            "poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1",
            "poll gives revents OUT for 4, expected IN",
        ),
    ] {
        fails(PLAIN, &format!("  +0 {call}"), reason);
    }
}

#[test]
fn linuxs_errors_of_the_socket_layer_are_given() {
    for call in [
        "read(9, ..., 1) = -1 EBADF (Bad file descriptor)",
        "read(3, ..., 1) = -1 ENOTCONN",
        "write(3, ..., 1) = -1 EPIPE",
        "write(4, NULL, 1) = -1 EFAULT",
        "write(4, 0, 1) = -1 EFAULT",
        "connect(4, ..., ...) = -1 EISCONN",
        "connect(3, ..., ...) = -1 EISCONN",
        "listen(4, 1) = -1 EINVAL",
        "accept(4, ..., ...) = -1 EINVAL",
        "bind(4, ..., ...) = -1 EINVAL",
        "shutdown(4, 7) = -1 EINVAL",
        "recv(4, ..., 1, MSG_DONTWAIT) = -1 EAGAIN",
        "close(9) = -1 EBADF",
    ] {
        passes(PLAIN, &format!("  +0 {call}"));
    }
}

#[test]
fn a_false_assertion_fails_with_the_values_that_it_names() {
    let code = "  +0 %{ assert tcpi_snd_cwnd == 11, tcpi_snd_cwnd }%";
    fails(PLAIN, code, "tcpi_snd_cwnd = 10");
    passes(PLAIN, "  +0 %{ assert tcpi_state == TCP_ESTABLISHED and tcpi_snd_mss == 1000 }%");
}

#[test]
fn what_cannot_be_parsed_fails_with_its_line() {
    fails(PLAIN, "  +0 > P. 1:2(9) ack 1", "cannot be parsed");
}

#[test]
fn a_counter_that_has_not_moved_so_far_is_found() {
    let asked = "  +0 `nstat | grep TcpExtTCPTimeouts | grep -q \" 3 \"`";
    fails(PLAIN, asked, "counter TcpExtTCPTimeouts is 0, expected 3");
}

#[test]
fn lengths_and_counts_of_arguments_are_compared() {
    passes(PLAIN, "  +0 getsockopt(4, SOL_TCP, TCP_NODELAY, [0], [4]) = 0");
    fails(PLAIN, "  +0 getsockopt(4, SOL_TCP, TCP_NODELAY, [0], [8]) = 0", "fewer bytes than");
    passes(PLAIN, "  +0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 1) = -1 EINVAL (short)");
    passes(PLAIN, "  +0 setsockopt(4, SOL_IP, IP_TOS, [4], 1) = 0");
    let message = |count: u32| {
        format!("  +0 sendmsg(4, {{msg_iov({count})=[{{...,5}},{{...,5}}], msg_flags=0}}, 0) = 10")
    };
    passes(PLAIN, &message(2));
    fails(PLAIN, &message(3), "2 vectors are written, and 3 are announced");
    fails(PLAIN, "  +0 writev(4, [{...,5}], 2) = 5", "1 vectors are written");
}

#[test]
fn flow_labels_are_compared_with_the_one_before() {
    let script = |label: &str| {
        format!(
            "   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
 +.1 < S 0:0(0) win 32792 <mss 1000>
  +0 > [flowlabel 0x1] S. 0:0(0) ack 1 <mss 1440>
 +.1 < . 1:1(0) ack 1 win 32792
  +0 accept(3, ..., ...) = 4
  +0 write(4, ..., 100) = 100
  +0 > [flowlabel {label}] P. 1:101(100) ack 1"
        )
    };
    crate::passes_with(&script("0x1"), "", &["ip_version=ipv6"]);
    crate::fails_with(&script("0x2"), "", &["ip_version=ipv6"], "expected another");
    passes(&script("0x2").replace("mss 1440", "mss 1460"), "");
}

#[test]
fn a_word_that_the_script_defines_itself_stands_for_its_value() {
    let script = |size: &str| format!("--define=SIZE={size}\n{PLAIN}  +0 write(4, ..., SIZE) = 10");
    passes(&script("10"), "");
    fails(&script("11"), "", "write returns 11");
}

#[test]
fn a_listener_s_backlog_and_options_can_be_changed() {
    passes(
        "   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
  +0 listen(3, 5) = 0
  +0 setsockopt(3, SOL_TCP, TCP_MAXSEG, [1000], 4) = 0
",
        "+0 < S 0:0(0) win 32792 <mss 1460>\n+0 > S. 0:0(0) ack 1 <mss 1000>",
    );
}

#[test]
fn the_device_s_mtu_can_be_changed() {
    let mtu = "`ip link set dev tun0 mtu 9000`\n";
    passes(&format!("{mtu}{}", PLAIN.replace("mss 1460", "mss 8960")), "");
    let told = crate::verdict(&format!("{mtu}{PLAIN}"), "").reason();
    assert!(told.contains("options <mss 8960>"), "{told}");
}

#[test]
fn an_ack_without_a_number_is_that_of_the_syn() {
    // As the language counts: 0 is the stack's SYN, which is acknowledged; text with so old a number
    // is answered and not taken.
    fails(PLAIN, "  +0 < . 1:1001(1000) win 32792\n  +0 > . 1:1(0) ack 1001", "ack 1, expected");
    passes(PLAIN, "  +0 < . 1:1001(1000) win 32792\n  +0 > . 1:1(0) ack 1");
}

#[test]
fn every_type_of_icmp_can_be_sent_by_name_or_number() {
    for message in [
        "unreachable code_255",
        "type_255 code_0",
        "type_3",
        "timestamp_request",
        "address_mask_reply",
        "information_reply",
    ] {
        passes(PLAIN, &format!("  +0 < icmp {message}"));
    }
    fails(PLAIN, "  +0 < icmp type_256", "no ICMP type type_256");
    fails(PLAIN, "  +0 < icmp no_such_type", "no ICMP type no_such_type");
    fails(PLAIN, "  +0 < icmp unreachable no_such_code", "no ICMP code no_such_code");
}

#[test]
fn an_int_of_all_ones_is_minus_one() {
    for value in ["0xffffffff", "4294967295", "-1"] {
        passes(
            PLAIN,
            &format!(
                "  +0 setsockopt(4, SOL_TCP, TCP_NOTSENT_LOWAT, [{value}], 4) = 0\n
  +0 getsockopt(4, SOL_TCP, TCP_NOTSENT_LOWAT, [0xffffffff], [4]) = 0"
            ),
        );
    }
}
