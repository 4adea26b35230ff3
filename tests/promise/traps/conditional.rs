//! A purge between a question to the origin and its answer: 304s and stale grants.

use super::{TAG, URL, begin, tagged, texts};
use crate::proxy::{Proxy, assert_forwarded, assert_hit, ours};
use crate::purging::{purge, soften};
use crate::support::*;

/// A proxy that has stored `first` for `/a` and validates it, after which the origin holds back a 304, and then
/// answers `second`. The validating request waits for the 304.
fn validating(origin: &Origin, answer: &Gate) -> (Proxy, Exchange) {
    let same = unchanged().cache("max-age=60").field("ETag", "\"first\"").held_by(answer);
    origin.on("/a").respond(tagged("first")).then(same).then(tagged("second"));
    let proxy = Proxy::before(origin);
    proxy.get("/a");
    proxy.advance(61);
    let early = proxy.asks("/a").begin();
    let asked = origin.wait_for(2);
    assert!(asked[1].fields.has("If-None-Match"), "{:?}", asked[1]);
    (proxy, early)
}

#[test]
fn a_304_does_not_revive_what_was_purged_meanwhile() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let (proxy, early) = validating(&origin, &answer);
    purge(&proxy, TAG);
    answer.open();
    assert_eq!(early.finish().text(), "second", "the 304 speaks of what is dead");
    assert!(!origin.last().fields.has("If-None-Match"), "{:?}", origin.last());
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "second");
}

#[test]
fn whoever_asks_after_a_purge_does_not_wait_for_a_304_from_before() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let (proxy, early) = validating(&origin, &answer);
    purge(&proxy, URL);
    assert_eq!(proxy.get("/a").text(), "second", "the 304 is still held back");
    answer.open();
    let early = early.finish().text();
    assert!(["first", "second"].contains(&early.as_str()), "it came before the purge: {early}");
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "second");
}

#[test]
fn a_304_does_not_clear_a_soft_purge_that_came_meanwhile() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let (proxy, early) = validating(&origin, &answer);
    soften(&proxy, TAG);
    answer.open();
    assert_eq!(early.finish().text(), "first", "it asked before the purge");
    proxy.settle();
    let after = proxy.get("/a");
    assert_eq!(after.text(), "second");
    assert_forwarded(&after, "stale");
    assert!(origin.last().fields.has("If-None-Match"), "stale, not dead: {:?}", origin.last());
}

#[test]
fn a_304_that_was_asked_for_after_a_soft_purge_makes_fresh_again() {
    let origin = Origin::start();
    let same = unchanged().cache("max-age=60").field("ETag", "\"first\"");
    origin.on("/a").respond(tagged("first")).then(same);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    soften(&proxy, TAG);
    let validated = proxy.get("/a");
    assert_eq!(assert_forwarded(&validated, "stale").forward_status, Some(304));
    assert_eq!(validated.text(), "first");
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 2);
}

#[test]
fn a_soft_purge_leaves_stale_grants_and_a_hard_one_does_not() {
    for (soft, error) in [(true, false), (true, true), (false, false), (false, true)] {
        let origin = Origin::start();
        let grants = "max-age=60, stale-while-revalidate=60, stale-if-error=60";
        let grants = if error { "max-age=60, stale-if-error=60" } else { grants };
        let first = ok("first").cache(grants).field("Cache-Tag", "t");
        let next = if error { problem(503) } else { ok("second").cache(grants) };
        origin.on("/a").respond(first).then(next);
        let proxy = Proxy::before(&origin);
        proxy.get("/a");
        if soft {
            soften(&proxy, TAG)
        } else {
            purge(&proxy, TAG)
        };
        let after = proxy.get("/a");
        match (soft, error) {
            (true, _) => assert_eq!(after.text(), "first", "{after:?}"),
            (false, true) => assert_eq!(after.status, 503),
            (false, false) => assert_eq!(after.text(), "second"),
        }
        if soft && !error {
            assert!(ours(&after).hit, "{after:?}");
            assert_eq!(ours(&after).detail.as_deref(), Some("stale-while-revalidate"));
        }
    }
}

