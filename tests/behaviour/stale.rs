//! When a stale response is served: while it is refreshed, or in place of an error (RFC 5861), and when that is forbidden.

use crate::freshness::old;
use crate::proxy::{Proxy, assert_forwarded, assert_problem, assert_stale_hit, assert_stored, ours};
use crate::support::*;

#[test]
fn a_stale_response_is_served_while_one_request_refreshes_it() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let new = ok("new").cache("max-age=10, stale-while-revalidate=30");
    origin.on("/a").respond(old("max-age=10, stale-while-revalidate=30")).then(new.held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    for _ in 0..5 {
        let stale = proxy.get("/a");
        assert_stale_hit(&stale);
        assert_eq!((stale.text().as_str(), stale.field("Age").as_deref()), ("old", Some("15")));
    }
    origin.wait_for(2);
    proxy.settle();
    // One refresh for all.
    origin.was_asked("/a", 2);
    assert_eq!(origin.last().fields.all("If-None-Match"), ["\"old\""]);
    gate.open();
    let refreshed = eventually_hit(&proxy, "/a");
    assert_eq!(refreshed.text(), "new");
    origin.was_asked("/a", 2);
}

#[test]
fn every_way_to_ask_may_be_answered_stale_and_refreshes_the_whole() {
    let origin = Origin::start();
    let grant = "max-age=10, stale-while-revalidate=30";
    let proxy = Proxy::before(&origin);
    for (target, method, field, status) in [
        ("/head", "HEAD", ("Accept", "*/*"), 200),
        ("/condition", "GET", ("If-None-Match", "\"old\""), 304),
        ("/range", "GET", ("Range", "bytes=1-2"), 206),
    ] {
        origin.on(&format!("GET {target}")).respond(old(grant)).then(ok("new").cache(grant));
        proxy.get(target);
        proxy.advance(15);
        let before = origin.requests().len();
        let stale = proxy.send(&proxy.ask(method, target).field(field.0, field.1));
        assert_eq!(stale.status, status, "{target}");
        assert_stale_hit(&stale);
        let refresh = origin.wait_for(before + 1).pop().unwrap();
        assert!(!refresh.fields.has("Range"), "{refresh:?}");
        assert_eq!(refresh.fields.all("If-None-Match"), ["\"old\""]);
        assert_eq!(eventually_hit(&proxy, target).text(), "new");
    }
}

/// The first answer from `target` that is a fresh hit, after any that are still stale.
fn eventually_hit(proxy: &Proxy, target: &str) -> Answered {
    for _ in 0..200 {
        let answered = proxy.get(target);
        if ours(&answered).ttl.is_some_and(|ttl| ttl >= 0) && ours(&answered).hit {
            return answered;
        }
    }
    panic!("{target} is never refreshed");
}

#[test]
fn the_window_for_serving_while_revalidating_ends() {
    let origin = Origin::start();
    let grant = "max-age=10, stale-while-revalidate=30";
    origin.on("/a").respond(old(grant)).then(ok("new").cache(grant));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(40);
    let answered = proxy.get("/a");
    assert_forwarded(&answered, "stale");
    assert_eq!(answered.text(), "new");
}

#[test]
fn a_route_may_grant_what_the_origin_does_not_mention() {
    let origin = Origin::start();
    origin.on("/a").respond(old("max-age=10")).then(ok("new").cache("max-age=10"));
    let routes = "stale_while_revalidate = \"30s\"\nstale_if_error = \"1h\"";
    let proxy = Proxy::with(&origin).route(routes).start();
    proxy.get("/a");
    proxy.advance(15);
    assert_stale_hit(&proxy.get("/a"));
    assert_eq!(eventually_hit(&proxy, "/a").text(), "new");
    origin.on("/a").respond(problem(503));
    proxy.advance(3600);
    assert_eq!((proxy.get("/a").status, proxy.get("/a").text().as_str()), (200, "new"));
}

