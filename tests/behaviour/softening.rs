//! Soft purges: what they hit is stale from then on, and served only where stale responses may be.

use larder::validity::Subject;

use crate::proxy::{
    Proxy, assert_forwarded, assert_hit, assert_not_stored, assert_stale_hit, assert_stored, ours,
};
use crate::support::*;

/// An origin whose first answer for `/a` has this `Cache-Control` and an entity tag, and whose later ones come after it.
fn stored(directives: &str, then: Answer) -> (Origin, Proxy) {
    let origin = Origin::start();
    let first = ok("first").cache(directives).field("ETag", "\"1\"").field("Cache-Tag", "t");
    origin.on("GET /a").respond(first).then(then);
    let proxy = Proxy::before(&origin);
    assert_stored(&proxy.get("/a"));
    (origin, proxy)
}

fn same() -> Answer {
    unchanged().field("ETag", "\"1\"")
}

fn second() -> Answer {
    ok("second").cache("max-age=100")
}

#[test]
fn what_is_hit_is_validated_and_then_fresh_again() {
    let (origin, proxy) = stored("max-age=100", same());
    assert_hit(&proxy.get("/a"));
    proxy.soften(Subject::Tag("t"));
    let validated = proxy.get("/a");
    assert_forwarded(&validated, "stale");
    assert_eq!((validated.text().as_str(), ours(&validated).forward_status), ("first", Some(304)));
    assert_eq!(origin.last().fields.all("If-None-Match"), ["\"1\""]);
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 2);
}

#[test]
fn what_is_not_hit_stays_fresh() {
    let (_origin, proxy) = stored("max-age=100", second());
    for subject in [Subject::Tag("T"), Subject::Url("example.com/b"), Subject::Host("example.org")] {
        proxy.soften(subject);
        assert_hit(&proxy.get("/a"));
    }
}

#[test]
fn it_is_served_stale_while_it_is_refreshed() {
    let (origin, proxy) = stored("max-age=100, stale-while-revalidate=10", second());
    proxy.soften(Subject::Url("example.com/a"));
    let stale = proxy.get("/a");
    assert_stale_hit(&stale);
    assert_eq!(stale.text(), "first");
    assert_eq!(origin.wait_for(2).len(), 2);
    proxy.settle();
    let fresh = proxy.get("/a");
    assert_hit(&fresh);
    assert_eq!(fresh.text(), "second");
}

/// Not with the end of freshness, which is further off.
#[test]
fn stale_windows_begin_with_the_purge() {
    let (_origin, proxy) = stored("max-age=100, stale-while-revalidate=10", second());
    proxy.soften(Subject::Host("example.com"));
    proxy.advance(11);
    assert_forwarded(&proxy.get("/a"), "stale");
}

#[test]
fn a_purge_of_what_was_stale_anyway_does_not_prolong_its_window() {
    let (_origin, proxy) = stored("max-age=10, stale-while-revalidate=20", second());
    proxy.advance(25);
    proxy.soften(Subject::Everything);
    proxy.advance(6);
    assert_forwarded(&proxy.get("/a"), "stale");
}

#[test]
fn a_second_purge_does_not_prolong_it_either() {
    let (_origin, proxy) = stored("max-age=100, stale-if-error=10", problem(503));
    proxy.soften(Subject::Tag("t"));
    assert_eq!(proxy.get("/a").text(), "first");
    proxy.advance(8);
    proxy.soften(Subject::Tag("t"));
    assert_eq!(proxy.get("/a").text(), "first");
    proxy.advance(3);
    assert_eq!(proxy.get("/a").status, 503);
}

#[test]
fn those_who_forbid_stale_responses_forbid_these() {
    for directive in ["must-revalidate", "proxy-revalidate", "s-maxage=100"] {
        let directives = format!("max-age=100, stale-while-revalidate=10, stale-if-error=10, {directive}");
        let (_origin, proxy) = stored(&directives, problem(503));
        assert_hit(&proxy.get("/a"));
        proxy.soften(Subject::Tag("t"));
        assert_eq!(proxy.get("/a").status, 503, "{directive}");
    }
}

#[test]
fn it_stands_in_for_an_error_within_its_window() {
    let (_origin, proxy) = stored("max-age=100, stale-if-error=10", problem(503));
    proxy.soften(Subject::Tag("t"));
    let stale = proxy.get("/a");
    assert_eq!((stale.status, ours(&stale).detail.as_deref()), (200, Some("stale-if-error")));
    proxy.advance(11);
    assert_eq!(proxy.get("/a").status, 503);
}

/// As it does for one that is stale by age.
#[test]
fn an_error_with_a_lifetime_of_its_own_does_not_replace_it() {
    let (_origin, proxy) = stored("max-age=100, stale-if-error=50", problem(503).cache("max-age=5"));
    proxy.soften(Subject::Tag("t"));
    for _ in 0..2 {
        assert_eq!(proxy.get("/a").text(), "first");
        proxy.advance(2);
    }
}

