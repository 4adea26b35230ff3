//! The doors by which purges come, and what they reach. That nothing stale gets past a purge is proved elsewhere
//! (`tests/promise`); here it is about who is understood, and what is meant.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::proxy::{Proxy, assert_forwarded, assert_hit, assert_problem, assert_stale_hit, ours, wait_until};
use crate::support::*;

/// An origin whose answers say how often it was asked for a target, and are tagged `all` and `of` the target.
fn counting() -> Origin {
    let origin = Origin::start();
    for target in ["/a", "/a/b", "/ab", "/a?q", "/b", "/c", "/vary"] {
        let asked = AtomicU32::new(0);
        origin.on(target).choose(move |_| {
            let count = asked.fetch_add(1, Ordering::Relaxed) + 1;
            let tags = format!("all,of{target}");
            let answer = ok(count.to_string()).cache("max-age=60").field("Cache-Tag", tags);
            if target == "/vary" { answer.field("Vary", "X-Variant") } else { answer }
        });
    }
    origin
}

fn post(proxy: &Proxy, kind: &str, content: &str) -> Answered {
    let ask = proxy.admin().ask("POST", "/purge").host("localhost").field("Content-Type", kind);
    ask.content(content).send()
}

/// Purges by JSON and expects it to be done; what was answered.
#[track_caller]
fn purge(proxy: &Proxy, asked: Value) -> Value {
    let answered = post(proxy, "application/json", &asked.to_string());
    assert_eq!(answered.status, 200, "{asked}: {}", answered.text());
    assert_eq!(answered.field("Content-Type").as_deref(), Some("application/json"));
    serde_json::from_str(&answered.text()).unwrap()
}

fn api(proxy: &Proxy, target: &str) -> Value {
    let answered = proxy.admin().asks(target).host("localhost").send();
    assert_eq!(answered.status, 200, "{target}: {}", answered.text());
    serde_json::from_str(&answered.text()).unwrap()
}

/// Stores these and says how often the origin has been asked for each.
fn versions(proxy: &Proxy, targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| proxy.get(target).text()).collect()
}