#[test]
fn a_stale_response_is_served_in_place_of_an_error() {
    let origin = Origin::start();
    for (target, error) in [
        ("/500", problem(500)),
        ("/502", problem(502)),
        ("/503", problem(503)),
        ("/504", problem(504)),
        ("/reset", ok("").but_only(Act::Reset)),
        ("/closed", ok("").but_only(Act::Close)),
        ("/garbage", raw("no HTTP at all\r\n\r\n")),
        ("/silent", ok("").but_only(Act::AwaitHangUp)),
    ] {
        origin.on(target).respond(old("max-age=10, stale-if-error=60")).then(error);
    }
    let proxy = Proxy::with(&origin).upstream("first_byte_timeout = \"150ms\"").start();
    for target in ["/500", "/502", "/503", "/504", "/reset", "/closed", "/garbage", "/silent"] {
        proxy.get(target);
        proxy.advance(15);
        let stale = proxy.get(target);
        assert_eq!((stale.status, stale.text().as_str()), (200, "old"), "{target}");
        assert_eq!(stale.field("Age").as_deref(), Some("15"), "{target}");
        assert_eq!(ours(&stale).ttl, Some(-5), "{target}: {stale:?}");
        assert!(origin.count(target) >= 2, "{target}");
        proxy.advance(100);
    }
}

#[test]
fn a_client_error_is_no_reason_to_serve_stale() {
    let origin = Origin::start();
    origin.on("/a").respond(old("max-age=10, stale-if-error=60")).then(answer(404, "gone"));
    origin.on("/b").respond(old("max-age=10, stale-if-error=60")).then(answer(501, "cannot"));
    let proxy = Proxy::before(&origin);
    for (target, status) in [("/a", 404), ("/b", 501)] {
        proxy.get(target);
        proxy.advance(15);
        assert_eq!(proxy.get(target).status, status);
    }
}

#[test]
fn the_window_for_serving_on_error_ends() {
    let origin = Origin::start();
    origin.on("/a").respond(old("max-age=10, stale-if-error=60")).then(problem(503));
    origin.on("/b").respond(old("max-age=10, stale-if-error=60")).then(ok("").but_only(Act::Reset));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.get("/b");
    proxy.advance(70);
    let refused = proxy.get("/a");
    assert_eq!((refused.status, refused.text().as_str()), (503, "the origin says 503"));
    assert_problem(&proxy.get("/b"), 502);
}

#[test]
fn must_revalidate_and_its_like_forbid_stale_answers() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let grants = "stale-while-revalidate=60, stale-if-error=60";
    for strict in
        ["must-revalidate, max-age=10", "proxy-revalidate, max-age=10", "s-maxage=10", "no-cache, max-age=10"]
    {
        let target = format!("/{}", strict.split([',', '=']).next().unwrap());
        let first = || old(&format!("{strict}, {grants}"));
        origin.on(&target).respond(first()).then(problem(503));
        assert_stored(&proxy.get(&target));
        proxy.advance(15);
        assert_eq!(proxy.get(&target).status, 503, "{strict}");

        let target = format!("{target}/unreachable");
        origin.on(&target).respond(first()).then(ok("").but_only(Act::Reset));
        proxy.get(&target);
        proxy.advance(15);
        let refused = proxy.get(&target);
        assert!([502, 504].contains(&refused.status), "{strict}: {refused:?}");
        assert_problem(&refused, refused.status);
    }
}

#[test]
fn a_failed_revalidation_holds_off_the_next_one() {
    let origin = Origin::start();
    let first = old("max-age=10, stale-if-error=600");
    origin.on("/a").respond(first).then(problem(503)).then(ok("new").cache("max-age=10"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    assert_eq!(proxy.get("/a").text(), "old");
    origin.was_asked("/a", 2);
    for _ in 0..3 {
        let held_off = proxy.get("/a");
        assert_stale_hit(&held_off);
        assert_eq!(held_off.text(), "old");
    }
    // `retry_after_error` is one second, and none has passed.
    origin.was_asked("/a", 2);
    proxy.advance(2);
    assert_eq!(proxy.get("/a").text(), "new");
    origin.was_asked("/a", 3);
}

#[test]
fn a_failed_background_refresh_holds_off_the_next_one() {
    let origin = Origin::start();
    let first = old("max-age=10, stale-while-revalidate=600");
    origin.on("/a").respond(first).then(problem(503)).then(ok("new").cache("max-age=10"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    for _ in 0..4 {
        assert_eq!(proxy.get("/a").text(), "old");
    }
    origin.was_asked("/a", 2);
    proxy.advance(2);
    assert_eq!(proxy.get("/a").text(), "old");
    assert_eq!(eventually_hit(&proxy, "/a").text(), "new");
    origin.was_asked("/a", 3);
}
