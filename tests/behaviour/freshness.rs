//! How long a stored response is fresh (RFC 9111 §4.2, RFC 9213), and what clients may ask of it (§5.2).

use crate::proxy::{
    Proxy, assert_forwarded, assert_hit, assert_not_stored, assert_problem, assert_stale_hit, assert_stored,
    ours,
};
use crate::support::*;

/// 200 `old` with this `Cache-Control` and an entity tag.
pub(crate) fn old(directives: &str) -> Answer {
    ok("old").cache(directives).field("ETag", "\"old\"")
}

/// How many seconds a response stays fresh in `proxy` from now, if it is anything up to the limit.
fn fresh_for(proxy: &Proxy, target: &str) -> i64 {
    let first = proxy.get(target);
    assert_stored(&first);
    let hit = proxy.get(target);
    assert_hit(&hit);
    ours(&hit).ttl.unwrap()
}

#[test]
fn a_stale_response_is_validated_and_is_fresh_again() {
    let origin = Origin::start();
    origin.on("/a").respond(old("max-age=60")).then(unchanged().cache("max-age=60").field("ETag", "\"old\""));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(61);
    let validated = proxy.get("/a");
    assert_eq!((validated.status, validated.text().as_str()), (200, "old"));
    let said = assert_forwarded(&validated, "stale");
    assert_eq!(said.forward_status, Some(304));
    assert_eq!(origin.last().fields.all("If-None-Match"), ["\"old\""]);
    proxy.advance(59);
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!((hit.field("Age").as_deref(), ours(&hit).ttl), (Some("59"), Some(1)));
    origin.was_asked("/a", 2);
}

#[test]
fn a_stale_response_without_validator_is_fetched_anew() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("old").cache("max-age=60")).then(ok("new").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(60);
    let fetched = proxy.get("/a");
    assert_forwarded(&fetched, "stale");
    assert_eq!(fetched.text(), "new");
    let seen = origin.last();
    assert!(!seen.fields.has("If-None-Match") && !seen.fields.has("If-Modified-Since"), "{seen:?}");
    assert_hit(&proxy.get("/a"));
}

#[test]
fn s_maxage_beats_max_age_beats_expires() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let (now, soon) = (proxy.date(0), proxy.date(10));
    origin.on("/s").respond(ok("x").cache("max-age=20, s-maxage=30").field("Expires", &soon));
    origin.on("/m").respond(ok("x").cache("max-age=20").field("Expires", &soon));
    origin.on("/e").respond(ok("x").field("Date", &now).field("Expires", &soon));
    assert_eq!(["/s", "/m", "/e"].map(|target| fresh_for(&proxy, target)), [30, 20, 10]);
}

#[test]
fn expires_counts_from_the_origins_date() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    // The origin's clock is an hour ahead: an hour and ten seconds from our now are ten seconds from its own.
    let (date, expires) = (proxy.date(3600), proxy.date(3610));
    origin.on("/ahead").respond(ok("x").field("Date", date).field("Expires", expires));
    assert_eq!(fresh_for(&proxy, "/ahead"), 10);
}

#[test]
fn a_clock_that_is_behind_makes_a_response_old() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    origin.on("/behind").respond(ok("x").cache("max-age=60").field("Date", proxy.date(-40)));
    assert_eq!(fresh_for(&proxy, "/behind"), 20);
    origin.on("/far").respond(ok("x").cache("max-age=60").field("Date", proxy.date(-100)));
    for _ in 0..2 {
        assert_eq!(proxy.get("/far").text(), "x");
    }
    // It was stale when it came.
    origin.was_asked("/far", 2);
}

#[test]
fn the_time_a_response_took_counts_into_its_age() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("x").cache("max-age=60").field("Age", "10").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let exchange = proxy.asks("/a").begin();
    origin.wait_for(1);
    proxy.advance(5);
    gate.open();
    exchange.finish();
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.field("Age").as_deref(), Some("15"), "Age and the delay are added up (§4.2.3)");
}

#[test]
fn what_is_malformed_is_taken_for_stale() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let soon = proxy.date(60);
    for (target, answer) in [
        ("/word", old("max-age=abc")),
        ("/negative", old("max-age=-5")),
        ("/fraction", old("max-age=5.5")),
        ("/empty", old("max-age=")),
        ("/expires-0", ok("x").field("Expires", "0").field("ETag", "\"1\"")),
        ("/expires-twice", ok("x").field("Expires", "0").field("Expires", &soon)),
        ("/expires-word", ok("x").cache("max-age=x").field("Expires", &soon)),
    ] {
        origin.on(target).respond(answer);
        for _ in 0..2 {
            assert!(!ours(&proxy.get(target)).hit, "{target}");
        }
    }
}

