//! After a soft purge, the hottest of what it hit is fetched anew before anybody asks for it.

use std::sync::Arc;

use larder::validity::Subject;

use crate::proxy::{Proxy, Setup, assert_hit, assert_stored, wait_until};
use crate::support::*;

/// What the origin says about all of them.
fn page(text: &str) -> Answer {
    ok(text).cache("max-age=100").field("ETag", "\"1\"").field("Cache-Tag", "t")
}

fn same() -> Answer {
    unchanged().field("ETag", "\"1\"").cache("max-age=100")
}

/// A proxy that has stored each target and served it from the store so many times.
fn heated(origin: &Origin, setup: Setup, targets: &[(&str, usize)]) -> Proxy {
    let proxy = setup.start();
    for (target, hits) in targets {
        origin.on(target).respond(page("first")).then(same());
        assert_stored(&proxy.get(target));
        for _ in 0..*hits {
            assert_hit(&proxy.asks(target).send());
        }
    }
    origin.forget();
    proxy
}

fn targets(seen: &[Arc<Seen>]) -> Vec<&str> {
    seen.iter().map(|seen| seen.target.as_str()).collect()
}

/// Waits until the response is fresh again, without asking for it.
#[track_caller]
fn wait_until_stale_is_only(proxy: &Proxy, count: usize) {
    let stale = || {
        let store = proxy.larder().store();
        let log = proxy.larder().log();
        let alive = store.entries().filter_map(|entry| log.check(&entry.marks, &entry.stamp));
        alive.filter(|alive| alive.softened().is_some()).count()
    };
    assert!(wait_until(|| stale() == count), "{} are stale", stale());
}

#[test]
fn the_hottest_are_refreshed_the_hottest_first_and_no_others() {
    let origin = Origin::start();
    let rows = [("/1", 1), ("/2", 8), ("/3", 0), ("/4", 12), ("/5", 4)];
    let setup = Proxy::with(&origin).purge("refresh_concurrency = 1");
    let proxy = heated(&origin, setup, &rows);
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.larder().refresher().refresh(sequence, 3);
    let seen = origin.wait_for(3);
    assert_eq!(targets(&seen), ["/4", "/2", "/5"]);
    wait_until_stale_is_only(&proxy, 2);
    for target in ["/4", "/2", "/5"] {
        assert_hit(&proxy.get(target));
    }
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn only_so_many_are_on_the_way_at_once() {
    let origin = Origin::start();
    let rows: Vec<String> = (0..6).map(|i| format!("/{i}")).collect();
    let rows: Vec<(&str, usize)> = rows.iter().map(|target| (target.as_str(), 1)).collect();
    let proxy = heated(&origin, Proxy::with(&origin).purge("refresh_concurrency = 2"), &rows);
    let gates: Vec<Gate> = rows.iter().map(|_| Gate::closed()).collect();
    for ((target, _), gate) in rows.iter().zip(&gates) {
        origin.on(target).respond(same().held_by(gate));
    }
    let sequence = proxy.soften(Subject::Everything);
    proxy.larder().refresher().refresh(sequence, 100);
    for answered in 0..rows.len() {
        let seen = origin.wait_for((answered + 2).min(rows.len()));
        assert!(seen.len() <= answered + 2, "{:?} after {answered} answers", targets(&seen));
        let next: usize = seen[answered].target[1..].parse().unwrap();
        gates[next].open();
    }
    wait_until_stale_is_only(&proxy, 0);
}

#[test]
fn clients_share_the_fetch() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a", 1)]);
    let gate = Gate::closed();
    origin.on("/a").respond(page("second").held_by(&gate));
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.larder().refresher().refresh(sequence, 10);
    origin.wait_for(1);
    let clients: Vec<Exchange> = (0..5).map(|_| proxy.asks("/a").begin()).collect();
    proxy.settle();
    gate.open();
    clients.into_iter().for_each(|client| assert_eq!(client.finish().text(), "second"));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_a_client_already_refreshes_is_not_asked_for_twice() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a", 1), ("/b", 0)]);
    let gate = Gate::closed();
    origin.on("/a").respond(page("second").held_by(&gate));
    let sequence = proxy.soften(Subject::Tag("t"));
    let client = proxy.asks("/a").begin();
    origin.wait_for(1);
    proxy.larder().refresher().refresh(sequence, 10);
    // The hottest comes first, so this one is asked for when the other has found its flight.
    assert_eq!(targets(&origin.wait_for(2)), ["/a", "/b"]);
    gate.open();
    assert_eq!(client.finish().text(), "second");
    wait_until_stale_is_only(&proxy, 0);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn each_variant_is_refreshed_by_the_fields_that_select_it() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        let coding = seen.fields.all("Accept-Encoding").join("|");
        let answer = ok(coding).cache("max-age=100").field("Vary", "Accept-Encoding, X-Kind");
        answer.field("Cache-Tag", "t")
    });
    let proxy = Proxy::before(&origin);
    let asks = ["gzip", "br , GZIP"].map(|coding| proxy.asks("/a").field("Accept-Encoding", coding));
    asks.iter().for_each(|ask| assert_stored(&proxy.send(ask)));
    origin.forget();
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.larder().refresher().refresh(sequence, 10);
    let seen = origin.wait_for(2);
    let mut codings: Vec<Vec<String>> = seen.iter().map(|seen| seen.fields.all("Accept-Encoding")).collect();
    codings.sort();
    assert_eq!(codings, [["br,gzip"], ["gzip"]]);
    assert!(seen.iter().all(|seen| !seen.fields.has("X-Kind")));
    wait_until_stale_is_only(&proxy, 0);
    asks.iter().for_each(|ask| assert_hit(&proxy.send(ask)));
}

