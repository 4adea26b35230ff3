//! Asking the origin whether what is stored still holds (RFC 9111 §4.3).

use larder::validity::Subject;

use crate::proxy::{Proxy, assert_forwarded, assert_hit, assert_stored, ours};
use crate::support::*;

/// Entity tags that `seen` asks about.
fn asked(seen: &Seen) -> Vec<String> {
    seen.fields.list("If-None-Match")
}

#[test]
fn validators_are_sent_as_they_were_stored() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let modified = "Wed, 31 Dec 2025 23:00:00 GMT";
    for (target, tag) in
        [("/strong", "\"a b,c\""), ("/weak", "W/\"1\""), ("/unquoted", "abc"), ("/empty", "\"\"")]
    {
        origin
            .on(target)
            .respond(ok("x").cache("max-age=10").field("ETag", tag))
            .then(unchanged().field("ETag", tag));
        proxy.get(target);
    }
    origin
        .on("/date")
        .respond(ok("x").cache("max-age=10").field("Last-Modified", modified))
        .then(unchanged());
    proxy.get("/date");
    proxy.advance(11);
    for (target, tag) in
        [("/strong", "\"a b,c\""), ("/weak", "W/\"1\""), ("/unquoted", "abc"), ("/empty", "\"\"")]
    {
        assert_eq!(ours(&proxy.get(target)).forward_status, Some(304), "{target}");
        assert_eq!(origin.last().fields.all("If-None-Match"), [tag], "{target}");
        assert!(!origin.last().fields.has("If-Modified-Since"), "{target}");
    }
    proxy.get("/date");
    assert_eq!(origin.last().fields.all("If-Modified-Since"), [modified]);
    assert!(!origin.last().fields.has("If-None-Match"));
}

#[test]
fn an_answer_other_than_304_replaces_what_was_stored() {
    let origin = Origin::start();
    let tagged = |text: &str, tag: &str| ok(text).cache("max-age=10").field("ETag", tag);
    origin.on("/a").respond(tagged("old", "\"1\"").field("X-Old", "1")).then(tagged("newer", "\"2\""));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let replaced = proxy.get("/a");
    assert_eq!(replaced.text(), "newer");
    assert_forwarded(&replaced, "stale");
    assert_stored(&replaced);
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!((hit.text().as_str(), hit.fields.has("X-Old")), ("newer", false));
}

#[test]
fn an_answer_that_says_gone_is_passed_on() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("old").cache("max-age=10").field("ETag", "\"1\"")).then(answer(404, "gone"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    for _ in 0..2 {
        let gone = proxy.get("/a");
        assert_eq!((gone.status, gone.text().as_str()), (404, "gone"));
    }
}

#[test]
fn a_304_updates_the_fields_it_may() {
    let origin = Origin::start();
    let first =
        ok("hello").cache("max-age=10").field("ETag", "\"1\"").field("X-Twice", "a").field("X-Twice", "b");
    let first =
        first.field("X-Kept", "k").field("Content-Type", "text/plain").field("Content-Encoding", "identity");
    let update =
        unchanged().cache("max-age=50").field("ETag", "\"1\"").field("X-Twice", "c").field("X-Twice", "d");
    let update = update.field("X-New", "n").field("Content-Length", "999").field("Content-Encoding", "br");
    let update = update.field("Connection", "X-Hop").field("X-Hop", "h").field("Keep-Alive", "timeout=5");
    origin.on("/a").respond(first).then(update);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    for round in 0..2 {
        let answered = proxy.get("/a");
        assert_eq!((answered.status, answered.text().as_str()), (200, "hello"));
        assert_eq!(answered.fields.all("X-Twice"), ["c", "d"], "round {round}");
        assert_eq!(answered.field("X-Kept").as_deref(), Some("k"));
        assert_eq!(answered.field("X-New").as_deref(), Some("n"));
        assert_eq!(answered.field("Content-Type").as_deref(), Some("text/plain"));
        assert_eq!(answered.field("Content-Encoding").as_deref(), Some("identity"));
        assert_eq!(answered.field("Content-Length").as_deref(), Some("5"));
        assert_eq!(answered.field("Cache-Control").as_deref(), Some("max-age=50"));
        assert!(!answered.fields.has("X-Hop") && !answered.fields.has("Keep-Alive"), "{answered:?}");
    }
    proxy.advance(40);
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 2);
}

