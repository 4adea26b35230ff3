//! Which of several stored responses fits a request (RFC 9111 §4.1).

use larder::validity::Subject;

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
    origin.was_asked("/a", 2);
}

#[test]
fn an_absent_field_is_a_value_of_its_own() {
    let origin = Origin::start();
    echoing(&origin, "/a", "X-Kind");
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.asks("/a").field("X-Kind", "one"));
    assert_forwarded(&proxy.get("/a"), "vary-miss");
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 2);
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
        origin.was_asked(target, 2);
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
    origin.was_asked("/a", 2);
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

/// What is asked on behalf of all whose fields mean the same must not depend on how one of them spelled it.
#[test]
fn an_origin_that_is_known_to_choose_by_a_field_gets_it_in_normal_form() {
    for (name, first, spelled, normal, meaning_the_same) in [
        ("Accept-Encoding", "gzip", "GZIP , br;q=0.50", "gzip,br;q=0.500", "br;q=0.5,x-gzip"),
        ("Accept-Language", "de", "fr;q=0.8, de-CH", "de-ch,fr;q=0.800", "DE-ch, fr;q=0.800"),
        ("X-Kind", "a", "a , \"b, c\"", "a,\"b, c\"", "a,\t\"b, c\""),
    ] {
        let origin = Origin::start();
        echoing(&origin, "/a", name);
        let proxy = Proxy::before(&origin);
        let ask = |value: &str| proxy.send(&proxy.asks("/a").field(name, value));
        assert_eq!(ask(first).text(), first);
        assert_eq!(ask(spelled).text(), normal, "{name}");
        let same = ask(meaning_the_same);
        assert_hit(&same);
        assert_eq!(same.text(), normal, "{name}");
    }
}

#[test]
fn waiters_that_mean_the_same_share_one_fetch_in_normal_form() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let answer = |content: &str| ok(content).cache("max-age=60").field("Vary", "Accept-Encoding");
    origin.on("/a").respond(answer("plain")).then(answer("packed").held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    let ask = |value: &str| proxy.asks("/a").field("Accept-Encoding", value).begin();
    let leader = ask("zstd;q=1.0 , GZIP");
    origin.wait_for(2);
    let waiter = ask("gzip, zstd");
    proxy.settle();
    gate.open();
    assert_eq!((leader.finish().text(), waiter.finish().text()), ("packed".into(), "packed".into()));
    origin.was_asked("/a", 2);
    assert_eq!(origin.last().fields.all("Accept-Encoding"), ["gzip,zstd"]);
}

/// A comma in it separates nothing, and origins look for certain words.
#[test]
fn what_is_no_list_is_compared_and_sent_as_it_is() {
    let origin = Origin::start();
    echoing(&origin, "/a", "User-Agent");
    let proxy = Proxy::before(&origin);
    let ask = |value: &str| proxy.send(&proxy.asks("/a").field("User-Agent", value));
    ask("x");
    assert_eq!(ask("Mozilla/5.0 (KHTML, like Gecko)").text(), "Mozilla/5.0 (KHTML, like Gecko)");
    assert_forwarded(&ask("Mozilla/5.0 (KHTML,like Gecko)"), "vary-miss");
}

/// Who says so cannot make the conditions of one client count for all.
#[test]
fn what_only_concerns_one_client_is_not_sent_on_though_it_selects() {
    let origin = Origin::start();
    let answer = ok("x").cache("max-age=60").field("Vary", "If-None-Match, Range, Cache-Control");
    origin.on("/a").respond(answer);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    let ask = proxy.asks("/a").field("If-None-Match", "\"1\"").field("Cache-Control", "no-cache");
    assert_forwarded(&proxy.send(&ask), "vary-miss");
    for name in ["If-None-Match", "Range", "Cache-Control"] {
        assert!(!origin.last().fields.has(name), "{name}");
    }
}

#[test]
fn before_that_is_known_the_origin_sees_the_fields_as_the_client_sent_them() {
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

/// It had nothing to offer for the other variant, so there was nothing to confirm.
#[test]
fn a_304_that_nobody_asked_for_gives_no_other_variant() {
    let origin = Origin::start();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    origin.on("/a").choose(move |seen| match seen.fields.one("X-Kind").as_deref() {
        Some("two") if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => unchanged(),
        kind => ok(kind.unwrap_or_default()).cache("max-age=60").field("Vary", "X-Kind"),
    });
    let proxy = Proxy::before(&origin);
    for kind in ["one", "two"] {
        assert_eq!(proxy.send(&proxy.asks("/a").field("X-Kind", kind)).text(), kind);
    }
}

/// What has been superseded is older than the purge, too, whatever it answers to itself.
#[test]
fn a_purge_does_not_uncover_what_the_purged_response_had_superseded() {
    let origin = Origin::start();
    let first = ok("first").cache("max-age=10, stale-while-revalidate=1000");
    let second = ok("second").cache("max-age=1000").field("Vary", "X-Kind").field("Cache-Tag", "t");
    origin.on("/a").respond(first).then(second).then(ok("third").cache("max-age=10"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    assert_eq!(proxy.get("/a").text(), "first");
    origin.wait_for(2);
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "second");
    proxy.purge(Subject::Tag("t"));
    assert_eq!(proxy.get("/a").text(), "third");
}
