//! The process's default stack. One test, because it is one for all tests of a program.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::{CLIENT, Pair, SERVER, pair};
use towpath::Stack;
use towpath::net::{TcpListener, TcpStream};

fn is_ambient(address: &str) -> bool {
    Stack::current().unwrap().addresses()[0].0.to_string() == address
}

#[tokio::test]
async fn the_default_is_for_all_threads_and_one_a_process_and_never_the_kernel() {
    for error in [
        TcpStream::connect("127.0.0.1:1").await.map(drop),
        TcpListener::bind("127.0.0.1:0").await.map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        for way in ["scope", "enter", "set_default"] {
            assert!(error.to_string().contains(way), "{error}");
        }
    }
    let Pair { client, server } = pair();
    server.set_default().unwrap();
    assert!(client.set_default().is_err());
    // Another thread, another runtime: the other tests may run inside theirs.
    let on_another = std::thread::spawn(|| is_ambient(SERVER)).join().unwrap();
    assert!(on_another);
    client.scope(async { assert!(is_ambient(CLIENT)) }).await;
    server.shutdown(Duration::ZERO).await;
    // One that has ended makes room.
    client.set_default().unwrap();
    assert!(is_ambient(CLIENT));
    client.shutdown(Duration::ZERO).await;
}