#[test]
fn a_304_for_something_else_is_fetched_again_without_conditions() {
    let origin = Origin::start();
    let new = ok("new").cache("max-age=10").field("ETag", "\"3\"");
    let other = unchanged().field("ETag", "\"2\"").cache("max-age=1000");
    origin.on("/a").respond(ok("old").cache("max-age=10").field("ETag", "\"1\"")).then(other).then(new);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let fetched = proxy.get("/a");
    assert_eq!((fetched.status, fetched.text().as_str()), (200, "new"));
    assert!(asked(&origin.last()).is_empty(), "no conditions the second time");
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!((hit.text().as_str(), origin.count("/a")), ("new", 3));
}

/// Three variants of one target, by `X-Kind`, with tags "1", "2" and "3". The origin knows all the tags and prefers to
/// answer 304.
fn three_kinds(origin: &Origin) {
    origin.on("/a").choose(|seen| {
        let kind = seen.fields.one("X-Kind").unwrap();
        let tag = format!("\"{kind}\"");
        // Kind 9 looks like kind 2.
        let tag = if tag == "\"9\"" { "\"2\"".to_owned() } else { tag };
        let known = asked(seen).contains(&tag);
        let answer = if known { unchanged() } else { ok(format!("kind {kind}")) };
        answer.cache("max-age=10").field("Vary", "X-Kind").field("ETag", tag)
    });
}

#[test]
fn a_new_variant_is_asked_for_with_the_validators_of_all() {
    let origin = Origin::start();
    three_kinds(&origin);
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.send(&proxy.asks("/a").field("X-Kind", kind));
    ask("1");
    ask("2");
    let mut tags = asked(&origin.last());
    assert_eq!(tags, ["\"1\""]);
    let selected = ask("9");
    assert_eq!((selected.status, selected.text().as_str()), (200, "kind 2"));
    assert_eq!(assert_forwarded(&selected, "vary-miss").forward_status, Some(304));
    tags = asked(&origin.last());
    tags.sort();
    assert_eq!(tags, ["\"1\"", "\"2\""]);
    assert_eq!(ask("1").text(), "kind 1");
    assert_eq!(ask("9").text(), "kind 2");
}

#[test]
fn a_304_freshens_the_right_variant_only() {
    let origin = Origin::start();
    three_kinds(&origin);
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.send(&proxy.asks("/a").field("X-Kind", kind));
    ask("1");
    ask("2");
    proxy.advance(11);
    let validated = ask("1");
    assert_eq!(validated.text(), "kind 1");
    assert_eq!(ours(&validated).forward_status, Some(304));
    let hit = ask("1");
    assert_hit(&hit);
    assert_eq!(hit.text(), "kind 1");
    let other = ask("2");
    assert_forwarded(&other, "stale");
    assert_eq!(other.text(), "kind 2");
}

#[test]
fn a_clients_condition_is_not_sent_on_a_miss_but_answered_from_what_comes() {
    let origin = Origin::start();
    let modified = "Wed, 31 Dec 2025 23:00:00 GMT";
    let answer = || ok("hello").cache("max-age=60").field("ETag", "\"1\"").field("Last-Modified", modified);
    let proxy = Proxy::before(&origin);
    for (target, name, value, status) in [
        ("/a", "If-None-Match", "\"1\"", 304),
        ("/b", "If-None-Match", "\"0\"", 200),
        ("/c", "If-Modified-Since", modified, 304),
        ("/d", "If-Modified-Since", "Wed, 31 Dec 2025 22:00:00 GMT", 200),
    ] {
        origin.on(target).respond(answer());
        let answered = proxy.send(&proxy.asks(target).field(name, value));
        assert_eq!(answered.status, status, "{target}");
        assert_eq!(ours(&answered).forward_status, Some(200), "{target}");
        assert!(!origin.last().fields.has(name), "{target}: {:?}", origin.last());
        let hit = proxy.get(target);
        assert_hit(&hit);
        assert_eq!(hit.text(), "hello");
    }
}

