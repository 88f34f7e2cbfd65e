//! Every event of RFC 9293 section 3.10 in every state: what is sent, where it leads, and what the
//! application gets.
//!
//! The table of outcomes is `events.txt`, which is read against the RFC; it must hold for both
//! families and wherever the initial numbers lie. `TOWPATH_BLESS=1 cargo test -p towpath-lab --test
//! events` writes what is found.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use support::secs;
use towpath_engine::{
    ConnectRequest, ListenRequest, SocketError, StateName, TRANSITIONS, Transition,
};
use towpath_lab::packet::Packet;
use towpath_lab::segment::{Seg, ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::ways::{WAYS, Walked, Way};
use towpath_lab::single::{INITIAL_NUMBERS, Setup, Single};
use towpath_wire::SeqNumber;
use towpath_wire::tcp::Flags;

/// What happens.
#[derive(Clone, Copy)]
enum Event {
    /// A segment arrives.
    Segment(fn(&Way) -> Seg),
    /// The application calls; what the call gives.
    Call(fn(&mut Single, &mut Walked) -> String),
    /// Nothing does, for so many seconds.
    Silence(u64),
}

use Event::{Call, Segment, Silence};

const EVENTS: &[(&str, Event)] = &[
    // RFC 9293 sections 3.10.1 to 3.10.6.
    ("OPEN, active", Call(open_active)),
    ("OPEN, passive", Call(open_passive)),
    ("SEND of 10 bytes", Call(send)),
    ("RECEIVE", Call(receive)),
    ("CLOSE of the sending direction", Call(shutdown)),
    ("CLOSE, letting go", Call(close)),
    ("ABORT", Call(abort)),
    ("STATUS", Call(status)),
    // Section 3.10.7: the SYN bit.
    ("SYN that opened, or would open, the connection", Segment(|_| syn().mss(1000))),
    ("SYN in the window", Segment(|way| syn().seq(way.rcv_nxt + 100).mss(1000))),
    ("SYN below the window", Segment(|way| syn().seq(way.rcv_nxt.wrapping_sub(1000)).mss(1000))),
    ("SYN with 10 bytes", Segment(|way| syn().seq(way.rcv_nxt - 1).len(10).mss(1000))),
    ("SYN with FIN", Segment(|_| syn().mss(1000).with_fin())),
    ("SYN with RST", Segment(|way| rst(way.rcv_nxt).flags(Flags::RST | Flags::SYN))),
    ("SYN-ACK of our SYN", Segment(|_| syn_ack().mss(1000))),
    ("SYN-ACK of our SYN with 10 bytes", Segment(|_| syn_ack().len(10).mss(1000))),
    ("SYN-ACK of our SYN with FIN", Segment(|_| syn_ack().mss(1000).with_fin())),
    ("SYN-ACK of what was never sent", Segment(|way| syn_ack().ack(way.nxt + 1).mss(1000))),
    // The ACK field.
    ("ACK of nothing new", Segment(|way| ack(way.rcv_nxt, way.una))),
    ("ACK of all", Segment(|way| ack(way.rcv_nxt, way.nxt))),
    ("ACK of old text", Segment(|way| ack(way.rcv_nxt, way.una.wrapping_sub(50)))),
    ("ACK far below", Segment(|way| ack(way.rcv_nxt, way.una.wrapping_sub(100_000)))),
    ("ACK of what was never sent", Segment(|way| ack(way.rcv_nxt, way.nxt + 1))),
    ("ACK beyond the window", Segment(|way| ack(way.rcv_nxt + 1_000_000, way.una))),
    // Text.
    ("10 bytes in order", Segment(|way| data(way.rcv_nxt, 10, way.una))),
    ("10 bytes in order, ACK of all", Segment(|way| data(way.rcv_nxt, 10, way.nxt))),
    ("10 bytes beyond a hole", Segment(|way| data(way.rcv_nxt + 50, 10, way.una))),
    (
        "10 bytes from below the window",
        Segment(|way| data(way.rcv_nxt.wrapping_sub(20), 10, way.una)),
    ),
    ("10 bytes beyond the window", Segment(|way| data(way.rcv_nxt + 1_000_000, 10, way.una))),
    (
        "10 bytes, ACK far below",
        Segment(|way| data(way.rcv_nxt, 10, way.una.wrapping_sub(100_000))),
    ),
    ("10 bytes, ACK of what was never sent", Segment(|way| data(way.rcv_nxt, 10, way.nxt + 1))),
    ("10 urgent bytes in order", Segment(|way| data(way.rcv_nxt, 10, way.una).urg(5))),
    ("10 bytes without ACK", Segment(|way| data(way.rcv_nxt, 10, way.una).flags(Flags::PSH))),
    // FIN.
    ("FIN in order", Segment(|way| fin(way.rcv_nxt, way.una))),
    ("FIN in order, ACK of all", Segment(|way| fin(way.rcv_nxt, way.nxt))),
    ("FIN with 10 bytes in order", Segment(|way| data(way.rcv_nxt, 10, way.una).with_fin())),
    ("FIN beyond a hole", Segment(|way| fin(way.rcv_nxt + 50, way.una))),
    ("FIN that came before", Segment(|way| fin(way.rcv_nxt - 1, way.nxt))),
    ("FIN without ACK", Segment(|way| fin(way.rcv_nxt, way.una).flags(Flags::FIN))),
    // RST.
    ("RST at RCV.NXT", Segment(|way| rst(way.rcv_nxt))),
    ("RST-ACK at RCV.NXT, ACK of all", Segment(|way| rst_ack(way.rcv_nxt, way.nxt))),
    (
        "RST-ACK at RCV.NXT, ACK of what was never sent",
        Segment(|way| rst_ack(way.rcv_nxt, way.nxt + 1)),
    ),
    ("RST in the window", Segment(|way| rst(way.rcv_nxt + 100))),
    ("RST just below RCV.NXT", Segment(|way| rst(way.rcv_nxt - 1))),
    ("RST below the window", Segment(|way| rst(way.rcv_nxt.wrapping_sub(1000)))),
    ("RST beyond the window", Segment(|way| rst(way.rcv_nxt + 1_000_000))),
    ("RST at RCV.NXT with 10 bytes", Segment(|way| rst(way.rcv_nxt).len(10))),
    // Section 3.10.8.
    ("silence of 1 second", Silence(1)),
    ("silence of 61 seconds", Silence(61)),
    ("silence of an hour", Silence(3600)),
];

fn open_active(single: &mut Single, walked: &mut Walked) -> String {
    let request = ConnectRequest::new(single.peer()).local(single.local());
    let opened = single.call(|endpoint, now| endpoint.connect(now, request));
    result(opened.map(|id| {
        walked.connection.get_or_insert(id);
    }))
}

fn open_passive(single: &mut Single, walked: &mut Walked) -> String {
    let request = ListenRequest::new(single.local());
    let opened = single.call(|endpoint, _| endpoint.listen(request));
    result(opened.map(|id| {
        walked.listener.get_or_insert(id);
    }))
}

fn send(single: &mut Single, walked: &mut Walked) -> String {
    let Some(id) = walked.connection else { return NO_CALL.to_owned() };
    result(single.try_write(id, 10))
}

fn receive(single: &mut Single, walked: &mut Walked) -> String {
    let Some(id) = walked.connection else { return NO_CALL.to_owned() };
    match single.try_read(id, 100) {
        Ok(0) => "end of the stream".to_owned(),
        other => result(other),
    }
}

fn shutdown(single: &mut Single, walked: &mut Walked) -> String {
    let Some(id) = walked.connection else { return NO_CALL.to_owned() };
    result(single.call(|endpoint, now| endpoint.shutdown_send(now, id)))
}

fn close(single: &mut Single, walked: &mut Walked) -> String {
    match (walked.connection, walked.listener) {
        (Some(id), _) => single.close(id),
        (None, Some(id)) => single.call(|endpoint, now| endpoint.close_listener(now, id)),
        (None, None) => return NO_CALL.to_owned(),
    }
    "done".to_owned()
}

fn abort(single: &mut Single, walked: &mut Walked) -> String {
    let Some(id) = walked.connection else { return NO_CALL.to_owned() };
    single.abort(id);
    "done".to_owned()
}

fn status(single: &mut Single, walked: &mut Walked) -> String {
    let Some(id) = walked.connection else { return NO_CALL.to_owned() };
    single.endpoint().info(id).map_or_else(|| "none".to_owned(), |info| info.state.to_string())
}

const NO_CALL: &str = "no connection to call it on";

fn result<T>(result: Result<T, SocketError>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "done".to_owned())
}

