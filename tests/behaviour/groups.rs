//! Cache groups (RFC 9875).

use larder::validity::{Group, Subject};

use crate::proxy::{Proxy, assert_hit, assert_stored, ours};
use crate::support::*;

/// An origin with one response for each target, in these groups (a `Cache-Groups` value), and a proxy that has stored
/// them.
fn stored(rows: &[(&str, &str)]) -> (Origin, Proxy) {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for (target, groups) in rows {
        let version = |text: &str| ok(text).cache("max-age=60").field("Cache-Groups", groups);
        origin.on(&format!("GET {target}")).respond(version("first")).then(version("second"));
        assert_stored(&proxy.get(target));
    }
    (origin, proxy)
}

fn fetched_again<'t>(proxy: &Proxy, targets: &[&'t str]) -> Vec<&'t str> {
    targets.iter().copied().filter(|target| proxy.get(target).text() == "second").collect()
}

/// Of `http://example.com`.
fn group(name: &str) -> Subject<'_> {
    Subject::Group(Group { origin: "http://example.com", name })
}

fn invalidating(answer: Answer, groups: &str) -> Answer {
    answer.field("Cache-Group-Invalidation", groups)
}

fn send(proxy: &Proxy, method: &str, target: &str) -> Answered {
    proxy.send(&proxy.ask(method, target).content("x"))
}

