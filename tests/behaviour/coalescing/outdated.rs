//! What is under way and not good enough for who comes now.

use super::{begin, finish, texts};
use crate::proxy::{Proxy, assert_hit};
use crate::support::*;

#[test]
fn a_flight_that_was_invalidated_serves_only_those_who_came_before() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let (first, second) = (ok("before").cache("max-age=60"), ok("after").cache("max-age=60"));
    origin.on("GET /a").respond(first.held_by(&gate)).then(second);
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    let early = begin(&proxy, 2, &proxy.asks("/a"));
    assert_eq!(proxy.send(&proxy.ask("POST", "/a").content("x")).status, 204);
    let late = proxy.get("/a");
    assert_eq!(late.text(), "after", "it arrived after the write was answered");
    gate.open();
    assert_eq!(texts(&finish(early)), ["before"; 2]);
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "after", "the dead flight must not replace what is newer");
    origin.was_asked("/a", 3);
}

#[test]
fn an_answer_that_has_begun_is_not_joined_after_a_write() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let first = pieces("before,", [(&rest, "done")]).cache("max-age=60");
    origin.on("GET /a").respond(first).then(ok("after").cache("max-age=60"));
    origin.on("DELETE /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    let mut early = proxy.asks("/a").begin();
    early.wait_for_content("before,");
    proxy.send(&proxy.ask("DELETE", "/a"));
    assert_eq!(proxy.get("/a").text(), "after");
    rest.open();
    assert_eq!(early.finish().text(), "before,done");
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "after");
}

/// To read along is to reuse (RFC 9111 §4).
#[test]
fn an_answer_that_has_gone_stale_while_it_came_is_not_joined() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let first = pieces("before,", [(&rest, "done")]).cache("max-age=10");
    origin.on("/a").respond(first).then(ok("after").cache("max-age=10"));
    let proxy = Proxy::before(&origin);
    let mut early = proxy.asks("/a").begin();
    early.wait_for_content("before,");
    let mut joined = proxy.asks("/a").begin();
    joined.wait_for_content("before,");
    proxy.advance(11);
    assert_eq!(proxy.get("/a").text(), "after");
    rest.open();
    assert_eq!(early.finish().text(), "before,done");
    assert_eq!(joined.finish().text(), "before,done");
    origin.was_asked("/a", 2);
}

#[test]
fn who_wants_it_validated_joins_nothing_that_was_asked_for_before() {
    let origin = Origin::start();
    let (rest, held) = (Gate::closed(), Gate::closed());
    let first = pieces("before,", [(&rest, "done")]).cache("max-age=60");
    origin.on("/begun").respond(first).then(ok("after").cache("max-age=60"));
    origin.on("/asked").respond(ok("before").cache("max-age=60").held_by(&held)).then(ok("after"));
    let proxy = Proxy::with(&origin).route("client_cache_control = \"honor\"").start();
    let mut begun = proxy.asks("/begun").begin();
    begun.wait_for_content("before,");
    let asked = begin(&proxy, 1, &proxy.asks("/asked"));
    for target in ["/begun", "/asked"] {
        for directive in ["no-cache", "max-age=0"] {
            let reload = proxy.send(&proxy.asks(target).field("Cache-Control", directive));
            assert_eq!(reload.text(), "after", "{target} with {directive}");
        }
        origin.was_asked(target, 3);
    }
    rest.open();
    held.open();
    assert_eq!(begun.finish().text(), "before,done");
    assert_eq!(texts(&finish(asked)), ["before"]);
}