/// An event's outcome in a state, and where it led.
struct Outcome {
    text: String,
    from: StateName,
    to: StateName,
}

fn play(way: &Way, event: Event, setup: Setup) -> Outcome {
    let (mut single, mut walked) = way.go(setup);
    let opened = walked.connection;
    let mut parts = Vec::new();
    let mut injected = None;
    match event {
        Segment(seg) => {
            let packet = single.packet(&seg(way));
            injected = Some(packet.clone());
            single.inject_packet(packet);
        }
        Call(call) => parts.push(call(&mut single, &mut walked)),
        Silence(seconds) => single.advance(secs(seconds)),
    }
    let mut sent: Vec<(usize, String)> = Vec::new();
    for (_, packet) in single.take_packets() {
        let text = describe(way, &single, injected.as_ref(), &packet);
        match sent.last_mut() {
            Some((times, last)) if *last == text => *times += 1,
            _ => sent.push((1, text)),
        }
    }
    for (times, text) in sent {
        parts.push(if times == 1 { text } else { format!("{times} times {text}") });
    }
    // The next state, before the application's next call takes what there is to read.
    let to = single.state_of(walked);
    parts.push(if to == way.state { "stays".to_owned() } else { format!("to {to}") });
    if let (Segment(_) | Silence(_), Some(id)) = (event, walked.connection) {
        match single.try_read(id, 1000) {
            Ok(0) => parts.push("end of the stream".to_owned()),
            Ok(len) => parts.push(format!("{len} bytes to read")),
            Err(SocketError::WouldBlock) => {}
            Err(error) => parts.push(error.to_string()),
        }
    }
    // A listener stays; what an active OPEN made beside it, it made out of nothing.
    let made = matches!(event, Call(_)) && opened.is_none() && walked.connection.is_some();
    let from = if made { StateName::Closed } else { way.state };
    Outcome { text: parts.join("; "), from, to }
}