#[test]
fn a_purge_by_group_reaches_its_members_of_the_same_origin() {
    let rows = [("/1", r#""a", "b""#), ("/2", r#""b";x=y, "a""#), ("/3", r#""A", "ab""#)];
    let (origin, proxy) = stored(&rows);
    let member = ok("first").cache("max-age=60").field("Cache-Groups", r#""a""#);
    origin.on("GET /4").respond(member);
    let other = proxy.asks("/4").host("other.example");
    assert_stored(&proxy.send(&other));
    proxy.purge(group("a"));
    assert_hit(&proxy.send(&other));
    assert_eq!(fetched_again(&proxy, &["/1", "/2", "/3"]), ["/1", "/2"]);
}

#[test]
fn an_answer_to_an_unsafe_method_invalidates_groups() {
    let answers = [
        ("POST", ok("done")),
        ("PUT", answer(201, "done")),
        ("DELETE", nothing()),
        ("PATCH", answer(303, "")),
        ("FROB", ok("done")),
    ];
    for (method, answer) in answers {
        let rows = [("/1", r#""a""#), ("/2", r#""b", "c""#), ("/3", r#""d""#), ("/4", r#""B""#)];
        let (origin, proxy) = stored(&rows);
        let answer = invalidating(answer, r#""a", "b";p, "nobody""#);
        origin.on(&format!("{method} /elsewhere")).respond(answer);
        send(&proxy, method, "/elsewhere");
        assert_eq!(fetched_again(&proxy, &["/1", "/2", "/3", "/4"]), ["/1", "/2"], "{method}");
    }
}

#[test]
fn safe_methods_and_errors_invalidate_no_groups() {
    let (origin, proxy) = stored(&[("/1", r#""a""#)]);
    origin.on("/safe").respond(invalidating(ok("x"), r#""a""#));
    proxy.get("/safe");
    proxy.head("/safe");
    for method in ["OPTIONS", "TRACE"] {
        proxy.send(&proxy.ask(method, "/safe"));
    }
    for status in [400, 404, 500, 503] {
        origin.on("POST /wrong").respond(invalidating(answer(status, "no"), r#""a""#));
        assert_eq!(send(&proxy, "POST", "/wrong").status, status);
    }
    assert_hit(&proxy.get("/1"));
}

#[test]
fn groups_of_another_origin_are_none_of_its_business() {
    let (origin, proxy) = stored(&[("/1", r#""a""#)]);
    origin.on("POST /2").respond(invalidating(ok("done"), r#""a""#));
    for host in ["other.example", "example.com:8080", "www.example.com"] {
        proxy.send(&proxy.ask("POST", "/2").host(host).content("x"));
        assert_hit(&proxy.get("/1"));
    }
}

#[test]
fn https_is_another_origin() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.1\"]").start();
    let version = |text: &str| ok(text).cache("max-age=60").field("Cache-Groups", r#""a""#);
    origin.on("GET /1").respond(version("first")).then(version("second"));
    origin.on("POST /2").respond(invalidating(ok("done"), r#""a""#));
    let secure = |method: &str, target: &str| proxy.ask(method, target).field("X-Forwarded-Proto", "https");
    assert_eq!(proxy.send(&secure("GET", "/1")).text(), "first");
    send(&proxy, "POST", "/2");
    assert_hit(&proxy.send(&secure("GET", "/1")));
    proxy.send(&secure("POST", "/2").content("x"));
    assert_eq!(proxy.send(&secure("GET", "/1")).text(), "second");
}

#[test]
fn what_is_no_list_of_strings_is_ignored() {
    for malformed in ["a", r#""a", b"#, r#""a"#, r#"("a")"#, r#""a", 1"#, r#""a","#, ""] {
        let (origin, proxy) = stored(&[("/1", r#""a""#), ("/2", malformed)]);
        origin.on("POST /3").respond(invalidating(ok("done"), malformed));
        send(&proxy, "POST", "/3");
        assert_hit(&proxy.get("/1"));
        proxy.purge(group("a"));
        assert_eq!(fetched_again(&proxy, &["/1", "/2"]), ["/1"], "{malformed}");
    }
}

#[test]
fn lines_are_put_together() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let lines = |answer: Answer, name: &str| answer.field(name, r#""a""#).field(name, r#""b""#);
    let version = |text: &str| lines(ok(text).cache("max-age=60"), "Cache-Groups");
    origin.on("GET /1").respond(version("1")).then(version("2")).then(version("3"));
    origin.on("POST /2").respond(lines(ok("done"), "Cache-Group-Invalidation"));
    proxy.get("/1");
    proxy.purge(group("b"));
    assert_eq!(proxy.get("/1").text(), "2");
    send(&proxy, "POST", "/2");
    assert_eq!(proxy.get("/1").text(), "3");
}

/// RFC 9875 §2.2.1: what is invalidated as a member of a group invalidates no further groups.
#[test]
fn invalidation_does_not_cascade() {
    let (origin, proxy) = stored(&[("/1", r#""a", "b""#), ("/2", r#""b""#)]);
    origin.on("POST /3").respond(invalidating(ok("done"), r#""a""#).field("Cache-Groups", r#""b""#));
    send(&proxy, "POST", "/3");
    assert_eq!(fetched_again(&proxy, &["/1", "/2"]), ["/1"]);
}

#[test]
fn all_that_an_answer_invalidates_is_one_purge() {
    let (origin, proxy) = stored(&[("/1", r#""a""#), ("/2", r#""b""#), ("/3", r#""c""#)]);
    let created = invalidating(moved("/3"), r#""b", "d""#);
    origin.on("POST /1").respond(created);
    let before = proxy.larder().log().published();
    send(&proxy, "POST", "/1");
    assert_eq!(proxy.larder().log().published().get(), before.get() + 1);
    assert_eq!(fetched_again(&proxy, &["/1", "/2", "/3"]), ["/1", "/2", "/3"]);
}

#[test]
fn whoever_wrote_reads_what_was_written_in_the_whole_group() {
    let (origin, proxy) = stored(&[("/1", r#""a""#)]);
    let rest = Gate::closed();
    origin.on("POST /2").respond(invalidating(pieces("done", [(&rest, ", and more")]), r#""a""#));
    let mut post = proxy.ask("POST", "/2").content("x").begin();
    assert_eq!(post.status(), 200);
    assert_eq!(proxy.asks("/1").send().text(), "second", "the answer to POST has only begun");
    post.wait_for_content("done");
    rest.open();
    post.finish();
    proxy.settle();
}

#[test]
fn a_fetch_from_before_the_write_is_not_kept() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let version = |text: &str| ok(text).cache("max-age=60").field("Cache-Groups", r#""a""#);
    origin.on("GET /1").respond(version("first").held_by(&gate)).then(version("second"));
    origin.on("POST /2").respond(invalidating(ok("done"), r#""a""#));
    let proxy = Proxy::before(&origin);
    let early = proxy.asks("/1").begin();
    origin.wait_for(1);
    send(&proxy, "POST", "/2");
    let late = proxy.asks("/1").begin();
    proxy.settle();
    gate.open();
    assert_eq!(early.finish().text(), "first");
    assert_eq!(late.finish().text(), "second");
    proxy.settle();
    assert_eq!(proxy.get("/1").text(), "second");
}

#[test]
fn an_answer_to_post_may_be_kept_though_it_invalidates_its_own_group() {
    let origin = Origin::start();
    let kept = invalidating(ok("done"), r#""a""#).field("Cache-Groups", r#""a""#).cache("max-age=60");
    origin.on("POST /1").respond(kept.field("Content-Location", "/1"));
    origin.on("GET /1").respond(ok("got").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    send(&proxy, "POST", "/1");
    let hit = proxy.get("/1");
    assert_hit(&hit);
    assert_eq!(hit.text(), "done");
    proxy.purge(group("a"));
    assert_eq!(proxy.get("/1").text(), "got");
}

#[test]
fn clients_see_both_fields() {
    let (origin, proxy) = stored(&[("/1", r#""a", "b""#)]);
    assert_eq!(proxy.get("/1").field("Cache-Groups").as_deref(), Some(r#""a", "b""#));
    origin.on("POST /2").respond(invalidating(ok("done"), r#""a""#));
    assert_eq!(send(&proxy, "POST", "/2").field("Cache-Group-Invalidation").as_deref(), Some(r#""a""#));
}

#[test]
fn groups_from_before_and_after_a_304_both_count() {
    for name in ["old", "new"] {
        let origin = Origin::start();
        let tagged =
            |answer: Answer, groups: &str| answer.field("ETag", "\"1\"").field("Cache-Groups", groups);
        let first = tagged(ok("first").cache("max-age=10"), r#""old""#);
        let same = tagged(unchanged().cache("max-age=60"), r#""new""#);
        origin.on("/a").respond(first).then(same).then(ok("second").cache("max-age=60"));
        let proxy = Proxy::before(&origin);
        proxy.get("/a");
        proxy.advance(11);
        assert_eq!(proxy.get("/a").field("Cache-Groups").as_deref(), Some(r#""new""#));
        assert_hit(&proxy.get("/a"));
        proxy.purge(group(name));
        assert_eq!(proxy.get("/a").text(), "second", "{name}");
    }
}

#[test]
fn what_has_too_many_groups_is_delivered_and_not_stored() {
    let list = |count: usize| (0..count).map(|i| format!("\"g{i}\"")).collect::<Vec<_>>().join(", ");
    let origin = Origin::start();
    for (target, count) in [("/most", 256), ("/over", 257)] {
        origin.on(target).respond(ok("x").cache("max-age=60").field("Cache-Groups", list(count)));
    }
    let proxy = Proxy::before(&origin);
    assert_stored(&proxy.get("/most"));
    let delivered = proxy.get("/over");
    assert_eq!(delivered.text(), "x");
    assert_eq!(ours(&delivered).detail.as_deref(), Some("too-many-tags"));
}
