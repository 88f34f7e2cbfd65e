//! Which stack `connect` and `bind` mean when none is named. The process's default has a program of
//! its own.

mod common;

use common::{Pair, pair};
use towpath::Stack;
use towpath::net::{TcpListener, TcpSocket, TcpStream};

/// The name of the stack that is the ambient one.
fn ambient() -> Option<String> {
    let stack = Stack::current().ok()?;
    Some(stack.addresses()[0].0.to_string())
}

fn is_server() -> bool {
    ambient().as_deref() == Some(common::SERVER)
}

fn is_client() -> bool {
    ambient().as_deref() == Some(common::CLIENT)
}

#[tokio::test(start_paused = true)]
async fn a_scope_holds_for_its_future_and_across_its_awaits() {
    let Pair { client, server } = pair();
    assert_eq!(ambient(), None);
    server
        .scope(async {
            assert!(is_server());
            tokio::task::yield_now().await;
            assert!(is_server());
            client.scope(async { assert!(is_client()) }).await;
            assert!(is_server(), "the inner scope is over");
        })
        .await;
    assert_eq!(ambient(), None);
}

#[tokio::test(start_paused = true)]
async fn scopes_of_tasks_that_take_turns_do_not_mix() {
    let Pair { client, server } = pair();
    let one = server.spawn(async {
        for _ in 0..100 {
            assert!(is_server());
            tokio::task::yield_now().await;
        }
    });
    let other = client.spawn(async {
        for _ in 0..100 {
            assert!(is_client());
            tokio::task::yield_now().await;
        }
    });
    one.await.unwrap();
    other.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_left_also_when_its_future_panics() {
    let Pair { client: _client, server } = pair();
    assert_eq!(ambient(), None);
    let panicking = tokio::spawn(server.scope(async { panic!("on purpose") }));
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(ambient(), None);
}

#[tokio::test(start_paused = true)]
async fn an_entered_stack_is_the_ambient_one_until_the_guard_is_dropped() {
    let Pair { client, server } = pair();
    assert_eq!(ambient(), None);
    {
        let _server = server.enter();
        assert!(is_server());
        {
            let _client = client.enter();
            assert!(is_client());
        }
        assert!(is_server());
    }
    assert_eq!(ambient(), None);
}

#[tokio::test(start_paused = true)]
async fn the_stack_is_looked_up_at_the_call_and_not_at_the_first_poll() {
    let Pair { client, server } = pair();
    let entered = server.enter();
    let bind = TcpListener::bind("10.0.0.1:80");
    drop(entered);
    let listener = bind.await.unwrap();

    let entered = client.enter();
    let connect = TcpStream::connect("10.0.0.1:80");
    let socket = TcpSocket::new_v4().unwrap().connect("10.0.0.1:80".parse().unwrap());
    drop(entered);
    for stream in [connect.await.unwrap(), socket.await.unwrap()] {
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), common::CLIENT);
        listener.accept().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_inherits_the_scope_only_through_the_stack() {
    let Pair { client: _client, server } = pair();
    let (with_tokio, with_stack) = server
        .scope(async {
            let stack = Stack::current().unwrap();
            (tokio::spawn(async { is_server() }), stack.spawn(async { is_server() }))
        })
        .await;
    assert!(!with_tokio.await.unwrap());
    assert!(with_stack.await.unwrap());
}

// Shows: RFC9293 A.2
#[tokio::test(start_paused = true)]
async fn a_stack_reaches_itself_at_its_own_address_and_at_the_loopback() {
    let Pair { client: _client, server } = pair();
    for address in ["127.0.0.1:7", "[::1]:7", "10.0.0.1:8", "[fd00::1]:8"] {
        let listener = server.listen(address).await.unwrap();
        let (client, accepted) = tokio::join!(server.connect(address), listener.accept());
        let (mut client, (mut accepted, _)) = (client.unwrap(), accepted.unwrap());
        let data = common::payload(300_000, 6);
        let expected = common::digest_of(&data);
        let write = async {
            tokio::io::AsyncWriteExt::write_all(&mut client, &data).await.unwrap();
            drop(client);
        };
        let (read, ()) = tokio::join!(common::digest(&mut accepted), write);
        assert_eq!(read.unwrap(), expected, "{address}");
    }
    let device = server.counters().device;
    assert_eq!(device.tx_packets, 0, "nothing of it leaves by the device");
}