/// A segment of the engine, with its numbers by their names.
fn describe(way: &Way, single: &Single, injected: Option<&Packet>, packet: &Packet) -> String {
    let segment = &packet.segment;
    let peer = |relative: u32| single.peer_number(relative);
    let flags = segment.flags;
    let answered = injected.map(|it| &it.segment);
    let seq = if flags.contains(Flags::SYN) {
        "ISS".to_owned()
    } else if flags.contains(Flags::RST)
        && answered.is_some_and(|it| it.flags.contains(Flags::ACK) && it.ack == segment.seq)
    {
        "SEG.ACK".to_owned()
    } else if flags.contains(Flags::RST) && answered.is_some() && segment.seq == SeqNumber(0) {
        "0".to_owned()
    } else {
        let names = [
            (Some(single.own_number(way.nxt)), "SND.NXT"),
            (Some(single.own_number(way.una)), "SND.UNA"),
        ];
        name(&names, segment.seq).unwrap_or_else(|| {
            format!("SND.NXT+{}", segment.seq.distance_from(single.own_number(way.nxt)))
        })
    };
    let mut text = format!("<{}", segment.flags.without(Flags::PSH));
    let _ = write!(text, " seq={seq}");
    if segment.flags.contains(Flags::ACK) {
        let end = injected.map(|it| it.segment.seq + it.segment.sequence_len(it.payload.len()));
        let names = [(Some(peer(way.rcv_nxt)), "RCV.NXT"), (end, "SEG.SEQ+LEN")];
        let ack = name(&names, segment.ack)
            .unwrap_or_else(|| format!("RCV.NXT+{}", segment.ack.distance_from(peer(way.rcv_nxt))));
        let _ = write!(text, " ack={ack}");
    }
    if !packet.payload.is_empty() {
        let _ = write!(text, " len={}", packet.payload.len());
    }
    text.push('>');
    text
}

fn name(names: &[(Option<SeqNumber>, &str)], number: SeqNumber) -> Option<String> {
    names.iter().find(|(known, _)| *known == Some(number)).map(|(_, name)| (*name).to_owned())
}