#[test]
fn our_conditions_are_kept_apart_from_the_clients() {
    let origin = Origin::start();
    let first = ok("old").cache("max-age=10").field("ETag", "\"old\"");
    let new = ok("new").cache("max-age=10").field("ETag", "\"new\"");
    origin.on("/a").respond(first).then(new).then(unchanged().field("ETag", "\"new\""));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    // The client already has what the origin has, and the cache does not.
    let ask = proxy.asks("/a").field("If-None-Match", "\"new\"").field("If-Modified-Since", proxy.date(0));
    let known = proxy.send(&ask);
    assert_eq!((known.status, known.field("ETag").as_deref()), (304, Some("\"new\"")));
    assert_eq!(asked(&origin.last()), ["\"old\""]);
    assert!(!origin.last().fields.has("If-Modified-Since"));
    // The client has something older than what the origin confirms to the cache.
    proxy.advance(11);
    let unknown = proxy.send(&proxy.asks("/a").field("If-None-Match", "\"old\""));
    assert_eq!((unknown.status, unknown.text().as_str()), (200, "new"));
    assert_eq!(asked(&origin.last()), ["\"new\""]);
}

#[test]
fn a_304_that_the_client_asked_for_on_a_pass_is_passed_on() {
    let origin = Origin::start();
    origin.on("/a").respond(unchanged().field("ETag", "\"1\""));
    let proxy = Proxy::with(&origin).route("cache = false").start();
    let passed = proxy.send(&proxy.asks("/a").field("If-None-Match", "\"1\""));
    assert_eq!((passed.status, asked(&origin.last())), (304, vec!["\"1\"".to_owned()]));
}

/// Stored for 10 seconds with a tag, then stale; the origin answers HEAD with `head` and GET with `get`.
fn stale_with_head(head: Answer, get: Answer) -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=10").field("ETag", "\"1\"").field("X-A", "old"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    origin.on("HEAD /a").respond(head);
    origin.on("GET /a").respond(get);
    (origin, proxy)
}

#[test]
fn a_head_that_agrees_freshens_the_stored_response() {
    let same = || ok("hello").cache("max-age=50").field("ETag", "\"1\"").field("X-A", "new");
    let (origin, proxy) =
        stale_with_head(same(), unchanged().cache("max-age=50").field("ETag", "\"1\"").field("X-A", "new"));
    let head = proxy.head("/a");
    assert_eq!((head.status, head.field("X-A").as_deref()), (200, Some("new")));
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!((hit.text().as_str(), hit.field("X-A").as_deref()), ("hello", Some("new")));
    origin.was_asked("/a", 2);
}

/// A length that has stayed the same says nothing of what a purge was about.
#[test]
fn a_head_without_validators_does_not_undo_a_soft_purge() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("first").cache("max-age=60")).then(ok("other").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.soften(Subject::Url("example.com/a"));
    // A condition that only the origin can judge takes it there.
    let head = proxy.send(&proxy.ask("HEAD", "/a").field("If-Match", "\"1\""));
    assert_eq!((head.status, origin.count("/a")), (200, 2));
    assert_eq!(proxy.get("/a").text(), "other");
}

#[test]
fn a_head_that_disagrees_makes_the_stored_response_unusable() {
    let new = || ok("other").cache("max-age=50").field("ETag", "\"2\"");
    let (_origin, proxy) = stale_with_head(new(), new());
    let head = proxy.head("/a");
    assert_eq!((head.status, head.field("ETag").as_deref()), (200, Some("\"2\"")));
    assert_eq!(proxy.get("/a").text(), "other");
}

#[test]
fn a_head_with_another_length_makes_the_stored_response_unusable() {
    let longer = || ok("hello, world").cache("max-age=50").field("ETag", "\"1\"");
    let (_origin, proxy) = stale_with_head(longer(), longer());
    assert_eq!(proxy.head("/a").field("Content-Length").as_deref(), Some("12"));
    assert_eq!(proxy.get("/a").text(), "hello, world");
}
