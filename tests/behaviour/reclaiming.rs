//! The memory of what was purged is free again without anybody asking for it.

use larder::validity::Subject;

use crate::proxy::{Proxy, assert_hit, wait_until};
use crate::support::*;

const SIZE: usize = 100_000;

/// A proxy that has stored `count` responses of [`SIZE`] bytes with a tag, and one without.
fn filled(count: usize) -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.otherwise(ok(vec![b'x'; SIZE]).cache("max-age=60").field("Cache-Tag", "t"));
    origin.on("/other").respond(ok("other").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/other");
    (0..count).for_each(|i| drop(proxy.get(&format!("/{i}"))));
    assert!(proxy.memory_used() > (count * SIZE) as u64);
    (origin, proxy)
}

#[track_caller]
fn wait_until_little_is_used(proxy: &Proxy) {
    let is_little = || proxy.memory_used() < SIZE as u64;
    assert!(wait_until(is_little), "{} bytes in use", proxy.memory_used());
}

#[test]
fn after_a_purge_the_memory_is_given_back() {
    // More than the walk looks at in one step.
    let (origin, proxy) = filled(150);
    proxy.purge(Subject::Tag("t"));
    wait_until_little_is_used(&proxy);
    proxy.wait_for_metric("larder_store_entries", 1.0);
    assert_hit(&proxy.get("/other"));
    // Nobody asked for it.
    origin.was_asked("/0", 1);
}

#[test]
fn after_an_unsafe_method_too() {
    let (origin, proxy) = filled(1);
    origin.on("DELETE /0").respond(nothing());
    proxy.send(&proxy.ask("DELETE", "/0"));
    wait_until_little_is_used(&proxy);
}

#[test]
fn a_purge_that_comes_while_the_dead_of_another_are_freed_is_not_forgotten() {
    let (_origin, proxy) = filled(20);
    for i in 0..20 {
        proxy.purge(Subject::Url(&format!("example.com/{i}")));
    }
    wait_until_little_is_used(&proxy);
}

#[test]
fn what_is_being_sent_is_sent_to_its_end() {
    let origin = Origin::start();
    // Sockets hold a third of that at most.
    let content = vec![b'x'; 15 << 20];
    origin.on("/a").respond(ok(&content).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    let mut reading = proxy.asks("/a").begin();
    // Its head is there, and most of the content is yet to come.
    assert_eq!(reading.status(), 200);
    proxy.purge(Subject::Everything);
    proxy.wait_for_metric("larder_store_entries", 0.0);
    assert!(proxy.memory_used() >= content.len() as u64 / 2, "what is yet to be sent counts");
    let answered = reading.finish();
    assert_eq!(answered.end, Ok(()));
    assert_eq!(answered.content.len(), content.len());
    wait_until_little_is_used(&proxy);
}

#[test]
fn a_soft_purge_frees_nothing() {
    let (_origin, proxy) = filled(3);
    proxy.soften(Subject::Tag("t"));
    // Once this one is gone, the walk that a soft purge caused is over, or has become one with the second.
    proxy.purge(Subject::Url("example.com/other"));
    proxy.wait_for_metric("larder_store_entries", 3.0);
    assert!(proxy.memory_used() > 3 * SIZE as u64);
}
