//! A connect that nobody listens for is refused at once; one that nobody answers times out.
#![cfg(target_os = "linux")]

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use support::scenario;
use towpath_integration::scene::Family;

/// A refusal is an answer: it takes a round trip, no time-out.
const AT_ONCE: Duration = Duration::from_millis(900);

/// An address on the interface's network that nobody has, and the kernel does not forward to.
const NOBODY: &str = "10.77.0.99:80";

fn both_are_refused(name: &'static str, family: Family) {
    scenario(name).family(family).play(async |scene| {
        // Of the listeners' ports it is known that they were free.
        let (listener, at) = scene.our_listener().await;
        drop(listener);
        let begun = Instant::now();
        let error = tokio::net::TcpStream::connect(at).await.expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "by us: {error}");
        let (listener, at) = scene.kernel_listener().await;
        drop(listener);
        let error = scene.stack.connect(at).await.expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "by the kernel: {error}");
        assert!(begun.elapsed() < AT_ONCE, "the refusals took {:?}", begun.elapsed());
    });
}

// Shows: RFC9293 s3.10.7.1b, RFC9293 s3.10.7.3c
#[test]
fn a_connect_to_a_closed_port_is_refused_on_both_sides() {
    both_are_refused("a_connect_to_a_closed_port_is_refused_on_both_sides", Family::V4);
}

#[test]
fn a_connect_to_a_closed_port_is_refused_over_ipv6() {
    both_are_refused("a_connect_to_a_closed_port_is_refused_over_ipv6", Family::V6);
}

// Shows: 9293 MUST-22
#[test]
fn an_unanswered_connect_times_out_after_its_retries() {
    let config = |config: towpath::Config| config.tcp_syn_linear_timeouts(0).tcp_syn_retries(1);
    scenario("an_unanswered_connect_times_out_after_its_retries").config(config).play(
        async |scene| {
            let begun = Instant::now();
            let error = scene.stack.connect(NOBODY).await.expect_err("nobody answers");
            let took = begun.elapsed();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            // One second for the SYN, two for its repetition (RFC 6298 sections 2.1 and 5.5).
            let expected = Duration::from_millis(2_990)..Duration::from_millis(3_900);
            assert!(expected.contains(&took), "it took {took:?}");
        },
    );
}
