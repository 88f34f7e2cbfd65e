//! TUN interfaces for real: each test runs in a network namespace of its own.

mod namespace;

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use self::namespace::{
    NETWORK_AS_NOBODY, USER_AND_NETWORK, USER_AND_NETWORK_AS_NOBODY, in_namespace, in_namespace_as,
};
use super::{TunConfig, TunDevice, TunError, TunOrigin};
use crate::{Device, Rx, RxBatch, Tx, TxBatch, TxPacket};

const PATIENCE: Duration = Duration::from_secs(10);
const KERNEL_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OURS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const KERNEL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const OURS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn exists(name: &str) -> bool {
    Command::new("ip").args(["link", "show", "dev", name]).output().unwrap().status.success()
}

fn link_line(name: &str) -> String {
    let output = Command::new("ip").args(["addr", "show", "dev", name]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn created(name: &str) -> TunConfig {
    TunConfig::new(name).address(KERNEL_V4.into(), 24).address(KERNEL_V6.into(), 64)
}

type Halves = (Box<dyn Rx>, Box<dyn Tx>);

fn halves(device: TunDevice) -> Halves {
    Box::new(device).split().unwrap()
}

/// The next UDP packet; the kernel also sends router solicitations and the like.
async fn next_udp(rx: &mut dyn Rx) -> io::Result<Bytes> {
    let mut batch = RxBatch::new(1);
    loop {
        timeout(PATIENCE, poll_fn(|cx| rx.poll_recv(cx, &mut batch)))
            .await
            .expect("a packet or an error arrives in time")?;
        for packet in batch.drain() {
            let data = packet.data;
            if matches!((data[0] >> 4, data[9], data[6]), (4, 17, _) | (6, _, 17)) {
                return Ok(data);
            }
        }
    }
}

async fn send(tx: &dyn Tx, packet: Bytes) -> io::Result<usize> {
    let mut batch: TxBatch = [TxPacket::from_bytes(packet)].into_iter().collect();
    poll_fn(|cx| tx.poll_send_ready(cx)).await?;
    tx.try_send(&mut batch)
}

/// The packet sent back where it came from: addresses and ports change places, so that every
/// checksum stays right.
fn answer(packet: &[u8]) -> Bytes {
    let mut answer = packet.to_vec();
    let (addresses, length, ports) = if packet[0] >> 4 == 4 { (12, 4, 20) } else { (8, 16, 40) };
    for at in 0..length {
        answer.swap(addresses + at, addresses + length + at);
    }
    answer.swap(ports, ports + 2);
    answer.swap(ports + 1, ports + 3);
    Bytes::from(answer)
}

/// The Internet checksum over a UDP packet and its pseudo-header (RFC 768); 0 when it is right.
fn udp_checksum(packet: &[u8]) -> u16 {
    let (addresses, udp) = if packet[0] >> 4 == 4 { (12..20, 20) } else { (8..40, 40) };
    let words = |bytes: &[u8]| -> u32 {
        bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum()
    };
    let mut sum =
        words(&packet[addresses]) + words(&packet[udp..]) + 17 + (packet.len() - udp) as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !sum as u16
}

/// Sends from the kernel's stack through the device and back into the kernel's stack.
async fn exchange(rx: &mut dyn Rx, tx: &dyn Tx, kernel: IpAddr, ours: IpAddr, payload: &[u8]) {
    let socket = UdpSocket::bind(SocketAddr::new(kernel, 0)).await.unwrap();
    socket.send_to(payload, SocketAddr::new(ours, 7)).await.unwrap();
    let packet = next_udp(rx).await.unwrap();
    assert!(packet.ends_with(payload));
    assert_eq!(udp_checksum(&packet), 0, "the checksum is whole");
    assert_eq!(send(tx, answer(&packet)).await.unwrap(), 1);
    let mut received = vec![0; 70_000];
    let (length, from) = timeout(PATIENCE, socket.recv_from(&mut received)).await.unwrap().unwrap();
    assert_eq!((&received[..length], from), (payload, SocketAddr::new(ours, 7)));
}

#[test]
fn the_kernel_reaches_us_and_we_reach_the_kernel_over_ipv4_and_ipv6() {
    in_namespace("the_kernel_reaches_us_and_we_reach_the_kernel_over_ipv4_and_ipv6", async || {
        created_and_used(created("tow0"), 1500).await
    });
}

#[test]
fn the_root_of_a_user_namespace_creates_and_uses_an_interface() {
    in_namespace_as(
        USER_AND_NETWORK,
        "the_root_of_a_user_namespace_creates_and_uses_an_interface",
        async || created_and_used(created("tow0").mtu(1400), 1400).await,
    );
}

#[test]
fn any_user_creates_and_uses_an_interface_in_a_user_namespace_of_their_own() {
    in_namespace_as(
        USER_AND_NETWORK_AS_NOBODY,
        "any_user_creates_and_uses_an_interface_in_a_user_namespace_of_their_own",
        async || created_and_used(created("tow0").mtu(1400), 1400).await,
    );
}

async fn created_and_used(config: TunConfig, mtu: usize) {
    let device = TunDevice::open(config).unwrap();
    assert_eq!((device.origin(), device.name()), (TunOrigin::Created, "tow0"));
    assert_eq!(device.capabilities().mtu, mtu);
    assert_eq!(device.warnings(), Vec::<String>::new());
    let line = link_line("tow0");
    for part in [&format!("mtu {mtu} "), "qlen 10000", "UP", "192.0.2.1/24", "2001:db8::1/64"] {
        assert!(line.contains(part), "{part} in {line}");
    }

    let (mut rx, tx) = halves(device);
    for length in [0, 1, 100, 1300] {
        let payload = vec![length as u8; length];
        exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), &payload).await;
        exchange(&mut *rx, &*tx, KERNEL_V6.into(), OURS_V6.into(), &payload).await;
    }
    let statistics = tx.statistics();
    assert_eq!((statistics.tx_packets, statistics.tx_dropped), (8, 0));
    assert!(statistics.rx_packets >= 8 && statistics.rx_errors == 0, "{statistics:?}");

    drop(rx);
    assert!(exists("tow0"), "one half keeps the interface");
    drop(tx);
    assert!(!exists("tow0"), "a created interface vanishes with its last half");
}

