//! Limits of the stack: memory, connections that nobody holds.

mod support;

use core::net::SocketAddr;

use support::{accept_from, ms, secs};
use towpath_engine::{
    BufferSizes, Config, ConnectRequest, ConnectionId, Event, ListenRequest, ListenerId,
    MemoryLimits, Readiness, SendFlags, SocketError, StateName, SynCookies,
};
use towpath_lab::flow::Behaviour;
use towpath_lab::segment::{Seg, ack, data, fin, rst, rst_ack, syn, syn_ack};
use towpath_lab::single::{Setup, Single, for_each_server};
use towpath_lab::world::World;
use towpath_netem::LinkConfig;

/// No room between pressure and limit: one connection may take it all.
const SMALL: MemoryLimits = MemoryLimits { relief: 30_000, pressure: 59_500, limit: 59_600 };

fn small() -> Config {
    Config::default().memory(SMALL).tcp_wmem(BufferSizes {
        min: 4096,
        default: 100_000,
        max: 100_000,
    })
}

/// One more connection of the peer, with a port of its own. What it said is out of the way.
fn another(single: &mut Single, listener: ListenerId, first: Seg) -> (ConnectionId, u16, u32) {
    let port = single.peer().port() + 1;
    single.set_peer_port(port);
    single.inject(first);
    single.expect(syn_ack());
    single.inject(ack(1, 1));
    (single.accept(listener), port, single.own_number(0).0)
}

/// Data in order that nobody reads, until the stack has no memory.
fn exhaust(single: &mut Single, listener: ListenerId) -> ConnectionId {
    let (id, ..) = another(single, listener, syn().mss(1000));
    let mut seq = 1;
    while single.counters().rcv_pruned == 0 {
        single.inject(data(seq, 1000, 1));
        seq += 1000;
        assert!(seq < 62_000, "the limit is never reached: {:?}", single.census());
    }
    single.take_segments();
    id
}

