//! Conditional requests answered from the store (RFC 9110 §13, RFC 9111 §4.3.2).

use crate::proxy::{Proxy, assert_hit, ours};
use crate::support::*;

const MODIFIED: &str = "Wed, 31 Dec 2025 23:00:00 GMT";
const EARLIER: &str = "Wed, 31 Dec 2025 22:59:59 GMT";
const LATER: &str = "Wed, 31 Dec 2025 23:00:01 GMT";

/// `/a` is stored, with an entity tag and a date.
fn stored(tag: &str) -> (Origin, Proxy) {
    let origin = Origin::start();
    let answer = ok("hello").cache("max-age=60").field("ETag", tag).field("Last-Modified", MODIFIED);
    let answer = answer.field("Vary", "X-Kind").field("Content-Location", "/a.en").field("X-A", "1");
    origin.on("/a").respond(answer);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    (origin, proxy)
}

#[test]
fn if_none_match_is_compared_weakly() {
    for (stored_tag, asked, status) in [
        ("\"1\"", "\"1\"", 304),
        ("\"1\"", "W/\"1\"", 304),
        ("W/\"1\"", "\"1\"", 304),
        ("\"1\"", "\"0\", \"1\"", 304),
        ("\"1\"", "*", 304),
        ("\"1\"", "\"0\"", 200),
        ("\"1\"", "\"11\"", 200),
        ("\"1,2\"", "\"1,2\"", 304),
        ("\"1\"", "\"1,2\"", 200),
    ] {
        let (origin, proxy) = stored(stored_tag);
        let answered = proxy.send(&proxy.asks("/a").field("If-None-Match", asked));
        assert_eq!(answered.status, status, "{asked} against {stored_tag}");
        assert_hit(&answered);
        origin.was_asked("/a", 1);
    }
}

#[test]
fn a_304_carries_what_a_cache_downstream_needs() {
    let (_origin, proxy) = stored("\"1\"");
    let answered = proxy.send(&proxy.asks("/a").field("If-None-Match", "\"1\""));
    assert_eq!((answered.status, answered.text().as_str()), (304, ""));
    for (name, value) in [
        ("ETag", "\"1\""),
        ("Cache-Control", "max-age=60"),
        ("Vary", "X-Kind"),
        ("Content-Location", "/a.en"),
    ] {
        assert_eq!(answered.field(name).as_deref(), Some(value), "{answered:?}");
    }
    assert!(answered.fields.has("Date"), "{answered:?}");
    assert!(!answered.fields.has("Transfer-Encoding"), "{answered:?}");
    assert!(answered.field("Content-Length").is_none_or(|length| length == "5"), "{answered:?}");
}

#[test]
fn if_none_match_may_span_lines() {
    let (_origin, proxy) = stored("\"1\"");
    let ask = proxy.asks("/a").field("If-None-Match", "\"0\"").field("If-None-Match", "\"1\"");
    assert_eq!(proxy.send(&ask).status, 304);
}

#[test]
fn if_modified_since_is_compared_by_the_second() {
    let (_origin, proxy) = stored("\"1\"");
    for (since, status) in [
        (MODIFIED, 304),
        (LATER, 304),
        (EARLIER, 200),
        ("Wednesday, 31-Dec-25 23:00:00 GMT", 304),
        ("Wed Dec 31 23:00:00 2025", 304),
        ("not a date", 200),
        ("", 200),
    ] {
        let answered = proxy.send(&proxy.asks("/a").field("If-Modified-Since", since));
        assert_eq!(answered.status, status, "{since}");
        assert_hit(&answered);
    }
}

#[test]
fn if_none_match_decides_where_both_are_given() {
    let (_origin, proxy) = stored("\"1\"");
    let ask = |tag: &str, since: &str| {
        let ask = proxy.asks("/a").field("If-Modified-Since", since);
        proxy.send(&ask.field("If-None-Match", tag)).status
    };
    assert_eq!((ask("\"0\"", LATER), ask("\"1\"", EARLIER)), (200, 304));
}

#[test]
fn without_last_modified_the_date_stands_in() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("Date", proxy.date(-5)));
    proxy.get("/a");
    for (since, status) in [(0, 304), (-5, 304), (-6, 200)] {
        let answered = proxy.send(&proxy.asks("/a").field("If-Modified-Since", proxy.date(since)));
        assert_eq!(answered.status, status, "{since}");
    }
}

#[test]
fn only_what_would_be_a_success_is_conditional() {
    let origin = Origin::start();
    origin.on("/a").respond(answer(404, "no").cache("max-age=60").field("ETag", "\"1\""));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    for tag in ["*", "\"1\""] {
        let answered = proxy.send(&proxy.asks("/a").field("If-None-Match", tag));
        assert_eq!((answered.status, answered.text().as_str()), (404, "no"));
    }
}

#[test]
fn head_is_conditional_too() {
    let (_origin, proxy) = stored("\"1\"");
    let answered = proxy.send(&proxy.ask("HEAD", "/a").field("If-None-Match", "\"1\""));
    assert_eq!(answered.status, 304);
    assert!(ours(&answered).hit);
}

/// `If-Match` and `If-Unmodified-Since` are the origin's to judge, but if it would refuse, so must the answer.
#[test]
fn what_an_origin_would_refuse_is_not_answered_from_the_store() {
    let (origin, proxy) = stored("\"1\"");
    origin.on("/a").respond(answer(412, "not what you think"));
    for (name, value) in [("If-Match", "\"0\""), ("If-Match", "W/\"1\""), ("If-Unmodified-Since", EARLIER)] {
        let answered = proxy.send(&proxy.asks("/a").field(name, value));
        assert_eq!(answered.status, 412, "{name}: {value}");
        assert_eq!(answered.text(), "not what you think", "{name}: {value}");
    }
    let plain = proxy.get("/a");
    assert_hit(&plain);
    assert_eq!(plain.text(), "hello");
}

#[test]
fn conditions_on_an_unsafe_method_reach_the_origin() {
    let origin = Origin::start();
    origin.on("/a").respond(answer(412, "no"));
    let proxy = Proxy::before(&origin);
    let ask = proxy.ask("PUT", "/a").field("If-Match", "\"0\"").field("If-None-Match", "*").content("x");
    assert_eq!(proxy.send(&ask).status, 412);
    assert_eq!(origin.last().fields.all("If-Match"), ["\"0\""]);
    assert_eq!(origin.last().fields.all("If-None-Match"), ["*"]);
}
