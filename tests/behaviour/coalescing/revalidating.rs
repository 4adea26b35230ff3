//! Revalidations are shared like fetches.

use super::{begin, finish, texts};
use crate::proxy::Proxy;
use crate::support::*;

#[test]
fn revalidations_are_one_request_too() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let first = ok("hello").cache("max-age=10").field("ETag", "\"1\"");
    let same = unchanged().cache("max-age=10").field("ETag", "\"1\"");
    origin.on("/a").respond(first).then(same.held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let waiters = begin(&proxy, 5, &proxy.asks("/a"));
    let knowing = begin(&proxy, 2, &proxy.asks("/a").field("If-None-Match", "\"1\""));
    origin.was_asked("/a", 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["hello"; 5]);
    assert!(finish(knowing).iter().all(|answered| answered.status == 304));
    origin.was_asked("/a", 2);
}

#[test]
fn a_revalidated_variant_is_given_to_those_only_who_select_it() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/a").choose(move |seen| {
        let kind = seen.fields.one("X-Kind").unwrap_or_default();
        if seen.fields.has("X-Other") {
            return ok("other").cache("max-age=10").field("Vary", "X-Other");
        }
        let same = kind == "1" && seen.fields.has("If-None-Match");
        let answer = if same { unchanged().held_by(&held) } else { ok(kind.clone()) };
        answer.cache("max-age=10").field("Vary", "X-Kind").field("ETag", format!("\"{kind}\""))
    });
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.asks("/a").field("X-Kind", kind);
    proxy.send(&ask("1"));
    // From now on flights are told apart by another field, in which the following do not differ.
    proxy.send(&ask("3").field("X-Other", "yes"));
    proxy.advance(11);
    let ones = begin(&proxy, 2, &ask("1"));
    let twos = begin(&proxy, 2, &ask("2"));
    // All wait for the same.
    origin.was_asked("/a", 3);
    gate.open();
    assert_eq!(texts(&finish(ones)), ["1"; 2]);
    assert_eq!(texts(&finish(twos)), ["2"; 2]);
}

#[test]
fn a_revalidation_that_brings_something_new_streams_it_to_all() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let new = pieces("new,", [(&rest, "really")]).cache("max-age=10");
    origin.on("/a").respond(ok("old").cache("max-age=10").field("ETag", "\"1\"")).then(new);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let mut waiters = begin(&proxy, 3, &proxy.asks("/a"));
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content("new,"));
    rest.open();
    assert_eq!(texts(&finish(waiters)), ["new,really"; 3]);
    origin.was_asked("/a", 2);
}