#[test]
fn an_ipv6_address_is_usable_as_soon_as_the_device_is_open() {
    in_namespace("an_ipv6_address_is_usable_as_soon_as_the_device_is_open", async || {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        for round in 0..20 {
            let config = created("tow0").address(link_local.into(), 64);
            let config = if round % 2 == 0 { config } else { config.down() };
            let device = TunDevice::open(config).unwrap();
            std::net::UdpSocket::bind((KERNEL_V6, 0)).unwrap();
            assert_eq!(device.warnings(), Vec::<String>::new());
        }
    });
}

#[test]
fn the_largest_packet_passes_whole() {
    in_namespace("the_largest_packet_passes_whole", async || {
        let device = TunDevice::open(created("tow0").mtu(65_535)).unwrap();
        assert_eq!(device.capabilities().mtu, 65_535);
        let (mut rx, tx) = halves(device);
        let payload: Vec<u8> = (0..65_535 - 28).map(|at| (at % 251) as u8).collect();
        for length in [payload.len(), 40_000, 30_000, 10_000] {
            let payload = &payload[..length];
            exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), payload).await;
        }
    });
}

#[test]
fn a_batch_takes_what_is_there_and_leaves_what_it_has_no_room_for() {
    in_namespace("a_batch_takes_what_is_there_and_leaves_what_it_has_no_room_for", async || {
        let (mut rx, _tx) = halves(TunDevice::open(created("tow0")).unwrap());
        let socket = UdpSocket::bind(SocketAddr::new(KERNEL_V4.into(), 0)).await.unwrap();
        for n in 0..100_u8 {
            socket.send_to(&[n], SocketAddr::new(OURS_V4.into(), 7)).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut largest = 0;
        while seen.len() < 100 {
            let mut batch = RxBatch::new(32);
            timeout(PATIENCE, poll_fn(|cx| rx.poll_recv(cx, &mut batch))).await.unwrap().unwrap();
            largest = largest.max(batch.len());
            let udp = batch.drain().filter(|packet| packet.data[0] == 0x45);
            seen.extend(udp.map(|packet| *packet.data.last().unwrap()));
        }
        assert_eq!(seen, (0..100).collect::<Vec<u8>>());
        assert_eq!(largest, 32, "packets that wait come together");
        let idle = timeout(Duration::from_millis(50), next_udp(&mut *rx)).await;
        assert!(idle.is_err(), "an idle device is pending: {idle:?}");
    });
}

#[test]
fn a_removed_interface_ends_both_halves_with_an_error() {
    in_namespace("a_removed_interface_ends_both_halves_with_an_error", async || {
        let (mut rx, tx) = halves(TunDevice::open(created("tow0").down()).unwrap());
        let waiting = tokio::spawn(async move {
            let outcome = next_udp(&mut *rx).await;
            (rx, outcome)
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        ip("link del tow0");
        let (mut rx, outcome) = timeout(PATIENCE, waiting).await.unwrap().unwrap();
        assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::EBADFD));
        assert!(next_udp(&mut *rx).await.is_err(), "the error stays");
        let mut batch: TxBatch =
            [TxPacket::from_bytes(Bytes::from_static(&[0x45; 20]))].into_iter().collect();
        let error = tx.try_send(&mut batch).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADFD));
        assert_eq!(batch.len(), 1);
    });
}

