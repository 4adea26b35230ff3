//! What an unsafe method makes unusable (RFC 9111 §4.4).

use crate::proxy::{Proxy, assert_hit, ours, wait_until};
use crate::support::*;

/// An origin that counts the versions it serves for these targets, and a proxy that has stored the first.
fn stored(targets: &[&str]) -> (Origin, Proxy) {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for target in targets {
        let version = |text: &str| ok(text).cache("max-age=60");
        origin.on(&format!("GET {target}")).respond(version("first")).then(version("second"));
        assert_eq!(proxy.get(target).text(), "first");
    }
    (origin, proxy)
}

fn send(proxy: &Proxy, method: &str, target: &str) -> Answered {
    proxy.send(&proxy.ask(method, target).content("x"))
}

#[test]
fn every_unsafe_method_invalidates_its_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROB"] {
        let (origin, proxy) = stored(&["/a", "/b"]);
        origin.on(&format!("{method} /a")).respond(nothing());
        assert_eq!(send(&proxy, method, "/a").status, 204);
        assert_eq!(proxy.get("/a").text(), "second", "{method}");
        assert_hit(&proxy.get("/a"));
        assert_hit(&proxy.get("/b"));
    }
}

#[test]
fn safe_methods_invalidate_nothing() {
    let (origin, proxy) = stored(&["/a"]);
    for method in ["OPTIONS", "TRACE"] {
        origin.on(&format!("{method} /a")).respond(nothing());
        proxy.send(&proxy.ask(method, "/a"));
        assert_hit(&proxy.get("/a"));
    }
    proxy.head("/a");
    assert_hit(&proxy.get("/a"));
}

/// It has happened at the origin, whoever waits for the answer.
#[test]
fn a_write_invalidates_though_its_client_has_left() {
    let (origin, proxy) = stored(&["/a"]);
    let gate = Gate::closed();
    origin.on("PUT /a").respond(nothing().held_by(&gate));
    let write = proxy.ask("PUT", "/a").content("x").begin();
    origin.wait_for(2);
    write.reset();
    proxy.settle();
    gate.open();
    assert!(wait_until(|| proxy.get("/a").text() == "second"), "it is never invalidated");
}

#[test]
fn a_failed_request_invalidates_nothing() {
    for status in [400, 404, 409, 500, 503] {
        let (origin, proxy) = stored(&["/a"]);
        origin.on("POST /a").respond(answer(status, "no"));
        assert_eq!(send(&proxy, "POST", "/a").status, status);
        assert_hit(&proxy.get("/a"));
    }
}

#[test]
fn a_redirect_counts_as_success() {
    let (origin, proxy) = stored(&["/a"]);
    origin.on("POST /a").respond(answer(303, "").field("Location", "/elsewhere"));
    assert_eq!(send(&proxy, "POST", "/a").status, 303);
    assert_eq!(proxy.get("/a").text(), "second");
}

#[test]
fn location_and_content_location_of_the_same_origin_are_invalidated() {
    for name in ["Location", "Content-Location"] {
        for reference in [
            "/items/1",
            "1",
            "http://example.com/items/1",
            "http://EXAMPLE.com:80/items/1",
            "//example.com/items/1",
            "../items/./1",
        ] {
            let (origin, proxy) = stored(&["/items/1", "/items/2"]);
            origin.on("POST /items/").respond(answer(201, "").field(name, reference));
            assert_eq!(send(&proxy, "POST", "/items/").status, 201);
            assert_eq!(proxy.get("/items/1").text(), "second", "{name}: {reference}");
            assert_hit(&proxy.get("/items/2"));
        }
    }
}