fn table(setup: &Setup) -> String {
    let mut table = String::new();
    for (what, event) in EVENTS {
        let _ = writeln!(table, "{what}");
        let mut outcomes: Vec<(String, Vec<&str>)> = Vec::new();
        for way in &WAYS {
            let outcome = play(way, *event, setup.clone()).text;
            match outcomes.iter_mut().find(|(text, _)| *text == outcome) {
                Some((_, states)) => states.push(way.name),
                None => outcomes.push((outcome, vec![way.name])),
            }
        }
        for (outcome, states) in outcomes {
            let _ = writeln!(table, "    {}: {outcome}", states.join(", "));
        }
    }
    table
}

// Shows: RFC9293 s3.10.7.1a, RFC9293 s3.10.7.1b, RFC9293 s3.10.7.1c, RFC9293 s3.10.7.2a, RFC9293 s3.10.7.2b
// Shows: RFC9293 s3.10.7.3a, RFC9293 s3.10.7.3c, RFC9293 s3.10.7.3d, RFC9293 s3.10.7.3e
// Shows: RFC9293 s3.10.7.4b, RFC9293 s3.10.7.4e, RFC9293 s3.10.7.4f, RFC9293 s3.10.7.4g, RFC9293 s3.10.7.4h
// Shows: RFC9293 s3.10.7.4i, RFC9293 s3.10.7.4j, RFC9293 s3.10.7.4k, RFC9293 s3.10.7.4l, RFC9293 s3.10.7.4m
// Shows: RFC9293 s3.10.7.4o, RFC9293 s3.10.7.4p, RFC9293 s3.10.7.4r, RFC9293 s3.10.7.4t, RFC9293 s3.10.7.4u
// Shows: RFC9293 s3.10.7.4v, RFC9293 s3.10.4, RFC9293 s3.10.5
#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/events.txt");
    if std::env::var_os("TOWPATH_BLESS").is_some() {
        std::fs::write(&file, table(&Setup::default())).expect("events.txt can be written");
    }
    let wanted = std::fs::read_to_string(&file).expect("events.txt is there");
    for ipv6 in [false, true] {
        for (iss, irs) in INITIAL_NUMBERS {
            let found = table(&Setup { iss, irs, ipv6, ..Setup::default() });
            for (number, (wanted, found)) in wanted.lines().zip(found.lines()).enumerate() {
                assert_eq!(wanted, found, "events.txt:{} (iss {iss}, irs {irs})", number + 1);
            }
            assert_eq!(wanted.lines().count(), found.lines().count());
        }
    }
}

/// Two steps within one segment.
const PASSES_THROUGH: [(StateName, StateName, StateName); 3] = [
    (StateName::FinWait1, StateName::FinWait2, StateName::TimeWait),
    (StateName::SynReceived, StateName::Established, StateName::CloseWait),
    (StateName::SynSent, StateName::Established, StateName::CloseWait),
];

// Shows: RFC9293 s3.6 case3
#[test]
fn every_change_of_state_is_in_the_table_of_transitions_and_every_row_happens() {
    let mut seen = BTreeSet::new();
    let key = |from: StateName, to: StateName| (from.to_string(), to.to_string());
    for way in &WAYS {
        for (what, event) in EVENTS {
            let Outcome { from, to, .. } = play(way, *event, Setup::default());
            // A listener remains when what it opened is gone.
            let to = if to == StateName::Listen && way.state == StateName::SynReceived {
                StateName::Closed
            } else {
                to
            };
            if to == from {
                continue;
            }
            let through =
                PASSES_THROUGH.iter().find(|(start, _, end)| (*start, *end) == (from, to));
            let steps = match through {
                Some(&(from, between, end)) => vec![(from, between), (between, end)],
                None => vec![(from, to)],
            };
            for (from, to) in steps {
                let legal = TRANSITIONS.iter().any(|row| (row.from, row.to) == (from, to));
                assert!(legal, "{what}: {from} to {to}");
                seen.insert(key(from, to));
            }
        }
    }
    for row in TRANSITIONS.iter().filter(|row| row.by != Transition::End) {
        assert!(seen.contains(&key(row.from, row.to)), "{} --{:?}--> {}", row.from, row.by, row.to);
    }
}