#[test]
fn a_grant_is_looked_at_again_when_it_is_used() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let first = ok("first").cache("max-age=60, stale-if-error=600").field("Cache-Tag", "t");
    origin.on("/a").respond(first).then(problem(503).held_by(&answer));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(61);
    let waiting = begin(&proxy, 3, &proxy.asks("/a"));
    origin.wait_for(2);
    purge(&proxy, TAG);
    answer.open();
    for waiter in waiting {
        assert_eq!(waiter.finish().status, 503, "what the grant was for is dead");
    }
}

#[test]
fn a_grant_is_looked_at_again_when_the_origin_is_gone() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let first = ok("first").cache("max-age=60, stale-if-error=600").field("Cache-Tag", "t");
    origin.on("/a").respond(first).then(ok("").held_by(&answer).but_only(Act::Reset));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(61);
    let waiting = begin(&proxy, 3, &proxy.asks("/a"));
    origin.wait_for(2);
    purge(&proxy, TAG);
    answer.open();
    for waiter in waiting {
        assert_eq!(waiter.finish().status, 502, "what the grant was for is dead");
    }
}

#[test]
fn a_head_from_before_a_purge_says_nothing_of_what_came_after_it() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let head = ok("first").cache("max-age=600").field("ETag", "\"1\"").held_by(&answer);
    let strict = || ok("first").cache("max-age=10").field("ETag", "\"1\"");
    origin.on("HEAD /a").respond(head);
    origin.on("GET /a").respond(strict());
    let proxy = Proxy::before(&origin);
    let asking = begin(&proxy, 1, &proxy.ask("HEAD", "/a"));
    origin.wait_for(1);
    purge(&proxy, URL);
    proxy.get("/a");
    answer.open();
    for head in asking {
        head.finish();
    }
    proxy.settle();
    proxy.advance(11);
    assert!(!ours(&proxy.get("/a")).hit, "the old head has made it fresh for longer");
}

#[test]
fn an_answer_to_a_write_does_not_hide_a_soft_purge() {
    let origin = Origin::start();
    let answer = Gate::closed();
    let shown = || ok("shown").cache("max-age=60").field("Content-Location", "/a").field("ETag", "\"1\"");
    origin.on("POST /a").respond(shown().held_by(&answer));
    origin.on("GET /a").respond(tagged("fetched"));
    for (softened, text) in [(false, "shown"), (true, "fetched")] {
        let proxy = Proxy::before(&origin);
        let asking = begin(&proxy, 1, &proxy.ask("POST", "/a").content("x"));
        if softened {
            soften(&proxy, URL);
        }
        answer.open();
        assert_eq!(texts(asking), ["shown"]);
        proxy.settle();
        assert_eq!(proxy.get("/a").text(), text, "softened meanwhile: {softened}");
    }
}

#[test]
fn who_asks_after_a_soft_purge_does_not_get_what_was_asked_for_before() {
    // Known before there is an answer, when it comes, and when it has begun.
    for (subject, begun) in [(URL, false), (TAG, false), (URL, true), (TAG, true)] {
        let origin = Origin::start();
        let gate = Gate::closed();
        let held = if begun {
            pieces("first", [(&gate, "")]).cache("max-age=60").field("Cache-Tag", "t")
        } else {
            tagged("first").held_by(&gate)
        };
        origin.on("/a").respond(held).then(tagged("second"));
        let proxy = Proxy::before(&origin);
        let mut early = proxy.asks("/a").begin();
        if begun {
            early.wait_for_content("first");
        }
        origin.wait_for(1);
        soften(&proxy, subject);
        let late = begin(&proxy, 2, &proxy.asks("/a"));
        gate.open();
        assert_eq!(early.finish().text(), "first");
        assert_eq!(texts(late), ["second"; 2], "{subject:?}, begun: {begun}");
    }
}
