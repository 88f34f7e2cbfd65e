//! Path MTU discovery by the reports of routers: RFC 1191 and RFC 8201. What nobody reports (a black
//! hole) is not found here.

mod support;

use support::{accept_from, ms, secs};
use towpath_engine::{Config, ConnectionId, SendFlags, StateName};
use towpath_lab::segment::{ack, data, fin, syn, syn_ack};
use towpath_lab::single::{Report, Setup, Single, for_each_client, for_each_server};

/// IP and TCP headers without options.
fn headers(single: &Single) -> u32 {
    if single.local().is_ipv4() { 40 } else { 60 }
}

fn too_big(single: &mut Single, mtu: u32, seq: u32) {
    let report = Report::too_big(single.local().is_ipv6(), mtu);
    single.report(report, seq);
}

fn mss(single: &Single, id: ConnectionId) -> u32 {
    single.endpoint().info(id).map_or(0, |info| info.snd_mss)
}

/// A connection from the engine, whose segments are as large as its link carries.
fn connected(single: &mut Single) -> ConnectionId {
    let id = single.connect();
    single.expect(syn());
    single.inject(syn_ack().mss(9000));
    single.expect(ack(1, 1));
    id
}

fn sizes(single: &mut Single) -> Vec<usize> {
    single.take_segments().iter().map(|(_, len, _)| *len).collect()
}

// Shows: RFC1191 s6.5, RFC8201 s4a, RFC9293 s3.8.1, H-46
#[test]
fn all_that_was_too_big_is_sent_again_at_once_in_smaller_segments() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        let full = mss(single, id);
        let window = single.endpoint().info(id).map(|info| info.snd_cwnd_bytes);
        single.write(id, 4 * full as usize);
        assert_eq!(sizes(single), [full as usize; 4]);
        too_big(single, 1400, 1);
        let small = (1400 - headers(single)) as usize;
        assert_eq!(mss(single, id), small as u32);
        let again = single.take_segments();
        assert_eq!(again.iter().map(|(_, len, _)| *len).sum::<usize>(), 4 * full as usize);
        assert!(again.iter().all(|(_, len, _)| *len <= small), "{again:?}");
        assert_eq!(again[0].0, 1);
        // Neither a time-out nor congestion.
        let info = single.endpoint().info(id).expect("the connection is there");
        assert_eq!((info.retransmits, Some(info.snd_cwnd_bytes)), (0, window));
        assert_eq!(info.snd_ssthresh_bytes, u64::MAX);
        single.inject(ack(1, 4 * full + 1));
        single.expect_silence(secs(2));
    });
}

// Shows: RFC5927 s7.2, RFC8201 s5.3, RFC8201 s4b, RFC1191 s3b, H-46
#[test]
fn reports_about_nothing_outstanding_or_larger_or_below_what_links_carry_change_nothing() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        let full = mss(single, id);
        // Nothing is outstanding: it may be about an ACK, which is never too big.
        too_big(single, 1400, 1);
        single.write(id, full as usize);
        single.expect(data(1, full as usize, 1));
        for (mtu, seq) in [(1400, 0), (1400, full + 1), (1400, 5_000_000), (1500, 1), (9000, 1)] {
            too_big(single, mtu, seq);
        }
        if single.local().is_ipv6() {
            for mtu in [0, 68, 1279] {
                too_big(single, mtu, 1);
            }
        }
        single.expect_nothing();
        assert_eq!(mss(single, id), full);
        single.inject(ack(1, full + 1));
    });
}

// Shows: RFC1191 s6.3, RFC8201 s4b
#[test]
fn after_ten_minutes_segments_grow_again_also_on_a_connection_that_is_there() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(9000));
        let full = mss(single, id) as usize;
        single.write(id, full);
        single.take_segments();
        too_big(single, 1300, 1);
        let small = 1300 - headers(single) as usize;
        assert_eq!(sizes(single), [small, full - small]);
        single.inject(ack(1, full as u32 + 1));
        let mut written = full;
        for (wait, size) in [(secs(500), small), (secs(99), small), (secs(2), full)] {
            single.advance(wait);
            single.write(id, size);
            assert_eq!(sizes(single), [size], "after {:?}", single.elapsed());
            written += size;
            single.inject(ack(1, written as u32 + 1));
        }
        assert_eq!(mss(single, id), full as u32);
    });
}

// Shows: RFC1191 s3, RFC6691 s2
#[test]
fn the_next_connection_to_the_same_host_begins_with_what_is_known_of_the_path() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        let open = |single: &mut Single, port| {
            single.set_peer_port(port);
            single.inject(syn().mss(9000));
            let own = if single.local().is_ipv4() { 1460 } else { 1440 };
            // What we ask for is what our link takes, whatever the path to the peer.
            single.expect(syn_ack().mss(own));
            single.inject(ack(1, 1));
            single.accept(listener)
        };
        let first = open(single, 1000);
        single.write(first, mss(single, first) as usize);
        single.take_segments();
        too_big(single, 1300, 1);
        single.take_segments();
        let second = open(single, 2000);
        assert_eq!(mss(single, second), 1300 - headers(single));
        // And one that was open before follows.
        single.advance(ms(100));
        assert_eq!(mss(single, first), 1300 - headers(single));
        single.take_segments();
    });
}

