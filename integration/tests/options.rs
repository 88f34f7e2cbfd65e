//! What two SYNs agree on, in every combination of the kernel's settings with ours; and that what
//! was not agreed is not used.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use futures::future::try_join;
use support::scenario;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use towpath::net::TcpStream as OurStream;
use towpath::{Config, Stack, TunConfig, TunDevice};
use towpath_integration::dissect::{Seen, flags};
use towpath_integration::kernel_counters;
use towpath_integration::network::Network;
use towpath_integration::payload::{Payload, Sum};
use towpath_integration::peer::{Peer, receive, receive_exactly, send};
use towpath_integration::scenario::tun_config;
use towpath_integration::scene::{Connection, Family, Opener, Scene, end_stack, soon};
use towpath_integration::skip::Need;
use towpath_integration::socket_statistics::Statistics;
use towpath_netem::LinkConfig;

/// Each way. More than a window without scaling.
const BYTES: u64 = 200_000;

/// An exchange each way at once, to the end.
async fn exchange(mut ours: impl Peer, mut kernels: impl Peer) {
    let (from_us, from_the_kernel) = (Payload::new(1, BYTES), Payload::new(2, BYTES));
    let we = say_and_hear(&mut ours, &from_us);
    let the_kernel = say_and_hear(&mut kernels, &from_the_kernel);
    let (to_us, to_the_kernel) = try_join(we, the_kernel).await.expect("the exchange");
    assert_eq!((to_us, to_the_kernel), (from_the_kernel.sum(), from_us.sum()));
}

async fn say_and_hear(end: &mut impl Peer, payload: &Payload) -> std::io::Result<Sum> {
    let (mut read, mut write) = tokio::io::split(end);
    let saying = async {
        send(&mut write, payload.clone()).await?;
        write.shutdown().await
    };
    Ok(try_join(saying, receive(&mut read)).await?.1)
}

/// Window scaling, SACK, timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    scaling: bool,
    sack: bool,
    timestamps: bool,
}

impl Offer {
    fn all() -> impl Iterator<Item = Offer> {
        (0..8_u8).map(|bits| Offer {
            scaling: bits & 1 != 0,
            sack: bits & 2 != 0,
            timestamps: bits & 4 != 0,
        })
    }

    fn and(self, other: Offer) -> Offer {
        Offer {
            scaling: self.scaling && other.scaling,
            sack: self.sack && other.sack,
            timestamps: self.timestamps && other.timestamps,
        }
    }

    fn make_the_kernels(self) {
        let here = Network::here();
        let word = |on: bool| if on { "1" } else { "0" };
        here.sysctl("net.ipv4.tcp_window_scaling", word(self.scaling));
        here.sysctl("net.ipv4.tcp_sack", word(self.sack));
        here.sysctl("net.ipv4.tcp_timestamps", word(self.timestamps));
    }

    fn config(self) -> Config {
        Config::default()
            .time_wait(Duration::from_millis(1))
            .tcp_window_scaling(self.scaling)
            .tcp_sack(self.sack)
            .tcp_timestamps(self.timestamps)
    }

    /// As our end has it.
    fn agreed_by_us(ours: &OurStream) -> Offer {
        let info = ours.info().expect("open");
        Offer {
            scaling: info.snd_wscale > 0 && info.rcv_wscale > 0,
            sack: info.sack,
            timestamps: info.timestamps,
        }
    }

    /// As the kernel's end has it.
    fn agreed_by_the_kernel(ours: &OurStream) -> Offer {
        let statistics = Statistics::of(&Connection::of(ours));
        Offer {
            scaling: statistics.value("wscale").is_some(),
            sack: statistics.has("sack"),
            timestamps: statistics.has("ts"),
        }
    }
}