/// The lines that the documentation promises, typed into a shell.
#[test]
fn the_documented_curl_lines_work() {
    let origin = Origin::start();
    let answer = || ok("x").cache("max-age=60").field("Cache-Tag", "product-42");
    origin.on("/products/42").respond(answer());
    let proxy = Proxy::with(&origin).server("instance = \"here\"").start();
    let admin = proxy.admin().addr().port();
    let lines = [
        ("curl -d tag=product-42 localhost:8081/purge", false),
        ("curl -d url=http://api.example.com/products/42 -d soft=1 localhost:8081/purge", true),
        (
            "curl -H 'Content-Type: application/json' -d '{\"tags\":[\"product-42\"],\"soft\":true}' \
             localhost:8081/purge",
            true,
        ),
    ];
    for (number, (line, soft)) in lines.into_iter().enumerate() {
        proxy.send(&proxy.asks("/products/42").host("api.example.com"));
        assert_hit(&proxy.asks("/products/42").host("api.example.com").send());
        let line = line.replace("localhost:8081", &format!("127.0.0.1:{admin}"));
        let output = std::process::Command::new("sh").args(["-c", &format!("{line} -sS")]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let sequence = number + 1;
        let expected =
            format!("{{\"instance\":\"here\",\"sequence\":{sequence},\"soft\":{soft},\"entries\":");
        // What an earlier line has killed may still be counted.
        let entries = told.strip_prefix(&expected).and_then(|rest| rest.strip_suffix("}\n")).map(str::parse);
        let entries: u32 = entries.unwrap_or_else(|| panic!("{line}: {told}")).unwrap();
        assert!((1..=sequence).contains(&(entries as usize)), "{line}: {told}");
        assert!(!ours(&proxy.send(&proxy.asks("/products/42").host("api.example.com"))).hit, "{line}");
    }
}

#[test]
fn every_kind_of_target_reaches_what_it_names_and_nothing_else() {
    let origin = counting();
    let proxy = Proxy::before(&origin);
    let targets = ["/a", "/a/b", "/ab", "/a?q"];
    for (form, json, reached) in [
        ("url=http://example.com/a", json!({"urls": ["https://EXAMPLE.com:443/a"]}), "2 1 1 1"),
        ("tag=of/a", json!({"tags": ["of/a"]}), "2 1 1 1"),
        ("tag=all", json!({"tags": ["all"]}), "2 2 2 2"),
        ("prefix=example.com/a/", json!({"prefixes": ["http://example.com/a/"]}), "1 2 1 1"),
        ("prefix=example.com/a", json!({"prefixes": ["example.com:80/a"]}), "2 2 2 2"),
        ("host=Example.com", json!({"hosts": ["example.com"]}), "2 2 2 2"),
        ("everything=1", json!({"everything": true}), "2 2 2 2"),
        ("url=example.com/a?q&tag=of/ab", json!({"urls": ["example.com/a?q"], "tags": ["of/ab"]}), "1 1 2 2"),
        ("tag=none", json!({"tags": ["of/a/"], "hosts": ["other"], "urls": ["example.com:81/a"]}), "1 1 1 1"),
        ("group=example.com%23of/a", json!({"groups": ["http://example.com#of/a"]}), "1 1 1 1"),
    ] {
        for format in ["form", "json"] {
            purge(&proxy, json!({"everything": true}));
            let before: Vec<u32> =
                versions(&proxy, &targets).iter().map(|text| text.parse().unwrap()).collect();
            let answered = match format {
                "form" => post(&proxy, "application/x-www-form-urlencoded", form),
                _ => post(&proxy, "application/json; charset=utf-8", &json.to_string()),
            };
            assert_eq!(answered.status, 200, "{form}: {}", answered.text());
            let after = versions(&proxy, &targets);
            let grown = after
                .iter()
                .zip(before)
                .map(|(after, before)| (after.parse::<u32>().unwrap() - before + 1).to_string());
            assert_eq!(grown.collect::<Vec<_>>().join(" "), reached, "{format}: {form}");
        }
    }
}

#[test]
fn a_group_is_purged_with_its_members_by_either_format() {
    let origin = Origin::start();
    for (target, groups) in [("/1", r#""a", "b""#), ("/2", r#""b", "a""#), ("/3", r#""b""#)] {
        origin.on(target).respond(ok("x").cache("max-age=60").field("Cache-Groups", groups));
    }
    let form = "application/x-www-form-urlencoded";
    let json = json!({"groups": ["http://example.com#a"]}).to_string();
    for (kind, content) in [(form, "group=http://example.com%23a"), ("application/json", json.as_str())] {
        // One for each, as what is dead is counted until it is reclaimed.
        let proxy = Proxy::before(&origin);
        let other = proxy.asks("/1").host("other.example");
        proxy.send(&other);
        versions(&proxy, &["/1", "/2", "/3"]);
        let answered = post(&proxy, kind, content);
        let told: Value = serde_json::from_str(&answered.text()).unwrap();
        assert_eq!((answered.status, &told["entries"]), (200, &json!(2)), "{content}: {told}");
        let hits = ["/1", "/2", "/3"].map(|target| ours(&proxy.get(target)).hit);
        assert_eq!(hits, [false, false, true], "{content}");
        assert_hit(&proxy.send(&other));
    }
}

#[test]
fn a_url_is_reached_whatever_the_scheme_method_range_or_variant() {
    let origin = counting();
    let proxy = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.1\"]").start();
    let asks = [
        proxy.asks("/vary").field("X-Variant", "1"),
        proxy.asks("/vary").field("X-Variant", "2"),
        proxy.asks("/vary").field("X-Variant", "1").field("X-Forwarded-Proto", "https"),
        proxy.asks("/vary").field("X-Variant", "1").host("example.com:8080"),
    ];
    asks.iter().for_each(|ask| drop(proxy.send(ask)));
    asks.iter().for_each(|ask| assert_hit(&ask.send()));
    let told = purge(&proxy, json!({"urls": ["http://example.com/vary"]}));
    assert_eq!(told["entries"], 4);
    let head = proxy.ask("HEAD", "/vary").field("X-Variant", "1");
    let range = proxy.asks("/vary").field("X-Variant", "1").field("Range", "bytes=0-0");
    for ask in [&head, &range].into_iter().chain(&asks) {
        assert!(!ours(&proxy.send(ask)).hit);
        purge(&proxy, json!({"urls": ["http://example.com/vary"]}));
    }
    // With a port, that one only.
    purge(&proxy, json!({"everything": true}));
    asks.iter().for_each(|ask| drop(proxy.send(ask)));
    purge(&proxy, json!({"urls": ["example.com:8080/vary"]}));
    let hits: Vec<bool> = asks.iter().map(|ask| ours(&proxy.send(ask)).hit).collect();
    assert_eq!(hits, [true, true, true, false]);
}

#[test]
fn several_targets_are_one_purge() {
    let origin = counting();
    let proxy = Proxy::before(&origin);
    versions(&proxy, &["/a", "/b", "/c"]);
    let told = purge(&proxy, json!({"tags": ["of/a", "of/b"], "urls": ["example.com/c"]}));
    assert_eq!((&told["sequence"], &told["entries"]), (&json!(1), &json!(3)));
    assert_eq!(versions(&proxy, &["/a", "/b", "/c"]), ["2", "2", "2"]);
}

#[test]
fn a_soft_purge_makes_stale_and_a_304_makes_fresh_again() {
    let origin = Origin::start();
    let stored = ok("x").cache("max-age=60").field("ETag", "\"1\"").field("Cache-Tag", "t");
    let fresh = unchanged().cache("max-age=60").field("ETag", "\"1\"");
    origin.on("/a").respond(stored.clone()).then(fresh);
    origin.on("/b").respond(stored.cache("stale-while-revalidate=60")).then(unchanged());
    let proxy = Proxy::before(&origin);
    versions(&proxy, &["/a", "/b"]);
    let told = purge(&proxy, json!({"tags": ["t"], "soft": true}));
    assert_eq!((&told["soft"], &told["entries"]), (&json!(true), &json!(2)));
    assert_forwarded(&proxy.get("/a"), "stale");
    assert_hit(&proxy.asks("/a").send());
    proxy.advance(1);
    assert_stale_hit(&proxy.asks("/b").send());
}

#[test]
fn a_soft_purge_may_have_what_it_hit_refreshed() {
    let origin = Origin::start();
    let stored = ok("x").cache("max-age=60").field("ETag", "\"1\"").field("Cache-Tag", "t");
    for target in ["/a", "/b"] {
        origin.on(target).respond(stored.clone()).then(unchanged().cache("max-age=60"));
    }
    let proxy = Proxy::with(&origin).purge("refresh_entries = 10").start();
    versions(&proxy, &["/a", "/b"]);
    let told = purge(&proxy, json!({"tags": ["t"], "soft": true, "refresh": true}));
    assert_eq!((&told["sequence"], &told["entries"]), (&json!(1), &json!(2)));
    // Nobody has asked for them.
    assert!(wait_until(|| origin.count("/a") == 2 && origin.count("/b") == 2));
    assert!(wait_until(|| ours(&proxy.get("/a")).hit && ours(&proxy.get("/b")).hit));
    assert_eq!((origin.count("/a"), origin.count("/b")), (2, 2), "a request has asked, not the refresh");
}

#[test]
fn a_dry_run_counts_and_does_nothing() {
    let origin = counting();
    let proxy = Proxy::before(&origin);
    versions(&proxy, &["/a", "/b"]);
    // Counted one by one: a prefix, too, and what carries several targets once.
    for (targets, entries) in [
        (json!({"tags": ["all"]}), 2),
        (json!({"tags": ["all", "of/a"], "urls": ["example.com/a"], "hosts": ["example.com"]}), 2),
        (json!({"prefixes": ["http://example.com/a"]}), 1),
        (json!({"prefixes": ["example.com/"], "soft": true}), 2),
        (json!({"everything": true}), 2),
        (json!({"tags": ["none"]}), 0),
    ] {
        let mut asked = targets.clone();
        asked["dry_run"] = true.into();
        let told = purge(&proxy, asked);
        assert_eq!((&told["entries"], &told["sequence"]), (&json!(entries), &Value::Null), "{targets}");
        assert_eq!(told["dry_run"], true);
    }
    assert_hit(&proxy.asks("/a").send());
    assert_eq!(api(&proxy, "/api/purges")["purges"], json!([]));
    // What is dead already is not there to be purged.
    assert_eq!(purge(&proxy, json!({"tags": ["of/a"]}))["sequence"], 1);
    assert_eq!(purge(&proxy, json!({"tags": ["all"], "dry_run": true}))["entries"], 1);
}

#[test]
fn what_cannot_be_understood_is_told_and_nothing_is_purged() {
    let origin = counting();
    let proxy = Proxy::with(&origin).purge("max_targets = 2\nmax_body = \"1KiB\"").start();
    versions(&proxy, &["/a"]);
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let long = format!("tag={}", "x".repeat(1100));
    for (kind, content, status, reason, detail) in [
        (json, "{\"tag\":[\"all\"]}", 400, "purge-malformed", "did you mean `tags`?"),
        (json, "{\"tags\":[\"all\"],", 400, "purge-malformed", "EOF while parsing"),
        (json, "{\"tags\":[\"all\"],\"soft\":1}", 400, "purge-malformed", "`soft`: invalid type"),
        (json, "{}", 400, "purge-malformed", "nothing to purge"),
        (json, "", 400, "purge-malformed", "EOF"),
        (json, "{\"tags\":[\"all\",\"b\",\"c\"]}", 400, "purge-malformed", "3 targets are too many"),
        (json, "{\"urls\":[\"/a\"],\"tags\":[\"all\"]}", 400, "purge-malformed", "it has no host"),
        (form, "tag=all&sfot=1", 400, "purge-malformed", "did you mean `soft`?"),
        (form, "tag=all&soft=maybe", 400, "purge-malformed", "`soft` is 1 or 0"),
        (form, "tag=all&tag=%zz", 400, "purge-malformed", "two hexadecimal digits"),
        (form, &long, 413, "purge-too-large", "1024 bytes"),
        ("text/plain", "tag=all", 415, "content-type", "application/json"),
        ("", "tag=all", 415, "content-type", "application/json"),
    ] {
        let answered = post(&proxy, kind, content);
        assert_eq!(answered.status, status, "{content}: {}", answered.text());
        let problem: Value = serde_json::from_str(&answered.text()).unwrap();
        assert_eq!(problem["reason"], reason, "{content}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{content}: {problem}");
    }
    for method in ["GET", "PUT", "DELETE", "PURGE"] {
        let answered = proxy.admin().ask(method, "/purge").host("localhost").send();
        assert_eq!((answered.status, answered.field("Allow").as_deref()), (405, Some("POST")), "{method}");
    }
    assert_hit(&proxy.asks("/a").send());
    assert_eq!(api(&proxy, "/api/stats")["log"]["sequence"], 0);
}

#[test]
fn the_method_purge_is_answered_here_and_never_forwarded() {
    let origin = counting();
    let proxy = Proxy::with(&origin).purge("allow = [\"127.0.0.0/8\"]").start();
    versions(&proxy, &["/a", "/a?q", "/b"]);
    let asked = origin.requests().len();
    let answered = proxy.ask("PURGE", "/a").send();
    assert_eq!(answered.status, 200, "{}", answered.text());
    let told: Value = serde_json::from_str(&answered.text()).unwrap();
    assert_eq!((&told["sequence"], &told["soft"], &told["entries"]), (&json!(1), &json!(false), &json!(1)));
    assert_eq!(ours(&answered).detail.as_deref(), Some("purged"));
    assert_eq!(answered.field("Cache-Control").as_deref(), Some("no-store"));
    assert_eq!(origin.requests().len(), asked);
    assert_eq!(versions(&proxy, &["/a", "/a?q", "/b"]), ["2", "1", "1"]);

    // By tags, it leaves the URL alone.
    for (field, value) in
        [("Cache-Tag", "none, of/b"), ("Surrogate-Key", "none of/b"), ("xkey-purge", "of/b")]
    {
        proxy.send(&proxy.ask("PURGE", "/a").field(field, value));
        assert_hit(&proxy.asks("/a").send());
        assert!(!ours(&proxy.get("/b")).hit, "{field}");
    }
    // An absolute target, another host, a port.
    proxy.send(&proxy.ask("PURGE", "http://example.com:80/a").host("EXAMPLE.com"));
    assert!(!ours(&proxy.get("/a")).hit);
    proxy.send(&proxy.ask("PURGE", "/a").host("other.example"));
    proxy.send(&proxy.ask("PURGE", "/a").host("example.com:8080"));
    assert_hit(&proxy.asks("/a").send());
    // Soft, by either name.
    for field in ["Soft-Purge", "Fastly-Soft-Purge"] {
        let soft = proxy.send(&proxy.ask("PURGE", "/a").field(field, "1"));
        assert!(soft.text().contains("\"soft\":true"), "{}", soft.text());
        assert_forwarded(&proxy.get("/a"), "stale");
    }
    for (field, value) in [("Soft-Purge", &b"maybe"[..]), ("Cache-Tag", b" , "), ("Cache-Tag", b"\xff")] {
        let refused = proxy.ask("PURGE", "/a").field(field, value).send();
        assert_eq!(assert_problem(&refused, 400), "purge-malformed");
    }
    assert!(origin.requests().iter().all(|request| request.method != "PURGE"));
}

/// What is answered is purged: the connection that purged sees it, and so does every other.
#[test]
fn a_purge_is_published_before_its_answer() {
    let origin = counting();
    let proxy = Proxy::with(&origin).threads(2).purge("allow = [\"127.0.0.1\"]").start();
    for round in 1..50 {
        let stored = proxy.asks("/a").send().text();
        assert!(wait_until(|| ours(&proxy.asks("/a").send()).hit));
        let purged = if round % 2 == 0 {
            proxy.ask("PURGE", "/a").send().status
        } else {
            post(&proxy, "application/x-www-form-urlencoded", "tag=of/a").status
        };
        assert_eq!(purged, 200);
        assert_ne!(proxy.asks("/a").send().text(), stored, "round {round}");
    }
}

#[test]
fn what_was_purged_and_what_is_stored_can_be_seen() {
    let origin = counting();
    let proxy = Proxy::with(&origin).server("instance = \"here\"").start();
    versions(&proxy, &["/a", "/b"]);
    assert!(wait_until(|| api(&proxy, "/api/stats")["store"]["entries"] == 2));
    let tags = api(&proxy, "/api/tags");
    let [all, ..] = tags["tags"].as_array().unwrap().as_slice() else { panic!("{tags}") };
    assert_eq!((&all["tag"], &all["entries"], &all["purged"]), (&json!("all"), &json!(2), &Value::Null));
    assert!(all["bytes"].as_u64().unwrap() > 2);
    proxy.advance(5);
    purge(&proxy, json!({"tags": ["of/a"]}));
    purge(
        &proxy,
        json!({"tags": ["of/b"], "hosts": ["h"], "prefixes": ["h/p"], "groups": ["http://h#g"], "everything": true, "soft": true}),
    );

    let seen = api(&proxy, "/api/purges");
    assert_eq!(seen["instance"], "here");
    let [second, first] = seen["purges"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!(
        first,
        &json!({
            "sequence": 1, "time": "2026-01-01T00:00:05.000Z", "soft": false, "entries": 1, "peer": "127.0.0.1",
            "token": null, "targets": [{"tag": "of/a"}], "target_count": 1
        })
    );
    let targets = json!([
        {"group": {"origin": "http://h", "name": "g"}}, {"host": "h"}, {"prefix": "h/p"}, {"tag": "of/b"}, "everything"
    ]);
    assert_eq!(
        (&second["targets"], &second["entries"], &second["soft"]),
        (&targets, &Value::Null, &json!(true))
    );

    // What was purged softly is still there.
    let tags = api(&proxy, "/api/tags");
    let of_b = tags["tags"].as_array().unwrap().iter().find(|tag| tag["tag"] == "of/b").unwrap();
    assert_eq!(of_b["purged"], json!({"sequence": 2, "time": "2026-01-01T00:00:05.000Z"}));
    assert_eq!(api(&proxy, "/api/tags?top=1")["tags"].as_array().unwrap().len(), 1);
    for query in ["top=0", "top=x", "top=1001", "bottom=1"] {
        let refused = proxy.admin().asks(&format!("/api/tags?{query}")).host("localhost").send();
        assert_eq!(refused.status, 400, "{query}");
    }
    let stats = api(&proxy, "/api/stats");
    assert_eq!(proxy.metric("larder_purges_total"), 2.0);
    assert_eq!((&stats["log"]["sequence"], &stats["store"]["limit_bytes"]), (&json!(2), &json!(64 << 20)));
}