#[test]
fn nobody_invalidates_what_is_another_hosts() {
    let origin = Origin::start();
    origin.on("GET /a").respond(ok("first").cache("max-age=60")).then(ok("second").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let ask = || proxy.send(&proxy.asks("/a").host("victim.example"));
    ask();
    for reference in ["http://victim.example/a", "//victim.example/a", "http://victim.example:80/a"] {
        let answer = answer(201, "").field("Location", reference).field("Content-Location", reference);
        origin.on("POST /b").respond(answer);
        send(&proxy, "POST", "/b");
        assert_hit(&ask());
    }
    origin.on("POST /a").respond(nothing());
    send(&proxy, "POST", "/a");
    assert_hit(&ask());
}

#[test]
fn another_query_is_another_resource() {
    let (origin, proxy) = stored(&["/a", "/a?x=1"]);
    origin.on("POST /a?x=1").respond(nothing());
    send(&proxy, "POST", "/a?x=1");
    assert_hit(&proxy.get("/a"));
    assert_eq!(proxy.get("/a?x=1").text(), "second");
}

#[test]
fn all_variants_are_invalidated() {
    let origin = Origin::start();
    let answer = |text: &str| ok(text).cache("max-age=60").field("Vary", "X-Kind");
    origin.on("GET /a").respond(answer("first")).then(answer("first")).then(answer("second"));
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.send(&proxy.asks("/a").field("X-Kind", kind)).text();
    assert_eq!((ask("1"), ask("2")), ("first".into(), "first".into()));
    origin.on("DELETE /a").respond(nothing());
    proxy.send(&proxy.ask("DELETE", "/a"));
    assert_eq!((ask("1"), ask("2")), ("second".into(), "second".into()));
}

#[test]
fn whoever_wrote_reads_what_was_written() {
    let (origin, proxy) = stored(&["/a"]);
    let rest = Gate::closed();
    origin.on("POST /a").respond(pieces("done", [(&rest, ", and more")]));
    let mut post = proxy.ask("POST", "/a").content("x").begin();
    assert_eq!(post.status(), 200);
    let read = proxy.asks("/a").send();
    assert_eq!(read.text(), "second", "the answer to POST has only begun");
    post.wait_for_content("done");
    rest.open();
    assert_eq!(post.finish().text(), "done, and more");
    proxy.settle();
    assert_hit(&proxy.get("/a"));
}

#[test]
fn an_invalidated_response_is_not_brought_back_by_a_304() {
    let origin = Origin::start();
    let first = ok("first").cache("max-age=60").field("ETag", "\"1\"");
    origin.on("GET /a").choose(move |seen| {
        if seen.fields.has("If-None-Match") { unchanged().field("ETag", "\"1\"") } else { first.clone() }
    });
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    send(&proxy, "POST", "/a");
    let fetched = proxy.get("/a");
    assert_eq!(fetched.text(), "first");
    assert_eq!(ours(&fetched).forward_status, Some(200), "fetched, not confirmed: {fetched:?}");
}

#[test]
fn an_invalidated_response_is_not_served_in_place_of_an_error() {
    let origin = Origin::start();
    let first = ok("first").cache("max-age=60, stale-if-error=600, stale-while-revalidate=600");
    origin.on("GET /a").respond(first).then(problem(503));
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    send(&proxy, "POST", "/a");
    assert_eq!(proxy.get("/a").status, 503);
}

#[test]
fn a_refresh_that_began_before_a_write_is_not_kept() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let version = |text: &str| ok(text).cache("max-age=10, stale-while-revalidate=60");
    origin
        .on("GET /a")
        .respond(version("first"))
        .then(version("first").held_by(&gate))
        .then(version("second"));
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    assert_eq!(proxy.get("/a").text(), "first", "and a refresh begins");
    origin.wait_for(2);
    send(&proxy, "POST", "/a");
    gate.open();
    proxy.settle();
    let after = proxy.get("/a");
    assert_eq!((after.text().as_str(), ours(&after).hit), ("second", false));
}

#[test]
fn a_304_that_was_asked_for_before_a_write_is_thrown_away() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let same = unchanged().cache("max-age=10").field("ETag", "\"1\"");
    let first = ok("first").cache("max-age=10").field("ETag", "\"1\"");
    origin.on("GET /a").respond(first).then(same.held_by(&gate)).then(ok("second").cache("max-age=10"));
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let early = proxy.asks("/a").begin();
    origin.wait_for(2);
    send(&proxy, "POST", "/a");
    gate.open();
    assert_eq!(early.finish().text(), "second");
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "second");
    let unconditional = origin.requests().into_iter().rfind(|seen| seen.method == "GET").unwrap();
    assert!(!unconditional.fields.has("If-None-Match"), "{unconditional:?}");
}

#[test]
fn parts_from_before_and_after_a_write_are_not_put_together() {
    let origin = Origin::start();
    let part = |content: &str, range: &str| {
        let part =
            answer(206, content).field("Content-Range", format!("bytes {range}/10")).cache("max-age=60");
        part.field("ETag", "\"1\"")
    };
    let whole = ok("56789abcde").cache("max-age=60").field("ETag", "\"1\"");
    origin.on("GET /a").respond(part("01234", "0-4")).then(part("abcde", "5-9")).then(whole);
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    let ask = |range: &str| proxy.send(&proxy.asks("/a").field("Range", range)).text();
    assert_eq!(ask("bytes=0-4"), "01234");
    send(&proxy, "POST", "/a");
    assert_eq!(ask("bytes=5-9"), "abcde");
    assert_eq!(proxy.get("/a").text(), "56789abcde");
}