// Shows: I-13, RFC7323 s2.2b, RFC7323 s3.2d
#[test]
fn every_combination_of_scaling_sack_and_timestamps_is_agreed_with_the_kernel() {
    let name = "every_combination_of_scaling_sack_and_timestamps_is_agreed_with_the_kernel";
    let scenario = scenario(name).needs([Need::Iproute2]).time_limit(Duration::from_secs(120));
    scenario.play_bare(async |_| {
        for our_offer in Offer::all() {
            let ours = Family::V4.our_ip();
            let stack = Stack::builder()
                .device(TunDevice::open(tun_config()).expect("a TUN interface"))
                .config(our_offer.config())
                .address(format!("{ours}/24"))
                .build()
                .expect("a stack");
            for kernels_offer in Offer::all() {
                kernels_offer.make_the_kernels();
                for opener in Opener::ALL {
                    let scene = Scene::around(stack.clone(), Family::V4);
                    let (ours, kernels) = scene.pair(opener).await;
                    let agreed = our_offer.and(kernels_offer);
                    let told = format!("{opener:?}: {our_offer:?} with {kernels_offer:?}");
                    assert_eq!(Offer::agreed_by_us(&ours), agreed, "by us: {told}");
                    assert_eq!(Offer::agreed_by_the_kernel(&ours), agreed, "by it: {told}");
                    exchange(ours, kernels).await;
                }
            }
            let report = end_stack(stack, Duration::from_secs(5)).await;
            assert_eq!((report.delivered, report.reset), (0, 0));
        }
    });
}

/// The kernel's and our SYN and SYN-ACK in one capture.
fn handshake(segments: &[Seen], of: &Connection) -> (Seen, Seen) {
    let find = |is: fn(&Seen) -> bool| {
        let found = segments.iter().find(|seen| seen.belongs_to(of) && is(seen));
        found.cloned().expect("a handshake")
    };
    (find(Seen::is_syn), find(Seen::is_syn_ack))
}

/// The same options in the same order with the same values, the same window, TTL and DF.
// Shows: I-01
#[test]
fn our_handshake_looks_as_the_kernels_does() {
    scenario("our_handshake_looks_as_the_kernels_does").needs([Need::Tshark]).play(async |scene| {
        let mut seen = Vec::new();
        for opener in Opener::ALL {
            let (ours, kernels) = scene.pair(opener).await;
            let connection = Connection::of(&ours);
            exchange(ours, kernels).await;
            seen.push(handshake(&scene.segments(), &connection));
        }
        let [(our_syn, their_syn_ack), (their_syn, our_syn_ack)] = &seen[..] else {
            panic!("two handshakes: {seen:#?}")
        };
        let look = |seen: &Seen| {
            (
                seen.flags,
                seen.option_kinds.clone(),
                (seen.mss, seen.window_scale, seen.window),
                (seen.hop_limit, seen.dont_fragment),
            )
        };
        assert_eq!(look(our_syn), look(their_syn));
        assert_eq!(look(our_syn_ack), look(their_syn_ack));
        assert_eq!(our_syn.option_kinds, [2, 4, 8, 1, 3], "MSS, SACK, timestamps, NOP, scale");
    });
}

/// ECN is the kernel's wish (1) or not; of our own we do not ask.
// Shows: I-20, 9293 SHLD-8, RFC3168 s6.1.1a
#[test]
fn a_kernel_that_asks_for_ecn_gets_it_and_is_not_asked() {
    scenario("a_kernel_that_asks_for_ecn_gets_it_and_is_not_asked")
        .needs([Need::Tshark, Need::Iproute2])
        .play(async |scene| {
            let here = Network::here();
            for (wish, asked, answered) in [("0", 0, 0), ("1", flags::ECE | flags::CWR, flags::ECE)]
            {
                here.sysctl("net.ipv4.tcp_ecn", wish);
                let (ours, kernels) = scene.pair(Opener::Kernel).await;
                let connection = Connection::of(&ours);
                let statistics = Statistics::of(&connection);
                assert_eq!(statistics.has("ecn"), answered != 0, "tcp_ecn={wish}: {statistics:?}");
                exchange(ours, kernels).await;
                let segments = scene.segments();
                let (syn, syn_ack) = handshake(&segments, &connection);
                let ecn = flags::AE | flags::ECE | flags::CWR;
                assert_eq!(syn.flags & ecn, asked, "tcp_ecn={wish}");
                assert_eq!(syn_ack.flags & ecn, answered, "tcp_ecn={wish}");

                // Nor do we ask a kernel that would like to.
                let (ours, kernels) = scene.pair(Opener::Ours).await;
                let connection = Connection::of(&ours);
                exchange(ours, kernels).await;
                let segments = scene.segments();
                let mut mine = segments.iter().filter(|seen| seen.belongs_to(&connection));
                assert!(mine.all(|seen| seen.flags & ecn == 0), "tcp_ecn={wish}");
            }
        });
}