#[test]
fn packets_for_an_interface_that_is_down_are_dropped_and_counted() {
    in_namespace("packets_for_an_interface_that_is_down_are_dropped_and_counted", async || {
        let (mut rx, tx) = halves(TunDevice::open(created("tow0")).unwrap());
        exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), b"up").await;
        ip("link set dev tow0 down");
        assert_eq!(send(&*tx, Bytes::from_static(&[0x45; 40])).await.unwrap(), 1);
        assert_eq!(tx.statistics().tx_dropped, 1);
        ip("link set dev tow0 up");
        exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), b"up again").await;
        // What is no IP packet is refused for itself; the ones around it pass.
        let mut batch: TxBatch = [&[0x45; 40][..], &[0xff; 40], &[], &[0x45; 40]]
            .into_iter()
            .map(|bytes| TxPacket::from_bytes(Bytes::from_static(bytes)))
            .collect();
        assert_eq!(tx.try_send(&mut batch).unwrap(), 4);
        assert_eq!(tx.statistics().tx_dropped, 3);
    });
}

#[test]
fn an_existing_interface_of_one_queue_is_used_and_left_as_it_was() {
    in_namespace("an_existing_interface_of_one_queue_is_used_and_left_as_it_was", async || {
        uses_and_leaves("tuntap add dev tow0 mode tun").await;
    });
}

#[test]
fn an_existing_interface_of_many_queues_is_used_and_left_as_it_was() {
    in_namespace("an_existing_interface_of_many_queues_is_used_and_left_as_it_was", async || {
        uses_and_leaves("tuntap add dev tow0 mode tun multi_queue").await;
    });
}

#[test]
fn what_the_kernel_sends_as_soon_as_we_are_attached_arrives() {
    in_namespace("what_the_kernel_sends_as_soon_as_we_are_attached_arrives", async || {
        ip("tuntap add dev tow0 mode tun");
        ip("addr add 192.0.2.1/24 dev tow0");
        ip("link set dev tow0 up");
        for round in 0..100_u8 {
            let device = TunDevice::open(TunConfig::new("tow0")).unwrap();
            let (mut rx, tx) = halves(device);
            exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), &[round]).await;
        }
    });
}

async fn uses_and_leaves(make: &str) {
    ip(make);
    ip("link set dev tow0 mtu 1400 txqueuelen 1234");
    ip("addr add 192.0.2.1/24 dev tow0");
    ip("link set dev tow0 up");
    let settings = || {
        let line = link_line("tow0");
        ["mtu 1400", "qlen 1234", "192.0.2.1/24", "2001:db8::1"].map(|word| line.contains(word))
    };
    let before = settings();
    assert_eq!(before, [true, true, true, false]);
    let descriptors = open_descriptors();

    for round in 0..3 {
        let device = TunDevice::open(created("tow0").mtu(9000)).unwrap();
        assert_eq!((device.origin(), device.capabilities().mtu), (TunOrigin::Attached, 1400));
        assert_eq!(device.warnings().len(), 1, "{:?}", device.warnings());
        let (mut rx, tx) = halves(device);
        // Many flows: the kernel spreads them over the queues that there are.
        for flow in 0..20 {
            let payload = [round, flow];
            exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), &payload).await;
        }
    }
    assert!(exists("tow0"));
    assert_eq!(settings(), before);
    assert_eq!(open_descriptors(), descriptors);
}

