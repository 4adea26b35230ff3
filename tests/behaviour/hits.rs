//! Storing and reusing: what is kept, what a hit looks like, and what makes two requests the same.

use crate::proxy::{Proxy, assert_forwarded, assert_hit, assert_not_stored, assert_stored, ours};
use crate::support::*;

#[test]
fn a_fresh_response_is_fetched_once() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("Content-Type", "text/plain"));
    let proxy = Proxy::before(&origin);
    let first = proxy.get("/a");
    assert_eq!((first.status, first.text().as_str()), (200, "hello"));
    let said = assert_forwarded(&first, "uri-miss");
    assert_eq!((said.forward_status, said.stored, said.collapsed), (Some(200), true, false));
    for _ in 0..3 {
        let again = proxy.get("/a");
        assert_eq!((again.status, again.text().as_str()), (200, "hello"));
        assert_eq!(again.field("Content-Type").as_deref(), Some("text/plain"));
        assert_eq!(again.field("Cache-Control").as_deref(), Some("max-age=60"));
        assert_hit(&again);
    }
    origin.was_asked("/a", 1);
}

#[test]
fn age_counts_the_seconds_in_the_store() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    for (age, ttl) in [(0, 60), (7, 53), (59, 1)] {
        proxy.advance(age - proxy.get("/a").field("Age").unwrap().parse::<u64>().unwrap());
        let hit = proxy.get("/a");
        assert_eq!(hit.field("Age"), Some(age.to_string()));
        assert_eq!(ours(&hit).ttl, Some(ttl));
    }
    origin.was_asked("/a", 1);
}

#[test]
fn the_age_that_came_with_a_response_is_added_to() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("Age", "10"));
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/a").field("Age").as_deref(), Some("10"));
    proxy.advance(5);
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!((hit.field("Age").as_deref(), ours(&hit).ttl), (Some("15"), Some(45)));
    proxy.advance(45);
    proxy.get("/a");
    origin.was_asked("/a", 2);
}

#[test]
fn a_missing_date_is_added_and_stays() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let date = proxy.date(0);
    assert_eq!(proxy.get("/a").field("Date"), Some(date.clone()));
    proxy.advance(10);
    assert_eq!(proxy.get("/a").field("Date"), Some(date));
}

#[test]
fn the_origins_date_is_kept() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let date = proxy.date(-3);
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("Date", &date));
    assert_eq!(proxy.get("/a").field("Date"), Some(date.clone()));
    let hit = proxy.get("/a");
    assert_eq!((hit.field("Date"), hit.field("Age")), (Some(date), Some("3".into())));
}

#[test]
fn cache_status_is_appended_to_what_is_there() {
    let origin = Origin::start();
    let inner = "inner; fwd=uri-miss; fwd-status=200";
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("Cache-Status", inner));
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        let all = CacheStatus::all(&proxy.get("/a").fields);
        let names: Vec<&str> = all.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["inner", "larder"]);
    }
}

#[test]
fn the_name_in_cache_status_and_via_is_configurable() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::with(&origin).server("name = \"pantry\"").start();
    let answered = proxy.get("/a");
    assert_eq!(CacheStatus::all(&answered.fields)[0].name, "pantry");
    assert_eq!(answered.fields.list("Via"), ["1.1 pantry"]);
    assert_eq!(origin.last().fields.list("Via"), ["1.1 pantry"]);
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("X-A", "1"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    let head = proxy.head("/a");
    assert_hit(&head);
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert_eq!(
        (head.field("Content-Length").as_deref(), head.field("X-A").as_deref()),
        (Some("5"), Some("1"))
    );
    origin.was_asked("/a", 1);
}

#[test]
fn head_on_a_miss_is_passed_and_serves_no_get() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let head = proxy.head("/a");
    assert_eq!((head.status, head.field("Content-Length").as_deref()), (200, Some("5")));
    assert_eq!(origin.last().method, "HEAD");
    let got = proxy.get("/a");
    assert_forwarded(&got, "uri-miss");
    assert_eq!((got.text().as_str(), origin.last().method.as_str()), ("hello", "GET"));
}