// Shows: H-39
#[test]
fn a_writer_waits_for_memory_and_is_told_when_there_is_some() {
    for_each_server(&small(), |single| {
        let id = accept_from(single, syn().mss(1000));
        let mut written = 0;
        let refused = loop {
            match single.try_write(id, 10_000) {
                Ok(n) => written += n,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, SocketError::WouldBlock);
        let census = single.census();
        assert!((59_000..=59_600).contains(&census.memory), "{census:?}");
        assert_eq!(census.send_bytes, written);
        single.take_events();
        // The peer acknowledges what is in flight: room for the writer, and the news of it.
        let flight: usize = single.take_segments().iter().map(|(_, len, _)| len).sum();
        single.inject(ack(1, 1 + flight as u32));
        let events = single.take_events();
        let told = events.iter().any(|event| {
            matches!(event, Event::Ready(of, what) if *of == id && what.contains(Readiness::WRITABLE))
        });
        assert!(told, "{events:?}");
        single.write(id, 1000);
        single.abort(id);
        single.take_segments();
        single.finish_empty_with_listener();
    });
}

// Shows: H-39
#[test]
fn a_writer_without_bytes_of_its_own_is_told_when_others_give_memory_back() {
    for_each_server(&small(), |single| {
        let listener = single.listen();
        let (writer, ..) = another(single, listener, syn().mss(1000));
        let reader = exhaust(single, listener);
        assert_eq!(single.try_write(writer, 10), Err(SocketError::WouldBlock));
        assert_eq!(
            single.call(|endpoint, now| endpoint.send_small(
                now,
                writer,
                b"few",
                SendFlags::default()
            )),
            Err(SocketError::WouldBlock)
        );
        single.take_events();
        while single.try_read(reader, usize::MAX).is_ok() {}
        let events = single.take_events();
        assert!(events.contains(&Event::Ready(writer, Readiness::WRITABLE)), "{events:?}");
        assert_eq!(single.try_write(writer, 10), Ok(10));
        single.take_segments();
    });
}

// Shows: H-39
#[test]
fn a_writer_who_may_have_memory_is_told_of_it_behind_any_number_of_others_who_may_not() {
    const HOGS: usize = 24;
    let limits = MemoryLimits { relief: 90_000, pressure: 100_000, limit: 610_000 };
    for_each_server(&small().memory(limits), |single| {
        let listener = single.listen();
        let open = |single: &mut Single| another(single, listener, syn().mss(1000));
        let (writer, ..) = open(single);
        let mut hogs: Vec<ConnectionId> = (1..HOGS).map(|_| open(single).0).collect();
        let last = open(single);
        hogs.push(last.0);
        let (reader, port, iss) = another(single, listener, syn().mss(1000));
        // Under pressure each has more than its share, and waits for more.
        for hog in &hogs {
            while single.try_write(*hog, 1000).is_ok() {}
            single.take_segments();
        }
        assert_eq!(single.counters().memory_pressures, 1);
        single.set_peer_port(port);
        single.set_iss(iss);
        let mut seq = 1;
        while single.counters().rcv_pruned == 0 {
            single.inject(data(seq, 1000, 1));
            seq += 1000;
            assert!(seq < 400_000, "the limit is never reached: {:?}", single.census());
        }
        assert_eq!(single.try_write(writer, 10), Err(SocketError::WouldBlock));
        single.take_segments();
        single.take_events();
        let ready = |single: &mut Single, id: ConnectionId| {
            let what = Event::Ready(id, Readiness::WRITABLE);
            single.take_events().contains(&what)
        };
        // There is still pressure, but the limit is far: the writer has nothing, the others enough.
        assert!(single.try_read(reader, usize::MAX).is_ok());
        assert!(ready(single, writer), "it was not told");
        assert_eq!(single.try_write(writer, 10), Ok(10));
        single.take_segments();
        // One of the others is told when its own part is given back.
        let hog = last.0;
        assert_eq!(single.try_write(hog, 10), Err(SocketError::WouldBlock));
        single.take_events();
        single.set_peer_port(last.1);
        single.set_iss(last.2);
        single.inject(ack(1, 1 + 10_000));
        assert!(ready(single, hog), "it was not told of its own");
        single.take_segments();
        // And all of them when pressure is over.
        let others = hogs.split_off(1);
        for id in others {
            single.abort(id);
        }
        assert!(ready(single, hogs[0]), "it was not told of the end of pressure");
        single.take_segments();
    });
}

// Shows: H-39, H-69, RFC2018 s8
#[test]
fn without_memory_what_lies_out_of_order_goes_and_what_was_acknowledged_stays() {
    for_each_server(&small(), |single| {
        let listener = single.listen();
        let first = || syn().mss(1000).sack_ok();
        let (id, port, iss) = another(single, listener, first());
        // Less than what comes in order later: the memory is gone again then.
        single.inject(data(1001, 500, 1));
        single.expect(ack(1, 1).sack(&[(1001, 1501)]));
        let greedy = exhaust(single, listener);
        single.set_peer_port(port);
        single.set_iss(iss);
        let before = single.counters().clone();
        // Beyond the hole: what waited there goes, and this is not kept either.
        single.inject(data(3001, 1000, 1));
        single.expect(ack(1, 1));
        let counters = single.counters();
        assert_eq!(counters.ofo_pruned, before.ofo_pruned + 1);
        assert_eq!(counters.prune_called, before.prune_called + 1);
        assert_eq!(counters.rcv_pruned, before.rcv_pruned + 1);
        // The next in order is taken in any case: its reader waits for it.
        single.inject(data(1, 1000, 1));
        single.expect(ack(1, 1001));
        // But no more than that.
        single.inject(data(1001, 1000, 1));
        single.expect(ack(1, 1001));
        assert_eq!(single.counters().rcv_pruned, before.rcv_pruned + 2);
        single.read(id, 1000);
        single.inject(data(1001, 1000, 1));
        single.read(id, 1000);
        single.take_segments();
        // The other's bytes, acknowledged before, are all there.
        let unread = single.endpoint().info(greedy).unwrap().unread_bytes;
        assert!(unread > 50_000);
        single.abort(id);
        single.abort(greedy);
        single.take_segments();
        single.finish_empty_with_listener();
    });
}

// Shows: H-69
#[test]
fn a_repetition_costs_nothing_that_waits_out_of_order() {
    for_each_server(&small(), |single| {
        let listener = single.listen();
        let (id, port, iss) = another(single, listener, syn().mss(1000).sack_ok());
        single.inject(data(1, 100, 1));
        single.read(id, 100);
        single.inject(data(1101, 1000, 1));
        single.take_segments();
        exhaust(single, listener);
        single.set_peer_port(port);
        single.set_iss(iss);
        let pruned = single.counters().prune_called;
        single.inject(data(1, 100, 1));
        assert_eq!(single.counters().prune_called, pruned);
        assert_eq!(single.counters().ofo_pruned, 0);
        single.take_segments();
    });
}

// Shows: H-39
#[test]
fn without_memory_nobody_new_comes_in() {
    for cookies in [SynCookies::Never, SynCookies::WhenFull, SynCookies::Always] {
        for_each_server(&small().tcp_syncookies(cookies), |single| {
            let listener = single.listen();
            let half_open = single.peer().port();
            single.inject(syn().mss(1000));
            single.expect(syn_ack());
            let iss = single.own_number(0).0;
            let greedy = exhaust(single, listener);
            // Neither by a SYN, nor by the end of a handshake, nor by a call of ours.
            single.set_peer_port(half_open + 100);
            single.inject(syn().mss(1000));
            single.expect_nothing();
            assert_eq!(single.counters().drop_limit, 1);
            single.set_peer_port(half_open);
            single.set_iss(iss);
            single.inject(ack(1, 1));
            single.expect_nothing();
            assert_eq!(single.census().connections, 1);
            let request = ConnectRequest::new(SocketAddr::new(single.peer().ip(), 80));
            let made = single.call(|endpoint, now| endpoint.connect(now, request));
            assert_eq!(made, Err(SocketError::NoBuffers));
            while single.try_read(greedy, usize::MAX).is_ok() {}
            single.take_segments();
            single.inject(ack(1, 1));
            single.accept(listener);
            single.take_segments();
        });
    }
}

// Shows: H-39
#[test]
fn under_pressure_nobody_gets_more_than_a_share() {
    let limits = MemoryLimits { pressure: 40_000, ..SMALL };
    for_each_server(&small().memory(limits), |single| {
        let listener = single.listen();
        let (first, ..) = another(single, listener, syn().mss(1000));
        while single.census().memory < 41_000 {
            single.write(first, 1000);
        }
        assert_eq!(single.counters().memory_pressures, 1);
        // It is alone, and goes on; with three others it holds more than a fourth of the limit.
        single.write(first, 1000);
        let others: Vec<ConnectionId> = (0..3)
            .map(|_| {
                single.take_segments();
                another(single, listener, syn().mss(1000)).0
            })
            .collect();
        assert_eq!(single.try_write(first, 1000), Err(SocketError::WouldBlock));
        single.write(others[0], 1000);
        single.take_segments();
    });
}

// Shows: H-39, H-69
#[test]
fn transfers_over_a_bad_path_survive_a_stack_without_memory() {
    const LEN: u64 = 300_000;
    let mut pruned = 0;
    for seed in 0..10 {
        let limits = MemoryLimits { relief: 40_000, pressure: 59_500, limit: 59_600 };
        let server = Config::default().memory(limits);
        let mut world = World::new(seed);
        let service: SocketAddr = "10.0.0.2:80".parse().unwrap();
        let client = world.add_host(Config::default(), "10.0.0.1".parse().unwrap(), 24);
        let host = world.add_host(server, service.ip(), 24);
        let link = LinkConfig::new()
            .delay(ms(20))
            .rate_bits_per_second(Some(50_000_000))
            .loss(0.02)
            .reorder(0.05)
            .reorder_gap(ms(5));
        world.join(client, host, link.clone(), link);
        world.listen(host, ListenRequest::new(service), || Behaviour::exchange(LEN, LEN));
        let flows: Vec<_> = (0..4)
            .map(|_| world.connect(client, service, &Behaviour::exchange(LEN, LEN)))
            .collect();
        world.run(secs(3600));
        for flow in flows {
            let flow = world.flow(flow);
            assert!(flow.is_done() && flow.error().is_none(), "{flow:?}");
            assert_eq!((flow.sent(), flow.received()), (LEN, LEN));
        }
        assert_eq!(world.host(host).endpoint.census().memory, 0);
        let counters = world.host(host).endpoint.counters();
        assert!(counters.memory_pressures > 0);
        pruned += counters.ofo_pruned + counters.rcv_pruned;
    }
    assert!(pruned > 0, "memory was never short");
}

// Shows: H-40, I-36
#[test]
fn beyond_the_limit_of_orphans_a_close_is_a_reset() {
    let config = Config::default().tcp_max_orphans(2);
    for_each_server(&config, |single| {
        let listener = single.listen();
        let mut ends = Vec::new();
        for orphan in 0..2 {
            let (id, port, iss) = another(single, listener, syn().mss(1000));
            ends.push((port, iss));
            single.close(id);
            single.expect(fin(1, 1));
            assert_eq!(single.census().orphans, orphan + 1);
        }
        let (id, last, _) = another(single, listener, syn().mss(1000));
        single.close(id);
        single.expect(rst_ack(1, 1));
        assert_eq!(single.counters().abort_on_memory, 1);
        assert_eq!((single.census().orphans, single.census().connections), (2, 2));
        // One who is done makes room.
        single.set_peer_port(ends[0].0);
        single.set_iss(ends[0].1);
        single.inject(rst(1));
        assert_eq!(single.census().orphans, 1);
        single.set_peer_port(last);
        let (id, ..) = another(single, listener, syn().mss(1000));
        single.close(id);
        single.expect(fin(1, 1));
        single.advance(secs(600));
        single.take_segments();
        assert_eq!(single.census().orphans, 0);
        single.finish_empty_with_listener();
    });
}

// Shows: H-40
#[test]
fn without_memory_an_orphan_with_much_to_send_is_reset() {
    for_each_server(&small(), |single| {
        let listener = single.listen();
        let (much, ..) = another(single, listener, syn().mss(1000));
        single.write(much, 5000);
        single.take_segments();
        let (little, ..) = another(single, listener, syn().mss(1000));
        single.write(little, 100);
        single.take_segments();
        exhaust(single, listener);
        single.close(little);
        assert_eq!(single.counters().abort_on_memory, 0);
        single.close(much);
        assert_eq!(single.counters().abort_on_memory, 1);
        single.take_segments();
    });
}

// Shows: H-40, H-45, I-09
#[test]
fn an_orphan_s_retries_are_eight_if_they_are_zero() {
    let lives = |retries| {
        let config = Config::default().tcp_orphan_retries(retries);
        let mut single = Single::server(Setup { config, ..Setup::default() });
        let id = accept_from(&mut single, syn().mss(1000));
        single.close(id);
        let from = single.elapsed();
        while single.census().connections > 0 {
            single.advance(ms(100));
        }
        single.elapsed() - from
    };
    assert_eq!(lives(0), lives(8));
    assert!(lives(0) > secs(100), "{:?}", lives(0));
    assert!(lives(1) < secs(10), "{:?}", lives(1));
}

#[test]
fn the_states_that_nobody_holds_are_counted() {
    for_each_server(&Config::default(), |single| {
        let id = accept_from(single, syn().mss(1000));
        assert_eq!(single.census().orphans, 0);
        single.close(id);
        single.expect(fin(1, 1));
        assert_eq!(single.census().orphans, 1);
        single.inject(ack(1, 2));
        single.expect_state(id, StateName::FinWait2);
        assert_eq!(single.census().orphans, 1);
        single.inject(fin(1, 2));
        single.expect(ack(2, 2));
        assert_eq!((single.census().orphans, single.census().time_wait), (0, 1));
    });
}

#[test]
fn what_a_closed_socket_had_written_counts_until_it_is_acknowledged_or_failed() {
    for_each_server(&Config::default(), |single| {
        let listener = single.listen();
        let count =
            |single: &Single| (single.endpoint().undelivered(), single.counters().orphans_failed);
        let (good, ..) = another(single, listener, syn().mss(1000));
        assert_eq!(count(single), (0, 0), "nothing was written");
        single.write(good, 100);
        single.take_segments();
        assert_eq!(count(single), (1, 0));
        single.close(good);
        single.take_segments();
        single.inject(ack(1, 101));
        assert_eq!(count(single), (1, 0), "the FIN is not acknowledged");
        single.inject(ack(1, 102));
        assert_eq!(count(single), (0, 0));
        single.inject(rst(1));
        assert_eq!(count(single), (0, 0), "all was delivered");

        let (bad, ..) = another(single, listener, syn().mss(1000));
        single.write(bad, 100);
        single.close(bad);
        single.take_segments();
        single.inject(rst(1));
        assert_eq!(count(single), (0, 1));
        // One that is still held has somebody to be told.
        let (held, ..) = another(single, listener, syn().mss(1000));
        single.write(held, 100);
        single.take_segments();
        single.inject(rst(1));
        assert_eq!(count(single), (0, 1));
    });
}

#[test]
fn who_was_refused_memory_is_not_writable_until_there_is_some() {
    for_each_server(&small(), |single| {
        let listener = single.listen();
        let (greedy, port, iss) = another(single, listener, syn().mss(1000));
        let (other, ..) = another(single, listener, syn().mss(1000));
        while single.try_write(greedy, 1000).is_ok() {}
        assert_eq!(single.try_write(other, 1000), Err(SocketError::WouldBlock));
        let writable =
            |single: &Single, id| single.endpoint().readiness(id).contains(Readiness::WRITABLE);
        assert!(!writable(single, other), "or its writer would turn in circles");
        single.take_events();
        single.set_peer_port(port);
        single.set_iss(iss);
        for _ in 0..100 {
            let sent = single.take_segments();
            let Some(end) = sent.iter().map(|(seq, len, _)| seq + *len as u32).max() else { break };
            single.inject(ack(1, end).win(60_000));
        }
        let events = single.take_events();
        assert!(events.contains(&Event::Ready(other, Readiness::WRITABLE)), "{events:?}");
        assert!(writable(single, other));
        assert_eq!(single.try_write(other, 1000), Ok(1000));
        single.take_segments();
    });
}
