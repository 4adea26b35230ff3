//! What fails, fails once for all who wait.

use super::{begin, finish, texts};
use crate::proxy::{Proxy, assert_problem};
use crate::support::*;

#[test]
fn a_failing_origin_is_not_hit_by_the_whole_queue() {
    let origin = Origin::start();
    let (first, others) = (Gate::closed(), Gate::closed());
    origin.on("/a").respond(problem(503).held_by(&first)).then(problem(503).held_by(&others));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 40, &proxy.asks("/a"));
    origin.was_asked("/a", 1);
    first.open();
    origin.wait_for(2);
    proxy.settle();
    let at_once = origin.count("/a") - 1;
    assert!(at_once < 39, "{at_once} of 39 waiters went to the failing origin at the same time");
    others.open();
    for answered in finish(waiters) {
        assert_eq!(answered.status, 503);
    }
}

#[test]
fn a_failed_transport_is_one_verdict_for_all() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("").held_by(&gate).but_only(Act::Reset));
    let proxy = Proxy::before(&origin);
    // A pooled connection would be tried again on another: let there be none.
    let waiters: Vec<Exchange> = (0..8).map(|_| proxy.asks("/a").begin()).collect();
    origin.wait_for(1);
    proxy.settle();
    gate.open();
    let reasons: Vec<String> = finish(waiters).iter().map(|answered| assert_problem(answered, 502)).collect();
    assert!(reasons.iter().all(|reason| *reason == reasons[0]), "{reasons:?}");
    origin.was_asked("/a", 1);
}

#[test]
fn a_timeout_is_one_verdict_for_all() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("").but_only(Act::AwaitHangUp));
    let proxy = Proxy::with(&origin).upstream("first_byte_timeout = \"200ms\"").start();
    let waiters: Vec<Exchange> = (0..8).map(|_| proxy.asks("/a").begin()).collect();
    for answered in finish(waiters) {
        assert_problem(&answered, 504);
    }
    origin.was_asked("/a", 1);
}

#[test]
fn waiters_for_a_stale_response_share_the_grant() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let old = ok("old").cache("max-age=10, stale-if-error=60").field("ETag", "\"1\"");
    origin.on("/a").respond(old).then(problem(503).held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    let waiters = begin(&proxy, 5, &proxy.asks("/a"));
    origin.was_asked("/a", 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["old"; 5]);
    origin.was_asked("/a", 2);
}