#[test]
fn requests_for_different_targets_are_kept_apart() {
    let origin = Origin::start();
    let targets =
        ["/a", "/A", "/a/", "/a?", "/a?x=1", "/a?x=2", "/a?x=1&y", "/%61", "/a//b", "/a/./b", "/a/b"];
    let proxy = Proxy::before(&origin);
    for target in targets {
        origin.on(target).respond(ok(target).cache("max-age=60"));
        assert_eq!(proxy.get(target).text(), target);
    }
    for target in targets {
        let hit = proxy.get(target);
        assert_hit(&hit);
        assert_eq!((hit.text().as_str(), origin.count(target)), (target, 1));
    }
}

#[test]
fn requests_for_different_hosts_are_kept_apart() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| ok(seen.fields.one("Host").unwrap()).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let hosts = ["one.example", "two.example", "one.example:8000", "one.example:443"];
    for host in hosts {
        assert_eq!(proxy.send(&proxy.asks("/a").host(host)).text(), host);
    }
    for host in hosts {
        let hit = proxy.send(&proxy.asks("/a").host(host));
        assert_hit(&hit);
        assert_eq!(hit.text(), host);
    }
    origin.was_asked("/a", hosts.len());
}

#[test]
fn a_host_is_the_same_in_capitals_and_with_the_default_port() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    for host in ["Example.COM", "example.com:80"] {
        assert_hit(&proxy.send(&proxy.asks("/a").host(host)));
    }
    proxy.send(&proxy.asks("/a").host("[::1]:80"));
    assert_hit(&proxy.send(&proxy.asks("/a").host("[::1]")));
    let absolute = proxy.asks("http://Example.com:80/a").host("example.com");
    assert_hit(&proxy.send(&absolute));
    // Once for each of the two hosts.
    origin.was_asked("/a", 2);
}

#[test]
fn a_trusted_proxys_scheme_is_part_of_the_key_and_nobody_elses() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| ok(seen.fields.one("X-Forwarded-Proto").unwrap()).cache("max-age=60"));
    let trusting = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.1/32\"]").start();
    assert_eq!(trusting.get("/a").text(), "http");
    assert_eq!(trusting.send(&trusting.asks("/a").field("X-Forwarded-Proto", "https")).text(), "https");
    assert_eq!(trusting.get("/a").text(), "http");
    origin.was_asked("/a", 2);
    let wary = Proxy::before(&origin);
    assert_eq!(wary.send(&wary.asks("/a").field("X-Forwarded-Proto", "https")).text(), "http");
    let spoofed = wary.send(&wary.asks("/a").field("X-Forwarded-Proto", "gopher"));
    assert_hit(&spoofed);
    assert_eq!((spoofed.text().as_str(), origin.count("/a")), ("http", 3));
}

#[test]
fn get_with_content_is_passed_and_not_stored() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| ok(seen.content()).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    for content in ["x=1", "x=2"] {
        let passed = proxy.send(&proxy.asks("/a").content(content));
        assert_eq!(passed.text(), content);
        assert_not_stored(&passed);
    }
    let got = proxy.get("/a");
    assert_eq!(got.text(), "");
    assert_stored(&got);
    assert_eq!(proxy.send(&proxy.asks("/a").content("x=3")).text(), "x=3");
}