#[test]
fn of_duplicate_directives_the_shorter_counts() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    origin.on("/a").respond(ok("x").cache("max-age=10, max-age=100"));
    origin.on("/b").respond(ok("x").cache("max-age=100").cache("max-age=10"));
    assert_eq!((fresh_for(&proxy, "/a"), fresh_for(&proxy, "/b")), (10, 10));
}

#[test]
fn huge_lifetimes_do_not_overflow() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let huge = ["2147483647", "2147483648", "4294967296", "99999999999999999999", "18446744073709551616"];
    for seconds in huge {
        let target = format!("/{seconds}");
        origin.on(&target).respond(ok("x").cache(&format!("max-age={seconds}")));
        assert!(fresh_for(&proxy, &target) >= 2_147_483_647, "{seconds}");
    }
    proxy.advance(86_400 * 365);
    for seconds in huge {
        assert_hit(&proxy.get(&format!("/{seconds}")));
    }
}

#[test]
fn a_huge_age_makes_a_response_stale() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for age in ["60", "2147483648", "99999999999999999999"] {
        let target = format!("/{age}");
        origin.on(&target).respond(old("max-age=60").field("Age", age));
        proxy.get(&target);
        assert!(!ours(&proxy.get(&target)).hit, "{age}");
    }
}

#[test]
fn cdn_cache_control_is_for_us_and_comes_first() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let targeted = |both: &str, cdn: &str| ok("x").cache(both).field("CDN-Cache-Control", cdn);
    origin.on("/longer").respond(targeted("max-age=5", "max-age=100"));
    origin.on("/instead").respond(targeted("no-store", "max-age=100"));
    origin.on("/unparsable").respond(targeted("max-age=5", "max-age=100, ,"));
    origin.on("/wrong-type").respond(targeted("s-maxage=5", "max-age=\"100\", s-maxage=100.5"));
    origin.on("/never").respond(targeted("max-age=100", "no-store"));
    assert_eq!(fresh_for(&proxy, "/longer"), 100);
    assert_eq!(fresh_for(&proxy, "/instead"), 100);
    assert_eq!(fresh_for(&proxy, "/unparsable"), 5, "what does not parse is ignored (RFC 9213 §2.1)");
    assert_not_stored(&proxy.get("/never"));
    proxy.get("/wrong-type");
    assert!(ours(&proxy.get("/wrong-type")).ttl.is_none_or(|ttl| ttl <= 5));
}

#[test]
fn nothing_is_guessed_unless_the_route_says_so() {
    let origin = Origin::start();
    let guessing = Proxy::with(&origin).route("heuristic = true").start();
    let modified = guessing.date(-1000);
    origin.on("/a").respond(ok("x").field("Last-Modified", &modified).field("Date", guessing.date(0)));
    assert_eq!(fresh_for(&guessing, "/a"), 100);
    let plain = Proxy::before(&origin);
    assert_not_stored(&plain.get("/a"));
}

#[test]
fn a_route_sets_and_bounds_lifetimes() {
    let origin = Origin::start();
    for target in ["/set/short", "/least/short", "/most/short"] {
        origin.on(target).respond(ok("x").cache("max-age=10"));
    }
    origin.on("/most/long").respond(ok("x").cache("max-age=1000"));
    for target in ["/set/none", "/least/none"] {
        origin.on(target).respond(ok("x"));
    }
    for (target, directives) in
        [("/set/secret", "no-store"), ("/set/mine", "private"), ("/least/zero", "max-age=0")]
    {
        origin.on(target).respond(ok("x").cache(directives));
    }
    let proxy = Proxy::with(&origin)
        .route("path = \"/set/*\"\nttl = \"50s\"")
        .route("path = \"/least/*\"\nmin_ttl = \"20s\"")
        .route("path = \"/most/*\"\nmax_ttl = \"30s\"")
        .start();
    let fresh = ["/set/short", "/set/none", "/least/short", "/most/short", "/most/long"];
    assert_eq!(fresh.map(|target| fresh_for(&proxy, target)), [50, 50, 20, 10, 30]);
    for target in ["/set/secret", "/set/mine", "/least/none"] {
        assert_not_stored(&proxy.get(target));
    }
    proxy.get("/least/zero");
    assert!(!ours(&proxy.get("/least/zero")).hit);
}