#[test]
fn a_client_that_wants_nothing_but_the_stored_gets_nothing_stale() {
    let (_origin, proxy) = stored("max-age=100", second());
    proxy.soften(Subject::Tag("t"));
    let ask = proxy.asks("/a").field("Cache-Control", "only-if-cached");
    assert_eq!(proxy.send(&ask).status, 504);
}

#[test]
fn a_head_freshens_it_too() {
    let (origin, proxy) = stored("max-age=100", second());
    origin.on("HEAD /a").respond(ok("first").cache("max-age=100").field("ETag", "\"1\""));
    proxy.soften(Subject::Tag("t"));
    assert_forwarded(&proxy.head("/a"), "uri-miss");
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "first");
}

#[test]
fn a_304_to_a_condition_from_before_the_purge_does_not_make_it_fresh() {
    let gate = Gate::closed();
    let (origin, proxy) = stored("max-age=10", same().cache("max-age=100").held_by(&gate));
    proxy.advance(11);
    let early = proxy.asks("/a").begin();
    origin.wait_for(2);
    proxy.soften(Subject::Tag("t"));
    let late = proxy.asks("/a").begin();
    proxy.settle();
    origin.on("GET /a").respond(second());
    gate.open();
    assert_eq!(early.finish().text(), "first", "who asked before the purge");
    assert_eq!(late.finish().text(), "second", "who asked after it");
    proxy.settle();
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 3);
}

#[test]
fn nobody_joins_a_fill_from_before_the_purge_after_it() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let old = pieces("old", [(&rest, " content")]).cache("max-age=100").field("Cache-Tag", "t");
    origin.on("/a").respond(old).then(second());
    let proxy = Proxy::before(&origin);
    let mut early = proxy.asks("/a").begin();
    early.wait_for_content("old");
    proxy.soften(Subject::Tag("t"));
    assert_eq!(proxy.asks("/a").send().text(), "second");
    rest.open();
    assert_eq!(early.finish().text(), "old content");
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "second", "what was asked for later is kept");
}

#[test]
fn what_a_fill_from_before_the_purge_leaves_behind_is_stale() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let old = pieces("old", [(&rest, " content")]).cache("max-age=100").field("ETag", "\"1\"");
    origin.on("/a").respond(old).then(same());
    let proxy = Proxy::before(&origin);
    let mut early = proxy.asks("/a").begin();
    early.wait_for_content("old");
    proxy.soften(Subject::Url("example.com/a"));
    rest.open();
    assert_eq!(early.finish().text(), "old content");
    proxy.settle();
    let validated = proxy.get("/a");
    assert_eq!((ours(&validated).forward_status, validated.text().as_str()), (Some(304), "old content"));
}

#[test]
fn no_304_brings_back_what_a_hard_purge_killed_meanwhile() {
    let gate = Gate::closed();
    let (origin, proxy) = stored("max-age=100, stale-while-revalidate=100", same().held_by(&gate));
    proxy.soften(Subject::Tag("t"));
    assert_stale_hit(&proxy.asks("/a").send());
    origin.wait_for(2);
    proxy.purge(Subject::Tag("t"));
    origin.on("GET /a").respond(second());
    let late = proxy.asks("/a").begin();
    proxy.settle();
    gate.open();
    assert_eq!(late.finish().text(), "second");
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "second");
}

#[test]
fn all_variants_and_stored_parts_are_hit() {
    let origin = Origin::start();
    origin.on("/varied").choose(|seen| {
        let kind = seen.fields.one("X-Kind").unwrap_or_default();
        ok(kind).cache("max-age=100").field("Vary", "X-Kind")
    });
    let part = answer(206, "01234").field("Content-Range", "bytes 0-4/10").cache("max-age=100");
    origin.on("/part").respond(part.field("ETag", "\"1\""));
    let proxy = Proxy::before(&origin);
    let asks = [
        proxy.asks("/varied").field("X-Kind", "one"),
        proxy.asks("/varied").field("X-Kind", "two"),
        proxy.asks("/part").field("Range", "bytes=0-4"),
    ];
    asks.iter().for_each(|ask| assert_stored(&proxy.send(ask)));
    asks.iter().for_each(|ask| assert_hit(&proxy.send(ask)));
    proxy.soften(Subject::Host("example.com"));
    asks.iter().for_each(|ask| assert!(!ours(&proxy.send(ask)).hit));
    asks.iter().for_each(|ask| assert_hit(&proxy.send(ask)));
}

#[test]
fn it_goes_when_it_may_not_be_stored_any_more() {
    let (_origin, proxy) = stored("max-age=100", ok("second").cache("no-store"));
    proxy.soften(Subject::Tag("t"));
    for _ in 0..2 {
        let answered = proxy.get("/a");
        assert_not_stored(&answered);
        assert_eq!(answered.text(), "second");
    }
}