#[test]
fn what_does_not_clearly_say_that_it_may_be_shared_is_not_stored() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let last_modified = proxy.date(-86_400);
    let unstorable = [
        ("nothing", ok("x")),
        ("validator", ok("x").field("ETag", "\"1\"").field("Last-Modified", &last_modified)),
        ("public", ok("x").cache("public")),
        ("no-store", ok("x").cache("no-store, max-age=60")),
        ("private", ok("x").cache("private, max-age=60")),
        ("second line", ok("x").cache("max-age=60").cache("No-Store")),
        ("cookie", ok("x").cache("max-age=60").field("Set-Cookie", "a=1")),
        ("vary", ok("x").cache("max-age=60").field("Vary", "Accept, *")),
        ("vary line", ok("x").cache("max-age=60").field("Vary", "Accept").field("Vary", "*")),
        ("unknown must-understand", answer(299, "x").cache("max-age=60, must-understand")),
    ];
    for (name, answer) in unstorable {
        let target = format!("/{}", name.replace(' ', "-"));
        origin.on(&target).respond(answer);
        for _ in 0..2 {
            let answered = proxy.get(&target);
            assert_not_stored(&answered);
            assert!(ours(&answered).detail.is_some(), "{name}: a refusal has a reason: {answered:?}");
        }
        assert_eq!(origin.count(&target), 2, "{name}");
    }
}

#[test]
fn what_says_that_it_may_be_shared_is_stored() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let later = proxy.date(60);
    let storable = [
        ("max-age", ok("x").cache("max-age=60")),
        ("s-maxage", ok("x").cache("s-maxage=60")),
        ("expires", ok("x").field("Expires", &later)),
        ("public cookie", ok("x").cache("public, max-age=60").field("Set-Cookie", "a=1")),
        ("s-maxage cookie", ok("x").cache("s-maxage=60").field("Set-Cookie", "a=1")),
        ("must-understand", ok("x").cache("max-age=60, no-store, must-understand")),
        ("empty", ok("").cache("max-age=60")),
        ("204", nothing().cache("max-age=60")),
        ("301", answer(301, "x").cache("max-age=60").field("Location", "/b")),
        ("302", answer(302, "x").cache("max-age=60").field("Location", "/b")),
        ("404", answer(404, "x").cache("max-age=60")),
        ("410", answer(410, "x").cache("max-age=60")),
        ("unknown", answer(299, "x").cache("max-age=60")),
        ("chunked", ok("x").cache("max-age=60").chunked()),
        ("close-delimited", ok("x").cache("max-age=60").close_delimited()),
    ];
    for (name, answer) in storable {
        let target = format!("/{}", name.replace(' ', "-"));
        origin.on(&target).respond(answer);
        let first = proxy.get(&target);
        assert_stored(&first);
        let again = proxy.get(&target);
        assert_hit(&again);
        assert_eq!((again.status, again.text()), (first.status, first.text()), "{name}");
        assert_eq!(again.field("Location"), first.field("Location"), "{name}");
        assert_eq!(origin.count(&target), 1, "{name}");
    }
}

#[test]
fn a_route_may_allow_set_cookie() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60").field("Set-Cookie", "theme=dark"));
    let proxy = Proxy::with(&origin).route("allow_set_cookie = true").start();
    assert_stored(&proxy.get("/a"));
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.fields.all("Set-Cookie"), ["theme=dark"]);
}

#[test]
fn an_answer_to_authorization_is_shared_only_if_it_says_so() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let ask = |target: &str| proxy.send(&proxy.asks(target).field("Authorization", "Basic YTpi"));
    for (directives, shared) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
        ("max-age=60, proxy-revalidate", false),
    ] {
        let target = format!("/{}", directives.replace(", ", "+"));
        origin.on(&target).respond(ok("x").cache(directives));
        assert_eq!(ours(&ask(&target)).stored, shared, "{directives}");
        assert_eq!(ours(&proxy.get(&target)).hit, shared, "{directives}");
    }
}

#[test]
fn an_answer_to_post_is_stored_for_get_if_it_says_what_it_is() {
    let origin = Origin::start();
    origin.on("POST /a").respond(ok("state").cache("max-age=60").field("Content-Location", "/a"));
    origin.on("POST /b").respond(ok("state").cache("max-age=60"));
    origin.on("POST /c").respond(ok("state").cache("max-age=60").field("Content-Location", "/other"));
    origin.on("POST /d").respond(ok("state").field("Content-Location", "/d"));
    for target in ["/b", "/c", "/d"] {
        origin.on(&format!("GET {target}")).respond(ok("got"));
    }
    let proxy = Proxy::before(&origin);
    let post = |target: &str| proxy.send(&proxy.ask("POST", target).content("x")).text();
    for target in ["/a", "/b", "/c", "/d"] {
        assert_eq!(post(target), "state");
    }
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "state");
    for target in ["/b", "/c", "/d"] {
        assert_eq!(proxy.get(target).text(), "got");
    }
    assert_eq!(
        (post("/a").as_str(), origin.count("/a")),
        ("state", 2),
        "a POST is never answered from the store"
    );
}

