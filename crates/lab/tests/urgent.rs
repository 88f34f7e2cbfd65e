//! Urgent data (RFC 9293 section 3.8.5, RFC 6093): sent with a pointer, received in line.

mod support;

use support::{accepted, ms};
use towpath_engine::{Config, Event, Readiness, SendFlags};
use towpath_lab::segment::{Seg, ack, data};
use towpath_lab::single::{Single, for_each_server};
use towpath_wire::tcp::Flags;

fn urgent() -> SendFlags {
    let mut flags = SendFlags::default();
    flags.urgent = true;
    flags
}

fn pointing(seg: Seg, pointer: u16) -> Seg {
    seg.flags(Flags::ACK | Flags::URG).urg(pointer)
}

fn left(single: &Single, id: towpath_engine::ConnectionId) -> Option<u64> {
    single.endpoint().queues(id).unwrap().urgent_left
}

// Shows: 9293 MUST-62, 9293 MUST-30
#[test]
fn the_pointer_names_the_byte_behind_urgent_data_on_every_segment_before_it() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.write(id, 1000);
        single.write_with(id, 500, urgent());
        // Urgent data is not held back, and what leaves before it is written does not point.
        single.expect_all([data(1, 1000, 1), pointing(data(1001, 500, 1), 500)]);
        single.write(id, 1000);
        single.expect(data(1501, 1000, 1));
        single.advance(ms(250));
        single.expect(pointing(data(1, 1000, 1), 1500));
        single.inject(ack(1, 1501));
        single.expect(data(1501, 1000, 1));
        single.inject(ack(1, 2501));
    });
}

// Shows: 9293 MUST-31
#[test]
fn a_pointer_that_lies_too_far_ahead_says_as_much_as_it_can() {
    for_each_server(&Config::default(), |single| {
        let id = support::accept_from(single, towpath_lab::segment::syn().mss(1000).wscale(7));
        single.set(id, |options| options.send_buffer = Some(200_000));
        single.inject(ack(1, 1).win(10));
        single.write_with(id, 100_000, urgent());
        let packets = single.take_packets();
        assert!(!packets.is_empty());
        for (_, packet) in packets {
            assert!(packet.segment.flags.contains(Flags::URG));
            assert_eq!(packet.segment.urgent, u16::MAX);
        }
    });
}

// Shows: RFC9293 s3.10.7.4q, 9293 MUST-32, 9293 MUST-33, 9293 MUST-31
#[test]
fn the_application_hears_of_urgent_data_and_reads_it_in_line_up_to_the_mark() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.take_events();
        // Announced before it comes.
        single.inject(pointing(ack(1, 1), 150));
        assert_eq!(single.take_events(), [Event::Ready(id, Readiness::URGENT)]);
        assert_eq!(left(single, id), Some(150));
        // The same again is no news; more of it is.
        single.inject(pointing(data(1, 100, 1), 150));
        assert_eq!(single.take_events(), [Event::Ready(id, Readiness::READABLE)]);
        single.inject(pointing(data(101, 100, 1), 80));
        let both = Readiness::READABLE | Readiness::URGENT;
        assert_eq!(single.take_events(), [Event::Ready(id, both)]);
        single.inject(data(201, 100, 1));
        single.take_segments();
        // Bytes 1 to 179, then the mark, which is byte 180 of the stream.
        assert_eq!(left(single, id), Some(180));
        assert_eq!(single.try_read(id, 1000), Ok(179));
        assert_eq!(left(single, id), Some(1), "at the mark");
        assert_eq!(single.try_read(id, 1000), Ok(121));
        assert_eq!(left(single, id), None);
        assert!(!single.endpoint().readiness(id).contains(Readiness::URGENT));
    });
}

// Shows: 9293 MUST-66, RFC9293 s3.10.7.4d
#[test]
fn the_pointer_counts_although_the_window_is_closed() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        let mut at = 1;
        while let len @ 1.. = (single.info(id).rcv_wnd as usize).min(1000) {
            single.inject(data(at, len, 1));
            at += len as u32;
        }
        single.take_segments();
        single.take_events();
        single.inject(pointing(data(at, 1, 1), 1));
        assert_eq!(single.take_events(), [Event::Ready(id, Readiness::URGENT)]);
        assert_eq!(left(single, id), Some(u64::from(at)));
        single.take_segments();
    });
}

#[test]
fn a_pointer_back_into_what_has_arrived_is_ignored() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1));
        single.take_events();
        single.inject(pointing(data(51, 50, 1), 20));
        assert_eq!(left(single, id), None);
        assert!(single.take_events().is_empty());
        single.read(id, 100);
        single.take_segments();
    });
}

#[test]
fn peeking_takes_nothing_and_the_queues_are_counted() {
    for_each_server(&Config::default(), |single| {
        let id = accepted(single);
        single.inject(data(1, 100, 1));
        let peeked = single.call(|endpoint, _| endpoint.peek(id, 60)).unwrap();
        assert_eq!(peeked.len(), 60);
        let queues = single.endpoint().queues(id).unwrap();
        assert_eq!((queues.unread, queues.hint), (100, 100));
        single.read(id, 100);
        single.inject(data(101, 0, 1).with_fin());
        let queues = single.endpoint().queues(id).unwrap();
        assert_eq!((queues.unread, queues.hint), (0, 1), "the end is there to be read");
        single.inject(ack(102, 1).win(500));
        single.write(id, 800);
        single.shutdown(id);
        let queues = single.endpoint().queues(id).unwrap();
        assert_eq!((queues.unacknowledged, queues.unsent), (801, 800));
        single.inject(ack(102, 1).win(1000));
        single.inject(ack(102, 802).win(1000));
        single.take_segments();
    });
}
