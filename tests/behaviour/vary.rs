//! Which of several stored responses fits a request (RFC 9111 §4.1).

use crate::proxy::{Proxy, assert_forwarded, assert_hit, assert_not_stored};
use crate::support::*;

/// Answers with the lines of the request field `name`, and says that it varies by it.
fn echoing(origin: &Origin, target: &str, name: &'static str) {
    origin.on(target).choose(move |seen| {
        let lines = seen.fields.all(name).join("|");
        ok(lines).cache("max-age=60").field("Vary", name)
    });
}

#[test]
fn variants_are_kept_apart() {
    let origin = Origin::start();
    echoing(&origin, "/a", "X-Kind");
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.send(&proxy.asks("/a").field("X-Kind", kind));
    assert_forwarded(&ask("one"), "uri-miss");
    assert_forwarded(&ask("two"), "vary-miss");
    for kind in ["one", "two", "one"] {
        let hit = ask(kind);
        assert_hit(&hit);
        assert_eq!(hit.text(), kind);
    }
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn an_absent_field_is_a_value_of_its_own() {
    let origin = Origin::start();
    echoing(&origin, "/a", "X-Kind");
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("X-Kind", "one"));
    assert_forwarded(&proxy.get("/a"), "vary-miss");
    assert_hit(&proxy.get("/a"));
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn only_the_named_fields_select() {
    let origin = Origin::start();
    echoing(&origin, "/a", "X-Kind");
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("X-Kind", "one").field("User-Agent", "x"));
    assert_hit(&proxy.send(&proxy.asks("/a").field("x-kind", "one").field("User-Agent", "y")));
}

#[test]
fn fields_named_on_several_lines_all_select() {
    let origin = Origin::start();
    let answer = ok("x").cache("max-age=60").field("Vary", "X-One").field("Vary", "x-two , X-Three");
    origin.on("/a").respond(answer);
    let proxy = Proxy::before(&origin);
    let ask = |values: [&str; 3]| {
        let ask = proxy.asks("/a").field("X-One", values[0]).field("X-Two", values[1]);
        proxy.send(&ask.field("X-Three", values[2]))
    };
    ask(["a", "b", "c"]);
    for other in [["-", "b", "c"], ["a", "-", "c"], ["a", "b", "-"], ["b", "a", "c"], ["ab", "", "c"]] {
        assert_forwarded(&ask(other), "vary-miss");
    }
    assert_hit(&ask(["a", "b", "c"]));
}

#[test]
fn a_star_anywhere_matches_nothing() {
    let origin = Origin::start();
    for (target, lines) in
        [("/alone", ["*", ""]), ("/in-a-list", ["X-A, *", "X-B"]), ("/on-another-line", ["X-A", "*"])]
    {
        let answer = ok("x").cache("max-age=60").field("Vary", lines[0]).field("Vary", lines[1]);
        origin.on(target).respond(answer);
    }
    let proxy = Proxy::before(&origin);
    for target in ["/alone", "/in-a-list", "/on-another-line"] {
        assert_not_stored(&proxy.get(target));
        assert_not_stored(&proxy.get(target));
        assert_eq!(origin.count(target), 2);
    }
}

#[test]
fn whitespace_and_line_breaks_in_lists_make_no_difference() {
    let origin = Origin::start();
    echoing(&origin, "/a", "X-List");
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("X-List", "one, two"));
    assert_hit(&proxy.send(&proxy.asks("/a").field("X-List", "one,two")));
    assert_hit(&proxy.send(&proxy.asks("/a").field("X-List", "one").field("X-List", "two")));
    assert_forwarded(&proxy.send(&proxy.asks("/a").field("X-List", "two, one")), "vary-miss");
    assert_forwarded(&proxy.send(&proxy.asks("/a").field("X-List", "one two")), "vary-miss");
    assert_forwarded(&proxy.send(&proxy.asks("/a").field("X-List", "One, two")), "vary-miss");
}

#[test]
fn accepted_encodings_are_compared_by_meaning() {
    let origin = Origin::start();
    echoing(&origin, "/a", "Accept-Encoding");
    let proxy = Proxy::before(&origin);
    let ask = |value: &str| proxy.send(&proxy.asks("/a").field("Accept-Encoding", value));
    ask("gzip, br");
    for same in ["br, gzip", "GZIP,br", "gzip;q=1, br;q=1.0"] {
        assert_hit(&ask(same));
    }
    for different in ["gzip", "gzip, br;q=0.5", "gzip, br;q=0", "identity"] {
        assert_forwarded(&ask(different), "vary-miss");
    }
}

#[test]
fn the_latest_answer_says_what_selects() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        let by = if seen.fields.has("X-Turn") { "X-Two" } else { "X-One" };
        ok(seen.fields.one("X-Two").unwrap_or_default()).cache("max-age=60").field("Vary", by)
    });
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("X-One", "1"));
    let second = proxy.asks("/a").field("X-One", "2").field("X-Two", "b").field("X-Turn", "1");
    assert_eq!(proxy.send(&second).text(), "b");
    let same_second = proxy.send(&proxy.asks("/a").field("X-One", "9").field("X-Two", "b"));
    assert_hit(&same_second);
    assert_eq!(same_second.text(), "b");
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn the_newest_of_several_matching_responses_is_served() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        if seen.fields.has("X-Kind") {
            ok("by kind").cache("max-age=60").field("Vary", "X-Kind")
        } else {
            ok("for all").cache("max-age=60")
        }
    });
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("X-Kind", "1"));
    proxy.advance(1);
    assert_eq!(proxy.get("/a").text(), "for all");
    proxy.advance(1);
    let hit = proxy.send(&proxy.asks("/a").field("X-Kind", "1"));
    assert_hit(&hit);
    assert_eq!(hit.text(), "for all");
}

#[test]
fn the_origin_sees_the_selecting_fields_as_the_client_sent_them() {
    let origin = Origin::start();
    echoing(&origin, "/a", "Accept-Language");
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("Accept-Language", "de-CH, de;q=0.9").field("Accept", "text/html"));
    let seen = origin.last();
    assert_eq!(seen.fields.list("Accept-Language"), ["de-CH", "de;q=0.9"]);
    assert_eq!(seen.fields.all("Accept"), ["text/html"]);
}

/// A date says nothing about variants: an origin that compares it alone would vouch for the wrong one (RFC 9111 §4.3.1).
#[test]
fn another_variants_date_is_no_condition() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        let kind = seen.fields.all("X-Kind").join("|");
        if seen.fields.all("If-Modified-Since").is_empty() {
            let answer = ok(kind).cache("max-age=60").field("Vary", "X-Kind");
            answer.field("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
        } else {
            unchanged()
        }
    });
    let proxy = Proxy::before(&origin);
    for kind in ["one", "two"] {
        assert_eq!(proxy.send(&proxy.asks("/a").field("X-Kind", kind)).text(), kind);
    }
}
