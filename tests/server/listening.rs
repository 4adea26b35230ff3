//! Sockets: one per thread, none shared with strangers.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream};

use larder::server::{BindError, Listeners};

const ANY_PORT: &str = "127.0.0.1:0";

#[test]
fn threads_share_the_port_that_the_system_chose() {
    let addrs = [ANY_PORT.parse().unwrap(), ANY_PORT.parse().unwrap()];
    let listeners = Listeners::bind(&addrs, 3).unwrap();
    let bound: HashSet<SocketAddr> = listeners.local_addrs().iter().copied().collect();
    assert_eq!(bound.len(), 2, "two addresses, two ports");
    for addr in &bound {
        TcpStream::connect(addr).unwrap();
    }
    let threads = listeners.into_threads();
    assert_eq!(threads.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn a_port_that_somebody_has_is_refused_by_name_even_if_they_would_share_it() {
    let stranger = TcpListener::bind(ANY_PORT).unwrap();
    let addr = stranger.local_addr().unwrap();
    let error = Listeners::bind(&[addr], 2).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    assert_eq!(error.to_string(), format!("{addr} is already in use"));

    for threads in [1, 2] {
        let ours = Listeners::bind(&[ANY_PORT.parse().unwrap()], threads).unwrap();
        for second in [1, 2] {
            let again = Listeners::bind(ours.local_addrs(), second);
            assert!(matches!(again, Err(BindError::InUse(_))), "{threads} threads, then {second}");
        }
    }
}

#[test]
fn a_port_can_be_taken_again_at_once() {
    let first = Listeners::bind(&[ANY_PORT.parse().unwrap()], 2).unwrap();
    let addr = first.local_addrs()[0];
    let client = TcpStream::connect(addr).unwrap();
    drop(first);
    Listeners::bind(&[addr], 2).unwrap();
    drop(client);
}

#[test]
fn other_failures_name_the_address_too() {
    let elsewhere = "192.0.2.1:80".parse().unwrap();
    let error = Listeners::bind(&[elsewhere], 1).unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on 192.0.2.1:80: "), "{error}");
}