#[test]
fn no_cache_is_stored_and_validated_every_time() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| match seen.fields.one("If-None-Match").as_deref() {
        Some("\"old\"") => unchanged().field("ETag", "\"old\"").cache("no-cache, max-age=60"),
        _ => old("no-cache, max-age=60, stale-while-revalidate=60"),
    });
    let proxy = Proxy::before(&origin);
    assert_stored(&proxy.get("/a"));
    for round in 2..4 {
        let validated = proxy.get("/a");
        assert_eq!((validated.status, validated.text().as_str()), (200, "old"));
        assert_eq!(ours(&validated).forward_status, Some(304));
        origin.was_asked("/a", round);
    }
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let ask = proxy.asks("/a").field("Cache-Control", "only-if-cached");
    assert_problem(&proxy.send(&ask), 504);
    origin.was_asked("/a", 0);
    proxy.get("/a");
    assert_hit(&proxy.send(&ask));
    proxy.advance(61);
    assert_problem(&proxy.send(&ask), 504);
    origin.was_asked("/a", 1);
}

#[test]
fn a_client_cannot_make_the_cache_work_unless_the_route_says_so() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(10);
    for directives in ["no-cache", "no-store", "max-age=0", "min-fresh=1000"] {
        assert_hit(&proxy.send(&proxy.asks("/a").field("Cache-Control", directives)));
    }
    assert_hit(&proxy.send(&proxy.asks("/a").field("Pragma", "no-cache")));
    origin.was_asked("/a", 1);
    proxy.advance(60);
    proxy.send(&proxy.asks("/a").field("Cache-Control", "max-stale"));
    origin.was_asked("/a", 2);
}

#[test]
fn a_clients_directives_count_where_they_are_honoured() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| match seen.fields.one("If-None-Match") {
        Some(_) => unchanged().field("ETag", "\"old\""),
        None => old("max-age=60"),
    });
    let proxy = Proxy::with(&origin).route("client_cache_control = \"honor\"").start();
    let with = |name: &str, value: &str| proxy.send(&proxy.asks("/a").field(name, value));
    proxy.get("/a");
    for (name, value) in
        [("Cache-Control", "no-cache"), ("Cache-Control", "max-age=0"), ("Pragma", "no-cache")]
    {
        proxy.advance(1);
        let validated = with(name, value);
        assert_eq!(validated.text(), "old");
        assert_eq!(assert_forwarded(&validated, "request").forward_status, Some(304), "{name}: {value}");
    }
    origin.was_asked("/a", 4);
    proxy.advance(30);
    assert_hit(&with("Cache-Control", "max-age=30"));
    assert_hit(&with("Cache-Control", "min-fresh=30"));
    origin.was_asked("/a", 4);
    proxy.advance(1);
    assert_forwarded(&with("Cache-Control", "max-age=30"), "request");
    proxy.advance(31);
    assert_forwarded(&with("Cache-Control", "min-fresh=30"), "request");
    origin.was_asked("/a", 6);
    proxy.advance(80);
    assert_stale_hit(&with("Cache-Control", "max-stale"));
    assert_stale_hit(&with("Cache-Control", "max-stale=20"));
    origin.was_asked("/a", 6);
    assert_forwarded(&with("Cache-Control", "max-stale=19"), "stale");
}

#[test]
fn an_honoured_no_store_keeps_the_answer_out() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::with(&origin).route("client_cache_control = \"honor\"").start();
    assert_not_stored(&proxy.send(&proxy.asks("/a").field("Cache-Control", "no-store")));
    assert_stored(&proxy.get("/a"));
}

#[test]
fn stale_responses_are_kept_for_their_validator() {
    let origin = Origin::start();
    origin.on("/a").respond(old("max-age=10")).then(unchanged().field("ETag", "\"old\""));
    let proxy = Proxy::with(&origin).cache("keep = \"10m\"").start();
    proxy.get("/a");
    proxy.advance(10 + 599);
    assert_eq!(proxy.get("/a").text(), "old");
    assert!(origin.last().fields.has("If-None-Match"));
}
