//! Numbers that a user sets, at their extremes: whatever is accepted, nothing overflows, panics or
//! hangs. Each run is a conversation over a path that loses, a stranger that never answers, and a
//! long silence, with overflow checks on.

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration as RealTime;

use proptest::prelude::*;
use towpath_engine::{Config, CongestionControl, FinWait2, ListenRequest, SocketOptions};
use towpath_lab::flow::Behaviour;
use towpath_lab::world::{Place, World};
use towpath_netem::LinkConfig;

/// Whole numbers at the edges of what the settings' types hold, and of what is in use.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    31,
    32,
    127,
    255,
    65_535,
    65_536,
    i32::MAX as u64,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    i64::MAX as u64,
    u64::MAX,
];

/// Linux's numbers for socket options are signed.
const SIGNED: [i32; 11] = [i32::MIN, -1, 0, 1, 2, 88, 127, 255, 32_767, i32::MAX - 1, i32::MAX];

const OPTIONS: [&str; 21] = [
    "TCP_NODELAY",
    "TCP_CORK",
    "TCP_QUICKACK",
    "SO_KEEPALIVE",
    "TCP_KEEPIDLE",
    "TCP_KEEPINTVL",
    "TCP_KEEPCNT",
    "TCP_SYNCNT",
    "TCP_USER_TIMEOUT",
    "TCP_NOTSENT_LOWAT",
    "TCP_MAXSEG",
    "TCP_WINDOW_CLAMP",
    "TCP_LINGER2",
    "TCP_DEFER_ACCEPT",
    "SO_RCVBUF",
    "SO_SNDBUF",
    "SO_RCVLOWAT",
    "IP_TOS",
    "IPV6_TCLASS",
    "IP_TTL",
    "IPV6_UNICAST_HOPS",
];

/// Plays a conversation, and then lets much time pass. What becomes of it is not judged: with a limit
/// of one, much is refused.
fn live(config: &Config, options: SocketOptions) {
    let mut world = World::new(7);
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|text| text.parse().unwrap());
    let [client, server, silent] = addresses.map(|address| {
        let config = if address == addresses[2] { Config::default() } else { config.clone() };
        world.add_host(config, address, 24)
    });
    let link: LinkConfig = "delay=20ms rate=20Mbit loss={random=3%}".parse().unwrap();
    let dead: LinkConfig = "delay=20ms loss={random=100%}".parse().unwrap();
    world.join(Place::Host(client), Place::Host(server), link.clone(), link);
    world.join(Place::Host(client), Place::Host(silent), dead.clone(), dead);
    let service = SocketAddr::new(addresses[1], 80);
    let request = ListenRequest::new(service).options(options);
    world.listen(server, request, || Behaviour::exchange(40_000, 60_000));
    let behaviour = Behaviour::exchange(60_000, 40_000);
    for remote in [service, SocketAddr::new(addresses[2], 80)] {
        let _ = world.try_connect_with(client, remote, options, &behaviour);
    }
    world.run(Duration::from_secs(4000));
}

/// Runs `play` on a thread of its own and gives it a minute of real time.
fn in_time(what: &str, play: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        play();
        let _ = done.send(());
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(RealTime::from_secs(60)) {
        panic!("{what} hangs");
    }
    if thread.join().is_err() {
        panic!("{what} panics");
    }
}

/// The texts to try for a setting: as many extremes as its present value has numbers.
fn texts(value: &str) -> Vec<String> {
    let count = value.split_whitespace().count().max(1);
    let mut texts: Vec<String> =
        NUMBERS.iter().map(|number| vec![number.to_string(); count].join(" ")).collect();
    if count > 1 {
        texts.push(format!("1 {}", vec![(1 << 30).to_string(); count - 1].join(" ")));
        texts.push(vec!["2305".to_owned(); count].join(" "));
    }
    texts
}

#[test]
fn every_setting_at_its_extremes_lets_a_stack_live() {
    let mut tried = 0;
    for setting in Config::default().iter() {
        for text in texts(&setting.value) {
            let mut config = Config::default();
            if config.set_by_name(setting.name, &text).is_err() || config.validate().is_err() {
                continue;
            }
            tried += 1;
            in_time(&format!("{} = {text}", setting.name), move || {
                live(&config, SocketOptions::default());
            });
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn every_socket_option_at_its_extremes_lets_a_connection_live() {
    let mut tried = 0;
    for name in OPTIONS {
        for value in SIGNED {
            let mut options = SocketOptions::default();
            options.keepalive = true;
            if options.set_by_name(name, value).is_err() {
                continue;
            }
            assert!(options.get_by_name(&Config::default(), name).is_some(), "{name}");
            tried += 1;
            in_time(&format!("{name} = {value}"), move || live(&Config::default(), options));
        }
    }
    assert!(tried > 80, "{tried}");
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::from_millis(1)),
        Just(Duration::from_secs(1 << 33)),
        Just(Duration::from_nanos(u64::MAX)),
        Just(Duration::MAX),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop::sample::select(NUMBERS.to_vec())
}

prop_compose! {
    /// The fields themselves, which have no range but their types'.
    fn fields()(
        switches in any::<[bool; 4]>(),
        numbers in prop::array::uniform8(prop::option::of(number())),
        times in prop::array::uniform6(prop::option::of(duration())),
        congestion in prop::sample::select(CongestionControl::ALL.to_vec()),
        bytes in any::<(u8, Option<u8>)>(),
    ) -> SocketOptions {
        let [nodelay, cork, quickack, keepalive] = switches;
        let [syn, segment, clamp, receive, low, send, rate, unsent] = numbers;
        let [linger, idle, interval, user, deferred, fin_wait_2] = times;
        let narrow = |number: u64| number.min(u64::from(u32::MAX)) as u32;
        let wide = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut options = SocketOptions::default();
        options.nodelay = nodelay;
        options.cork = cork;
        options.quickack = quickack;
        options.keepalive = keepalive;
        options.linger = linger;
        options.keepalive_time = idle;
        options.keepalive_interval = interval;
        options.keepalive_probes = syn.map(narrow);
        options.user_timeout = user;
        options.notsent_lowat = unsent.map(narrow);
        options.syn_retries = syn.map(narrow);
        options.max_segment = segment.map(|number| number.min(65_535) as u16);
        options.window_clamp = clamp.map(narrow);
        options.fin_wait_2 = fin_wait_2.map_or(FinWait2::Default, FinWait2::For);
        options.defer_accept = deferred;
        options.receive_buffer = receive.map(wide);
        options.rcvlowat = low.map_or(1, wide);
        options.send_buffer = send.map(wide);
        options.tos = bytes.0;
        options.ttl = bytes.1;
        options.max_pacing_rate = rate;
        options.congestion = Some(congestion);
        options
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn fields_of_any_value_let_a_connection_live(options in fields()) {
        for name in OPTIONS {
            prop_assert!(options.get_by_name(&Config::default(), name).is_some());
        }
        in_time(&format!("{options:?}"), move || live(&Config::default(), options));
    }
}