// Shows: RFC1191 s3
#[test]
fn a_report_to_one_connection_counts_for_the_others_of_the_same_path() {
    let mut single = Single::server(Setup::default());
    let listener = single.listen();
    let mut ids = Vec::new();
    for port in [1000, 2000] {
        single.set_peer_port(port);
        single.inject(syn().mss(9000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        ids.push(single.accept(listener));
    }
    single.write(ids[1], 1460);
    assert_eq!(sizes(&mut single), [1460]);
    too_big(&mut single, 1300, 1);
    single.take_segments();
    let text = bytes::Bytes::from(vec![7; 2600]);
    let sent = single.call(|endpoint, now| {
        let room = endpoint.reserve_send(ids[0], text.len())?;
        endpoint.commit_send(now, ids[0], room, text.slice(..room), SendFlags::default())
    });
    assert_eq!(sent, Ok(()));
    assert_eq!(sizes(&mut single), [1260, 1260, 80]);
}

// Shows: RFC1191 s3b, H-46, H-50, RFC6864 s4.1, RFC6864 s4.2
#[test]
fn on_a_path_below_the_floor_routers_may_cut_and_no_identification_comes_twice() {
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    single.write(id, 1460);
    for (_, packet) in single.take_packets() {
        assert_eq!((packet.ip.dont_fragment, packet.ip.identification), (true, 0));
    }
    too_big(&mut single, 300, 1);
    // Larger or smaller, what comes now is not heard for ten minutes.
    too_big(&mut single, 1000, 1);
    too_big(&mut single, 100, 1);
    assert_eq!(mss(&single, id), 512);
    let packets = single.take_packets();
    let sizes: Vec<usize> = packets.iter().map(|(_, it)| it.payload.len()).collect();
    assert_eq!(sizes, [512, 512, 436]);
    let mut numbers: Vec<u16> = packets.iter().map(|(_, it)| it.ip.identification).collect();
    assert!(packets.iter().all(|(_, it)| !it.ip.dont_fragment));
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 3);
    single.inject(ack(1, 1461));
    single.advance(secs(601));
    single.write(id, 1460);
    let packets = single.take_packets();
    assert_eq!(packets.len(), 1);
    assert!(packets[0].1.ip.dont_fragment);
}

// Shows: RFC1191 s3
#[test]
fn a_router_that_does_not_name_its_mtu_is_taken_down_the_plateaus() {
    let mut single = Single::client(Setup::default());
    let id = connected(&mut single);
    single.write(id, 1460);
    single.take_segments();
    for plateau in [1492, 1006, 552] {
        too_big(&mut single, 0, 1);
        single.take_segments();
        assert_eq!(mss(&single, id), plateau - 40);
    }
}

// Shows: RFC1191 s3
#[test]
fn without_discovery_packets_may_be_cut_and_reports_are_not_heard() {
    for mode in 0..=3 {
        let config = Config::default().ip_no_pmtu_disc(mode);
        let on = matches!(mode, 0 | 3);
        let mut single = Single::client(Setup { config, ..Setup::default() });
        let id = connected(&mut single);
        single.write(id, 1460);
        for (_, packet) in single.take_packets() {
            assert_eq!(packet.ip.dont_fragment, on, "mode {mode}");
        }
        too_big(&mut single, 1000, 1);
        assert_eq!(mss(&single, id), if on { 960 } else { 1460 });
    }
}

// Shows: RFC1191 s6.5
#[test]
fn a_fin_behind_what_was_too_big_comes_again_with_it() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        let full = mss(single, id);
        single.write(id, full as usize);
        single.shutdown(id);
        single.expect(data(1, full as usize, 1));
        single.expect(fin(full + 1, 1));
        let small = 1280 - headers(single);
        too_big(single, 1280, 1);
        single.expect(data(1, small as usize, 1));
        single.expect(data(1 + small, (full - small) as usize, 1).psh().with_fin());
        single.inject(ack(1, full + 2));
        single.expect_state(id, StateName::FinWait2);
    });
}

// Shows: RFC6437
#[test]
fn an_ipv6_flow_has_one_label_and_another_flow_another() {
    let mut single = Single::server(Setup { ipv6: true, ..Setup::default() });
    let listener = single.listen();
    let mut labels = Vec::new();
    for port in [1000, 2000] {
        single.set_peer_port(port);
        single.inject(syn().mss(1000));
        single.expect(syn_ack());
        single.inject(ack(1, 1));
        let id = single.accept(listener);
        single
            .call(|endpoint, now| endpoint.send_small(now, id, b"text", SendFlags::default()))
            .expect("there is room");
        single.abort(id);
        let mut seen: Vec<u32> =
            single.take_packets().iter().map(|(_, it)| it.ip.flow_label).collect();
        assert!(seen.len() >= 2, "text and RST at least");
        seen.dedup();
        labels.extend(seen);
    }
    assert_eq!(labels.len(), 2, "{labels:?}");
    assert!(labels[0] != labels[1] && labels.iter().all(|label| (1..1 << 20).contains(label)));
    let config = Config::default().auto_flowlabels(false);
    let mut single = Single::server(Setup { ipv6: true, config, ..Setup::default() });
    single.listen();
    single.inject(syn().mss(1000));
    assert_eq!(single.take_packets()[0].1.ip.flow_label, 0);
}

// Shows: H-46
#[test]
fn a_report_that_says_nothing_new_sends_nothing_again() {
    for_each_client(&Config::default(), |single| {
        let id = connected(single);
        let full = mss(single, id) as usize;
        single.write(id, 2 * full);
        assert_eq!(sizes(single), [full; 2]);
        too_big(single, 1400, 1);
        assert!(!single.take_segments().is_empty());
        too_big(single, 1400, 1);
        single.expect_nothing();
    });
}
