//! Starting and ending.

use std::net::TcpStream;
use std::thread;

use larder::app::Larder;

use crate::proxy::{Proxy, Setup, assert_hit, wait_until};
use crate::support::*;

#[test]
fn an_address_in_use_is_called_so() {
    let origin = Origin::start();
    let first = Proxy::before(&origin);
    let second = Setup::before(origin.addr()).listen(first.client().addr()).config();
    let refused = Larder::start(second).err().expect("two on one address");
    assert!(refused.to_string().contains("in use"), "{refused}");
}

/// What the serving threads have in common must not show in what they do.
const RUNTIMES: [&str; 2] = ["runtime = \"per-thread\"", "runtime = \"shared\""];

#[test]
fn open_requests_end_in_order() {
    RUNTIMES.into_iter().for_each(an_open_request_ends_in_order);
}

fn an_open_request_ends_in_order(runtime: &str) {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(pieces("one,", [(&gate, "two")]).cache("no-store"));
    let proxy = Proxy::with(&origin).server(runtime).drain("5s").start();
    let (addr, admin) = (proxy.client().addr(), proxy.admin());
    let mut open = proxy.asks("/a").begin();
    open.wait_for_content("one,");
    let ending = thread::spawn(move || proxy.stop());
    assert!(wait_until(|| TcpStream::connect(addr).is_err()), "it goes on accepting");
    let ready = admin.asks("/readyz").host("localhost").send();
    assert_eq!(
        (ready.status, ready.text().trim()),
        (503, "not ready: draining"),
        "whoever routes to us is told"
    );
    assert_eq!(admin.asks("/healthz").host("localhost").send().status, 200);
    gate.open();
    assert_eq!(open.finish().text(), "one,two");
    ending.join().unwrap();
}

#[test]
fn an_end_waits_no_longer_than_it_may() {
    RUNTIMES.into_iter().for_each(the_end_cuts_what_hangs);
}

fn the_end_cuts_what_hangs(runtime: &str) {
    let origin = Origin::start();
    origin.on("/a").respond(ok("some").chunked().then_hangs());
    let proxy = Proxy::with(&origin).server(runtime).drain("100ms").start();
    let idle = proxy.connect();
    let mut open = proxy.asks("/a").begin();
    open.wait_for_content("some");
    proxy.stop();
    assert!(open.finish().end.is_err());
    assert!(idle.closes());
}

#[test]
fn servers_of_one_upstream_take_turns() {
    let origins = [Origin::start(), Origin::start(), Origin::start()];
    for origin in &origins {
        origin.otherwise(ok("x"));
    }
    let [first, second, third] = &origins;
    let others = [second, third].map(|origin| format!("http://{}", origin.addr()));
    let proxy = Setup::before(first.addr()).and(&others[0]).and(&others[1]).start();
    for number in 0..9 {
        assert_eq!(proxy.asks(&format!("/{number}")).send().status, 200);
    }
    assert_eq!(origins.each_ref().map(|origin| origin.requests().len()), [3, 3, 3]);
}

#[test]
fn threads_share_one_store_and_one_fetch() {
    RUNTIMES.into_iter().for_each(four_threads_fetch_once);
}

fn four_threads_fetch_once(runtime: &str) {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(pieces("one,", [(&gate, "two")]).cache("max-age=60"));
    let proxy = Proxy::with(&origin).threads(4).server(runtime).start();
    let mut waiters: Vec<Exchange> = (0..100).map(|_| proxy.asks("/a").begin()).collect();
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content("one,"));
    gate.open();
    for waiter in waiters {
        assert_eq!(waiter.finish().text(), "one,two");
    }
    proxy.wait_for_metric("larder_store_entries", 1.0);
    for _ in 0..20 {
        assert_hit(&proxy.asks("/a").send());
    }
    origin.was_asked("/a", 1);
}