#[test]
fn a_foreign_interface_that_will_lose_packets_is_warned_of() {
    in_namespace("a_foreign_interface_that_will_lose_packets_is_warned_of", async || {
        ip("tuntap add dev tow0 mode tun");
        ip("link set dev tow0 txqueuelen 500");
        let device = TunDevice::open(TunConfig::new("tow0")).unwrap();
        let warnings = device.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("ip link set dev tow0 up"), "{warnings:?}");
        assert!(warnings[1].contains("queues only 500 packets"), "{warnings:?}");
        drop(device);

        ip("link set dev tow0 txqueuelen 1000 up");
        let device = TunDevice::open(TunConfig::new("tow0")).unwrap();
        assert_eq!(device.warnings(), Vec::<String>::new());
    });
}

#[test]
fn where_the_queue_cannot_be_set_the_interface_is_used_with_a_warning() {
    in_namespace(
        "where_the_queue_cannot_be_set_the_interface_is_used_with_a_warning",
        async || {
            crate::sys::refuse_netlink().unwrap();
            let device = TunDevice::open(created("tow0")).unwrap();
            assert_eq!(
                device.warnings(),
                [
                    "setting the transmit queue of tow0 to 10000 packets: Address family not supported by \
              protocol (EAFNOSUPPORT): until then bursts may be lost: \
              ip link set dev tow0 txqueuelen 10000"
                ]
            );
            let (mut rx, tx) = halves(device);
            exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), b"v4").await;
            exchange(&mut *rx, &*tx, KERNEL_V6.into(), OURS_V6.into(), b"v6").await;
        },
    );
}

// Shows: I-34
#[test]
fn offloads_that_another_program_left_on_are_turned_off() {
    in_namespace("offloads_that_another_program_left_on_are_turned_off", async || {
        ip("tuntap add dev tow0 mode tun");
        ip("addr add 192.0.2.1/24 dev tow0");
        ip("link set dev tow0 up");
        crate::sys::leave_offloads_on("tow0").unwrap();
        let (mut rx, tx) = halves(TunDevice::open(TunConfig::new("tow0")).unwrap());
        exchange(&mut *rx, &*tx, KERNEL_V4.into(), OURS_V4.into(), b"whole checksum?").await;
    });
}

#[test]
fn a_failure_names_its_remedy_and_leaves_nothing_behind() {
    in_namespace("a_failure_names_its_remedy_and_leaves_nothing_behind", async || {
        ip("tuntap add dev tap0 mode tap");
        ip("tuntap add dev tow1 mode tun");
        let _holder = TunDevice::open(TunConfig::new("tow1")).unwrap();
        // An interface that is born without IPv6 refuses an IPv6 address, the last step but one.
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        let descriptors = open_descriptors();
        for (config, says) in [
            (TunConfig::new("tap0"), "tap0 exists and is no TUN interface"),
            (TunConfig::new("lo"), "lo exists and is no TUN interface"),
            (TunConfig::new("tow1"), "(EBUSY): another program has tow1 open"),
            (TunConfig::new("tow1").create(), "(EEXIST): remove it first"),
            (TunConfig::new("tow2").attach(), "(ENODEV): make it first: ip tuntap add dev tow2"),
            (created("tow2"), "giving tow2 the address 2001:db8::1/64: "),
            (created("tow2"), "IPv6 is off here"),
        ] {
            for _ in 0..3 {
                let error = TunDevice::open(config.clone()).expect_err(says).to_string();
                assert!(error.contains(says) && !error.contains('\n'), "{error}");
                assert_eq!(open_descriptors(), descriptors, "{error}");
                assert!(!exists("tow2"), "{error}");
            }
        }
    });
}

#[test]
fn a_user_without_privilege_is_told_what_to_do() {
    let name = "a_user_without_privilege_is_told_what_to_do";
    in_namespace_as(NETWORK_AS_NOBODY, name, async || {
        let descriptors = open_descriptors();
        let error = TunDevice::open(TunConfig::new("tow0")).unwrap_err();
        let TunError::Step { error: reason, .. } = &error else { panic!("{error:?}") };
        assert_eq!(reason.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("run as root"), "{error}");
        assert_eq!(open_descriptors(), descriptors);
    });
}

#[test]
fn without_a_runtime_the_error_says_so() {
    let error = TunDevice::open(TunConfig::new("tow0")).unwrap_err();
    assert!(matches!(error, TunError::NoRuntime), "{error}");
}