/// What the route's `advmss` makes the kernel announce bounds our segments, down to Linux's
/// least of 48.
// Shows: I-38, 9293 MUST-16
#[test]
fn the_mss_that_the_kernel_announces_bounds_our_segments() {
    scenario("the_mss_that_the_kernel_announces_bounds_our_segments")
        .needs([Need::Tshark, Need::Iproute2])
        .play(async |scene| {
            let here = Network::here();
            // Less 12 bytes of timestamps.
            for (announced, largest) in [(1200, 1188), (536, 524), (88, 76), (1, 36)] {
                here.ip(&format!(
                    "route change 10.77.0.0/24 dev towpath0 src 10.77.0.1 advmss {announced}"
                ));
                for opener in Opener::ALL {
                    let (ours, kernels) = scene.pair(opener).await;
                    let connection = Connection::of(&ours);
                    exchange(ours, kernels).await;
                    let segments = scene.segments();
                    let (syn, syn_ack) = handshake(&segments, &connection);
                    let kernels = if opener == Opener::Ours { syn_ack } else { syn };
                    assert_eq!(kernels.mss, Some(announced), "{opener:?}");
                    let mine = segments.iter().filter(|seen| seen.is_ours_in(&connection));
                    let most = mine.map(|seen| seen.len).max();
                    assert_eq!(most, Some(largest), "{opener:?}: {announced}");
                }
            }
        });
}

/// The kernel answers every SYN with a cookie and remembers nothing; with timestamps off it cannot
/// remember the options either, and does not offer them.
// Shows: I-13, I-12
#[test]
fn a_kernel_that_answers_with_cookies_takes_our_ack_and_data() {
    scenario("a_kernel_that_answers_with_cookies_takes_our_ack_and_data")
        .needs([Need::Tshark, Need::Iproute2])
        .play(async |scene| {
            let here = Network::here();
            here.sysctl("net.ipv4.tcp_syncookies", "2");
            let received = || kernel_counters::read("TcpExt", "SyncookiesRecv");
            for timestamps in [true, false] {
                here.sysctl("net.ipv4.tcp_timestamps", if timestamps { "1" } else { "0" });
                let before = received();
                let (ours, kernels) = scene.pair(Opener::Ours).await;
                assert_eq!(received() - before, 1, "the kernel takes our ACK for a cookie");
                let connection = Connection::of(&ours);
                let agreed = Offer { scaling: timestamps, sack: timestamps, timestamps };
                assert_eq!(Offer::agreed_by_us(&ours), agreed);
                assert_eq!(Offer::agreed_by_the_kernel(&ours), agreed);
                exchange(ours, kernels).await;
                let (_, syn_ack) = handshake(&scene.segments(), &connection);
                assert_eq!(syn_ack.window_scale.is_some(), timestamps, "{syn_ack:?}");
            }
        });
}