#[test]
fn the_origin_is_told_that_nobody_in_particular_asks() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a?b=c", 1)]);
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.larder().refresher().refresh(sequence, 1);
    let seen = &origin.wait_for(1)[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/a?b=c"));
    let one = |name: &str| seen.fields.one(name);
    assert_eq!(one("Host").as_deref(), Some("example.com"));
    assert_eq!(one("If-None-Match").as_deref(), Some("\"1\""));
    assert_eq!(one("X-Forwarded-For"), None);
    assert_eq!(one("Forwarded").as_deref(), Some("for=unknown;host=\"example.com\";proto=http"));
    assert!(seen.fields.has("Via") && seen.fields.has("CDN-Loop"));
}

#[test]
fn what_was_asked_for_by_https_is_asked_for_as_that() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.1\"]").start();
    origin.on("/a").respond(page("first")).then(same());
    let ask = proxy.asks("/a").host("example.com:8443").field("X-Forwarded-Proto", "https");
    assert_stored(&proxy.send(&ask));
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.larder().refresher().refresh(sequence, 1);
    let seen = origin.wait_for(2);
    assert_eq!(seen[1].fields.one("X-Forwarded-Proto").as_deref(), Some("https"));
    wait_until_stale_is_only(&proxy, 0);
    assert_hit(&proxy.send(&ask));
}

#[test]
fn what_an_earlier_purge_hit_is_left_alone() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a", 9), ("/b", 1), ("/c", 0)]);
    proxy.soften(Subject::Url("example.com/a"));
    let sequence = proxy.soften(Subject::Url("example.com/b"));
    proxy.larder().refresher().refresh(sequence, 10);
    assert_eq!(targets(&origin.wait_for(1)), ["/b"]);
    wait_until_stale_is_only(&proxy, 1);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_a_hard_purge_killed_is_left_alone() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a", 9), ("/b", 1)]);
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.purge(Subject::Url("example.com/a"));
    proxy.larder().refresher().refresh(sequence, 10);
    assert_eq!(targets(&origin.wait_for(1)), ["/b"]);
    wait_until_stale_is_only(&proxy, 0);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_origin_that_fails_is_not_asked_again_and_again() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a", 1)]);
    origin.on("/a").respond(problem(503));
    let sequence = proxy.soften(Subject::Tag("t"));
    proxy.larder().refresher().refresh(sequence, 10);
    origin.wait_for(1);
    proxy.wait_for_metric("larder_origin_fetches_total{upstream=\"origin\",result=\"5xx\"}", 1.0);
    origin.on("/a").respond(page("second"));
    let sequence = proxy.soften(Subject::Url("example.com/b"));
    proxy.larder().refresher().refresh(sequence, 10);
    proxy.advance(2);
    assert_eq!(proxy.get("/a").text(), "second");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn orders_follow_each_other() {
    let origin = Origin::start();
    let proxy = heated(&origin, Proxy::with(&origin), &[("/a", 1), ("/b", 1)]);
    for (target, count) in [("/a", 1), ("/b", 2), ("/a", 3)] {
        let sequence = proxy.soften(Subject::Url(&format!("example.com{target}")));
        proxy.larder().refresher().refresh(sequence, 10);
        assert_eq!(origin.wait_for(count)[count - 1].target, target);
        wait_until_stale_is_only(&proxy, 0);
    }
}