#[test]
fn a_hit_repeats_every_field_line_and_every_byte() {
    let origin = Origin::start();
    let answer = ok("x").cache("max-age=60").field("X-List", "1").field("X-Other", "").field("X-List", "2");
    origin.on("/a").respond(answer.field("X-List", "1").field("X-Text", b"\xe9t\xe9 \"a\",b ;c"));
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        let answered = proxy.get("/a");
        assert_eq!(answered.fields.all("X-List"), ["1", "2", "1"]);
        assert_eq!(answered.fields.all("X-Other"), [""]);
        assert_eq!(answered.fields.bytes("X-Text"), [b"\xe9t\xe9 \"a\",b ;c"]);
    }
}

#[test]
fn fields_that_are_private_or_to_be_validated_are_not_stored() {
    let origin = Origin::start();
    for (target, directives) in [
        ("/private", "max-age=60, private=\"X-Mine\""),
        ("/no-cache", "max-age=60, no-cache=\"x-mine, X-Other\""),
        ("/cookie", "public, max-age=60, no-cache=\"Set-Cookie, X-Mine\""),
    ] {
        let answer = ok("x").cache(directives).field("X-Mine", "1").field("X-Kept", "1");
        origin.on(target).respond(answer);
    }
    let proxy = Proxy::before(&origin);
    for target in ["/private", "/no-cache", "/cookie"] {
        assert!(proxy.get(target).fields.has("X-Mine"), "{target}: it is for the one who asked");
        let hit = proxy.get(target);
        assert_hit(&hit);
        assert_eq!((hit.fields.has("X-Mine"), hit.fields.has("X-Kept")), (false, true), "{target}");
    }
}

#[test]
fn large_content_comes_out_as_it_went_in() {
    let origin = Origin::start();
    let content: Vec<u8> = (0..1_500_000_u32).flat_map(|n| [(n >> 8) as u8 ^ n as u8]).collect();
    origin.on("/a").respond(ok(&content).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    assert!(proxy.get("/a").content == content);
    proxy.wait_for_metric("larder_store_entries", 1.0);
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.field("Content-Length"), Some(content.len().to_string()));
    assert!(hit.content == content);
    origin.was_asked("/a", 1);
}

#[test]
fn tags_are_for_us_and_groups_for_everyone() {
    let origin = Origin::start();
    let tagged = ok("x").cache("max-age=60").field("Cache-Tag", "a,b").field("Surrogate-Key", "c d");
    origin.on("/a").respond(tagged.field("xkey", "e").field("Cache-Groups", "\"g\""));
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        let answered = proxy.get("/a");
        for ours in ["Cache-Tag", "Surrogate-Key", "xkey"] {
            assert!(!answered.fields.has(ours), "{ours} was sent on: {answered:?}");
        }
        assert_eq!(answered.fields.all("Cache-Groups"), ["\"g\""]);
    }
}

#[test]
fn a_route_without_cache_passes_everything() {
    let origin = Origin::start();
    origin.on("/api/a").respond(ok("x").cache("max-age=60"));
    origin.on("/b").respond(ok("x").cache("max-age=60"));
    let proxy = Proxy::with(&origin).route("path = \"/api/**\"\ncache = false").start();
    for _ in 0..2 {
        let passed = proxy.get("/api/a");
        assert_forwarded(&passed, "bypass");
        assert_not_stored(&passed);
    }
    proxy.get("/b");
    assert_hit(&proxy.get("/b"));
}