/// Two handshakes at once for one place in the kernel's accept queue: it ignores the second's ACK,
/// asks again, and takes it in when there is room.
// Shows: I-12
#[test]
fn a_full_accept_queue_of_the_kernel_makes_us_wait_and_loses_nothing() {
    scenario("a_full_accept_queue_of_the_kernel_makes_us_wait_and_loses_nothing")
        .needs([Need::Tshark])
        .link(LinkConfig::new().delay(Duration::from_millis(100)), 1)
        .side_by_side()
        .play(async |scene| {
            let socket = Network::here().socket((scene.kernel_ip(), 0).into());
            // Linux's queue holds one more than was asked for.
            let listener = socket.listen(1).expect("listening");
            let at = listener.local_addr().expect("an address");
            let overflows = || kernel_counters::read("TcpExt", "ListenOverflows");
            let asked_again = || kernel_counters::read("TcpExt", "TCPSynRetrans");
            let mut first = scene.stack.connect(at).await.expect("there is room");
            let ends = try_join(scene.stack.connect(at), scene.stack.connect(at)).await;
            let (mut one, mut two) = ends.expect("both are established for us");
            for (ours, word) in [(&mut first, b"0"), (&mut one, b"1"), (&mut two, b"2")] {
                ours.write_all(word).await.expect("writing");
            }
            soon("an ACK is ignored", || overflows() > 0, || overflows().to_string()).await;
            soon("the kernel asks again", || asked_again() > 0, || "no".to_owned()).await;
            let mut heard = Vec::new();
            let mut accepted = Vec::new();
            for _ in 0..3 {
                let (mut kernels, _) = listener.accept().await.expect("accepting");
                heard.push(kernels.read_u8().await.expect("reading"));
                accepted.push(kernels);
            }
            heard.sort_unstable();
            assert_eq!(heard, b"012");
            for ours in [&first, &one, &two] {
                assert_eq!(ours.close_reason(), None);
            }
            let segments = scene.segments();
            let syn_acks = segments.iter().filter(|seen| seen.is_syn_ack()).count();
            assert!(syn_acks > 3, "{syn_acks}");
            assert!(!segments.iter().any(|seen| seen.has(flags::RST)), "{segments:#?}");
        });
}

/// An interface as large as loopback: our segments fill it, the kernel's are half as large as the
/// largest window that our SYN can offer.
// Shows: I-37
#[test]
fn segments_above_32767_bytes_reach_the_kernel() {
    const MTU: u32 = 65_521;
    const MUCH: u64 = 2 << 20;
    scenario("segments_above_32767_bytes_reach_the_kernel").needs([Need::Iproute2]).play_bare(
        async |_| {
            let (kernels, ours) = (Family::V4.kernel_ip(), Family::V4.our_ip());
            let tun = TunConfig::new("large0").create().address(kernels, 24).mtu(MTU);
            let stack = Stack::builder()
                .device(TunDevice::open(tun).expect("a TUN interface"))
                .config(Config::default().time_wait(Duration::from_millis(1)))
                .address(format!("{ours}/24"))
                .build()
                .expect("a stack");
            for opener in Opener::ALL {
                let scene = Scene::around(stack.clone(), Family::V4);
                let (mut ours, mut kernels) = scene.pair(opener).await;
                assert_eq!(ours.info().expect("open").snd_mss, MTU - 52, "{opener:?}");
                let mss = Statistics::of(&Connection::of(&ours)).number("mss");
                assert!((32_000..=1 << 15).contains(&mss), "{opener:?}: the kernel's is {mss}");
                let payload = Payload::new(1, MUCH);
                let sending = send(&mut ours, payload.clone());
                let receiving = receive_exactly(&mut kernels, MUCH);
                let ((), arrived) = try_join(sending, receiving).await.expect("a transfer");
                assert_eq!(arrived, payload.sum(), "{opener:?}");
                let info = ours.info().expect("open");
                let average = info.bytes_sent / info.segs_out;
                assert!(average > 32_767, "{opener:?}: {average} bytes in a segment");
                exchange(ours, kernels).await;
            }
            stack.shutdown(Duration::from_secs(5)).await;
        },
    );
}
