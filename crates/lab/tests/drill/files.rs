//! Files and pipes between a socket and the application: sendfile and splice.

use crate::{PLAIN, fails, passes};

const FILE: &str = "  +0 `rm -f zeros.bin ; dd bs=1000 count=3 if=/dev/zero of=zeros.bin`
  +0 open(\"zeros.bin\", O_RDONLY) = 5
";

#[test]
fn a_file_is_sent_from_an_offset_or_from_its_own_place_to_its_end() {
    let send = |arguments: &str| format!("  +0 sendfile(4, 5, {arguments}\n");
    let packet = "  +0 > P. 1:1001(1000) ack 1\n";
    passes(PLAIN, &format!("{FILE}{}{packet}", send("[2000], 5000) = 1000")));
    passes(PLAIN, &format!("{FILE}{}", send("[3000], 5000) = 0")));
    let own = [send("NULL, 1000) = 1000"), packet.to_owned(), send("NULL, 5000) = 2000")];
    passes(PLAIN, &format!("{FILE}{}{}", own.concat(), send("NULL, 1) = 0")));
    fails(PLAIN, &format!("{FILE}{}", send("[0], 5000) = 5000")), "sendfile returns 3000");
    passes(PLAIN, &format!("{FILE}  +0 sendfile(4, 3, [0], 5) = -1 EINVAL (no file)"));
}

#[test]
fn a_pipe_takes_from_a_socket_and_gives_to_it() {
    let there =
        "  +0 pipe([5, 6]) = 0\n  +0 < P. 1:1001(1000) ack 1 win 32792\n  +0 > . 1:1(0) ack 1001\n";
    let in_out = "  +0 splice(4, NULL, 6, NULL, 600, 0) = 600
  +0 splice(5, NULL, 4, NULL, 500, 0) = 500
  +0 > P. 1:501(500) ack 1001
  +0 splice(4, NULL, 6, NULL, 600, 0) = 400
  +0 splice(5, NULL, 4, NULL, 9999, SPLICE_F_NONBLOCK) = 500
  +0 splice(5, NULL, 4, NULL, 1, SPLICE_F_NONBLOCK) = -1 EAGAIN (empty)
";
    passes(PLAIN, &format!("{there}{in_out}"));
    fails(PLAIN, &format!("{there}  +0 splice(4, NULL, 6, NULL, 1, 0) = 2"), "splice returns 1");
    fails(PLAIN, &format!("{there}  +0 splice(5, NULL, 4, NULL, 1, 0) = 1"), "splice would block");
    for ends in ["4, NULL, 5", "6, NULL, 4", "4, NULL, 4"] {
        passes(PLAIN, &format!("{there}  +0 splice({ends}, NULL, 1, 0) = -1 EINVAL (wrong)"));
    }
}

#[test]
fn a_splice_stops_before_the_urgent_byte() {
    passes(
        PLAIN,
        "  +0 pipe([5, 6]) = 0
  +0 < U. 1:101(100) ack 1 win 32792 urg 100
  +0 splice(4, NULL, 6, NULL, 99, 0) = 99
  +0 splice(4, NULL, 6, NULL, 1, 0) = 0",
    );
}
